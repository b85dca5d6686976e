package core

import (
	"fmt"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// BenchmarkReregistrations is the master's own part of a failover: 10,000 agents of its
// registry register again with ten tasks each, read from bytes, until all are back and offered.
func BenchmarkReregistrations(b *testing.B) {
	const agents, tasks = 10_000, 10
	reg := NewRegistry()
	framework := checkpointing(named("f"))
	framework.ID, framework.Roles = &mesos.FrameworkID{Value: "f"}, []string{"load"}
	reg.Frameworks["f"] = FrameworkRecord{Info: framework}
	version, state := "1.12.0", mesos.TASK_RUNNING
	var bodies [][]byte
	for i := range agents {
		info := mesos.AgentInfo{ID: &mesos.AgentID{Value: fmt.Sprintf("S%d", i)}, Hostname: fmt.Sprintf("host%d", i), Resources: resources("cpus:100;mem:100000;ports:[31000-32000]")}
		reg.Admitted[info.ID.Value] = info
		m := &messages.ReregisterSlaveMessage{Agent: info, Version: &version, AgentCapabilities: agentCapabilities, Frameworks: []mesos.FrameworkInfo{framework}}
		for n := range tasks {
			m.Tasks = append(m.Tasks, mesos.Task{Name: "t", TaskID: mesos.TaskID{Value: fmt.Sprintf("t%d", i*tasks+n)}, FrameworkID: *framework.ID,
				AgentID: *info.ID, State: &state, Resources: allocatedTo("load", "cpus:0.1;mem:32")})
		}
		body, err := proto.Marshal(m)
		if err != nil {
			b.Fatal(err)
		}
		bodies = append(bodies, body)
	}
	b.ReportAllocs()
	for b.Loop() {
		w := restart(b, reg.Clone())
		for i, body := range bodies {
			m := &messages.ReregisterSlaveMessage{}
			if err := proto.Unmarshal(body, m); err != nil {
				b.Fatal(err)
			}
			w.take(w.s.Step(w.now, AgentMessaged{From: fmt.Sprintf("slave(1)@10.%d.%d.1:5051", i/256, i%256), Message: m}))
		}
		w.step(Ticked{})
		if len(w.s.agents) != agents || len(w.s.frameworks["f"].tasks) != agents*tasks {
			b.Fatalf("%d agents, %d tasks", len(w.s.agents), len(w.s.frameworks["f"].tasks))
		}
	}
}
