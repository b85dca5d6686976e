package core

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/offers"
)

// State is all that the agent knows. Only its owner touches it.
type State struct {
	cfg  Config
	rng  *rand.ChaCha8
	now  time.Time
	out  []Effect
	info mesos.AgentInfo // with ID once registered

	phase   phase
	master  string      // UPID of the leading master, "" while none is known
	epoch   epoch.Epoch // the newest that was obeyed
	backoff time.Duration
	// outdated says that an executor has ended, or a task is settled, while we asked to be
	// admitted again, so that the master may let us in by a report that is not true any more.
	outdated bool
	// authenticated says that the master knows who we are; authBackoff spreads the tries.
	authenticated bool
	authBackoff   time.Duration
	pingLimit     time.Duration
	// resourceVersion changes with each registration: orders that the master sent before it knew of the new one are refused.
	// Operations don't change it.
	resourceVersion []byte

	total      offers.Resources // what the flags say, with reservations and volumes
	unfit      error            // the flags don't cover what was written down
	operations map[string]*operation
	sequence   uint64 // of operations
	// as readers see them
	resourcesShown  []mesos.Resource
	operationsShown []mesos.Operation

	draining   *draining // nil unless ordered to drain
	frameworks map[string]*framework
	streams    map[taskKey]*stream
	containers map[string]*executor // by container id
	conns      map[uint64]*executor
	completed  []*FrameworkView
	timers     map[timer]time.Time

	counters Counters
}

// phase of the registration.
type phase int

const (
	recovering   phase = iota // waiting for executors of an earlier run
	disconnected              // no master, or not admitted
	registering               // asking to be admitted
	running                   // admitted
	terminating               // shutting everything down
)

type taskKey struct{ framework, task string }

// timer is a deadline's name. Setting it again moves it.
type timer struct {
	kind timerKind
	id   string // container id, or uuid of an operation
	task taskKey
}

type timerKind int

const (
	timerRegister timerKind = iota
	timerPing
	timerRecovery
	timerSubscribe // executor must subscribe
	timerKill      // executor must be gone
	timerUpdate    // update must be acknowledged
	timerOperation // operation's result must be acknowledged
)

// framework as the agent knows it.
type framework struct {
	info        mesos.FrameworkInfo
	pid         string // UPID of a v0 scheduler, else ""
	terminating bool
	executors   map[string]*executor
	done        []*ExecutorView // newest last
	view        *FrameworkView  // nil when stale
}

// executor is one run of an executor.
type executor struct {
	framework *framework
	info      mesos.ExecutorInfo
	generated bool // for a command task
	container string
	directory string
	state     executorState
	pid       int
	conn      uint64 // 0: not connected
	upid      string // of its driver, if it was left by an earlier run of the agent
	recovered bool   // from before this run of the agent
	gotTask   bool   // a task has been delivered
	why       *cause // set when the agent decides to end it

	queue []delivery       // not delivered yet
	tasks map[string]*task // queued, launched, and terminated ones whose updates are not all acknowledged
	order []string         // ids of tasks in order of arrival
	done  []*TaskView
}

type executorState int

const (
	executorRegistering executorState = iota
	executorRunning
	executorTerminating
	executorTerminated
)

// delivery is what one LAUNCH or LAUNCH_GROUP event will carry.
type delivery struct {
	tasks []*task
	group bool
}

// task on this agent.
type task struct {
	info      mesos.TaskInfo
	executor  *executor
	state     mesos.TaskState // latest
	delivered bool
	statuses  []mesos.TaskStatus
	sent      *mesos.TaskState // of the last update that was sent, acknowledged or not
	sentUUID  []byte
	kill      *api.Event_Kill // asked for
}

// cause is why the agent ends an executor, as its tasks will be told.
type cause struct {
	state   mesos.TaskState
	reason  mesos.TaskStatus_Reason
	message string
}

// Counters are the agent's own metrics.
type Counters struct {
	Registrations, LaunchErrors                    uint64
	OldOrders                                      uint64 // refused, of masters that lead no more
	ValidUpdates, InvalidUpdates                   uint64
	ValidMessages, InvalidMessages, RecoveryErrors uint64
	TasksByState                                   map[mesos.TaskState]uint64 // terminal ones, ever
	ExecutorsTerminated                            uint64
}

// New makes the state of an agent that starts; recovered is what its disk remembers.
func New(cfg Config, recovered Recovered) *State {
	s := &State{
		cfg: cfg, rng: rand.NewChaCha8(cfg.Seed), info: cfg.Info, pingLimit: defaultPingTimeout,
		frameworks: map[string]*framework{}, streams: map[taskKey]*stream{}, containers: map[string]*executor{},
		conns: map[uint64]*executor{}, timers: map[timer]time.Time{}, operations: map[string]*operation{},
		counters: Counters{TasksByState: map[mesos.TaskState]uint64{}},
	}
	s.resourceVersion = s.uuid()
	s.recover(recovered)
	return s
}

// Deadline is when the next Tick is due; false when nothing waits.
func (s *State) Deadline() (time.Time, bool) {
	var first time.Time
	for _, at := range s.timers {
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, !first.IsZero()
}

func (s *State) after(d time.Duration, t timer) { s.timers[t] = s.now.Add(d) }
func (s *State) cancel(t timer)                 { delete(s.timers, t) }
func (s *State) do(e ...Effect)                 { s.out = append(s.out, e...) }

func (s *State) log(level Level, message string, attrs ...any) {
	s.do(Log{Level: level, Message: message, Attrs: attrs})
}

// uuid returns 16 random bytes in the form of RFC 9562, version 4.
func (s *State) uuid() []byte {
	u := make([]byte, 0, 16)
	u = binary.LittleEndian.AppendUint64(u, s.rng.Uint64())
	u = binary.LittleEndian.AppendUint64(u, s.rng.Uint64())
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

func (s *State) newContainerID() string {
	u := s.uuid()
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// jitter is a random part of d.
func (s *State) jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(s.rng.Uint64() % uint64(d))
}

func (s *State) seconds() float64 { return float64(s.now.UnixMicro()) / 1e6 }

func (s *State) agentID() string {
	if s.info.ID == nil {
		return ""
	}
	return s.info.ID.Value
}

// frameworksInOrder and its like keep the order of effects independent of map order.
func (s *State) frameworksInOrder() []*framework {
	all := make([]*framework, 0, len(s.frameworks))
	for _, id := range slices.Sorted(maps.Keys(s.frameworks)) {
		all = append(all, s.frameworks[id])
	}
	return all
}

func (f *framework) executorsInOrder() []*executor {
	all := make([]*executor, 0, len(f.executors))
	for _, id := range slices.Sorted(maps.Keys(f.executors)) {
		all = append(all, f.executors[id])
	}
	return all
}

func (f *framework) id() string { return f.info.ID.GetValue() }

func (f *framework) checkpoint() bool { return f.info.GetCheckpoint() }

func (f *framework) has(c mesos.FrameworkInfo_Capability_Type) bool {
	return slices.ContainsFunc(f.info.Capabilities, func(x mesos.FrameworkInfo_Capability) bool { return x.Type == c })
}

func (e *executor) id() string { return e.info.ExecutorID.Value }

func (e *executor) run() Run {
	return Run{Framework: e.framework.id(), Executor: e.id(), Container: e.container}
}

// live lists the tasks that have not ended, in order of arrival.
func (e *executor) live() []*task {
	var all []*task
	for _, id := range e.order {
		if t := e.tasks[id]; t != nil && !terminal(t.state) {
			all = append(all, t)
		}
	}
	return all
}

func (e *executor) touch() { e.framework.view = nil }

// terminal tells whether a task in this state has ended; reference appendix A.
func terminal(state mesos.TaskState) bool {
	switch state {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	default:
		return false
	}
}
