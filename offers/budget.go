package offers

import "slices"

// The stages of a round (RUN-04, RUN-05).
const (
	guarantees = iota // roles whose guarantee is not met yet
	theRest           // everybody
	stages
)

// budget is what quotas leave to be given in a round: it starts from the ledger and follows the round's own grants. What it
// leaves only ever shrinks in a round.
type budget struct {
	state    *State
	spare    vector // what guarantees can be met with
	required vector // what must be left of it: guarantees that are not met
	roles    []allowance
	others   allowance // of all roles without a quota
	grants   uint64    // so far; says whether a room is up to date
}

// allowance is the budget of a role with quota and all below it.
type allowance struct {
	top      *role // nil for others
	consumed vector
	room     [stages]vector // see budget.room
	asOf     [stages]uint64 // budget.grants when room was computed; 0 is never
	stale    [stages]bool   // marks made before this round don't hold: there is more room than there was
	marked   [stages]bool   // marks were made in this round
}

// newBudget is nil if there are no quotas.
func newBudget(s *State) *budget {
	if len(s.quotas) == 0 {
		return nil
	}
	n := len(s.kinds.names)
	b := &budget{state: s, spare: make(vector, n), required: make(vector, n), roles: make([]allowance, len(s.quotas)), grants: 1}
	copy(b.spare, s.spare)
	for i, r := range s.quotas {
		al := &b.roles[i]
		al.top, al.consumed = r, make(vector, n)
		al.consumed.add(r.charged)
		al.consumed.add(r.reserved)
		for kind := range r.quota.guarantee {
			b.required[kind] += al.unmet(kind)
		}
	}
	return b
}

// of is the allowance that a role shares in.
func (b *budget) of(r *role) *allowance {
	if q := r.top.quota; q != nil {
		return &b.roles[q.index]
	}
	return &b.others
}

// unmet is what the guarantee of a kind lacks.
func (al *allowance) unmet(kind int) Amount {
	if al.top == nil {
		return 0
	}
	return max(0, al.top.quota.guarantee.at(kind)-al.consumed.at(kind))
}

// wanting reports whether a guarantee is not met.
func (al *allowance) wanting() bool {
	for kind := range al.top.quota.guarantee {
		if al.unmet(kind) > 0 {
			return true
		}
	}
	return false
}

// surplus is what may be given without touching what guarantees need.
func (b *budget) surplus(kind int) Amount {
	if b.required[kind] == 0 {
		return unlimited
	}
	return max(0, b.spare[kind]-b.required[kind])
}

// below is what the limit of a kind leaves.
func (al *allowance) below(kind int) Amount {
	if al.top == nil || kind >= len(al.top.quota.limit) || al.top.quota.limit[kind] == unlimited {
		return unlimited
	}
	return max(0, al.top.quota.limit[kind]-al.consumed[kind])
}

// room is the most that may be given at a time, per kind: within the limit; and beyond what the guarantee lacks, in the
// stage of guarantees, or at all, in the other, no more than the surplus.
func (b *budget) room(al *allowance, stage int) vector {
	if al.asOf[stage] == b.grants {
		return al.room[stage]
	}
	if al.room[stage] == nil {
		al.room[stage] = make(vector, len(b.spare))
	}
	for kind := range al.room[stage] {
		room := b.surplus(kind)
		if stage == guarantees && room != unlimited {
			room += al.unmet(kind)
		}
		al.room[stage][kind] = min(room, al.below(kind))
	}
	al.asOf[stage] = b.grants
	return al.room[stage]
}

// grant charges what counts toward quota. It reports whether the role's guarantee is met now and was not before.
func (b *budget) grant(r *role, kind int, amount Amount) {
	b.grants++
	b.spare[kind] -= amount
	if al := b.of(r); al.top != nil {
		before := al.unmet(kind)
		al.consumed[kind] += amount
		b.required[kind] -= before - al.unmet(kind)
	}
}

// refuses reports whether the room is too little for each of a client's minimums, on an agent that has nothing that is
// reserved or revocable for it.
func (b *budget) refuses(c *client) bool {
	room := b.room(b.of(c.role), theRest)
	return !meets(c.minimum, func(name string) Amount {
		if kind, known := b.state.kinds.index[name]; known {
			return room[kind]
		}
		return unlimited
	})
}

// ceilings say how much room there was when marks of a stage were made: they hold while there is no more.
type ceilings struct {
	set  [stages]bool
	room [stages]vector
}

// clamped is an amount of a kind as far as it makes a difference: no agent has more.
func (s *State) clamped(v vector, kind int) Amount { return min(v.at(kind), s.biggest.at(kind)) }

// settle finds, at the start of a stage, whose marks of that stage don't hold any more, and returns these clients.
func (b *budget) settle(stage int) bits {
	var stale bits
	check := func(q *quota, al *allowance) bool {
		c := b.state.ceilings[q]
		if c == nil || !c.set[stage] {
			return false
		}
		room := b.room(al, stage)
		for kind := range room {
			if b.state.clamped(room, kind) > b.state.clamped(c.room[stage], kind) {
				al.stale[stage] = true
				return true
			}
		}
		return false
	}
	for i := range b.roles {
		if al := &b.roles[i]; check(al.top.quota, al) {
			al.top.addClients(&stale)
		}
	}
	if check(nil, &b.others) {
		for _, top := range b.state.root.children {
			if top.quota == nil {
				top.addClients(&stale)
			}
		}
	}
	return stale
}

// addClients adds the clients of the role and of roles below it to a set.
func (r *role) addClients(set *bits) {
	for _, c := range r.clients {
		set.add(c.index)
	}
	for _, child := range r.children {
		child.addClients(set)
	}
}

// ceilingChange is what a stage of a round found out about an allowance.
type ceilingChange struct {
	quota  *quota // nil: of others
	stage  int
	stale  bool
	marked bool
	room   vector
}

// changes lists what Apply has to remember of a stage that is over.
func (b *budget) changes(stage int) []ceilingChange {
	var out []ceilingChange
	note := func(q *quota, al *allowance) {
		if al.stale[stage] || al.marked[stage] {
			out = append(out, ceilingChange{q, stage, al.stale[stage], al.marked[stage], slices.Clone(b.room(al, stage))})
		}
	}
	for i := range b.roles {
		note(b.roles[i].top.quota, &b.roles[i])
	}
	note(nil, &b.others)
	return out
}

// changeCeilings remembers how much room there was for the marks of a round.
func (s *State) changeCeilings(changes []ceilingChange) {
	for _, ch := range changes {
		c := s.ceilings[ch.quota]
		if c == nil {
			c = &ceilings{}
			s.ceilings[ch.quota] = c
		}
		if ch.stale {
			c.set[ch.stage] = false
		}
		if !ch.marked {
			continue
		}
		if c.set[ch.stage] {
			for kind := range ch.room {
				ch.room[kind] = min(ch.room[kind], c.room[ch.stage].at(kind))
			}
		}
		c.set[ch.stage], c.room[ch.stage] = true, ch.room
	}
}
