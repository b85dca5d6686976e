package offers

import (
	"maps"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

func (w *world) setQuota(t *rapid.T) {
	top := rapid.SampledFrom([]string{"r", "q", "*"}).Draw(t, "role")
	q := Quota{Guarantees: Quantities{}, Limits: Quantities{}}
	for _, name := range []string{"cpus", "mem"} {
		guarantee := Amount(rapid.IntRange(0, 4).Draw(t, "guarantee")) * Unit
		if guarantee > 0 {
			q.Guarantees[name] = guarantee
		}
		if rapid.IntRange(0, 2).Draw(t, "limited") == 0 {
			q.Limits[name] = guarantee + Amount(rapid.IntRange(0, 3000).Draw(t, "more"))
		}
	}
	if rapid.IntRange(0, 3).Draw(t, "none") == 0 {
		w.state.RemoveQuota(top)
		delete(w.oracle.quotas, top)
		return
	}
	if err := w.state.SetQuota(top, q); err != nil {
		t.Fatal(err)
	}
	w.oracle.quotas[top] = q
}

func (w *world) setWhitelist(t *rapid.T) {
	w.oracle.whitelist = nil
	var hosts []string
	if rapid.Bool().Draw(t, "whitelist") {
		hosts = rapid.SliceOfN(rapid.SampledFrom([]string{"a1", "a2", "a3", "a1x"}), 0, 3).Draw(t, "hosts")
		w.oracle.whitelist = map[string]bool{}
		for _, h := range hosts {
			w.oracle.whitelist[h] = true
		}
		if hosts == nil {
			hosts = []string{}
		}
	}
	w.state.SetWhitelist(hosts)
}

// makeVolume gives an agent a shared volume, or charges somebody with a copy of one.
func (w *world) makeVolume(t *rapid.T) {
	id := rapid.SampledFrom(worldAgents).Draw(t, "agent")
	a, known := w.oracle.agents[id]
	if !known {
		return
	}
	volume := scalar("disk", 3)
	volume.Reservations = dynamic(rapid.SampledFrom([]string{"r", "r/s", "q"}).Draw(t, "reserved for"))
	volume.Shared = &mesos.Resource_SharedInfo{}
	volume.Disk = &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "v"}}
	v := Resources{}.mustPlus(volume)
	if rapid.Bool().Draw(t, "in use") {
		c := oracleClient{rapid.SampledFrom(worldFrameworks).Draw(t, "framework"), rapid.SampledFrom(worldRoles).Draw(t, "role")}
		if err := w.state.Charge(c.framework, id, v.Allocate(c.role)); err != nil {
			t.Fatal(err)
		}
		w.oracle.book(c, id, v.Allocate(c.role))
		return
	}
	a.Total = a.Total.Plus(v).Once()
	w.state.PutAgent(a)
	w.oracle.agents[id] = a
}

// convert reserves something that somebody holds, or that is free.
func (w *world) convert(t *rapid.T) {
	var framework, agent string
	var before Resources
	if c, id, part, ok := w.held(t); ok && rapid.Bool().Draw(t, "held") {
		framework, agent, before = c.framework, id, part
	} else {
		agent = rapid.SampledFrom(worldAgents).Draw(t, "agent")
		if _, known := w.oracle.agents[agent]; !known {
			return
		}
		before = w.oracle.free(agent)
	}
	before = before.Unreserved()
	role, _ := before.Allocation()
	a := w.oracle.agents[agent]
	total, err := a.Total.Minus(before.Unallocated())
	if err != nil || before.IsZero() {
		return
	}
	list := before.Mesos()
	for i := range list {
		list[i].Reservations = dynamic(rapid.SampledFrom([]string{"r", "q"}).Draw(t, "for"))
	}
	after, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.state.Convert(framework, agent, before, after); err != nil {
		t.Fatal(err)
	}
	a.Total = total.Plus(after.Unallocated())
	w.oracle.agents[agent] = a
	if framework != "" {
		byAgent := w.oracle.booked[oracleClient{framework, role}]
		byAgent[agent] = byAgent[agent].without(before).Plus(after)
	}
}

// check compares what is free, consumed and held, and asks for explanations.
func (w *world) check(t *rapid.T) {
	for _, id := range worldAgents {
		if _, known := w.oracle.agents[id]; !known {
			continue
		}
		if got, want := w.state.Free(id), w.oracle.free(id); !got.Equal(want) {
			t.Fatalf("agent %s: %s is free, not %s", id, got, want)
		}
	}
	for _, top := range []string{"r", "q", "*"} {
		if got, want := w.state.Consumed(top), w.oracle.consumed(top); !maps.Equal(got, want) {
			t.Fatalf("role %s consumes %s, not %s", top, got, want)
		}
	}
	if _, available := w.oracle.headroom(); !maps.Equal(w.state.kinds.quantities(w.state.spare), available) {
		t.Fatalf("%s is spare, not %s", w.state.kinds.quantities(w.state.spare), available)
	}
	for _, id := range worldFrameworks {
		reasons := w.state.Explain(id)
		next := map[string]bool{}
		for _, r := range reasons {
			if r.Sentence == "" {
				t.Fatalf("a reason without words: %+v", r)
			}
			next[r.Agent] = next[r.Agent] || r.Why == WhyNext
		}
		for _, g := range w.state.Allocate(0).Grants {
			if g.Framework == id && !next[g.Agent] {
				t.Fatalf("framework %s is granted %s of %s, but the explanation is %v", id, g.Resources, g.Agent, reasons)
			}
		}
	}
}
