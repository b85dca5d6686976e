package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// latestState is the message of an answer about a known task.
const latestState = "Reconciliation: Latest task state"

// reconcile answers a RECONCILE call (reference 1.10).
func (s *State) reconcile(f *framework, tasks []scheduler.Call_Reconcile_Task) {
	if len(tasks) > 0 {
		for i := range tasks {
			s.reconcileOne(f, tasks[i].TaskID.Value, tasks[i].AgentID)
		}
		return
	}
	for _, t := range sortedTasks(f.tasks) {
		s.forward(f, s.latestStatus(f, t, t.forwarded(), mesos.REASON_RECONCILIATION, latestState))
	}
}

// forwarded is the state that the framework was told last, if it was told any.
func (t *task) forwarded() mesos.TaskState {
	if t.info.StatusUpdateState != nil {
		return *t.info.StatusUpdateState
	}
	return t.state()
}

// reconcileOne answers for one task; it stays silent while it may still come to
// know better (reference row REC-03).
func (s *State) reconcileOne(f *framework, id string, agentID *mesos.AgentID) {
	if t := f.tasks[id]; t != nil {
		s.forward(f, s.latestStatus(f, t, t.forwarded(), mesos.REASON_RECONCILIATION, latestState))
		return
	}
	agent := agentID.GetValue()
	if agent == "" {
		// Mesos does not look here and answers TASK_UNKNOWN.
		if t := f.unreachableTask(id); t != nil {
			agent = t.AgentID.Value
		}
	}
	if s.undecided(agent) {
		return
	}
	state, message := mesos.TASK_UNKNOWN, "Reconciliation: Task is unknown"
	var unreachable *mesos.TimeInfo
	if at, ok := s.unreachable[agent]; ok {
		state, message = mesos.TASK_UNREACHABLE, "Reconciliation: Task is unreachable"
		unreachable = &mesos.TimeInfo{Nanoseconds: at.UnixNano()}
	} else if _, ok := s.gone[agent]; ok {
		state, message = mesos.TASK_GONE_BY_OPERATOR, "Reconciliation: Task is gone"
	} else if s.agents[agent] != nil {
		state, message = mesos.TASK_GONE, "Reconciliation: Task is unknown to the agent"
	}
	if !f.partitionAware() {
		state = mesos.TASK_LOST
	}
	var on *string
	if agentID != nil || agent != "" {
		on = &agent
	}
	status := s.masterStatus(id, on, state, mesos.REASON_RECONCILIATION, message)
	status.UnreachableTime = unreachable
	s.forward(f, status)
}

// undecided says whether an agent, or any agent if none is named, may still bring the task.
func (s *State) undecided(agent string) bool {
	if agent == "" {
		return len(s.recovered) > 0
	}
	_, recovering := s.recovered[agent]
	_, busy := s.busyAgent[agent]
	return recovering || busy
}
