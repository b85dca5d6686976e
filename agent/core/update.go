package core

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// stream is the ordered updates of one task that the scheduler has not acknowledged.
// Only the first is on its way; reference rows UPD-01, UPD-02.
type stream struct {
	key     taskKey
	pending []pending
	seen    map[string]bool // uuids ever taken, so that what an executor sends twice counts once
	retry   time.Duration
}

type pending struct {
	messages.StatusUpdate
	run  *Run  // where it is checkpointed; nil: nowhere
	task *task // nil: for a task that never got here
}

// executorUpdate takes an executor's UPDATE in; reference row EXE-05.
func (s *State) executorUpdate(ev ExecutorUpdate) {
	e, status, text := s.caller(ev.Framework, ev.Executor)
	if e == nil {
		s.do(Answer{Call: ev.Call, Status: status, Text: text})
		return
	}
	if text := invalidUpdate(e, &ev.Status); text != "" {
		s.counters.InvalidUpdates++
		s.do(Answer{Call: ev.Call, Status: 400, Text: "Failed to validate Executor::Call: " + text})
		return
	}
	if ev.OOM != nil && terminal(ev.Status.GetState()) && ev.Status.GetState() != mesos.TASK_FINISHED {
		explainOOM(&ev.Status, ev.OOM)
	}
	s.take(e, ev.Status)
	s.do(Answer{Call: ev.Call, Status: 202})
}

// take puts an executor's update on its task's stream and confirms it to the executor.
func (s *State) take(e *executor, status mesos.TaskStatus) {
	f := e.framework
	t := e.tasks[status.TaskID.Value]
	confirm := func() {
		if e.conn != 0 {
			s.do(Tell{Conn: e.conn, Event: &api.Event{Type: api.Event_ACKNOWLEDGED,
				Acknowledged: &api.Event_Acknowledged{TaskID: status.TaskID, UUID: status.UUID}}})
		}
	}
	st := s.streams[taskKey{f.id(), status.TaskID.Value}]
	switch {
	case st != nil && st.seen[string(status.UUID)]:
		confirm() // sent again because our confirmation was lost
		return
	case f.terminating:
		s.log(Info, "update of a framework that is being removed, dropped", "framework_id", f.id(), "task_id", status.TaskID.Value)
		confirm()
		return
	case t == nil || terminal(t.state):
		// A task whose last update is acknowledged is forgotten; only a repeat can come here.
		s.counters.InvalidUpdates++
		s.log(Warn, "update of a task that this executor doesn't run, dropped", "framework_id", f.id(), "executor_id", e.id(), "task_id", status.TaskID.Value, "state", status.GetState().String())
		confirm()
		return
	}
	s.counters.ValidUpdates++
	s.complete(e, &status)
	s.push(t, &status)
	confirm()
	if terminal(t.state) {
		s.ended(t)
	}
}

// complete fills in what the agent knows better than the executor.
func (s *State) complete(e *executor, status *mesos.TaskStatus) {
	status.AgentID = s.info.ID
	if status.Timestamp == nil {
		now := s.seconds()
		status.Timestamp = &now
	}
	status.ContainerStatus = s.containerStatus(e, status.ContainerStatus)
}

// containerStatus merges what the executor said about its container with what is so.
func (s *State) containerStatus(e *executor, said *mesos.ContainerStatus) *mesos.ContainerStatus {
	c := mesos.ContainerStatus{}
	if said != nil {
		c = *said
	}
	if c.ContainerID == nil {
		c.ContainerID = &mesos.ContainerID{Value: e.container}
	}
	if len(c.NetworkInfos) == 0 {
		ipv4, ip := mesos.IPv4, s.cfg.Address
		c.NetworkInfos = []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{{Protocol: &ipv4, IPAddress: &ip}}}}
	}
	if c.ExecutorPID == nil && e.pid != 0 {
		pid := uint32(e.pid)
		c.ExecutorPID = &pid
	}
	return &c
}

// push appends an update of a task that is here, checkpoints it and sends it when it is first.
func (s *State) push(t *task, status *mesos.TaskStatus) {
	e := t.executor
	e.touch()
	s.explainDrain(e.framework, status)
	t.state = status.GetState()
	t.statuses = remember(t.statuses, *status)
	p := pending{task: t, StatusUpdate: messages.StatusUpdate{
		FrameworkID: *e.framework.info.ID, ExecutorID: status.ExecutorID, AgentID: s.info.ID, // as the executor said it, row EXE-05
		Status: *status, Timestamp: status.GetTimestamp(), UUID: status.UUID,
	}}
	if e.framework.checkpoint() {
		run := e.run()
		p.run = &run
		s.do(SaveUpdate{Run: run, Task: t.id(), Update: p.StatusUpdate})
	}
	s.enqueue(t.key(), p)
}

// remember keeps one status per state change, the newest last, as /state shows them.
func remember(all []mesos.TaskStatus, status mesos.TaskStatus) []mesos.TaskStatus {
	status.Data = nil
	if n := len(all); n > 0 && all[n-1].GetState() == status.GetState() {
		all = append([]mesos.TaskStatus(nil), all[:n-1]...)
	}
	return append(all[:len(all):len(all)], status)
}

// loose sends the scheduler an update of the agent's own about a task that is not here.
func (s *State) loose(frameworkID, taskID string, executorID *mesos.ExecutorID, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	status := s.agentStatus(taskID, state, reason, message)
	status.ExecutorID = executorID
	s.enqueue(taskKey{frameworkID, taskID}, pending{StatusUpdate: messages.StatusUpdate{
		FrameworkID: mesos.FrameworkID{Value: frameworkID}, ExecutorID: executorID, AgentID: s.info.ID,
		Status: status, Timestamp: status.GetTimestamp(), UUID: status.UUID,
	}})
	s.counters.TasksByState[state]++
}

func (s *State) agentStatus(taskID string, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) mesos.TaskStatus {
	source, now := mesos.SOURCE_AGENT, s.seconds()
	return mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: taskID}, State: &state, Source: &source, Reason: &reason, Message: &message,
		AgentID: s.info.ID, Timestamp: &now, UUID: s.uuid(),
	}
}

func (s *State) enqueue(key taskKey, p pending) {
	st := s.streams[key]
	if st == nil {
		st = &stream{key: key, seen: map[string]bool{}}
		s.streams[key] = st
	}
	if len(st.pending) >= maxStreamLength && !terminal(p.Status.GetState()) {
		s.log(Error, "too many unacknowledged updates, dropped", "framework_id", key.framework, "task_id", key.task)
		return
	}
	st.seen[string(p.UUID)] = true
	st.pending = append(st.pending, p)
	if len(st.pending) == 1 {
		st.retry = updateRetryMin
		s.forward(st)
	}
}

// forward sends the first pending update, when there is a master to send it to (row UPD-06).
func (s *State) forward(st *stream) {
	if s.phase != running || len(st.pending) == 0 {
		return
	}
	u := st.pending[0].StatusUpdate
	latest := st.pending[len(st.pending)-1].Status.GetState()
	u.LatestState = &latest
	pid := s.cfg.PID
	s.do(Send{To: s.master, Message: &messages.StatusUpdateMessage{Update: u, PID: &pid}})
	if t := st.pending[0].task; t != nil {
		t.sent, t.sentUUID = u.Status.State, u.UUID
		t.executor.touch()
	}
	s.after(st.retry, timer{kind: timerUpdate, task: st.key})
}

func (s *State) retry(key taskKey) {
	if st := s.streams[key]; st != nil {
		st.retry = min(2*st.retry, updateRetryMax)
		s.forward(st)
	}
}

func (s *State) pauseUpdates() {
	for key := range s.streams {
		s.cancel(timer{kind: timerUpdate, task: key})
	}
}

// resumeUpdates sends the first update of every stream after a (re-)registration.
func (s *State) resumeUpdates() {
	for _, key := range s.streamsInOrder() {
		s.resume(s.streams[key])
	}
}

// resume sends a stream's first update now, and again from the shortest pause on.
func (s *State) resume(st *stream) {
	st.retry = updateRetryMin
	s.forward(st)
}

// acknowledged takes the scheduler's acknowledgement; one that matches nothing is dropped (row UPD-04).
func (s *State) acknowledged(m *messages.StatusUpdateAcknowledgementMessage) {
	key := taskKey{m.FrameworkID.Value, m.TaskID.Value}
	st := s.streams[key]
	if st == nil || len(st.pending) == 0 || !bytes.Equal(st.pending[0].UUID, m.UUID) {
		s.log(Info, "acknowledgement that matches no update, dropped", "framework_id", key.framework, "task_id", key.task)
		return
	}
	head := st.pending[0]
	st.pending = st.pending[1:]
	if head.run != nil {
		s.do(SaveAck{Run: *head.run, Task: key.task, UUID: m.UUID})
	}
	s.cancel(timer{kind: timerUpdate, task: key})
	if len(st.pending) > 0 {
		st.retry = updateRetryMin
		s.forward(st)
	} else if head.task == nil || terminal(head.Status.GetState()) {
		delete(s.streams, key)
	}
	if head.task != nil && terminal(head.Status.GetState()) {
		s.settled(head.task)
	}
}

func (s *State) streamsInOrder() []taskKey {
	return slices.SortedFunc(maps.Keys(s.streams), compareKeys)
}

func compareKeys(a, b taskKey) int {
	return cmp.Or(cmp.Compare(a.framework, b.framework), cmp.Compare(a.task, b.task))
}

func compareTimers(a, b timer) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.id, b.id), compareKeys(a.task, b.task))
}
