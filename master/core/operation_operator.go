package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// OperationRequested says that an operator asked for an operation on an agent's resources (reference rows OP1-18 to
// OP1-21). Principal is who asks, nil if nobody was authenticated.
type OperationRequested struct {
	Request   RequestID
	AgentID   string
	Operation *mesos.Offer_Operation
	Principal *string
}

func (OperationRequested) event() {}

// operatorOperation answers it: 202 once the agent was told, 400 for what can't be, 409 when the resources aren't free.
func (s *State) operatorOperation(e OperationRequested) {
	a := s.agents[e.AgentID]
	if a == nil {
		s.reply(e.Request, 400, "No agent found with specified ID")
		return
	}
	if err := operations.ValidateForm(e.Operation); err != nil {
		s.reply(e.Request, 400, "%s", err)
		return
	}
	op := operations.Upgraded(e.Operation)
	if err := validOperation(a, nil, e.Principal, op); err != nil {
		where := ""
		if op.Type != mesos.Offer_Operation_UNRESERVE && op.Type != mesos.Offer_Operation_DESTROY {
			where = " on agent " + a.text()
		}
		s.reply(e.Request, 400, "Invalid %s operation%s: %s", op.Type, where, err)
		return
	}
	if operations.Provider(op) != "" {
		s.reply(e.Request, 400, "Invalid %s operation: %s", op.Type, errProviders)
		return
	}
	if !a.connected {
		s.reply(e.Request, 409, "agent %s is disconnected", a.id)
		return
	}
	list, err := operations.Conversions(op)
	if err != nil {
		s.reply(e.Request, 400, "Invalid %s operation: %s", op.Type, err)
		return
	}
	s.rescindForOperation(a, list)
	if op.Type == mesos.Offer_Operation_DESTROY {
		s.rescindVolumes(a, op.Destroy.Volumes)
	}
	if _, err := operations.Apply(s.ledger.Free(a.id), list); err != nil {
		s.reply(e.Request, 409, "%s", err)
		return
	}
	if err := s.convert(a, nil, list); err != nil {
		s.reply(e.Request, 409, "%s", err)
		return
	}
	s.apply(a, nil, op)
	s.allocateOn(a.id)
	s.reply(e.Request, 202, "")
}

// rescindForOperation takes back offers until their resources are enough for an operation, or no other would help. What
// is free already is not counted, as in Mesos: it may be on its way into an offer there.
func (s *State) rescindForOperation(a *agent, list []operations.Conversion) {
	var required, recovered offers.Resources
	for _, c := range list {
		required = required.Plus(c.Consumed)
	}
	for _, o := range sortedOffers(a.offers) {
		offered := o.resources.Unallocated()
		rest := required.Without(offered)
		if rest.Equal(required) {
			continue
		}
		required, recovered = rest, recovered.Plus(offered)
		s.rescindRefused(o)
		if _, err := operations.Apply(recovered, list); err == nil {
			return
		}
	}
}

// rescindRefused rescinds an offer such that its framework is not offered the same for the usual time.
func (s *State) rescindRefused(o *offer) {
	s.takeOffer(o)
	s.refuse(o.framework, o.agent, o.resources, nil, true)
	s.rescinded(o)
}

// registeredTotal is what an agent that registers has: what its flags say, with the reservations and volumes it keeps.
func registeredTotal(info *mesos.AgentInfo, checkpointed []mesos.Resource) (offers.Resources, error) {
	if err := operations.Validate(checkpointed); err != nil {
		return offers.Resources{}, fmt.Errorf("the agent's checkpointed resources: %w", err)
	}
	flags, err := offers.Parse(info.Resources)
	if err != nil {
		return offers.Resources{}, fmt.Errorf("the agent's resources: %w", err)
	}
	return operations.WithCheckpointed(flags, checkpointed)
}

// returnedTotal is what an agent has that comes back. One that answers operations knows best what was carried out; for
// an older one this master does, and tells it (reference row 5.3, step 11).
func (s *State) returnedTotal(a *agent, info *mesos.AgentInfo, m *messages.ReregisterSlaveMessage) offers.Resources {
	checkpointed := m.CheckpointedResources
	if !hasAgentCapability(m.AgentCapabilities, mesos.AgentInfo_Capability_RESOURCE_PROVIDER) {
		checkpointed = operations.Checkpointed(a.total)
	}
	total, err := registeredTotal(info, checkpointed)
	if err != nil {
		s.emit(Note{Error: true, Message: "an agent came back with resources that its reservations and volumes don't fit", Attributes: []any{"agent_id", a.id, "error", err.Error()}})
		total, err = registeredTotal(info, m.CheckpointedResources)
	}
	if err != nil { // validReregistration looked at them before
		panic(fmt.Sprintf("core: agent %s: %v", a.id, err))
	}
	return total
}

func hasAgentCapability(list []mesos.AgentInfo_Capability, t mesos.AgentInfo_Capability_Type) bool {
	for _, c := range list {
		if c.Type == t {
			return true
		}
	}
	return false
}
