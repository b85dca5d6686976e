package core

import (
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func TestTG03_AGroupIsDeliveredAtOnce(t *testing.T) {
	r := registeredRig(t)
	r.from(group("x", "g1", "g2"))
	expect(t, "told", told(r.subscribe("f", "x")), "SUBSCRIBED", "LAUNCH_GROUP")
	var g *api.Event_LaunchGroup
	for _, x := range all[Tell](r.effects) {
		if x.Event.LaunchGroup != nil {
			g = x.Event.LaunchGroup
		}
	}
	if len(g.TaskGroup.Tasks) != 2 {
		t.Errorf("%d tasks in the group", len(g.TaskGroup.Tasks))
	}
}

func TestKIL05_AQueuedTaskTakesItsGroupWithIt(t *testing.T) {
	r := registeredRig(t)
	r.from(group("x", "g1", "g2"))
	container := one[StartContainer](t, r.effects).Container
	r.from(&messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f"}, TaskID: mesos.TaskID{Value: "g2"}})
	expect(t, "updates", updates(r.effects), "g1 KILLED", "g2 KILLED")
	for _, m := range sent[*messages.StatusUpdateMessage](r.effects) {
		if m.Update.Status.GetReason() != mesos.REASON_TASK_KILLED_DURING_LAUNCH {
			t.Errorf("reason is %v", m.Update.Status.GetReason())
		}
	}
	if one[DestroyContainer](t, r.effects).Container != container {
		t.Error("the idle executor is not ended")
	}
}

func TestKIL01_KillGoesToTheExecutor(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.from(&messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f"}, TaskID: mesos.TaskID{Value: "t"},
		KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: 5}}})
	if x := one[Tell](t, r.effects); x.Event.Kill.KillPolicy.GracePeriod.Nanoseconds != 5 {
		t.Errorf("kill is %+v", x.Event)
	}
}

func TestLCH03_LaunchExecutorFalse(t *testing.T) {
	r := registeredRig(t)
	no := false
	m := group("x", "g1")
	m.LaunchExecutor = &no
	m.Framework = frameworkInfo(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	r.from(m)
	expect(t, "updates", updates(r.effects), "g1 DROPPED")
	if got := sent[*messages.StatusUpdateMessage](r.effects)[0].Update.Status.GetReason(); got != mesos.REASON_EXECUTOR_TERMINATED {
		t.Errorf("reason is %v", got)
	}
}

func TestLCH01_ResourcesChangedSinceTheOffer(t *testing.T) {
	r := registeredRig(t)
	m := run("t")
	m.ResourceVersionUUIDs = []messages.ResourceVersionUUID{{UUID: mesos.UUID{Value: id(7)}}}
	r.from(m)
	expect(t, "updates", updates(r.effects), "t LOST")
	m = run("t2")
	m.ResourceVersionUUIDs = []messages.ResourceVersionUUID{{UUID: mesos.UUID{Value: r.s.resourceVersion}}}
	r.from(m)
	one[StartContainer](t, r.effects)
}

func TestUnsupportedIsRefusedByName(t *testing.T) {
	docker, secret, name := mesos.ContainerInfo_DOCKER, mesos.Environment_Variable_SECRET, "net"
	for want, change := range map[string]func(*messages.RunTaskMessage){
		"DOCKER": func(m *messages.RunTaskMessage) { m.Task.Container = &mesos.ContainerInfo{Type: &docker} },
		"volumes": func(m *messages.RunTaskMessage) {
			m.Task.Container = &mesos.ContainerInfo{Volumes: make([]mesos.Volume, 1)}
		},
		"network": func(m *messages.RunTaskMessage) {
			m.Task.Container = &mesos.ContainerInfo{NetworkInfos: []mesos.NetworkInfo{{Name: &name}}}
		},
		"secret": func(m *messages.RunTaskMessage) {
			m.Task.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "X", Type: &secret}}}
		},
	} {
		r := registeredRig(t)
		m := run("t")
		change(m)
		r.from(m)
		expect(t, want, updates(r.effects), "t FAILED")
		status := sent[*messages.StatusUpdateMessage](r.effects)[0].Update.Status
		if !strings.Contains(status.GetMessage(), want) || status.GetReason() != mesos.REASON_CONTAINER_LAUNCH_FAILED {
			t.Errorf("%s: %v %q", want, status.GetReason(), status.GetMessage())
		}
	}
}

func TestTV01_IdsThatLeaveTheirDirectory(t *testing.T) {
	for _, bad := range []string{"", ".", "..", "a/b", `a\b`, "a\x00b", strings.Repeat("x", 256)} {
		r := registeredRig(t)
		if r.from(run(bad)); len(all[StartContainer](r.effects)) > 0 {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestEXE07_RegistrationTimeout(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	container := one[StartContainer](t, r.effects).Container
	r.do(ContainerStarted{Container: container, PID: 7})
	one[DestroyContainer](t, r.pass(61*time.Second))
	r.do(ContainerExited{Container: container})
	expect(t, "updates", updates(r.effects), "t FAILED")
	if got := sent[*messages.StatusUpdateMessage](r.effects)[0].Update.Status.GetReason(); got != mesos.REASON_EXECUTOR_REGISTRATION_TIMEOUT {
		t.Errorf("reason is %v", got)
	}
}

// An executor whose stream broke may be back before the agent has noticed the break.
func TestEXE06_ANewStreamReplacesTheOldOne(t *testing.T) {
	r := registeredRig(t)
	r.from(group("x", "g1"))
	r.subscribe("f", "x")
	expect(t, "told", told(r.subscribe("f", "x")), "SUBSCRIBED")
	if one[Tell](t, r.effects).Conn != 2 || one[Hangup](t, r.effects).Conn != 1 {
		t.Error("the wrong stream is closed")
	}
	r.do(ExecutorDisconnected{Conn: 1})
	r.from(&messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f"}, TaskID: mesos.TaskID{Value: "g2"}})
	r.from(group("x", "g3"))
	if one[Tell](t, r.effects).Conn != 2 {
		t.Error("the late end of the old stream took the new one with it")
	}
}

func TestKIL01_AKillOutlivesABrokenStream(t *testing.T) {
	kill := &messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f"}, TaskID: mesos.TaskID{Value: "t"}}
	again := func(r *rig) []Effect {
		r.conn++
		return r.do(ExecutorSubscribed{Framework: "f", Executor: "t", Conn: r.conn, Tasks: []mesos.TaskInfo{taskInfo("t")}})
	}
	for name, meanwhile := range map[string]bool{"told into the broken stream": false, "while there is no stream": true} {
		t.Run(name, func(t *testing.T) {
			r := registeredRig(t)
			r.from(run("t"))
			r.subscribe("f", "t")
			r.update("t", mesos.TASK_RUNNING, 1)
			if meanwhile {
				r.do(ExecutorDisconnected{Conn: 1})
				expect(t, "told", told(r.from(kill)))
			} else {
				expect(t, "told", told(r.from(kill)), "KILL")
				r.do(ExecutorDisconnected{Conn: 1})
			}
			expect(t, "told", told(again(r)), "SUBSCRIBED", "KILL")
			r.update("t", mesos.TASK_KILLING, 2)
			r.do(ExecutorDisconnected{Conn: 2})
			expect(t, "told once it is under way", told(again(r)), "SUBSCRIBED")
		})
	}
}

// Nobody acknowledges the updates of a framework that is gone.
func TestShutdownFramework_UpdatesOfTasksThatNeverGotHere(t *testing.T) {
	r := registeredRig(t)
	no := false
	order := run("t")
	order.LaunchExecutor = &no
	expect(t, "updates", updates(r.from(order)), "t LOST")
	r.from(&messages.ShutdownFrameworkMessage{FrameworkID: mesos.FrameworkID{Value: "f"}})
	expect(t, "repeats", updates(r.pass(time.Hour)))
}

func TestUPD01_TheEndIsNeverDroppedFromAFullStream(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	source, running := mesos.SOURCE_EXECUTOR, mesos.TASK_RUNNING
	for i := range maxStreamLength + 1 {
		uuid := id(1)
		uuid[1], uuid[2] = byte(i), byte(i>>8)
		r.do(ExecutorUpdate{Framework: "f", Executor: "t", Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t"}, State: &running, Source: &source, UUID: uuid}})
	}
	r.update("t", mesos.TASK_FINISHED, 2)
	st := r.s.streams[taskKey{"f", "t"}]
	if last := st.pending[len(st.pending)-1]; last.Status.GetState() != mesos.TASK_FINISHED {
		t.Errorf("the last update is %v", last.Status.GetState())
	}
}

func TestCompletedFrameworkComesBackWithItsPast(t *testing.T) {
	r := registeredRig(t)
	for _, name := range []string{"a", "b"} {
		r.from(run(name))
		r.subscribe("f", name)
		r.do(ContainerExited{Container: r.s.frameworks["f"].executors[name].container})
		r.ack(name, sent[*messages.StatusUpdateMessage](r.effects)[0].Update.UUID)
	}
	v := r.s.View()
	if len(v.Completed) != 1 || len(v.Completed[0].Completed) != 2 {
		t.Errorf("completed: %+v", v.Completed)
	}
}

func TestEXE10_ShutdownGrace(t *testing.T) {
	r := registeredRig(t)
	r.from(group("x", "g1"))
	r.subscribe("f", "x")
	r.from(&messages.ShutdownExecutorMessage{FrameworkID: &mesos.FrameworkID{Value: "f"}, ExecutorID: &mesos.ExecutorID{Value: "x"}})
	expect(t, "told", told(r.effects), "SHUTDOWN")
	if r.pass(4 * time.Second); len(all[DestroyContainer](r.effects)) > 0 {
		t.Error("destroyed within the grace period")
	}
	one[DestroyContainer](t, r.pass(2*time.Second))
}

func TestEXE11_ExecutorsEndIsEveryTasksEnd(t *testing.T) {
	r := registeredRig(t)
	r.from(group("x", "g1", "g2"))
	container := one[StartContainer](t, r.effects).Container
	r.subscribe("f", "x")
	status := 768
	r.do(ContainerExited{Container: container, Status: &status})
	expect(t, "updates", updates(r.effects), "g1 FAILED", "g2 FAILED")
	if m := sent[*messages.ExitedExecutorMessage](r.effects); len(m) != 1 || m[0].Status != 768 {
		t.Errorf("exited executors: %+v", m)
	}
}

func TestLCH02_MemoryLimit(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	container := one[StartContainer](t, r.effects).Container
	r.subscribe("f", "t")
	source, failed := mesos.SOURCE_EXECUTOR, mesos.TASK_FAILED
	r.do(ExecutorUpdate{Framework: "f", Executor: "t", OOM: &OOM{Limit: 132 << 20, Usage: 132 << 20}, Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: "t"}, State: &failed, Source: &source, UUID: id(1)}})
	if got := sent[*messages.StatusUpdateMessage](r.effects)[0].Update.Status; got.GetReason() != mesos.REASON_CONTAINER_LIMITATION_MEMORY || got.Limitation == nil {
		t.Errorf("status is %+v", got)
	}
	r.do(ContainerExited{Container: container, OOM: &OOM{Limit: 132 << 20}})
	expect(t, "no second end", updates(r.effects))
}

func TestShutdownFramework(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	container := one[StartContainer](t, r.effects).Container
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_RUNNING, 1)
	r.from(&messages.ShutdownFrameworkMessage{FrameworkID: mesos.FrameworkID{Value: "f"}})
	expect(t, "told", told(r.effects), "SHUTDOWN")
	r.update("t", mesos.TASK_KILLED, 2)
	expect(t, "updates of a removed framework", updates(r.effects))
	r.from(run("late"))
	expect(t, "late order", updates(r.effects), "late LOST")
	r.do(ContainerExited{Container: container})
	if len(r.s.frameworks) != 0 {
		t.Error("the framework is still here")
	}
}

func TestShutdownMessageEndsTheAgentAfterItsExecutors(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	container := one[StartContainer](t, r.effects).Container
	r.subscribe("f", "t")
	r.from(&messages.ShutdownMessage{})
	if len(all[Exit](r.effects)) > 0 {
		t.Fatal("the agent ends before its executors")
	}
	r.do(ContainerExited{Container: container})
	if x := one[Exit](t, r.effects); !x.Forget {
		t.Error("the next start must be a new agent")
	}
}

func TestReconcile_TasksTheAgentDoesNotHave(t *testing.T) {
	r := registeredRig(t)
	r.from(run("here"))
	r.do(MasterExited{PID: master})
	r.pass(2 * time.Second)
	f := frameworkInfo(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}, Reconciliations: []messages.ReconcileTasksMessage{{
		FrameworkID: mesos.FrameworkID{Value: "f"}, Framework: &f,
		Statuses: []mesos.TaskStatus{{TaskID: mesos.TaskID{Value: "here"}}, {TaskID: mesos.TaskID{Value: "gone"}}},
	}}})
	expect(t, "updates", updates(r.effects), "gone DROPPED")
}
