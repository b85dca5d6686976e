package offers

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"unique"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Parse reads resources from the wire, in the format with reservations[] or in the older one with role and reservation
// (a mixture where both agree is accepted, as Mesos's operator endpoints write it). Empty resources are dropped, those of
// one identity are added up.
func Parse(list []mesos.Resource) (Resources, error) {
	entries := make([]entry, 0, len(list))
	for i := range list {
		e, err := parseResource(&list[i])
		if err != nil {
			return Resources{}, fmt.Errorf("resource %d (%q): %w", i+1, list[i].Name, err)
		}
		entries = append(entries, e)
	}
	return collect(entries), nil
}

func parseResource(r *mesos.Resource) (entry, error) {
	if r.Name == "" {
		return entry{}, fmt.Errorf("it has no name")
	}
	stack, err := reservationStack(r)
	if err != nil {
		return entry{}, err
	}
	id := identity{
		name: r.Name, kind: r.GetType(), depth: len(stack),
		provider:  r.GetProviderID().GetValue(),
		revocable: r.Revocable != nil, shared: r.Shared != nil,
	}
	if len(stack) > 0 {
		id.role = stack[len(stack)-1].GetRole()
		if id.reservations, err = encodeReservations(stack); err != nil {
			return entry{}, err
		}
	}
	if r.Disk != nil {
		bytes, err := r.Disk.Marshal()
		if err != nil {
			return entry{}, fmt.Errorf("disk: %w", err)
		}
		id.disk = string(bytes)
	}
	e := entry{role: r.GetAllocationInfo().GetRole()}
	if err := e.parseValue(r); err != nil {
		return entry{}, err
	}
	if id.shared {
		if id.kind != mesos.SCALAR {
			return entry{}, fmt.Errorf("it is shared: only scalars can be")
		}
		e.copies = 1
	}
	if id.shared || indivisible(r.Disk) {
		id.size = e.scalar
	}
	e.id = unique.Make(id)
	return e, nil
}

// indivisible reports whether a disk is had as a whole or not at all: a persistent volume, a mounted or block device, a raw
// one that has an id.
func indivisible(d *mesos.Resource_DiskInfo) bool {
	if d == nil {
		return false
	}
	if d.Persistence != nil {
		return true
	}
	switch d.GetSource().GetType() {
	case mesos.Resource_DiskInfo_Source_MOUNT, mesos.Resource_DiskInfo_Source_BLOCK:
		return true
	case mesos.Resource_DiskInfo_Source_RAW:
		return d.Source.ID != nil
	}
	return false
}

// parseValue reads the amount, ranges or set, as the type says.
func (e *entry) parseValue(r *mesos.Resource) (err error) {
	if r.Type == nil {
		return fmt.Errorf("it has no type")
	}
	switch *r.Type {
	case mesos.SCALAR:
		if r.Scalar == nil {
			return fmt.Errorf("its type is SCALAR but it has no scalar")
		}
		e.scalar, err = AmountOf(r.Scalar.Value)
		return err
	case mesos.RANGES:
		if r.Ranges == nil {
			return fmt.Errorf("its type is RANGES but it has no ranges")
		}
		pieces := make([]Range, 0, len(r.Ranges.Range))
		for _, p := range r.Ranges.Range {
			if p.End < p.Begin {
				return fmt.Errorf("range %d-%d ends before it begins", p.Begin, p.End)
			}
			pieces = append(pieces, Range{p.Begin, p.End})
		}
		e.ranges = rangesOf(pieces)
		return nil
	case mesos.SET:
		if r.Set == nil {
			return fmt.Errorf("its type is SET but it has no set")
		}
		e.set = slices.Clone(r.Set.Item)
		slices.Sort(e.set)
		e.set = slices.Compact(e.set)
		return nil
	default:
		return fmt.Errorf("its type is %s: a resource is SCALAR, RANGES or SET", r.Type)
	}
}

// reservationStack reads either format as a stack, each with type and role (SEM-01, SEM-02).
func reservationStack(r *mesos.Resource) ([]mesos.Resource_ReservationInfo, error) {
	role := r.GetRole()
	if role == "" {
		role = Unreserved
	}
	if len(r.Reservations) == 0 {
		switch {
		case role == Unreserved && r.Reservation != nil:
			return nil, fmt.Errorf("it is reserved but names no role")
		case role == Unreserved:
			return nil, nil
		}
		if err := ValidateRole(role); err != nil {
			return nil, err
		}
		if r.Reservation == nil {
			return []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_STATIC.Enum(), Role: &role}}, nil
		}
		dynamic := *r.Reservation
		dynamic.Type, dynamic.Role = mesos.Resource_ReservationInfo_DYNAMIC.Enum(), &role
		return []mesos.Resource_ReservationInfo{dynamic}, nil
	}
	for i, step := range r.Reservations {
		if err := ValidateRole(step.GetRole()); err != nil {
			return nil, fmt.Errorf("reservation %d: %w", i+1, err)
		}
		switch {
		case step.GetRole() == Unreserved:
			return nil, fmt.Errorf("reservation %d is for %q, which can't be reserved for", i+1, Unreserved)
		case step.GetType() == mesos.Resource_ReservationInfo_UNKNOWN:
			return nil, fmt.Errorf("reservation %d has no type", i+1)
		case i > 0 && step.GetType() == mesos.Resource_ReservationInfo_STATIC:
			return nil, fmt.Errorf("reservation %d is STATIC: only the first can be", i+1)
		case i > 0 && !isWithin(step.GetRole(), r.Reservations[i-1].GetRole()) || i > 0 && step.GetRole() == r.Reservations[i-1].GetRole():
			return nil, fmt.Errorf("reservation %d: role %q is not below %q", i+1, step.GetRole(), r.Reservations[i-1].GetRole())
		}
	}
	if last := r.Reservations[len(r.Reservations)-1].GetRole(); role != Unreserved && role != last {
		return nil, fmt.Errorf("it names role %q but its reservations end with %q", role, last)
	}
	return r.Reservations, nil
}

// encodeReservations makes a stack comparable: each element's protobuf bytes, length first.
func encodeReservations(stack []mesos.Resource_ReservationInfo) (string, error) {
	var out []byte
	for i := range stack {
		bytes, err := stack[i].Marshal()
		if err != nil {
			return "", fmt.Errorf("reservation %d: %w", i+1, err)
		}
		out = append(binary.AppendUvarint(out, uint64(len(bytes))), bytes...)
	}
	return string(out), nil
}

// decodeReservations undoes encodeReservations; what it is given came from there.
func decodeReservations(encoded string) []mesos.Resource_ReservationInfo {
	var out []mesos.Resource_ReservationInfo
	for rest := []byte(encoded); len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		var step mesos.Resource_ReservationInfo
		if err := step.Unmarshal(rest[n : n+int(size)]); err != nil {
			panic(fmt.Sprintf("offers: a reservation that was encoded here can't be decoded: %v", err))
		}
		out, rest = append(out, step), rest[n+int(size):]
	}
	return out
}

// Mesos is the bundle on the wire, in the format with reservations[].
func (r Resources) Mesos() []mesos.Resource {
	out := make([]mesos.Resource, 0, len(r.entries))
	for i := range r.entries {
		out = append(out, r.entries[i].mesos())
	}
	return out
}

// MesosOld is the bundle in the older format, for frameworks without RESERVATION_REFINEMENT (OFF-05). That format has
// no words for refined reservations; such frameworks are never offered any, so they are left out.
func (r Resources) MesosOld() []mesos.Resource {
	out := make([]mesos.Resource, 0, len(r.entries))
	for i := range r.entries {
		m := r.entries[i].mesos()
		role := Unreserved
		switch len(m.Reservations) {
		case 0:
		case 1:
			last := m.Reservations[0]
			role = last.GetRole()
			if last.GetType() == mesos.Resource_ReservationInfo_DYNAMIC {
				last.Type, last.Role = nil, nil
				m.Reservation = &last
			}
		default:
			continue
		}
		m.Role, m.Reservations = &role, nil
		out = append(out, m)
	}
	return out
}

func (e *entry) mesos() mesos.Resource {
	id := e.id.Value()
	kind := id.kind
	m := mesos.Resource{Name: id.name, Type: &kind, Reservations: decodeReservations(id.reservations)}
	switch kind {
	case mesos.SCALAR:
		m.Scalar = &mesos.Value_Scalar{Value: e.scalar.Float()}
	case mesos.RANGES:
		m.Ranges = &mesos.Value_Ranges{Range: make([]mesos.Value_Range, 0, len(e.ranges))}
		for _, p := range e.ranges {
			m.Ranges.Range = append(m.Ranges.Range, mesos.Value_Range{Begin: p.Begin, End: p.End})
		}
	case mesos.SET:
		m.Set = &mesos.Value_Set{Item: slices.Clone(e.set)}
	}
	if e.role != "" {
		role := e.role
		m.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	}
	if id.disk != "" {
		m.Disk = &mesos.Resource_DiskInfo{}
		if err := m.Disk.Unmarshal([]byte(id.disk)); err != nil {
			panic(fmt.Sprintf("offers: a disk that was encoded here can't be decoded: %v", err))
		}
	}
	if id.provider != "" {
		m.ProviderID = &mesos.ResourceProviderID{Value: id.provider}
	}
	if id.revocable {
		m.Revocable = &mesos.Resource_RevocableInfo{}
	}
	if id.shared {
		m.Shared = &mesos.Resource_SharedInfo{}
	}
	return m
}

// Unreserved is the role of resources that are reserved for nobody, and the default role of frameworks.
const Unreserved = "*"

// ValidateRole reports what is wrong with a role name, by Mesos's rules.
func ValidateRole(role string) error {
	if role == Unreserved {
		return nil
	}
	for part := range strings.SplitSeq(role, "/") {
		switch {
		case part == "":
			return fmt.Errorf("role %q is empty or has an empty part between slashes", role)
		case part == "." || part == "..":
			return fmt.Errorf("role %q has the part %q, which is not allowed", role, part)
		case part == Unreserved:
			return fmt.Errorf("role %q has the part %q, which is allowed only on its own", role, part)
		case strings.HasPrefix(part, "-"):
			return fmt.Errorf("role %q has a part that starts with '-'", role)
		case strings.ContainsAny(part, " \t\n\v\f\r\b\x7f"):
			return fmt.Errorf("role %q has white space or a control character", role)
		}
	}
	return nil
}

// isWithin reports whether role is ancestor or one of its descendants in the tree of roles (ALC-01).
func isWithin(role, ancestor string) bool {
	return strings.HasPrefix(role, ancestor) && (len(role) == len(ancestor) || role[len(ancestor)] == '/')
}
