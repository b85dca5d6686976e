package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/offers"
)

// bargain is an ACCEPT under way: what is left of the offers it names.
type bargain struct {
	framework *framework
	agent     *agent
	role      string
	offered   offers.Resources
	left      offers.Resources
	shared    offers.Resources // shared volumes, which every task may use
	resized   offers.Resources // made by GROW_VOLUME and SHRINK_VOLUME: not to be used any more
	launched  bool
	converted bool // an operation was carried out
}

// accept answers ACCEPT: its operations run one after the other against what is
// left of the offers (reference rows ACC-01 to ACC-05).
func (s *State) accept(f *framework, c *scheduler.Call_Accept) {
	listed, err := s.validOffers(f, c.OfferIDs)
	if err != nil {
		s.acceptInvalid(f, c, err)
		return
	}
	b := &bargain{framework: f, agent: listed[0].agent, role: listed[0].role}
	for _, o := range listed {
		s.takeOffer(o)
		b.offered = b.offered.Plus(o.resources)
		f.counts.OffersAccepted++
	}
	b.left, b.shared = b.offered, b.offered.Shared()
	for _, op := range s.admitOperations(b, c.Operations) {
		switch op.Type {
		case mesos.Offer_Operation_LAUNCH:
			f.counts.Operations[op.Type.String()]++
			s.launch(b, op)
		case mesos.Offer_Operation_LAUNCH_GROUP:
			f.counts.Operations[op.Type.String()]++
			s.launchGroup(b, op)
		default:
			s.operate(b, op)
		}
	}
	s.settle(b, c.Filters)
}

// validOffers returns the offers an ACCEPT names, or why they cannot be used (reference row ACC-01).
func (s *State) validOffers(f *framework, ids []mesos.OfferID) ([]*offer, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("No offers specified") //nolint:staticcheck // the texts here are Mesos's own
	}
	seen := map[string]bool{}
	var list []*offer
	for _, id := range ids {
		o := s.offers[id.Value]
		switch {
		case seen[id.Value]:
			return nil, fmt.Errorf("Duplicate offer %s in offer list", id.Value)
		case o == nil:
			return nil, fmt.Errorf("Offer %s is no longer valid", id.Value)
		case o.framework != f:
			return nil, fmt.Errorf("Offer %s has invalid framework %s while framework %s is expected", id.Value, o.framework.id, f.id)
		case len(list) > 0 && o.role != list[0].role:
			return nil, fmt.Errorf("Aggregated offers must be allocated to the same role. Offer %s uses role %s but another is using role %s", id.Value, o.role, list[0].role)
		case len(list) > 0 && o.agent != list[0].agent:
			return nil, fmt.Errorf("Aggregated offers must belong to one single agent. Offer %s uses agent %s and agent %s", id.Value, o.agent.id, list[0].agent.id)
		}
		seen[id.Value] = true
		list = append(list, o)
	}
	return list, nil
}

// acceptInvalid answers an ACCEPT whose offers cannot be used: those that live are
// lost, whoever holds them, and nothing is launched.
func (s *State) acceptInvalid(f *framework, c *scheduler.Call_Accept, reason error) {
	for _, id := range c.OfferIDs {
		if o := s.offers[id.Value]; o != nil {
			s.dropOffer(o)
		}
	}
	state := mesos.TASK_LOST
	if f.partitionAware() {
		state = mesos.TASK_DROPPED
	}
	for i := range c.Operations {
		op := &c.Operations[i]
		tasks := tasksOf(op)
		for j := range tasks {
			s.refuseTask(f, &tasks[j], state, mesos.REASON_INVALID_OFFERS, "Task launched with invalid offers: "+reason.Error())
		}
		if !isLaunch(op) {
			s.dropOperation(f, op, "Operation attempted with invalid offers: "+reason.Error())
		}
	}
}

func isLaunch(op *mesos.Offer_Operation) bool {
	return op.Type == mesos.Offer_Operation_LAUNCH || op.Type == mesos.Offer_Operation_LAUNCH_GROUP
}

func tasksOf(op *mesos.Offer_Operation) []mesos.TaskInfo {
	switch op.Type {
	case mesos.Offer_Operation_LAUNCH:
		return op.Launch.TaskInfos
	case mesos.Offer_Operation_LAUNCH_GROUP:
		return op.LaunchGroup.TaskGroup.Tasks
	default:
		return nil
	}
}

// refuseTask tells a framework that a task was not launched.
func (s *State) refuseTask(f *framework, t *mesos.TaskInfo, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	status := s.masterStatus(t.TaskID.Value, &t.AgentID.Value, state, reason, message)
	s.counts.taskEnded(f, status, state)
	s.forward(f, status)
}

// dropOperation tells a framework, if it gave the operation an id, that it was not done.
func (s *State) dropOperation(f *framework, op *mesos.Offer_Operation, message string) {
	s.note("operation dropped", "framework_id", f.id, "operation", op.Type.String(), "reason", message)
	s.counts.operationState(op.Type, mesos.OPERATION_ERROR, 1)
	if op.ID != nil && !f.driver {
		s.forwardOperation(f, &mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_ERROR, Message: &message})
	}
}
