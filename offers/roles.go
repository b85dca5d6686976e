package offers

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unique"
)

// role is a node of the tree of roles (ALC-01): "a/b" is below "a". It exists as long as it or a role below it has a
// client, a reservation on an agent, or a quota. The root has the empty path and is no role.
type role struct {
	path     string
	parent   *role
	top      *role // the one below the root that it is in, maybe itself: the one that can have a quota (RUN-10)
	children []*role
	clients  []*client
	members  int // clients in it and below it
	pins     int // what else keeps it: resources reserved for this very role, a quota

	own       vector // booked to clients in this very role
	ownCount  uint64
	ownShared copies
	all       vector // booked to it and to roles below it
	allCount  uint64
	allShared copies

	charged  vector // of all: what counts toward the quota because it is booked
	reserved vector // what counts toward the quota because it is reserved, here or below, booked or not
	quota    *quota // of a top role; nil: no guarantee, no limit
}

// role finds or makes the node of a path.
func (s *State) role(path string) *role {
	if r := s.roles[path]; r != nil {
		return r
	}
	parent := s.root
	if slash := strings.LastIndexByte(path, '/'); slash >= 0 {
		parent = s.role(path[:slash])
	}
	r := &role{path: path, parent: parent, top: parent.top}
	if parent == s.root {
		r.top = r
	}
	parent.children = append(parent.children, r)
	s.roles[path] = r
	return r
}

// prune removes the node and those above it that have nothing left.
func (s *State) prune(r *role) {
	for r != s.root && r.members == 0 && r.pins == 0 && len(r.children) == 0 {
		parent := r.parent
		parent.children = slices.DeleteFunc(parent.children, func(c *role) bool { return c == r })
		delete(s.roles, r.path)
		r = parent
	}
}

// enter adds a client to the role.
func (r *role) enter(c *client) {
	r.clients = append(r.clients, c)
	for node := r; node.parent != nil; node = node.parent {
		node.members++
	}
}

// leave takes a client out. Where none is left, the number of bookings ever starts anew (ALC-04).
func (r *role) leave(c *client) {
	r.clients = slices.DeleteFunc(r.clients, func(other *client) bool { return other == c })
	for node := r; node.parent != nil; node = node.parent {
		if node.members--; node.members == 0 {
			node.ownCount, node.allCount = 0, 0
		}
	}
}

// copies counts who holds shared resources: only the first copy on an agent is charged.
type copies map[share]int

type share struct {
	agent int // its index
	id    unique.Handle[identity]
}

// change adds n copies (n may be negative), and says whether the first came (1), the last went (-1), or neither (0).
func (c *copies) change(s share, n int) Amount {
	if *c == nil {
		*c = copies{}
	}
	before := (*c)[s]
	after := before + n
	(*c)[s] = after
	switch {
	case after == 0:
		delete(*c, s)
		return -1
	case before == 0:
		return 1
	}
	return 0
}

// account adds what is booked (sign 1), or given back (-1), to the sums of the client, its role and the roles above;
// times is 1 if it is a new booking (ALC-04), else 0.
func (s *State) account(a *agent, c *client, r Resources, sign Amount, times uint64) {
	var buffer, quotaBuffer [8]Amount
	change := s.kinds.sum(r.Exclusive(), sign, buffer[:])
	charge := s.kinds.sumQuota(r, sign, quotaBuffer[:])
	c.count += times
	c.allocated.add(change)
	c.role.own.add(change)
	c.role.ownCount += times
	for node := c.role; node.parent != nil; node = node.parent {
		node.all.add(change)
		node.allCount += times
		node.charged.add(charge)
	}
	for i := range r.entries {
		if e := &r.entries[i]; e.copies > 0 {
			s.accountShared(a, c, e, int(sign)*e.copies)
		}
	}
}

// accountShared does the same for copies of a shared resource, of which each sum has at most one per agent.
func (s *State) accountShared(a *agent, c *client, e *entry, n int) {
	key := share{a.index, e.id}
	one := func(sum *vector, held *copies) {
		change := make(vector, s.kinds.of(e.id.Value().name)+1)
		change[len(change)-1] = held.change(key, n) * e.scalar
		sum.add(change)
	}
	one(&c.allocated, &c.shared)
	one(&c.role.own, &c.role.ownShared)
	for node := c.role; node.parent != nil; node = node.parent {
		one(&node.all, &node.allShared)
	}
}

// SetWeight sets the weight of a role against its siblings (ALC-06). The weight of a role nobody set is 1.
func (s *State) SetWeight(role string, weight float64) error {
	if err := ValidateRole(role); err != nil {
		return fmt.Errorf("set weight: %w", err)
	}
	if !(weight > 0) || math.IsInf(weight, 1) {
		return fmt.Errorf("set weight: %v of role %q is not above 0", weight, role)
	}
	s.version++
	s.weights[role] = weight
	return nil
}

func (s *State) weightOf(role string) float64 {
	if weight, set := s.weights[role]; set {
		return weight
	}
	return 1
}
