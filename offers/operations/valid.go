package operations

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// The texts of this file are Mesos's own, as schedulers and people know them; hence the capital letters.

// Validate checks the form of resources: names, values, disks, reservations in either format, sharing (reference rows
// TV-06, SEM-02). What passes can be read by offers.Parse.
func Validate(list []mesos.Resource) error {
	for i := range list {
		if err := ValidateOne(&list[i]); err != nil {
			return fmt.Errorf("Resource '%s' is invalid: %w", TextOf(&list[i]), err)
		}
	}
	return nil
}

// ValidateOne checks the form of one resource.
func ValidateOne(r *mesos.Resource) error {
	if r.Name == "" {
		return fmt.Errorf("Empty resource name")
	}
	for _, check := range []func(*mesos.Resource) error{validValue, validSource, validReservations, validShared} {
		if err := check(r); err != nil {
			return err
		}
	}
	if _, err := offers.Parse(one(*r)); err != nil {
		return err // amounts beyond all measure
	}
	return nil
}

func validValue(r *mesos.Resource) error {
	switch r.GetType() {
	case mesos.SCALAR:
		if r.Scalar == nil || r.Ranges != nil || r.Set != nil {
			return fmt.Errorf("Invalid scalar resource")
		}
		if v := r.Scalar.Value; v != 0 && !(math.Round(v*1000) > 0) {
			return fmt.Errorf("Invalid scalar resource: value <= 0")
		}
	case mesos.RANGES:
		if r.Ranges == nil || r.Scalar != nil || r.Set != nil {
			return fmt.Errorf("Invalid ranges resource")
		}
		return validRanges(r.Ranges.Range)
	case mesos.SET:
		if r.Set == nil || r.Scalar != nil || r.Ranges != nil {
			return fmt.Errorf("Invalid set resource")
		}
		items := slices.Clone(r.Set.Item)
		slices.Sort(items)
		if len(slices.Compact(items)) < len(r.Set.Item) {
			return fmt.Errorf("Invalid set resource: duplicated elements")
		}
	default:
		return fmt.Errorf("Unsupported resource type")
	}
	return nil
}

func validRanges(list []mesos.Value_Range) error {
	sorted := slices.Clone(list)
	for _, p := range sorted {
		if p.Begin > p.End {
			return fmt.Errorf("Invalid ranges resource: begin > end")
		}
	}
	slices.SortFunc(sorted, func(a, b mesos.Value_Range) int {
		if a.Begin < b.Begin {
			return -1
		}
		if a.Begin > b.Begin {
			return 1
		}
		return 0
	})
	for i := 1; i < len(sorted); i++ {
		if sorted[i].Begin <= sorted[i-1].End {
			return fmt.Errorf("Invalid ranges resource: overlapping ranges")
		}
	}
	return nil
}

func validSource(r *mesos.Resource) error {
	if r.Disk == nil {
		return nil
	}
	if r.Name != "disk" {
		return fmt.Errorf("DiskInfo should not be set for %s resource", r.Name)
	}
	s := r.Disk.Source
	if s == nil {
		return nil
	}
	switch s.Type {
	case mesos.Resource_DiskInfo_Source_PATH, mesos.Resource_DiskInfo_Source_MOUNT:
	case mesos.Resource_DiskInfo_Source_BLOCK, mesos.Resource_DiskInfo_Source_RAW:
		if s.Mount != nil {
			return fmt.Errorf("Mount should not be set for %s disk source", s.Type)
		}
		if s.Path != nil {
			return fmt.Errorf("Path should not be set for %s disk source", s.Type)
		}
	default:
		return fmt.Errorf("Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'")
	}
	return nil
}

func validReservations(r *mesos.Resource) error {
	switch len(r.Reservations) {
	case 0:
		return validOldReservation(r)
	case 1:
		if err := validStack(r.Reservations); err != nil {
			return err
		}
		return validBothFormats(r)
	default:
		if err := validStack(r.Reservations); err != nil {
			return err
		}
		if r.Role != nil {
			return fmt.Errorf("Invalid resource format: 'Resource.role' must not be set if there is more than one reservation in 'Resource.reservations'")
		}
		if r.Reservation != nil {
			return fmt.Errorf("Invalid resource format: 'Resource.reservation' must not be set if there is more than one reservation in 'Resource.reservations'")
		}
		return nil
	}
}

// validOldReservation checks the format with role and reservation.
func validOldReservation(r *mesos.Resource) error {
	role := offers.Unreserved
	if r.Role != nil {
		role = *r.Role
	}
	if err := ValidRole(role); err != nil {
		return err
	}
	switch own := r.Reservation; {
	case own == nil:
	case own.Type != nil:
		return fmt.Errorf("'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field")
	case own.Role != nil:
		return fmt.Errorf("'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field")
	case role == offers.Unreserved:
		return fmt.Errorf("Invalid reservation: role \"*\" cannot be dynamically reserved")
	}
	return nil
}

// validStack checks the format with reservations[]: each refines the one before it.
func validStack(stack []mesos.Resource_ReservationInfo) error {
	for i := range stack {
		switch {
		case stack[i].Type == nil:
			return fmt.Errorf("Invalid reservation: 'Resource.ReservationInfo.type' field must be set.")
		case stack[i].Role == nil:
			return fmt.Errorf("Invalid reservation: 'Resource.ReservationInfo.role' field must be set.")
		}
		role := *stack[i].Role
		if err := ValidRole(role); err != nil {
			return err
		}
		if role == offers.Unreserved {
			return fmt.Errorf("Invalid reservation: role \"*\" cannot be reserved")
		}
	}
	for i := 1; i < len(stack); i++ {
		if stack[i].GetType() == mesos.Resource_ReservationInfo_STATIC {
			return fmt.Errorf("Invalid refined reservation: A refined reservation cannot be STATIC")
		}
		if role, parent := stack[i].GetRole(), stack[i-1].GetRole(); !strings.HasPrefix(role, parent+"/") {
			return fmt.Errorf("Invalid refined reservation: role '%s' is not a refinement of '%s'", role, parent)
		}
	}
	return nil
}

// validBothFormats checks that role and reservation, where they stand beside the only element of reservations[], say the same.
func validBothFormats(r *mesos.Resource) error {
	own := &r.Reservations[0]
	if r.Role != nil && *r.Role != own.GetRole() {
		return fmt.Errorf("Invalid resource format: 'Resource.role' field with '%s' does not match the role '%s' in 'Resource.reservations'", *r.Role, own.GetRole())
	}
	switch own.GetType() {
	case mesos.Resource_ReservationInfo_STATIC:
		if r.Reservation != nil {
			return fmt.Errorf("Invalid resource format: 'Resource.reservation' must not be set if the single reservation in 'Resource.reservations' is STATIC")
		}
	case mesos.Resource_ReservationInfo_DYNAMIC:
		switch {
		case (r.Role != nil) != (r.Reservation != nil):
			return fmt.Errorf("Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or both not set if the single reservation in 'Resource.reservations' is DYNAMIC")
		case r.Reservation == nil:
		case r.Reservation.GetPrincipal() != own.GetPrincipal():
			return fmt.Errorf("Invalid resource format: 'Resource.reservation.principal' field with '%s' does not match the principal '%s' in 'Resource.reservations'", r.Reservation.GetPrincipal(), own.GetPrincipal())
		case !r.Reservation.GetLabels().Equal(own.GetLabels()):
			return fmt.Errorf("Invalid resource format: 'Resource.reservation.labels' field does not match the labels in 'Resource.reservations'")
		}
	default:
		return fmt.Errorf("Unsupported 'Resource.ReservationInfo.Type'")
	}
	return nil
}

func validShared(r *mesos.Resource) error {
	switch {
	case r.Shared == nil:
		return nil
	case r.Name != "disk":
		return fmt.Errorf("Resource %s cannot be shared", r.Name)
	case !PersistentVolume(r):
		return fmt.Errorf("Only persistent volumes can be shared")
	}
	return nil
}

// ValidRole checks a role's name (reference row SUB-04).
func ValidRole(role string) error {
	switch {
	case role == offers.Unreserved:
		return nil
	case strings.HasPrefix(role, "/"):
		return fmt.Errorf("Role '%s' cannot start with a slash", role)
	case strings.HasSuffix(role, "/"):
		return fmt.Errorf("Role '%s' cannot end with a slash", role)
	case strings.Contains(role, "//"):
		return fmt.Errorf("Role '%s' cannot contain two adjacent slashes", role)
	case role == "":
		return fmt.Errorf("Role names cannot be the empty string")
	}
	for part := range strings.SplitSeq(role, "/") {
		switch {
		case part == "." || part == ".." || part == offers.Unreserved:
			return fmt.Errorf("Role '%s' cannot include '%s' as a component", role, part)
		case strings.HasPrefix(part, "-"):
			return fmt.Errorf("Role component '%s' is invalid because it starts with a dash", part)
		case strings.ContainsAny(part, "\t\n\v\f\r \x7f"):
			return fmt.Errorf("Role component '%s' is invalid because it contains backspace or whitespace", part)
		}
	}
	return nil
}
