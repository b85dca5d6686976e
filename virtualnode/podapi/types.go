package podapi

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"
)

// ExecutorData is what the bridge puts, as JSON, into ExecutorInfo.data of the pod executor. It must be the same for every
// launch on an agent (reference row TV-11: an executor with the same id must be identical), so the CA must be kept.
type ExecutorData struct {
	// BridgeCA is the PEM certificate of the authority that signs the bridge's client certificates.
	BridgeCA string `json:"bridgeCA"`
}

// TaskData is what the bridge puts, as JSON, into TaskInfo.data of a pod: whose pod it is, and nothing secret.
type TaskData struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
}

// Endpoint says where a pod executor serves this API and how it is recognised.
type Endpoint struct {
	// Address is "ip:port".
	Address string `json:"address"`
	// Fingerprint is the SHA-256 of the server's certificate (DER), in lower-case hexadecimal.
	Fingerprint string `json:"fingerprint"`
}

// Message is the body, as JSON, of the framework messages that the executor sends: a greeting with what is known of the
// machine when it has subscribed to its agent, also after each re-subscription, and events of pods as they happen.
// Framework messages may be lost: the same endpoint is in the data of every status update, and events are only to be read
// by people.
type Message struct {
	Endpoint Endpoint `json:"endpoint"`
	// System describes the machine, but for the version of the kubelet; set in greetings.
	System *corev1.NodeSystemInfo `json:"system,omitempty"`
	Events []Event                `json:"events,omitempty"`
}

// Event is something that a kubelet would record as an event of a pod, in a kubelet's words.
type Event struct {
	TaskID string `json:"taskID"`
	// FieldPath is the part of the pod that is meant, for example "spec.containers{web}"; empty: the pod.
	FieldPath string `json:"fieldPath,omitempty"`
	Warning   bool   `json:"warning,omitempty"`
	Reason    string `json:"reason"`
	Message   string `json:"message"`
}

// StatusData is the data, as JSON, of every TaskStatus that the pod executor sends.
type StatusData struct {
	Status   corev1.PodStatus `json:"status"`
	Endpoint Endpoint         `json:"endpoint"`
}

// TaskID is the Mesos task id of a pod's attempt: "<pod uid>.<attempt>". The bridge makes a new attempt only when the one
// before is known to be terminal.
func TaskID(podUID string, attempt int) string { return fmt.Sprintf("%s.%d", podUID, attempt) }

// PodUID is the pod's UID in a task id made by TaskID; the whole id if it has no attempt.
func PodUID(taskID string) string {
	if i := strings.LastIndexByte(taskID, '.'); i > 0 {
		return taskID[:i]
	}
	return taskID
}

// Bundle is all that a pod needs from Kubernetes. The bridge resolves names to contents, the executor does the rest (field
// references, $(VAR) expansion, files). Contents are secret: they are never logged.
type Bundle struct {
	// Pod is the pod as the API server has it: metadata and spec; status is ignored.
	Pod *corev1.Pod `json:"pod"`
	// ConfigMaps and Secrets hold every object that the pod's spec names, by name. An object that does not exist is left out:
	// the executor decides by the reference's "optional" whether the pod can start without it.
	ConfigMaps map[string]ConfigMap `json:"configMaps,omitempty"`
	Secrets    map[string]Secret    `json:"secrets,omitempty"`
	// Tokens are service account tokens of projected volumes, keyed by TokenKey. The bridge renews them by UpdatePod.
	Tokens map[string]string `json:"tokens,omitempty"`
	// ServiceEnv are the service links: variables of the services of the pod's namespace and of the API server.
	ServiceEnv []corev1.EnvVar `json:"serviceEnv,omitempty"`
	// DNS is the cluster's name server configuration for dnsPolicy ClusterFirst; empty: such pods get the host's.
	DNS ClusterDNS `json:"dns,omitzero"`
	// Node is what downward fields and the default of resource fields say about the node.
	Node Node `json:"node"`
}

// ConfigMap is the content of one ConfigMap.
type ConfigMap struct {
	Data       map[string]string `json:"data,omitempty"`
	BinaryData map[string][]byte `json:"binaryData,omitempty"`
}

// Secret is the content of one Secret. Its LogValue and String show no content.
type Secret struct {
	Type corev1.SecretType `json:"type,omitempty"`
	Data map[string][]byte `json:"data,omitempty"`
}

// String keeps contents out of logs.
func (s Secret) String() string { return fmt.Sprintf("secret(%d keys)", len(s.Data)) }

// GoString keeps contents out of logs.
func (s Secret) GoString() string { return s.String() }

// ClusterDNS is how names of the cluster are resolved.
type ClusterDNS struct {
	Servers []string `json:"servers,omitempty"`
	// Domain is the cluster domain, usually "cluster.local".
	Domain string `json:"domain,omitempty"`
}

// Node is what a pod may learn about its node.
type Node struct {
	// Name is the Kubernetes node's name (spec.nodeName).
	Name string `json:"name"`
	// Allocatable is the default of limits.cpu and limits.memory where a container has none.
	Allocatable corev1.ResourceList `json:"allocatable,omitempty"`
	// Labels of the node that the pod's downward fields may name.
	Labels map[string]string `json:"labels,omitempty"`
}

// TokenKey is the key in Bundle.Tokens of the service account token that the projected volume puts at path.
func TokenKey(volume, path string) string { return volume + "/" + path }

// RunPodRequest hands over what a launched task runs. It is idempotent: the same task id again changes nothing.
type RunPodRequest struct {
	TaskID string `json:"taskID"`
	Bundle Bundle `json:"bundle"`
}

// RunPodResponse says that the executor has taken the pod over.
type RunPodResponse struct{}

// UpdatePodRequest carries a changed pod (labels, annotations, deadline), configuration or renewed tokens. Volumes follow;
// environment variables do not, as in a kubelet.
type UpdatePodRequest struct {
	TaskID string `json:"taskID"`
	Bundle Bundle `json:"bundle"`
}

// UpdatePodResponse is empty.
type UpdatePodResponse struct{}

// ForgetPodRequest says that nobody will ask for a terminal pod's logs and status any more (its object is gone from the API
// server). Until then the executor keeps them. It is idempotent.
type ForgetPodRequest struct {
	TaskID string `json:"taskID"`
}

// ForgetPodResponse is empty.
type ForgetPodResponse struct{}

// PodsRequest asks for all pods of the executor.
type PodsRequest struct{}

// PodsResponse lists the pods that the executor has, also those that still wait for their RunPod (Waiting).
type PodsResponse struct {
	Pods []PodState `json:"pods"`
}

// PodState is one pod of an executor.
type PodState struct {
	TaskID string   `json:"taskID"`
	Pod    TaskData `json:"pod"`
	// Waiting is true as long as the executor has not got the pod's bundle.
	Waiting bool             `json:"waiting,omitempty"`
	Status  corev1.PodStatus `json:"status"`
}

// LogsRequest asks for the log of one container, as the query of a kubelet's /containerLogs does.
type LogsRequest struct {
	TaskID    string `json:"taskID"`
	Container string `json:"container"`
	Follow    bool   `json:"follow,omitempty"`
	Previous  bool   `json:"previous,omitempty"`
	// Timestamps puts each line's RFC 3339 time in front of it.
	Timestamps bool `json:"timestamps,omitempty"`
	// Since leaves out lines before this time; zero: none.
	Since time.Time `json:"since,omitzero"`
	// TailLines is how many lines from the end to start with; nil: from the beginning.
	TailLines *int64 `json:"tailLines,omitempty"`
	// LimitBytes ends the stream after so many bytes; nil: no limit.
	LimitBytes *int64 `json:"limitBytes,omitempty"`
}

// Chunk is a piece of a byte stream. A chunk is at most MaxChunk bytes.
type Chunk struct {
	Data []byte `json:"data,omitempty"`
}

// MaxChunk is the most bytes that a sender of this package puts into one message.
const MaxChunk = 32 << 10

// ExecStart is the first message of an Exec or Attach stream.
type ExecStart struct {
	TaskID    string `json:"taskID"`
	Container string `json:"container"`
	// Command is ignored by Attach.
	Command []string `json:"command,omitempty"`
	Stdin   bool     `json:"stdin,omitempty"`
	Stdout  bool     `json:"stdout,omitempty"`
	Stderr  bool     `json:"stderr,omitempty"`
	TTY     bool     `json:"tty,omitempty"`
}

// TerminalSize is in characters.
type TerminalSize struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// ExecInput is what the bridge sends: Start first, then any of the others.
type ExecInput struct {
	Start *ExecStart    `json:"start,omitempty"`
	Stdin []byte        `json:"stdin,omitempty"`
	Size  *TerminalSize `json:"size,omitempty"`
	// StdinEOF closes the process's standard input.
	StdinEOF bool `json:"stdinEOF,omitempty"`
}

// ExecOutput is what the executor sends: output, and at the end exactly one message with Exit.
type ExecOutput struct {
	Stdout []byte    `json:"stdout,omitempty"`
	Stderr []byte    `json:"stderr,omitempty"`
	Exit   *ExecExit `json:"exit,omitempty"`
}

// ExecExit is how the process ended. A command that could not be started ends the stream with a gRPC error instead.
type ExecExit struct {
	Code int `json:"code"`
}

// ForwardInput is what the bridge sends: TaskID and Port in the first message, then data. Closing the sending side closes
// the writing half of the connection in the pod.
type ForwardInput struct {
	TaskID string `json:"taskID,omitempty"`
	Port   int    `json:"port,omitempty"`
	Data   []byte `json:"data,omitempty"`
}

// StatsRequest asks for the statistics of all pods of the executor.
type StatsRequest struct{}

// StatsResponse is the executor's part of a kubelet's /stats/summary. Summary.Node.NodeName is left empty.
type StatsResponse struct {
	Summary stats.Summary `json:"summary"`
}

// Encode is v as JSON, for the data fields of Mesos messages. It panics for a value that JSON cannot express, which none of
// this package's types is.
func Encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("podapi: encode %T: %v", v, err))
	}
	return data
}

// Decode reads what Encode wrote.
func Decode[T any](data []byte) (T, error) {
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		return v, fmt.Errorf("decode %T: %w", v, err)
	}
	return v, nil
}
