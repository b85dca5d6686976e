package core

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/security"
)

// drive has the driver at pid subscribe, and returns the scheduler with what came of it.
func (w *world) drive(pid, id string, force bool) *testScheduler {
	w.t.Helper()
	info := named("driven")
	if id != "" {
		info.ID = &mesos.FrameworkID{Value: id}
	}
	f := &testScheduler{w: w, stream: StreamID(pid), id: id}
	w.closed[f.stream] = false // a new link
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, FrameworkID: info.ID, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}
	w.step(SchedulerSubscribed{Stream: f.stream, Call: call, Driver: true, Force: force})
	if all := f.of(scheduler.Event_SUBSCRIBED); len(all) > 0 {
		f.id = all[len(all)-1].Subscribed.FrameworkID.Value
	}
	return f
}

func (f *testScheduler) errors() []string {
	var texts []string
	for _, e := range f.of(scheduler.Event_ERROR) {
		texts = append(texts, e.Error.Message)
	}
	return texts
}

const pidA, pidB = "scheduler(1)@127.0.0.1:7001", "scheduler(1)@127.0.0.1:7002"

// The table of reference section 5.6, row by row.
func TestDriverSubscriptions(t *testing.T) {
	subscribed := func(f *testScheduler, times int) {
		t.Helper()
		if n := len(f.of(scheduler.Event_SUBSCRIBED)); n != times {
			t.Errorf("%d SUBSCRIBED, want %d; errors %v", n, times, f.errors())
		}
	}
	failedOver := func(f *testScheduler, want bool) {
		t.Helper()
		if got := f.errors(); (len(got) == 1 && got[0] == "Framework failed over") != want {
			t.Errorf("errors %v, want one %t", got, want)
		}
	}
	t.Run("no id, new pid", func(t *testing.T) {
		w := newWorld(t)
		a, b := w.drive(pidA, "", false), w.drive(pidB, "", false)
		if a.id == b.id || a.id == "" {
			t.Errorf("ids %q and %q", a.id, b.id)
		}
	})
	t.Run("no id, same pid", func(t *testing.T) {
		w := newWorld(t)
		a := w.drive(pidA, "", false)
		if again := w.drive(pidA, "", false); again.id != a.id {
			t.Errorf("first %s, then %s", a.id, again.id)
		}
		subscribed(a, 2)
	})
	t.Run("id unknown to the master", func(t *testing.T) {
		subscribed(newWorld(t).drive(pidA, "old-master-0000", false), 1)
	})
	t.Run("id known, same pid", func(t *testing.T) {
		w := newWorld(t)
		w.agent("cpus:4;mem:4096")
		a := w.drive(pidA, "", false)
		o := a.offer()
		again := w.drive(pidA, a.id, false)
		subscribed(again, 2)
		if r := a.of(scheduler.Event_RESCIND); len(r) != 1 || r[0].Rescind.OfferID != o.ID {
			t.Errorf("rescinded: %v", r)
		}
		failedOver(a, false)
	})
	t.Run("id known, other pid, force", func(t *testing.T) {
		w := newWorld(t)
		a := w.drive(pidA, "", false)
		b := w.drive(pidB, a.id, true)
		failedOver(a, true)
		subscribed(b, 1)
	})
	t.Run("id known, other pid, no force", func(t *testing.T) {
		w := newWorld(t)
		a := w.drive(pidA, "", false)
		b := w.drive(pidB, a.id, false)
		failedOver(a, false)
		failedOver(b, true)
		w.step(StreamClosed{Stream: pidA})
		failedOver(w.drive("scheduler(1)@127.0.0.1:7003", a.id, false), true) // whether or not the old one is connected
	})
	t.Run("known pid, another framework's id", func(t *testing.T) {
		w := newWorld(t)
		w.drive(pidA, "", false)
		b := w.drive(pidB, "", false)
		w.drive(pidA, b.id, true)
		failedOver(b, false)
		if n := len(w.events[pidA]); n != 1 {
			t.Errorf("it was told %v", w.events[pidA])
		}
	})
	t.Run("to HTTP and back", func(t *testing.T) {
		w := newWorld(t)
		a := w.drive(pidA, "", false)
		info := named("driven")
		over := a.again(info)
		failedOver(a, true)
		failedOver(w.drive(pidB, a.id, false), true)
		subscribed(w.drive("scheduler(1)@127.0.0.1:7003", a.id, true), 1)
		failedOver(over, true)
	})
}

func TestDriversHaveNoHeartbeatsAndAgentsKnowTheirPID(t *testing.T) {
	w := newWorld(t)
	agent := w.agent("cpus:4;mem:4096")
	f := w.drive(pidA, "", false)
	f.accept(0, f.offer(), launch(command("t", f.offer(), "cpus:1;mem:64")))
	run := lastSent[*messages.RunTaskMessage](agent)
	if run == nil || run.PID == nil || *run.PID != pidA {
		t.Errorf("the agent was sent %+v", run)
	}
	w.pass(5*HeartbeatInterval, agent.pid)
	if n := len(f.of(scheduler.Event_HEARTBEAT)); n != 0 {
		t.Errorf("%d heartbeats", n)
	}
	w.drive(pidB, f.id, true)
	if m := lastSent[*messages.UpdateFrameworkMessage](agent); m == nil || *m.PID != pidB {
		t.Errorf("after the failover the agent was sent %+v", m)
	}
}

func TestAnAbortedDriverGetsNoOffers(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	f := w.drive(pidA, "", false)
	f.offer()
	w.step(DriverAborted{Stream: pidA, Framework: f.id})
	if n := len(f.of(scheduler.Event_RESCIND)); n != 1 {
		t.Errorf("%d rescinds", n)
	}
	before := len(f.offers())
	w.pass(10 * testConfig().AllocationInterval)
	if after := len(f.offers()); after != before {
		t.Errorf("%d more offers", after-before)
	}
}

func TestDriversAuthenticate(t *testing.T) {
	needed := func(c *Config) { c.AuthenticateFrameworks = true }
	w := newWorld(t, needed)
	if f := w.drive(pidA, "", false); f.id != "" {
		t.Error("a driver that did not authenticate is subscribed")
	}
	w.s.authenticated[pidB] = security.Principal{Name: "alice"}
	f := w.drive(pidB, "", false)
	if f.id == "" || w.s.frameworks[f.id].info.GetPrincipal() != "alice" {
		t.Errorf("errors %v", f.errors())
	}
}
