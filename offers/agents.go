package offers

import (
	"slices"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Agent is what the allocator has to know of an agent.
type Agent struct {
	ID     string
	Total  Resources // everything it has, allocated or not; marks of allocation are ignored
	Region string    // of its fault domain; empty counts as the master's own
	Active bool      // connected, not deactivated, not draining
	// Info is what the agent says of itself: hostname, attributes, domain. Offer constraints and the whitelist look at it; it
	// is never changed. May be nil if neither is in use.
	Info *mesos.AgentInfo
	// LacksMultiRole says that the agent did not register with MULTI_ROLE: frameworks with MULTI_ROLE are not offered it.
	LacksMultiRole bool
	// LacksHierarchy says that the agent did not register with HIERARCHICAL_ROLE: roles with a '/' are not offered it.
	LacksHierarchy bool
}

type agent struct {
	Agent
	index   int
	hasGPUs bool
	shares  bool      // Total has shared resources
	offered bool      // active and on the whitelist
	usual   answer    // whether free meets the usual minimum
	free    Resources // Total minus all of held, cut off at nothing (SEM-07), with all that is shared; unallocated
	over    bool      // held is, or was when last looked, more than Total
	held    []holding

	marks
	refused []*refused
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
	s.setTotal(known, a.Total)
	known.Agent = a
	s.setOffered(known)
	s.recompute(known)
	known.reopen()
}

// setTotal replaces what an agent has; the caller recomputes what is free.
func (s *State) setTotal(a *agent, total Resources) {
	s.total.add(s.kinds.sum(a.Total, -1, nil))
	s.total.add(s.kinds.sum(total, 1, nil))
	s.accountReserved(a.Total, -1)
	s.accountReserved(total, 1)
	a.Total = total
	for kind, amount := range s.kinds.sum(total, 1, nil) {
		for len(s.biggest) <= kind {
			s.biggest = append(s.biggest, 0)
		}
		s.biggest[kind] = max(s.biggest[kind], amount)
	}
	a.hasGPUs = total.Scalar("gpus") > 0
	a.shares = !total.Shared().IsZero()
}

// accountReserved adds reservations to what their roles have reserved, or takes them away (sign -1).
func (s *State) accountReserved(total Resources, sign Amount) {
	for i := range total.entries {
		e := &total.entries[i]
		id := e.id.Value()
		if id.depth == 0 || id.revocable || e.scalar == 0 {
			continue
		}
		var buffer [8]Amount
		change := s.kinds.sum(Resources{total.entries[i : i+1]}, sign, buffer[:])
		r := s.role(id.role)
		r.pins += int(sign)
		for node := r; node.parent != nil; node = node.parent {
			node.reserved.add(change)
		}
		s.prune(r)
	}
}

// setFree replaces what is free on an agent.
func (s *State) setFree(a *agent, free Resources) {
	s.countSpare(a, -1)
	a.free, a.usual = free, unknown
	s.countSpare(a, 1)
}

// answer is yes, no, or not asked yet.
type answer uint8

const (
	unknown answer = iota
	yes
	no
)

// meetsUsual reports whether what is free meets the usual minimum (OFF-12).
func (s *State) meetsUsual(a *agent) bool {
	if a.usual == unknown {
		a.usual = no
		if meets(s.minimum, a.free.Scalar) {
			a.usual = yes
		}
	}
	return a.usual == yes
}

// countSpare adds what an agent has free to what guarantees can be met with, or takes it away (sign -1).
func (s *State) countSpare(a *agent, sign Amount) {
	if a.offered {
		var buffer [8]Amount
		s.spare.add(s.kinds.sumQuota(a.free, sign, buffer[:]))
	}
}

// setOffered looks anew whether an agent is offered at all.
func (s *State) setOffered(a *agent) {
	offered := a.Active && (s.whitelist == nil || s.whitelist[a.Info.GetHostname()])
	if offered != a.offered {
		s.countSpare(a, -1)
		a.offered = offered
		s.countSpare(a, 1)
	}
}

// SetWhitelist has only the agents of these hosts offered (ALT-06); nil stands for all, an empty list for none. Bookings
// and outstanding offers stay.
func (s *State) SetWhitelist(hostnames []string) {
	s.version++
	s.whitelist = nil
	if hostnames != nil {
		s.whitelist = make(map[string]bool, len(hostnames))
		for _, name := range hostnames {
			s.whitelist[name] = true
		}
	}
	for _, a := range s.slots {
		if a != nil {
			s.setOffered(a)
		}
	}
}

// SetAgentActive starts or stops offering an agent; what is booked on it stays. It reports whether the agent is known.
func (s *State) SetAgentActive(id string, active bool) bool {
	a := s.agents[id]
	if a == nil {
		return false
	}
	s.version++
	a.Active = active
	s.setOffered(a)
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
	s.setTotal(a, Resources{})
	a.Active = false
	s.setOffered(a)
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
	a.refused = nil
	a.reopen()
}

// recompute derives what is free from scratch.
func (s *State) recompute(a *agent) {
	free := a.Total
	a.over = false
	for _, h := range a.held {
		taken := a.taken(h.resources)
		a.over = a.over || !free.Contains(taken)
		free = free.without(taken)
	}
	s.setFree(a, free)
}

// taken is what a booking takes away from what is free: shared resources stay free (RUN-08).
func (a *agent) taken(allocated Resources) Resources {
	if a.shares {
		allocated = allocated.Exclusive()
	}
	return allocated.Unallocated()
}

// holds is the place of the client in held, or -1.
func (a *agent) holds(c *client) int {
	return slices.IndexFunc(a.held, func(h holding) bool { return h.client == c })
}
