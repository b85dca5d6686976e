package core

import (
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func machine(hostname, ip string) mesos.MachineID {
	var id mesos.MachineID
	if hostname != "" {
		id.Hostname = &hostname
	}
	if ip != "" {
		id.IP = &ip
	}
	return id
}

func window(start int64, machines ...mesos.MachineID) maintenance.Window {
	return maintenance.Window{MachineIDs: machines, Unavailability: mesos.Unavailability{
		Start: mesos.TimeInfo{Nanoseconds: start}, Duration: &mesos.DurationInfo{Nanoseconds: 3600e9},
	}}
}

func (w *world) schedule(windows ...maintenance.Window) Reply {
	return w.ask(func(id RequestID) Event { return ScheduleWanted{Request: id, Windows: windows} })
}

func (w *world) goDown(machines ...mesos.MachineID) Reply {
	return w.ask(func(id RequestID) Event { return MachinesDownWanted{Request: id, Machines: machines} })
}

func (w *world) goUp(machines ...mesos.MachineID) Reply {
	return w.ask(func(id RequestID) Event { return MachinesUpWanted{Request: id, Machines: machines} })
}

// its is the machine of a test's agent.
func its(a *testAgent) mesos.MachineID { return machine(a.info.Hostname, upidIP(a.pid)) }

// inverse returns all inverse offers that came.
func (f *testScheduler) inverse() []mesos.InverseOffer {
	var list []mesos.InverseOffer
	for _, e := range f.of(scheduler.Event_INVERSE_OFFERS) {
		list = append(list, e.InverseOffers.InverseOffers...)
	}
	return list
}

func (f *testScheduler) answerInverse(accept bool, refuse float64, o mesos.InverseOffer) {
	filters := &mesos.Filters{RefuseSeconds: &refuse}
	if accept {
		f.call(scheduler.Call{Type: scheduler.Call_ACCEPT_INVERSE_OFFERS, AcceptInverseOffers: &scheduler.Call_AcceptInverseOffers{InverseOfferIDs: []mesos.OfferID{o.OfferID}, Filters: filters}})
	} else {
		f.call(scheduler.Call{Type: scheduler.Call_DECLINE_INVERSE_OFFERS, DeclineInverseOffers: &scheduler.Call_DeclineInverseOffers{InverseOfferIDs: []mesos.OfferID{o.OfferID}, Filters: filters}})
	}
}

func TestOP1_23_RefusedSchedules(t *testing.T) {
	w := newWorld(t)
	negative := window(1, machine("a", ""))
	negative.Unavailability.Duration.Nanoseconds = -1
	for _, c := range []struct {
		windows []maintenance.Window
		text    string
	}{
		{[]maintenance.Window{window(1)}, "List of machines in the maintenance window is empty"},
		{[]maintenance.Window{window(1, machine("", ""))}, "Both 'hostname' and 'ip' for a machine are empty"},
		{[]maintenance.Window{window(1, machine("a", ""), machine("A", ""))}, `Machine '{"hostname":"A"}' appears more than once in the schedule`},
		{[]maintenance.Window{window(1, machine("a", "")), window(2, machine("a", ""))}, `Machine '{"hostname":"a"}' appears more than once in the schedule`},
		{[]maintenance.Window{window(1, machine("", "not-an-ip"))}, "Failed to parse IPv4: not-an-ip"},
		{[]maintenance.Window{negative}, "Unavailability 'duration' is negative"},
	} {
		expect(t, w.schedule(c.windows...), 400, c.text)
	}
	expect(t, w.schedule(window(1, machine("UPPER", ""))), 200, "")
	if v := w.s.View(); v.Schedule[0].MachineIDs[0].GetHostname() != "UPPER" || len(v.Maintenance.DrainingMachines) != 1 {
		t.Errorf("%v", v.Maintenance)
	}
	expect(t, w.schedule(), 200, "")
	if v := w.s.View(); len(v.Schedule)+len(v.Maintenance.DrainingMachines) != 0 {
		t.Error("an empty schedule leaves something")
	}
}

func TestOP1_24_DownAndUp(t *testing.T) {
	w, a, f := drainWorld(t)
	m := its(a)
	expect(t, w.goDown(), 400, "List of machines is empty")
	expect(t, w.goDown(machine("none", "")), 400, `Machine '{"hostname":"none"}' is not part of a maintenance schedule`)
	expect(t, w.goDown(m), 400, `Machine '{"hostname":"host1","ip":"127.0.0.1"}' is not in DRAINING mode and cannot be brought down`)
	expect(t, w.schedule(window(1, m)), 200, "")
	expect(t, w.goUp(m), 400, `Machine '{"hostname":"host1","ip":"127.0.0.1"}' is not in DOWN mode and cannot be brought up`)
	w.forget()
	expect(t, w.goDown(m), 200, "")
	if s := f.update("t"); s.GetState() != mesos.TASK_LOST || s.GetMessage() != "Agent host1 removed: Operator initiated 'Machine DOWN'" {
		t.Errorf("the task of a machine that went down: %v", s)
	}
	if m := lastSent[*messages.ShutdownMessage](a); m == nil || *m.Message != "Operator initiated 'Machine DOWN'" {
		t.Errorf("its agent was told %v", m)
	}
	removed := 0
	for _, e := range w.operator {
		if e.AgentRemoved != nil {
			removed++
		}
	}
	if len(w.s.agents) != 0 || removed != 1 {
		t.Errorf("%d agents left, %d removed", len(w.s.agents), removed)
	}
	expect(t, w.schedule(), 400, `Machine '{"hostname":"host1","ip":"127.0.0.1"}' is deactivated and cannot be removed from the schedule`)
	w.forget()
	a.says(&messages.RegisterSlaveMessage{Agent: mesos.AgentInfo{Hostname: "HOST1"}, Version: text("1.11.0")})
	if m := lastSent[*messages.ShutdownMessage](a); m == nil || *m.Message != "Machine is `DOWN`" || len(w.s.agents) != 0 {
		t.Errorf("an agent of a machine that is down was told %v", m)
	}
	next := restart(t, w.registry)
	a.back(next, nil)
	if m := lastSent[*messages.ShutdownMessage](a); m == nil || len(next.s.agents) != 0 {
		t.Errorf("a new master let it in: %v", m)
	}
	expect(t, next.goUp(m), 200, "")
	if v := next.s.View(); len(v.Schedule)+len(v.Maintenance.DownMachines) != 0 {
		t.Error("a machine that is up is still in the schedule")
	}
	a.back(next, nil)
	if len(next.s.agents) != 1 {
		t.Error("its agent is not let in again")
	}
}

func TestOP1_30_NoDrainOfScheduledMachines(t *testing.T) {
	w, a, _ := drainWorld(t)
	w.schedule(window(1, its(a)))
	expect(t, w.drain(a, false), 400, "Agent "+a.id+" is part of a maintenance schedule under Machine host1 (127.0.0.1)")
}

func TestINV05_OffersSayWhen(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	if f.offer().Unavailability != nil {
		t.Error("unavailable without maintenance")
	}
	w.schedule(window(5, its(a)))
	w.pass(time.Second, a.pid)
	if len(f.of(scheduler.Event_RESCIND)) != 1 || f.offer().Unavailability.GetStart().Nanoseconds != 5 {
		t.Errorf("offer %v", f.offer())
	}
	w.schedule()
	w.pass(time.Second, a.pid)
	if f.offer().Unavailability != nil {
		t.Error("still unavailable")
	}
}

// asked is a framework with a task on a machine whose maintenance is scheduled.
func asked(t *testing.T, change ...func(*Config)) (*world, *testAgent, *testScheduler) {
	w := newWorld(t, change...)
	a := w.drainable("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	o := f.offer()
	f.accept(3600, o, launch(command("t", o, "cpus:1;mem:32")))
	f.acknowledge(a, "t", a.reports(f, "t", mesos.TASK_RUNNING))
	expect(t, w.schedule(window(5, its(a))), 200, "")
	w.pass(time.Second, a.pid)
	return w, a, f
}

func TestINV01_OnlyWhoHasSomethingThere(t *testing.T) {
	w, a, f := asked(t)
	list := f.inverse()
	if len(list) != 1 || list[0].Unavailability.Start.Nanoseconds != 5 || len(list[0].Resources) != 0 || list[0].AgentID.Value != a.id || list[0].URL == nil {
		t.Fatalf("INV-02: %v", list)
	}
	info := named("g")
	info.Role = text("other")
	g := w.subscribe(info, "other")
	w.pass(5*time.Second, a.pid)
	if len(g.inverse()) != 0 {
		t.Error("asked a framework that has nothing there")
	}
	if len(f.inverse()) != 1 {
		t.Error("INV-02: a second one while the first is outstanding")
	}
	if v := w.s.View().Frameworks[0]; len(v.Inverse) != 1 {
		t.Errorf("%d inverse offers shown", len(v.Inverse))
	}
}

func TestINV03_AnswersAreNoted(t *testing.T) {
	w, a, f := asked(t)
	status := func() []allocator.InverseOfferStatus { return w.s.View().Maintenance.DrainingMachines[0].Statuses }
	if len(status()) != 0 {
		t.Error("an answer before there was one")
	}
	f.answerInverse(true, 10, f.inverse()[0])
	if s := status(); len(s) != 1 || s[0].GetStatus() != allocator.InverseOfferStatus_ACCEPT || s[0].FrameworkID.Value != f.id || s[0].Timestamp.Nanoseconds != w.now.UnixNano() {
		t.Errorf("%v", s)
	}
	w.pass(9*time.Second, a.pid)
	if len(f.inverse()) != 1 {
		t.Error("INV-04: asked again within refuse_seconds")
	}
	w.pass(2*time.Second, a.pid)
	list := f.inverse()
	if len(list) != 2 {
		t.Fatal("INV-04: not asked again after refuse_seconds")
	}
	f.answerInverse(false, 0, list[0]) // the old one
	if status()[0].GetStatus() != allocator.InverseOfferStatus_ACCEPT {
		t.Error("an answer to an inverse offer that is over counts")
	}
	f.answerInverse(false, 0, list[1])
	if status()[0].GetStatus() != allocator.InverseOfferStatus_DECLINE {
		t.Errorf("%v", status())
	}
	w.pass(time.Second, a.pid)
	if len(f.inverse()) != 3 {
		t.Error("refuse_seconds 0: not asked again at the next allocation")
	}
	if w.s.frameworks[f.id].tasks["t"] == nil {
		t.Error("INV-03: an answer ended a task")
	}
	w.ask(func(id RequestID) Event { return TornDown{Request: id, Framework: f.id} })
	if len(status()) != 0 || len(w.s.inverse) != 0 {
		t.Error("a removed framework is still asked")
	}
}

func TestINV04_Rescinded(t *testing.T) {
	for name, cause := range map[string]func(*world, *testAgent){
		"schedule":   func(w *world, a *testAgent) { w.schedule() },
		"disconnect": func(w *world, a *testAgent) { w.step(AgentExited{PID: a.pid}) },
		"deactivate": func(w *world, a *testAgent) {
			w.ask(func(id RequestID) Event { return DeactivationWanted{Request: id, Agent: a.id} })
		},
		"gone": func(w *world, a *testAgent) { w.markGone(a) },
	} {
		w, a, f := asked(t)
		id := f.inverse()[0].OfferID
		cause(w, a)
		list := f.of(scheduler.Event_RESCIND_INVERSE_OFFER)
		if len(list) != 1 || list[0].RescindInverseOffer.InverseOfferID != id || len(w.s.inverse) != 0 {
			t.Errorf("%s: %v", name, list)
		}
	}
	w, a, f := asked(t, func(c *Config) { c.OfferTimeout = 5 * time.Second })
	w.pass(5*time.Second, a.pid)
	if len(f.of(scheduler.Event_RESCIND_INVERSE_OFFER)) != 1 {
		t.Error("not rescinded after --offer_timeout")
	}
	w.pass(time.Second, a.pid)
	if len(f.inverse()) != 2 {
		t.Error("not asked again after --offer_timeout")
	}
}

func TestINV03_NobodyAnswersForAnother(t *testing.T) {
	w, _, f := asked(t)
	g := w.subscribe(named("g"))
	g.answerInverse(false, 0, f.inverse()[0])
	if w.s.inverse[f.inverse()[0].OfferID.Value] == nil || len(w.s.View().Maintenance.DrainingMachines[0].Statuses) != 0 {
		t.Error("another framework's answer counts")
	}
}

func TestINV01_AskedAgainByANewMaster(t *testing.T) {
	w, a, f := asked(t)
	task := *w.s.frameworks[f.id].tasks["t"].info
	next := restart(t, w.registry)
	again := &testScheduler{w: next, id: f.id}
	again.stream = again.again(named("f")).stream
	a.back(next, again, task)
	next.pass(time.Second, a.pid)
	if len(again.inverse()) != 1 {
		t.Errorf("%d inverse offers", len(again.inverse()))
	}
}
