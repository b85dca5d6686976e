package offers

import "slices"

// Agent is what the allocator has to know of an agent.
type Agent struct {
	ID     string
	Total  Resources // everything it has, allocated or not; marks of allocation are ignored
	Region string    // of its fault domain; empty counts as the master's own
	Active bool      // connected, not deactivated, not draining
	// LacksMultiRole says that the agent did not register with MULTI_ROLE: frameworks with MULTI_ROLE are not offered it.
	LacksMultiRole bool
	// LacksHierarchy says that the agent did not register with HIERARCHICAL_ROLE: roles with a '/' are not offered it.
	LacksHierarchy bool
}

type agent struct {
	Agent
	index   int
	hasGPUs bool
	free    Resources // Total minus all of held, cut off at nothing (SEM-07); unallocated
	over    bool      // held is, or was when last looked, more than Total
	held    []holding

	// closed marks clients that the agent can't serve, for whatever reason (see round.consider), as long as what is free
	// is contained in ceiling. Who gets nothing of much gets nothing of less: reasons only ever look at what is free from
	// below. What could make it untrue takes the mark away: growth beyond the ceiling, a change of the agent, a change of
	// the client, a refusal that ends.
	closed  bits
	ceiling Resources

	refusals []*refusal // by client.index
}

// holding is what is booked to one client on an agent.
type holding struct {
	client    *client
	resources Resources // allocated to the client's role
}

// PutAgent adds an agent or replaces what is known of it; bookings stay. Refusals stay too: if attributes changed, call
// ClearFilters (OFF-11).
func (s *State) PutAgent(a Agent) {
	s.version++
	a.Total = a.Total.Unallocated()
	known := s.agents[a.ID]
	if known == nil {
		known = &agent{index: len(s.slots)}
		if n := len(s.freeSlot); n > 0 {
			known.index, s.freeSlot = s.freeSlot[n-1], s.freeSlot[:n-1]
			s.slots[known.index] = known
		} else {
			s.slots = append(s.slots, known)
		}
		s.agents[a.ID] = known
	}
	s.total.add(s.kinds.sum(known.Total, -1, nil))
	s.total.add(s.kinds.sum(a.Total, 1, nil))
	known.Agent = a
	known.hasGPUs = a.Total.Scalar("gpus") > 0
	known.recompute()
	known.reopen()
}

// SetAgentActive starts or stops offering an agent; what is booked on it stays. It reports whether the agent is known.
func (s *State) SetAgentActive(id string, active bool) bool {
	a := s.agents[id]
	if a == nil {
		return false
	}
	s.version++
	a.Active = active
	return true
}

// RemoveAgent forgets an agent, everything booked on it, and all refusals of it.
func (s *State) RemoveAgent(id string) {
	a := s.agents[id]
	if a == nil {
		return
	}
	s.version++
	for len(a.held) > 0 {
		h := a.held[len(a.held)-1]
		s.unbook(a, h.client, h.resources)
	}
	s.total.add(s.kinds.sum(a.Total, -1, nil))
	delete(s.agents, id)
	s.slots[a.index] = nil
	s.freeSlot = append(s.freeSlot, a.index)
}

// ClearFilters forgets all refusals of an agent (OFF-11: its attributes or resources were reconfigured).
func (s *State) ClearFilters(id string) {
	a := s.agents[id]
	if a == nil {
		return
	}
	s.version++
	clear(a.refusals)
	a.reopen()
}

// recompute derives what is free from scratch.
func (a *agent) recompute() {
	a.free, a.over = a.Total, false
	for _, h := range a.held {
		booked := h.resources.Unallocated()
		a.over = a.over || !a.free.Contains(booked)
		a.free = a.free.without(booked)
	}
}

// reopen forgets who can't be served.
func (a *agent) reopen() {
	clear(a.closed)
	a.ceiling = Resources{}
}

// grown is to be called when more than before is free.
func (a *agent) grown() {
	switch {
	case a.ceiling.Equal(a.free):
		a.free = a.ceiling // one copy is enough, and is quicker to compare
	case !a.ceiling.Contains(a.free):
		a.reopen()
	}
}

// holds is the place of the client in held, or -1.
func (a *agent) holds(c *client) int {
	return slices.IndexFunc(a.held, func(h holding) bool { return h.client == c })
}
