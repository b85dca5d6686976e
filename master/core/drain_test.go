package core

import (
	"errors"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

var drainCapabilities = append(agentCapabilities[:len(agentCapabilities):len(agentCapabilities)],
	mesos.AgentInfo_Capability{Type: mesos.AgentInfo_Capability_RESOURCE_PROVIDER}, mesos.AgentInfo_Capability{Type: mesos.AgentInfo_Capability_AGENT_DRAINING})

// drainable registers an agent that can drain.
func (w *world) drainable(text string) *testAgent {
	defer func(before []mesos.AgentInfo_Capability) { agentCapabilities = before }(agentCapabilities)
	agentCapabilities = drainCapabilities
	return w.agent(text)
}

// back re-registers an agent that can drain, and tells of no operations.
func (a *testAgent) back(w *world, f *testScheduler, tasks ...mesos.Task) {
	version := "1.11.0"
	a.w = w
	m := &messages.ReregisterSlaveMessage{Agent: a.info, Version: &version, AgentCapabilities: drainCapabilities, Tasks: tasks}
	if f != nil {
		info := f.w.s.frameworks[f.id].info
		m.Frameworks = []mesos.FrameworkInfo{info}
	}
	a.says(m)
	a.says(&messages.UpdateSlaveMessage{AgentID: *a.info.ID})
}

// drained is a world with an agent that can drain and a task t that runs there.
func drainWorld(t *testing.T, caps ...mesos.FrameworkInfo_Capability_Type) (*world, *testAgent, *testScheduler) {
	w := newWorld(t)
	a := w.drainable("cpus:4;mem:4096")
	f := w.subscribe(checkpointing(named("f", caps...)))
	o := f.offer()
	f.accept(0, o, launch(command("t", o, "cpus:1;mem:32")))
	f.acknowledge(a, "t", a.reports(f, "t", mesos.TASK_RUNNING))
	w.pass(2 * time.Second)
	return w, a, f
}

func (w *world) drain(a *testAgent, markGone bool) Reply {
	config := mesos.DrainConfig{MarkGone: &markGone, MaxGracePeriod: &mesos.DurationInfo{Nanoseconds: 2e9}}
	return w.ask(func(id RequestID) Event { return DrainWanted{Request: id, Agent: a.id, Config: config} })
}

func (w *world) reactivate(a *testAgent) Reply {
	return w.ask(func(id RequestID) Event { return ReactivationWanted{Request: id, Agent: a.id} })
}

func (w *world) markGone(a *testAgent) Reply {
	return w.ask(func(id RequestID) Event { return GoneWanted{Request: id, Agent: a.id} })
}

// standing is how the only agent shows itself: "ACTIVE", "DEACTIVATED", "DRAINING", "DRAINED".
func (w *world) standing() string {
	a := w.s.View().Agents[0]
	switch {
	case a.Drain != nil:
		return a.Drain.State.String()
	case a.Deactivated:
		return "DEACTIVATED"
	case a.Active:
		return "ACTIVE"
	default:
		return "DISCONNECTED"
	}
}

func (w *world) stands(want string) {
	w.t.Helper()
	if got := w.standing(); got != want {
		w.t.Errorf("the agent is %s, not %s", got, want)
	}
}

func TestOP1_30_DrainToTheEnd(t *testing.T) {
	w, a, f := drainWorld(t)
	offered := len(f.offers())
	w.hold = true
	r := w.drain(a, false)
	if r.Status != 0 || lastSent[*messages.DrainSlaveMessage](a) != nil {
		t.Fatal("drained before the registry knew")
	}
	w.written(nil)
	w.hold = false
	expect(t, w.replies[w.request], 200, "")
	if m := lastSent[*messages.DrainSlaveMessage](a); m == nil || m.Config.MaxGracePeriod.Nanoseconds != 2e9 || m.Config.GetMarkGone() {
		t.Fatalf("the agent was told %v", m)
	}
	if n := len(f.of(scheduler.Event_RESCIND)); n != 1 {
		t.Errorf("%d offers rescinded", n)
	}
	w.stands("DRAINING")
	expect(t, w.reactivate(a), 400, "Agent is still in the DRAINING state")
	uuid := a.reports(f, "t", mesos.TASK_KILLED)
	w.stands("DRAINING")
	f.acknowledge(a, "t", uuid)
	w.stands("DRAINED")
	w.pass(10*time.Second, a.pid)
	if len(f.offers()) != offered {
		t.Error("a drained agent was offered")
	}
	expect(t, w.reactivate(a), 200, "")
	w.stands("ACTIVE")
	w.pass(time.Second, a.pid)
	if len(f.offers()) == offered {
		t.Error("a reactivated agent is not offered")
	}
	if len(w.registry.Drains)+len(w.registry.Deactivated) != 0 {
		t.Error("the registry still has the drain")
	}
}

func TestOP1_30_Refusals(t *testing.T) {
	w, a, _ := drainWorld(t)
	old := w.agent("cpus:1;mem:128")
	expect(t, w.drain(&testAgent{id: "nobody"}, false), 400, "Unknown agent")
	expect(t, w.drain(old, false), 400, "Agent "+old.id+" is not capable of draining")
	expect(t, w.reactivate(a), 400, "Agent is not deactivated")
	w.hold = true
	w.markGone(a)
	expect(t, w.drain(a, false), 409, "Agent is currently being marked gone")
	expect(t, w.markGone(a), 503, "Agent '"+a.id+"' is already being transitioned to gone")
	w.written(errors.New("no quorum"))
	w.stands("ACTIVE")
}

func TestOP1_30_IdleAgentDrainsAtOnce(t *testing.T) {
	w := newWorld(t)
	a := w.drainable("cpus:4;mem:4096")
	expect(t, w.drain(a, false), 200, "")
	w.stands("DRAINED")
	w = newWorld(t)
	a = w.drainable("cpus:4;mem:4096")
	expect(t, w.drain(a, true), 200, "")
	if len(w.s.agents) != 0 || len(w.registry.Gone) != 1 || lastSent[*messages.ShutdownMessage](a) == nil {
		t.Error("an idle agent that drains to be gone is still there")
	}
}

func TestOP1_30_DrainOutlivesMasterAndPartition(t *testing.T) {
	w, a, f := drainWorld(t, mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	task := *w.s.frameworks[f.id].tasks["t"].info
	w.drain(a, false)
	next := restart(t, w.registry)
	scheduler2 := &testScheduler{w: next, id: f.id}
	info := checkpointing(named("f"))
	scheduler2.stream = scheduler2.again(info).stream
	a.back(next, scheduler2, task)
	if lastSent[*messages.DrainSlaveMessage](a) == nil {
		t.Fatal("a new master did not tell the agent to drain")
	}
	next.stands("DRAINING")
	if len(scheduler2.offers()) != 0 {
		t.Error("a draining agent was offered by a new master")
	}
	next.pass(76 * time.Second) // no pongs: unreachable
	if len(next.s.agents) != 0 {
		t.Fatal("not unreachable")
	}
	a.back(next, scheduler2, task)
	next.stands("DRAINING")
	scheduler2.acknowledge(a, "t", a.reports(scheduler2, "t", mesos.TASK_KILLED))
	next.stands("DRAINED")
	last := restart(t, next.registry)
	a.back(last, nil)
	last.stands("DRAINED")
	expect(t, last.reactivate(a), 200, "")
	last.stands("ACTIVE")
}

func TestOP1_30_DrainOfAnUnreachableAgent(t *testing.T) {
	w, a, f := drainWorld(t, mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	task := *w.s.frameworks[f.id].tasks["t"].info
	w.pass(76 * time.Second)
	expect(t, w.drain(a, true), 200, "")
	if len(w.s.View().Agents) != 0 {
		t.Fatal("the agent is not unreachable")
	}
	a.back(w, f, task)
	w.stands("DRAINING")
	if m := lastSent[*messages.DrainSlaveMessage](a); m == nil || !m.Config.GetMarkGone() {
		t.Fatalf("%v", m)
	}
	f.acknowledge(a, "t", a.reports(f, "t", mesos.TASK_GONE_BY_OPERATOR))
	if len(w.s.agents) != 0 || len(w.s.gone) != 1 {
		t.Error("drained with mark_gone, but not gone")
	}
	w.forget()
	a.back(w, nil)
	if m := lastSent[*messages.ShutdownMessage](a); m == nil || *m.Message != "Agent has been marked gone" {
		t.Errorf("a gone agent that came back was told %v", m)
	}
}

func TestOP1_30_TeardownLetsAnAgentDrain(t *testing.T) {
	w, a, f := drainWorld(t)
	w.drain(a, false)
	w.ask(func(id RequestID) Event { return TornDown{Request: id, Framework: f.id} })
	w.stands("DRAINED")
}

func TestOP1_30_FailedWriteOfTheEndIsRepeated(t *testing.T) {
	w := newWorld(t)
	a := w.drainable("cpus:4;mem:4096")
	w.hold = true
	w.drain(a, false)
	w.written(nil)
	w.written(errors.New("no quorum"))
	w.hold = false
	w.stands("DRAINING")
	w.pass(16*time.Second, a.pid)
	w.stands("DRAINED")
}

func TestOP1_31_Deactivate(t *testing.T) {
	w, a, f := drainWorld(t)
	deactivate := func() Reply {
		return w.ask(func(id RequestID) Event { return DeactivationWanted{Request: id, Agent: a.id} })
	}
	expect(t, deactivate(), 200, "")
	expect(t, deactivate(), 200, "")
	w.stands("DEACTIVATED")
	if w.s.frameworks[f.id].tasks["t"] == nil || len(w.s.offers) != 0 {
		t.Error("the task ended, or the agent is still offered")
	}
	offered := len(f.offers())
	w.step(AgentExited{PID: a.pid})
	a.back(w, f, *w.s.frameworks[f.id].tasks["t"].info)
	w.pass(5*time.Second, a.pid)
	if len(f.offers()) != offered {
		t.Error("offered again after a reconnection")
	}
	expect(t, w.reactivate(a), 200, "")
	expect(t, w.reactivate(a), 400, "Agent is not deactivated")
	w.stands("ACTIVE")
}

func TestOP1_29_Gone(t *testing.T) {
	for _, aware := range []bool{false, true} {
		caps := []mesos.FrameworkInfo_Capability_Type{}
		state, reason := mesos.TASK_LOST, mesos.REASON_AGENT_REMOVED
		if aware {
			caps = append(caps, mesos.FrameworkInfo_Capability_PARTITION_AWARE)
			state, reason = mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_AGENT_REMOVED_BY_OPERATOR
		}
		w, a, f := drainWorld(t, caps...)
		w.forget()
		expect(t, w.markGone(a), 200, "")
		if s := f.update("t"); s.GetState() != state || s.GetReason() != reason || s.GetMessage() != "Agent has been marked gone" {
			t.Errorf("aware %t: %v", aware, s)
		}
		if len(f.of(scheduler.Event_FAILURE)) != 1 || lastSent[*messages.ShutdownMessage](a) == nil {
			t.Error("framework or agent was not told")
		}
		for _, e := range w.operator {
			if e.AgentRemoved != nil {
				t.Error("0.10: AGENT_REMOVED for an agent that is gone")
			}
		}
		expect(t, w.markGone(a), 200, "") // it can be repeated
		expect(t, w.drain(a, false), 400, "Unknown agent")
	}
}

func TestOP1_29_GoneWhileAway(t *testing.T) {
	w, a, f := drainWorld(t, mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	w.pass(76 * time.Second)
	expect(t, w.markGone(a), 200, "")
	if s := f.update("t"); s.GetState() != mesos.TASK_GONE_BY_OPERATOR {
		t.Errorf("an unreachable task of an agent that is gone: %v", s)
	}
	if v := w.s.View().Frameworks[0]; len(v.Unreachable) != 0 || len(v.Completed) != 1 || v.Completed[0].GetState() != mesos.TASK_GONE_BY_OPERATOR {
		t.Errorf("%d unreachable, %d completed", len(v.Unreachable), len(v.Completed))
	}
	expect(t, w.markGone(&testAgent{id: "nobody"}), 404, "Agent 'nobody' not found")

	w, a, _ = drainWorld(t)
	next := restart(t, w.registry)
	expect(t, next.markGone(a), 200, "")
	if len(next.s.recovered) != 0 || len(next.registry.Gone) != 1 {
		t.Error("a recovered agent was not given up")
	}
	next.pass(11 * time.Minute)
	if len(next.s.unreachable) != 0 {
		t.Error("an agent that is gone became unreachable")
	}
}
