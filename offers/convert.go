package offers

import "fmt"

// Convert turns resources of an agent into others, as an operation did: reserved, made a volume, grown (ACC-03). before and
// after have one allocation, to a role of the framework that holds before, and both what it holds and what the agent has
// change together. Without framework the resources are free and unallocated (an operator's operation). If before is not held,
// or not free, nothing happens and the error says so.
//
// Of a shared volume an agent has one, however often it is held. To hold one more copy of it is no conversion but a Charge.
func (s *State) Convert(framework, agent string, before, after Resources) error {
	a := s.agents[agent]
	if a == nil {
		return fmt.Errorf("convert: agent %s is not known", agent)
	}
	total, err := a.Total.Minus(before.Unallocated().Once())
	if err != nil {
		return fmt.Errorf("convert resources of agent %s: %w", agent, err)
	}
	total = total.Plus(after.Unallocated().Once())
	if framework == "" {
		if _, err := a.free.Minus(before); err != nil {
			return fmt.Errorf("convert free resources of agent %s: %w", agent, err)
		}
		s.changeTotal(a, total)
		return nil
	}
	role, single := before.Allocation()
	if other, same := after.Allocation(); !single || !after.IsZero() && (!same || other != role) {
		return fmt.Errorf("convert: %s and %s on agent %s are not allocated to one role", before, after, agent)
	}
	c := s.clientOf(framework, role)
	i := a.holds(c)
	if i < 0 {
		return fmt.Errorf("convert: framework %s holds nothing of agent %s in role %s", framework, agent, role)
	}
	rest, err := a.held[i].resources.Minus(before)
	if err != nil {
		return fmt.Errorf("convert resources of agent %s held by framework %s in role %s: %w", agent, framework, role, err)
	}
	s.account(a, c, before, -1, 0)
	s.account(a, c, after, 1, 0)
	s.setHeld(a, i, rest.Plus(after))
	s.changeTotal(a, total)
	s.dropIfIdle(c)
	return nil
}

// changeTotal replaces what an agent has; marks of who can't be served are void, since there may be something new.
func (s *State) changeTotal(a *agent, total Resources) {
	s.version++
	s.setTotal(a, total)
	s.recompute(a)
	a.reopen()
}
