package offers

import "github.com/mesos/mesos-go/api/v1/lib"

// Resources is a bundle of resources. It is a value: no method changes its receiver, and copies are independent.
type Resources struct{ entries []entry }

type entry struct{}

// Range is the whole numbers from Begin to End, both included.
type Range struct{ Begin, End uint64 }

// Ranges are sorted, disjoint and not adjacent.
type Ranges []Range

// Parse reads resources from the wire, in the format with reservations[] or the older one with role and reservation.
func Parse(list []mesos.Resource) (Resources, error) { panic("being written") }

// ParseText reads the --resources flag: "cpus:4;mem:1024;ports:[31000-32000];cpus(role):1" or a JSON list.
// Resources without a role get defaultRole ("*": unreserved).
func ParseText(text, defaultRole string) (Resources, error) { panic("being written") }

// ParseAttributes reads the --attributes flag: "rack:abc;level:10;ports:[1-2]".
func ParseAttributes(text string) ([]mesos.Attribute, error) { panic("being written") }

// Mesos is the bundle on the wire, with reservations[].
func (r Resources) Mesos() []mesos.Resource { panic("being written") }

// MesosOld is the bundle in the older format, for frameworks without RESERVATION_REFINEMENT (OFF-05). Refined
// reservations can't be said in it and are left out.
func (r Resources) MesosOld() []mesos.Resource { panic("being written") }

// Plus is the sum.
func (r Resources) Plus(o Resources) Resources { panic("being written") }

// Minus is the difference; it fails, naming the first missing piece, if r does not contain o.
func (r Resources) Minus(o Resources) (Resources, error) { panic("being written") }

// Contains reports whether every piece of o is in r (same name, reservation, disk, allocation ...).
func (r Resources) Contains(o Resources) bool { panic("being written") }

// Equal reports whether both hold the same.
func (r Resources) Equal(o Resources) bool { panic("being written") }

// IsZero reports whether there is nothing in it.
func (r Resources) IsZero() bool { panic("being written") }

// Allocate marks everything as allocated to a role.
func (r Resources) Allocate(role string) Resources { panic("being written") }

// Unallocated removes the marks of Allocate.
func (r Resources) Unallocated() Resources { panic("being written") }

// Allocation is the role everything is allocated to; false if there are none or several.
func (r Resources) Allocation() (string, bool) { panic("being written") }

// AllocatedTo is the part allocated to the role.
func (r Resources) AllocatedTo(role string) Resources { panic("being written") }

// Scalar is the sum of the scalar of that name over all reservations.
func (r Resources) Scalar(name string) Amount { panic("being written") }

// Ranges is the union of the ranges of that name over all reservations.
func (r Resources) Ranges(name string) Ranges { panic("being written") }

// Unreserved is the part without reservation.
func (r Resources) Unreserved() Resources { panic("being written") }

// Reserved is the reserved part, by the role that holds the reservation.
func (r Resources) Reserved() map[string]Resources { panic("being written") }

// Summary is how /state shows a bundle: cpus, gpus, mem and disk always there as numbers, other scalars as numbers, ranges
// and sets as text, revocable ones under <name>_revocable (reference section 2.5).
func (r Resources) Summary() map[string]any { panic("being written") }

// String is the bundle in the syntax of ParseText, for people.
func (r Resources) String() string { panic("being written") }
