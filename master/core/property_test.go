package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// TestAccounting lives random lives and checks after each event that the books are
// right (design: figures that count, allocation quality):
//
//	on each agent: used + offered <= total, and used is the sum of its tasks and executors
//	a resource is in at most one offer (reference row 0.9)
//	every task belongs to one agent and one framework, and both know it
func TestAccounting(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		l := &life{r: r, w: newWorld(t)}
		r.Repeat(map[string]func(*rapid.T){
			"subscribe": l.subscribe, "disconnect": l.disconnect, "agent": l.agent, "exit": l.exit, "return": l.comeBack,
			"accept": l.accept, "decline": l.decline, "update": l.update, "teardown": l.teardown, "time": l.time, "": l.check,
		})
	})
}

type life struct {
	r          *rapid.T
	w          *world
	schedulers []*testScheduler
	agents     []*testAgent
	tasks      int
}

func pick[T any](r *rapid.T, list []T) (T, bool) {
	var none T
	if len(list) == 0 {
		return none, false
	}
	return list[rapid.IntRange(0, len(list)-1).Draw(r, "which")], true
}

func (l *life) subscribe(r *rapid.T) {
	info := named(fmt.Sprintf("f%d", len(l.schedulers)), mesos.FrameworkInfo_Capability_MULTI_ROLE)
	info.Roles = []string{rapid.SampledFrom([]string{"a", "b", "a/x"}).Draw(r, "role")}
	if rapid.Bool().Draw(r, "checkpoint") {
		info = checkpointing(info)
	}
	if rapid.Bool().Draw(r, "again") {
		if f, ok := pick(r, l.schedulers); ok && l.w.s.frameworks[f.id] != nil {
			f.stream = f.again(info).stream
			return
		}
	}
	if len(l.schedulers) < 4 {
		l.schedulers = append(l.schedulers, l.w.subscribe(info))
	}
}

func (l *life) disconnect(r *rapid.T) {
	if f, ok := pick(r, l.schedulers); ok {
		l.w.step(StreamClosed{Stream: f.stream, Reason: "test"})
	}
}

func (l *life) teardown(r *rapid.T) {
	if f, ok := pick(r, l.schedulers); ok && rapid.IntRange(0, 3).Draw(r, "rarely") == 0 {
		l.w.request++
		l.w.step(TornDown{Request: l.w.request, Framework: f.id})
	}
}

func (l *life) agent(r *rapid.T) {
	if len(l.agents) < 4 {
		a := &testAgent{w: l.w, pid: fmt.Sprintf("slave(1)@127.0.0.%d:5051", len(l.agents)+1)}
		a.info = mesos.AgentInfo{Hostname: a.pid, Resources: resources("cpus:4;mem:1024;ports:[31000-31009]")}
		version := "1.11.0"
		a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: &version, AgentCapabilities: agentCapabilities})
		a.id = lastSent[*messages.SlaveRegisteredMessage](a).AgentID.Value
		a.info.ID = &mesos.AgentID{Value: a.id}
		l.agents = append(l.agents, a)
	}
}

func (l *life) exit(r *rapid.T) {
	if a, ok := pick(r, l.agents); ok {
		l.w.step(AgentExited{PID: a.pid})
	}
}

// comeBack re-registers an agent with a random part of what the master thinks it runs.
func (l *life) comeBack(r *rapid.T) {
	a, ok := pick(r, l.agents)
	if !ok {
		return
	}
	var tasks []mesos.Task
	infos := map[string]mesos.FrameworkInfo{}
	for _, f := range l.w.s.sortedFrameworks() {
		for _, t := range sortedTasks(f.tasks) {
			if t.agent.id == a.id && rapid.Bool().Draw(r, "kept") {
				tasks = append(tasks, *t.info)
				infos[f.id] = f.info
			}
		}
	}
	var frameworks []mesos.FrameworkInfo
	for _, id := range sortedKeys(infos) {
		frameworks = append(frameworks, infos[id])
	}
	a.reregister(l.w, frameworks, tasks...)
}

func (l *life) accept(r *rapid.T) {
	f, ok := pick(r, l.schedulers)
	if !ok || l.w.s.frameworks[f.id] == nil || !l.w.s.frameworks[f.id].connected {
		return
	}
	o, ok := pick(r, sortedOffers(l.w.s.offers)) // perhaps somebody else's
	if !ok {
		return
	}
	var tasks []mesos.TaskInfo
	for range rapid.IntRange(0, 3).Draw(r, "tasks") {
		l.tasks++
		x := command(fmt.Sprintf("t%d", l.tasks), *o.message, rapid.SampledFrom([]string{"cpus:1;mem:100", "cpus:0.5;mem:32;ports:[31000-31001]", "mem:32", "cpus:9;mem:1"}).Draw(r, "resources"))
		if rapid.Bool().Draw(r, "custom executor") {
			value := "run"
			x.Executor = &mesos.ExecutorInfo{
				ExecutorID: mesos.ExecutorID{Value: rapid.SampledFrom([]string{"e1", "e2"}).Draw(r, "executor")},
				Command:    &mesos.CommandInfo{Value: &value}, Resources: resources("cpus:0.1;mem:32"),
			}
			x.Command = nil
		}
		tasks = append(tasks, x)
	}
	f.accept(rapid.SampledFrom([]float64{0, 2, 60}).Draw(r, "refuse"), *o.message, launch(tasks...))
}

func (l *life) decline(r *rapid.T) {
	if f, ok := pick(r, l.schedulers); ok {
		if o, ok := pick(r, sortedOffers(l.w.s.offers)); ok {
			f.decline(rapid.SampledFrom([]float64{0, 2, 60}).Draw(r, "refuse"), *o.message)
		}
	}
}

// update reports a random state of a random task, or the end of an executor, and perhaps acknowledges it.
func (l *life) update(r *rapid.T) {
	f, ok := pick(r, l.schedulers)
	if !ok || l.w.s.frameworks[f.id] == nil {
		return
	}
	t, ok := pick(r, sortedTasks(l.w.s.frameworks[f.id].tasks))
	if !ok {
		return
	}
	for _, a := range l.agents {
		if a.id != t.agent.id {
			continue
		}
		state := rapid.SampledFrom([]mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FINISHED, mesos.TASK_FAILED}).Draw(r, "state")
		uuid := a.reports(f, t.key.task, state)
		if rapid.Bool().Draw(r, "acknowledged") {
			f.acknowledge(a, t.key.task, uuid)
		}
		if x := t.info.ExecutorID; x != nil && rapid.Bool().Draw(r, "executor ends") {
			a.says(&messages.ExitedExecutorMessage{AgentID: *a.info.ID, FrameworkID: mesos.FrameworkID{Value: f.id}, ExecutorID: *x})
		}
	}
}

func (l *life) time(r *rapid.T) {
	var alive []string
	for _, a := range l.agents {
		if rapid.Bool().Draw(r, "alive") {
			alive = append(alive, a.pid)
		}
	}
	l.w.pass(time.Duration(rapid.IntRange(1, 200).Draw(r, "seconds"))*time.Second, alive...)
}

func (l *life) check(r *rapid.T) {
	s := l.w.s
	inOffers := map[string]offers.Resources{}
	for _, o := range s.offers {
		inOffers[o.agent.id] = inOffers[o.agent.id].Plus(o.resources)
		if s.frameworks[o.framework.id] != o.framework || o.framework.offers[o.id] != o || o.agent.offers[o.id] != o || !o.framework.connected {
			r.Fatalf("offer %s is not where it belongs", o.id)
		}
	}
	for _, a := range s.agents {
		held := map[string]offers.Resources{}
		for key, t := range a.tasks {
			f := s.frameworks[key.framework]
			if f == nil || f.tasks[key.task] != t || t.agent != a {
				r.Fatalf("task %v of agent %s is not its framework's", key, a.id)
			}
			if t.booked == terminal(t.state()) {
				r.Fatalf("task %v in state %s: booked %t", key, t.state(), t.booked)
			}
			if t.booked {
				held[f.id] = held[f.id].Plus(t.resources)
			}
		}
		for framework, executors := range a.executors {
			for _, x := range executors {
				held[framework] = held[framework].Plus(x.resources)
			}
		}
		sum := inOffers[a.id]
		if !a.offered.Equal(inOffers[a.id]) {
			r.Fatalf("agent %s: offered %s, in offers %s", a.id, a.offered, inOffers[a.id])
		}
		for _, framework := range sortedKeys(a.used) {
			if !a.used[framework].Equal(held[framework]) {
				r.Fatalf("agent %s, framework %s: used %s, held %s", a.id, framework, a.used[framework], held[framework])
			}
			sum = sum.Plus(a.used[framework])
		}
		if !a.total.Contains(sum.Unallocated()) {
			r.Fatalf("agent %s: %s used or offered of %s", a.id, sum, a.total)
		}
	}
	for _, f := range s.frameworks {
		for _, a := range s.agents {
			if used := !a.used[f.id].IsZero(); used != (f.on[a.id] == a) {
				r.Fatalf("framework %s uses resources of agent %s: %t, and believes otherwise", f.id, a.id, used)
			}
		}
		for id, a := range f.on {
			if s.agents[id] != a {
				r.Fatalf("framework %s believes to use agent %s, which is gone", f.id, id)
			}
		}
		for id, t := range f.tasks {
			if s.agents[t.agent.id] != t.agent || t.agent.tasks[t.key] != t {
				r.Fatalf("task %s of framework %s is on no agent", id, f.id)
			}
		}
	}
	for _, f := range l.schedulers { // events are only looked at as they come
		if n := len(f.of(scheduler.Event_ERROR)); n > 1 {
			r.Fatalf("%d ERROR events on one stream", n)
		}
	}
}
