package offers

import (
	"errors"
)

// Plan is the outcome of a round.
type Plan struct {
	Grants []Grant // in the order decided

	version  uint64
	promised int    // how many of the grants were made for guarantees, before all others
	misses   []miss // clients that an agent can't serve: the round's findings, for Apply to remember
	stale    [stages]bits
	ceilings []ceilingChange
}

// Grant is one offer to be made: resources of one agent for one role of one framework (OFF-01).
type Grant struct {
	Framework, Role, Agent string
	Resources              Resources // allocated to Role

	whole bool // it is all that is free
}

// miss is a client, or a class of them, that got nothing of an agent of which nothing was granted before in the round.
type miss struct {
	agent, client int32
	class         *class // nil: the client alone
	stage         int8
	cut           bool // what quotas had left of the agent was denied; else all of it
}

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
	for stage, clients := range p.stale {
		if len(clients) == 0 {
			continue
		}
		for _, a := range s.slots {
			if a != nil {
				a.cut[stage].without(clients, a.cut[stage])
			}
		}
	}
	s.changeCeilings(p.ceilings)
	for _, m := range p.misses {
		s.slots[m.agent].mark(m)
	}
	for _, g := range p.Grants {
		c := s.frameworks[g.Framework].clients[g.Role]
		a := s.agents[g.Agent]
		taken := a.free
		if !g.whole || a.shares {
			taken = a.taken(g.Resources)
		}
		s.book(a, c, g.Resources, taken)
	}
	return nil
}

// Allocate decides one round over the given agents, over all if none is named: a pure function of the ledger and the
// seed, which shuffles the agents (RUN-01). Nothing is booked until Apply. Unknown agents are passed over.
func (s *State) Allocate(seed uint64, agents ...string) Plan {
	r := &round{
		state: s, plan: Plan{version: s.version}, wanted: make(bits, len(s.open)), budget: newBudget(s), rests: map[*agent][]Amount{},
	}
	eligible := s.slots
	if len(agents) > 0 {
		eligible = s.named(agents)
	}
	if r.budget != nil {
		r.play(guarantees, eligible, ^seed)
		r.plan.promised = len(r.plan.Grants)
	}
	r.play(theRest, eligible, seed)
	return r.plan
}

// named are the agents of these names, each once.
func (s *State) named(ids []string) []*agent {
	var out []*agent
	var seen bits
	for _, id := range ids {
		if a := s.agents[id]; a != nil && !seen.has(a.index) {
			seen.add(a.index)
			out = append(out, a)
		}
	}
	return out
}

// round is the working state of one Allocate.
type round struct {
	state  *State
	order  *order  // nil until somebody may get something
	budget *budget // nil: there are no quotas
	plan   Plan
	rests  map[*agent][]Amount // what is left, by entry of free, of agents that something was granted of in an earlier stage

	stage    int
	contends bits // clients that get anything in this stage at all
	exceeded bits // of these, clients that get nothing of agents without reserved and revocable resources: no room
	wanted   bits // clients that may get something of the agent at hand

	rest      []Amount // of the agent at hand, by entry of free: what is not granted yet; of ranges and sets 1 or 0
	left      int      // how many entries have some
	untouched bool     // nothing of it is granted
	grants    []grant
	choice    choice
}

type grant struct {
	client    int
	resources Resources
}

// play runs a stage: it offers what is left of each agent to everybody in order; who takes it is charged before the next
// agent's turn. The agents' order is the seed's.
func (r *round) play(stage int, agents []*agent, seed uint64) {
	r.stage, r.exceeded = stage, nil
	if !r.begin() {
		return
	}
	var candidates []*agent
	for _, a := range agents {
		if a != nil && a.offered && !a.free.IsZero() && r.want(a) {
			candidates = append(candidates, a)
		}
	}
	if len(candidates) > 0 {
		if r.order == nil {
			r.order = newOrder(r.state, seed)
		}
		shuffle(candidates, seed)
		for _, a := range candidates {
			if r.state.visited != nil {
				r.state.visited(stage, a)
			}
			if r.enter(a) {
				r.visit(r.order.root, a)
				r.leave(a)
			}
		}
	}
	if r.budget != nil {
		r.plan.ceilings = append(r.plan.ceilings, r.budget.changes(stage)...)
	}
}

// begin finds out who gets anything in the stage; false if nobody does.
func (r *round) begin() bool {
	r.contends = r.state.open
	if r.budget == nil {
		return true
	}
	r.plan.stale[r.stage] = r.budget.settle(r.stage)
	if r.stage == guarantees {
		r.contends = nil
		for i := range r.budget.roles {
			if al := &r.budget.roles[i]; al.wanting() {
				al.top.addClients(&r.contends)
			}
		}
		r.contends.keep(r.state.open)
	}
	return len(r.contends) > 0
}

// want leaves in wanted the clients that may get something of the agent, and reports whether there are any.
func (r *round) want(a *agent) bool {
	r.wanted = append(r.wanted[:0], r.contends...)
	any := r.wanted.without(a.closed, r.wanted)
	if r.budget != nil && any {
		any = r.wanted.withoutUnless(a.cut[r.stage], r.plan.stale[r.stage])
		if any && len(r.exceeded) > 0 && !a.special() {
			any = r.wanted.without(r.exceeded, r.wanted)
		}
	}
	if any && !r.state.meetsUsual(a) {
		any = r.wanted.without(r.state.usual, r.wanted)
	}
	for _, f := range a.refused {
		if any && f.resources.Contains(a.free) {
			any = r.wanted.without(f.clients, r.wanted)
		}
	}
	return any
}

// special reports whether something is free that is reserved or revocable, which quotas don't hold back.
func (a *agent) special() bool {
	for i := range a.free.entries {
		if id := a.free.entries[i].id.Value(); id.depth > 0 || id.revocable {
			return true
		}
	}
	return false
}

// enter makes an agent the one at hand; false if there is nobody or nothing left to grant.
func (r *round) enter(a *agent) bool {
	if !r.want(a) {
		return false
	}
	r.face(a, r.rests[a])
	r.grants = r.grants[:0]
	return r.left > 0
}

// face takes up an agent; rest is what an earlier stage left of it, nil if that is everything.
func (r *round) face(a *agent, rest []Amount) {
	r.untouched = rest == nil
	r.rest, r.left = r.rest[:0], 0
	for i := range a.free.entries {
		amount := max(a.free.entries[i].scalar, 1)
		if rest != nil {
			amount = rest[i]
		}
		if r.rest = append(r.rest, amount); amount > 0 {
			r.left++
		}
	}
	r.choice = choice{}
}

// leave charges what was granted of the agent at hand.
func (r *round) leave(a *agent) {
	for _, g := range r.grants {
		r.order.granted(g.client, g.resources)
	}
	if r.budget != nil && !r.untouched {
		r.rests[a] = append(r.rests[a][:0], r.rest...)
	}
}

// visit goes down the tree of roles in order, and reports whether anything is left of the agent.
func (r *round) visit(c *contender, a *agent) bool {
	for i := range c.below {
		r.order.drawRole(c, i)
		if !r.visit(c.below[i], a) {
			return false
		}
	}
	for i := range c.clients {
		r.order.drawClient(c, i)
		if at := c.clients[i]; r.wanted.has(int(at)) {
			r.try(r.state.clients[at], a)
			if r.left == 0 {
				return false
			}
		}
	}
	return true
}

// try grants the client all that it may have of what is left of the agent (RUN-07).
func (r *round) try(c *client, a *agent) {
	if r.exceeded.has(c.index) && !a.specialFor(c) {
		return
	}
	if v := r.consider(c, a); v.why != "" {
		r.missed(c, a, v)
		return
	}
	whole := r.untouched && len(r.choice.picks) == len(a.free.entries)
	granted := make([]entry, len(r.choice.picks))
	for i, p := range r.choice.picks {
		granted[i] = a.free.entries[p.entry]
		granted[i].role = c.role.path
		if granted[i].scalar > 0 {
			granted[i].scalar = p.amount
		}
		if r.rest[p.entry] -= p.amount; r.rest[p.entry] == 0 {
			r.left--
		}
		if r.budget != nil && p.kind >= 0 {
			r.budget.grant(c.role, p.kind, p.amount)
		}
	}
	r.untouched = false
	r.choice = choice{}
	r.grants = append(r.grants, grant{c.index, Resources{granted}})
	r.plan.Grants = append(r.plan.Grants, Grant{
		Framework: c.framework.ID, Role: c.role.path, Agent: a.ID, Resources: Resources{granted}, whole: whole && r.left == 0,
	})
	if r.stage == guarantees && !r.budget.of(c.role).wanting() {
		var met bits
		c.role.top.addClients(&met)
		r.contends.without(met, r.contends)
		r.wanted.without(met, r.wanted)
	}
}

// missed passes over the client, or all like it, and remembers that it got nothing, if that says something about the agent as it is.
func (r *round) missed(c *client, a *agent, v verdict) {
	m := miss{int32(a.index), int32(c.index), nil, int8(r.stage), v.cut}
	if !v.ofOne() {
		m.class = c.class
		r.wanted.without(c.class.clients, r.wanted)
	}
	if r.untouched && v.why != WhyNoProgress {
		r.plan.misses = append(r.plan.misses, m)
		if v.cut {
			r.budget.of(c.role).marked[r.stage] = true
		}
	}
	if v.cut && r.stage == theRest && r.budget.refuses(c) {
		r.exceeded.add(c.index)
	}
}

// specialFor reports whether something is free that the client might have whatever quotas leave.
func (a *agent) specialFor(c *client) bool {
	for i := range a.free.entries {
		id := a.free.entries[i].id.Value()
		if id.depth > 0 && isWithin(c.role.path, id.role) || id.revocable && c.framework.Capabilities.Revocable {
			return true
		}
	}
	return false
}
