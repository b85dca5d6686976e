package operations

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// Conversion replaces resources by others of the same worth.
type Conversion struct {
	Consumed, Converted offers.Resources
	// gone must not be contained in what results: a volume that has more copies can't be destroyed.
	gone offers.Resources
}

// Speculative says whether the master counts an operation as done once it is ordered (reference section 1.6); the others
// wait for their agent.
func Speculative(t mesos.Offer_Operation_Type) bool {
	switch t {
	case mesos.Offer_Operation_RESERVE, mesos.Offer_Operation_UNRESERVE, mesos.Offer_Operation_CREATE, mesos.Offer_Operation_DESTROY,
		mesos.Offer_Operation_GROW_VOLUME, mesos.Offer_Operation_SHRINK_VOLUME:
		return true
	}
	return false
}

// Conversions says what a speculative operation does, in the order in which it must be done. The operation's resources
// have the form that Validate checks. Other operations are an error.
func Conversions(op *mesos.Offer_Operation) ([]Conversion, error) {
	var c builder
	switch op.Type {
	case mesos.Offer_Operation_RESERVE:
		reserved := op.GetReserve().GetResources()
		if from := op.GetReserve().GetSource(); len(from) > 0 {
			c.add(from, reserved)
			break
		}
		c.add(popAll(reserved), reserved)
	case mesos.Offer_Operation_UNRESERVE:
		for _, r := range op.GetUnreserve().GetResources() {
			c.add(one(r), one(pop(r)))
		}
	case mesos.Offer_Operation_CREATE:
		for _, v := range op.GetCreate().GetVolumes() {
			c.add(one(PlainDisk(v)), one(v))
		}
	case mesos.Offer_Operation_DESTROY:
		for _, v := range op.GetDestroy().GetVolumes() {
			c.add(one(v), one(PlainDisk(v)))
			c.list[len(c.list)-1].gone = c.parse(one(v))
		}
	case mesos.Offer_Operation_GROW_VOLUME:
		volume, addition := op.GrowVolume.Volume, op.GrowVolume.Addition
		c.add([]mesos.Resource{volume, addition}, one(resized(volume, c.amount(volume.Scalar)+c.amount(addition.Scalar))))
	case mesos.Offer_Operation_SHRINK_VOLUME:
		volume, freed := op.ShrinkVolume.Volume, c.amount(&op.ShrinkVolume.Subtract)
		c.add(one(volume), []mesos.Resource{resized(volume, c.amount(volume.Scalar)-freed), resized(PlainDisk(volume), freed)})
	default:
		return nil, fmt.Errorf("Operation not supported") //nolint:staticcheck // Mesos's text
	}
	return c.list, c.err
}

// builder collects conversions; its first error makes the rest moot.
type builder struct {
	list []Conversion
	err  error
}

func (b *builder) add(consumed, converted []mesos.Resource) {
	b.list = append(b.list, Conversion{Consumed: b.parse(consumed), Converted: b.parse(converted)})
}

// amount is a size in thousandths, so that what is grown and what is left add up.
func (b *builder) amount(s *mesos.Value_Scalar) offers.Amount {
	a, err := offers.AmountOf(s.GetValue())
	if err != nil && b.err == nil {
		b.err = err
	}
	return a
}

func (b *builder) parse(list []mesos.Resource) offers.Resources {
	r, err := offers.Parse(list)
	if err != nil && b.err == nil {
		b.err = err
	}
	return r
}

// Apply carries conversions out on resources. It fails as a whole if something is missing.
func Apply(r offers.Resources, list []Conversion) (offers.Resources, error) {
	for _, c := range list {
		rest, err := r.Minus(c.Consumed)
		if err != nil {
			return r, fmt.Errorf("%s does not contain %s", Text(r), Text(c.Consumed))
		}
		next := rest.Plus(c.Converted)
		if !c.gone.IsZero() && next.Contains(c.gone) {
			return r, fmt.Errorf("Persistent volume %s cannot be removed due to additional shared copies", Text(c.gone)) //nolint:staticcheck // Mesos's text
		}
		r = next
	}
	return r, nil
}

// Unallocated is the same conversions for resources that carry no allocation, as an agent's total.
func Unallocated(list []Conversion) []Conversion {
	out := make([]Conversion, len(list))
	for i, c := range list {
		out[i] = Conversion{Consumed: c.Consumed.Unallocated(), Converted: c.Converted.Unallocated(), gone: c.gone.Unallocated()}
	}
	return out
}

// Consumed is all that an operation needs to find, together; what it makes itself on the way is not counted.
func Consumed(op *mesos.Offer_Operation) (offers.Resources, error) {
	list, err := Conversions(op)
	var sum offers.Resources
	for _, c := range list {
		sum = sum.Plus(c.Consumed)
	}
	return sum, err
}

func one(r mesos.Resource) []mesos.Resource { return []mesos.Resource{r} }

// pop takes the last reservation off.
func pop(r mesos.Resource) mesos.Resource {
	if n := len(r.Reservations); n > 0 {
		r.Reservations = r.Reservations[: n-1 : n-1]
	}
	return r
}

func popAll(list []mesos.Resource) []mesos.Resource {
	out := make([]mesos.Resource, len(list))
	for i := range list {
		out[i] = pop(list[i])
	}
	return out
}

// PlainDisk is what a persistent volume is made from, and becomes again.
func PlainDisk(r mesos.Resource) mesos.Resource {
	if r.GetDisk().GetSource() != nil {
		d := *r.Disk
		d.Persistence, d.Volume = nil, nil
		r.Disk = &d
	} else {
		r.Disk = nil
	}
	r.Shared = nil
	return r
}

func resized(r mesos.Resource, to offers.Amount) mesos.Resource {
	r.Scalar = &mesos.Value_Scalar{Value: to.Float()}
	return r
}
