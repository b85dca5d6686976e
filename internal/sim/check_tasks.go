package sim

import (
	"slices"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	agentcore "github.com/tombolo-project/tombolo/agent/core"
	mastercore "github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// taskStarted notes that an executor was handed a task, which it begins.
func (c *checker) taskStarted(x *executor, t *running) {
	id := taskID{x.framework, t.info.TaskID.Value}
	c.startedOnce(id, x)
	c.started[id] = x
	c.live[x] = true
	c.machinesSuffice(x.a)
}

// startedOnce: a task is started by at most one executor, at most once, however
// often orders and calls are repeated (I3).
func (c *checker) startedOnce(id taskID, x *executor) {
	if before := c.started[id]; before != nil {
		c.w.fail("I3", "task %s is started by %s after it was by %s", id.task, x, before)
	}
	for _, f := range c.w.frameworks {
		if f.id == id.framework && f.attempt(id.task) == nil {
			c.w.fail("I3", "task %s of framework %s was never launched by it", id.task, id.framework)
		}
	}
}

func (c *checker) executorDied(x *executor) { delete(c.live, x) }

// said notes an update that an executor made.
func (c *checker) said(x *executor, t *running, uuid []byte) {
	id := taskID{x.framework, t.info.TaskID.Value}
	c.emitted[id] = append(c.emitted[id], string(uuid))
}

// saved notes an update on an agent's disk.
func (c *checker) saved(x agentcore.SaveUpdate) {
	uuid := string(x.Update.UUID)
	c.onDisk[uuid] = true
	c.stored[uuid] = taskID{x.Run.Framework, x.Task}
}

// diskLost forgets what only the disk knew.
func (c *checker) diskLost(a *agent) {
	for _, f := range a.disk.frameworks {
		for _, x := range f.executors {
			for _, t := range x.tasks {
				for _, u := range t.updates {
					delete(c.stored, string(u.UUID))
				}
			}
		}
	}
}

// powerLost forgets which ends are final on a machine.
func (c *checker) powerLost(a *agent) {
	for fid, f := range a.disk.frameworks {
		for _, x := range f.executors {
			for tid := range x.tasks {
				delete(c.final, taskID{fid, tid})
			}
		}
	}
}

// storedBeforeSent: an executor's update of a framework that checkpoints is on the
// agent's disk before the master is told of it (I5).
func (c *checker) storedBeforeSent(a *agent, m *messages.StatusUpdateMessage, saved map[string]bool) {
	u := &m.Update
	id, uuid := taskID{u.FrameworkID.Value, u.Status.TaskID.Value}, string(u.UUID)
	if x := c.started[id]; x == nil || !x.checkpoint || !slices.Contains(c.emitted[id], uuid) {
		return
	}
	if !c.onDisk[uuid] && !saved[uuid] {
		c.w.fail("I5", "%s sends %s of task %s, which is not on its disk", a.name, u.Status.GetState(), id.task)
	}
}

// told looks at an event that a framework got.
func (c *checker) told(f *framework, e *scheduler.Event) {
	if e.Type != scheduler.Event_UPDATE {
		return
	}
	st := &e.Update.Status
	id := taskID{f.id, st.TaskID.Value}
	if len(st.UUID) > 0 {
		delete(c.stored, string(st.UUID))
		c.updatesInOrder(f, id, st)
	}
	c.endIsFinal(f, id, st)
}

// updatesInOrder: a framework is told of a task's updates in the order in which
// its executor made them, leaving none out; it may be told twice (I5).
func (c *checker) updatesInOrder(f *framework, id taskID, st *mesos.TaskStatus) {
	i := slices.Index(c.emitted[id], string(st.UUID))
	if i < 0 {
		return // the agent's own
	}
	if n := c.seen[id]; i > n {
		c.w.fail("I5", "framework %s is told of update %d of task %s (%s) after %d", f.id, i+1, id.task, st.GetState(), n)
	} else if i == n {
		c.seen[id]++
	}
}

// endIsFinal: after the agent has reported a task's end, nobody hears that it lives
// (I4), unless a loss of power took the acknowledgements that the agent had not
// synced: it then tells older updates again.
func (c *checker) endIsFinal(f *framework, id taskID, st *mesos.TaskStatus) {
	state := st.GetState()
	if ended(state) && len(st.UUID) > 0 {
		c.final[id] = true
		return
	}
	lives := !ended(state) && state != mesos.TASK_UNREACHABLE && state != mesos.TASK_UNKNOWN
	if lives && c.final[id] {
		c.w.fail("I4", "framework %s is told that task %s is %s, after its agent had reported its end", f.id, id.task, state)
	}
}

func (c *checker) acknowledged(*framework, *mesos.TaskStatus) {}

// statesMoveForward: a master that has a task sees it move forward only; what has
// ended stays ended (I4). A task that was lost and comes back is another entry.
func (c *checker) statesMoveForward(m *master, v *mastercore.View) {
	last := c.views[m].tasks
	now := make(map[taskID]*mesos.Task, len(last))
	for _, f := range v.Frameworks {
		for _, t := range f.Tasks {
			id := taskID{f.ID(), t.TaskID.Value}
			now[id] = t
			if before := last[id]; before != nil && before != t && rank(t.GetState()) < rank(before.GetState()) {
				c.w.fail("I4", "%s: task %s goes from %s to %s", m.name, id.task, before.GetState(), t.GetState())
			}
		}
	}
	c.views[m].tasks = now
}

// rank orders the states of a task that its agent knows.
func rank(s mesos.TaskState) int {
	switch s {
	case mesos.TASK_STAGING:
		return 0
	case mesos.TASK_STARTING:
		return 1
	case mesos.TASK_RUNNING:
		return 2
	case mesos.TASK_KILLING:
		return 3
	case mesos.TASK_UNREACHABLE:
		return 4
	default:
		return 5
	}
}
