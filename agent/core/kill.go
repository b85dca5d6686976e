package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// killTask passes a KILL on, or ends a task that was not delivered yet together with
// its group (row KIL-05).
func (s *State) killTask(m *messages.KillTaskMessage) {
	f := s.frameworks[m.FrameworkID.Value]
	t := s.findTask(m.FrameworkID.Value, m.TaskID.Value)
	switch {
	case f == nil:
		s.log(Info, "kill for a framework that has nothing here, ignored", "framework_id", m.FrameworkID.Value, "task_id", m.TaskID.Value)
	case t == nil:
		s.loose(f.id(), m.TaskID.Value, nil, lost(f.has(mesos.FrameworkInfo_Capability_PARTITION_AWARE)),
			mesos.REASON_EXECUTOR_TERMINATED, "Cannot find executor")
	case terminal(t.state) || f.terminating:
		s.log(Info, "kill of a task that has ended, ignored", "framework_id", f.id(), "task_id", t.id())
	case !t.delivered:
		s.killQueued(t)
	default:
		t.kill = &api.Event_Kill{TaskID: t.info.TaskID, KillPolicy: m.KillPolicy}
		if t.executor.conn == 0 {
			s.log(Info, "kill of a task whose executor is not connected waits for it", "framework_id", f.id(), "task_id", t.id())
			return
		}
		s.do(Tell{Conn: t.executor.conn, Event: &api.Event{Type: api.Event_KILL, Kill: t.kill}})
	}
}

func (s *State) killQueued(t *task) {
	e := t.executor
	var rest []delivery
	victims := []*task{t}
	for _, d := range e.queue {
		if !d.holds(t) {
			rest = append(rest, d)
		} else if d.group {
			victims = d.tasks
		}
	}
	e.queue = rest
	for _, v := range victims {
		if !terminal(v.state) {
			s.endTask(v, cause{mesos.TASK_KILLED, mesos.REASON_TASK_KILLED_DURING_LAUNCH, "Killed before delivery to the executor"})
		}
	}
	if len(e.live()) == 0 && !e.gotTask {
		s.endExecutor(e, nil)
	}
}

func (d delivery) holds(t *task) bool {
	for _, x := range d.tasks {
		if x == t {
			return true
		}
	}
	return false
}

// shutdownFramework ends all executors of a framework; nobody waits for their updates any more.
func (s *State) shutdownFramework(m *messages.ShutdownFrameworkMessage) {
	for _, key := range s.streamsInOrder() { // also of tasks that never got here
		if key.framework == m.FrameworkID.Value {
			s.cancel(timer{kind: timerUpdate, task: key})
			delete(s.streams, key)
		}
	}
	f := s.frameworks[m.FrameworkID.Value]
	if f == nil || f.terminating {
		return
	}
	s.log(Info, "framework is being removed", "framework_id", f.id())
	f.terminating = true
	f.view = nil
	for _, e := range f.executorsInOrder() {
		for _, id := range append([]string(nil), e.order...) {
			if t := e.tasks[id]; terminal(t.state) {
				s.forgetTask(t) // its acknowledgement will not come
			}
		}
		s.endExecutor(e, nil)
		s.removeIfDone(e)
	}
}

// updateFramework takes a framework's new description in. It comes when the scheduler has subscribed again: what it may
// have missed is sent at once (row UPD-06).
func (s *State) updateFramework(m *messages.UpdateFrameworkMessage) {
	f := s.frameworks[m.FrameworkID.Value]
	if f == nil {
		return
	}
	checkpoint := f.info.Checkpoint
	if m.FrameworkInfo != nil {
		f.info = *m.FrameworkInfo
		f.info.ID = &mesos.FrameworkID{Value: m.FrameworkID.Value}
		f.info.Checkpoint = checkpoint // fixed at the first task: what is on disk depends on it
	}
	f.pid = ""
	if m.PID != nil {
		f.pid = *m.PID
	}
	f.view = nil
	if f.checkpoint() {
		s.do(SaveFramework{Info: f.info, PID: f.pid})
	}
	for _, key := range s.streamsInOrder() {
		if key.framework == m.FrameworkID.Value {
			s.resume(s.streams[key])
		}
	}
}

// shutdown ends the agent: the master wants it gone (row 5.3, step 8).
func (s *State) shutdown(m *messages.ShutdownMessage) {
	reason := ""
	if m.Message != nil {
		reason = *m.Message
	}
	s.log(Error, "the master asked this agent to shut down", "master", s.master, "reason", reason)
	s.phase = terminating
	s.pauseUpdates()
	s.cancel(timer{kind: timerRegister})
	s.cancel(timer{kind: timerPing})
	if len(s.frameworks) == 0 {
		s.do(Exit{Reason: "shut down by the master: " + reason, Forget: true})
		return
	}
	for _, f := range s.frameworksInOrder() {
		s.shutdownFramework(&messages.ShutdownFrameworkMessage{FrameworkID: *f.info.ID})
	}
}
