package core

import (
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func TestSUB01_FrameworkIDsCountUp(t *testing.T) {
	w := newWorld(t)
	for i, want := range []string{"m-0000", "m-0001", "m-0002"} {
		if f := w.subscribe(named("f")); f.id != want {
			t.Errorf("framework %d has id %q, want %q", i, f.id, want)
		}
	}
}

func TestEV01_SubscribedThenHeartbeats(t *testing.T) {
	w := newWorld(t)
	f := w.subscribe(named("f"))
	list := w.events[f.stream]
	if len(list) != 2 || list[0].Type != scheduler.Event_SUBSCRIBED || list[1].Type != scheduler.Event_HEARTBEAT {
		t.Fatalf("first events: %v", list)
	}
	w.pass(45 * time.Second)
	if n := len(f.of(scheduler.Event_HEARTBEAT)); n != 4 {
		t.Errorf("%d heartbeats in 45 s, want 4 with the first", n)
	}
}

func TestSUB03_RoleFields(t *testing.T) {
	multi := mesos.FrameworkInfo_Capability_MULTI_ROLE
	role := func(r string) mesos.FrameworkInfo { i := named("f"); i.Role = &r; return i }
	roles := func(r ...string) mesos.FrameworkInfo { i := named("f", multi); i.Roles = r; return i }
	both := roles("a")
	x := "a"
	both.Role = &x
	listed := named("f")
	listed.Roles = []string{"a"}
	for name, c := range map[string]struct {
		info mesos.FrameworkInfo
		ok   bool
	}{
		"one role": {role("a"), true}, "default role": {named("f"), true}, "several": {roles("a", "a/b"), true}, "none": {roles(), true},
		"role and MULTI_ROLE": {both, false}, "roles without MULTI_ROLE": {listed, false}, "twice": {roles("a", "a"), false},
		"slash at the end": {roles("a/"), false}, "dash": {roles("-a"), false}, "space": {roles("a b"), false}, "dots": {roles("a/.."), false}, "star inside": {roles("a/*"), false},
	} {
		f := newWorld(t).subscribe(c.info)
		if (f.id != "") != c.ok {
			t.Errorf("%s: subscribed %t, want %t", name, f.id != "", c.ok)
		}
		if !c.ok && !f.w.closed[f.stream] {
			t.Errorf("%s: the stream stays open after the ERROR", name)
		}
	}
}

func TestSUB05_SuppressedRolesMustBeSubscribed(t *testing.T) {
	w := newWorld(t)
	if f := w.subscribe(named("f"), "other"); f.id != "" {
		t.Error("a suppressed role that is not subscribed was accepted")
	}
	w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"), "*")
	w.pass(5 * time.Second)
	if n := len(f.offers()); n != 0 {
		t.Fatalf("%d offers while suppressed", n)
	}
	f.call(scheduler.Call{Type: scheduler.Call_REVIVE})
	f.offer()
}

func TestSUB07_LaterSubscriptionWins(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	old := w.subscribe(named("f"))
	offer := old.offer()
	next := old.again(named("f"))
	if next.id != old.id {
		t.Fatalf("the framework came back as %q", next.id)
	}
	last := w.events[old.stream][len(w.events[old.stream])-1]
	if last.Type != scheduler.Event_ERROR || last.Error.Message != "Framework failed over" || !w.closed[old.stream] {
		t.Errorf("the old stream ended with %v, closed %t", last, w.closed[old.stream])
	}
	if n := len(old.of(scheduler.Event_RESCIND)); n != 0 {
		t.Errorf("%d RESCIND on the old stream", n)
	}
	next.accept(0, offer, launch(command("t", offer, "cpus:1;mem:32")))
	if s := next.update("t"); s.GetState() != mesos.TASK_LOST || s.GetReason() != mesos.REASON_INVALID_OFFERS {
		t.Errorf("a task on an offer of before the failover: %v", s)
	}
	// The end of the old stream's connection must not disconnect the new one.
	w.step(StreamClosed{Stream: old.stream, Reason: "test"})
	if !w.s.frameworks[next.id].connected {
		t.Error("the close of a replaced stream disconnected the framework")
	}
}

func TestSUB09_WhatMayChange(t *testing.T) {
	w := newWorld(t)
	f := w.subscribe(named("f"))
	info := named("renamed")
	info.User = "somebody"
	yes, web := true, "http://f"
	info.Checkpoint, info.WebUiURL = &yes, &web
	f = f.again(info)
	got := w.s.frameworks[f.id].info
	if got.User != "nobody" || got.GetCheckpoint() || got.Name != "renamed" || got.GetWebUiURL() != web {
		t.Errorf("after the change: %v", got)
	}
	principal := "p"
	info.Principal = &principal
	id := f.id
	if g := f.again(info); g.id != "" {
		t.Error("the principal could be changed")
	}
	if !w.s.frameworks[id].connected || w.closed[f.stream] {
		t.Error("a refused subscription took the good one away")
	}
}

func TestSUB11_SUB12_FailoverTimeout(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	o := f.offer()
	f.accept(0, o, launch(command("t", o, "cpus:1;mem:32")))
	w.step(StreamClosed{Stream: f.stream, Reason: "test"})
	if len(w.s.offers) != 0 {
		t.Error("offers of a disconnected framework are still out")
	}
	w.pass(99*time.Second, a.pid)
	if w.s.frameworks[f.id] == nil {
		t.Fatal("removed before its failover_timeout of 100 s")
	}
	g := f.again(named("f"))
	w.pass(5*time.Second, a.pid) // the first timer fires and must find that it is stale
	if w.s.frameworks[g.id] == nil {
		t.Fatal("removed although it came back")
	}
	w.step(StreamClosed{Stream: g.stream, Reason: "test"})
	w.pass(101*time.Second, a.pid)
	if w.s.frameworks[g.id] != nil {
		t.Fatal("not removed after its failover_timeout")
	}
	if lastSent[*messages.ShutdownFrameworkMessage](a) == nil {
		t.Error("the agent was not told to shut the framework down")
	}
	v := w.s.View()
	done := v.Completed[0].Completed
	if len(done) != 1 || done[0].GetState() != mesos.TASK_KILLED {
		t.Errorf("completed tasks %v", done)
	}
	if h := g.again(named("f")); h.id != "" {
		t.Error("a removed framework could come back")
	} else if e := w.events[h.stream][0]; e.Type != scheduler.Event_ERROR || !strings.Contains(e.Error.Message, "removed") {
		t.Errorf("it was told %v", e)
	}
}

func TestSUB14_UpdateFramework(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	info := named("f", mesos.FrameworkInfo_Capability_MULTI_ROLE)
	info.Roles = []string{"a"}
	f := w.subscribe(info)
	f.offer()
	update := func(change func(*mesos.FrameworkInfo)) Reply {
		next := info
		next.ID = &mesos.FrameworkID{Value: f.id}
		change(&next)
		return f.call(scheduler.Call{Type: scheduler.Call_UPDATE_FRAMEWORK, UpdateFramework: &scheduler.Call_UpdateFramework{FrameworkInfo: next}})
	}
	for name, change := range map[string]func(*mesos.FrameworkInfo){
		"user":       func(i *mesos.FrameworkInfo) { i.User = "x" },
		"checkpoint": func(i *mesos.FrameworkInfo) { yes := true; i.Checkpoint = &yes },
		"principal":  func(i *mesos.FrameworkInfo) { p := "p"; i.Principal = &p },
		"bad role":   func(i *mesos.FrameworkInfo) { i.Roles = []string{"a//b"} },
	} {
		if r := update(change); r.Status != 400 || r.Text == "" {
			t.Errorf("%s: %v", name, r)
		}
	}
	if r := update(func(i *mesos.FrameworkInfo) { i.Roles = []string{"b"} }); r.Status != 200 {
		t.Fatal(r)
	}
	if n := len(f.of(scheduler.Event_RESCIND)); n != 1 {
		t.Errorf("%d RESCIND for the role that was given up", n)
	}
	if role := f.offer().AllocationInfo.GetRole(); role != "b" {
		t.Errorf("the next offer is for role %q", role)
	}
}

func TestSCH12_to_SCH17_WhoMayCall(t *testing.T) {
	w := newWorld(t)
	f := w.subscribe(named("f"))
	revive := scheduler.Call{Type: scheduler.Call_REVIVE}
	stranger := &testScheduler{w: w, id: "nobody", stream: f.stream}
	if r := stranger.call(revive); r.Status != 400 {
		t.Errorf("unknown framework: %v", r)
	}
	for stream, want := range map[StreamID]int{"": 400, "another": 400, f.stream: 202} {
		g := &testScheduler{w: w, id: f.id, stream: stream}
		if r := g.call(revive); r.Status != want {
			t.Errorf("stream %q: %v, want %d", stream, r, want)
		}
	}
	w.step(StreamClosed{Stream: f.stream, Reason: "test"})
	if r := f.call(revive); r.Status != 403 {
		t.Errorf("disconnected framework: %v", r)
	}
}

func TestCALL02_Teardown(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	o := f.offer()
	f.accept(0, o, launch(command("t", o, "cpus:1;mem:32")))
	if r := f.call(scheduler.Call{Type: scheduler.Call_TEARDOWN}); r.Status != 202 {
		t.Fatal(r)
	}
	if !w.closed[f.stream] || w.s.frameworks[f.id] != nil || lastSent[*messages.ShutdownFrameworkMessage](a) == nil {
		t.Error("the framework is not gone")
	}
	w.request++
	w.step(TornDown{Request: w.request, Framework: "nobody"})
	if r := w.replies[w.request]; r.Status != 400 {
		t.Errorf("an operator's teardown of nobody: %v", r)
	}
}
