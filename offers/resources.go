package offers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Resources is a bundle of resources: amounts of scalars, ranges of numbers, sets of words, each kept apart by what it
// is (see identity) and by the role it is allocated to. It is a value: no method changes its receiver, copies are
// independent, and the zero value is the empty bundle.
type Resources struct {
	entries []entry // sorted by compareEntries, none empty; never changed in place
}

// entry is one kind of resource in a bundle. Exactly one of scalar, ranges, set is in use, as identity.kind says.
type entry struct {
	id     unique.Handle[identity]
	role   string // allocated to; "" is not allocated
	scalar Amount
	ranges Ranges
	set    []string // sorted, no doubles
	copies int      // of a shared resource: how often it is held; else 0
}

// identity says what a resource is, beside how much of it. Resources of one identity add up, others don't.
type identity struct {
	name         string
	kind         mesos.Value_Type
	role         string // who holds the reservation, the last of the stack; "" is unreserved
	depth        int    // of the stack of reservations; above 1 is refined
	reservations string // the stack, encoded (encodeReservations)
	disk         string // DiskInfo as protobuf bytes; opaque here
	provider     string
	revocable    bool
	shared       bool
	size         Amount // of what is had as a whole or not at all: shared resources, volumes, whole disks; else 0
}

// Plus is the sum. Ranges and sets are united: what both have is there once. Shared resources are counted: two bundles
// that hold the same one hold it twice, and give it back twice; it stays as large as it is (RUN-08).
func (r Resources) Plus(o Resources) Resources {
	if len(r.entries) == 0 {
		return o
	}
	if len(o.entries) == 0 {
		return r
	}
	return Resources{merge(r.entries, o.entries, true, addEntries)}
}

// Sum is the sum of many bundles, which costs less than adding them one by one.
func Sum(bundles []Resources) Resources {
	switch len(bundles) {
	case 0:
		return Resources{}
	case 1:
		return bundles[0]
	}
	var kinds []entry // few, even of many bundles
	var pieces [][]Range
	for _, r := range bundles {
		for i := range r.entries {
			e := &r.entries[i]
			k := slices.IndexFunc(kinds, func(x entry) bool { return x.id == e.id && x.role == e.role })
			if k < 0 {
				k = len(kinds)
				kinds, pieces = append(kinds, entry{id: e.id, role: e.role}), append(pieces, nil)
			}
			if e.copies > 0 { // a shared resource: how much it is does not add up
				kinds[k].scalar, kinds[k].copies = e.scalar, kinds[k].copies+e.copies
				continue
			}
			kinds[k].scalar += e.scalar
			kinds[k].set = union(kinds[k].set, e.set)
			if len(e.ranges) > 0 {
				pieces[k] = append(pieces[k], e.ranges...)
			}
		}
	}
	for i := range kinds {
		kinds[i].ranges = rangesOf(pieces[i])
	}
	return collect(kinds)
}

// Minus is the difference. It fails, naming the first piece that is missing, if r does not contain o.
func (r Resources) Minus(o Resources) (Resources, error) {
	if missing, ok := r.missing(o); ok {
		return Resources{}, fmt.Errorf("%s is not in %s", Resources{[]entry{missing}}, r)
	}
	return r.without(o), nil
}

// Without is the difference, cut off at nothing.
func (r Resources) Without(o Resources) Resources { return r.without(o) }

// without is the difference, cut off at nothing.
func (r Resources) without(o Resources) Resources {
	if len(o.entries) == 0 {
		return r
	}
	if r.same(o) {
		return Resources{}
	}
	return Resources{merge(r.entries, o.entries, false, subtractEntries)}
}

// Contains reports whether every piece of o is in r: same name, reservation, disk, allocation ...
func (r Resources) Contains(o Resources) bool {
	if r.same(o) {
		return true
	}
	_, missing := r.missing(o)
	return !missing
}

// same reports that both are one and the same list, which makes many comparisons short.
func (r Resources) same(o Resources) bool {
	return len(r.entries) == len(o.entries) && (len(r.entries) == 0 || &r.entries[0] == &o.entries[0])
}

// missing is the first entry of o that r does not contain.
func (r Resources) missing(o Resources) (entry, bool) {
	i := 0
	for _, want := range o.entries {
		for i < len(r.entries) && compareEntries(&r.entries[i], &want) < 0 {
			i++
		}
		if i == len(r.entries) || !r.entries[i].contains(&want) {
			return want, true
		}
	}
	return entry{}, false
}

// Equal reports whether both hold the same.
func (r Resources) Equal(o Resources) bool {
	return r.same(o) || slices.EqualFunc(r.entries, o.entries, func(a, b entry) bool {
		return a.id == b.id && a.role == b.role && a.scalar == b.scalar && a.copies == b.copies && a.ranges.Equal(b.ranges) && slices.Equal(a.set, b.set)
	})
}

// countsTowardQuota reports whether a resource, when a role holds it, uses up the role's quota by being held: reservations
// do so by existing, and revocable resources never do (RUN-02).
func (e *entry) countsTowardQuota() bool { return e.id.Value().depth == 0 && !e.id.Value().revocable }

// IsZero reports whether there is nothing in it.
func (r Resources) IsZero() bool { return len(r.entries) == 0 }

// Allocate marks everything as allocated to a role.
func (r Resources) Allocate(role string) Resources {
	if len(r.entries) == 0 {
		return r
	}
	// Entries that differ by allocation alone become one.
	same := !slices.ContainsFunc(r.entries, func(e entry) bool { return e.role != r.entries[0].role })
	if same && r.entries[0].role == role {
		return r
	}
	out := slices.Clone(r.entries)
	for i := range out {
		out[i].role = role
	}
	if same {
		return Resources{out}
	}
	return collect(out)
}

// Unallocated removes the marks of Allocate.
func (r Resources) Unallocated() Resources { return r.Allocate("") }

// Allocation is the role that everything is allocated to; false if there is none, or several.
func (r Resources) Allocation() (string, bool) {
	if len(r.entries) == 0 || r.entries[0].role == "" {
		return "", false
	}
	for _, e := range r.entries {
		if e.role != r.entries[0].role {
			return "", false
		}
	}
	return r.entries[0].role, true
}

// AllocatedTo is the part that is allocated to the role.
func (r Resources) AllocatedTo(role string) Resources {
	return r.filter(func(e *entry) bool { return e.role == role })
}

// Unreserved is the part without reservation.
func (r Resources) Unreserved() Resources {
	return r.filter(func(e *entry) bool { return e.id.Value().depth == 0 })
}

// Reserved is the reserved part, by the role that holds the reservation.
func (r Resources) Reserved() map[string]Resources {
	out := map[string]Resources{}
	for _, e := range r.entries {
		if id := e.id.Value(); id.depth > 0 {
			out[id.role] = Resources{append(out[id.role].entries, e)}
		}
	}
	return out
}

// Revocable is the part that may be taken away again (oversubscribed).
func (r Resources) Revocable() Resources {
	return r.filter(func(e *entry) bool { return e.id.Value().revocable })
}

// NonRevocable is the rest of Revocable.
func (r Resources) NonRevocable() Resources {
	return r.filter(func(e *entry) bool { return !e.id.Value().revocable })
}

// Shared is the part that several tasks may hold at once: shared persistent volumes.
func (r Resources) Shared() Resources {
	return r.filter(func(e *entry) bool { return e.copies > 0 })
}

// Exclusive is the rest of Shared.
func (r Resources) Exclusive() Resources {
	return r.filter(func(e *entry) bool { return e.copies == 0 })
}

// Once is the bundle with one copy of each shared resource.
func (r Resources) Once() Resources {
	if !slices.ContainsFunc(r.entries, func(e entry) bool { return e.copies > 1 }) {
		return r
	}
	out := slices.Clone(r.entries)
	for i := range out {
		out[i].copies = min(out[i].copies, 1)
	}
	return Resources{out}
}

// Named is the part with that name, in all its reservations.
func (r Resources) Named(name string) Resources {
	return r.filter(func(e *entry) bool { return e.id.Value().name == name })
}

// Scalar is the sum of the scalar of that name over all reservations, revocable or not.
func (r Resources) Scalar(name string) Amount {
	var sum Amount
	for i := range r.entries {
		if r.entries[i].scalar != 0 && r.entries[i].id.Value().name == name {
			sum += r.entries[i].scalar
		}
	}
	return sum
}

// Ranges is the union of the ranges of that name over all reservations.
func (r Resources) Ranges(name string) Ranges {
	var union Ranges
	for _, e := range r.entries {
		if len(e.ranges) > 0 && e.id.Value().name == name {
			union = union.Plus(e.ranges)
		}
	}
	return union
}

// Quantities is the sum of every scalar by name.
func (r Resources) Quantities() Quantities {
	out := Quantities{}
	for _, e := range r.entries {
		if e.scalar != 0 {
			out[e.id.Value().name] += e.scalar
		}
	}
	return out
}

// filter is the part whose entries pass.
func (r Resources) filter(keep func(*entry) bool) Resources {
	n := 0
	for i := range r.entries {
		if keep(&r.entries[i]) {
			n++
		}
	}
	if n == len(r.entries) {
		return r
	}
	if n == 0 {
		return Resources{}
	}
	out := make([]entry, 0, n)
	for i := range r.entries {
		if keep(&r.entries[i]) {
			out = append(out, r.entries[i])
		}
	}
	return Resources{out}
}

// collect makes a bundle of entries in any order.
func collect(entries []entry) Resources {
	slices.SortStableFunc(entries, func(a, b entry) int { return compareEntries(&a, &b) })
	var out []entry
	for _, e := range entries {
		if e.empty() {
			continue
		}
		if last := len(out) - 1; last >= 0 && compareEntries(&out[last], &e) == 0 {
			out[last] = addEntries(&out[last], &e)
			continue
		}
		out = append(out, e)
	}
	return Resources{out}
}

// merge walks two sorted lists; entries of the same kind are combined, others taken from a, and from b if keepRight.
func merge(a, b []entry, keepRight bool, combine func(x, y *entry) entry) []entry {
	size := len(a)
	if keepRight {
		size = max(len(a), len(b))
	}
	out := make([]entry, 0, size)
	for len(a) > 0 && len(b) > 0 {
		switch order := compareEntries(&a[0], &b[0]); {
		case order < 0:
			out, a = append(out, a[0]), a[1:]
		case order > 0:
			if keepRight {
				out = append(out, b[0])
			}
			b = b[1:]
		default:
			if e := combine(&a[0], &b[0]); !e.empty() {
				out = append(out, e)
			}
			a, b = a[1:], b[1:]
		}
	}
	out = append(out, a...)
	if keepRight {
		out = append(out, b...)
	}
	return out
}

func addEntries(x, y *entry) entry {
	if x.copies > 0 {
		both := *x
		both.copies += y.copies
		return both
	}
	return entry{id: x.id, role: x.role, scalar: x.scalar + y.scalar, ranges: x.ranges.Plus(y.ranges), set: union(x.set, y.set)}
}

func subtractEntries(x, y *entry) entry {
	if x.copies > y.copies {
		rest := *x
		rest.copies -= y.copies
		return rest
	}
	return entry{id: x.id, role: x.role, scalar: max(x.scalar-y.scalar, 0), ranges: x.ranges.Minus(y.ranges), set: difference(x.set, y.set)}
}

func (e *entry) empty() bool { return e.scalar == 0 && len(e.ranges) == 0 && len(e.set) == 0 }

func (e *entry) contains(o *entry) bool {
	return e.id == o.id && e.role == o.role && e.scalar >= o.scalar && e.copies >= o.copies && e.ranges.Contains(o.ranges) && len(difference(o.set, e.set)) == 0
}

// compareEntries orders by name first, so that bundles read well, then by everything else.
func compareEntries(a, b *entry) int {
	if a.id != b.id {
		x, y := a.id.Value(), b.id.Value()
		return x.compare(&y)
	}
	return strings.Compare(a.role, b.role)
}

func (x *identity) compare(y *identity) int {
	for _, order := range [...]int{
		strings.Compare(x.name, y.name), int(x.kind) - int(y.kind), x.depth - y.depth, strings.Compare(x.role, y.role),
		strings.Compare(x.reservations, y.reservations), strings.Compare(x.disk, y.disk), strings.Compare(x.provider, y.provider),
		compareBool(x.revocable, y.revocable), compareBool(x.shared, y.shared), cmp.Compare(x.size, y.size),
	} {
		if order != 0 {
			return order
		}
	}
	return 0
}

func compareBool(a, b bool) int {
	if a == b {
		return 0
	}
	if b {
		return -1
	}
	return 1
}

func union(a, b []string) []string {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// difference is a without b; both sorted.
func difference(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return a
	}
	var out []string
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); !found {
			out = append(out, s)
		}
	}
	return out
}
