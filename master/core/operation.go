package core

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sort"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// operation is an offer operation that was sent to its agent and is not over for both its agent and its framework: it
// stays until its terminal status is acknowledged, by the framework if it gave an id, else by this master.
//
//	(ACCEPT, operator's call) -> PENDING -> (agent) -> FINISHED ... -> (acknowledged) -> gone
//	                                     -> (agent never got it) -> DROPPED -> gone
type operation struct {
	uuid      string // 16 bytes
	sequence  uint64 // in the order in which this master learned of them
	agent     *agent
	framework string // id; "" for an operator's, or one of a framework that was removed
	// info is never changed in place, as readers hold it; see edit.
	info *mesos.Operation
}

// maxOperations is how many operations of one agent may wait for acknowledgement. The agent keeps them all on disk.
const maxOperations = 1000

func (o *operation) edit(change func(*mesos.Operation)) {
	next := *o.info
	change(&next)
	o.info = &next
}

// id is what the framework calls the operation, "" if it wants no feedback.
func (o *operation) id() string { return o.info.Info.ID.GetValue() }

// apply orders an agent to carry out an operation that convert has counted as done; f is nil for an operator's.
func (s *State) apply(a *agent, f *framework, op *mesos.Offer_Operation) {
	s.touch(f, a)
	if f != nil {
		f.counts.Operations[op.Type.String()]++
	}
	if !a.can(mesos.AgentInfo_Capability_RESOURCE_PROVIDER) {
		s.sendAgent(a, &messages.CheckpointResourcesMessage{Resources: operations.Checkpointed(a.total)})
		return
	}
	o := s.newOperation(a, f, op)
	s.addOperation(o)
	m := &messages.ApplyOperationMessage{
		OperationInfo: *op, OperationUUID: o.info.UUID, ResourceVersionUUID: messages.ResourceVersionUUID{UUID: mesos.UUID{Value: []byte{}}},
	}
	if f != nil {
		m.FrameworkID = f.info.ID
	}
	if a.resourceVersion != nil {
		m.ResourceVersionUUID.UUID = *a.resourceVersion
	}
	s.sendAgent(a, m)
}

// convert has the agent's total and the ledger follow conversions of resources that f is offered, or that are free: a
// speculative operation counts as done once it is ordered, as in Mesos (reference section 1.6). It fails, and changes
// nothing, if the agent has not got them any more.
func (s *State) convert(a *agent, f *framework, list []operations.Conversion) error {
	total, err := operations.Apply(a.total, operations.Unallocated(list))
	if err != nil {
		return err
	}
	holder := ""
	if f != nil {
		holder = f.id
	}
	for i, c := range list {
		if err := s.ledger.Convert(holder, a.id, c.Consumed, c.Converted); err != nil {
			if i > 0 {
				panic(fmt.Sprintf("core: the ledger disagrees: %v", err))
			}
			return err
		}
	}
	a.total = total
	return nil
}

func (s *State) newOperation(a *agent, f *framework, op *mesos.Offer_Operation) *operation {
	s.operationCount++
	uuid := s.operationUUID()
	o := &operation{uuid: string(uuid), agent: a, info: &mesos.Operation{
		AgentID: a.info.ID, Info: *op, UUID: mesos.UUID{Value: uuid},
		LatestStatus: mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_PENDING, AgentID: a.info.ID},
	}}
	if f != nil {
		o.framework, o.info.FrameworkID = f.id, f.info.ID
	}
	return o
}

// operationUUID names an operation: unique as the master's own id and its count are, and the same in every replay.
func (s *State) operationUUID() []byte {
	sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("operation "+s.cfg.Master.ID+" "), s.operationCount))
	u := sum[:16]
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

func (s *State) addOperation(o *operation) {
	s.operationSequence++
	o.sequence = s.operationSequence
	o.agent.operations[o.uuid] = o
	s.operationsHeld++
	if f := s.frameworks[o.framework]; f != nil {
		f.operations[o.uuid] = o
	}
	s.counts.operationState(o.info.Info.Type, o.info.LatestStatus.State, 1)
	s.changed()
}

func (s *State) removeOperation(o *operation) {
	delete(o.agent.operations, o.uuid)
	s.operationsHeld--
	s.mayBeDrained(o.agent)
	if f := s.frameworks[o.framework]; f != nil {
		delete(f.operations, o.uuid)
	}
	if state := o.info.LatestStatus.State; !operations.Terminal(state) {
		s.counts.operationState(o.info.Info.Type, state, -1)
	}
	s.changed()
}

// operationStatus takes in an agent's word about an operation (reference row OP-08, section 5.2).
func (s *State) operationStatus(m *messages.UpdateOperationStatusMessage) {
	a := s.agents[m.AgentID.GetValue()]
	f := s.frameworks[m.FrameworkID.GetValue()]
	if m.OperationUUID == nil { // the answer to a framework's own question, which this master passed on
		s.forwardOperation(f, &m.Status)
		return
	}
	if a == nil {
		s.counts.InvalidOperationUpdates++
		s.note("status of an operation ignored: its agent is not registered", "agent_id", m.AgentID.GetValue(), "operation_id", m.Status.OperationID.GetValue())
		return
	}
	o := a.operations[string(m.OperationUUID.Value)]
	if o == nil {
		if m.FrameworkID != nil {
			s.counts.InvalidOperationUpdates++
			s.forwardOperation(f, &m.Status)
		}
		return
	}
	s.counts.ValidOperationUpdates++
	if m.Status.OperationID == nil {
		m.Status.OperationID = o.info.Info.ID
	}
	latest := m.Status
	if m.LatestStatus != nil {
		latest = *m.LatestStatus
	}
	s.setOperationStatus(o, latest)
	s.passOnOperation(o, &m.Status)
}

// setOperationStatus records what became of an operation. The first terminal state stands.
func (s *State) setOperationStatus(o *operation, status mesos.OperationStatus) {
	o.edit(func(info *mesos.Operation) {
		if !operations.Terminal(info.LatestStatus.State) {
			s.counts.operationState(info.Info.Type, info.LatestStatus.State, -1)
			s.counts.operationState(info.Info.Type, status.State, 1)
			info.LatestStatus = status
		}
		if n := len(info.Statuses); n == 0 || !info.Statuses[n-1].Equal(&status) {
			info.Statuses = append(info.Statuses[:n:n], status)
		}
	})
	s.changed()
}

// passOnOperation tells the framework of a status if it asked to be told, else acknowledges it in its place.
func (s *State) passOnOperation(o *operation, status *mesos.OperationStatus) {
	latest := o.info.Statuses[len(o.info.Statuses)-1]
	if o.id() != "" && o.framework != "" && !s.removed[o.framework] && !s.orphaned(o) {
		s.forwardOperation(s.frameworks[o.framework], status)
		if operations.Terminal(latest.State) && latest.UUID == nil {
			s.removeOperation(o) // it is not said again, so nobody will acknowledge it
		}
		return
	}
	if latest.UUID != nil {
		s.sendAgent(o.agent, &messages.AcknowledgeOperationStatusMessage{StatusUUID: *latest.UUID, OperationUUID: o.info.UUID})
	}
	if operations.Terminal(latest.State) {
		s.removeOperation(o)
	}
}

// orphanPatience is how long after its agent came back an operation waits for a framework that this master does not know
// (reference 5.4): after a failover agents and frameworks come back in any order.
const orphanPatience = 10 * time.Minute

// orphaned says whether the framework of an operation will hardly come any more.
func (s *State) orphaned(o *operation) bool {
	if s.frameworks[o.framework] != nil {
		return false
	}
	since := o.agent.registered
	if o.agent.reregistered.After(since) {
		since = o.agent.reregistered
	}
	return s.now.Sub(since) >= orphanPatience
}

func (s *State) forwardOperation(f *framework, status *mesos.OperationStatus) {
	if f == nil || !f.connected {
		return // the agent says it again
	}
	s.send(f, &scheduler.Event{Type: scheduler.Event_UPDATE_OPERATION_STATUS, UpdateOperationStatus: &scheduler.Event_UpdateOperationStatus{Status: *status}})
}

// acknowledgeOperation answers ACKNOWLEDGE_OPERATION_STATUS (reference row CALL-15).
func (s *State) acknowledgeOperation(f *framework, c *scheduler.Call_AcknowledgeOperationStatus) {
	a := s.agents[c.AgentID.GetValue()]
	reason, o := "", s.acknowledged(f, c)
	switch {
	case a == nil:
		reason = "agent is not registered"
	case !a.connected:
		reason = "agent is disconnected"
	case !a.can(mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK) && c.ResourceProviderID == nil:
		reason = "the agent does not support operation feedback on agent default resources"
	case o == nil:
		reason = "the operation or its status is unknown"
	}
	if reason != "" {
		s.counts.InvalidOperationAcks++
		s.note("acknowledgement of an operation's status ignored", "framework_id", f.id, "agent_id", c.AgentID.GetValue(), "operation_id", c.OperationID.Value, "reason", reason)
		return
	}
	for _, status := range o.info.Statuses {
		if status.UUID != nil && bytes.Equal(status.UUID.Value, c.UUID) && operations.Terminal(status.State) {
			s.removeOperation(o)
		}
	}
	s.counts.ValidOperationAcks++
	s.sendAgent(a, &messages.AcknowledgeOperationStatusMessage{
		StatusUUID: mesos.UUID{Value: c.UUID}, OperationUUID: o.info.UUID, ResourceProviderID: c.ResourceProviderID,
	})
}

// acknowledged finds the operation of that id with that status, nil if there is none. An id may be in use twice.
func (s *State) acknowledged(f *framework, c *scheduler.Call_AcknowledgeOperationStatus) *operation {
	for _, o := range sortedOperations(f.operations) {
		if o.id() != c.OperationID.Value || o.agent.id != c.AgentID.GetValue() {
			continue
		}
		for _, status := range o.info.Statuses {
			if status.UUID != nil && bytes.Equal(status.UUID.Value, c.UUID) {
				return o
			}
		}
	}
	return nil
}

// dropAgentOperations forgets the operations of an agent that is taken out of the tables; state is what became of them.
func (s *State) dropAgentOperations(a *agent, state mesos.OperationState) {
	for _, o := range sortedOperations(a.operations) {
		s.counts.operationState(o.info.Info.Type, state, 1)
		s.removeOperation(o)
	}
}

// dropFrameworkOperations cuts the operations of a framework that is removed loose: this master acknowledges them.
func (s *State) dropFrameworkOperations(f *framework) {
	for _, o := range sortedOperations(f.operations) {
		delete(f.operations, o.uuid)
	}
}

// sortedOperations lists operations in the order in which this master learned of them.
func sortedOperations(m map[string]*operation) []*operation {
	list := make([]*operation, 0, len(m))
	for _, o := range m {
		list = append(list, o)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].sequence < list[j].sequence })
	return list
}

// operationsView lists all operations for readers.
func (s *State) operationsView() []*mesos.Operation {
	if s.operationsHeld == 0 {
		return nil
	}
	var list []*mesos.Operation
	for _, a := range s.sortedAgents() {
		for _, o := range sortedOperations(a.operations) {
			list = append(list, o.info)
		}
	}
	return list
}
