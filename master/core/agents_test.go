package core

import (
	"errors"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func TestREG_AgentIsAdmittedAfterTheRegistryWrite(t *testing.T) {
	w := newWorld(t)
	w.hold = true
	a := w.agent("cpus:4;mem:4096")
	if a.id != "" || len(w.held) != 1 {
		t.Fatalf("admitted before the registry was written; %d writes", len(w.held))
	}
	a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: text("1.11.0")}) // it repeats itself meanwhile
	if len(w.held) != 1 {
		t.Fatalf("%d writes for one agent", len(w.held))
	}
	w.written(nil)
	m := lastSent[*messages.SlaveRegisteredMessage](a)
	if m == nil || m.AgentID.Value != "m-S0" || *m.Connection.TotalPingTimeoutSeconds != 75 {
		t.Fatalf("%v", m)
	}
	if len(w.links) != 1 || lastSent[*messages.PingSlaveMessage](a) == nil {
		t.Error("the agent was not linked and pinged")
	}
	w.forget()
	a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: text("1.11.0")})
	if m := lastSent[*messages.SlaveRegisteredMessage](a); m == nil || m.AgentID.Value != "m-S0" || len(w.held) != 0 {
		t.Errorf("a repeated registration: %v", m)
	}
}

func TestREG_FailedRegistryWriteAdmitsNobody(t *testing.T) {
	w := newWorld(t)
	w.hold = true
	a := w.agent("cpus:4;mem:4096")
	w.written(errors.New("disk full"))
	if len(w.s.agents) != 0 || len(w.s.busyPID) != 0 {
		t.Fatal("admitted although the registry could not be written")
	}
	a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: text("1.11.0")})
	w.written(nil)
	if len(w.s.agents) != 1 {
		t.Error("not admitted at the next attempt")
	}
}

func TestREG_VersionGate(t *testing.T) {
	for version, ok := range map[string]bool{"1.0.0": true, "1.11.0": true, "2.0.0-dev": true, "0.28.2": false, "new": false, "": false} {
		w := newWorld(t)
		a := &testAgent{w: w, pid: "slave(1)@127.0.0.1:1", info: mesos.AgentInfo{Hostname: "h"}}
		a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: &version})
		if (len(w.s.agents) == 1) != ok {
			t.Errorf("version %q: admitted %t", version, !ok)
		}
	}
}

// running is a world with one agent and a task that runs on it.
func running(t *testing.T, info mesos.FrameworkInfo) (*world, *testAgent, *testScheduler) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(info)
	o := f.offer()
	f.accept(0, o, launch(command("t", o, "cpus:1;mem:32")))
	f.acknowledge(a, "t", a.reports(f, "t", mesos.TASK_RUNNING))
	return w, a, f
}

func checkpointing(info mesos.FrameworkInfo) mesos.FrameworkInfo {
	yes := true
	info.Checkpoint = &yes
	return info
}

func TestUPD_UpdateForwardedAndAcknowledged(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	o := f.offer()
	f.accept(0, o, launch(command("t", o, "cpus:1;mem:32")))
	uuid := a.reports(f, "t", mesos.TASK_RUNNING)
	if s := f.update("t"); s.GetState() != mesos.TASK_RUNNING || string(s.UUID) != string(uuid) || s.AgentID.Value != a.id {
		t.Fatalf("forwarded %v", s)
	}
	f.acknowledge(a, "t", uuid)
	if m := lastSent[*messages.StatusUpdateAcknowledgementMessage](a); m == nil || string(m.UUID) != string(uuid) {
		t.Fatalf("acknowledged %v", m)
	}
	uuid = a.reports(f, "t", mesos.TASK_FINISHED)
	if used := w.s.View().Agents[0].Used; !used.IsZero() {
		t.Errorf("UPD-03: %s still in use although the task has ended", used)
	}
	if len(w.s.frameworks[f.id].tasks) != 1 {
		t.Error("the task is forgotten before its end is acknowledged")
	}
	f.acknowledge(a, "t", uuid)
	v := w.s.View().Frameworks[0]
	if len(v.Tasks) != 0 || len(v.Completed) != 1 {
		t.Errorf("UPD-05: %d tasks, %d completed", len(v.Tasks), len(v.Completed))
	}
}

func TestLOSS_MissedPings(t *testing.T) {
	for _, aware := range []bool{false, true} {
		info, want := checkpointing(named("f")), mesos.TASK_LOST
		if aware {
			info, want = checkpointing(named("f", mesos.FrameworkInfo_Capability_PARTITION_AWARE)), mesos.TASK_UNREACHABLE
		}
		w, a, f := running(t, info)
		w.pass(74 * time.Second)
		if w.s.agents[a.id] == nil {
			t.Fatal("lost before 75 s without an answer")
		}
		w.pass(2 * time.Second)
		if w.s.agents[a.id] != nil || w.registry.Unreachable[a.id].IsZero() {
			t.Fatal("not lost after 75 s without an answer")
		}
		s := f.update("t")
		if s.GetState() != want || s.GetReason() != mesos.REASON_AGENT_REMOVED || s.UnreachableTime == nil || s.UUID != nil {
			t.Errorf("partition aware %t: %v", aware, s)
		}
		if failures := f.of(scheduler.Event_FAILURE); len(failures) != 1 || failures[0].Failure.AgentID.Value != a.id {
			t.Errorf("EV-03: %v", failures)
		}
		if n := len(w.s.View().Frameworks[0].Unreachable); aware && n != 1 {
			t.Errorf("%d unreachable tasks", n)
		}
		f.call(scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{Tasks: []scheduler.Call_Reconcile_Task{{TaskID: mesos.TaskID{Value: "t"}, AgentID: a.info.ID}}}})
		if s := f.update("t"); s.GetState() != want || s.GetReason() != mesos.REASON_RECONCILIATION {
			t.Errorf("REC-05: %v", s)
		}
		// It comes back, with the task.
		state := mesos.TASK_RUNNING
		fi := info
		fi.ID = &mesos.FrameworkID{Value: f.id}
		a.reregister(w, []mesos.FrameworkInfo{fi}, mesos.Task{TaskID: mesos.TaskID{Value: "t"}, FrameworkID: *fi.ID, AgentID: *a.info.ID, State: &state, Resources: allocatedTo("*", "cpus:1;mem:32")})
		if s := f.update("t"); s.GetState() != mesos.TASK_RUNNING || s.GetReason() != mesos.REASON_AGENT_REREGISTERED {
			t.Errorf("after the return: %v", s)
		}
		if _, lost := w.registry.Unreachable[a.id]; lost || w.s.agents[a.id] == nil {
			t.Error("still counted as unreachable")
		}
		if n := len(w.s.View().Frameworks[0].Unreachable); n != 0 {
			t.Errorf("%d tasks still unreachable", n)
		}
	}
}

func allocatedTo(role, list string) []mesos.Resource { return normal(resources(list), role) }

func TestLOSS_LinkBreaks(t *testing.T) {
	// Without checkpoint the tasks are lost at once, with it they wait.
	w, a, f := running(t, named("f"))
	w.step(AgentExited{PID: a.pid})
	if s := f.update("t"); s.GetState() != mesos.TASK_LOST || s.GetReason() != mesos.REASON_AGENT_DISCONNECTED {
		t.Errorf("without checkpoint: %v", s)
	}
	w, a, f = running(t, checkpointing(named("f")))
	held := f.offer()
	w.step(AgentExited{PID: a.pid})
	if s := f.update("t"); s.GetState() != mesos.TASK_RUNNING {
		t.Errorf("with checkpoint: %v", s)
	}
	if w.s.offers[held.ID.Value] != nil || len(f.of(scheduler.Event_RESCIND)) == 0 {
		t.Error("OFF-07: the offer of the disconnected agent was not rescinded")
	}
	f.call(scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "t"}}})
	w.pass(60*time.Second, a.pid)
	if m := lastSent[*messages.PingSlaveMessage](a); m == nil || m.Connected {
		t.Errorf("pings must tell the agent that it is held for disconnected: %v", m)
	}
	fi := checkpointing(named("f"))
	fi.ID = &mesos.FrameworkID{Value: f.id}
	state := mesos.TASK_RUNNING
	a.reregister(w, []mesos.FrameworkInfo{fi}, mesos.Task{TaskID: mesos.TaskID{Value: "t"}, FrameworkID: *fi.ID, AgentID: *a.info.ID, State: &state, Resources: allocatedTo("*", "cpus:1;mem:32")})
	if m := lastSent[*messages.KillTaskMessage](a); m == nil || m.TaskID.Value != "t" {
		t.Errorf("KIL-04: the kill was not passed on: %v", m)
	}
	w.pass(11*time.Minute, a.pid)
	if w.s.agents[a.id] == nil {
		t.Error("lost although it came back in time")
	}
	w.step(AgentExited{PID: a.pid})
	w.pass(11*time.Minute, a.pid)
	if w.s.agents[a.id] != nil {
		t.Error("not lost after agent_reregister_timeout")
	}
}

func TestREG_MissingTasksAreAskedFor(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f")))
	w.step(AgentExited{PID: a.pid})
	a.reregister(w, nil)
	m := lastSent[*messages.SlaveReregisteredMessage](a)
	if m == nil || len(m.Reconciliations) != 1 || m.Reconciliations[0].Statuses[0].TaskID.Value != "t" || m.Reconciliations[0].Framework.ID.Value != f.id {
		t.Fatalf("%v", m)
	}
}

func TestUnregister(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f", mesos.FrameworkInfo_Capability_PARTITION_AWARE)))
	a.says(&messages.UnregisterSlaveMessage{AgentID: *a.info.ID})
	if s := f.update("t"); s.GetState() != mesos.TASK_LOST || s.GetReason() != mesos.REASON_AGENT_REMOVED {
		t.Errorf("%v", s)
	}
	if len(w.registry.Admitted) != 0 || len(w.s.agents) != 0 {
		t.Error("the agent is still there")
	}
}

func TestFAILOVER_StateIsRebuiltFromAgents(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f")))
	next := restart(t, w.registry)
	// The scheduler is back first: nobody knows yet whether its task lives (REC-03).
	info := checkpointing(named("f"))
	g := &testScheduler{w: next, id: f.id}
	g = g.again(info)
	if g.id != f.id {
		t.Fatalf("0.3: a framework with an unknown id came back as %q", g.id)
	}
	g.call(scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{Tasks: []scheduler.Call_Reconcile_Task{{TaskID: mesos.TaskID{Value: "t"}, AgentID: a.info.ID}, {TaskID: mesos.TaskID{Value: "unknown"}}}}})
	if s := g.update("t"); s != nil {
		t.Errorf("REC-03: answered %v while the agent is recovering", s)
	}
	info.ID = &mesos.FrameworkID{Value: f.id}
	state := mesos.TASK_RUNNING
	a.reregister(next, []mesos.FrameworkInfo{info}, mesos.Task{TaskID: mesos.TaskID{Value: "t"}, FrameworkID: *info.ID, AgentID: *a.info.ID, State: &state, Resources: allocatedTo("*", "cpus:1;mem:32")})
	if len(next.held) != 0 || next.s.agents[a.id] == nil {
		t.Fatal("0.2: the agent did not keep its id")
	}
	g.call(scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{}})
	if s := g.update("t"); s.GetState() != mesos.TASK_RUNNING || s.GetReason() != mesos.REASON_RECONCILIATION {
		t.Errorf("%v", s)
	}
	if free := g.offer(); scalar(free.Resources, "cpus") != 3 {
		t.Errorf("offered %v although 1 cpu is in use", free.Resources)
	}
	if m := lastSent[*messages.UpdateFrameworkMessage](a); m == nil || m.FrameworkID.Value != f.id {
		t.Error("the agent was not told about the framework")
	}
}

func TestFAILOVER_UnknownAgentIsLetIn(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f")))
	_ = w
	next := newWorld(t) // an empty registry
	info := checkpointing(named("f"))
	info.ID = &mesos.FrameworkID{Value: f.id}
	state := mesos.TASK_RUNNING
	a.reregister(next, []mesos.FrameworkInfo{info}, mesos.Task{TaskID: mesos.TaskID{Value: "t"}, FrameworkID: *info.ID, AgentID: *a.info.ID, State: &state, Resources: resources("cpus:1;mem:32")})
	if next.s.agents[a.id] == nil || next.registry.Admitted[a.id].Hostname == "" {
		t.Fatal("not let in")
	}
	g := next.s.frameworks[f.id]
	if g == nil || !g.recovered || g.connected || len(g.tasks) != 1 {
		t.Fatalf("SUB-13: the framework was not recovered: %+v", g)
	}
}

func TestFAILOVER_AgentsThatNeverComeBack(t *testing.T) {
	w, a, _ := running(t, checkpointing(named("f")))
	next := restart(t, w.registry)
	next.pass(11 * time.Minute)
	if next.registry.Unreachable[a.id].IsZero() {
		t.Error("an agent that never came back is not counted as unreachable")
	}
}

func TestREC_UnknownTasks(t *testing.T) {
	for _, aware := range []bool{false, true} {
		var caps []mesos.FrameworkInfo_Capability_Type
		gone, unknown := mesos.TASK_LOST, mesos.TASK_LOST
		if aware {
			caps, gone, unknown = append(caps, mesos.FrameworkInfo_Capability_PARTITION_AWARE), mesos.TASK_GONE, mesos.TASK_UNKNOWN
		}
		w := newWorld(t)
		a := w.agent("cpus:4;mem:4096")
		f := w.subscribe(named("f", caps...))
		f.call(scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{Tasks: []scheduler.Call_Reconcile_Task{
			{TaskID: mesos.TaskID{Value: "here"}, AgentID: a.info.ID}, {TaskID: mesos.TaskID{Value: "there"}, AgentID: &mesos.AgentID{Value: "other"}}, {TaskID: mesos.TaskID{Value: "nowhere"}},
		}}})
		for id, want := range map[string]mesos.TaskState{"here": gone, "there": unknown, "nowhere": unknown} {
			if s := f.update(id); s.GetState() != want {
				t.Errorf("task %s, partition aware %t: %v", id, aware, s)
			}
		}
		f.call(scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "KIL-03"}}})
		if s := f.update("KIL-03"); s.GetState() != unknown {
			t.Errorf("KIL-03: %v", s)
		}
	}
}

func TestWeights(t *testing.T) {
	w := newWorld(t)
	set := func(role string, weight float64) Reply {
		w.request++
		w.step(WeightsUpdated{Request: w.request, Weights: []mesos.WeightInfo{{Role: &role, Weight: weight}}})
		return w.replies[w.request]
	}
	if r := set("prod", 2); r.Status != 200 || w.registry.Weights["prod"] != 2 || w.s.weights["prod"] != 2 {
		t.Errorf("%v, registry %v", r, w.registry.Weights)
	}
	for _, r := range []Reply{set("prod", 0), set("prod", -1), set("a//b", 1)} {
		if r.Status != 400 || r.Text == "" {
			t.Errorf("%v", r)
		}
	}
	w.hold = true
	w.request++
	role := "prod"
	w.step(WeightsUpdated{Request: w.request, Weights: []mesos.WeightInfo{{Role: &role, Weight: 3}}})
	w.written(errors.New("disk full"))
	if r := w.replies[w.request]; r.Status != 503 || w.s.weights["prod"] != 2 {
		t.Errorf("%v, weight %g", r, w.s.weights["prod"])
	}
}

func text(s string) *string { return &s }

func TestLOSS_TaskCalledLostAtADisconnectIsToldOfWhenItIsStillThere(t *testing.T) {
	w, a, f := running(t, named("f"))
	tasks := []mesos.Task{*w.s.frameworks[f.id].tasks["t"].info}
	w.step(AgentExited{PID: a.pid})
	if st := f.update("t"); st.GetState() != mesos.TASK_LOST {
		t.Fatalf("the framework does not checkpoint; got %v", st)
	}
	w.forget()
	info := w.s.frameworks[f.id].info
	a.reregister(w, []mesos.FrameworkInfo{info}, tasks...)
	if st := f.update("t"); st.GetState() != mesos.TASK_RUNNING || st.GetReason() != mesos.REASON_AGENT_REREGISTERED {
		t.Errorf("the framework thinks that its task is lost while it runs; got %v", st)
	}
}

func TestLOSS_AgentThatVanishesWhileTheRegistryFailsIsCountedAsLost(t *testing.T) {
	reg := NewRegistry()
	info := mesos.AgentInfo{ID: &mesos.AgentID{Value: "a1"}, Hostname: "h", Resources: resources("cpus:4;mem:1024")}
	reg.Admitted["a1"] = info
	w := restart(t, reg)
	w.pass(w.s.cfg.AgentReregisterTimeout - time.Second)
	w.hold = true
	a := &testAgent{w: w, pid: "slave(1)@127.0.0.1:5051", info: info}
	a.info.Resources = resources("cpus:8;mem:1024") // so that the registry has to be written
	a.reregister(w, nil)
	w.pass(2 * time.Second)
	w.hold = false
	w.written(errors.New("no quorum")) // and the agent does not try again: its machine is gone
	w.pass(time.Minute)
	if _, there := w.s.unreachable["a1"]; !there {
		t.Error("the agent is neither here nor unreachable; reconciliation stays silent about its tasks for ever")
	}
}

func TestLOSS_SilentAgentIsCountedAsLostThoughAChangeOfItFails(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:1024")
	w.pass(74 * time.Second)
	w.hold = true
	a.info.Resources = resources("cpus:8;mem:1024")
	a.reregister(w, nil)
	w.pass(2 * time.Second) // the fifth ping is missed while the registry is written
	w.hold = false
	w.written(errors.New("no quorum"))
	w.pass(2 * time.Minute)
	if _, there := w.s.unreachable[a.id]; !there {
		t.Error("nobody looks after the agent any more")
	}
}

func TestOFF09_LongRefusalsLeaveNoTimers(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:1024")
	f := w.subscribe(named("f"))
	for range 200 {
		o := f.offer()
		w.forget()
		f.decline(365*24*3600, o)
		f.call(scheduler.Call{Type: scheduler.Call_REVIVE})
	}
	if n := len(w.s.timers.heap); n > 10 {
		t.Errorf("%d timers wait after 200 refusals of one offer", n)
	}
}
