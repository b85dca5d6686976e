package core

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// caller finds the executor that makes a call, or says why not (row EXE-04).
func (s *State) caller(frameworkID, executorID string) (e *executor, status int, text string) {
	if s.phase == recovering && s.frameworks[frameworkID] == nil {
		return nil, 503, "Agent has not finished recovery"
	}
	f := s.frameworks[frameworkID]
	if f == nil {
		return nil, 400, "Framework cannot be found"
	}
	if e = f.executors[executorID]; e == nil || e.state == executorTerminated {
		return nil, 400, "Executor cannot be found"
	}
	if e.conn == 0 {
		return nil, 403, "Executor is not subscribed"
	}
	return e, 0, ""
}

// invalidUpdate names what is wrong with an executor's status; reference rows EXE-05, UPD-07.
func invalidUpdate(e *executor, status *mesos.TaskStatus) string {
	switch {
	case len(status.UUID) == 0:
		return "Expecting 'uuid' to be present"
	case len(status.UUID) != 16:
		return "Not a valid UUID"
	case status.ExecutorID != nil && status.ExecutorID.Value != e.id():
		return fmt.Sprintf("ExecutorID in Call: %s does not match ExecutorID in TaskStatus: %s", e.id(), status.ExecutorID.Value)
	case status.GetSource() != mesos.SOURCE_EXECUTOR:
		return fmt.Sprintf("Received Call from executor %s of framework %s with invalid source, expecting 'SOURCE_EXECUTOR'", e.id(), e.framework.id())
	case status.GetState() == mesos.TASK_STAGING:
		return fmt.Sprintf("Received TASK_STAGING from executor %s of framework %s which is not allowed", e.id(), e.framework.id())
	}
	return ""
}

// executorSubscribed connects an executor: for the first time, after a broken stream,
// or after a restart of the agent.
func (s *State) executorSubscribed(ev ExecutorSubscribed) {
	f := s.frameworks[ev.Framework]
	e := s.executorOf(f, ev.Executor)
	tell := func(event *api.Event) { s.do(Tell{Conn: ev.Conn, Event: event}) }
	if e == nil || e.state == executorTerminated {
		s.log(Warn, "executor subscribed that is not here, told to shut down", "framework_id", ev.Framework, "executor_id", ev.Executor)
		tell(&api.Event{Type: api.Event_SHUTDOWN})
		s.do(Hangup{Conn: ev.Conn})
		return
	}
	s.connect(e, ev.Conn)
	if e.state == executorTerminating || f.terminating {
		tell(&api.Event{Type: api.Event_SHUTDOWN})
		return
	}
	if ev.UPID != "" && f.checkpoint() {
		s.do(SaveExecutorPID{Run: e.run(), UPID: ev.UPID})
	}
	again := e.state == executorRunning || e.recovered
	e.state = executorRunning
	e.touch()
	s.cancel(timer{kind: timerSubscribe, id: e.container})
	info := e.info
	tell(&api.Event{Type: api.Event_SUBSCRIBED, Subscribed: &api.Event_Subscribed{
		ExecutorInfo: info, FrameworkInfo: f.info, AgentInfo: s.info, ContainerID: &mesos.ContainerID{Value: e.container},
	}})
	for i := range ev.Updates {
		status := ev.Updates[i]
		if status.Source == nil {
			source := mesos.SOURCE_EXECUTOR
			status.Source = &source
		}
		if text := invalidUpdate(e, &status); text != "" {
			s.log(Warn, "unacknowledged update of an executor dropped", "executor_id", e.id(), "reason", text)
			continue
		}
		s.take(e, status)
	}
	if again {
		s.lostDeliveries(e, ev.Tasks)
	}
	if e.generated && again && len(e.live()) == 0 && len(e.queue) == 0 {
		s.endExecutor(e, nil) // its only task is over
	} else {
		s.repeatKills(e)
		s.deliverQueue(e)
	}
	s.recoveryCheck()
}

// connect makes conn the executor's stream. An earlier one is closed: an executor
// subscribes again when its stream broke, which we may not have noticed yet.
func (s *State) connect(e *executor, conn uint64) {
	if e.conn != 0 {
		s.do(Hangup{Conn: e.conn})
		delete(s.conns, e.conn)
	}
	e.conn = conn
	s.conns[conn] = e
}

// repeatKills asks again for the ends that the executor has not begun: the order may
// have been lost with the stream, or come while there was none.
func (s *State) repeatKills(e *executor) {
	for _, t := range e.live() {
		if t.kill != nil && t.delivered && t.state != mesos.TASK_KILLING {
			s.do(Tell{Conn: e.conn, Event: &api.Event{Type: api.Event_KILL, Kill: t.kill}})
		}
	}
}

// lostDeliveries reports tasks that were handed over but never arrived, because the
// agent or the stream broke in that moment.
func (s *State) lostDeliveries(e *executor, known []mesos.TaskInfo) {
	has := map[string]bool{}
	for i := range known {
		has[known[i].TaskID.Value] = true
	}
	aware := e.framework.has(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	for _, t := range e.live() {
		if t.delivered && t.state == mesos.TASK_STAGING && !has[t.id()] {
			s.endTask(t, cause{lost(aware), mesos.REASON_AGENT_RESTARTED, "Task launched during agent restart"})
		}
	}
}

// deliverQueue hands over what waited, under fitting limits. An executor that never
// got a task and has none left, because all were killed meanwhile, is not needed.
func (s *State) deliverQueue(e *executor) {
	queue := e.queue
	e.queue = nil
	if len(e.live()) == 0 && !e.gotTask && !e.recovered {
		s.endExecutor(e, nil)
		return
	}
	s.resize(e)
	for _, d := range queue {
		s.deliver(e, d)
	}
}

func (s *State) executorDisconnected(ev ExecutorDisconnected) {
	if e := s.conns[ev.Conn]; e != nil {
		delete(s.conns, ev.Conn)
		e.conn = 0
		e.touch()
	}
}

// executorMessage passes an executor's bytes on; at most once, as in Mesos.
func (s *State) executorMessage(ev ExecutorMessage) {
	e, status, text := s.caller(ev.Framework, ev.Executor)
	if e == nil {
		s.counters.InvalidMessages++
		s.do(Answer{Call: ev.Call, Status: status, Text: text})
		return
	}
	s.counters.ValidMessages++
	if s.phase == running {
		to := s.master
		if e.framework.pid != "" {
			to = e.framework.pid
		}
		s.do(Send{To: to, Message: &messages.ExecutorToFrameworkMessage{
			AgentID: *s.info.ID, FrameworkID: *e.framework.info.ID, ExecutorID: e.info.ExecutorID, Data: ev.Data,
		}})
	}
	s.do(Answer{Call: ev.Call, Status: 202})
}

func (s *State) frameworkMessage(m *messages.FrameworkToExecutorMessage) {
	e := s.executorOf(s.frameworks[m.FrameworkID.Value], m.ExecutorID.Value)
	if e == nil || e.conn == 0 || e.state != executorRunning {
		s.counters.InvalidMessages++
		s.log(Info, "message for an executor that is not connected, dropped", "framework_id", m.FrameworkID.Value, "executor_id", m.ExecutorID.Value)
		return
	}
	s.counters.ValidMessages++
	s.do(Tell{Conn: e.conn, Event: &api.Event{Type: api.Event_MESSAGE, Message: &api.Event_Message{Data: m.Data}}})
}

// subscribeTimeout destroys an executor that didn't subscribe in time (row EXE-07).
func (s *State) subscribeTimeout(container string) {
	e := s.containers[container]
	if e == nil || e.state != executorRegistering {
		return
	}
	e.why = &cause{mesos.TASK_FAILED, mesos.REASON_EXECUTOR_REGISTRATION_TIMEOUT,
		"Executor did not register within " + duration.Format(s.cfg.RegisterTimeout)}
	s.log(Warn, "executor did not subscribe in time, destroying it", "framework_id", e.framework.id(), "executor_id", e.id(), "container_id", container)
	e.state = executorTerminating
	s.do(DestroyContainer{Container: container})
}

func (s *State) shutdownExecutorMessage(m *messages.ShutdownExecutorMessage) {
	if m.FrameworkID == nil || m.ExecutorID == nil {
		return
	}
	e := s.executorOf(s.frameworks[m.FrameworkID.Value], m.ExecutorID.Value)
	if e == nil || e.state >= executorTerminating {
		s.log(Info, "shutdown of an executor that is not here, ignored", "framework_id", m.FrameworkID.Value, "executor_id", m.ExecutorID.Value)
		return
	}
	s.endExecutor(e, nil)
}

// endExecutor asks the executor to end, and sees to it after the grace period (row EXE-10).
func (s *State) endExecutor(e *executor, why *cause) {
	if e.state >= executorTerminating {
		return
	}
	e.state = executorTerminating
	e.touch()
	if e.why == nil {
		e.why = why
	}
	s.cancel(timer{kind: timerSubscribe, id: e.container})
	if e.conn == 0 {
		s.do(DestroyContainer{Container: e.container})
		return
	}
	grace := s.cfg.ShutdownGrace
	if p := e.info.ShutdownGracePeriod; p != nil {
		grace = time.Duration(p.Nanoseconds)
	}
	s.do(Tell{Conn: e.conn, Event: &api.Event{Type: api.Event_SHUTDOWN}})
	s.after(grace, timer{kind: timerKill, id: e.container})
}

// containerExited ends an executor whose container has gone.
func (s *State) containerExited(ev ContainerExited) {
	e := s.containers[ev.Container]
	if e == nil {
		return
	}
	if ev.OOM != nil {
		e.why = &cause{mesos.TASK_FAILED, mesos.REASON_CONTAINER_LIMITATION_MEMORY, oomText(ev.OOM)}
	}
	s.executorGone(e, ev.Status)
}

// executorGone tells everyone that an executor has ended; reference row EXE-11.
func (s *State) executorGone(e *executor, status *int) {
	s.counters.ExecutorsTerminated++
	s.outdate()
	e.state = executorTerminated
	e.queue = nil
	e.touch()
	delete(s.containers, e.container)
	for _, k := range []timerKind{timerSubscribe, timerKill} {
		s.cancel(timer{kind: k, id: e.container})
	}
	if e.conn != 0 {
		s.do(Hangup{Conn: e.conn})
		delete(s.conns, e.conn)
		e.conn = 0
	}
	f := e.framework
	why := cause{mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED, "Executor terminated"}
	if e.generated {
		why.reason = mesos.REASON_COMMAND_EXECUTOR_FAILED
	}
	if e.why != nil {
		why = *e.why
	}
	s.log(Info, "executor ended", "framework_id", f.id(), "executor_id", e.id(), "container_id", e.container, "status", waitStatus(status))
	if !e.generated && !f.terminating && s.phase == running {
		s.do(Send{To: s.master, Message: &messages.ExitedExecutorMessage{
			AgentID: *s.info.ID, FrameworkID: *f.info.ID, ExecutorID: e.info.ExecutorID, Status: int32(waitStatus(status)),
		}})
	}
	for _, t := range e.live() {
		if f.terminating {
			s.forgetTask(t)
		} else {
			s.endTask(t, why)
		}
	}
	s.removeIfDone(e)
	s.recoveryCheck()
}

// waitStatus is what Mesos reports when nobody knows: -1.
func waitStatus(status *int) int {
	if status == nil {
		return -1
	}
	return *status
}

// endTask makes the agent's own terminal update for a task.
func (s *State) endTask(t *task, c cause) {
	status := s.agentStatus(t.id(), c.state, c.reason, c.message)
	id := t.executor.info.ExecutorID
	status.ExecutorID = &id
	s.push(t, &status)
	s.ended(t)
}

// ended follows a task's terminal update: its resources are free from now on.
func (s *State) ended(t *task) {
	s.counters.TasksByState[t.state]++
	if e := t.executor; e.state < executorTerminating && e.conn != 0 {
		s.resize(e)
	}
}

// outdate notes that what the master was told on the way to a registration is not so any more.
func (s *State) outdate() {
	s.outdated = s.outdated || s.phase == registering || s.phase == disconnected
}

// settled follows the acknowledgement of a task's terminal update.
func (s *State) settled(t *task) {
	e := t.executor
	s.outdate()
	s.forgetTask(t)
	e.done = append(e.done, s.taskView(t))
	if len(e.done) > maxCompletedTasks {
		e.done = e.done[1:]
	}
	s.removeIfDone(e)
}

func (s *State) forgetTask(t *task) {
	e := t.executor
	e.touch()
	delete(e.tasks, t.id())
	for i, id := range e.order {
		if id == t.id() {
			e.order = append(e.order[:i:i], e.order[i+1:]...)
			break
		}
	}
}

// removeIfDone forgets a terminated executor once all is acknowledged, and with the
// last one its framework.
func (s *State) removeIfDone(e *executor) {
	f := e.framework
	if e.state != executorTerminated || len(e.tasks) > 0 {
		return
	}
	if f.checkpoint() {
		s.do(SaveDone{Run: e.run()})
	}
	delete(f.executors, e.id())
	f.view = nil
	f.done = append(f.done, s.executorView(e))
	if over := len(f.done) - max(1, s.cfg.MaxCompletedExecutors); over > 0 {
		f.done = f.done[over:]
	}
	if len(f.executors) > 0 {
		return
	}
	delete(s.frameworks, f.id())
	s.completed = append(s.completed, s.frameworkView(f))
	if len(s.completed) > maxCompletedFrameworks {
		s.completed = s.completed[1:]
	}
	if s.phase == terminating && len(s.frameworks) == 0 {
		s.do(Exit{Reason: "all executors have ended", Forget: true})
	}
}

// oomText is Mesos's sentence for a memory limit that was hit.
func oomText(o *OOM) string {
	const mb = 1 << 20
	return fmt.Sprintf("Memory limit exceeded: Requested: %dMB Maximum Used: %dMB", o.Limit/mb, o.Usage/mb)
}

// explainOOM gives an executor's report of a killed task its real reason (row LCH-02).
func explainOOM(status *mesos.TaskStatus, o *OOM) {
	reason, text, failed := mesos.REASON_CONTAINER_LIMITATION_MEMORY, oomText(o), mesos.TASK_FAILED
	status.Reason, status.Message, status.State = &reason, &text, &failed
	scalar := mesos.SCALAR
	status.Limitation = &mesos.TaskResourceLimitation{Resources: []mesos.Resource{{
		Name: "mem", Type: &scalar, Scalar: &mesos.Value_Scalar{Value: float64(o.Limit >> 20)},
	}}}
}
