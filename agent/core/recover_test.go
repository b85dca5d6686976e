package core

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// disk rebuilds what the checkpoints of a run hold, from its Save effects.
type disk struct{ r Recovered }

func (d *disk) save(effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case SaveAgent:
			info := e.Info
			d.r.Info = &info
		case SaveFramework:
			d.framework(e.Info.ID.Value).Info = e.Info
			d.framework(e.Info.ID.Value).PID = e.PID
		case SaveExecutor:
			f := d.framework(e.Framework)
			f.Executors = append(f.Executors, RecoveredExecutor{Info: e.Info, Generated: e.Generated, Container: e.Container})
		case SaveExecutorPID:
			d.executor(e.Run).UPID = e.UPID
		case SaveTask:
			x := d.executor(e.Run)
			x.Tasks = append(x.Tasks, RecoveredTask{Info: e.Task, Limits: e.Limits})
		case SaveUpdate:
			t := d.task(e.Run, e.Task)
			t.Updates = append(t.Updates, e.Update)
		case SaveAck:
			d.task(e.Run, e.Task).Acknowledged++
		case SaveDrain:
			d.r.Drain = e.Config
		case SaveDone:
			f := d.framework(e.Run.Framework)
			for i := range f.Executors {
				if f.Executors[i].Container == e.Run.Container {
					f.Executors = append(f.Executors[:i:i], f.Executors[i+1:]...)
					break
				}
			}
		}
	}
}

func (d *disk) framework(id string) *RecoveredFramework {
	for i := range d.r.Frameworks {
		if d.r.Frameworks[i].Info.ID.GetValue() == id {
			return &d.r.Frameworks[i]
		}
	}
	d.r.Frameworks = append(d.r.Frameworks, RecoveredFramework{Info: mesos.FrameworkInfo{ID: &mesos.FrameworkID{Value: id}}})
	return &d.r.Frameworks[len(d.r.Frameworks)-1]
}

func (d *disk) executor(r Run) *RecoveredExecutor {
	f := d.framework(r.Framework)
	for i := range f.Executors {
		if f.Executors[i].Container == r.Container {
			return &f.Executors[i]
		}
	}
	panic("executor saved after its tasks")
}

func (d *disk) task(r Run, id string) *RecoveredTask {
	x := d.executor(r)
	for i := range x.Tasks {
		if x.Tasks[i].Info.TaskID.Value == id {
			return &x.Tasks[i]
		}
	}
	panic("task saved after its updates")
}

// restart makes the next run of the agent; alive says which containers are still there.
func (d *disk) restart(t rapid.TB, alive bool) *rig {
	d.r.Frameworks = slices.DeleteFunc(d.r.Frameworks, func(f RecoveredFramework) bool { return len(f.Executors) == 0 })
	for i := range d.r.Frameworks {
		for j := range d.r.Frameworks[i].Executors {
			d.r.Frameworks[i].Executors[j].Alive = alive
		}
	}
	return newRig(t, d.r)
}

// crashed is an agent that died with a running task whose first update is acknowledged and whose second is not.
func crashed(t *testing.T) *disk {
	d := &disk{}
	r := newRig(t, Recovered{})
	r.pass(time.Second)
	d.save(r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}))
	d.save(r.from(run("t")))
	d.save(r.subscribe("f", "t"))
	d.save(r.update("t", mesos.TASK_STARTING, 1))
	d.save(r.ack("t", id(1)))
	d.save(r.update("t", mesos.TASK_RUNNING, 2))
	return d
}

// An executor that speaks through a driver does not come back by itself: it is asked to (reference row 5.2).
func TestRCV04_DriverIsAskedToComeBack(t *testing.T) {
	const pid = "executor(1)@127.0.0.1:7001"
	d := crashed(t)
	r := d.restart(t, true)
	r.conn++
	d.save(r.do(ExecutorSubscribed{Framework: "f", Executor: "t", Conn: r.conn, UPID: pid}))
	r = d.restart(t, true)
	if m := sent[*messages.ReconnectExecutorMessage](r.effects); len(m) != 1 || m[0].AgentID.Value != "S0" {
		t.Fatalf("%d were asked", len(m))
	}
	if s := one[Send](t, r.effects); s.To != pid {
		t.Errorf("asked %s", s.To)
	}
	if r := d.restart(t, false); len(sent[*messages.ReconnectExecutorMessage](r.effects)) != 0 {
		t.Error("one that is gone was asked, too")
	}
}

func TestRCV04_ExecutorComesBack(t *testing.T) {
	r := crashed(t).restart(t, true)
	if len(all[Link](r.effects)) > 0 {
		t.Fatal("the agent registers before its executors are back")
	}
	expect(t, "told", told(r.subscribe("f", "t")), "SUBSCRIBED")
	m := sent[*messages.ReregisterSlaveMessage](r.pass(time.Second))
	if len(m) == 0 || m[0].Agent.ID.GetValue() != "S0" || len(m[0].Tasks) != 1 || m[0].Tasks[0].GetState() != mesos.TASK_RUNNING {
		t.Fatalf("re-registration is %+v", m)
	}
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	expect(t, "only what is not acknowledged", updates(r.effects), "t RUNNING")
	if u := sent[*messages.StatusUpdateMessage](r.effects)[0].Update; string(u.UUID) != string(id(2)) {
		t.Errorf("uuid is %x", u.UUID)
	}
	r.update("t", mesos.TASK_RUNNING, 2)
	expect(t, "a repeat of what is on disk", told(r.effects), "ACKNOWLEDGED")
	r.ack("t", id(2))
	r.update("t", mesos.TASK_FINISHED, 3)
	expect(t, "life goes on", updates(r.effects), "t FINISHED")
}

func TestEXE08_SilentExecutorIsDestroyed(t *testing.T) {
	d := crashed(t)
	r := d.restart(t, true)
	x := one[DestroyContainer](t, r.pass(3*time.Second))
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	r.do(ContainerExited{Container: x.Container})
	r.ack("t", id(2))
	expect(t, "updates", updates(r.effects), "t FAILED")
	if got := sent[*messages.StatusUpdateMessage](r.effects)[0].Update.Status.GetReason(); got != mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT {
		t.Errorf("reason is %v", got)
	}
}

func TestRCV05_ContainersGoneAfterAReboot(t *testing.T) {
	r := crashed(t).restart(t, false)
	r.pass(time.Second)
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	expect(t, "updates", updates(r.effects), "t RUNNING")
	r.ack("t", id(2))
	expect(t, "updates", updates(r.effects), "t FAILED")
}

func TestRecovery_TaskThatNeverReachedItsExecutor(t *testing.T) {
	d := &disk{}
	r := newRig(t, Recovered{})
	r.pass(time.Second)
	d.save(r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}))
	d.save(r.from(run("t")))
	r = d.restart(t, true)
	r.subscribe("f", "t") // knows nothing of a task
	r.pass(time.Second)
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	expect(t, "updates", updates(r.effects), "t LOST")
	if got := sent[*messages.StatusUpdateMessage](r.effects)[0].Update.Status.GetReason(); got != mesos.REASON_AGENT_RESTARTED {
		t.Errorf("reason is %v", got)
	}
}

// A container that may burst keeps its caps when the agent comes back.
func TestTV09_LimitsOutliveTheAgent(t *testing.T) {
	d := &disk{}
	r := newRig(t, Recovered{})
	r.pass(time.Second)
	d.save(r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}))
	order := run("t")
	order.Task.Limits = map[string]mesos.Value_Scalar{"cpus": {Value: 2}, "mem": {Value: math.Inf(1)}}
	d.save(r.from(order))
	before := one[StartContainer](t, r.effects).Limits
	d.save(r.subscribe("f", "t"))
	d.save(r.update("t", mesos.TASK_RUNNING, 1))
	r = d.restart(t, true)
	r.subscribe("f", "t")
	if after := one[UpdateContainer](t, r.effects).Limits; after != before || after.MemLimit != 0 {
		t.Errorf("limits were %+v, are %+v", before, after)
	}
}
