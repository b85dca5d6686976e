package core

import (
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/constraints"
)

// wanted are constraints of a role: the hostname has to match a pattern.
func wanted(role, pattern string) *constraints.OfferConstraints {
	host := constraints.Hostname
	return &constraints.OfferConstraints{RoleConstraints: map[string]constraints.RoleConstraints{role: {Groups: []constraints.Group{{
		AttributeConstraints: []constraints.AttributeConstraint{{
			Selector: constraints.Selector{PseudoattributeType: &host}, Predicate: constraints.Predicate{TextMatches: &constraints.Regex{Regex: pattern}},
		}},
	}}}}}
}

// constrained subscribes with constraints.
func (w *world) constrained(info mesos.FrameworkInfo, c *constraints.OfferConstraints) *testScheduler {
	w.streams++
	f := &testScheduler{w: w, stream: StreamID("constrained-" + string(rune('a'+w.streams))), role: info.GetRole()}
	w.step(SchedulerSubscribed{Stream: f.stream, Constraints: c, Call: &scheduler.Call{
		Type: scheduler.Call_SUBSCRIBE, FrameworkID: info.ID, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info},
	}})
	if first := w.events[f.stream][0]; first.Type == scheduler.Event_SUBSCRIBED {
		f.id = first.Subscribed.FrameworkID.Value
	}
	return f
}

func TestSUB06_OfferConstraintsDecideWhichAgentsAreOffered(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:1;mem:1024")
	second := w.agent("cpus:2;mem:1024")
	f := w.constrained(named("f"), wanted("*", "host2|host3"))
	w.pass(3 * time.Second)
	if list := f.offers(); len(list) != 1 || list[0].AgentID.Value != second.id {
		t.Fatalf("offers: %v", list)
	}
	third := w.agent("cpus:3;mem:1024")
	if o := f.offer(); o.AgentID.Value != third.id {
		t.Errorf("the agent that came later is not offered: %v", o)
	}
	if got := w.s.View().Frameworks[0].Constraints; got == nil {
		t.Error("the constraints are not shown")
	}
}

func TestSUB14_ConstraintsAndSuppressedRolesAreReplacedAsAWhole(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:1;mem:1024")
	f := w.constrained(named("f"), wanted("*", "nowhere"))
	info := named("f")
	info.ID = &mesos.FrameworkID{Value: f.id}
	update := func(c *constraints.OfferConstraints, suppressed ...string) Reply {
		w.request++
		w.step(SchedulerCalled{Request: w.request, Stream: f.stream, Constraints: c, Call: &scheduler.Call{
			Type: scheduler.Call_UPDATE_FRAMEWORK, FrameworkID: info.ID, UpdateFramework: &scheduler.Call_UpdateFramework{FrameworkInfo: info, SuppressedRoles: suppressed},
		}})
		w.pass(2 * time.Second)
		return w.replies[w.request]
	}
	before := len(w.operator)
	if r := update(wanted("*", "("), "*"); r.Status != 400 || !strings.Contains(r.Text, "'UpdateFramework' call is not valid") {
		t.Errorf("a bad pattern: %v", r)
	}
	if len(w.s.frameworks[f.id].suppressed) != 0 {
		t.Error("half of a refused update was done")
	}
	if r := update(nil, "*"); r.Status != 200 || len(f.offers()) != 0 {
		t.Errorf("suppressed: %v, %d offers", r, len(f.offers()))
	}
	if r := update(nil); r.Status != 200 {
		t.Error(r)
	}
	if o := f.offer(); o.AgentID.Value != a.id {
		t.Errorf("without constraints and suppressed roles: %v", o)
	}
	if len(w.operator) != before {
		t.Errorf("operators hear of a framework whose info is the same: %v", w.operator[before:])
	}
}

func TestSUB06_WhatIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		c    *constraints.OfferConstraints
		want string
	}{
		"a role that is not subscribed": {wanted("other", "x"), "not contained in the set of roles"},
		"a pattern that is none":        {wanted("*", "("), "Offer constraints are not valid"},
		"a pattern too large":           {wanted("*", strings.Repeat("x", 500)), "too large"},
	} {
		f := w.constrained(named("f"), c.c)
		e := w.events[f.stream][0]
		if e.Type != scheduler.Event_ERROR || !strings.Contains(e.Error.Message, c.want) || !w.closed[f.stream] {
			t.Errorf("%s: %v", name, e)
		}
	}
}

func TestSUB09_OffersOfRolesThatAreLeftAreRescinded(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:1;mem:1024")
	info := named("f", mesos.FrameworkInfo_Capability_MULTI_ROLE)
	info.Roles = []string{"a"}
	f := w.subscribe(info)
	f.offer()
	info.Roles = []string{"b"}
	g := f.again(info)
	if n := len(f.of(scheduler.Event_RESCIND)); n != 1 {
		t.Errorf("%d RESCIND on the old stream", n)
	}
	if o := g.offer(); o.AllocationInfo.GetRole() != "b" {
		t.Errorf("offered for %v", o.AllocationInfo)
	}
}

// 0.3: a framework that brings an id is taken in, and is known as one that came back.
func TestSUB01_AnIDOfAnotherMasterIsKept(t *testing.T) {
	w := newWorld(t)
	info := named("f")
	info.ID = &mesos.FrameworkID{Value: "elsewhere-0007"}
	f := w.subscribe(info)
	if f.id != "elsewhere-0007" || w.s.frameworks[f.id].reregistered.IsZero() {
		t.Fatalf("subscribed as %q", f.id)
	}
	other := "p"
	info.Principal = &other
	if g := w.subscribe(info); g.id != "" {
		t.Error("another principal took the framework over")
	}
	empty := named("g")
	empty.ID = &mesos.FrameworkID{}
	if g := w.subscribe(empty); g.id != "m-0000" {
		t.Errorf("an empty id is none; got %q", g.id)
	}
}
