package offers

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Quantities is an amount per scalar kind, whatever its reservation: {"cpus": 10, "mem": 32000}.
type Quantities map[string]Amount

// DefaultMinAllocatable is Mesos's default of --min_allocatable_resources, "cpus:0.01|mem:32" (OFF-12).
func DefaultMinAllocatable() []Quantities {
	return []Quantities{{"cpus": Unit / 100}, {"mem": 32 * Unit}}
}

// ParseMinAllocatable reads --min_allocatable_resources: alternatives separated by '|', each like "cpus:1;mem:32". The
// empty text is no minimum.
func ParseMinAllocatable(text string) ([]Quantities, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var out []Quantities
	for alternative := range strings.SplitSeq(text, "|") {
		r, err := ParseText(alternative, "")
		if err != nil {
			return nil, fmt.Errorf("minimum allocatable %q: %w", alternative, err)
		}
		q := r.Quantities()
		if len(q) == 0 || len(q) != len(r.entries) {
			return nil, fmt.Errorf("minimum allocatable %q: give one or more amounts above 0, without roles, like cpus:0.01", alternative)
		}
		out = append(out, q)
	}
	return out, nil
}

// quantitiesOf reads the wire's form of OfferFilters.
func quantitiesOf(m mesos.OfferFilters_ResourceQuantities) (Quantities, error) {
	q := Quantities{}
	for name, scalar := range m.Quantities {
		amount, err := AmountOf(scalar.Value)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if amount > 0 {
			q[name] = amount
		}
	}
	return q, nil
}

// requirement is Quantities in a form that is quick to check.
type requirement []leastAmount

type leastAmount struct {
	name   string
	amount Amount
}

func requirements(list []Quantities) []requirement {
	var out []requirement
	for _, q := range list {
		var need requirement
		for _, name := range sortedKeys(q) {
			need = append(need, leastAmount{name, q[name]})
		}
		out = append(out, need)
	}
	return out
}

// kinds numbers the names of scalars, so that sums are flat vectors.
type kinds struct {
	index    map[string]int
	names    []string
	excluded []bool // from shares, by number
	exclude  []string
}

func newKinds(exclude []string) kinds { return kinds{index: map[string]int{}, exclude: exclude} }

func (k *kinds) of(name string) int {
	const few = 6 // comparing is quicker than hashing
	for i := range min(few, len(k.names)) {
		if k.names[i] == name {
			return i
		}
	}
	i, known := k.index[name]
	if !known {
		i = len(k.names)
		k.index[name] = i
		k.names = append(k.names, name)
		k.excluded = append(k.excluded, slices.Contains(k.exclude, name))
	}
	return i
}

// vector is an amount per kind; kinds beyond its length are 0.
type vector []Amount

// sum is the scalars of r by kind, times sign, in buffer or longer.
func (k *kinds) sum(r Resources, sign Amount, buffer vector) vector {
	sum := buffer[:0]
	for i := range r.entries {
		if e := &r.entries[i]; e.scalar != 0 {
			kind := k.of(e.id.Value().name)
			for len(sum) <= kind {
				sum = append(sum, 0)
			}
			sum[kind] += sign * e.scalar
		}
	}
	return sum
}

// sumQuota is sum over what counts toward quota by being held.
func (k *kinds) sumQuota(r Resources, sign Amount, buffer vector) vector {
	sum := buffer[:0]
	for i := range r.entries {
		if e := &r.entries[i]; e.scalar != 0 && e.countsTowardQuota() {
			kind := k.of(e.id.Value().name)
			for len(sum) <= kind {
				sum = append(sum, 0)
			}
			sum[kind] += sign * e.scalar
		}
	}
	return sum
}

// at is the amount of a kind.
func (v vector) at(kind int) Amount {
	if kind < len(v) {
		return v[kind]
	}
	return 0
}

// vector is q by kind.
func (k *kinds) vector(q Quantities) vector {
	var v vector
	for _, name := range sortedKeys(q) {
		kind := k.of(name)
		for len(v) <= kind {
			v = append(v, 0)
		}
		v[kind] = q[name]
	}
	return v
}

// add adds o to v.
func (v *vector) add(o vector) {
	for len(*v) < len(o) {
		*v = append(*v, 0)
	}
	for kind, amount := range o {
		(*v)[kind] += amount
	}
}

// share is the dominant share: the largest part of the total that is allocated, over all kinds that count (ALC-03).
func (k *kinds) share(allocated, total vector) float64 {
	var dominant float64
	for i, amount := range allocated {
		if amount > 0 && i < len(total) && total[i] > 0 && !k.excluded[i] {
			dominant = max(dominant, float64(amount)/float64(total[i]))
		}
	}
	return dominant
}

func (k *kinds) quantities(v vector) Quantities {
	q := Quantities{}
	for i, amount := range v {
		if amount != 0 {
			q[k.names[i]] = amount
		}
	}
	return q
}
