package sim

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// patience is how long a framework waits for an unreachable agent.
const patience = 3 * time.Minute

// onUpdate takes a status in, which stores it, and acknowledges it afterwards.
func (f *framework) onUpdate(s *stream, st *mesos.TaskStatus) {
	f.learn(st)
	if len(st.UUID) == 0 || st.AgentID == nil {
		return
	}
	c := &scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{AgentID: *st.AgentID, TaskID: st.TaskID, UUID: st.UUID}}
	f.after(f.w.upTo(200*time.Millisecond), func() {
		if f.stream == s {
			f.w.check.acknowledged(f, st)
			f.call(c)
		}
	})
}

// learn enters a status.
func (f *framework) learn(st *mesos.TaskStatus) {
	a := f.attempt(st.TaskID.Value)
	if a == nil {
		f.w.fail("I3", "framework %s is told of task %s, which it never launched", f.id, st.TaskID.Value)
		return
	}
	state := st.GetState()
	switch {
	case state == mesos.TASK_UNREACHABLE:
		if a.unreachable == 0 {
			a.unreachable = f.w.now
		}
	case state == mesos.TASK_ERROR:
		f.w.fail("sim", "task %s is invalid: %s", a.id, st.GetMessage())
	case state == mesos.TASK_UNKNOWN || ended(state):
		f.end(a, state)
	default:
		a.unreachable = 0
		if a.over { // it lives after all
			a.over, a.abandoned = false, true
		}
		a.state = state
		if a.abandoned || a.killed {
			f.kill(a)
		}
	}
}

// end closes an attempt; one that was killed on purpose, or finished, is all the job needs.
func (f *framework) end(a *attempt, state mesos.TaskState) {
	a.over, a.state, a.unreachable = true, state, 0
	if state == mesos.TASK_FINISHED || state == mesos.TASK_KILLED && a.killed && !a.abandoned {
		a.job.done = true
	}
}

func (f *framework) kill(a *attempt) {
	a.killed = true
	c := &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: a.id}}
	if f.w.chance(70) {
		c.AgentID = &mesos.AgentID{Value: a.agent}
	}
	f.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: c})
}

// routine is what a framework does from time to time.
func (f *framework) routine() {
	if f.finished {
		return
	}
	defer func() { f.after(f.w.between(10*time.Second, 30*time.Second), f.routine) }()
	if !f.subscribed {
		return
	}
	if f.w.now-f.heard > 50*time.Second { // three heartbeats are missing
		s := f.stream
		f.w.breakStream(s)
		f.streamEnded(s)
		return
	}
	f.giveUpUnreachable()
	if f.habits.killer && !f.w.calm && f.w.chance(30) {
		if a, ok := pick(f.w, f.attempts); ok && !a.over {
			f.kill(a)
		}
	}
	for _, a := range f.attempts {
		if a.killed && !a.over {
			f.kill(a)
		}
	}
	if f.w.chance(50) {
		f.reconcile()
	}
	f.suppressOrRevive()
	if f.done() && f.habits.tearsDown && f.live() == 0 {
		f.tearDown()
	}
}

func (f *framework) live() int {
	n := 0
	for _, a := range f.attempts {
		if !a.over {
			n++
		}
	}
	return n
}

// giveUpUnreachable replaces attempts on agents that have been away for too long.
func (f *framework) giveUpUnreachable() {
	for _, a := range f.attempts {
		if a.unreachable != 0 && f.w.now-a.unreachable > patience {
			a.abandoned = true
			a.over = true // until it is heard of again
		}
	}
}

// reconcile asks for the state of all attempts, or of all that the master knows.
func (f *framework) reconcile() {
	r := &scheduler.Call_Reconcile{}
	if !f.w.chance(25) {
		for _, a := range f.attempts {
			if a.over {
				continue
			}
			t := scheduler.Call_Reconcile_Task{TaskID: mesos.TaskID{Value: a.id}}
			if f.w.chance(70) {
				t.AgentID = &mesos.AgentID{Value: a.agent}
			}
			r.Tasks = append(r.Tasks, t)
		}
		if len(r.Tasks) == 0 {
			return
		}
	}
	f.call(&scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: r})
}

func (f *framework) suppressOrRevive() {
	if !f.habits.suppresses {
		return
	}
	wanting := len(f.pending()) > 0
	switch {
	case wanting && (f.suppressed || f.w.chance(20)):
		f.suppressed = false
		f.call(&scheduler.Call{Type: scheduler.Call_REVIVE, Revive: &scheduler.Call_Revive{}})
	case !wanting && !f.suppressed:
		f.suppressed = true
		f.call(&scheduler.Call{Type: scheduler.Call_SUPPRESS, Suppress: &scheduler.Call_Suppress{}})
	}
}

// tearDown ends the framework for good; it has, when the master says that it was removed.
func (f *framework) tearDown() {
	f.tearing = true
	f.w.check.removed(f.id)
	f.call(&scheduler.Call{Type: scheduler.Call_TEARDOWN})
}
