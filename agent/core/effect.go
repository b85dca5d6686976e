package core

import (
	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// Effect is something the owner must do. Effects are carried out in order.
type Effect interface{ effect() }

// Send a libprocess message.
type Send struct {
	To      string
	Message proto.Message
}

// Link to the master, so that its death is noticed.
type Link struct{ To string }

// StartContainer runs an executor; answered by ContainerStarted or ContainerFailed.
type StartContainer struct {
	Container string
	Directory string // the sandbox, to be created
	Command   *mesos.CommandInfo
	Args      []string // for our own command executor: argv, Command only names URIs
	User      string   // "" : as the agent
	Env       []Variable
	Rlimits   *mesos.RLimitInfo
	Limits    Limits
	Volumes   []Volume // by container path
}

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// Limits size a container; cores and bytes. Zero caps mean none.
type Limits struct {
	CPUs, CPULimit float64
	Mem, MemLimit  int64
}

// UpdateContainer changes the limits and volumes of a running container.
type UpdateContainer struct {
	Container string
	Directory string // the sandbox
	Limits    Limits
	Volumes   []Volume // by container path
}

// DestroyContainer kills it; ContainerExited follows.
type DestroyContainer struct{ Container string }

// Tell sends an event down an executor's stream.
type Tell struct {
	Conn  uint64
	Event *api.Event
}

// Hangup closes an executor's stream after what was told.
type Hangup struct{ Conn uint64 }

// Answer completes a waiting request; Status is HTTP's.
type Answer struct {
	Call   uint64
	Status int
	Text   string
}

// SaveEpoch writes the newest epoch that the agent obeyed.
type SaveEpoch struct{ Epoch epoch.Epoch }

// SaveAgent writes the agent's info with its id.
type SaveAgent struct{ Info mesos.AgentInfo }

// SaveFramework writes a framework's info and pid.
type SaveFramework struct {
	Info mesos.FrameworkInfo
	PID  string
}

// SaveExecutor writes an executor and the run (container) that is about to start.
type SaveExecutor struct {
	Framework string
	Info      mesos.ExecutorInfo
	Generated bool // made by the agent for a command task
	Container string
}

// SaveExecutorPID writes where an executor's driver can be reached, so that it is asked to come back after a restart.
type SaveExecutorPID struct {
	Run  Run
	UPID string
}

// SaveTask writes a task before it is delivered.
type SaveTask struct {
	Run    Run
	Task   mesos.Task
	Limits map[string]mesos.Value_Scalar // TaskInfo.limits, which the vocabulary's Task lacks
}

// SaveUpdate appends to the stream of a task's updates.
type SaveUpdate struct {
	Run    Run
	Task   string
	Update messages.StatusUpdate
}

// SaveAck appends an acknowledgement to the stream of a task's updates.
type SaveAck struct {
	Run  Run
	Task string
	UUID []byte
}

// SaveResources writes the reservations and volumes that the flags don't tell, and the operations whose results are not
// acknowledged. When it is done, volumes that are new have a directory, and those that went have none.
type SaveResources struct {
	Resources  []mesos.Resource
	Operations []mesos.Operation
}

// SaveDone marks a run as finished: nothing of it is recovered any more.
type SaveDone struct{ Run Run }

// SaveDrain writes the order to drain, or, if Config is nil, that there is none any more.
type SaveDrain struct{ Config *mesos.DrainConfig }

// Run names one run of an executor on disk.
type Run struct{ Framework, Executor, Container string }

// Log tells the operator.
type Log struct {
	Level   Level
	Message string
	Attrs   []any // alternating key, value
}

// Level of a Log; the values of log/slog, which pure packages don't import.
type Level int

// Levels, lowest first.
const (
	Debug Level = -4
	Info  Level = 0
	Warn  Level = 4
	Error Level = 8
)

// Exit ends the agent. Forget: the next start is a new agent.
type Exit struct {
	Reason  string
	Forget  bool
	Failure bool
}

func (Send) effect()             {}
func (Link) effect()             {}
func (StartContainer) effect()   {}
func (UpdateContainer) effect()  {}
func (DestroyContainer) effect() {}
func (Tell) effect()             {}
func (Hangup) effect()           {}
func (Answer) effect()           {}
func (SaveEpoch) effect()        {}
func (SaveAgent) effect()        {}
func (SaveFramework) effect()    {}
func (SaveExecutor) effect()     {}
func (SaveExecutorPID) effect()  {}
func (SaveTask) effect()         {}
func (SaveUpdate) effect()       {}
func (SaveAck) effect()          {}
func (SaveDone) effect()         {}
func (SaveResources) effect()    {}
func (SaveDrain) effect()        {}
func (Log) effect()              {}
func (Exit) effect()             {}
