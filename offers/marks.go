package offers

// marks remember of an agent which clients it can't serve, so that a round need not ask again. Every reason for it is
// monotone: who gets nothing of much gets nothing of less. So a mark holds until something grows: what is free on the agent
// beyond the ceiling (grown), what quotas leave to the client's role (State.ceilings), or what the client takes (reopenFor).
type marks struct {
	closed  bits         // gets nothing, whatever quotas leave
	cut     [stages]bits // gets nothing of what quotas left to it in a stage of a round
	ceiling Resources    // what was free when the marks were made
}

// mark remembers that a client was looked at, with everything that is free on the agent, and got nothing.
func (a *agent) mark(m miss) {
	if !a.ceiling.Contains(a.free) {
		a.reopen()
	}
	a.ceiling = a.free
	set := &a.closed
	if m.cut {
		set = &a.cut[m.stage]
	}
	if m.class != nil {
		set.unite(m.class.clients)
	} else {
		set.add(int(m.client))
	}
}

// reopen forgets who can't be served.
func (a *agent) reopen() {
	clear(a.closed)
	for i := range a.cut {
		clear(a.cut[i])
	}
	a.ceiling = Resources{}
}

// reopenFor has the client looked at afresh.
func (a *agent) reopenFor(c *client) {
	a.closed.remove(c.index)
	for i := range a.cut {
		a.cut[i].remove(c.index)
	}
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
