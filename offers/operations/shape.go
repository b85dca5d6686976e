package operations

import (
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// Edited is a copy of an operation, other than a launch, with each of its resources changed. The original stays as it is.
func Edited(op *mesos.Offer_Operation, change func(*mesos.Resource)) *mesos.Offer_Operation {
	out := *op
	list := func(in []mesos.Resource) []mesos.Resource {
		copied := append([]mesos.Resource(nil), in...)
		for i := range copied {
			change(&copied[i])
		}
		return copied
	}
	switch {
	case op.Reserve != nil:
		out.Reserve = &mesos.Offer_Operation_Reserve{Source: list(op.Reserve.Source), Resources: list(op.Reserve.Resources)}
	case op.Unreserve != nil:
		out.Unreserve = &mesos.Offer_Operation_Unreserve{Resources: list(op.Unreserve.Resources)}
	case op.Create != nil:
		out.Create = &mesos.Offer_Operation_Create{Volumes: list(op.Create.Volumes)}
	case op.Destroy != nil:
		out.Destroy = &mesos.Offer_Operation_Destroy{Volumes: list(op.Destroy.Volumes)}
	case op.GrowVolume != nil:
		m := *op.GrowVolume
		change(&m.Volume)
		change(&m.Addition)
		out.GrowVolume = &m
	case op.ShrinkVolume != nil:
		m := *op.ShrinkVolume
		change(&m.Volume)
		out.ShrinkVolume = &m
	case op.CreateDisk != nil:
		m := *op.CreateDisk
		change(&m.Source)
		out.CreateDisk = &m
	case op.DestroyDisk != nil:
		m := *op.DestroyDisk
		change(&m.Source)
		out.DestroyDisk = &m
	}
	return &out
}

// Allocated is the operation with every resource that says nothing about it allocated to role (reference row ACC-08).
func Allocated(op *mesos.Offer_Operation, role string) *mesos.Offer_Operation {
	return Edited(op, func(r *mesos.Resource) {
		if r.AllocationInfo == nil {
			r.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
		}
	})
}

// Upgraded is the operation with its resources in the format with reservations[] (reference row SEM-02).
func Upgraded(op *mesos.Offer_Operation) *mesos.Offer_Operation { return Edited(op, Upgrade) }

// Upgrade brings a resource of valid form into the format with reservations[].
func Upgrade(r *mesos.Resource) {
	role, reservation := r.GetRole(), r.Reservation
	r.Role, r.Reservation = nil, nil
	if len(r.Reservations) > 0 || role == "" || role == offers.Unreserved {
		return
	}
	if reservation == nil {
		r.Reservations = []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: &role}}
		return
	}
	dynamic := *reservation
	dynamic.Type, dynamic.Role = mesos.Resource_ReservationInfo_DYNAMIC.Enum(), &role
	r.Reservations = []mesos.Resource_ReservationInfo{dynamic}
}

// ForReaders adds the older format of reservations to a resource in the present one, as endpoints show it. A refined
// reservation can't be said in the older format.
func ForReaders(r *mesos.Resource) {
	role := offers.Unreserved
	switch len(r.Reservations) {
	case 0:
	case 1:
		own := r.Reservations[0]
		role = own.GetRole()
		if own.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
			r.Reservation = &mesos.Resource_ReservationInfo{Principal: own.Principal, Labels: own.Labels}
		}
	default:
		return
	}
	r.Role = &role
}

// Resources are those that an operation names, of the first list where it has two.
func Resources(op *mesos.Offer_Operation) []mesos.Resource {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		return op.GetReserve().GetResources()
	case mesos.Offer_Operation_UNRESERVE:
		return op.GetUnreserve().GetResources()
	case mesos.Offer_Operation_CREATE:
		return op.GetCreate().GetVolumes()
	case mesos.Offer_Operation_DESTROY:
		return op.GetDestroy().GetVolumes()
	case mesos.Offer_Operation_GROW_VOLUME:
		return one(op.GrowVolume.Volume)
	case mesos.Offer_Operation_SHRINK_VOLUME:
		return one(op.ShrinkVolume.Volume)
	case mesos.Offer_Operation_CREATE_DISK:
		return one(op.CreateDisk.Source)
	case mesos.Offer_Operation_DESTROY_DISK:
		return one(op.DestroyDisk.Source)
	}
	return nil
}

// Provider is the resource provider whose resources an operation is about, "" for the agent's own.
func Provider(op *mesos.Offer_Operation) string {
	if list := Resources(op); len(list) > 0 {
		return list[0].GetProviderID().GetValue()
	}
	return ""
}

// Terminal says whether an operation in this state is over (reference row OP-08).
func Terminal(s mesos.OperationState) bool {
	switch s {
	case mesos.OPERATION_FINISHED, mesos.OPERATION_FAILED, mesos.OPERATION_ERROR, mesos.OPERATION_DROPPED, mesos.OPERATION_GONE_BY_OPERATOR:
		return true
	}
	return false
}

// ValidateForm checks that an operation has its payload, and the form of its resources.
func ValidateForm(op *mesos.Offer_Operation) error {
	there, article := false, "A"
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		there = op.Reserve != nil
	case mesos.Offer_Operation_UNRESERVE:
		there, article = op.Unreserve != nil, "An"
	case mesos.Offer_Operation_CREATE:
		there = op.Create != nil
	case mesos.Offer_Operation_DESTROY:
		there = op.Destroy != nil
	case mesos.Offer_Operation_GROW_VOLUME:
		there = op.GrowVolume != nil
	case mesos.Offer_Operation_SHRINK_VOLUME:
		there = op.ShrinkVolume != nil
	case mesos.Offer_Operation_CREATE_DISK:
		there = op.CreateDisk != nil
	case mesos.Offer_Operation_DESTROY_DISK:
		there = op.DestroyDisk != nil
	default:
		return fmt.Errorf("Unknown offer operation") //nolint:staticcheck // Mesos's text
	}
	if !there {
		return fmt.Errorf("%s %s offer operation must have the Offer.Operation.%s field set.", article, op.Type, strings.ToLower(op.Type.String())) //nolint:staticcheck // Mesos's text
	}
	if err := Validate(Resources(op)); err != nil {
		return err
	}
	if err := Validate(op.GetReserve().GetSource()); err != nil {
		return err
	}
	if op.Type == mesos.Offer_Operation_GROW_VOLUME {
		return Validate(one(op.GrowVolume.Addition))
	}
	return nil
}
