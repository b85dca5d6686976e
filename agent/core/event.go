package core

import (
	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/epoch"
)

// Event is a fact the agent learned.
type Event interface{ event() }

// MasterDetected says which master leads now; PID is its UPID.
type MasterDetected struct{ PID string }

// MasterExited says that the link to the master broke or could not be made.
type MasterExited struct{ PID string }

// Received is a libprocess message; From is the sender's UPID.
type Received struct {
	From    string
	Message proto.Message
	Epoch   epoch.Epoch // in which the sender led; zero when it says nothing, as Mesos's masters
}

// ContainerStarted says that the wrapper of a container runs in its confinement.
type ContainerStarted struct {
	Container string
	PID       int
}

// ContainerFailed says that a container could not be started; Message is one sentence.
type ContainerFailed struct {
	Container string
	Message   string
	// NoSandbox: it failed before anything existed, even the sandbox (row LCH-18).
	NoSandbox bool
}

// ContainerExited says that a container has gone, with everything in it.
type ContainerExited struct {
	Container string
	Status    *int // wait status of the executor, nil when unknown
	OOM       *OOM
}

// OOM describes a memory limit that was hit; bytes.
type OOM struct{ Limit, Usage int64 }

// ExecutorSubscribed is an executor's SUBSCRIBE. Conn names the stream it opened.
type ExecutorSubscribed struct {
	Framework, Executor string
	Conn                uint64
	UPID                string // of its driver, for executors of the old protocol
	Tasks               []mesos.TaskInfo
	Updates             []mesos.TaskStatus
}

// ExecutorDisconnected says that the stream Conn broke.
type ExecutorDisconnected struct{ Conn uint64 }

// ExecutorUpdate is an executor's UPDATE. Call names the request that waits for an Answer.
type ExecutorUpdate struct {
	Framework, Executor string
	Status              mesos.TaskStatus
	OOM                 *OOM // the container's limit was hit before this update
	Call                uint64
}

// ExecutorMessage is an executor's MESSAGE for its scheduler.
type ExecutorMessage struct {
	Framework, Executor string
	Data                []byte
	Call                uint64
}

// Tick says that the time of Deadline has come.
type Tick struct{}

func (MasterDetected) event()       {}
func (MasterExited) event()         {}
func (Received) event()             {}
func (ContainerStarted) event()     {}
func (ContainerFailed) event()      {}
func (ContainerExited) event()      {}
func (ExecutorSubscribed) event()   {}
func (ExecutorDisconnected) event() {}
func (ExecutorUpdate) event()       {}
func (ExecutorMessage) event()      {}
func (Tick) event()                 {}
