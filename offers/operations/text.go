package operations

import (
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// Text shows resources as Mesos's messages do: "cpus(allocated: a)(reservations: [(DYNAMIC,a,p)]):0.5; mem:64".
func Text(r offers.Resources) string {
	list := r.Mesos()
	if len(list) == 0 {
		return "{}"
	}
	parts := make([]string, len(list))
	for i := range list {
		parts[i] = TextOf(&list[i])
	}
	return strings.Join(parts, "; ")
}

// TextOf shows one resource as Mesos's messages do, also one of a form that is not valid.
func TextOf(r *mesos.Resource) string {
	var b strings.Builder
	b.WriteString(r.Name)
	if r.AllocationInfo != nil {
		b.WriteString("(allocated: " + r.AllocationInfo.GetRole() + ")")
	}
	if len(r.Reservations) > 0 {
		stack := make([]string, len(r.Reservations))
		for i := range r.Reservations {
			stack[i] = "(" + reservationText(&r.Reservations[i]) + ")"
		}
		b.WriteString("(reservations: [" + strings.Join(stack, ", ") + "])")
	}
	if r.Disk != nil {
		b.WriteString("[" + diskText(r.Disk) + "]")
	}
	if r.Revocable != nil {
		b.WriteString("{REV}")
	}
	if r.Shared != nil {
		b.WriteString("<SHARED>")
	}
	b.WriteString(":" + valueText(r))
	return b.String()
}

func reservationText(r *mesos.Resource_ReservationInfo) string {
	text := r.GetType().String() + "," + r.GetRole()
	if r.Principal != nil {
		text += "," + *r.Principal
	}
	if r.Labels != nil {
		labels := make([]string, len(r.Labels.Labels))
		for i, l := range r.Labels.Labels {
			labels[i] = l.Key
			if l.Value != nil {
				labels[i] += ": " + *l.Value
			}
		}
		text += ",{" + strings.Join(labels, ", ") + "}"
	}
	return text
}

func diskText(d *mesos.Resource_DiskInfo) string {
	text := ""
	if s := d.Source; s != nil {
		text = s.Type.String()
		root := ""
		switch {
		case s.ID != nil || s.Profile != nil:
			text += "(" + s.GetVendor() + "," + s.GetID() + "," + s.GetProfile() + ")"
		case s.Mount != nil:
			root = s.Mount.GetRoot()
		case s.Path != nil:
			root = s.Path.GetRoot()
		}
		if root != "" {
			text += ":" + root
		}
	}
	if d.Persistence != nil {
		if text != "" {
			text += ","
		}
		text += d.Persistence.ID
	}
	if v := d.Volume; v != nil {
		text += ":"
		if v.HostPath != nil {
			text += *v.HostPath + ":"
		}
		text += v.ContainerPath
		if v.HostPath != nil && v.Mode != nil {
			text += ":" + strings.ToLower(v.Mode.String())
		}
	}
	return text
}

func valueText(r *mesos.Resource) string {
	switch r.GetType() {
	case mesos.SCALAR:
		return strconv.FormatFloat(r.GetScalar().GetValue(), 'g', -1, 64)
	case mesos.RANGES:
		parts := make([]string, 0, len(r.GetRanges().GetRange()))
		for _, p := range r.GetRanges().GetRange() {
			parts = append(parts, strconv.FormatUint(p.Begin, 10)+"-"+strconv.FormatUint(p.End, 10))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case mesos.SET:
		return "{" + strings.Join(r.GetSet().GetItem(), ", ") + "}"
	default:
		return "?"
	}
}
