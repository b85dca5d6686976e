package security

import "github.com/mesos/mesos-go/api/v1/lib"

// This file says what operations on resources and tasks demand; Mesos asks the same, whoever the operation comes from.

// RunDemand is to run a task as its user; one that names none runs as the framework's.
func RunDemand(t *mesos.TaskInfo, f *mesos.FrameworkInfo) Demand {
	user := f.User
	switch {
	case t.Command != nil && t.Command.User != nil:
		user = *t.Command.User
	case t.Executor != nil && t.Executor.Command != nil && t.Executor.Command.User != nil:
		user = *t.Executor.Command.User
	}
	return Demand{RunTask, Named(user)}
}

// OperationDemands are what an operation on resources demands. Launches ask for each task (RunDemand); disks are made by
// resource providers, which nobody here has.
func OperationDemands(op *mesos.Offer_Operation) []Demand {
	switch {
	case op.Reserve != nil:
		return ReserveDemands(op.Reserve.Resources, op.Reserve.Source)
	case op.Unreserve != nil:
		return UnreserveDemands(op.Unreserve.Resources)
	case op.Create != nil:
		return CreateDemands(op.Create.Volumes)
	case op.Destroy != nil:
		return DestroyDemands(op.Destroy.Volumes)
	case op.GrowVolume != nil:
		return []Demand{ResizeDemand(&op.GrowVolume.Volume)}
	case op.ShrinkVolume != nil:
		return []Demand{ResizeDemand(&op.ShrinkVolume.Volume)}
	default:
		return nil
	}
}

// ReserveDemands are to reserve resources for the roles of their last reservations. With a source, reservations change:
// what the source has beyond the common part is unreserved, what the target has beyond it reserved.
func ReserveDemands(target, source []mesos.Resource) []Demand {
	if len(source) == 0 || len(target) == 0 {
		return byRole(ReserveResources, target)
	}
	common := commonReservations(source[0].Reservations, target[0].Reservations)
	var list []Demand
	for i := range source {
		for depth := len(source[i].Reservations); depth > common; depth-- {
			list = add(list, unreserve(&source[i].Reservations[depth-1]))
		}
	}
	for _, step := range target[0].Reservations[common:] {
		list = add(list, Demand{ReserveResources, Named(step.GetRole())})
	}
	return list
}

func commonReservations(a, b []mesos.Resource_ReservationInfo) int {
	n := 0
	for n < len(a) && n < len(b) && a[n].Equal(&b[n]) {
		n++
	}
	return n
}

// UnreserveDemands are to undo the reservations of those who made them.
func UnreserveDemands(resources []mesos.Resource) []Demand {
	var list []Demand
	for i := range resources {
		list = add(list, unreserve(lastReservation(&resources[i])))
	}
	return list
}

func unreserve(r *mesos.Resource_ReservationInfo) Demand {
	if r == nil || r.Principal == nil {
		return Demand{Action: UnreserveResources}
	}
	return Demand{UnreserveResources, Named(*r.Principal)}
}

// CreateDemands are to create volumes in their roles.
func CreateDemands(volumes []mesos.Resource) []Demand {
	return orAny(CreateVolume, byRole(CreateVolume, volumes))
}

// DestroyDemands are to destroy the volumes of those who created them.
func DestroyDemands(volumes []mesos.Resource) []Demand {
	var list []Demand
	for i := range volumes {
		if p := volumes[i].GetDisk().GetPersistence(); p != nil {
			list = add(list, Demand{DestroyVolume, Named(p.GetPrincipal())})
		}
	}
	return orAny(DestroyVolume, list)
}

// ResizeDemand is to grow or shrink a volume of a role.
func ResizeDemand(volume *mesos.Resource) Demand {
	return Demand{ResizeVolume, Named(reservationRole(volume))}
}

// RegisterAgentDemands are to join with an agent, and to reserve what it brings reserved.
func RegisterAgentDemands(a *mesos.AgentInfo) []Demand {
	var list []Demand
	for i := range a.Resources {
		if role := reservationRole(&a.Resources[i]); role != "*" {
			list = add(list, Demand{ReserveResources, Named(role)})
		}
	}
	return append(list, Demand{Action: RegisterAgent})
}

func byRole(action Action, resources []mesos.Resource) []Demand {
	var list []Demand
	for i := range resources {
		list = add(list, Demand{action, Named(reservationRole(&resources[i]))})
	}
	return list
}

// orAny demands the action on everything where no object was found.
func orAny(action Action, list []Demand) []Demand {
	if len(list) == 0 {
		return []Demand{{Action: action}}
	}
	return list
}

func add(list []Demand, d Demand) []Demand {
	for _, x := range list {
		if x == d {
			return list
		}
	}
	return append(list, d)
}

// reservationRole is the role that holds a resource, in the present or the older format; "*" if none.
func reservationRole(r *mesos.Resource) string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].GetRole()
	}
	if r.Role != nil {
		return *r.Role
	}
	return "*"
}

func lastReservation(r *mesos.Resource) *mesos.Resource_ReservationInfo {
	if n := len(r.Reservations); n > 0 {
		return &r.Reservations[n-1]
	}
	return r.Reservation
}
