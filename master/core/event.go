package core

import (
	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/security"
)

// StreamID names one subscription of a scheduler; it is the value of the
// Mesos-Stream-Id header (reference rows SCH-16, SCH-17).
type StreamID string

// RequestID names one request that waits for its Reply. The caller chooses it.
type RequestID uint64

// Event is a fact the master learns.
type Event interface{ event() }

// SchedulerSubscribed says that a scheduler opened Stream with a structurally
// valid SUBSCRIBE call. The stream has been answered with 200 already, so that
// every refusal travels as an ERROR event (reference 1.1, DIVERGES).
type SchedulerSubscribed struct {
	Stream StreamID
	Call   *scheduler.Call
	// Constraints are the call's offer constraints, nil when it has none; they are younger than the vocabulary.
	Constraints *constraints.OfferConstraints
	Principal   security.Principal // who authenticated
	// Driver says that the scheduler speaks the old protocol, and Force that its driver may take the framework over from
	// another. Stream is the driver's UPID then.
	Driver, Force bool
}

// SchedulerCalled says that a structurally valid call other than SUBSCRIBE came
// in; Stream is its Mesos-Stream-Id header, empty when absent.
type SchedulerCalled struct {
	Request     RequestID
	Stream      StreamID
	Call        *scheduler.Call
	Constraints *constraints.OfferConstraints // of UPDATE_FRAMEWORK
	Principal   security.Principal            // who authenticated
}

// DriverAborted says that the driver at Stream wants no more offers for its framework (reference row 5.2).
type DriverAborted struct {
	Stream    StreamID
	Framework string
}

// StreamClosed says that a scheduler's stream ended, by whichever side, for the
// reason given (for logs only).
type StreamClosed struct {
	Stream StreamID
	Reason string
}

// AgentMessaged says that the actor From (a UPID) sent a message of mesos.internal.
type AgentMessaged struct {
	From    string
	Message proto.Message
}

// AgentExited says that the link to the actor PID broke (reference row LP-11).
type AgentExited struct{ PID string }

// RegistryWritten is the outcome of a WriteRegistry effect; Err is nil when it is durable.
type RegistryWritten struct {
	Change RegistryChange
	Err    error
}

// TornDown says that an operator asked to remove a framework (reference row OP1-28).
type TornDown struct {
	Request   RequestID
	Framework string
}

// WeightsUpdated says that an operator asked to set roles' weights (reference row OP1-15).
type WeightsUpdated struct {
	Request RequestID
	Weights []mesos.WeightInfo
}

// AuthenticationBegan says that an agent, or a scheduler of the older driver, at PID begins to authenticate; what it
// proved before counts no more (reference section 5.5).
type AuthenticationBegan struct{ PID string }

// Authenticated says that the one at PID proved to be Principal.
type Authenticated struct {
	PID       string
	Principal security.Principal
}

// WhitelistRead says which hosts the whitelist has now (reference row ALT-06); nil stands for all.
type WhitelistRead struct{ Hosts []string }

// Ticked says that the time of State.Deadline has come.
type Ticked struct{}

func (SchedulerSubscribed) event() {}
func (SchedulerCalled) event()     {}
func (StreamClosed) event()        {}
func (DriverAborted) event()       {}
func (AgentMessaged) event()       {}
func (AgentExited) event()         {}
func (RegistryWritten) event()     {}
func (TornDown) event()            {}
func (WeightsUpdated) event()      {}
func (AuthenticationBegan) event() {}
func (Authenticated) event()       {}
func (WhitelistRead) event()       {}
func (Ticked) event()              {}

// Effect is an order the master gives. Effects are carried out in their order.
type Effect interface{ effect() }

// SendEvent orders an event to be written to a scheduler's stream.
type SendEvent struct {
	Stream StreamID
	Event  *scheduler.Event
	// Agents are the UPIDs of the agents of OFFERS, in their order, or of UPDATE; only for drivers.
	Agents []string
}

// CloseStream orders a scheduler's stream to be ended after what was sent before.
type CloseStream struct{ Stream StreamID }

// Reply answers a request with an HTTP status and, for refusals, one sentence.
type Reply struct {
	Request RequestID
	Status  int
	Text    string
}

// SendAgent orders a message to be sent to the agent at PID.
type SendAgent struct {
	PID     string
	Message proto.Message
}

// LinkAgent orders a link to the agent at PID; when it breaks, AgentExited follows.
type LinkAgent struct{ PID string }

// WriteRegistry orders a change to be made durable; RegistryWritten follows.
type WriteRegistry struct{ Change RegistryChange }

// Note is something an operator would want to find in the log. Error says that
// someone must act. Attributes alternate keys and values.
type Note struct {
	Error      bool
	Message    string
	Attributes []any
}

func (SendEvent) effect()     {}
func (CloseStream) effect()   {}
func (Reply) effect()         {}
func (SendAgent) effect()     {}
func (LinkAgent) effect()     {}
func (WriteRegistry) effect() {}
func (Note) effect()          {}
