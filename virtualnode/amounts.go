package virtualnode

import (
	"fmt"
	"math"
	"strings"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Amounts is what a pod needs or an agent has, in thousandths of Mesos's units, so that sums are exact (Mesos itself
// keeps three decimals; reference row VK-03).
type Amounts struct {
	CPU    int64 // thousandths of a core: Kubernetes's millicores
	Memory int64 // thousandths of a MiB
	Disk   int64 // thousandths of a MiB
}

const bytesPerMiB = 1 << 20

// Plus is the sum.
func (a Amounts) Plus(b Amounts) Amounts {
	return Amounts{a.CPU + b.CPU, a.Memory + b.Memory, a.Disk + b.Disk}
}

// Minus is the difference, which may be negative; see Floor.
func (a Amounts) Minus(b Amounts) Amounts {
	return Amounts{a.CPU - b.CPU, a.Memory - b.Memory, a.Disk - b.Disk}
}

// Floor replaces negative amounts by zero.
func (a Amounts) Floor() Amounts {
	return a.Max(Amounts{})
}

// Max is the larger of the two, each amount by itself.
func (a Amounts) Max(b Amounts) Amounts {
	return Amounts{max(a.CPU, b.CPU), max(a.Memory, b.Memory), max(a.Disk, b.Disk)}
}

// Min is the smaller of the two, each amount by itself.
func (a Amounts) Min(b Amounts) Amounts {
	return Amounts{min(a.CPU, b.CPU), min(a.Memory, b.Memory), min(a.Disk, b.Disk)}
}

// FitsIn says whether b covers all of a.
func (a Amounts) FitsIn(b Amounts) bool {
	return a.CPU <= b.CPU && a.Memory <= b.Memory && a.Disk <= b.Disk
}

// IsZero says whether there is nothing of anything.
func (a Amounts) IsZero() bool { return a == Amounts{} }

// String is for events and messages: "cpus 1.5, mem 512 MiB".
func (a Amounts) String() string {
	parts := []string{fmt.Sprintf("cpus %s", decimal(a.CPU)), fmt.Sprintf("mem %s MiB", decimal(a.Memory))}
	if a.Disk != 0 {
		parts = append(parts, fmt.Sprintf("disk %s MiB", decimal(a.Disk)))
	}
	return strings.Join(parts, ", ")
}

func decimal(thousandths int64) string {
	text := fmt.Sprintf("%.3f", float64(thousandths)/1000)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// List is the amounts as a Kubernetes resource list.
func (a Amounts) List() corev1.ResourceList {
	return corev1.ResourceList{
		corev1.ResourceCPU:              *resource.NewMilliQuantity(a.CPU, resource.DecimalSI),
		corev1.ResourceMemory:           *resource.NewQuantity(mebibytes(a.Memory), resource.BinarySI),
		corev1.ResourceEphemeralStorage: *resource.NewQuantity(mebibytes(a.Disk), resource.BinarySI),
	}
}

// mebibytes turns thousandths of a MiB into bytes, rounded down to whole MiB: a node never promises more than it has.
func mebibytes(thousandths int64) int64 {
	return thousandths / 1000 * bytesPerMiB
}

// FromList is a resource list as amounts, memory and disk rounded up to whole MiB.
func FromList(list corev1.ResourceList) Amounts {
	return Amounts{
		CPU:    list.Cpu().MilliValue(),
		Memory: thousandths(list.Memory()),
		Disk:   thousandths(list.StorageEphemeral()),
	}
}

func thousandths(q *resource.Quantity) int64 {
	value := q.Value()
	whole := value / bytesPerMiB
	if value%bytesPerMiB != 0 {
		whole++
	}
	return whole * 1000
}

// Of sums the scalars of Mesos resources that a pod can use. Revocable ones (taken back at any moment) and disks with an
// identity (persistent volumes, mounts) are left out.
func Of(resources []mesos.Resource) Amounts {
	var sum Amounts
	for i := range resources {
		r := &resources[i]
		if !usable(r) {
			continue
		}
		switch value := fixed(r.GetScalar().GetValue()); r.Name {
		case "cpus":
			sum.CPU += value
		case "mem":
			sum.Memory += value
		case "disk":
			sum.Disk += value
		}
	}
	return sum
}

func usable(r *mesos.Resource) bool {
	return r.GetType() == mesos.SCALAR && r.Revocable == nil && r.Disk == nil && r.ProviderID == nil
}

func fixed(value float64) int64 { return int64(math.Round(value * 1000)) }

// Carve takes the wanted amounts out of offered resources, reserved ones first, so that what stays is what others can
// use too. It answers the resources taken (in Mesos's words, reservation and allocation as offered) and what stays; ok is
// false, and nothing is taken, if there is not enough.
func Carve(offered []mesos.Resource, want Amounts) (taken, rest []mesos.Resource, ok bool) {
	if !want.FitsIn(Of(offered)) {
		return nil, offered, false
	}
	rest = append([]mesos.Resource(nil), offered...)
	for _, part := range []struct {
		name   string
		amount int64
	}{{"cpus", want.CPU}, {"mem", want.Memory}, {"disk", want.Disk}} {
		for _, reserved := range []bool{true, false} {
			part.amount, taken = carveScalar(rest, part.name, part.amount, reserved, taken)
		}
	}
	return taken, rest, true
}

func carveScalar(from []mesos.Resource, name string, amount int64, reserved bool, taken []mesos.Resource) (int64, []mesos.Resource) {
	for i := range from {
		r := &from[i]
		if amount == 0 {
			break
		}
		if r.Name != name || !usable(r) || (len(r.Reservations) > 0) != reserved {
			continue
		}
		have := fixed(r.GetScalar().GetValue())
		part := min(have, amount)
		if part == 0 {
			continue
		}
		piece := *r
		piece.Scalar = &mesos.Value_Scalar{Value: float64(part) / 1000}
		taken = append(taken, piece)
		r.Scalar = &mesos.Value_Scalar{Value: float64(have-part) / 1000}
		amount -= part
	}
	return amount, taken
}

// Resources writes amounts as unreserved Mesos resources allocated to a role, for the executor's own share.
func (a Amounts) Resources(role string) []mesos.Resource {
	var out []mesos.Resource
	add := func(name string, amount int64) {
		if amount == 0 {
			return
		}
		scalar := mesos.SCALAR
		out = append(out, mesos.Resource{
			Name: name, Type: &scalar, Scalar: &mesos.Value_Scalar{Value: float64(amount) / 1000},
			AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
		})
	}
	add("cpus", a.CPU)
	add("mem", a.Memory)
	add("disk", a.Disk)
	return out
}
