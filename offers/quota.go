package offers

import (
	"fmt"
	"math"
	"strings"
)

// Quota is what a role is promised and what it is held to (SEM-03, SEM-04). It counts for the role with all roles below
// it: they share it.
type Quota struct {
	// Guarantees: this much is held back from others until the role has it, unreserved or reserved. A kind that is missing
	// is not guaranteed.
	Guarantees Quantities
	// Limits: the role is not offered more than this. A kind that is missing is not limited; a kind that is 0 is never offered.
	// What the role has already is not taken away.
	Limits Quantities
}

// quota is Quota by kind.
type quota struct {
	Quota
	index     int // in State.quotas
	guarantee vector
	limit     vector // unlimited where there is none
}

// unlimited is more than there can be of anything.
const unlimited Amount = math.MaxInt64

// SetQuota sets or replaces the quota of a role. Only roles without '/' can have one (RUN-10), and no limit can be below
// its guarantee. Outstanding offers stay: rescinding some is the caller's choice.
func (s *State) SetQuota(role string, q Quota) error {
	if err := ValidateRole(role); err != nil {
		return fmt.Errorf("set quota: %w", err)
	}
	if strings.Contains(role, "/") {
		return fmt.Errorf("set quota: role %q is below another; only roles at the top can have a quota", role)
	}
	for _, name := range sortedKeys(q.Guarantees) {
		if limit, limited := q.Limits[name]; limited && limit < q.Guarantees[name] {
			return fmt.Errorf("set quota: role %q: the limit of %s, %s, is below the guarantee, %s", role, name, limit, q.Guarantees[name])
		}
	}
	s.RemoveQuota(role)
	if len(q.Guarantees) == 0 && len(q.Limits) == 0 {
		return nil
	}
	s.version++
	r := s.role(role)
	r.pins++
	r.quota = &quota{Quota: q, guarantee: s.kinds.vector(q.Guarantees)}
	for _, name := range sortedKeys(q.Limits) {
		kind := s.kinds.of(name)
		for len(r.quota.limit) <= kind {
			r.quota.limit = append(r.quota.limit, unlimited)
		}
		r.quota.limit[kind] = q.Limits[name]
	}
	r.quota.index = len(s.quotas)
	s.quotas = append(s.quotas, r)
	s.reopenRole(r)
	return nil
}

// RemoveQuota makes a role one without guarantees and limits again.
func (s *State) RemoveQuota(role string) {
	r := s.roles[role]
	if r == nil || r.quota == nil {
		return
	}
	s.version++
	last := s.quotas[len(s.quotas)-1]
	last.quota.index = r.quota.index
	s.quotas[last.quota.index] = last
	s.quotas = s.quotas[:len(s.quotas)-1]
	delete(s.ceilings, r.quota)
	r.quota = nil
	r.pins--
	s.reopenRole(r)
	s.prune(r)
}

// reopenRole makes every agent look at the clients of a role and those below it afresh.
func (s *State) reopenRole(r *role) {
	for _, c := range r.clients {
		s.reopenClient(c)
	}
	for _, child := range r.children {
		s.reopenRole(child)
	}
}

// Quota is the quota of a role; false if it has none.
func (s *State) Quota(role string) (Quota, bool) {
	if r := s.roles[role]; r != nil && r.quota != nil {
		return r.quota.Quota, true
	}
	return Quota{}, false
}

// Consumed is how much of a role's quota is used up (RUN-02): what is reserved for it or roles below it, booked or not, and
// what is booked to them of unreserved, non-revocable resources. Outstanding offers count as booked.
func (s *State) Consumed(role string) Quantities {
	r := s.roles[role]
	if r == nil {
		return Quantities{}
	}
	return s.kinds.quantities(r.consumed())
}

// consumed is what counts toward the role's quota, a vector of its own.
func (r *role) consumed() vector {
	var sum vector
	sum.add(r.charged)
	sum.add(r.reserved)
	return sum
}

// Reserved is what is reserved for a role or for roles below it, booked or not.
func (s *State) Reserved(role string) Quantities {
	if r := s.roles[role]; r != nil {
		return s.kinds.quantities(r.reserved)
	}
	return Quantities{}
}
