package offers

// AllocatedWithin is the part that is allocated to a role or to one below it in the tree of roles (ALC-01).
func (r Resources) AllocatedWithin(role string) Resources {
	return r.filter(func(e *entry) bool { return e.role != "" && isWithin(e.role, role) })
}

// ReservedWithin is the part that is reserved for a role or for one below it, statically or dynamically.
func (r Resources) ReservedWithin(role string) Resources {
	return r.filter(func(e *entry) bool {
		holder := e.id.Value().role
		return holder != "" && isWithin(holder, role)
	})
}

// Counts is Quantities with what is not a scalar counted: the numbers in ranges, the words in sets. Quota is about these.
func (r Resources) Counts() Quantities {
	out := r.Quantities()
	for _, e := range r.entries {
		n := uint64(len(e.set))
		for _, x := range e.ranges {
			n += x.End - x.Begin + 1
		}
		if n != 0 {
			out[e.id.Value().name] += Amount(n) * Unit
		}
	}
	return out
}

// Add adds o to q, sign times; what becomes 0 leaves.
func (q Quantities) Add(o Quantities, sign Amount) {
	for name, amount := range o {
		if q[name] += sign * amount; q[name] == 0 {
			delete(q, name)
		}
	}
}

// Contains says whether q has at least o.
func (q Quantities) Contains(o Quantities) bool {
	for name, amount := range o {
		if amount > q[name] {
			return false
		}
	}
	return true
}

// Within says whether nothing exceeds its limit; what has no limit may be anything.
func (q Quantities) Within(limits Quantities) bool {
	for name, amount := range q {
		if limit, limited := limits[name]; limited && amount > limit {
			return false
		}
	}
	return true
}

// String is Mesos's text, "cpus:4; mem:1024", or "{}" for nothing.
func (q Quantities) String() string {
	if len(q) == 0 {
		return "{}"
	}
	text := ""
	for _, name := range sortedKeys(q) {
		if text != "" {
			text += "; "
		}
		text += name + ":" + q[name].String()
	}
	return text
}

// AllocatedQuantities is the sum of every scalar by the role it is allocated to; "" is not allocated.
func (r Resources) AllocatedQuantities() map[string]Quantities {
	out := map[string]Quantities{}
	for i := range r.entries {
		e := &r.entries[i]
		if e.scalar == 0 {
			continue
		}
		if out[e.role] == nil {
			out[e.role] = Quantities{}
		}
		out[e.role][e.id.Value().name] += e.scalar
	}
	return out
}
