package offers

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Charge books resources of an agent, each allocated to a role (Resources.Allocate), to a framework: the tasks and
// executors that an agent registers with, or what an operation turned booked resources into. The framework need not have
// subscribed yet; the agent must be known. More than is free may be booked: then nothing of it is offered (SEM-07).
func (s *State) Charge(framework, agent string, allocated Resources) error {
	a, parts, err := s.split(agent, allocated)
	if err != nil {
		return fmt.Errorf("charge framework %s: %w", framework, err)
	}
	for _, p := range parts {
		s.book(a, s.clientFor(s.frameworkFor(framework), p.role), p.resources, a.taken(p.resources))
	}
	return nil
}

// Release gives back resources that were booked by Charge or Apply: a task ended, an offer was rescinded. What is not
// booked can't be given back: then nothing happens and the error says so.
func (s *State) Release(framework, agent string, allocated Resources) error {
	a, parts, err := s.split(agent, allocated)
	if err != nil {
		return fmt.Errorf("release from framework %s: %w", framework, err)
	}
	return s.release(framework, a, parts)
}

func (s *State) release(framework string, a *agent, parts []part) error {
	f := s.frameworks[framework]
	if f == nil {
		return fmt.Errorf("release from framework %s: it is not known", framework)
	}
	for _, p := range parts {
		var held Resources
		if i := a.holds(f.clients[p.role]); i >= 0 {
			held = a.held[i].resources
		}
		if missing, some := held.missing(p.resources); some {
			return fmt.Errorf("release from framework %s on agent %s in role %s: %s is not in %s",
				framework, a.ID, p.role, Resources{[]entry{missing}}, held)
		}
	}
	for _, p := range parts {
		s.unbook(a, f.clients[p.role], p.resources)
	}
	return nil
}

// Refuse gives back what was left of an offer, and for the given time keeps offers that are contained in it from the
// framework in that role (OFF-09, OFF-10). 0 sets no filter. See RefuseTimeout. The time runs from the last Advance.
func (s *State) Refuse(framework, agent string, allocated Resources, timeout time.Duration) error {
	a, parts, err := s.split(agent, allocated)
	if err != nil {
		return fmt.Errorf("release from framework %s: %w", framework, err)
	}
	if err := s.release(framework, a, parts); err != nil {
		return err
	}
	f := s.frameworks[framework]
	if timeout <= 0 || f == nil || !f.Active {
		return nil
	}
	for _, p := range parts {
		if c := f.clients[p.role]; c != nil && c.subscribed {
			s.refuse(c, a, p.resources.Unallocated(), s.now+int64(timeout))
		}
	}
	return nil
}

// RefuseTimeout reads Filters.refuse_seconds (nil: absent) as Mesos does (OFF-09): 5 s if absent, negative or no number,
// at most 365 days, 0 is no filter; anything else at least the allocation interval.
func RefuseTimeout(seconds *float64, interval time.Duration) time.Duration {
	const usual, longest = 5 * time.Second, 365 * 24 * time.Hour
	timeout := usual
	switch {
	case seconds == nil:
	case *seconds == 0:
		return 0
	case math.IsNaN(*seconds) || *seconds < 0 || math.IsInf(*seconds, 0):
	case *seconds > longest.Seconds():
		timeout = longest
	default:
		timeout = time.Duration(*seconds * float64(time.Second))
	}
	return max(timeout, interval)
}

// part is what of a bundle is allocated to one role.
type part struct {
	role      string
	resources Resources
}

// split finds the agent and parts the bundle by the role it is allocated to.
func (s *State) split(id string, allocated Resources) (*agent, []part, error) {
	a := s.agents[id]
	if a == nil {
		return nil, nil, fmt.Errorf("agent %s is not known", id)
	}
	if role, single := allocated.Allocation(); single {
		return a, []part{{role, allocated}}, nil
	}
	var parts []part
	for i := range allocated.entries {
		role := allocated.entries[i].role
		if role == "" {
			return nil, nil, fmt.Errorf("%s on agent %s is not allocated to a role", allocated, id)
		}
		if !slices.ContainsFunc(parts, func(p part) bool { return p.role == role }) {
			parts = append(parts, part{role, allocated.AllocatedTo(role)})
		}
	}
	return a, parts, nil
}

// book adds to what a client holds on an agent, and takes it from what is free.
func (s *State) book(a *agent, c *client, allocated, taken Resources) {
	s.version++
	if i := a.holds(c); i >= 0 {
		a.held[i].resources = a.held[i].resources.Plus(allocated)
	} else {
		a.held = append(a.held, holding{c, allocated})
		c.agents++
	}
	if !a.over && a.free.Contains(taken) {
		s.setFree(a, a.free.without(taken))
	} else {
		s.recompute(a)
	}
	s.account(a, c, allocated, 1, 1)
}

// setHeld replaces what a client holds on an agent, by its place in held; nothing ends the holding.
func (s *State) setHeld(a *agent, i int, r Resources) {
	a.held[i].resources = r
	if r.IsZero() {
		last := len(a.held) - 1
		a.held[i].client.agents--
		a.held[i], a.held[last] = a.held[last], holding{}
		a.held = a.held[:last]
	}
}

// unbook takes from what a client holds on an agent; the caller knows that it is there.
func (s *State) unbook(a *agent, c *client, allocated Resources) {
	s.version++
	i := a.holds(c)
	s.setHeld(a, i, a.held[i].resources.without(allocated))
	if a.over {
		s.recompute(a)
	} else {
		s.setFree(a, a.free.Plus(a.taken(allocated)))
	}
	a.grown()
	if a.shares {
		a.reopenFor(c) // see round.has
	}
	s.account(a, c, allocated, -1, 0)
	s.dropIfIdle(c)
}
