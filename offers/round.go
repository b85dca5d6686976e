package offers

import (
	"errors"
	"slices"
	"strings"
)

// Plan is the outcome of a round.
type Plan struct {
	Grants []Grant // in the order decided

	version uint64
	misses  []miss // clients that an agent can't serve: the round's findings, for Apply to remember
}

// Grant is one offer to be made: resources of one agent for one role of one framework (OFF-01).
type Grant struct {
	Framework, Role, Agent string
	Resources              Resources // allocated to Role
}

type miss struct{ agent, client int32 }

// ByFramework groups the grants: one OFFERS event each (RUN-09), in the order of each framework's first grant.
func (p Plan) ByFramework() [][]Grant {
	var groups [][]Grant
	place := map[string]int{}
	for _, g := range p.Grants {
		i, known := place[g.Framework]
		if !known {
			i = len(groups)
			place[g.Framework] = i
			groups = append(groups, nil)
		}
		groups[i] = append(groups[i], g)
	}
	return groups
}

// ErrStale says that the ledger has changed since the plan was made.
var ErrStale = errors.New("the plan is out of date: the ledger has changed since it was made")

// Apply books a plan that was made from this very state: every grant becomes allocated. A plan that is out of date is
// refused whole (ErrStale).
func (s *State) Apply(p Plan) error {
	if p.version != s.version {
		return ErrStale
	}
	for _, m := range p.misses {
		a := s.slots[m.agent]
		if !a.ceiling.Contains(a.free) {
			a.reopen()
		}
		a.ceiling = a.free
		a.closed.add(int(m.client))
	}
	for _, g := range p.Grants {
		c := s.frameworks[g.Framework].clients[g.Role]
		s.book(s.agents[g.Agent], c, g.Resources)
	}
	return nil
}

// Allocate decides one round over the given agents, over all if none is named: a pure function of the ledger and the
// seed, which shuffles the agents (RUN-01). Nothing is booked until Apply. Unknown agents are passed over.
func (s *State) Allocate(seed uint64, agents ...string) Plan {
	r := &round{state: s, plan: Plan{version: s.version}, wanted: make(bits, len(s.open))}
	var candidates []*agent
	if len(agents) == 0 {
		candidates = make([]*agent, 0, len(s.agents))
		for _, a := range s.slots {
			if r.worthwhile(a) {
				candidates = append(candidates, a)
			}
		}
	}
	var named bits
	for _, id := range agents {
		if a := s.agents[id]; r.worthwhile(a) && !named.has(a.index) {
			named.add(a.index)
			candidates = append(candidates, a)
		}
	}
	if len(candidates) == 0 {
		return r.plan
	}
	shuffle(candidates, seed)
	r.order = newOrder(s)
	r.run(candidates)
	return r.plan
}

// round is the working state of one Allocate.
type round struct {
	state  *State
	order  *order
	plan   Plan
	wanted bits // clients that may get something of the agent at hand

	taken    []bool // which entries of the agent's free resources are granted already
	left     int    // how many are not
	selected []int  // entries that a client may have; reused
	grants   []grant

	chosen    choiceKey // what selected is for
	chosenWhy Why       // and whether it may not be had
}

type grant struct {
	client    int
	resources Resources
}

// worthwhile reports whether the agent has something that somebody may get.
func (r *round) worthwhile(a *agent) bool {
	return a != nil && a.Active && !a.free.IsZero() && r.state.open.without(a.closed, r.wanted)
}

// run offers what is left of each agent to everybody in order; who takes it is charged before the next agent's turn.
func (r *round) run(agents []*agent) {
	for _, a := range agents {
		r.state.open.without(a.closed, r.wanted)
		r.taken = append(r.taken[:0], make([]bool, len(a.free.entries))...)
		r.left = len(a.free.entries)
		r.grants = r.grants[:0]
		r.visit(r.order.root, a)
		for _, g := range r.grants {
			r.order.granted(g.client, g.resources)
		}
	}
}

// visit goes down the tree of roles in order, and reports whether anything is left of the agent.
func (r *round) visit(c *contender, a *agent) bool {
	for _, below := range c.below {
		if !r.visit(below, a) {
			return false
		}
	}
	for _, i := range c.clients {
		if r.wanted.has(int(i)) {
			r.try(r.state.clients[i], a)
			if r.left == 0 {
				return false
			}
		}
	}
	return true
}

// try grants the client all that it may have of what is left of the agent (RUN-07).
func (r *round) try(c *client, a *agent) {
	if v := r.consider(c, a); v.why != "" {
		if r.left == len(a.free.entries) {
			r.plan.misses = append(r.plan.misses, miss{int32(a.index), int32(c.index)})
		}
		return
	}
	granted := make([]entry, len(r.selected))
	for i, at := range r.selected {
		granted[i] = a.free.entries[at]
		granted[i].role = c.role.path
		r.taken[at] = true
	}
	r.left -= len(granted)
	r.grants = append(r.grants, grant{c.index, Resources{granted}})
	r.plan.Grants = append(r.plan.Grants, Grant{
		Framework: c.framework.ID, Role: c.role.path, Agent: a.ID, Resources: Resources{granted},
	})
}

// verdict says why a client may get nothing; why is empty if it may have round.selected.
type verdict struct {
	why     Why
	refusal *refusal // for WhyRefused
}

// consider decides whether the client may have anything of what is left of the agent, and leaves that in selected. Every
// rule here must be one that gives nothing of less to whom it gives nothing of more (see agent.closed).
func (r *round) consider(c *client, a *agent) verdict {
	caps := &c.framework.Capabilities
	switch {
	case a.Region != "" && a.Region != r.state.options.Region && !caps.RegionAware:
		return verdict{why: WhyRegion}
	case a.hasGPUs && r.state.options.FilterGPUs && !caps.GPUs:
		return verdict{why: WhyGPUs}
	case a.LacksMultiRole && caps.MultiRole:
		return verdict{why: WhyAgentMultiRole}
	case a.LacksHierarchy && strings.Contains(c.role.path, "/"):
		return verdict{why: WhyAgentHierarchy}
	}
	if why := r.choice(c, a); why != "" {
		return verdict{why: why}
	}
	if first := a.refusal(c); first != nil {
		if covering := first.covers(r.selection(a)); covering != nil {
			return verdict{WhyRefused, covering}
		}
	}
	return verdict{}
}

// choice is choose and allocatable. Clients of one role are mostly alike, so the last answer often holds.
func (r *round) choice(c *client, a *agent) Why {
	key := choiceKey{a, c.role, c.framework.Capabilities, first(c.minimum), r.left}
	if r.chosen == key {
		return r.chosenWhy
	}
	r.chosen, r.chosenWhy = key, r.choose(c, a)
	if r.chosenWhy == "" && !r.allocatable(c, a) {
		r.chosenWhy = WhyTooLittle
	}
	return r.chosenWhy
}

// choiceKey is all that choice looks at: what is left of an agent shrinks, and so is told by how much it is.
type choiceKey struct {
	agent        *agent
	role         *role
	capabilities Capabilities
	minimum      *requirement // the first; lists are shared or apart, never changed
	left         int
}

func first(list []requirement) *requirement {
	if len(list) == 0 {
		return nil
	}
	return &list[0]
}

// choose leaves in selected what is left of the agent, without reservations of roles that the client's role is not below
// and without what the framework can't handle. If that is nothing, it says why.
func (r *round) choose(c *client, a *agent) Why {
	r.selected = r.selected[:0]
	caps := &c.framework.Capabilities
	why := WhyNothingFree
	for i := range a.free.entries {
		if r.taken[i] {
			continue
		}
		id := a.free.entries[i].id.Value()
		switch {
		case id.depth > 0 && !isWithin(c.role.path, id.role):
			why = WhyReserved
		case id.depth > 1 && !caps.ReservationRefinement, id.revocable && !caps.Revocable, id.shared && !caps.Shared:
			why = WhyCapability
		default:
			r.selected = append(r.selected, i)
		}
	}
	if len(r.selected) > 0 {
		return ""
	}
	return why
}

// allocatable reports whether the selection meets one of the client's minimums (OFF-12).
func (r *round) allocatable(c *client, a *agent) bool {
	if len(c.minimum) == 0 {
		return true
	}
	return slices.ContainsFunc(c.minimum, func(need requirement) bool {
		for _, n := range need {
			var sum Amount
			for _, at := range r.selected {
				if e := &a.free.entries[at]; e.id.Value().name == n.name {
					sum += e.scalar
				}
			}
			if sum < n.amount {
				return false
			}
		}
		return true
	})
}

// selection is the selected entries as a bundle.
func (r *round) selection(a *agent) Resources {
	if len(r.selected) == len(a.free.entries) {
		return a.free
	}
	out := make([]entry, len(r.selected))
	for i, at := range r.selected {
		out[i] = a.free.entries[at]
	}
	return Resources{out}
}
