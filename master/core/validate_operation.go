package core

import (
	"fmt"
	"math"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// This file is the checks of offer operations (reference rows OP-01 to OP-07). Their texts are Mesos's own, as schedulers
// and people know them; hence the capital letters. The operations' form was checked before (operations.ValidateForm).

// validOperation checks an operation on an agent; f is nil for an operator's. principal is who asks, nil if nobody said.
func validOperation(a *agent, f *framework, principal *string, op *mesos.Offer_Operation) error {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return validReserve(a, f, principal, op.Reserve)
	case mesos.Offer_Operation_UNRESERVE:
		return validUnreserve(op.Unreserve)
	case mesos.Offer_Operation_CREATE:
		return validCreate(a, f, principal, op.Create.Volumes)
	case mesos.Offer_Operation_DESTROY:
		return validDestroy(a, op.Destroy.Volumes)
	case mesos.Offer_Operation_GROW_VOLUME:
		return validGrow(a, op.GrowVolume)
	case mesos.Offer_Operation_SHRINK_VOLUME:
		return validShrink(a, op.ShrinkVolume)
	case mesos.Offer_Operation_CREATE_DISK:
		return validCreateDisk(op.CreateDisk)
	case mesos.Offer_Operation_DESTROY_DISK:
		return validDestroyDisk(op.DestroyDisk)
	default:
		return fmt.Errorf("Unknown offer operation")
	}
}

// validReserve is reference row OP-01.
func validReserve(a *agent, f *framework, principal *string, op *mesos.Offer_Operation_Reserve) error {
	if err := validForOperation(op.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := validForOperation(op.Source); err != nil {
		return fmt.Errorf("Invalid source: %w", err)
	}
	if len(op.Source) > 0 {
		if err := validReservationUpdate(op); err != nil {
			return err
		}
	}
	if err := singleProvider(op.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	for i := range op.Resources {
		r := &op.Resources[i]
		if !operations.DynamicallyReserved(r) {
			return fmt.Errorf("Resource %s is not dynamically reserved", operations.TextOf(r))
		}
		if err := agentHolds(a, r, "Resource", "reserved"); err != nil {
			return err
		}
		if err := reservesAs(principal, r); err != nil {
			return err
		}
		if err := reservesFor(f, r); err != nil {
			return err
		}
	}
	if f == nil {
		return nil
	}
	if err := singleRole(op.Resources); err != nil {
		return fmt.Errorf("Invalid reservation resources: %w", err)
	}
	return nil
}

// validReservationUpdate checks a RESERVE that names what to reserve anew (reference row OP1-18).
func validReservationUpdate(op *mesos.Offer_Operation_Reserve) error {
	for _, list := range []struct {
		name string
		of   []mesos.Resource
	}{{"source", op.Source}, {"resources", op.Resources}} {
		if len(list.of) == 0 {
			return fmt.Errorf("Invalid %s: Resource cannot be empty", list.name)
		}
		for i := range list.of {
			if !sameReservations(&list.of[0], &list.of[i]) {
				return fmt.Errorf("Invalid %s: Mixed reservations are not supported", list.name)
			}
		}
	}
	source, target := unreserved(op.Source), unreserved(op.Resources)
	if !source.Equal(target) {
		return fmt.Errorf("Source and target resources should refer to identical resource quantities: %s vs. %s", operations.Text(source), operations.Text(target))
	}
	return nil
}

func sameReservations(a, b *mesos.Resource) bool {
	if len(a.Reservations) != len(b.Reservations) {
		return false
	}
	for i := range a.Reservations {
		if !a.Reservations[i].Equal(&b.Reservations[i]) {
			return false
		}
	}
	return true
}

// unreserved is resources without their reservations.
func unreserved(list []mesos.Resource) offers.Resources {
	bare := append([]mesos.Resource(nil), list...)
	for i := range bare {
		bare[i].Reservations = nil
	}
	return parsed(bare...)
}

// parsed reads resources whose form was checked.
func parsed(list ...mesos.Resource) offers.Resources {
	r, err := offers.Parse(list)
	if err != nil {
		panic(fmt.Sprintf("core: resources were not checked: %v", err))
	}
	return r
}

func contains(r offers.Resources, one mesos.Resource) bool { return r.Contains(parsed(one)) }

// agentHolds says whether an agent understands a resource's reservations.
func agentHolds(a *agent, r *mesos.Resource, what, done string) error {
	role := operations.ReservationRole(r)
	if strings.Contains(role, "/") && !a.can(mesos.AgentInfo_Capability_HIERARCHICAL_ROLE) {
		return fmt.Errorf("%s %s with reservation for hierarchical role '%s' cannot be %s on an agent without HIERARCHICAL_ROLE capability", what, operations.TextOf(r), role, done)
	}
	if len(r.Reservations) > 1 && !a.can(mesos.AgentInfo_Capability_RESERVATION_REFINEMENT) {
		return fmt.Errorf("%s %s with reservation refinement cannot be %s on an agent without RESERVATION_REFINEMENT capability", what, operations.TextOf(r), done)
	}
	return nil
}

// reservesAs checks that a reservation names the principal who makes it.
func reservesAs(principal *string, r *mesos.Resource) error {
	if principal == nil {
		return nil
	}
	last := &r.Reservations[len(r.Reservations)-1]
	if last.Principal == nil {
		return fmt.Errorf("A reserve operation was attempted by principal '%s', but there is a reserved resource in the request with no principal set", *principal)
	}
	if *last.Principal != *principal {
		return fmt.Errorf("A reserve operation was attempted by authenticated principal '%s', which does not match a reserved resource in the request with principal '%s'", *principal, *last.Principal)
	}
	return nil
}

// reservesFor checks that a framework reserves for a role of its own what is allocated to that role, an operator what is
// allocated to nobody.
func reservesFor(f *framework, r *mesos.Resource) error {
	role, allocated := operations.ReservationRole(r), r.AllocationInfo.GetRole()
	switch {
	case f == nil && r.AllocationInfo != nil:
		return fmt.Errorf("A reserve operation was attempted with an allocated resource, but the operator API only allows reservations to be made to unallocated resources")
	case f == nil:
		return nil
	case role != allocated:
		return fmt.Errorf("A reserve operation was attempted for a resource with role '%s', but the resource was allocated to role '%s'", role, allocated)
	case !f.hasRole(allocated):
		return fmt.Errorf("A reserve operation was attempted for a resource allocated to role '%s', but the framework only has roles '{ %s }'", allocated, strings.Join(f.roles(), ", "))
	}
	return nil
}

// validUnreserve is reference row OP-02.
func validUnreserve(op *mesos.Offer_Operation_Unreserve) error {
	if err := validForOperation(op.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	if err := singleProvider(op.Resources); err != nil {
		return fmt.Errorf("Invalid resources: %w", err)
	}
	for i := range op.Resources {
		r := &op.Resources[i]
		if !operations.DynamicallyReserved(r) {
			return fmt.Errorf("Resource %s is not dynamically reserved", operations.TextOf(r))
		}
		if operations.PersistentVolume(r) {
			return fmt.Errorf("A dynamically reserved persistent volume %s cannot be unreserved directly. Please destroy the persistent volume first then unreserve the resource", operations.TextOf(r))
		}
	}
	return nil
}

// validForOperation checks what every resource of an operation must be.
func validForOperation(list []mesos.Resource) error {
	for i := range list {
		if v := list[i].GetScalar().GetValue(); list[i].Name == "gpus" && v != math.Trunc(v) {
			return fmt.Errorf("Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer")
		}
		if err := validDisk(&list[i]); err != nil {
			return fmt.Errorf("Invalid DiskInfo: %w", err)
		}
	}
	for i := range list {
		if operations.DynamicallyReserved(&list[i]) && list[i].Revocable != nil {
			return fmt.Errorf("Invalid ReservationInfo: Dynamically reserved resource %s cannot be created from revocable resources", operations.TextOf(&list[i]))
		}
	}
	return nil
}

// singleProvider checks that all resources are the agent's own, or one provider's.
func singleProvider(list []mesos.Resource) error {
	own, providers := false, map[string]bool{}
	for i := range list {
		if list[i].ProviderID == nil {
			own = true
		} else {
			providers[list[i].ProviderID.Value] = true
		}
	}
	switch {
	case own && len(providers) == 0, !own && len(providers) == 1:
		return nil
	case own:
		return fmt.Errorf("Some resources have a resource provider and some do not")
	}
	return fmt.Errorf("The resources have multiple resource providers: %s", strings.Join(sortedKeys(providers), ", "))
}

// singleRole checks that all resources are allocated to one role.
func singleRole(list []mesos.Resource) error {
	for i := range list {
		role, first := list[i].AllocationInfo.GetRole(), list[0].AllocationInfo.GetRole()
		if role == "" {
			return fmt.Errorf("The resources are not allocated to a role")
		}
		if role != first {
			return fmt.Errorf("The resources have multiple allocation roles ('%s' and '%s') but only one allocation role is allowed", role, first)
		}
	}
	return nil
}
