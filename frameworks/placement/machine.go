// Package placement decides whether work fits an offer: amounts, ports, reservations and constraints. It is PURE.
//
// Start reading at Machine.Take; constraints are in constraint.go.
package placement

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Reason says why an offer was not used, in Marathon's words (/v2/queue). The empty Reason means that it fits.
type Reason string

// The reasons, in the order in which Marathon reports them.
const (
	UnfulfilledRole       Reason = "UnfulfilledRole"
	UnfulfilledConstraint Reason = "UnfulfilledConstraint"
	AgentMaintenance      Reason = "AgentMaintenance"
	InsufficientCpus      Reason = "InsufficientCpus"
	InsufficientMemory    Reason = "InsufficientMemory"
	InsufficientDisk      Reason = "InsufficientDisk"
	InsufficientGpus      Reason = "InsufficientGpus"
	InsufficientPorts     Reason = "InsufficientPorts"
)

// Reasons lists all of them in that order.
var Reasons = []Reason{UnfulfilledRole, UnfulfilledConstraint, AgentMaintenance, InsufficientCpus, InsufficientMemory,
	InsufficientDisk, InsufficientGpus, InsufficientPorts}

// sentences explain the reasons to a person.
var sentences = map[Reason]string{
	UnfulfilledRole:       "offer only resources of roles that are not accepted",
	UnfulfilledConstraint: "do not satisfy the constraints",
	AgentMaintenance:      "are going into maintenance",
	InsufficientCpus:      "have too few cpus",
	InsufficientMemory:    "have too little memory",
	InsufficientDisk:      "have too little disk",
	InsufficientGpus:      "have too few gpus",
	InsufficientPorts:     "lack the ports",
}

// Sentence tells why work waits, from how many machines were last refused for which reason.
func Sentence(refused map[Reason]int) string {
	var parts []string
	total := 0
	for _, r := range Reasons {
		if n := refused[r]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, sentences[r]))
			total += n
		}
	}
	if total == 0 {
		return "no offers have arrived yet"
	}
	noun := "machines"
	if total == 1 {
		noun = "machine"
	}
	return fmt.Sprintf("of %d %s offered, %s", total, noun, strings.Join(parts, ", "))
}

// Ask is what one task needs. Amounts are Mesos's: cpus in cores, mem and disk in MiB.
type Ask struct {
	Cpus, Mem, Disk, Gpus float64
	Ports                 []int    // wanted host ports; 0 = any
	Roles                 []string // roles whose resources may be used ("*" = unreserved); empty = all that is offered
	Seed                  uint64   // where the search for free ports starts, so that ports are not reused at once
}

// Machine is what one agent offers: one or more offers for the same role, less what was taken from them.
type Machine struct {
	Offers     []mesos.OfferID
	Agent      mesos.AgentID
	Host       string // the agent's hostname
	Address    string // host:port of the agent's HTTP endpoint, "" when the offer does not say
	Role       string // the role that the resources are allocated to
	Attributes map[string]string
	Region     string
	Zone       string
	Draining   bool // the offer announces an unavailability

	left []mesos.Resource
}

// Group makes machines of offers, in order of their first offer.
func Group(offers []mesos.Offer) []*Machine {
	var machines []*Machine
	at := map[[2]string]*Machine{}
	for i := range offers {
		offer := &offers[i]
		key := [2]string{offer.AgentID.Value, offer.GetAllocationInfo().GetRole()}
		m := at[key]
		if m == nil {
			m = newMachine(offer)
			at[key] = m
			machines = append(machines, m)
		}
		m.Offers = append(m.Offers, offer.ID)
		for _, r := range offer.Resources {
			if r.Revocable == nil && r.Shared == nil && r.Disk == nil {
				m.left = append(m.left, clone(r))
			}
		}
	}
	return machines
}

func newMachine(offer *mesos.Offer) *Machine {
	m := &Machine{Agent: offer.AgentID, Host: offer.Hostname, Role: offer.GetAllocationInfo().GetRole(),
		Attributes: map[string]string{}, Draining: offer.Unavailability != nil}
	if m.Role == "" {
		m.Role = "*"
	}
	if url := offer.URL; url != nil {
		host := url.Address.GetIP()
		if host == "" {
			host = url.Address.GetHostname()
		}
		m.Address = fmt.Sprintf("%s:%d", host, url.Address.Port)
	}
	if domain := offer.GetDomain().GetFaultDomain(); domain != nil {
		m.Region, m.Zone = domain.Region.Name, domain.Zone.Name
	}
	for _, a := range offer.Attributes {
		m.Attributes[a.Name] = attributeText(a)
	}
	return m
}

// attributeText writes an attribute's value as Marathon compares it: scalars with up to three decimals.
func attributeText(a mesos.Attribute) string {
	switch {
	case a.Scalar != nil:
		return number(a.Scalar.Value)
	case a.Text != nil:
		return a.Text.Value
	case a.Set != nil:
		items := slices.Sorted(slices.Values(a.Set.Item))
		return "{" + strings.Join(items, ",") + "}"
	case a.Ranges != nil:
		ranges := slices.Clone(a.Ranges.Range)
		slices.SortFunc(ranges, func(x, y mesos.Value_Range) int { return int(x.Begin) - int(y.Begin) })
		texts := make([]string, len(ranges))
		for i, r := range ranges {
			texts[i] = fmt.Sprintf("%d-%d", r.Begin, r.End)
		}
		return "[" + strings.Join(texts, ",") + "]"
	}
	return ""
}

func number(f float64) string { return strconv.FormatFloat(math.Round(f*1000)/1000, 'f', -1, 64) }

// milli turns an amount into thousandths, Mesos's precision.
func milli(f float64) int64 { return int64(math.Round(f * 1000)) }

// roleOf is the role that a resource is reserved for, "*" when it is not reserved.
func roleOf(r *mesos.Resource) string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].GetRole()
	}
	return r.GetRole()
}

// Take cuts what the ask needs out of the machine, reserved resources first. When something is missing it changes
// nothing and says what.
func (m *Machine) Take(ask Ask) (taken []mesos.Resource, ports []int, why Reason) {
	if len(ask.Roles) > 0 && !slices.ContainsFunc(m.left, func(r mesos.Resource) bool { return accepts(ask.Roles, &r) }) {
		return nil, nil, UnfulfilledRole
	}
	left := make([]mesos.Resource, len(m.left))
	for i, r := range m.left {
		left[i] = clone(r)
	}
	for _, need := range []struct {
		name   string
		amount float64
		reason Reason
	}{{"cpus", ask.Cpus, InsufficientCpus}, {"mem", ask.Mem, InsufficientMemory}, {"disk", ask.Disk, InsufficientDisk},
		{"gpus", ask.Gpus, InsufficientGpus}} {
		cut, ok := takeScalar(left, need.name, milli(need.amount), ask.Roles)
		if !ok {
			return nil, nil, need.reason
		}
		taken = append(taken, cut...)
	}
	cut, ports, ok := takePorts(left, ask)
	if !ok {
		return nil, nil, InsufficientPorts
	}
	m.left = left
	return append(taken, cut...), ports, ""
}

func accepts(roles []string, r *mesos.Resource) bool {
	return len(roles) == 0 || slices.Contains(roles, roleOf(r))
}

// order lists the indexes of the usable resources of a name, reserved ones first.
func order(left []mesos.Resource, name string, roles []string) []int {
	var reserved, open []int
	for i := range left {
		switch {
		case left[i].Name != name || !accepts(roles, &left[i]):
		case roleOf(&left[i]) == "*":
			open = append(open, i)
		default:
			reserved = append(reserved, i)
		}
	}
	return append(reserved, open...)
}

func takeScalar(left []mesos.Resource, name string, want int64, roles []string) (cut []mesos.Resource, ok bool) {
	for _, i := range order(left, name, roles) {
		if want <= 0 {
			break
		}
		have := milli(left[i].GetScalar().GetValue())
		n := min(have, want)
		if n <= 0 {
			continue
		}
		part := clone(left[i])
		part.Scalar = &mesos.Value_Scalar{Value: float64(n) / 1000}
		left[i].Scalar = &mesos.Value_Scalar{Value: float64(have-n) / 1000}
		cut, want = append(cut, part), want-n
	}
	return cut, want <= 0
}

// takePorts finds the wanted ports, the exact ones first so that an "any" does not use them up.
func takePorts(left []mesos.Resource, ask Ask) (cut []mesos.Resource, ports []int, ok bool) {
	ports = slices.Clone(ask.Ports)
	for exact := range 2 {
		for i, want := range ask.Ports {
			if (want != 0) != (exact == 0) {
				continue
			}
			part, port, found := takePort(left, want, ask, i)
			if !found {
				return nil, nil, false
			}
			ports[i] = port
			cut = join(cut, part)
		}
	}
	return cut, ports, true
}

func takePort(left []mesos.Resource, want int, ask Ask, index int) (mesos.Resource, int, bool) {
	for _, i := range order(left, "ports", ask.Roles) {
		if left[i].Ranges == nil {
			continue
		}
		port, rest, found := pick(left[i].Ranges.Range, want, ask.Seed+uint64(index))
		if !found {
			continue
		}
		left[i].Ranges = &mesos.Value_Ranges{Range: rest}
		part := clone(left[i])
		part.Ranges = &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: uint64(port), End: uint64(port)}}}
		return part, port, true
	}
	return mesos.Resource{}, 0, false
}

// pick takes one port out of ranges: the wanted one or, for 0, the one at position seed.
func pick(ranges []mesos.Value_Range, want int, seed uint64) (port int, rest []mesos.Value_Range, ok bool) {
	var size uint64
	for _, r := range ranges {
		size += r.End - r.Begin + 1
	}
	if size == 0 {
		return 0, nil, false
	}
	chosen := uint64(want)
	if want == 0 {
		position := seed % size
		for _, r := range ranges {
			if n := r.End - r.Begin + 1; position >= n {
				position -= n
				continue
			}
			chosen = r.Begin + position
			break
		}
	}
	for _, r := range ranges {
		if chosen < r.Begin || chosen > r.End {
			rest = append(rest, r)
			continue
		}
		ok = true
		if r.Begin < chosen {
			rest = append(rest, mesos.Value_Range{Begin: r.Begin, End: chosen - 1})
		}
		if chosen < r.End {
			rest = append(rest, mesos.Value_Range{Begin: chosen + 1, End: r.End})
		}
	}
	return int(chosen), rest, ok
}

// join adds a port to the resource of the same reservation, if there is one.
func join(cut []mesos.Resource, part mesos.Resource) []mesos.Resource {
	for i := range cut {
		if roleOf(&cut[i]) == roleOf(&part) && len(cut[i].Reservations) == len(part.Reservations) {
			cut[i].Ranges.Range = append(cut[i].Ranges.Range, part.Ranges.Range...)
			return cut
		}
	}
	return append(cut, part)
}

// clone copies a resource deeply enough that its amount can be changed.
func clone(r mesos.Resource) mesos.Resource {
	if r.Scalar != nil {
		r.Scalar = &mesos.Value_Scalar{Value: r.Scalar.Value}
	}
	if r.Ranges != nil {
		r.Ranges = &mesos.Value_Ranges{Range: slices.Clone(r.Ranges.Range)}
	}
	return r
}

// Left is how much of a scalar the machine still has, over all roles.
func (m *Machine) Left(name string) float64 {
	var sum int64
	for i := range m.left {
		if m.left[i].Name == name {
			sum += milli(m.left[i].GetScalar().GetValue())
		}
	}
	return float64(sum) / 1000
}

// Field reads what constraints compare: hostname (@hostname), @region, @zone or an attribute.
func (m *Machine) Field(name string) (string, bool) {
	return Field(name, m.Host, m.Region, m.Zone, m.Attributes)
}

// Field is Machine.Field for remembered placements.
func Field(name, host, region, zone string, attributes map[string]string) (string, bool) {
	switch name {
	case "hostname", "@hostname":
		return host, true
	case "@region":
		return region, region != ""
	case "@zone":
		return zone, zone != ""
	}
	value, ok := attributes[name]
	return value, ok
}
