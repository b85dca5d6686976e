package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// admitOperations is the first look at the operations of an ACCEPT: those that are malformed, or want feedback that can't
// be given, are refused before any is carried out. The others come out with the offers' allocation and in the present
// format of reservations (reference rows ACC-07, ACC-08). Launches check themselves.
func (s *State) admitOperations(b *bargain, all []mesos.Offer_Operation) []*mesos.Offer_Operation {
	admitted := make([]*mesos.Offer_Operation, 0, len(all))
	for i := range all {
		op := &all[i]
		if isLaunch(op) {
			admitted = append(admitted, op)
			continue
		}
		if err := b.admit(op); err != nil {
			s.dropOperation(b.framework, op, err.Error())
			continue
		}
		if op.ID != nil && b.framework.driver {
			s.send(b.framework, errorEvent(noDriverFeedback))
			continue
		}
		admitted = append(admitted, operations.Allocated(operations.Upgraded(op), b.role))
	}
	return admitted
}

// noDriverFeedback makes a driver abort: its schedulers have no event for an operation's result.
const noDriverFeedback = "The 'id' field was set in an offer operation, but operation feedback is not supported for the SchedulerDriver API; please use the HTTP scheduler API for this feature"

// admit says why an operation can't be looked at any closer. The texts are Mesos's.
func (b *bargain) admit(op *mesos.Offer_Operation) error {
	err := operations.ValidateForm(op)
	if err == nil && len(op.GetReserve().GetSource()) > 0 {
		err = fmt.Errorf("Reservation updates are not yet implemented for the scheduler API.")
	}
	if err != nil {
		return fmt.Errorf("Operation attempted with invalid resources: %w", err)
	}
	if op.ID == nil {
		return nil
	}
	provider := b.agent.can(mesos.AgentInfo_Capability_RESOURCE_PROVIDER)
	if !provider {
		return fmt.Errorf("Operation requested feedback, but agent %s does not have the required RESOURCE_PROVIDER capability", b.agent.id)
	}
	if operations.Provider(op) == "" && !b.agent.can(mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK) {
		return fmt.Errorf("Operation on agent default resources requested feedback, but agent %s does not have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities", b.agent.id)
	}
	if len(b.agent.operations) >= maxOperations {
		return fmt.Errorf("Operation requested feedback, but %d operations of agent %s wait to be acknowledged already", len(b.agent.operations), b.agent.id)
	}
	return nil
}

// operate carries out an admitted operation of an ACCEPT on what is left of the offers (reference row ACC-03).
func (s *State) operate(b *bargain, op *mesos.Offer_Operation) {
	f, a := b.framework, b.agent
	if err := validOperation(a, f, f.info.Principal, op); err != nil {
		s.dropOperation(f, op, fmt.Sprintf("%s; on agent %s", err, a.text()))
		return
	}
	if err := s.mayOperate(f, op); err != nil {
		s.dropOperation(f, op, err.Error())
		return
	}
	if op.Type == mesos.Offer_Operation_DESTROY {
		s.rescindVolumes(a, op.Destroy.Volumes)
	}
	list, err := operations.Conversions(op)
	if err != nil {
		s.dropOperation(f, op, err.Error())
		return
	}
	after, err := operations.Apply(b.left, list)
	if err != nil {
		if resizes(op) {
			err = fmt.Errorf("Invalid %s operation: %w", op.Type, err)
		}
		s.dropOperation(f, op, err.Error())
		return
	}
	if err := s.convert(a, f, list); err != nil {
		s.dropOperation(f, op, err.Error())
		return
	}
	if resizes(op) {
		// What a resize makes can be used from the next offer on only, as in Mesos.
		b.left = s.minus(b.left, list[0].Consumed)
		b.resized = b.resized.Plus(list[0].Converted)
	} else {
		b.left = after
	}
	if op.Type == mesos.Offer_Operation_CREATE || op.Type == mesos.Offer_Operation_DESTROY {
		b.shared = b.left.Shared()
	}
	b.converted = true
	s.apply(a, f, op)
}

func resizes(op *mesos.Offer_Operation) bool {
	return op.Type == mesos.Offer_Operation_GROW_VOLUME || op.Type == mesos.Offer_Operation_SHRINK_VOLUME
}

// consume takes what a task needs from what is left. Of a shared volume that is in use already, one more copy is charged
// (reference row RUN-08).
func (s *State) consume(b *bargain, needed offers.Resources) {
	if more := needed.Shared().Without(b.left.Shared()); !more.IsZero() {
		s.book(b.framework, b.agent, more)
	}
	b.left = b.left.Without(needed)
}

// settle gives back what an ACCEPT left over: what its operations made at once, the rest as refused (reference row ACC-05).
func (s *State) settle(b *bargain, filters *mesos.Filters) {
	f, a := b.framework, b.agent
	if !b.converted {
		s.refuse(f, a, b.left, filters, b.launched)
		return
	}
	back := b.left.Plus(b.resized)
	made := back.Without(b.offered)
	if !made.IsZero() {
		s.unbook(f, a, made) // offered with the next batch, to whoever has a claim on it
	}
	s.refuse(f, a, back.Without(made), filters, b.launched)
}

// rescindVolumes rescinds the offers that contain a volume that is about to be destroyed: only shared volumes are in
// several (reference row OFF-07).
func (s *State) rescindVolumes(a *agent, volumes []mesos.Resource) {
	for _, o := range sortedOffers(a.offers) {
		for i := range volumes {
			v := volumes[i]
			v.AllocationInfo = nil
			if contains(o.resources.Unallocated(), v) {
				s.rescind(o)
				break
			}
		}
	}
}

// text names an agent as Mesos's messages do.
func (a *agent) text() string { return fmt.Sprintf("%s at %s (%s)", a.id, a.pid, a.info.Hostname) }
