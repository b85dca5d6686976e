package offers

import "slices"

// class is the clients that are told apart by their refusals and holdings only: what may be offered to one of an agent may
// be offered to all. One answer serves them all, which matters when there are hundreds of frameworks in a role.
type class struct {
	key     classKey
	clients bits
	count   int
}

type classKey struct {
	role         *role
	capabilities Capabilities
	minimum      *requirement // the first; lists are shared or apart, never changed
	constrained  *client      // who has a constraint is alone: predicates can't be compared
}

// classify puts a client into its class, after any change of it.
func (s *State) classify(c *client) {
	key := classKey{role: c.role, capabilities: c.framework.Capabilities}
	if len(c.minimum) > 0 {
		key.minimum = &c.minimum[0]
	}
	if c.constraint != nil {
		key.constrained = c
	}
	if c.class != nil && c.class.key == key {
		return
	}
	s.declassify(c)
	if s.classes[key] == nil {
		s.classes[key] = &class{key: key}
	}
	c.class = s.classes[key]
	c.class.clients.add(c.index)
	c.class.count++
	if len(s.minimum) > 0 && key.minimum == &s.minimum[0] {
		s.usual.add(c.index)
	}
}

// declassify takes a client out of its class.
func (s *State) declassify(c *client) {
	if c.class == nil {
		return
	}
	c.class.clients.remove(c.index)
	if c.class.count--; c.class.count == 0 {
		delete(s.classes, c.class.key)
	}
	s.usual.remove(c.index)
	c.class = nil
}

// meets reports whether scalars, as sum tells them by name, meet one of the minimums (OFF-12).
func meets(minimum []requirement, sum func(name string) Amount) bool {
	return len(minimum) == 0 || slices.ContainsFunc(minimum, func(need requirement) bool {
		return !slices.ContainsFunc(need, func(n leastAmount) bool { return sum(n.name) < n.amount })
	})
}
