package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// reconcileOperations answers RECONCILE_OPERATIONS (reference rows CALL-16, REC-08). Its statuses have no uuid: they are
// not acknowledged.
func (s *State) reconcileOperations(f *framework, c *scheduler.Call_ReconcileOperations) {
	if len(c.Operations) == 0 {
		for _, o := range sortedOperations(f.operations) {
			s.forwardOperation(f, o.unreliable())
		}
		return
	}
	forwarded := map[string]*messages.ReconcileOperationsMessage{}
	for i := range c.Operations {
		asked := &c.Operations[i]
		if s.providerMayKnow(f, asked) {
			m := forwarded[asked.AgentID.Value]
			if m == nil {
				m = &messages.ReconcileOperationsMessage{FrameworkID: f.info.ID}
				forwarded[asked.AgentID.Value] = m
			}
			id := asked.OperationID
			m.Operations = append(m.Operations, messages.ReconcileOperationsMessage_Operation{OperationID: &id, ResourceProviderID: asked.ResourceProviderID})
			continue
		}
		s.forwardOperation(f, s.reconciledOperation(f, asked))
	}
	for _, id := range sortedKeys(forwarded) {
		s.sendAgent(s.agents[id], forwarded[id])
	}
}

// named finds a framework's newest operation of an id.
func (f *framework) named(id string) (found *operation) {
	for _, o := range f.operations {
		if o.id() == id && (found == nil || o.sequence > found.sequence) {
			found = o
		}
	}
	return found
}

// unreliable is the last status of an operation, not to be acknowledged.
func (o *operation) unreliable() *mesos.OperationStatus {
	status := o.info.LatestStatus
	if n := len(o.info.Statuses); n > 0 {
		status = o.info.Statuses[n-1]
	}
	status.UUID = nil
	return &status
}

// providerMayKnow says whether only the agent can answer: for a resource provider that this master does not know of.
func (s *State) providerMayKnow(f *framework, asked *scheduler.Call_ReconcileOperations_Operation) bool {
	if asked.ResourceProviderID == nil || asked.AgentID == nil || f.named(asked.OperationID.Value) != nil {
		return false
	}
	a := s.agents[asked.AgentID.Value]
	return a != nil && a.can(mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK)
}

// reconciledOperation is what this master knows of an operation that a framework asks for.
func (s *State) reconciledOperation(f *framework, asked *scheduler.Call_ReconcileOperations_Operation) *mesos.OperationStatus {
	if o := f.named(asked.OperationID.Value); o != nil {
		return o.unreliable()
	}
	id := asked.OperationID
	status := &mesos.OperationStatus{OperationID: &id, AgentID: asked.AgentID, ResourceProviderID: asked.ResourceProviderID}
	state, message := mesos.OPERATION_UNKNOWN, "Reconciliation: Both operation and agent are unknown"
	agentID := asked.AgentID.GetValue()
	_, recovered := s.recovered[agentID]
	_, unreachable := s.unreachable[agentID]
	_, gone := s.gone[agentID]
	switch {
	case asked.AgentID == nil:
		message = "Reconciliation: Operation is unknown and no 'agent_id' was provided"
	case recovered:
		state, message = mesos.OPERATION_RECOVERING, "Reconciliation: Agent is recovered but has not re-registered"
	case s.agents[agentID] != nil:
		message = "Reconciliation: Operation is unknown"
	case unreachable:
		state, message = mesos.OPERATION_UNREACHABLE, "Reconciliation: Agent is unreachable"
	case gone:
		state, message = mesos.OPERATION_GONE_BY_OPERATOR, "Reconciliation: Agent marked gone by operator"
	}
	status.State, status.Message = state, &message
	return status
}

// compareOperations takes in the operations that an agent reports after it registered, and asks it for those that it does
// not report: an order may have been lost on the way (reference row 5.2 ReconcileOperationsMessage).
func (s *State) compareOperations(a *agent, m *messages.UpdateSlaveMessage) {
	var reported []mesos.Operation
	if m.Operations != nil {
		reported = m.Operations.Operations
	}
	there := map[string]bool{}
	for i := range reported {
		uuid := string(reported[i].UUID.Value)
		there[uuid] = true
		if a.operations[uuid] == nil && len(a.operations) < 2*maxOperations {
			s.addOperation(&operation{uuid: uuid, agent: a, framework: reported[i].FrameworkID.GetValue(), info: &reported[i]})
		}
	}
	missing := &messages.ReconcileOperationsMessage{}
	for _, o := range sortedOperations(a.operations) {
		if !there[o.uuid] {
			uuid := o.info.UUID
			missing.Operations = append(missing.Operations, messages.ReconcileOperationsMessage_Operation{OperationUUID: &uuid})
		}
	}
	if len(missing.Operations) > 0 {
		s.sendAgent(a, missing)
	}
}

// adoptOperations gives a framework that this master had not met the operations that agents reported for it.
func (s *State) adoptOperations(f *framework) {
	for _, a := range s.agents {
		for uuid, o := range a.operations {
			if o.framework == f.id {
				f.operations[uuid] = o
			}
		}
	}
}
