package core

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// taskKey names a task, or an executor, across frameworks.
type taskKey struct{ framework, task string }

// task is a task that was sent to an agent and is not over for both its agent and
// its framework: it stays until its terminal update is acknowledged (reference row UPD-05).
type task struct {
	key       taskKey
	agent     *agent
	resources offers.Resources
	// booked says that the resources are still charged to the framework; they are
	// given back as soon as the task is known to have ended (reference row UPD-03).
	booked bool
	list   *taskList // of its framework, nil once it is removed,
	place  int       // and where in it
	lost   bool      // with its agent, with which it may come back
	// info is never changed in place, as readers hold it; see edit.
	info *mesos.Task
}

func (t *task) state() mesos.TaskState { return *t.info.State }

// edit changes a copy of the task's description.
func (t *task) edit(change func(*mesos.Task)) {
	next := *t.info
	change(&next)
	t.info = &next
	if t.list != nil {
		t.list.changed(t)
	}
}

// terminal says whether a task in this state has ended (reference appendix A).
func terminal(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	default:
		return false
	}
}

// addTask enters a task that an agent reports, with its resources charged.
func (s *State) addTask(a *agent, f *framework, info mesos.Task) *task {
	t := s.enterTask(a, f, &info)
	if !terminal(*info.State) {
		s.charge(a, f, t.resources)
		t.booked = true
	}
	return t
}

// enterTask puts a task into the tables; the caller books its resources.
func (s *State) enterTask(a *agent, f *framework, info *mesos.Task) *task {
	t := &task{key: taskKey{f.id, info.TaskID.Value}, agent: a, info: info}
	t.resources = s.allocated(f, info.Resources)
	info.Resources = t.resources.Mesos()
	f.tasks[t.key.task] = t
	f.inOrder.add(t)
	a.tasks[t.key] = t
	s.touch(f, a)
	return t
}

// allocated reads resources whose form was checked; those of old agents carry no
// allocation, and belong to their framework's role then.
func (s *State) allocated(f *framework, list []mesos.Resource) offers.Resources {
	r, err := offers.Parse(list)
	if err != nil {
		panic(fmt.Sprintf("core: resources of framework %s were not checked: %v", f.id, err))
	}
	if _, ok := r.Allocation(); ok || r.IsZero() {
		return r
	}
	role := "*"
	if roles := f.roles(); len(roles) > 0 {
		role = roles[0]
	}
	return r.Allocate(role)
}

// adoptTask takes over the state of a known task from an agent that came back. What was
// forwarded of it stays as it is: the agent repeats its updates.
func (s *State) adoptTask(t *task, reported *mesos.Task) {
	if terminal(t.state()) {
		return
	}
	if terminal(*reported.State) {
		s.release(t)
	}
	t.edit(func(info *mesos.Task) {
		info.State = reported.State
		if len(reported.Statuses) > 0 {
			info.Statuses = reported.Statuses
		}
	})
	s.touch(s.frameworks[t.key.framework], t.agent)
}

// charge books resources that an agent reports to be in use.
func (s *State) charge(a *agent, f *framework, r offers.Resources) {
	s.use(a, f, r)
	s.book(f, a, r)
}

// book charges resources of an agent to a framework.
func (s *State) book(f *framework, a *agent, r offers.Resources) {
	if err := s.ledger.Charge(f.id, a.id, r); err != nil {
		s.emit(Note{Error: true, Message: "resources in use could not be charged", Attributes: []any{"framework_id", f.id, "agent_id", a.id, "error", err.Error()}})
	}
}

// unbook undoes book.
func (s *State) unbook(f *framework, a *agent, r offers.Resources) {
	if err := s.ledger.Release(f.id, a.id, r); err != nil {
		s.emit(Note{Error: true, Message: "resources could not be given back", Attributes: []any{"framework_id", f.id, "agent_id", a.id, "error", err.Error()}})
	}
}

// use books resources out of an offer, which the ledger has charged already.
func (s *State) use(a *agent, f *framework, r offers.Resources) {
	if r.IsZero() {
		return
	}
	a.used[f.id] = a.used[f.id].Plus(r)
	f.on[a.id] = a
	s.touch(f, a)
}

// giveBack ends the use of resources and has them offered again.
func (s *State) giveBack(a *agent, f *framework, r offers.Resources) {
	a.used[f.id] = s.minus(a.used[f.id], r)
	if a.used[f.id].IsZero() {
		delete(a.used, f.id)
		delete(f.on, a.id)
	}
	s.unbook(f, a, r)
	s.allocateOn(a.id)
	s.touch(f, a)
}

// minus subtracts what must be contained.
func (s *State) minus(from, r offers.Resources) offers.Resources {
	rest, err := from.Minus(r)
	if err != nil {
		panic(fmt.Sprintf("core: accounting: %v", err))
	}
	return rest
}

// release gives a task's resources back, once.
func (s *State) release(t *task) {
	if !t.booked {
		return
	}
	t.booked = false
	s.giveBack(t.agent, s.frameworks[t.key.framework], t.resources)
}

// removeTask takes a task out of the tables and keeps it among the completed ones.
func (s *State) removeTask(t *task) {
	f := s.frameworks[t.key.framework]
	s.release(t)
	delete(t.agent.tasks, t.key)
	delete(t.agent.killed, t.key)
	delete(f.tasks, t.key.task)
	f.inOrder.remove(t)
	s.mayBeDrained(t.agent)
	if t.lost {
		f.unreachable.add(t.info)
	} else {
		f.completed.add(t.info)
	}
	s.touch(f, t.agent)
}

// status makes an update that the master itself is the source of; it carries no
// uuid, so it is not acknowledged (reference row EV-06).
func (s *State) status(_ *framework, t *task, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) *mesos.TaskStatus {
	st := s.masterStatus(t.key.task, &t.agent.id, state, reason, message)
	st.ExecutorID = t.info.ExecutorID
	return st
}

// latestStatus makes an update that repeats what is known of a task (reference rows REC-01, REC-02).
func (s *State) latestStatus(f *framework, t *task, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) *mesos.TaskStatus {
	st := s.status(f, t, state, reason, message)
	if n := len(t.info.Statuses); n > 0 {
		last := t.info.Statuses[n-1]
		st.ContainerStatus, st.Healthy, st.CheckStatus = last.ContainerStatus, last.Healthy, last.CheckStatus
	}
	return st
}

// masterStatus makes an update about a task that is in no table.
func (s *State) masterStatus(id string, agentID *string, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) *mesos.TaskStatus {
	source, at := mesos.SOURCE_MASTER, unixSeconds(s.now)
	st := &mesos.TaskStatus{TaskID: mesos.TaskID{Value: id}, State: &state, Source: &source, Reason: &reason, Timestamp: &at}
	if message != "" {
		st.Message = &message
	}
	if agentID != nil {
		st.AgentID = &mesos.AgentID{Value: *agentID}
	}
	return st
}

// forward sends a status to a framework. One that wants an acknowledgement is what the
// framework knows of the task from now on.
func (s *State) forward(f *framework, st *mesos.TaskStatus) {
	if t := f.tasks[st.TaskID.Value]; t != nil && st.UUID != nil {
		t.edit(func(info *mesos.Task) { info.StatusUpdateState, info.StatusUpdateUUID = st.State, st.UUID })
	}
	s.send(f, &scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: *st}})
}

// setTaskStatus enters a status: latest is what the agent knows last, while status
// may be an older one that is on its way (reference row UPD-03).
func (s *State) setTaskStatus(t *task, status *mesos.TaskStatus, latest mesos.TaskState) {
	kept := *status
	kept.Data = nil
	told := checkReason(status) // operators hear of each new state, and of all checks
	t.edit(func(info *mesos.Task) {
		info.State = &latest
		statuses := info.Statuses
		if n := len(statuses); n > 0 && statuses[n-1].GetState() == status.GetState() {
			statuses = statuses[:n-1]
		} else {
			told = true
		}
		info.Statuses = append(append(make([]mesos.TaskStatus, 0, len(statuses)+1), statuses...), kept)
	})
	if terminal(latest) || latest == mesos.TASK_UNREACHABLE {
		if t.booked {
			s.counts.taskEnded(s.frameworks[t.key.framework], status, latest)
		}
		s.release(t)
	}
	s.touch(s.frameworks[t.key.framework], t.agent)
	if told {
		s.announceTask(&master.Event{Type: master.Event_TASK_UPDATED, TaskUpdated: &master.Event_TaskUpdated{
			FrameworkID: mesos.FrameworkID{Value: t.key.framework}, Status: kept, State: &latest,
		}}, t)
	}
}

func checkReason(st *mesos.TaskStatus) bool {
	return st.Reason != nil && (*st.Reason == mesos.REASON_TASK_CHECK_STATUS_UPDATED || *st.Reason == mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED)
}

// loseTask ends a task for a reason on the master's side and tells its framework
// (reference 1.11); since is given if its agent may come back.
func (s *State) loseTask(f *framework, t *task, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string, since *time.Time) {
	if !terminal(t.state()) {
		status := s.status(f, t, state, reason, message)
		if since != nil {
			t.lost = true
			status.UnreachableTime = &mesos.TimeInfo{Nanoseconds: since.UnixNano()}
		}
		s.setTaskStatus(t, status, state)
		s.forward(f, status)
	}
	s.removeTask(t)
}

// statusUpdate takes in an update from an agent and forwards it (reference 1.8).
func (s *State) statusUpdate(m *messages.StatusUpdateMessage) {
	u := &m.Update
	f, a := s.frameworks[u.FrameworkID.Value], s.agents[u.AgentID.GetValue()]
	if f == nil || a == nil {
		s.counts.InvalidUpdates++
		s.note("status update of an unknown framework or agent ignored", "framework_id", u.FrameworkID.Value, "agent_id", u.AgentID.GetValue(), "task_id", u.Status.TaskID.Value)
		return
	}
	status := u.Status
	status.UUID = nil
	if m.PID != nil && *m.PID != "" {
		status.UUID = u.UUID
	}
	status.Timestamp = &u.Timestamp
	if u.AgentID != nil {
		status.AgentID = u.AgentID
	}
	if u.ExecutorID != nil {
		status.ExecutorID = u.ExecutorID
	}
	if f.connected {
		s.forward(f, &status)
	}
	t := a.tasks[taskKey{f.id, status.TaskID.Value}]
	if t == nil {
		s.counts.InvalidUpdates++
		return
	}
	if f.connected {
		s.counts.ValidUpdates++
	} else {
		s.counts.InvalidUpdates++ // the agent will send it again
	}
	latest := status.GetState()
	if u.LatestState != nil {
		latest = *u.LatestState
	}
	if terminal(t.state()) {
		latest = t.state() // a task never comes back to life
	}
	s.setTaskStatus(t, &status, latest)
	s.heardOf(t, &status)
	if terminal(latest) && status.UUID == nil {
		s.removeTask(t)
	}
}

// acknowledge passes an acknowledgement on (reference rows UPD-04, UPD-05).
func (s *State) acknowledge(f *framework, c *scheduler.Call_Acknowledge) {
	a := s.agents[c.AgentID.Value]
	if a == nil || !a.connected {
		s.counts.InvalidAcks++
		return
	}
	if t := a.tasks[taskKey{f.id, c.TaskID.Value}]; t != nil {
		if t.info.StatusUpdateState == nil || t.info.StatusUpdateUUID == nil {
			s.counts.InvalidAcks++
			return
		}
		if terminal(*t.info.StatusUpdateState) && bytes.Equal(t.info.StatusUpdateUUID, c.UUID) {
			s.removeTask(t)
		}
	}
	s.counts.ValidAcks++
	s.sendAgent(a, &messages.StatusUpdateAcknowledgementMessage{AgentID: c.AgentID, FrameworkID: *f.info.ID, TaskID: c.TaskID, UUID: c.UUID})
}

// kill passes a KILL on (reference 1.9).
func (s *State) kill(f *framework, c *scheduler.Call_Kill) {
	t := f.tasks[c.TaskID.Value]
	if t == nil {
		s.reconcileOne(f, c.TaskID.Value, c.AgentID)
		return
	}
	if c.AgentID != nil && c.AgentID.Value != t.agent.id {
		s.note("kill of a task on another agent ignored", "framework_id", f.id, "task_id", t.key.task, "agent_id", c.AgentID.Value)
		return
	}
	t.agent.killed[t.key] = c
	if !t.agent.connected {
		return
	}
	s.sendAgent(t.agent, &messages.KillTaskMessage{FrameworkID: *f.info.ID, TaskID: c.TaskID, KillPolicy: c.KillPolicy})
}

// addExecutor enters an executor that an agent reports, with its resources charged.
func (s *State) addExecutor(a *agent, f *framework, info mesos.ExecutorInfo) *executor {
	x := s.enterExecutor(a, f, info)
	s.charge(a, f, x.resources)
	return x
}

// enterExecutor puts an executor into the tables; the caller books its resources.
func (s *State) enterExecutor(a *agent, f *framework, info mesos.ExecutorInfo) *executor {
	x := &executor{framework: f.id, agent: a.id, id: info.ExecutorID.Value, info: info}
	x.resources = s.allocated(f, info.Resources)
	x.info.Resources = x.resources.Mesos()
	put(a.executors, f.id, x.id, x)
	put(f.executors, a.id, x.id, x)
	f.shown = nil
	s.touch(f, a)
	return x
}

// removeExecutor forgets an executor and gives its resources back.
func (s *State) removeExecutor(a *agent, x *executor) {
	f := s.frameworks[x.framework]
	remove(a.executors, x.framework, x.id)
	remove(f.executors, x.agent, x.id)
	f.shown = nil
	s.giveBack(a, f, x.resources)
}

func (s *State) removeExecutors(a *agent, framework string) {
	for _, id := range sortedKeys(a.executors[framework]) {
		s.removeExecutor(a, a.executors[framework][id])
	}
}

// exitedExecutor takes in the end of an executor (reference rows 5.2, EV-03). The
// agent itself reports what became of its tasks.
func (s *State) exitedExecutor(m *messages.ExitedExecutorMessage) {
	a, f := s.agents[m.AgentID.Value], s.frameworks[m.FrameworkID.Value]
	if a == nil || f == nil {
		return
	}
	if x := a.executors[f.id][m.ExecutorID.Value]; x != nil {
		s.removeExecutor(a, x)
		status := m.Status
		s.send(f, &scheduler.Event{Type: scheduler.Event_FAILURE, Failure: &scheduler.Event_Failure{AgentID: a.info.ID, ExecutorID: &m.ExecutorID, Status: &status}})
	}
}

// executorMessage forwards an executor's bytes to its scheduler, best effort.
func (s *State) executorMessage(m *messages.ExecutorToFrameworkMessage) {
	f := s.frameworks[m.FrameworkID.Value]
	if f == nil || s.agents[m.AgentID.Value] == nil {
		s.counts.InvalidExecutorMessages++
		return
	}
	s.counts.ValidExecutorMessages++
	s.send(f, &scheduler.Event{Type: scheduler.Event_MESSAGE, Message: &scheduler.Event_Message{AgentID: m.AgentID, ExecutorID: m.ExecutorID, Data: m.Data}})
}

func put[V any](m map[string]map[string]V, a, b string, v V) {
	if m[a] == nil {
		m[a] = map[string]V{}
	}
	m[a][b] = v
}

func remove[V any](m map[string]map[string]V, a, b string) {
	delete(m[a], b)
	if len(m[a]) == 0 {
		delete(m, a)
	}
}

func sortedTasks(m map[string]*task) []*task {
	list := make([]*task, 0, len(m))
	for _, id := range sortedKeys(m) {
		list = append(list, m[id])
	}
	return list
}

func sortedAgentTasks(a *agent) []*task {
	list := make([]*task, 0, len(a.tasks))
	for _, t := range a.tasks {
		list = append(list, t)
	}
	slices.SortFunc(list, func(x, y *task) int { return compareKeys(x.key, y.key) })
	return list
}

func compareKeys(a, b taskKey) int {
	return cmp.Or(cmp.Compare(a.framework, b.framework), cmp.Compare(a.task, b.task))
}

func unixSeconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
