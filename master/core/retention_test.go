package core

import (
	"errors"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// orphaned is a framework with one task whose master is replaced by another; the
// agent is back there, the framework is not.
func orphaned(t *testing.T, timeout float64) (w *world, a *testAgent, f *testScheduler) {
	info := checkpointing(named("f"))
	info.FailoverTimeout = &timeout
	before, a, f := running(t, info)
	w = restart(t, before.registry)
	info.ID = &mesos.FrameworkID{Value: f.id}
	state := mesos.TASK_RUNNING
	a.reregister(w, []mesos.FrameworkInfo{info}, mesos.Task{TaskID: mesos.TaskID{Value: "t"}, FrameworkID: *info.ID, AgentID: *a.info.ID, State: &state, Resources: allocatedTo("*", "cpus:1;mem:32")})
	f.w = w
	return w, a, f
}

func TestRetention_FrameworkThatNeverComesBack(t *testing.T) {
	for _, c := range []struct {
		timeout float64
		after   time.Duration
	}{{3600, time.Hour}, {100, 10 * time.Minute}, {0, 10 * time.Minute}} {
		w, a, f := orphaned(t, c.timeout)
		if g := w.s.frameworks[f.id]; g == nil || !g.recovered || g.connected {
			t.Fatalf("not recovered from the registry: %+v", g)
		}
		w.pass(c.after-time.Second, a.pid)
		if w.s.frameworks[f.id] == nil || lastSent[*messages.ShutdownFrameworkMessage](a) != nil {
			t.Fatalf("timeout %v: removed too early", c.timeout)
		}
		w.pass(2*time.Second, a.pid)
		if w.s.frameworks[f.id] != nil || lastSent[*messages.ShutdownFrameworkMessage](a) == nil {
			t.Fatalf("timeout %v: it still runs", c.timeout)
		}
		if len(w.registry.Frameworks) != 0 {
			t.Errorf("still in the registry: %v", w.registry.Frameworks)
		}
	}
}

func TestRetention_RecoveredFrameworkSubscribes(t *testing.T) {
	w, a, f := orphaned(t, 3600)
	registered := w.registry.Frameworks[f.id].Registered
	g := f.again(checkpointing(named("f")))
	w.pass(3*time.Hour, a.pid)
	if w.s.frameworks[f.id] == nil || g.update("t") != nil {
		t.Fatal("removed although it is connected")
	}
	if r := w.registry.Frameworks[f.id]; !r.Disconnected.IsZero() || !r.Registered.Equal(registered) {
		t.Errorf("recorded as %+v", r)
	}
}

// Several failovers in a row do not add up to an endless life.
func TestRetention_TimeRunsOnOverFailovers(t *testing.T) {
	w, _, f := orphaned(t, 3600)
	w.pass(50 * time.Minute)
	next := restart(t, w.registry)
	next.now = w.now
	next.s = New(testConfig(), w.registry, next.now)
	next.pass(9 * time.Minute)
	if next.s.frameworks[f.id] == nil {
		t.Fatal("removed too early")
	}
	next.pass(2 * time.Minute)
	if next.s.frameworks[f.id] != nil {
		t.Fatal("its time began anew")
	}
}

// A master that cannot write any more, because another leads, ends nothing.
func TestRetention_NothingEndsUnlessWritten(t *testing.T) {
	for name, remove := range map[string]func(*world, *testScheduler){
		"stream": func(w *world, f *testScheduler) { w.step(StreamClosed{Stream: f.stream}) },
		"call":   func(_ *world, f *testScheduler) { f.call(scheduler.Call{Type: scheduler.Call_TEARDOWN}) },
		"operator": func(w *world, f *testScheduler) {
			w.step(TornDown{Request: 1000, Framework: f.id})
		},
	} {
		t.Run(name, func(t *testing.T) {
			info := checkpointing(named("f"))
			timeout := 0.0
			info.FailoverTimeout = &timeout
			w, a, f := running(t, info)
			w.hold = true
			w.held = nil
			remove(w, f)
			w.pass(time.Second, a.pid)
			if lastSent[*messages.ShutdownFrameworkMessage](a) != nil || w.s.frameworks[f.id] == nil {
				t.Fatal("the framework ended before the registry knew")
			}
			if r, ok := w.replies[1000]; ok {
				t.Fatalf("answered %v before the registry knew", r)
			}
			w.written(errors.New("another master leads"))
			if lastSent[*messages.ShutdownFrameworkMessage](a) != nil || w.s.frameworks[f.id] == nil {
				t.Fatal("the framework ended although the registry does not know")
			}
			if name == "operator" && w.replies[1000].Status != 503 {
				t.Errorf("%v", w.replies[1000])
			}
		})
	}
}

func TestRetention_RecordIsTriedAgain(t *testing.T) {
	w := newWorld(t)
	w.hold = true
	f := w.subscribe(named("f"))
	w.written(errors.New("no etcd"))
	w.pass(testConfig().AgentPingTimeout)
	if len(w.held) != 1 || w.held[0].Kind != PutFramework {
		t.Fatalf("%v", w.held)
	}
	w.written(nil)
	if w.registry.Frameworks[f.id].Info.Name != "f" {
		t.Errorf("%v", w.registry.Frameworks)
	}
}
