package offers

import (
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// choice is what a client may have of what is left of an agent. One choice serves all clients of a class, until a
// grant makes it void.
type choice struct {
	class  *class // whose it is; nil: there is none
	why    Why    // it may not have it; empty: it may
	picks  []pick
	cut    bool      // picks is less than it would be without quotas
	bundle Resources // picks, if bundled
	whole  bool
}

// pick is a part of an entry of the agent's free resources.
type pick struct {
	entry  int
	kind   int    // of what counts toward quota; else -1
	amount Amount // of ranges and sets 1
}

// verdict says why a client may get nothing; why is empty if it may have round.choice.
type verdict struct {
	why     Why
	refused *refused // for WhyRefused
	cut     bool     // it might get something if quotas left more
}

// ofOne reports whether the verdict is about the client alone, and not about all of its class.
func (v verdict) ofOne() bool { return v.why == WhyRefused || v.why == WhyShared }

// consider decides whether the client may have anything of what is left of the agent, and leaves that in choice. Every
// rule here must be one that gives nothing of less to whom it gives nothing of more (see marks).
func (r *round) consider(c *client, a *agent) verdict {
	if why := r.bars(c, a); why != "" {
		return verdict{why: why}
	}
	if r.choice.class != c.class {
		r.choice = choice{class: c.class, picks: r.choice.picks[:0]}
		r.choice.why = r.choose(c, a)
		if r.choice.why == "" && !r.allocatable(c, a) {
			r.choice.why = WhyTooLittle
		}
	}
	if r.choice.why != "" {
		return verdict{why: r.choice.why, cut: r.choice.cut}
	}
	if a.shares && r.has(c, a) {
		return verdict{why: WhyShared, cut: r.choice.cut}
	}
	if len(a.refused) > 0 {
		if f := a.covering(c, r.bundle(a)); f != nil {
			return verdict{WhyRefused, f, r.choice.cut}
		}
	}
	return verdict{}
}

// bars says why the client is offered nothing of the agent whatever is free, or nothing.
func (r *round) bars(c *client, a *agent) Why {
	caps := &c.framework.Capabilities
	switch {
	case a.Region != "" && a.Region != r.state.options.Region && !caps.RegionAware:
		return WhyRegion
	case a.hasGPUs && r.state.options.FilterGPUs && !caps.GPUs:
		return WhyGPUs
	case a.LacksMultiRole && caps.MultiRole:
		return WhyAgentMultiRole
	case a.LacksHierarchy && strings.Contains(c.role.path, "/"):
		return WhyAgentHierarchy
	case c.constraint != nil && !c.constraint(a.info()):
		return WhyConstraint
	}
	return ""
}

// info is what the agent says of itself, never nil.
func (a *agent) info() *mesos.AgentInfo {
	if a.Info == nil {
		return &mesos.AgentInfo{}
	}
	return a.Info
}

// choose picks what is left of the agent, without reservations of roles that the client's role is not below, without what
// the framework can't handle, and no more than quotas leave. If that is nothing, it says why.
func (r *round) choose(c *client, a *agent) Why {
	caps := &c.framework.Capabilities
	why := WhyNothingFree
	room := r.roomFor(c)
	progress := r.stage != guarantees
	for i := range a.free.entries {
		e := &a.free.entries[i]
		if r.rest[i] == 0 {
			continue
		}
		id := e.id.Value()
		switch {
		case id.depth > 0 && !isWithin(c.role.path, id.role):
			why = WhyReserved
			continue
		case id.depth > 1 && !caps.ReservationRefinement, id.revocable && !caps.Revocable, id.shared && !caps.Shared:
			why = WhyCapability
			continue
		}
		p := pick{i, -1, r.rest[i]}
		if room != nil && e.scalar > 0 && e.countsTowardQuota() {
			p.kind = r.state.kinds.of(id.name)
			if r.cut(&p, &id, room); p.amount == 0 {
				why = WhyQuota
				continue
			}
			progress = progress || r.budget.of(c.role).unmet(p.kind) > 0
		}
		r.choice.picks = append(r.choice.picks, p)
	}
	switch {
	case len(r.choice.picks) == 0:
		return why
	case !progress:
		return WhyNoProgress
	}
	return ""
}

// roomFor is what quotas leave to the client, nil if there are none.
func (r *round) roomFor(c *client) vector {
	if r.budget == nil {
		return nil
	}
	return r.budget.room(r.budget.of(c.role), r.stage)
}

// cut limits a pick to the room that others before it leave. What is indivisible is picked as a whole or not at all.
func (r *round) cut(p *pick, id *identity, room vector) {
	left := room[p.kind]
	for _, other := range r.choice.picks {
		if other.kind == p.kind && left != unlimited {
			left = max(0, left-other.amount)
		}
	}
	if p.amount <= left {
		return
	}
	r.choice.cut = true
	if p.amount = left; id.size > 0 {
		p.amount = 0
	}
}

// allocatable reports whether the choice meets one of the client's minimums (OFF-12).
func (r *round) allocatable(c *client, a *agent) bool {
	return meets(c.minimum, func(name string) Amount {
		var sum Amount
		for _, p := range r.choice.picks {
			if e := &a.free.entries[p.entry]; e.scalar > 0 && e.id.Value().name == name {
				sum += p.amount
			}
		}
		return sum
	})
}

// has reports whether the choice is nothing but shared resources that the client holds already.
func (r *round) has(c *client, a *agent) bool {
	for _, p := range r.choice.picks {
		e := &a.free.entries[p.entry]
		if e.copies == 0 || c.shared[share{a.index, e.id}] == 0 {
			return false
		}
	}
	return true
}

// bundle is the choice as resources.
func (r *round) bundle(a *agent) Resources {
	ch := &r.choice
	if ch.whole {
		return ch.bundle
	}
	ch.whole = true
	if r.untouched && !ch.cut && len(ch.picks) == len(a.free.entries) {
		ch.bundle = a.free
		return ch.bundle
	}
	out := make([]entry, len(ch.picks))
	for i, p := range ch.picks {
		out[i] = a.free.entries[p.entry]
		if out[i].scalar > 0 {
			out[i].scalar = p.amount
		}
	}
	ch.bundle = Resources{out}
	return ch.bundle
}
