package core

import (
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// View is an immutable picture of the state for readers.
type View struct {
	Info       mesos.AgentInfo
	Master     string // UPID
	Registered bool
	Recovering bool
	Frameworks []*FrameworkView
	Completed  []*FrameworkView
	Resources  []mesos.Resource // all, with reservations and volumes
	Operations []mesos.Operation
	Drain      *mesos.DrainConfig // nil unless it drains
	DrainSince time.Time
	Counters   Counters
	At         time.Time
}

// FrameworkView is a framework with what it runs here.
type FrameworkView struct {
	Info      mesos.FrameworkInfo
	Executors []*ExecutorView
	Completed []*ExecutorView
}

// ExecutorView is one run of an executor.
type ExecutorView struct {
	Info      mesos.ExecutorInfo
	Generated bool
	Container string
	Directory string
	State     string // REGISTERING, RUNNING, TERMINATING or TERMINATED
	PID       int
	Resources []mesos.Resource // its own and its live tasks'
	Status    *mesos.ContainerStatus
	Queued    []*TaskView
	Launched  []*TaskView
	// Terminated tasks have updates that are not acknowledged yet, Completed ones don't.
	Terminated, Completed []*TaskView
}

// TaskView is a task.
type TaskView struct {
	Task      mesos.Task
	Info      mesos.TaskInfo
	Generated bool // its executor was made for it
}

// View takes the picture. Frameworks that did not change are shared with earlier ones.
func (s *State) View() *View {
	v := &View{
		Info: s.info, Master: s.master, Registered: s.phase == running, Recovering: s.phase == recovering,
		Completed: slices.Clone(s.completed), Counters: s.counters, At: s.now,
		Resources: s.resourcesShown, Operations: s.operationsShown,
	}
	if s.draining != nil {
		config := s.draining.config
		v.Drain, v.DrainSince = &config, s.draining.since
	}
	v.Counters.TasksByState = make(map[mesos.TaskState]uint64, len(s.counters.TasksByState))
	for state, n := range s.counters.TasksByState {
		v.Counters.TasksByState[state] = n
	}
	for _, f := range s.frameworksInOrder() {
		if f.view == nil {
			f.view = s.frameworkView(f)
		}
		v.Frameworks = append(v.Frameworks, f.view)
	}
	return v
}

func (s *State) frameworkView(f *framework) *FrameworkView {
	v := &FrameworkView{Info: f.info, Completed: slices.Clone(f.done)}
	for _, e := range f.executorsInOrder() {
		v.Executors = append(v.Executors, s.executorView(e))
	}
	return v
}

func (s *State) executorView(e *executor) *ExecutorView {
	names := [...]string{"REGISTERING", "RUNNING", "TERMINATING", "TERMINATED"}
	v := &ExecutorView{
		Info: e.info, Generated: e.generated, Container: e.container, Directory: e.directory, PID: e.pid,
		State: names[e.state], Resources: slices.Clone(e.info.Resources), Completed: slices.Clone(e.done),
		Status: s.containerStatus(e, nil),
	}
	for _, id := range e.order {
		t := e.tasks[id]
		tv := s.taskView(t)
		switch {
		case terminal(t.state):
			v.Terminated = append(v.Terminated, tv)
			continue
		case !t.delivered:
			v.Queued = append(v.Queued, tv)
		default:
			v.Launched = append(v.Launched, tv)
		}
		v.Resources = append(v.Resources, t.info.Resources...)
	}
	return v
}

func (s *State) taskView(t *task) *TaskView {
	return &TaskView{Task: s.taskMessage(t), Info: t.info, Generated: t.executor.generated}
}
