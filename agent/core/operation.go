package core

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// operation is an offer operation that was carried out, or could not be, and whose result is not acknowledged yet.
// It is sent again until it is (reference rows OP-08, OP-09).
type operation struct {
	uuid     string // 16 bytes, the master's
	sequence uint64 // of arrival
	info     mesos.Operation
	retry    time.Duration
}

// applyOperation carries out a master's order. What it makes is on disk before the result goes out, so that a crash leaves
// either nothing of it or all.
func (s *State) applyOperation(m *messages.ApplyOperationMessage) {
	uuid := string(m.OperationUUID.Value)
	if s.phase == terminating || s.operations[uuid] != nil {
		return
	}
	status := mesos.OperationStatus{OperationID: m.OperationInfo.ID, State: mesos.OPERATION_FINISHED, AgentID: s.info.ID, UUID: &mesos.UUID{Value: s.uuid()}}
	total, err := s.converted(&m.OperationInfo)
	if err != nil {
		text := err.Error()
		status.State, status.Message = mesos.OPERATION_ERROR, &text
		s.log(Error, "operation can't be carried out", "operation", m.OperationInfo.Type.String(), "error", text)
	} else {
		s.total = total
	}
	s.addOperation(mesos.Operation{
		FrameworkID: m.FrameworkID, AgentID: s.info.ID, Info: m.OperationInfo, LatestStatus: status,
		Statuses: []mesos.OperationStatus{status}, UUID: m.OperationUUID,
	})
	s.saveResources()
	s.forwardOperation(s.operations[uuid])
	if err != nil && s.phase == running {
		// The master counted it as done: it has to learn what is here.
		s.startRegistration(s.jitter(s.cfg.BackoffFactor))
	}
}

// converted is what this agent has after an operation.
func (s *State) converted(op *mesos.Offer_Operation) (offers.Resources, error) {
	if operations.Provider(op) != "" {
		return s.total, fmt.Errorf("resource providers are not supported by this agent")
	}
	if err := operations.ValidateForm(op); err != nil {
		return s.total, err
	}
	list, err := operations.Conversions(operations.Upgraded(op))
	if err != nil {
		return s.total, err
	}
	return operations.Apply(s.total, operations.Unallocated(list))
}

// checkpointResources takes over reservations and volumes from a master that orders no operations (reference row 5.2
// CheckpointResourcesMessage).
func (s *State) checkpointResources(m *messages.CheckpointResourcesMessage) {
	total, err := s.withCheckpointed(m.Resources)
	if err != nil {
		s.log(Error, "reservations and volumes of the master don't fit this agent's resources, ignored", "error", err.Error())
		return
	}
	s.total = total
	s.saveResources()
}

func (s *State) withCheckpointed(list []mesos.Resource) (offers.Resources, error) {
	flags, err := offers.Parse(s.cfg.Info.Resources)
	if err == nil {
		err = operations.Validate(list)
	}
	if err != nil {
		return flags, err
	}
	return operations.WithCheckpointed(flags, list)
}

func (s *State) addOperation(info mesos.Operation) {
	s.sequence++
	o := &operation{uuid: string(info.UUID.Value), sequence: s.sequence, info: info, retry: updateRetryMin}
	s.operations[o.uuid] = o
}

// saveResources writes reservations, volumes and unacknowledged results down.
func (s *State) saveResources() {
	s.showResources()
	s.do(SaveResources{Resources: operations.Checkpointed(s.total), Operations: s.operationsShown})
}

func (s *State) showResources() {
	s.resourcesShown, s.operationsShown = s.total.Mesos(), s.operationList()
}

// operationsInOrder lists the operations in the order in which they came.
func (s *State) operationsInOrder() []*operation {
	all := make([]*operation, 0, len(s.operations))
	for _, o := range s.operations {
		all = append(all, o)
	}
	slices.SortFunc(all, func(a, b *operation) int { return cmp.Compare(a.sequence, b.sequence) })
	return all
}

func (s *State) operationList() []mesos.Operation {
	var list []mesos.Operation
	for _, o := range s.operationsInOrder() {
		list = append(list, o.info)
	}
	return list
}

// forwardOperation sends an operation's result, when there is a master to send it to, and again later.
func (s *State) forwardOperation(o *operation) {
	if s.phase != running {
		return
	}
	uuid := o.info.UUID
	s.do(Send{To: s.master, Message: &messages.UpdateOperationStatusMessage{
		FrameworkID: o.info.FrameworkID, AgentID: s.info.ID, Status: o.info.LatestStatus, OperationUUID: &uuid,
	}})
	s.after(o.retry, timer{kind: timerOperation, id: o.uuid})
}

func (s *State) retryOperation(uuid string) {
	if o := s.operations[uuid]; o != nil {
		o.retry = min(2*o.retry, updateRetryMax)
		s.forwardOperation(o)
	}
}

func (s *State) pauseOperations() {
	for uuid := range s.operations {
		s.cancel(timer{kind: timerOperation, id: uuid})
	}
}

// resumeOperations sends every result after a (re-)registration.
func (s *State) resumeOperations() {
	for _, o := range s.operationsInOrder() {
		o.retry = updateRetryMin
		s.forwardOperation(o)
	}
}

// acknowledgedOperation ends an operation whose result arrived.
func (s *State) acknowledgedOperation(m *messages.AcknowledgeOperationStatusMessage) {
	o := s.operations[string(m.OperationUUID.Value)]
	if o == nil || !bytes.Equal(o.info.LatestStatus.UUID.Value, m.StatusUUID.Value) {
		s.log(Info, "acknowledgement that matches no operation's result, dropped", "operation_uuid", fmt.Sprintf("%x", m.OperationUUID.Value))
		return
	}
	delete(s.operations, o.uuid)
	s.cancel(timer{kind: timerOperation, id: o.uuid})
	s.saveResources()
}

// reconcileOperations answers for operations that a master, or through it a framework, believes to be here.
func (s *State) reconcileOperations(m *messages.ReconcileOperationsMessage) {
	for _, asked := range m.Operations {
		if m.FrameworkID != nil {
			s.answerFramework(m.FrameworkID, asked)
			continue
		}
		if asked.OperationUUID == nil || s.operations[string(asked.OperationUUID.Value)] != nil {
			continue // its own result tells
		}
		// It never got here. Not sent again: if this is lost, the master asks anew after the next registration.
		s.do(Send{To: s.master, Message: &messages.UpdateOperationStatusMessage{
			AgentID: s.info.ID, OperationUUID: asked.OperationUUID, Status: mesos.OperationStatus{State: mesos.OPERATION_DROPPED, AgentID: s.info.ID},
		}})
	}
}

// answerFramework tells a framework what became of an operation, as far as it is known here.
func (s *State) answerFramework(framework *mesos.FrameworkID, asked messages.ReconcileOperationsMessage_Operation) {
	reply := &messages.UpdateOperationStatusMessage{FrameworkID: framework, AgentID: s.info.ID, Status: mesos.OperationStatus{
		OperationID: asked.OperationID, State: mesos.OPERATION_UNKNOWN, AgentID: s.info.ID, ResourceProviderID: asked.ResourceProviderID,
	}}
	for _, o := range s.operationsInOrder() {
		if o.info.GetFrameworkID().GetValue() == framework.Value && o.info.Info.ID.GetValue() == asked.OperationID.GetValue() {
			reply.Status = o.info.LatestStatus
			reply.Status.UUID = nil // not to be acknowledged
		}
	}
	s.do(Send{To: s.master, Message: reply})
}
