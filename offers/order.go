package offers

import (
	"slices"
	"sort"
)

// order is who goes first, as a round sees it: the sorted tree of contenders, one per role that has a client which wants
// offers, and in each role the sorted clients. It starts from the ledger and then follows the round's own grants.
type order struct {
	state *State
	root  *contender
	seats []seat // by client.index; of the clients that want offers
	dice  dice   // for random sorters
}

// standing is what contenders and clients are sorted by: share, then number of bookings ever, then name (ALC-04).
type standing struct {
	share     float64 // dominant share divided by weight (ALC-03)
	count     uint64
	name      string
	weight    float64
	allocated vector
	copied    bool // allocated is the round's own, not the ledger's
}

func (a *standing) before(b *standing) bool {
	if a.share != b.share {
		return a.share < b.share
	}
	if a.count != b.count {
		return a.count < b.count
	}
	return a.name < b.name
}

// contender is a role that competes with its siblings. A role with clients and with contenders below it competes among
// those below through a leaf of its own, named "." (ALC-05).
type contender struct {
	standing
	parent  *contender
	below   []*contender // sorted; empty for a leaf
	clients []int32      // of a leaf: indexes of seats, sorted

	heaviest float64 // weight among those below
}

// seat is a client's standing among the clients of its role.
type seat struct {
	standing
	leaf *contender
}

// newOrder sorts everything that wants offers. Its cost is that of these clients and their roles, no others.
func newOrder(s *State, seed uint64) *order {
	o := &order{state: s, root: &contender{}, seats: make([]seat, len(s.clients)), dice: dice(seed)}
	for _, child := range s.root.children {
		if c := o.build(child); c != nil {
			c.parent = o.root
			o.root.below = append(o.root.below, c)
		}
	}
	o.root.sort()
	return o
}

// build makes the contender of a role, or nil if nobody in it or below it wants offers.
func (o *order) build(r *role) *contender {
	var below []*contender
	for _, child := range r.children {
		if c := o.build(child); c != nil {
			below = append(below, c)
		}
	}
	clients := o.seat(r)
	if len(below) == 0 && len(clients) == 0 {
		return nil
	}
	c := &contender{standing: o.standing(r.path, o.state.weightOf(r.path), r.all, r.allCount), below: below}
	leaf := c
	if len(below) > 0 && len(clients) > 0 {
		leaf = &contender{standing: o.standing(r.path+"/.", 1, r.own, r.ownCount)}
		c.below = append(c.below, leaf)
	}
	leaf.clients = clients
	for _, i := range clients {
		o.seats[i].leaf = leaf
	}
	for _, b := range c.below {
		b.parent = c
	}
	c.sort()
	return c
}

// seat sorts the clients of a role that want offers.
func (o *order) seat(r *role) []int32 {
	var clients []int32
	for _, c := range r.clients {
		if o.state.open.has(c.index) {
			o.seats[c.index].standing = o.standing(c.framework.ID, 1, c.allocated, c.count)
			clients = append(clients, int32(c.index))
		}
	}
	slices.SortFunc(clients, func(a, b int32) int {
		if o.seats[a].before(&o.seats[b].standing) {
			return -1
		}
		return 1
	})
	return clients
}

func (o *order) standing(name string, weight float64, allocated vector, count uint64) standing {
	share := o.state.kinds.share(allocated, o.state.total) / weight
	return standing{share: share, count: count, name: name, weight: weight, allocated: allocated}
}

func (c *contender) sort() {
	for _, b := range c.below {
		c.heaviest = max(c.heaviest, b.weight)
	}
	slices.SortFunc(c.below, func(a, b *contender) int {
		if a.before(&b.standing) {
			return -1
		}
		return 1
	})
}

// granted moves a client, its role and the roles above to their new places after a grant.
func (o *order) granted(client int, resources Resources) {
	s := &o.seats[client]
	var buffer [8]Amount
	change := o.state.kinds.sum(resources, 1, buffer[:])
	if o.state.options.FrameworkSorter == DRF {
		clients := s.leaf.clients
		at := sort.Search(len(clients), func(i int) bool { return !o.seats[clients[i]].before(&s.standing) })
		o.charge(&s.standing, change)
		reposition(clients, at, func(a, b int32) bool { return o.seats[a].before(&o.seats[b].standing) })
	}
	if o.state.options.RoleSorter != DRF {
		return
	}
	for c := s.leaf; c.parent != nil; c = c.parent {
		siblings := c.parent.below
		at := sort.Search(len(siblings), func(i int) bool { return !siblings[i].before(&c.standing) })
		o.charge(&c.standing, change)
		reposition(siblings, at, func(a, b *contender) bool { return a.before(&b.standing) })
	}
}

// drawRole brings to place i of those below who goes next; a sorted list has them in place.
func (o *order) drawRole(c *contender, i int) {
	if o.state.options.RoleSorter == Random {
		at := o.drawWeighted(c, i)
		c.below[i], c.below[at] = c.below[at], c.below[i]
	}
}

// drawClient is drawRole for the clients of a leaf, who weigh the same.
func (o *order) drawClient(c *contender, i int) {
	if o.state.options.FrameworkSorter == Random {
		at := i + int(o.dice.next()%uint64(len(c.clients)-i))
		c.clients[i], c.clients[at] = c.clients[at], c.clients[i]
	}
}

// maxRejections bounds how often drawWeighted guesses before it counts.
const maxRejections = 16

// drawWeighted is a place from i on in below, each with a chance that is its weight's part of all (ALC-07). Guessing a place
// and keeping it with the chance weight/heaviest takes a moment if weights are about the same.
func (o *order) drawWeighted(c *contender, i int) int {
	rest := c.below[i:]
	if len(rest) == 1 {
		return i
	}
	for range maxRejections {
		at := int(o.dice.next() % uint64(len(rest)))
		if o.dice.float()*c.heaviest < rest[at].weight {
			return i + at
		}
	}
	var sum float64
	for _, b := range rest {
		sum += b.weight
	}
	point := o.dice.float() * sum
	for at, b := range rest {
		if point -= b.weight; point < 0 {
			return i + at
		}
	}
	return i + len(rest) - 1
}

// charge works on a copy of the vector: the one it starts with is the ledger's.
func (o *order) charge(s *standing, change vector) {
	if !s.copied {
		s.allocated, s.copied = slices.Clone(s.allocated), true
	}
	s.allocated.add(change)
	s.count++
	s.share = o.state.kinds.share(s.allocated, o.state.total) / s.weight
}

// reposition moves list[at] to where it belongs; the others are sorted.
func reposition[T any](list []T, at int, before func(a, b T) bool) {
	item := list[at]
	if right := list[at+1:]; len(right) > 0 && before(right[0], item) {
		n := sort.Search(len(right), func(i int) bool { return before(item, right[i]) })
		copy(list[at:], right[:n])
		list[at+n] = item
		return
	}
	n := sort.Search(at, func(i int) bool { return before(item, list[i]) })
	copy(list[n+1:at+1], list[n:at])
	list[n] = item
}
