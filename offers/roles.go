package offers

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// role is a node of the tree of roles (ALC-01): "a/b" is below "a". It exists as long as it or a role below it has a
// client. The root has the empty path and is no role.
type role struct {
	path     string
	parent   *role
	children []*role
	clients  []*client

	own      vector // booked to clients in this very role
	ownCount uint64
	all      vector // booked to it and to roles below it
	allCount uint64
}

// at finds or makes the node of a path.
func (r *role) at(path string) *role {
	node := r
	for end := 0; end < len(path); {
		next := strings.IndexByte(path[end:], '/')
		if next < 0 {
			next = len(path) - end
		}
		prefix := path[:end+next]
		end += next + 1
		i := slices.IndexFunc(node.children, func(c *role) bool { return c.path == prefix })
		if i < 0 {
			node.children = append(node.children, &role{path: prefix, parent: node})
			i = len(node.children) - 1
		}
		node = node.children[i]
	}
	return node
}

// prune removes the node and those above it that have nothing left.
func (r *role) prune() {
	for r.parent != nil && len(r.clients) == 0 && len(r.children) == 0 {
		parent := r.parent
		parent.children = slices.DeleteFunc(parent.children, func(c *role) bool { return c == r })
		r = parent
	}
}

// walk visits every role below the root.
func (r *role) walk(visit func(*role)) {
	for _, c := range r.children {
		visit(c)
		c.walk(visit)
	}
}

// book adds to what is allocated to the role and those above; times is 1 if that is a new booking (ALC-04), else 0.
func (r *role) book(change vector, times uint64) {
	r.own.add(change)
	r.ownCount += times
	for node := r; node.parent != nil; node = node.parent {
		node.all.add(change)
		node.allCount += times
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
