package virtualnode

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Names that the bridge puts on its nodes.
const (
	// AgentLabel marks the bridge's own nodes; its value is the Mesos agent's id, as far as a label can hold it.
	AgentLabel = "tombolo.io/agent"
	// BridgeLabel says whose node it is; its value is the namespace in which the bridge keeps its own objects. Two bridges of
	// one cluster, of two datacenters say, leave each other's nodes alone by it.
	BridgeLabel = "tombolo.io/bridge"
	// AgentAnnotation is the exact id of the node's agent. (A provider id would not do: Kubernetes never lets it change, but
	// an agent that is installed anew gets a new id.)
	AgentAnnotation = "tombolo.io/agent-id"
	// AttributePrefix stands before the name of each Mesos attribute that becomes a label.
	AttributePrefix = "attribute.tombolo.io/"
	// EndpointAnnotation keeps, as JSON, where the agent's pod executor listens and its certificate's fingerprint (nothing
	// secret), so that a restarted bridge can reach running pods at once.
	EndpointAnnotation = "tombolo.io/pod-executor"
	// LeavingTaint keeps new pods off an agent that an operator drains or has deactivated.
	LeavingTaint = "tombolo.io/leaving"
	// KubeletVersion is the Kubernetes release whose kubelet API the bridge serves.
	KubeletVersion = "v1.35.4"
)

// Health is how an agent looks to the master, as far as a node's Ready condition is concerned.
type Health int

// Values of Health.
const (
	// Healthy: registered and connected, or disconnected for less than Patience.
	Healthy Health = iota
	// Disconnected: the master still waits for the agent.
	Disconnected
	// Gone: the master has given the agent up (unreachable or removed).
	Gone
)

// View is all that makes a node.
type View struct {
	Name  string
	Agent Agent
	// Held is what Kubernetes's live pods on the node have requested (as the scheduler counts), Overhead what the pod executor
	// will still take when the first pod comes; Ours is what our tasks, executor and offers use according to Mesos.
	Held     Amounts
	Ours     Amounts
	Overhead Amounts
	Health   Health
	// Bridge is the value of BridgeLabel.
	Bridge string
	// MaxPods is the node's pod capacity, Pods how many of Kubernetes's pods run there.
	MaxPods int
	Pods    int
	// Architecture is GOARCH, unless the agent has an attribute "arch" or System tells.
	Architecture string
	// KubeletAddress is what the API server dials for logs and exec, with KubeletPort.
	KubeletAddress string
	KubeletPort    int32
	// System is what a pod executor has told of the machine; empty fields: not known (yet).
	System corev1.NodeSystemInfo
	// Endpoint is the value of EndpointAnnotation; empty: none yet.
	Endpoint string
	// Taint, if set, is put on the node (operators' wish; none by default).
	Taint *corev1.Taint
}

// Allocatable is what the scheduler may place on the node in all: what Kubernetes's pods hold plus what it may take now
// (all that no other framework uses).
func (v *View) Allocatable() Amounts {
	return v.Held.Plus(v.free()).Min(v.Agent.Total).Max(Amounts{})
}

func (v *View) free() Amounts {
	return v.Agent.Total.Minus(v.Agent.Taken).Minus(v.Ours).Minus(v.Overhead).Floor()
}

// AllocatablePods is how many pods the scheduler may place on the node in all: those that run and as many as find Least
// there, which even a pod takes that requests nothing. On a full agent such a pod is not placed and then waits in vain.
func (v *View) AllocatablePods() int {
	free := v.free()
	return int(min(int64(v.MaxPods), int64(v.Pods)+min(free.CPU/Least.CPU, free.Memory/Least.Memory)))
}

// Node is the Kubernetes node of an agent. now becomes the conditions' heartbeat; transition times are kept from previous
// where nothing changed (nil: a new node).
func (v *View) Node(now time.Time, previous *corev1.Node) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: v.Name, Labels: v.labels(), Annotations: map[string]string{AgentAnnotation: v.Agent.ID}},
		Spec:       corev1.NodeSpec{Taints: v.taints()},
		Status: corev1.NodeStatus{
			Capacity:        withPods(v.Agent.Total, v.MaxPods),
			Allocatable:     withPods(v.Allocatable(), v.AllocatablePods()),
			Addresses:       v.addresses(),
			DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: v.KubeletPort}},
			NodeInfo:        v.system(),
		},
	}
	if v.Endpoint != "" {
		node.Annotations[EndpointAnnotation] = v.Endpoint
	}
	var before []corev1.NodeCondition
	if previous != nil {
		before = previous.Status.Conditions
	}
	node.Status.Conditions = v.conditions(metav1.NewTime(now), before)
	return node
}

func withPods(a Amounts, pods int) corev1.ResourceList {
	list := a.List()
	list[corev1.ResourcePods] = *resource.NewQuantity(int64(pods), resource.DecimalSI)
	return list
}

func (v *View) addresses() []corev1.NodeAddress {
	// No Hostname address: the API server would prefer it, and nothing need resolve it.
	var addresses []corev1.NodeAddress
	if v.Agent.IP != "" {
		addresses = append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: v.Agent.IP})
	}
	return append(addresses, corev1.NodeAddress{Type: corev1.NodeInternalDNS, Address: v.KubeletAddress})
}

// system is the machine as an executor has described it. Before the first one ran there only what Mesos knows of the agent
// can be told.
func (v *View) system() corev1.NodeSystemInfo {
	info := v.System
	info.OperatingSystem, info.Architecture, info.KubeletVersion = "linux", v.architecture(), KubeletVersion
	if info.ContainerRuntimeVersion == "" {
		info.ContainerRuntimeVersion = "mesos://" + v.Agent.Version
	}
	if info.MachineID == "" {
		info.MachineID, info.SystemUUID = v.Agent.ID, v.Agent.ID
	}
	return info
}

// SystemOf is what an executor once told of a node's machine, from the node; empty if none has.
func SystemOf(node *corev1.Node) corev1.NodeSystemInfo {
	if info := node.Status.NodeInfo; info.KernelVersion != "" {
		return info
	}
	return corev1.NodeSystemInfo{}
}

func (v *View) architecture() string {
	for _, a := range v.Agent.Attributes {
		if a.Name == "arch" && a.GetText().GetValue() != "" {
			return a.GetText().GetValue()
		}
	}
	if v.System.Architecture != "" {
		return v.System.Architecture
	}
	return v.Architecture
}

func (v *View) taints() []corev1.Taint {
	var taints []corev1.Taint
	if v.Taint != nil {
		taints = append(taints, *v.Taint)
	}
	if v.Agent.Leaving {
		taints = append(taints, corev1.Taint{Key: LeavingTaint, Effect: corev1.TaintEffectNoSchedule})
	}
	return taints
}

func (v *View) labels() map[string]string {
	labels := map[string]string{
		corev1.LabelHostname:   v.Name,
		corev1.LabelOSStable:   "linux",
		corev1.LabelArchStable: v.architecture(),
		AgentLabel:             LabelValue(v.Agent.ID),
		BridgeLabel:            v.Bridge,
	}
	if v.Agent.Region != "" {
		labels[corev1.LabelTopologyRegion] = LabelValue(v.Agent.Region)
	}
	if v.Agent.Zone != "" {
		labels[corev1.LabelTopologyZone] = LabelValue(v.Agent.Zone)
	}
	for _, a := range v.Agent.Attributes {
		if name := LabelValue(a.Name); name != "" {
			labels[AttributePrefix+name] = LabelValue(attributeText(a))
		}
	}
	return labels
}

func attributeText(a mesos.Attribute) string {
	switch a.Type {
	case mesos.SCALAR:
		return strconv.FormatFloat(a.GetScalar().GetValue(), 'f', -1, 64)
	case mesos.RANGES:
		var parts []string
		for _, r := range a.GetRanges().GetRange() {
			parts = append(parts, strconv.FormatUint(r.Begin, 10)+"-"+strconv.FormatUint(r.End, 10))
		}
		return strings.Join(parts, "_")
	case mesos.SET:
		return strings.Join(a.GetSet().GetItem(), "_")
	case mesos.TEXT:
		return a.GetText().GetValue()
	}
	return ""
}

var notInLabel = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// LabelValue makes text fit for a label's value or the second half of its name: other characters become "_", at most 63,
// letters or digits at both ends.
func LabelValue(text string) string {
	text = notInLabel.ReplaceAllString(text, "_")
	if len(text) > 63 {
		text = text[:63]
	}
	return strings.Trim(text, "_.-")
}

func (v *View) conditions(now metav1.Time, before []corev1.NodeCondition) []corev1.NodeCondition {
	ready := corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "AgentRegistered", Message: "the Mesos agent is registered with the master"}
	pressure, reason, message := corev1.ConditionFalse, "PodsHeldToRequests", "the agent's resources are accounted by the Mesos master and held by its cgroups"
	switch v.Health {
	case Healthy:
	case Disconnected:
		ready.Status, ready.Reason, ready.Message = corev1.ConditionFalse, "AgentDisconnected", "the Mesos master has lost its connection to the agent and waits for it"
	case Gone:
		ready.Status, ready.Reason, ready.Message = corev1.ConditionUnknown, "AgentUnreachable", "the Mesos master has given the agent up as unreachable"
		pressure, reason, message = corev1.ConditionUnknown, ready.Reason, ready.Message
	}
	conditions := []corev1.NodeCondition{ready}
	for _, kind := range []corev1.NodeConditionType{corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure} {
		conditions = append(conditions, corev1.NodeCondition{Type: kind, Status: pressure, Reason: reason, Message: message})
	}
	for i := range conditions {
		conditions[i].LastHeartbeatTime, conditions[i].LastTransitionTime = now, now
		for _, old := range before {
			if old.Type == conditions[i].Type && old.Status == conditions[i].Status {
				conditions[i].LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	return conditions
}
