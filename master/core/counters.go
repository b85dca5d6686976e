package core

import (
	"maps"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Counters count what happened since this master started; the metrics show them
// (reference appendix C). All only grow.
type Counters struct {
	AgentRegistrations, AgentReregistrations       uint64
	AgentRemovals, AgentsUnreachable               uint64
	AgentsReplaced                                 uint64 // by a new agent at the same address; within AgentRemovals
	RecoveryRemovals                               uint64 // agents of the registry that never came back
	ValidUpdates, InvalidUpdates                   uint64
	ValidAcks, InvalidAcks                         uint64
	ValidFrameworkMessages                         uint64
	InvalidFrameworkMessages                       uint64
	ValidExecutorMessages, InvalidExecutorMessages uint64
	ValidOperationUpdates, InvalidOperationUpdates uint64
	ValidOperationAcks, InvalidOperationAcks       uint64
	AllocationRuns                                 uint64
	Messages                                       map[string]uint64  // by name, "register_slave"
	TasksEnded                                     map[string]uint64  // by state, "TASK_FINISHED"
	TasksEndedBy                                   map[EndKind]uint64 // by state, source and reason
	// Operations counts offer operations by type and state: those that are over ever, the others now.
	Operations map[OperationKind]int64
}

// OperationKind is a type of operations in a state.
type OperationKind struct {
	Type  mesos.Offer_Operation_Type
	State mesos.OperationState
}

func (c *Counters) operationState(t mesos.Offer_Operation_Type, s mesos.OperationState, change int64) {
	c.Operations[OperationKind{t, s}] += change
}

// EndKind is a way for a task to end.
type EndKind struct {
	State  mesos.TaskState
	Source mesos.TaskStatus_Source
	Reason mesos.TaskStatus_Reason
}

// FrameworkCounters count what happened to one framework.
type FrameworkCounters struct {
	Calls           map[string]uint64 // by call type
	Events          map[string]uint64 // by event type
	Operations      map[string]uint64 // by operation type
	TasksEnded      map[string]uint64 // by state
	OffersSent      uint64
	OffersAccepted  uint64
	OffersDeclined  uint64
	OffersRescinded uint64
}

func newCounters() *Counters {
	return &Counters{Messages: map[string]uint64{}, TasksEnded: map[string]uint64{}, TasksEndedBy: map[EndKind]uint64{}, Operations: map[OperationKind]int64{}}
}

func newFrameworkCounters() *FrameworkCounters {
	return &FrameworkCounters{Calls: map[string]uint64{}, Events: map[string]uint64{}, Operations: map[string]uint64{}, TasksEnded: map[string]uint64{}}
}

func (c *Counters) clone() Counters {
	d := *c
	d.Messages, d.TasksEnded, d.TasksEndedBy = maps.Clone(c.Messages), maps.Clone(c.TasksEnded), maps.Clone(c.TasksEndedBy)
	d.Operations = maps.Clone(c.Operations)
	return d
}

func (c *FrameworkCounters) clone() FrameworkCounters {
	d := *c
	d.Calls, d.Events, d.Operations, d.TasksEnded = maps.Clone(c.Calls), maps.Clone(c.Events), maps.Clone(c.Operations), maps.Clone(c.TasksEnded)
	return d
}

// message counts a message by the name of its metric.
func (c *Counters) message(name string) { c.Messages[name]++ }

// taskEnded counts the end of a task, or its refusal.
func (c *Counters) taskEnded(f *framework, status *mesos.TaskStatus, state mesos.TaskState) {
	c.TasksEnded[state.String()]++
	f.counts.TasksEnded[state.String()]++
	if status.Reason != nil {
		c.TasksEndedBy[EndKind{State: state, Source: status.GetSource(), Reason: *status.Reason}]++
	}
}

func (c *FrameworkCounters) call(t scheduler.Call_Type)   { c.Calls[t.String()]++ }
func (c *FrameworkCounters) event(t scheduler.Event_Type) { c.Events[t.String()]++ }
