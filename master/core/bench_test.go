package core

import (
	"fmt"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// crowd is a master with agents and tasks of one framework, tasks/agents on each agent.
func crowd(t testing.TB, agents, tasks int) (*world, *testScheduler, []*testAgent) {
	w := newWorld(t)
	var list []*testAgent
	for range agents {
		list = append(list, w.agent("cpus:100;mem:100000;ports:[31000-32000]"))
	}
	f := w.subscribe(named("f"))
	n := 0
	for _, o := range f.offers() {
		var infos []mesos.TaskInfo
		for range tasks / agents {
			infos = append(infos, command(fmt.Sprintf("task-%06d", (n*7919)%tasks), o, "cpus:0.1;mem:32"))
			n++
		}
		f.accept(1e6, o, launch(infos...))
	}
	w.forget()
	return w, f, list
}

// BenchmarkView is what a read costs the owner, and so everyone, after any change of a
// framework with 20,000 tasks on 1,000 agents.
func BenchmarkView(b *testing.B) {
	w, f, _ := crowd(b, 1000, 20_000)
	b.ReportAllocs()
	for b.Loop() {
		w.s.touch(w.s.frameworks[f.id], nil)
		if v := w.s.View(); len(v.Frameworks[0].Tasks) != 20_000 {
			b.Fatalf("%d tasks are shown", len(v.Frameworks[0].Tasks))
		}
	}
}

// BenchmarkUpdate is one status update of one of 20,000 tasks and its acknowledgement.
func BenchmarkUpdate(b *testing.B) {
	w, f, agents := crowd(b, 1000, 20_000)
	var ids []string
	for k := range agentOf(w, agents[0]).tasks {
		ids = append(ids, k.task)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		id := ids[n%len(ids)]
		f.acknowledge(agents[0], id, agents[0].reports(f, id, mesos.TASK_RUNNING))
		w.forget()
	}
}

func agentOf(w *world, a *testAgent) *agent { return w.s.agents[a.id] }
