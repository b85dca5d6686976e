package core

import (
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// Event is something that happened. The types below are all there are.
type Event interface{ isEvent() }

// NodesKnown comes first of all: the nodes that are in the Kubernetes API.
type NodesKnown struct {
	Ours    []KnownNode
	Foreign []string // names of nodes that are not ours
}

// KnownNode is a node object that a bridge has made before.
type KnownNode struct {
	Name, AgentID, Endpoint string
	System                  corev1.NodeSystemInfo
}

// PodSeen is a pod's present state in the API, new or changed.
type PodSeen struct {
	Pod *corev1.Pod
	// Refused names the fields that pods here cannot have; empty: none.
	Refused string
}

// PodGone tells that a pod object is no longer in the API.
type PodGone struct{ UID types.UID }

// PodsSynced tells that every pod that was in the API at the start has been seen.
type PodsSynced struct{}

// Subscribed and Disconnected tell of the link to the master.
type (
	// Subscribed carries the framework's id.
	Subscribed struct{ Framework mesos.FrameworkID }
	// FrameworkKept tells that the id is in the Kubernetes API: from here on tasks may be launched.
	FrameworkKept struct{}
	// Disconnected voids all offers.
	Disconnected struct{}
)

// Offered and Rescinded are the master's offers.
type (
	// Offered brings offers.
	Offered struct{ Offers []mesos.Offer }
	// Rescinded takes one back.
	Rescinded struct{ ID mesos.OfferID }
)

// TaskUpdated is a task's status, from the executor (Report set), the agent or the master.
type TaskUpdated struct {
	Status   mesos.TaskStatus
	Report   *corev1.PodStatus // what the executor says of the pod; nil: nothing
	Endpoint string            // where the executor listens, as kept in a node's annotation; empty: not told
}

// ExecutorSaid is a message of an executor: its greeting, or what happens to its pods.
type ExecutorSaid struct {
	AgentID  string
	Endpoint string
	System   *corev1.NodeSystemInfo // of the machine; nil: not told
	Events   []PodEvent
}

// PodEvent is something that an executor tells of a pod, in a kubelet's words.
type PodEvent struct {
	TaskID          string
	FieldPath       string // part of the pod; empty: all of it
	Warning         bool
	Reason, Message string
}

// ExecutorEnded tells of an executor's end; ExecutorID is empty if the whole agent is meant.
type ExecutorEnded struct{ AgentID, ExecutorID string }

// AgentsListed is the master's answer to GET_AGENTS.
type AgentsListed struct{ Answer *master.Response_GetAgents }

// AttemptKept tells that a KeepAttempt has reached the API.
type AttemptKept struct {
	UID     types.UID
	Attempt int
}

// NameTaken tells that a node of that name exists and is not ours.
type NameTaken struct{ Node string }

// Tick lets time pass; about once a second.
type Tick struct{}

func (NodesKnown) isEvent()    {}
func (PodSeen) isEvent()       {}
func (PodGone) isEvent()       {}
func (PodsSynced) isEvent()    {}
func (Subscribed) isEvent()    {}
func (FrameworkKept) isEvent() {}
func (Disconnected) isEvent()  {}
func (Offered) isEvent()       {}
func (Rescinded) isEvent()     {}
func (TaskUpdated) isEvent()   {}
func (ExecutorSaid) isEvent()  {}
func (ExecutorEnded) isEvent() {}
func (AgentsListed) isEvent()  {}
func (AttemptKept) isEvent()   {}
func (NameTaken) isEvent()     {}
func (Tick) isEvent()          {}

// Effect is something to do. The types below are all there are.
type Effect interface{ isEffect() }

// Ref names a pod object; a pod of the same name with another UID is another pod.
type Ref struct {
	Namespace, Name string
	UID             types.UID
}

// RefOf is a pod's Ref.
func RefOf(pod *corev1.Pod) Ref { return Ref{pod.Namespace, pod.Name, pod.UID} }

// KeepFramework writes the framework's id to the Kubernetes API; FrameworkKept answers.
type KeepFramework struct{ ID mesos.FrameworkID }

// Accept launches tasks of one agent on offers of it.
type Accept struct {
	Offers []mesos.OfferID
	Tasks  []mesos.TaskInfo
	Refuse time.Duration
}

// Decline gives offers back.
type Decline struct {
	Offers []mesos.OfferID
	Refuse time.Duration
}

// Revive asks for offers, Suppress for none.
type (
	// Revive also forgets refusals.
	Revive struct{}
	// Suppress stops offers.
	Suppress struct{}
)

// Kill asks for a task's end; nil Grace: the task's own.
type Kill struct {
	Task  mesos.TaskID
	Agent *mesos.AgentID
	Grace *time.Duration
}

// Acknowledge tells the agent that a status update has been taken in.
type Acknowledge struct{ Status mesos.TaskStatus }

// WriteStatus writes a pod's status to the API, then acknowledges the update that it came with (Ack, may be nil). A later one for the same pod may overtake an earlier one that is still being tried; its
// acknowledgements add up.
type WriteStatus struct {
	Pod    *corev1.Pod
	Status *corev1.PodStatus
	Ack    *mesos.TaskStatus
}

// Delete finally deletes a pod object (grace period 0), after all statuses written before.
type Delete struct{ Ref Ref }

// KeepAttempt writes a pod's attempt into its annotations; AttemptKept answers.
type KeepAttempt struct {
	Ref     Ref
	Attempt int
}

// Deliver hands the pod with its configuration to the executor on the agent, and keeps it up to date, until Forget.
type Deliver struct {
	TaskID   string
	Pod      *corev1.Pod
	AgentID  string
	Endpoint string
}

// Forget ends a Deliver.
type Forget struct{ TaskID string }

// Discard tells an executor that nobody will ask for an ended pod's logs any more: its object is gone.
type Discard struct{ TaskID, Endpoint string }

// Tell records a Kubernetes event on a pod. With Node set it is the kubelet of that node that tells, else the bridge.
type Tell struct {
	Pod             *corev1.Pod
	FieldPath       string // part of the pod; empty: all of it
	Node            string
	Warning         bool
	Reason, Message string
}

// ShowNode creates or updates a node object (KubeletAddress and KubeletPort are left to the bridge). With Renew its
// lease is renewed; a node that is gone is left to expire.
type ShowNode struct {
	View  virtualnode.View
	Renew bool
}

// RemoveNode deletes a node object.
type RemoveNode struct{ Name string }

func (KeepFramework) isEffect() {}
func (Accept) isEffect()        {}
func (Decline) isEffect()       {}
func (Revive) isEffect()        {}
func (Suppress) isEffect()      {}
func (Kill) isEffect()          {}
func (Acknowledge) isEffect()   {}
func (WriteStatus) isEffect()   {}
func (Delete) isEffect()        {}
func (KeepAttempt) isEffect()   {}
func (Deliver) isEffect()       {}
func (Forget) isEffect()        {}
func (Discard) isEffect()       {}
func (Tell) isEffect()          {}
func (ShowNode) isEffect()      {}
func (RemoveNode) isEffect()    {}
