package operations

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// Checkpointed is the part of an agent's resources that it must write down, since its flags don't tell it: dynamic
// reservations and persistent volumes of its own disks (reference row RCV-01). It comes without marks of allocation.
func Checkpointed(total offers.Resources) []mesos.Resource {
	var list []mesos.Resource
	for _, r := range total.Unallocated().Mesos() {
		if r.ProviderID == nil && (DynamicallyReserved(&r) || PersistentVolume(&r)) {
			list = append(list, r)
		}
	}
	return list
}

// WithCheckpointed is what an agent has, given what its flags say and what it wrote down. It fails if the flags no longer
// name what reservations and volumes were made from.
func WithCheckpointed(flags offers.Resources, checkpointed []mesos.Resource) (offers.Resources, error) {
	total := flags.Unallocated()
	for _, r := range checkpointed {
		Upgrade(&r)
		r.AllocationInfo = nil
		if !DynamicallyReserved(&r) && !PersistentVolume(&r) {
			return flags, fmt.Errorf("Unexpected checkpointed resources %s", TextOf(&r)) //nolint:staticcheck // Mesos's text
		}
		made, err := offers.Parse(one(r))
		if err != nil {
			return flags, err
		}
		before, err := offers.Parse(one(plain(r)))
		if err != nil {
			return flags, err
		}
		rest, err := total.Minus(before)
		if err != nil {
			return flags, fmt.Errorf("Incompatible agent resources: %s does not contain %s", Text(total), Text(before)) //nolint:staticcheck // Mesos's text
		}
		total = rest.Plus(made)
	}
	return total, nil
}

// plain is what a resource is made from on an agent: without dynamic reservations and volume.
func plain(r mesos.Resource) mesos.Resource {
	if DynamicallyReserved(&r) {
		first := r.Reservations[0]
		r.Reservations = nil
		if first.GetType() == mesos.Resource_ReservationInfo_STATIC {
			r.Reservations = []mesos.Resource_ReservationInfo{first}
		}
	}
	if PersistentVolume(&r) {
		r = PlainDisk(r)
	}
	r.Shared = nil
	return r
}

// DynamicallyReserved says whether the last reservation was made by an operation; the format is the one with reservations[].
func DynamicallyReserved(r *mesos.Resource) bool {
	n := len(r.Reservations)
	return n > 0 && r.Reservations[n-1].GetType() == mesos.Resource_ReservationInfo_DYNAMIC
}

// PersistentVolume says whether the resource is one.
func PersistentVolume(r *mesos.Resource) bool { return r.GetDisk().GetPersistence() != nil }

// ReservationRole is the role that holds the reservation, "*" if none does.
func ReservationRole(r *mesos.Resource) string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].GetRole()
	}
	return offers.Unreserved
}
