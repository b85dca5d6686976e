package taskgroup

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
)

// defaultGrace is between SIGTERM and SIGKILL (reference row KIL-06).
const defaultGrace = 3 * time.Second

// The events that Step takes in.
type (
	// Subscribed is the agent's welcome.
	Subscribed struct {
		Framework mesos.FrameworkInfo
		Container string // the executor's own
	}
	// Launch is a task group. IDs are new containers' own ids, one a task.
	Launch struct {
		Tasks []mesos.TaskInfo
		IDs   []string
	}
	// Launched says how the start of a task's container went.
	Launched struct{ Task, Error string }
	// Ended is the end of a task's container.
	Ended struct {
		Task string
		Exit Exit
	}
	// Watched is what a check or health check found; Kill says that it failed too often.
	Watched struct {
		Task    string
		Check   *mesos.CheckStatusInfo
		Healthy *bool
		Kill    bool
	}
	// Kill asks for a task's end.
	Kill struct {
		Task   string
		Policy *mesos.KillPolicy
	}
	// Acknowledged confirms an update.
	Acknowledged struct{ UUID string }
	// Shutdown asks for the end of all.
	Shutdown struct{}
	// Tick says that the time of Deadline has come.
	Tick struct{}
)

// Exit tells how a container ended.
type Exit struct {
	Status     *int32 // as of wait(2); nil: nobody knows
	Reason     *mesos.TaskStatus_Reason
	Limitation *mesos.TaskResourceLimitation
	Message    string
}

// The effects of Step, to be carried out in order.
type (
	// Start starts a task's container, and Launched follows.
	Start struct {
		Task      *mesos.TaskInfo
		Container string
	}
	// Watch begins to wait for the end of a task's container and to check the task.
	Watch struct {
		Task      *mesos.TaskInfo
		Container string
	}
	// Unwatch ends the checks of a task.
	Unwatch struct{ Task string }
	// Signal sends a signal to a task's container.
	Signal struct {
		Container string
		Signal    syscall.Signal
	}
	// Send tells the agent a status; it is repeated with each subscription until acknowledged.
	Send struct{ Status mesos.TaskStatus }
)

// State is all that the executor knows. It is PURE and belongs to one goroutine.
type State struct {
	executor  string
	container string        // its own
	grace     time.Duration // of a shutdown
	framework mesos.FrameworkInfo
	newUUID   func() []byte

	tasks    map[string]*task
	order    []string // ids of tasks, oldest first
	unacked  []mesos.TaskStatus
	shutdown bool
	ran      bool // it has had a group

	now     time.Time
	effects []any
}

// task is one of a group.
type task struct {
	info      mesos.TaskInfo
	id        string // of its container, without its parent's
	group     []string
	phase     phase
	killed    bool
	unhealthy bool
	overtime  bool
	killAt    time.Time // of SIGKILL; zero: none is due
	expires   time.Time // max_completion_time; zero: never
	last      mesos.TaskStatus
	confirmed bool // the agent has acknowledged an update of it
}

type phase int

const (
	starting phase = iota // its container is being launched
	waiting               // its container runs, those of its group do not all yet
	running
	ended
)

// New makes the state of an executor without tasks. newUUID makes 16 bytes that nobody had before.
func New(executorID string, grace time.Duration, newUUID func() []byte) *State {
	return &State{executor: executorID, grace: grace, newUUID: newUUID, tasks: map[string]*task{}}
}

// Step takes an event in and returns what to do about it.
func (s *State) Step(now time.Time, event any) []any {
	s.now, s.effects = now, nil
	switch e := event.(type) {
	case Subscribed:
		s.framework, s.container = e.Framework, e.Container
	case Launch:
		s.launch(e)
	case Launched:
		s.launched(e)
	case Ended:
		s.ended(e)
	case Watched:
		s.watched(e)
	case Kill:
		if t := s.tasks[e.Task]; t != nil {
			s.kill(t, graceOf(e.Policy, t.info.KillPolicy))
		}
	case Acknowledged:
		s.acknowledged(e.UUID)
	case Shutdown:
		s.shutDown()
	case Tick:
		s.tick()
	}
	return s.effects
}

// Done says that nothing is left to do: all tasks have ended and the agent knows it.
func (s *State) Done() bool {
	return (s.ran || s.shutdown) && len(s.unacked) == 0 && !slices.ContainsFunc(s.order, func(id string) bool { return s.tasks[id].phase != ended })
}

// Deadline is when the next Tick is due; false if none is.
func (s *State) Deadline() (time.Time, bool) {
	var next time.Time
	for _, id := range s.order {
		t := s.tasks[id]
		if t.phase == ended {
			continue
		}
		for _, at := range []time.Time{t.killAt, t.expires} {
			if !at.IsZero() && (next.IsZero() || at.Before(next)) {
				next = at
			}
		}
	}
	return next, !next.IsZero()
}

// Subscription is what the agent may not know yet (reference row EXE-06).
func (s *State) Subscription() *executor.Call_Subscribe {
	c := &executor.Call_Subscribe{}
	for _, u := range s.unacked {
		c.UnacknowledgedUpdates = append(c.UnacknowledgedUpdates, executor.Call_Update{Status: u})
	}
	for _, id := range s.order {
		if t := s.tasks[id]; !t.confirmed {
			c.UnacknowledgedTasks = append(c.UnacknowledgedTasks, t.info)
		}
	}
	return c
}

// Unacknowledged are the updates that the agent has not confirmed, oldest first.
func (s *State) Unacknowledged() []mesos.TaskStatus { return slices.Clone(s.unacked) }

func (s *State) do(effect any) { s.effects = append(s.effects, effect) }

// launch starts the containers of a group beside each other.
func (s *State) launch(e Launch) {
	s.ran = true
	var group []string
	for i := range e.Tasks {
		group = append(group, e.Tasks[i].TaskID.Value)
	}
	for i := range e.Tasks {
		t := &task{info: e.Tasks[i], id: e.IDs[i], group: group}
		if s.tasks[group[i]] != nil {
			continue // the agent repeats itself
		}
		s.tasks[group[i]] = t
		s.order = append(s.order, group[i])
		s.send(t, s.status(t, mesos.TASK_STARTING, ""))
		if s.shutdown {
			t.killed = true
			s.end(t, s.status(t, mesos.TASK_KILLED, "The executor is shutting down"))
			continue
		}
		s.do(Start{Task: &t.info, Container: s.containerOf(t)})
	}
}

// launched follows the start of one container; when all of a group run, its tasks do.
func (s *State) launched(e Launched) {
	t := s.tasks[e.Task]
	if t == nil || t.phase != starting {
		return
	}
	if e.Error != "" {
		reason := mesos.REASON_CONTAINER_LAUNCH_FAILED
		u := s.status(t, mesos.TASK_FAILED, e.Error)
		u.Reason = &reason
		s.end(t, u)
		s.killGroup(t)
	} else {
		t.phase = waiting
		if t.killed { // asked for while it started
			s.terminate(t)
		}
	}
	for _, id := range t.group {
		if s.tasks[id].phase == starting {
			return
		}
	}
	for _, id := range t.group {
		if member := s.tasks[id]; member.phase == waiting {
			s.run(member)
		}
	}
}

// run begins to watch a task whose group is complete.
func (s *State) run(t *task) {
	t.phase = running
	if !t.killed {
		if m := t.info.MaxCompletionTime; m != nil {
			t.expires = s.now.Add(time.Duration(m.Nanoseconds))
		}
		s.send(t, s.status(t, mesos.TASK_RUNNING, ""))
	}
	s.do(Watch{Task: &t.info, Container: s.containerOf(t)})
}

// ended turns the end of a container into its task's, and ends the group unless it was a good one.
func (s *State) ended(e Ended) {
	t := s.tasks[e.Task]
	if t == nil || t.phase == ended {
		return
	}
	u := s.status(t, mesos.TASK_FAILED, describe(e.Exit))
	state := mesos.TASK_FAILED
	switch {
	case e.Exit.Reason != nil:
		u.Reason, u.Limitation = e.Exit.Reason, e.Exit.Limitation
	case t.overtime:
		reason := mesos.REASON_MAX_COMPLETION_TIME_REACHED
		u.Reason = &reason
	case e.Exit.Status != nil && *e.Exit.Status == 0:
		state = mesos.TASK_FINISHED
	case t.killed:
		state = mesos.TASK_KILLED
	}
	u.State = &state
	if t.unhealthy {
		healthy := false
		u.Healthy = &healthy
	}
	s.end(t, u)
	if state != mesos.TASK_FINISHED {
		s.killGroup(t)
	}
}

// end is a task's last update.
func (s *State) end(t *task, u mesos.TaskStatus) {
	t.phase = ended
	t.killAt, t.expires = time.Time{}, time.Time{}
	s.do(Unwatch{Task: t.info.TaskID.Value})
	s.send(t, u)
}

// killGroup ends the others of a task's group (reference section 4.4).
func (s *State) killGroup(t *task) {
	for _, id := range t.group {
		if other := s.tasks[id]; other != t {
			s.kill(other, graceOf(nil, other.info.KillPolicy))
		}
	}
}

// kill begins a task's end; a repeated one can only make it shorter.
func (s *State) kill(t *task, grace time.Duration) {
	if t.phase == ended {
		return
	}
	at := s.now.Add(grace)
	if t.killed || t.overtime {
		if !t.killAt.IsZero() && at.Before(t.killAt) {
			t.killAt = at
		}
		return
	}
	t.killed = true
	t.killAt = at
	s.do(Unwatch{Task: t.info.TaskID.Value})
	if s.can(mesos.FrameworkInfo_Capability_TASK_KILLING_STATE) {
		s.send(t, s.status(t, mesos.TASK_KILLING, ""))
	}
	if t.phase != starting {
		s.terminate(t)
	}
}

func (s *State) terminate(t *task) {
	s.do(Signal{Container: s.containerOf(t), Signal: syscall.SIGTERM})
}

// shutDown ends all tasks within the executor's own grace period.
func (s *State) shutDown() {
	s.shutdown = true
	for _, id := range s.order {
		t := s.tasks[id]
		margin := s.grace / 5 // for the updates to get out before the agent destroys the container
		s.kill(t, min(graceOf(nil, t.info.KillPolicy), s.grace-margin))
	}
}

func (s *State) tick() {
	for _, id := range s.order {
		t := s.tasks[id]
		if t.phase == ended {
			continue
		}
		if !t.expires.IsZero() && !s.now.Before(t.expires) {
			t.expires = time.Time{}
			if !t.killed {
				t.overtime = true
				t.killAt = s.now.Add(graceOf(nil, t.info.KillPolicy))
				s.terminate(t)
			}
		}
		if !t.killAt.IsZero() && !s.now.Before(t.killAt) && t.phase != starting {
			t.killAt = time.Time{}
			s.do(Signal{Container: s.containerOf(t), Signal: syscall.SIGKILL})
		}
	}
}

// watched passes on what a check found.
func (s *State) watched(e Watched) {
	t := s.tasks[e.Task]
	if t == nil || t.phase != running || t.killed || t.overtime {
		return
	}
	u := s.status(t, mesos.TASK_RUNNING, "")
	reason := mesos.REASON_TASK_CHECK_STATUS_UPDATED
	if e.Check != nil {
		u.CheckStatus = e.Check
	} else {
		reason = mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
		u.Healthy = e.Healthy
	}
	u.Reason = &reason
	s.send(t, u)
	if e.Kill {
		t.unhealthy = true
		s.kill(t, graceOf(nil, t.info.KillPolicy))
	}
}

// status starts an update that carries what is known of the task.
func (s *State) status(t *task, state mesos.TaskState, message string) mesos.TaskStatus {
	source, seconds := mesos.SOURCE_EXECUTOR, float64(s.now.UnixMicro())/1e6
	u := mesos.TaskStatus{
		TaskID: t.info.TaskID, State: &state, Source: &source, Timestamp: &seconds, UUID: s.newUUID(), ExecutorID: &mesos.ExecutorID{Value: s.executor},
		ContainerStatus: &mesos.ContainerStatus{ContainerID: &mesos.ContainerID{Value: t.id, Parent: &mesos.ContainerID{Value: s.container}}},
		Healthy:         t.last.Healthy, CheckStatus: t.last.CheckStatus,
	}
	if message != "" {
		u.Message = &message
	}
	return u
}

func (s *State) send(t *task, u mesos.TaskStatus) {
	t.last = u
	s.unacked = append(s.unacked, u)
	s.do(Send{Status: u})
}

func (s *State) acknowledged(uuid string) {
	for i := range s.unacked {
		if string(s.unacked[i].UUID) == uuid {
			s.tasks[s.unacked[i].TaskID.Value].confirmed = true
			s.unacked = slices.Delete(s.unacked, i, i+1)
			return
		}
	}
}

func (s *State) containerOf(t *task) string { return s.container + "." + t.id }

func (s *State) can(c mesos.FrameworkInfo_Capability_Type) bool {
	return slices.ContainsFunc(s.framework.Capabilities, func(have mesos.FrameworkInfo_Capability) bool { return have.Type == c })
}

// graceOf is the first period that is said, else Mesos's.
func graceOf(policies ...*mesos.KillPolicy) time.Duration {
	for _, p := range policies {
		if p != nil && p.GracePeriod != nil {
			return time.Duration(p.GracePeriod.Nanoseconds)
		}
	}
	return defaultGrace
}

// describe says how a container's command ended, in Mesos's words.
func describe(e Exit) string {
	if e.Message != "" {
		return e.Message
	}
	if e.Status == nil {
		return "Command ended and nobody knows how"
	}
	ws := syscall.WaitStatus(*e.Status)
	if ws.Signaled() {
		name := ws.Signal().String()
		return "Command terminated with signal " + strings.ToUpper(name[:1]) + name[1:]
	}
	return fmt.Sprintf("Command exited with status %d", ws.ExitStatus())
}
