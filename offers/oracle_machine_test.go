package offers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

// TestALC_RUN_SEM_AgainstOracle drives a State and the oracle with the same random life of a datacenter, and wants the
// same grants in every round.
func TestALC_RUN_SEM_AgainstOracle(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		t.Repeat(map[string]func(*rapid.T){
			"agent":      w.putAgent,
			"agentGoes":  w.removeAgent,
			"agentSwaps": w.setAgentActive,
			"framework":  w.putFramework,
			"leaves":     w.frameworkLeaves,
			"suppress":   w.suppress,
			"revive":     w.revive,
			"weight":     w.setWeight,
			"quota":      w.setQuota,
			"whitelist":  w.setWhitelist,
			"convert":    w.convert,
			"volume":     w.makeVolume,
			"charge":     w.charge,
			"release":    w.release,
			"refuse":     w.refuse,
			"refuse2":    w.refuse,
			"time":       w.advance,
			"round":      w.round,
			"round2":     w.round,
			"":           w.check,
		})
	})
}

var (
	worldAgents     = []string{"a1", "a2", "a3"}
	worldFrameworks = []string{"f1", "f2", "f3"}
	worldRoles      = []string{"*", "r", "r/s", "r/s/t", "r/u", "q"}
)

type world struct {
	state  *State
	oracle *oracle
	now    time.Time
	seed   uint64
	plain  bool // all are capable of everything and stay, so that quota, volumes and marks come into play more often
}

func newWorld(t *rapid.T) *world {
	o := Options{FilterGPUs: rapid.Bool().Draw(t, "filterGPUs"), Region: "here"}
	if rapid.Bool().Draw(t, "minimum") {
		o.MinAllocatable = []Quantities{{"cpus": Unit}, {"mem": 2 * Unit, "disk": Unit}}
	}
	if rapid.Bool().Draw(t, "excluded") {
		o.ExcludedFromShares = []string{"gpus", "mem"}
	}
	o.RoleSorter, o.FrameworkSorter = Sorter(rapid.IntRange(0, 5).Draw(t, "roleSorter")/5), Sorter(rapid.IntRange(0, 5).Draw(t, "frameworkSorter")/5)
	plain := rapid.Bool().Draw(t, "plain")
	w := &world{plain: plain, state: NewState(o), oracle: newOracle(o), now: time.Unix(1000, 0)}
	w.state.Advance(w.now)
	w.oracle.now = w.now.UnixNano()
	return w
}

func (w *world) putAgent(t *rapid.T) {
	total := drawResources(t, "total").Plus(Resources{}.mustPlus(scalar("cpus", float64(rapid.IntRange(0, 3).Draw(t, "cpus")))))
	id := rapid.SampledFrom(worldAgents).Draw(t, "agent")
	a := Agent{
		ID: id, Total: total, Active: true, Info: &mesos.AgentInfo{Hostname: id + rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "host")},
		Region:         rapid.SampledFrom([]string{"", "", "here", "there"}).Draw(t, "region"),
		LacksMultiRole: rapid.IntRange(0, 9).Draw(t, "lacksMultiRole") == 0,
		LacksHierarchy: rapid.IntRange(0, 9).Draw(t, "lacksHierarchy") == 0,
	}
	if w.plain {
		a.Region, a.LacksMultiRole, a.LacksHierarchy = "", false, false
	}
	if rapid.IntRange(0, 3).Draw(t, "disks") == 0 { // of one name and apart
		disk := scalar("cpus", 2)
		disk.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_PATH}}
		a.Total = a.Total.mustPlus(disk)
	}
	w.state.PutAgent(a)
	w.oracle.agents[a.ID] = a
	if rapid.Bool().Draw(t, "reconfigured") {
		w.state.ClearFilters(a.ID)
		w.oracle.dropFilters(func(f oracleFilter) bool { return f.agent == a.ID })
	}
}

func (r Resources) mustPlus(m mesos.Resource) Resources {
	o, err := Parse([]mesos.Resource{m})
	if err != nil {
		panic(err)
	}
	return r.Plus(o)
}

func (w *world) removeAgent(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "rarely") > 0 {
		return
	}
	id := rapid.SampledFrom(worldAgents).Draw(t, "agent")
	w.state.RemoveAgent(id)
	w.oracle.removeAgent(id)
}

func (w *world) setAgentActive(t *rapid.T) {
	id, active := rapid.SampledFrom(worldAgents).Draw(t, "agent"), rapid.Bool().Draw(t, "active")
	a, known := w.oracle.agents[id]
	if w.state.SetAgentActive(id, active) != known {
		t.Fatalf("agent %s known: %v", id, known)
	}
	if known {
		a.Active = active
		w.oracle.agents[id] = a
	}
}

func (w *world) putFramework(t *rapid.T) {
	roles := rapid.SliceOfNDistinct(rapid.SampledFrom(worldRoles), 1, 3, func(s string) string { return s }).Draw(t, "roles")
	f := Framework{
		ID: rapid.SampledFrom(worldFrameworks).Draw(t, "framework"), Roles: roles, Active: rapid.IntRange(0, 9).Draw(t, "active") > 0,
		Capabilities: Capabilities{
			MultiRole: rapid.Bool().Draw(t, "multi"), GPUs: rapid.Bool().Draw(t, "gpus"), Revocable: rapid.Bool().Draw(t, "revocable"),
			Shared: rapid.Bool().Draw(t, "shared"), ReservationRefinement: rapid.Bool().Draw(t, "refinement"), RegionAware: rapid.Bool().Draw(t, "region"),
		},
	}
	if w.plain {
		f.Active, f.Capabilities = true, Capabilities{true, true, true, true, true, true}
	}
	for _, role := range roles {
		if rapid.IntRange(0, 5).Draw(t, "suppressed") == 0 {
			f.Suppressed = append(f.Suppressed, role)
		}
	}
	switch rapid.IntRange(0, 5).Draw(t, "minimum") {
	case 0:
		f.MinAllocatable = map[string][]Quantities{roles[0]: {}}
	case 1:
		f.MinAllocatable = map[string][]Quantities{roles[0]: {{"mem": Unit}, {"cpus": 2 * Unit}}}
	}
	if rapid.IntRange(0, 3).Draw(t, "constraint") == 0 {
		host := rapid.SampledFrom(worldAgents).Draw(t, "not on")
		f.Constraints = map[string]Constraint{roles[0]: func(info *mesos.AgentInfo) bool { return info.Hostname != host }}
	}
	before := w.oracle.frameworks[f.ID]
	w.oracle.dropFilters(func(filter oracleFilter) bool {
		role := filter.client.role
		return filter.client.framework == f.ID && (!slices.Contains(roles, role) ||
			slices.Contains(before.Suppressed, role) && !slices.Contains(f.Suppressed, role))
	})
	w.state.PutFramework(f)
	w.oracle.frameworks[f.ID] = f
	w.oracle.forget()
}

func (w *world) frameworkLeaves(t *rapid.T) {
	id := rapid.SampledFrom(worldFrameworks).Draw(t, "framework")
	if w.plain && rapid.IntRange(0, 5).Draw(t, "rarely") > 0 {
		return
	}
	if rapid.IntRange(0, 2).Draw(t, "forEver") == 0 {
		w.state.RemoveFramework(id)
		w.oracle.removeFramework(id)
		return
	}
	w.state.DeactivateFramework(id)
	w.oracle.dropFilters(func(f oracleFilter) bool { return f.client.framework == id })
	if f, known := w.oracle.frameworks[id]; known {
		f.Active = false
		w.oracle.frameworks[id] = f
	}
}

// someRoles draws roles of the framework to suppress or revive, and returns those that it means.
func (w *world) someRoles(t *rapid.T) (id string, named, meant []string) {
	id = rapid.SampledFrom(worldFrameworks).Draw(t, "framework")
	if rapid.Bool().Draw(t, "one") {
		named = []string{rapid.SampledFrom(worldRoles).Draw(t, "role")}
	}
	for _, role := range w.oracle.frameworks[id].Roles {
		if len(named) == 0 || slices.Contains(named, role) {
			meant = append(meant, role)
		}
	}
	return id, named, meant
}

func (w *world) suppress(t *rapid.T) {
	id, named, meant := w.someRoles(t)
	w.state.Suppress(id, named...)
	if f, known := w.oracle.frameworks[id]; known {
		f.Suppressed = append(slices.Clone(f.Suppressed), meant...)
		w.oracle.frameworks[id] = f
	}
}

func (w *world) revive(t *rapid.T) {
	id, named, meant := w.someRoles(t)
	w.state.Revive(id, named...)
	if f, known := w.oracle.frameworks[id]; known {
		f.Suppressed = slices.DeleteFunc(slices.Clone(f.Suppressed), func(role string) bool { return slices.Contains(meant, role) })
		w.oracle.frameworks[id] = f
	}
	w.oracle.dropFilters(func(f oracleFilter) bool {
		return f.client.framework == id && slices.Contains(meant, f.client.role)
	})
}

func (w *world) setWeight(t *rapid.T) {
	role, weight := rapid.SampledFrom(worldRoles).Draw(t, "role"), rapid.SampledFrom([]float64{0.5, 1, 2, 3}).Draw(t, "weight")
	if err := w.state.SetWeight(role, weight); err != nil {
		t.Fatal(err)
	}
	w.oracle.weights[role] = weight
}

// charge books anything, be it there or not, to a framework that may be unknown.
func (w *world) charge(t *rapid.T) {
	agent := rapid.SampledFrom(worldAgents).Draw(t, "agent")
	c := oracleClient{rapid.SampledFrom(worldFrameworks).Draw(t, "framework"), rapid.SampledFrom(worldRoles).Draw(t, "role")}
	r := drawResources(t, "charged").Allocate(c.role)
	err := w.state.Charge(c.framework, agent, r)
	if _, known := w.oracle.agents[agent]; known != (err == nil) {
		t.Fatalf("agent %s known %v, but %v", agent, known, err)
	} else if known && !r.IsZero() {
		w.oracle.book(c, agent, r)
	}
}

// held draws a part of something booked.
func (w *world) held(t *rapid.T) (c oracleClient, agent string, part Resources, ok bool) {
	var keys []string
	places := map[string]func(){}
	for client, byAgent := range w.oracle.booked {
		for id, r := range byAgent {
			key := fmt.Sprint(client, id)
			keys = append(keys, key)
			places[key] = func() { c, agent, part = client, id, r }
		}
	}
	if len(keys) == 0 {
		return c, agent, part, false
	}
	slices.Sort(keys)
	places[rapid.SampledFrom(keys).Draw(t, "held")]()
	if rapid.Bool().Draw(t, "part") {
		part = Resources{part.entries[:rapid.IntRange(1, len(part.entries)).Draw(t, "entries")]}
	}
	return c, agent, part, true
}

func (w *world) release(t *rapid.T) {
	if c, agent, part, ok := w.held(t); ok {
		if err := w.state.Release(c.framework, agent, part); err != nil {
			t.Fatal(err)
		}
		w.oracle.unbook(c, agent, part)
	}
	stranger := must(t, "unheard:1").Allocate("*")
	if err := w.state.Release("f1", "a1", stranger); err == nil {
		t.Fatal("something was released that nobody held")
	}
}

func (w *world) refuse(t *rapid.T) {
	c, agent, part, ok := w.held(t)
	if !ok {
		return
	}
	timeout := time.Duration(rapid.IntRange(0, 4).Draw(t, "timeout")) * time.Second
	if err := w.state.Refuse(c.framework, agent, part, timeout); err != nil {
		t.Fatal(err)
	}
	w.oracle.unbook(c, agent, part)
	if f := w.oracle.frameworks[c.framework]; timeout > 0 && f.Active && slices.Contains(f.Roles, c.role) {
		w.oracle.filters = append(w.oracle.filters, oracleFilter{c, agent, part.Unallocated(), w.now.Add(timeout).UnixNano()})
	}
}

func (w *world) advance(t *rapid.T) {
	w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "seconds")) * time.Second)
	w.state.Advance(w.now)
	w.oracle.now = w.now.UnixNano()
}

// round allocates over some or all agents and compares. Agents that were not looked at are those that nobody could get
// anything of: the oracle looks at them first.
func (w *world) round(t *rapid.T) {
	var named []string
	if rapid.Bool().Draw(t, "some") {
		named = rapid.SliceOfN(rapid.SampledFrom(worldAgents), 1, 2).Draw(t, "agents")
	}
	w.seed++
	var visited [stages][]string
	w.state.visited = func(stage int, a *agent) { visited[stage] = append(visited[stage], a.ID) }
	plan := w.state.Allocate(w.seed, named...)
	w.state.visited = nil
	again := w.state.Allocate(w.seed, named...)
	sameGrants(t, "second time", again.Grants, plan.Grants)

	var order [stages][]string
	for stage := range order {
		for _, id := range worldAgents {
			if !slices.Contains(visited[stage], id) && (len(named) == 0 || slices.Contains(named, id)) {
				order[stage] = append(order[stage], id)
			}
		}
		order[stage] = append(order[stage], visited[stage]...)
	}
	made := [stages][]Grant{plan.Grants[:plan.promised], plan.Grants[plan.promised:]}
	want, err := w.oracle.allocate(order, made)
	sameGrants(t, "oracle", plan.Grants, want)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range plan.Grants {
		if len(named) > 0 && !slices.Contains(named, g.Agent) {
			t.Fatalf("agent %s was not asked for", g.Agent)
		}
	}
	if err := w.state.Apply(plan); err != nil {
		t.Fatal(err)
	}
	if len(plan.Grants) > 0 && w.state.Apply(plan) == nil {
		t.Fatal("a plan was applied twice")
	}
}

func sameGrants(t *rapid.T, what string, got, want []Grant) {
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i].Framework != want[i].Framework || got[i].Role != want[i].Role ||
			got[i].Agent != want[i].Agent || !got[i].Resources.Equal(want[i].Resources) {
			t.Fatalf("%s: grant %d differs\ngot  %v\nwant %v", what, i, got, want)
		}
	}
}
