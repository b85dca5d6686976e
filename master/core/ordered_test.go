package core

import (
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// An agent's report that crosses an order on the way does not make the master offer
// what the ordered executor is about to use.
func TestReportCrossesOrder(t *testing.T) {
	for _, arrived := range []bool{true, false} {
		w := newWorld(t)
		a := w.agent("cpus:4;mem:4096")
		f := w.subscribe(checkpointing(named("f")))
		o := f.offer()
		task := command("t", o, "cpus:1;mem:32")
		value := "run"
		task.Executor = &mesos.ExecutorInfo{
			Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: "x"},
			Command: &mesos.CommandInfo{Value: &value}, Resources: resources("cpus:1;mem:64"),
		}
		task.Command = nil
		f.accept(0, o, launch(task))
		a.reregister(w, nil) // sent before the order came
		if used := w.s.View().Agents[0].Used.String(); used != "cpus:2; mem:96" {
			t.Fatalf("%s are in use", used)
		}
		if arrived {
			a.reports(f, "t", mesos.TASK_RUNNING)
			a.reregister(w, nil)
			if used := w.s.View().Agents[0].Used.String(); used != "cpus:1; mem:32" {
				t.Errorf("%s are in use after the executor has ended", used)
			}
			continue
		}
		lost, source, reason := mesos.TASK_LOST, mesos.SOURCE_AGENT, mesos.REASON_RECONCILIATION
		uuid, pid := []byte("0123456789abcdef"), a.pid
		a.says(&messages.StatusUpdateMessage{PID: &pid, Update: messages.StatusUpdate{
			FrameworkID: mesos.FrameworkID{Value: f.id}, AgentID: a.info.ID, UUID: uuid,
			Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t"}, State: &lost, Source: &source, Reason: &reason, UUID: uuid},
		}})
		if used := w.s.View().Agents[0].Used; !used.IsZero() {
			t.Errorf("%s are in use, which never came to be", used)
		}
	}
}

// The acknowledgement of a task's end may cross a report that still has the task.
// The next report without it settles that.
func TestReportCrossesAcknowledgement(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f")))
	f.acknowledge(a, "t", a.reports(f, "t", mesos.TASK_FINISHED))
	finished := mesos.TASK_FINISHED
	old := mesos.Task{
		TaskID: mesos.TaskID{Value: "t"}, FrameworkID: mesos.FrameworkID{Value: f.id}, AgentID: *a.info.ID,
		State: &finished, StatusUpdateState: &finished, StatusUpdateUUID: []byte("0123456789abcdef"), Resources: resources("cpus:1;mem:32"),
	}
	a.reregister(w, []mesos.FrameworkInfo{w.s.frameworks[f.id].info}, old)
	a.reregister(w, nil)
	if n := len(w.s.frameworks[f.id].tasks); n != 0 {
		t.Errorf("%d tasks are left", n)
	}
}

// While the registry takes an agent back, the agent repeats its report; what it says
// last counts, as something may have begun or ended since the first.
func TestNewestReportCounts(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f", mesos.FrameworkInfo_Capability_PARTITION_AWARE)))
	task := *w.s.frameworks[f.id].tasks["t"].info
	info := w.s.frameworks[f.id].info
	w.pass(80 * time.Second) // it answers no pings
	w.hold = true
	a.reregister(w, nil)
	a.reregister(w, []mesos.FrameworkInfo{info}, task)
	for len(w.held) > 0 {
		w.written(nil)
	}
	if w.s.agents[a.id] == nil || w.s.frameworks[f.id].tasks["t"] == nil {
		t.Error("the agent was let in by its first report")
	}
}
