package core

import (
	"fmt"
	"path/filepath"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// Recovered is what the disk remembers of earlier runs; the zero value is a new agent.
type Recovered struct {
	Info       *mesos.AgentInfo // with id
	Epoch      epoch.Epoch      // the newest that was obeyed
	Frameworks []RecoveredFramework
	// Resources are the reservations and volumes that the flags don't tell; they outlive the agent's id. Operations are
	// those whose results are not acknowledged.
	Resources  []mesos.Resource
	Operations []mesos.Operation
	Drain      *mesos.DrainConfig // nil unless it was draining
	Errors     int                // parts that could not be read and were left out (--strict=false)
}

// RecoveredFramework is a framework with runs that were not finished.
type RecoveredFramework struct {
	Info      mesos.FrameworkInfo
	PID       string
	Executors []RecoveredExecutor
}

// RecoveredExecutor is one unfinished run.
type RecoveredExecutor struct {
	Info      mesos.ExecutorInfo
	Generated bool
	Container string
	UPID      string // of its driver, for executors of the old protocol
	PID       int
	Alive     bool // its container was found; its end, also if past, comes as ContainerExited
	Tasks     []RecoveredTask
}

// RecoveredTask is a task with its stream: the updates in order, and how many of them are acknowledged.
type RecoveredTask struct {
	Info         mesos.Task
	Limits       map[string]mesos.Value_Scalar // TaskInfo.limits
	Updates      []messages.StatusUpdate
	Acknowledged int
}

// recover rebuilds the state. Executors that live have ReregisterTimeout to come
// back (row EXE-08); the others have ended, which their tasks are told at once.
func (s *State) recover(r Recovered) {
	s.phase = disconnected
	s.epoch = r.Epoch
	s.counters.RecoveryErrors = uint64(r.Errors)
	s.total, s.unfit = s.withCheckpointed(r.Resources)
	defer s.showResources()
	if r.Info == nil {
		return
	}
	s.info.ID = r.Info.ID
	for _, o := range r.Operations {
		s.addOperation(o)
	}
	if r.Drain != nil {
		s.draining = &draining{config: *r.Drain}
	}
	for _, rf := range r.Frameworks {
		f := &framework{info: rf.Info, pid: rf.PID, executors: map[string]*executor{}}
		s.frameworks[f.id()] = f
		for _, re := range rf.Executors {
			s.recoverExecutor(f, re)
		}
	}
}

func (s *State) recoverExecutor(f *framework, r RecoveredExecutor) {
	e := &executor{
		framework: f, info: r.Info, generated: r.Generated, container: r.Container, pid: r.PID, upid: r.UPID,
		recovered: true, gotTask: true, tasks: map[string]*task{},
		directory: filepath.Join(s.cfg.WorkDir, "slaves", s.agentID(), "frameworks", f.id(), "executors", r.Info.ExecutorID.Value, "runs", r.Container),
	}
	f.executors[e.id()] = e
	s.containers[e.container] = e
	for _, rt := range r.Tasks {
		s.recoverTask(e, rt)
	}
	if !r.Alive {
		e.state = executorTerminated // Start tells its tasks
	}
}

func (s *State) recoverTask(e *executor, r RecoveredTask) {
	t := &task{executor: e, delivered: true, state: mesos.TASK_STAGING, info: mesos.TaskInfo{
		Name: r.Info.Name, TaskID: r.Info.TaskID, AgentID: r.Info.AgentID, Resources: r.Info.Resources, Limits: r.Limits, Labels: r.Info.Labels,
		Discovery: r.Info.Discovery, Container: r.Info.Container, HealthCheck: r.Info.HealthCheck, KillPolicy: r.Info.KillPolicy,
	}}
	st := &stream{key: t.key(), seen: map[string]bool{}, retry: updateRetryMin}
	run := e.run()
	for i, u := range r.Updates {
		t.state = u.Status.GetState()
		t.statuses = remember(t.statuses, u.Status)
		st.seen[string(u.UUID)] = true
		if i <= r.Acknowledged {
			t.sent, t.sentUUID = u.Status.State, u.UUID
		}
		if i >= r.Acknowledged {
			st.pending = append(st.pending, pending{StatusUpdate: u, run: &run, task: t})
		}
	}
	if terminal(t.state) && len(st.pending) == 0 {
		e.done = append(e.done, s.taskView(t)) // all is said
		return
	}
	e.tasks[t.id()] = t
	e.order = append(e.order, t.id())
	if len(r.Updates) > 0 {
		s.streams[st.key] = st
	}
}

// RecoveryStarted begins the wait for the executors of an earlier run; the owner's
// first event, before a master is detected (row RCV-04).
type RecoveryStarted struct{}

func (RecoveryStarted) event() {}

func (s *State) recoveryStarted() {
	if s.unfit != nil {
		s.do(Exit{Failure: true, Reason: fmt.Sprintf("the reservations and volumes in %s/meta/resources don't fit --resources: %s; start the agent with the old value", s.cfg.WorkDir, s.unfit)})
		return
	}
	s.phase = recovering
	if s.draining != nil {
		s.draining.since = s.now
	}
	for _, f := range s.frameworksInOrder() {
		for _, e := range f.executorsInOrder() {
			if e.state == executorTerminated {
				s.log(Warn, "executor ended while the agent was away", "framework_id", f.id(), "executor_id", e.id(), "container_id", e.container)
				s.executorGone(e, nil)
			} else if e.upid != "" {
				s.do(Send{To: e.upid, Message: &messages.ReconnectExecutorMessage{AgentID: *s.info.ID}})
			}
		}
	}
	s.after(s.cfg.ReregisterTimeout, timer{kind: timerRecovery})
	s.recoveryCheck()
}

// recoveryCheck ends the wait early when every executor is back or gone.
func (s *State) recoveryCheck() {
	if s.phase != recovering {
		return
	}
	for _, e := range s.containers {
		if e.recovered && e.state == executorRegistering {
			return
		}
	}
	s.cancel(timer{kind: timerRecovery})
	s.recoveryOver()
}

// recoveryOver destroys executors that stayed silent and goes on to register.
func (s *State) recoveryOver() {
	if s.phase != recovering {
		return
	}
	s.phase = disconnected
	if s.draining != nil {
		s.killAll()
	}
	for _, f := range s.frameworksInOrder() {
		for _, e := range f.executorsInOrder() {
			if e.recovered && e.state == executorRegistering {
				s.log(Warn, "executor did not come back after the agent's restart, destroying it", "framework_id", f.id(), "executor_id", e.id(), "container_id", e.container)
				e.why = &cause{mesos.TASK_FAILED, mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT,
					"Executor did not reregister within " + duration.Format(s.cfg.ReregisterTimeout)}
				e.state = executorTerminating
				s.do(DestroyContainer{Container: e.container})
			}
		}
	}
	if s.master != "" {
		s.startRegistration(s.jitter(s.cfg.BackoffFactor))
	}
}
