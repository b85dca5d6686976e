package offers

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// dc is a datacenter in a test: short words for what the master does.
type dc struct {
	*testing.T
	*State
	now  time.Time
	seed uint64
}

func newDC(t *testing.T, o Options) *dc {
	d := &dc{T: t, State: NewState(o), now: time.Unix(1e9, 0)}
	d.Advance(d.now)
	return d
}

func (d *dc) agent(id, total string) { d.PutAgent(Agent{ID: id, Total: must(d, total), Active: true}) }

func (d *dc) framework(id string, roles ...string) Framework {
	f := Framework{ID: id, Roles: roles, Active: true, Capabilities: Capabilities{MultiRole: true, ReservationRefinement: true}}
	d.PutFramework(f)
	return f
}

func (d *dc) later(wait time.Duration) {
	d.now = d.now.Add(wait)
	d.Advance(d.now)
}

// play plays a round and shows its grants, sorted: "f1 a1 cpus:4".
func (d *dc) play() []string {
	d.Helper()
	var out []string
	for _, g := range d.grants() {
		out = append(out, fmt.Sprintf("%s %s %s", g.Framework, g.Agent, g.Resources))
	}
	slices.Sort(out)
	return out
}

func (d *dc) grants() []Grant {
	d.Helper()
	d.seed++
	plan := d.Allocate(d.seed)
	if err := d.Apply(plan); err != nil {
		d.Fatal(err)
	}
	return plan.Grants
}

func (d *dc) wants(want ...string) {
	d.Helper()
	if got := d.play(); !slices.Equal(got, want) {
		d.Fatalf("got  %q\nwant %q", got, want)
	}
}

func (d *dc) gives(framework, agent, resources, role string, refuse time.Duration) {
	d.Helper()
	if err := d.Refuse(framework, agent, must(d, resources).Allocate(role), refuse); err != nil {
		d.Fatal(err)
	}
}

func (d *dc) holds(framework, agent, resources, role string) {
	d.Helper()
	if err := d.Charge(framework, agent, must(d, resources).Allocate(role)); err != nil {
		d.Fatal(err)
	}
}

// why is the reason that Explain gives for an agent.
func (d *dc) why(framework, agent string, want Why) {
	d.Helper()
	var all []string
	for _, r := range d.Explain(framework) {
		if r.Agent == agent && r.Why == want {
			return
		}
		all = append(all, fmt.Sprintf("%s: %s", r.Why, r.Sentence))
	}
	d.Fatalf("framework %s, agent %s: want %s, got\n%s", framework, agent, want, strings.Join(all, "\n"))
}

func TestALC03_LowestDominantShareGoesFirst(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "x")
	d.framework("f2", "y")
	d.agent("a1", "cpus:10;mem:10")
	d.holds("f1", "a1", "cpus:1;mem:4", "x") // 40 % of mem
	d.holds("f2", "a1", "cpus:3", "y")       // 30 % of cpus
	d.wants("f2 a1 cpus:6; mem:6")
}

func TestALC03_ExcludedKindsDoNotCount(t *testing.T) {
	d := newDC(t, Options{ExcludedFromShares: []string{"gpus"}})
	d.framework("f1", "x")
	d.framework("f2", "y")
	d.agent("a1", "cpus:10;gpus:2")
	d.holds("f1", "a1", "gpus:2", "x")
	d.holds("f2", "a1", "cpus:1", "y")
	d.wants("f1 a1 cpus:9")
}

func TestALC04_TiesByCountThenName(t *testing.T) {
	d := newDC(t, Options{})
	for _, id := range []string{"f2", "f1", "f3"} {
		d.framework(id, "*")
	}
	d.agent("a1", "cpus:1")
	for _, want := range []string{"f1", "f2", "f3", "f1"} {
		d.wants(want + " a1 cpus:1")
		d.gives(want, "a1", "cpus:1", "*", 0)
	}
}

func TestALC05_RoleCompetesWithItsSubrolesThroughALeaf(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("parent", "r")
	d.framework("child", "r/s")
	d.framework("other", "q")
	for i := range 4 {
		d.agent(fmt.Sprintf("a%d", i), "cpus:1")
	}
	// q gets two; of r's two, r's own leaf and r/s get one each.
	count := map[string]int{}
	for _, g := range d.grants() {
		count[g.Framework]++
	}
	if count["other"] != 2 || count["parent"] != 1 || count["child"] != 1 {
		t.Fatalf("got %v", count)
	}
}

func TestALC06_Weights(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "x")
	d.framework("f2", "y")
	if err := d.SetWeight("x", 3); err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		d.agent(fmt.Sprintf("a%d", i), "cpus:1")
	}
	count := map[string]int{}
	for _, g := range d.grants() {
		count[g.Framework]++
	}
	if count["f1"] != 30 || count["f2"] != 10 {
		t.Fatalf("got %v", count)
	}
	for _, bad := range []float64{0, -1, math.NaN(), math.Inf(1)} {
		if d.SetWeight("x", bad) == nil {
			t.Errorf("weight %v was accepted", bad)
		}
	}
}

func TestALC08_OffersCountAsAllocated(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "x")
	d.framework("f2", "y")
	d.agent("a1", "cpus:1")
	d.wants("f1 a1 cpus:1")
	d.agent("a2", "cpus:1")
	d.wants("f2 a2 cpus:1")
	d.wants()
	if got := d.Held("f1", "a1").String(); got != "cpus:1" {
		t.Errorf("f1 holds %s", got)
	}
}

func TestRUN07_WholeAgentToTheFirst(t *testing.T) {
	d := newDC(t, Options{MinAllocatable: DefaultMinAllocatable()})
	d.framework("f1", "x")
	d.framework("f2", "y")
	d.agent("a1", "cpus:8;mem:1024;ports:[1-9];cpus(y):2")
	// What x may not have stays for y.
	d.wants("f1 a1 cpus:8; mem:1024; ports:[1-9]", "f2 a1 cpus(y):2")
}

func TestSEM01_StaticReservationsGoToTheirRoleAndBelow(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "*")
	d.framework("f2", "rr")
	d.agent("a1", "cpus(r):2")
	d.wants()
	d.why("f1", "a1", WhyReserved)
	d.framework("f3", "r/s")
	d.wants("f3 a1 cpus(r):2")
}

func TestSEM02_RefinedNeedsTheCapability(t *testing.T) {
	d := newDC(t, Options{})
	cpus := scalar("cpus", 2)
	cpus.Reservations = dynamic("r", "r/s")
	total, err := Parse([]mesos.Resource{cpus})
	if err != nil {
		t.Fatal(err)
	}
	d.PutAgent(Agent{ID: "a1", Total: total, Active: true})
	f := Framework{ID: "f1", Roles: []string{"r/s"}, Active: true}
	d.PutFramework(f)
	d.wants()
	d.why("f1", "a1", WhyCapability)
	f.Capabilities.ReservationRefinement = true
	d.PutFramework(f)
	d.wants("f1 a1 cpus(r/s):2")
}

func TestRUN06_RevocableGPUsRegions(t *testing.T) {
	d := newDC(t, Options{FilterGPUs: true, Region: "here"})
	cpus := scalar("cpus", 2)
	cpus.Revocable = &mesos.Resource_RevocableInfo{}
	revocable, err := Parse([]mesos.Resource{cpus})
	if err != nil {
		t.Fatal(err)
	}
	d.PutAgent(Agent{ID: "revocable", Total: revocable, Active: true})
	d.PutAgent(Agent{ID: "gpus", Total: must(t, "cpus:1;gpus:1"), Active: true})
	d.PutAgent(Agent{ID: "far", Total: must(t, "cpus:1"), Active: true, Region: "there"})
	d.PutAgent(Agent{ID: "flat", Total: must(t, "cpus:1"), Active: true, LacksHierarchy: true})
	d.PutAgent(Agent{ID: "old", Total: must(t, "cpus:1"), Active: true, LacksMultiRole: true})
	d.PutAgent(Agent{ID: "off", Total: must(t, "cpus:1")})
	f := d.framework("f1", "r/s")
	d.wants()
	for agent, why := range map[string]Why{"revocable": WhyCapability, "gpus": WhyGPUs, "far": WhyRegion, "flat": WhyAgentHierarchy,
		"old": WhyAgentMultiRole, "off": WhyDeactivated} {
		d.why("f1", agent, why)
	}
	f.Capabilities = Capabilities{GPUs: true, Revocable: true, RegionAware: true}
	f.Roles = []string{"r"}
	d.PutFramework(f)
	d.SetAgentActive("off", true)
	if got := d.play(); len(got) != 6 {
		t.Fatalf("got %q", got)
	}
}

func TestOFF09_RefuseTimeout(t *testing.T) {
	value := func(x float64) *float64 { return &x }
	for _, c := range []struct {
		seconds *float64
		want    time.Duration
	}{
		{nil, 5 * time.Second}, {value(-1), 5 * time.Second}, {value(math.NaN()), 5 * time.Second}, {value(math.Inf(1)), 5 * time.Second},
		{value(0), 0}, {value(0.1), time.Second}, {value(60), time.Minute}, {value(1e12), 365 * 24 * time.Hour},
	} {
		if got := RefuseTimeout(c.seconds, time.Second); got != c.want {
			t.Errorf("got %v, want %v", got, c.want)
		}
	}
}

func TestOFF10_FiltersHideWhatIsContained(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "*")
	d.agent("a1", "cpus:4")
	d.holds("other", "a1", "cpus:1", "*")
	d.wants("f1 a1 cpus:3")
	d.gives("f1", "a1", "cpus:3", "*", 10*time.Second)
	d.wants()
	d.why("f1", "a1", WhyRefused)
	// More is free than was refused: offered at once.
	if err := d.Release("other", "a1", must(t, "cpus:1").Allocate("*")); err != nil {
		t.Fatal(err)
	}
	d.wants("f1 a1 cpus:4")
	// Of less than was refused, nothing, until the time is over.
	d.gives("f1", "a1", "cpus:2", "*", 0)
	d.wants()
	d.later(10*time.Second - 1)
	d.wants()
	d.later(1)
	d.wants("f1 a1 cpus:2")
}

func TestOFF10_AShorterRefusalDoesNotEndALongerOne(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "*")
	d.agent("a1", "cpus:4")
	d.wants("f1 a1 cpus:4")
	d.gives("f1", "a1", "cpus:2", "*", time.Minute)
	d.gives("f1", "a1", "cpus:2", "*", 0)
	d.wants("f1 a1 cpus:4")
	d.gives("f1", "a1", "cpus:4", "*", time.Second)
	d.wants()
	d.holds("other", "a1", "cpus:2", "*")
	d.later(2 * time.Second)
	d.wants() // cpus:2 are still refused
	d.later(time.Minute)
	d.wants("f1 a1 cpus:2")
}

func TestOFF10_RefusalsAreBounded(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "*")
	d.agent("a1", "cpus:10000;mem:10000")
	// Each refusal is no part of another.
	for i := range 10 * maxRefusals {
		part := fmt.Sprintf("cpus:%d;mem:%d", i+1, 1000-i)
		d.holds("f1", "a1", part, "*")
		d.gives("f1", "a1", part, "*", time.Hour+time.Duration(i))
	}
	if n := len(d.agents["a1"].refused); n > maxRefusals {
		t.Errorf("%d refusals are remembered", n)
	}
	for range 5000 {
		d.holds("f1", "a1", "cpus:1", "*")
		d.gives("f1", "a1", "cpus:1", "*", time.Hour)
		d.Revive("f1")
	}
	if len(d.expiry) > 2048 {
		t.Errorf("%d ends of refusals are remembered", len(d.expiry))
	}
}

func TestOFF11_WhatClearsFilters(t *testing.T) {
	for what, act := range map[string]func(*dc, Framework){
		"revive":          func(d *dc, f Framework) { d.Revive("f1") },
		"revive the role": func(d *dc, f Framework) { d.Revive("f1", "*") },
		"unsuppress": func(d *dc, f Framework) {
			f.Suppressed = []string{"*"}
			d.PutFramework(f)
			f.Suppressed = nil
			d.PutFramework(f)
		},
		"attributes": func(d *dc, f Framework) { d.ClearFilters("a1") },
		"agent anew": func(d *dc, f Framework) { d.RemoveAgent("a1"); d.agent("a1", "cpus:1") },
		"reconnect":  func(d *dc, f Framework) { d.DeactivateFramework("f1"); d.PutFramework(f) },
		"end":        func(d *dc, f Framework) { d.later(time.Hour) },
	} {
		t.Run(what, func(t *testing.T) {
			d := newDC(t, Options{})
			f := d.framework("f1", "*")
			d.agent("a1", "cpus:1")
			d.wants("f1 a1 cpus:1")
			d.gives("f1", "a1", "cpus:1", "*", time.Hour)
			d.wants()
			d.PutFramework(f) // an update that changes nothing clears nothing
			d.wants()
			act(d, f)
			d.wants("f1 a1 cpus:1")
		})
	}
}

func TestOFF12_MinAllocatable(t *testing.T) {
	minimum, err := ParseMinAllocatable("cpus:0.01|mem:32")
	if err != nil || fmt.Sprint(minimum) != fmt.Sprint(DefaultMinAllocatable()) {
		t.Fatalf("got %v, %v", minimum, err)
	}
	for _, bad := range []string{"|", "cpus", "cpus:0", "ports:[1-2]", "cpus:1|"} {
		if got, err := ParseMinAllocatable(bad); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
	d := newDC(t, Options{MinAllocatable: minimum})
	d.agent("a1", "cpus:0.009;mem:31.999;disk:100000")
	d.framework("f1", "*")
	d.wants()
	d.why("f1", "a1", WhyTooLittle)
	info := mesos.FrameworkInfo{OfferFilters: map[string]mesos.OfferFilters{"*": {
		MinAllocatableResources: &mesos.OfferFilters_MinAllocatableResources{}}}}
	f, err := FrameworkOf("f1", info, nil)
	if err != nil {
		t.Fatal(err)
	}
	d.PutFramework(f) // no minimum
	d.wants("f1 a1 cpus:0.009; disk:100000; mem:31.999")
}

func TestSEM06_Suppress(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "x", "y")
	d.framework("f2", "x")
	d.agent("a1", "cpus:1")
	d.Suppress("f1", "x")
	d.Suppress("f2")
	d.why("f2", "", WhySuppressed)
	if g := d.grants(); len(g) != 1 || g[0].Framework != "f1" || g[0].Role != "y" {
		t.Fatalf("got %v", g)
	}
	d.gives("f1", "a1", "cpus:1", "y", time.Hour)
	d.wants()
	d.Revive("f2")
	d.wants("f2 a1 cpus:1")
}

func TestSEM07_OverAllocatedAgentsOfferNothing(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "*")
	d.agent("a1", "cpus:4;mem:10")
	d.holds("f2", "a1", "cpus:3", "*")
	d.agent("a1", "cpus:2;mem:10")
	d.wants("f1 a1 mem:10")
	d.gives("f1", "a1", "mem:10", "*", 0)
	if err := d.Release("f2", "a1", must(t, "cpus:2").Allocate("*")); err != nil {
		t.Fatal(err)
	}
	d.wants("f1 a1 cpus:1; mem:10")
}

func TestRUN09_OneEventPerFramework(t *testing.T) {
	p := Plan{Grants: []Grant{{Framework: "b", Agent: "1"}, {Framework: "a", Agent: "2"}, {Framework: "b", Agent: "3"}}}
	groups := p.ByFramework()
	if len(groups) != 2 || len(groups[0]) != 2 || groups[0][1].Agent != "3" || groups[1][0].Framework != "a" {
		t.Errorf("got %v", groups)
	}
}

func TestRUN01_TheSeedShufflesAgents(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "*")
	for i := range 20 {
		d.agent(fmt.Sprintf("a%02d", i), "cpus:1")
	}
	order := func(seed uint64) (ids []string) {
		for _, g := range d.Allocate(seed).Grants {
			ids = append(ids, g.Agent)
		}
		return ids
	}
	if slices.Equal(order(1), order(2)) || !slices.Equal(order(1), order(1)) || len(order(1)) != 20 {
		t.Errorf("got %v and %v", order(1), order(2))
	}
	if got := d.Allocate(1, "a03", "a03", "nobody").Grants; len(got) != 1 || got[0].Agent != "a03" {
		t.Errorf("got %v", got)
	}
}
