package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"
)

// An agent's report may cross an order on the way: it then lacks an executor that is
// about to start. Mesos forgets such an executor (its MESOS-1466, 1720, 1800) and offers
// its resources, so that the agent is promised more than it has until it reports
// again. Here an executor that is ordered, and not yet heard of, stays as long as
// tasks that were ordered with it do; the agent is asked about those, and where it
// does not know them, the executor has not come to be either.

// onItsWay says whether an executor that the agent did not report may be on its way there.
func (x *executor) onItsWay(a *agent, reported map[taskKey]bool) bool {
	if !x.ordered {
		return false
	}
	for key, t := range a.tasks {
		if x.runs(t) && !reported[key] && !terminal(t.state()) {
			return true
		}
	}
	return false
}

// runs says whether a task was given to the executor.
func (x *executor) runs(t *task) bool {
	return t.key.framework == x.framework && t.info.ExecutorID.GetValue() == x.id
}

// refused says whether an agent that gives this state has not taken the task.
func refused(s mesos.TaskState) bool { return s == mesos.TASK_LOST || s == mesos.TASK_DROPPED }

// heardOf looks at a status for what it tells of the task's executor.
func (s *State) heardOf(t *task, status *mesos.TaskStatus) {
	x := t.agent.executors[t.key.framework][t.info.ExecutorID.GetValue()]
	switch {
	case x == nil || !x.ordered:
	case status.GetSource() != mesos.SOURCE_AGENT:
		x.ordered = false
	case refused(status.GetState()) && !x.onItsWay(t.agent, nil):
		s.removeExecutor(t.agent, x)
	}
}
