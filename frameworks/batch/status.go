package batch

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/session"
)

// Timers and limits of a task's life.
const (
	launchTimeout  = 5 * time.Minute  // without any word of a launched task, then it is killed
	unreachableFor = 5 * time.Minute  // then the task is tried elsewhere
	killRetry      = 30 * time.Second // until a kill is sent again
	reconcileEvery = time.Minute      // unreachable tasks are asked about
	firstRetry     = time.Second      // the pause before a task's second try; it doubles
	longestRetry   = time.Minute
	maxLost        = 20 // tries of a task that may end through no fault of the command
)

// blameless are the reasons of a failure that say nothing about the command: its executor or agent went away.
var blameless = []mesos.TaskStatus_Reason{mesos.REASON_COMMAND_EXECUTOR_FAILED, mesos.REASON_EXECUTOR_TERMINATED,
	mesos.REASON_EXECUTOR_UNREGISTERED, mesos.REASON_EXECUTOR_REGISTRATION_TIMEOUT, mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
	mesos.REASON_CONTAINER_PREEMPTED, mesos.REASON_CONTAINER_UPDATE_FAILED, mesos.REASON_AGENT_RESTARTED,
	mesos.REASON_AGENT_DISCONNECTED, mesos.REASON_AGENT_REMOVED, mesos.REASON_AGENT_DRAINING, mesos.REASON_TASK_KILLED_DURING_LAUNCH}

// updated takes a status in. Of a try that is not the present one, whatever comes is ignored; if it lives, it is killed.
func (c *Core) updated(status mesos.TaskStatus) {
	id, state := status.TaskID.Value, status.GetState()
	t := c.tasks[id]
	if t == nil {
		if !session.Terminal(state) && state != mesos.TASK_UNREACHABLE && state != mesos.TASK_UNKNOWN {
			c.order(orders.Kill{Task: id, Agent: status.GetAgentID().GetValue()})
		}
		return
	}
	j, next := c.jobs[t.Job], *t
	switch state {
	case mesos.TASK_FINISHED:
		next.State, next.Ended, next.Message, next.Killing = TaskFinished, c.now, "", false
		c.put(j, &next, true)
	case mesos.TASK_FAILED, mesos.TASK_KILLED:
		if status.Reason != nil && slices.Contains(blameless, *status.Reason) && !t.Killing {
			c.lost(j, next, describe(status))
			break
		}
		c.failed(j, next, describe(status))
	case mesos.TASK_ERROR:
		next.Failures = j.Retries // the master refuses it, and will again
		c.failed(j, next, describe(status))
	case mesos.TASK_LOST, mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		c.lost(j, next, describe(status))
	case mesos.TASK_UNREACHABLE, mesos.TASK_UNKNOWN:
		c.unreachable(j, next)
	case mesos.TASK_RUNNING, mesos.TASK_KILLING:
		if next.Started.IsZero() {
			next.Started = c.now
		}
		next.State, next.Unreachable = TaskRunning, time.Time{}
		c.put(j, &next, true)
	default:
		if t.State == TaskUnreachable {
			next.State, next.Unreachable = TaskLaunched, time.Time{}
			c.put(j, &next, true)
		}
	}
	c.finish(j)
}

func describe(status mesos.TaskStatus) string {
	text := status.GetState().String()
	if status.Reason != nil {
		text += " (" + status.GetReason().String() + ")"
	}
	if message := status.GetMessage(); message != "" {
		text += ": " + message
	}
	return text
}

// failed counts a try that the command failed: another one follows, unless there have been enough.
func (c *Core) failed(j *job, t Task, message string) {
	t.Message, t.Ended = message, c.now
	if j.Canceling {
		t.State, t.Killing = TaskCanceled, false
		c.put(j, &t, true)
		return
	}
	if t.Killing {
		t.Message = fmt.Sprintf("killed after %d seconds, the job's timeout", j.TimeoutSeconds)
	}
	t.Killing = false
	t.Failures++
	j.Reason = fmt.Sprintf("task %d: %s", t.Index, t.Message)
	if t.Failures > j.Retries {
		t.State = TaskFailed
		c.put(j, &t, true)
		return
	}
	pause := longestRetry
	if t.Failures < 7 {
		pause = min(longestRetry, firstRetry<<(t.Failures-1))
	}
	c.again(j, t, pause)
}

// lost is the end of a try through no fault of the command.
func (c *Core) lost(j *job, t Task, message string) {
	t.Message, t.Ended = message, c.now
	t.Killing = false
	switch {
	case j.Canceling:
		t.State = TaskCanceled
		c.put(j, &t, true)
	case t.Lost >= maxLost:
		t.State = TaskFailed
		j.Reason = fmt.Sprintf("task %d was lost %d times, last: %s", t.Index, t.Lost+1, message)
		c.put(j, &t, true)
	default:
		t.Lost++
		c.again(j, t, firstRetry)
	}
}

// again puts a task back into the queue.
func (c *Core) again(j *job, t Task, pause time.Duration) {
	t.State, t.NotBefore, t.Unreachable = TaskPending, c.now.Add(pause), time.Time{}
	c.put(j, &t, true)
	j.pending = append(j.pending, t.Index)
}

// unreachable waits for the agent to come back; of a job that is canceled it does not.
func (c *Core) unreachable(j *job, t Task) {
	if j.Canceling {
		t.State, t.Ended = TaskCanceled, c.now
		c.put(j, &t, true)
		return
	}
	if t.State != TaskUnreachable {
		t.State, t.Unreachable = TaskUnreachable, c.now
		c.put(j, &t, true)
	}
}

// tick does what only time brings.
func (c *Core) tick() {
	for _, id := range slices.Sorted(maps.Keys(c.tasks)) {
		t := c.tasks[id]
		j, next := c.jobs[t.Job], *t
		timeout := time.Duration(j.TimeoutSeconds) * time.Second
		switch {
		case t.State == TaskUnreachable && c.now.Sub(t.Unreachable) >= unreachableFor:
			c.lost(j, next, "its agent was unreachable for "+unreachableFor.String())
		case t.State == TaskUnreachable && c.appetite.IsConnected() && c.now.Sub(t.KillSent) >= reconcileEvery:
			next.KillSent = c.now
			c.put(j, &next, false)
			c.order(orders.Reconcile{Task: t.TaskID, Agent: t.AgentID})
		case t.Killing && t.State != TaskUnreachable && c.now.Sub(t.KillSent) >= killRetry,
			!t.Killing && t.State == TaskRunning && timeout > 0 && c.now.Sub(t.Started) >= timeout:
			c.kill(j, t)
		case !t.Killing && t.State == TaskLaunched && c.now.Sub(t.Launched) >= launchTimeout:
			c.order(orders.Kill{Task: t.TaskID, Agent: t.AgentID})
			c.lost(j, next, "no word of the launched task for "+launchTimeout.String())
		}
		c.finish(j)
	}
}
