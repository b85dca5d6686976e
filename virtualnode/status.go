package virtualnode

import (
	"fmt"
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// OfferCondition is the pod condition by which a pod that waits for its node's resources says so.
const OfferCondition corev1.PodConditionType = "tombolo.io/Offered"

// Reasons of a failed pod, beside those of the executor.
const (
	ReasonExecutorLost = "ExecutorLost" // the pod executor ended, and its containers with it
	ReasonNodeLost     = "NodeLost"     // the agent is gone for good
	ReasonTaskRefused  = "TaskRefused"  // the master refused the task
	ReasonTaskLost     = "TaskLost"     // no trace of the task
)

// Finished says whether a pod's phase is final.
func Finished(status *corev1.PodStatus) bool {
	return status.Phase == corev1.PodSucceeded || status.Phase == corev1.PodFailed
}

// Started says whether a pod's status shows that its task has once been launched. Such a pod is never launched anew.
func Started(status *corev1.PodStatus) bool {
	return status.StartTime != nil || status.PodIP != "" || len(status.ContainerStatuses) > 0 || len(status.InitContainerStatuses) > 0
}

// Merge puts what the executor reports into the pod's status at the API server: conditions of others (PodScheduled,
// readiness gates, disruption) stay, readiness gates count, addresses of the host are the node's.
func Merge(pod *corev1.Pod, reported *corev1.PodStatus, hostIP string) *corev1.PodStatus {
	merged := reported.DeepCopy()
	merged.QOSClass = pod.Status.QOSClass // the API server sets it when the pod is made
	merged.NominatedNodeName = pod.Status.NominatedNodeName
	if hostIP != "" {
		merged.HostIP, merged.HostIPs = hostIP, []corev1.HostIP{{IP: hostIP}}
	}
	if merged.PodIP == "" { // a finished pod keeps the address that it had
		merged.PodIP, merged.PodIPs = pod.Status.PodIP, pod.Status.PodIPs
	}
	if merged.StartTime == nil {
		merged.StartTime = pod.Status.StartTime
	}
	merged.Conditions = mergeConditions(pod.Status.Conditions, reported.Conditions)
	merged.Conditions = dropCondition(merged.Conditions, OfferCondition)
	gateReadiness(pod, merged)
	for i := range merged.Conditions {
		if own[merged.Conditions[i].Type] {
			merged.Conditions[i].ObservedGeneration = pod.Generation
		}
	}
	merged.ObservedGeneration = pod.Generation
	return merged
}

// own are the conditions that a node writes; what else a pod has is other components'.
var own = map[corev1.PodConditionType]bool{
	corev1.PodReadyToStartContainers: true, corev1.PodInitialized: true, corev1.ContainersReady: true, corev1.PodReady: true,
	corev1.PodResizePending: true, corev1.PodResizeInProgress: true,
}

// WithForeign is the conditions that we write (next) beside those of others (have): what others have written in the meantime
// is not taken back by an older picture of the pod.
func WithForeign(have, next []corev1.PodCondition) []corev1.PodCondition {
	var merged []corev1.PodCondition
	for _, c := range have {
		if !own[c.Type] && c.Type != OfferCondition {
			merged = append(merged, c)
		}
	}
	for _, c := range next {
		if own[c.Type] || c.Type == OfferCondition || boundByHand(c, have) {
			merged = append(merged, c)
		}
	}
	return merged
}

func mergeConditions(have, reported []corev1.PodCondition) []corev1.PodCondition {
	told := map[corev1.PodConditionType]bool{}
	for _, c := range reported {
		told[c.Type] = true
	}
	var merged []corev1.PodCondition
	for _, c := range have {
		if told[c.Type] || !own[c.Type] { // what a node said once and says no longer is over
			merged = append(merged, c)
		}
	}
	for _, c := range reported {
		if own[c.Type] || boundByHand(c, have) {
			merged = SetCondition(merged, c)
		}
	}
	return merged
}

// boundByHand says whether a condition is the PodScheduled of a pod that no scheduler has bound: it is the node's to write.
func boundByHand(c corev1.PodCondition, have []corev1.PodCondition) bool {
	return c.Type == corev1.PodScheduled && !slices.ContainsFunc(have, func(h corev1.PodCondition) bool { return h.Type == corev1.PodScheduled })
}

// SetCondition replaces or adds a condition; its transition time is kept if the status is the same as before.
func SetCondition(conditions []corev1.PodCondition, c corev1.PodCondition) []corev1.PodCondition {
	for i := range conditions {
		if conditions[i].Type != c.Type {
			continue
		}
		if conditions[i].Status == c.Status && !conditions[i].LastTransitionTime.IsZero() {
			c.LastTransitionTime = conditions[i].LastTransitionTime
		}
		conditions[i] = c
		return conditions
	}
	return append(conditions, c)
}

func dropCondition(conditions []corev1.PodCondition, kind corev1.PodConditionType) []corev1.PodCondition {
	kept := conditions[:0]
	for _, c := range conditions {
		if c.Type != kind {
			kept = append(kept, c)
		}
	}
	return kept
}

// gateReadiness makes an otherwise ready pod not ready while one of its readiness gates is not true.
func gateReadiness(pod *corev1.Pod, status *corev1.PodStatus) {
	is := func(kind corev1.PodConditionType) bool {
		for _, c := range status.Conditions {
			if c.Type == kind {
				return c.Status == corev1.ConditionTrue
			}
		}
		return false
	}
	if !is(corev1.ContainersReady) {
		return
	}
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	for _, c := range status.Conditions {
		if c.Type == corev1.PodReady {
			ready.LastTransitionTime = c.LastTransitionTime
		}
	}
	for _, gate := range pod.Spec.ReadinessGates {
		if !is(gate.ConditionType) {
			ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
			ready.Message = fmt.Sprintf("the pod's condition %s is not true", gate.ConditionType)
		}
	}
	status.Conditions = SetCondition(status.Conditions, ready)
}

// Ended is the status of a pod whose task ended in the given way without a word from the executor: failed, its containers
// terminated with an unknown exit (137, as a kubelet reports it).
func Ended(pod *corev1.Pod, now metav1.Time, reason, message string) *corev1.PodStatus {
	status := pod.Status.DeepCopy()
	status.Phase, status.Reason, status.Message = corev1.PodFailed, reason, message
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses, status.EphemeralContainerStatuses} {
		for i := range list {
			endContainer(&list[i], now)
		}
	}
	for _, kind := range []corev1.PodConditionType{corev1.PodReady, corev1.ContainersReady} {
		status.Conditions = SetCondition(status.Conditions, corev1.PodCondition{
			Type: kind, Status: corev1.ConditionFalse, Reason: "PodFailed", LastTransitionTime: now, ObservedGeneration: pod.Generation,
		})
	}
	status.Conditions = dropCondition(status.Conditions, OfferCondition)
	return status
}

// Interrupted is the status of a pod whose containers ended unseen and that is to start again.
func Interrupted(pod *corev1.Pod, now metav1.Time) *corev1.PodStatus {
	status := Ended(pod, now, "", "")
	status.Phase = pod.Status.Phase
	for i := range status.Conditions {
		if c := &status.Conditions[i]; c.Type == corev1.PodReady || c.Type == corev1.ContainersReady {
			c.Reason = "ContainersNotReady"
		}
	}
	return status
}

func endContainer(c *corev1.ContainerStatus, now metav1.Time) {
	if c.State.Terminated != nil {
		return
	}
	ended := corev1.ContainerStateTerminated{
		ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "the container's end was not observed", FinishedAt: now, ContainerID: c.ContainerID,
	}
	if c.State.Running != nil {
		ended.StartedAt = c.State.Running.StartedAt
	}
	c.State = corev1.ContainerState{Terminated: &ended}
	c.Ready, c.Started = false, pointer(false)
}

// WhyEnded is reason and message for a task that ended without a word from the executor.
func WhyEnded(status *mesos.TaskStatus) (reason, message string) {
	message = status.GetMessage()
	tell := func(text string) string {
		if message == "" {
			return text
		}
		return text + ": " + message
	}
	switch status.GetState() {
	case mesos.TASK_ERROR:
		return ReasonTaskRefused, tell("the Mesos master refused the task")
	case mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR, mesos.TASK_LOST:
		if status.GetReason() == mesos.REASON_RECONCILIATION {
			return ReasonTaskLost, tell("neither the Mesos master nor the agent knows the pod's task any more")
		}
		return ReasonNodeLost, tell("the Mesos agent that ran the pod is gone")
	case mesos.TASK_KILLED:
		return "Killed", tell("the pod's task was killed before it started")
	}
	switch status.GetReason() {
	case mesos.REASON_CONTAINER_LIMITATION_MEMORY:
		return "OOMKilled", tell("the agent's memory limit for all pods was exceeded")
	case mesos.REASON_EXECUTOR_REGISTRATION_TIMEOUT, mesos.REASON_CONTAINER_LAUNCH_FAILED:
		return ReasonExecutorLost, tell("the pod executor did not start on the agent")
	}
	return ReasonExecutorLost, tell("the pod executor ended on the agent, and the pod's containers with it")
}

// OutOf is reason and message of a pod that is refused for want of resources, in a kubelet's words, so that controllers
// and people read it the same way.
func OutOf(needs Amounts, short Shortage, node string) (reason, message string) {
	held := short.Held
	resource, want, have := "cpu", needs.CPU, held.CPU
	switch {
	case needs.FitsIn(held) && len(short.Ports) > 0:
		return "NodePorts", fmt.Sprintf("Pod was rejected: Node %s didn't have free ports for the requested pod ports: %d is taken in Mesos", node, short.Ports)
	case needs.CPU > held.CPU:
	case needs.Memory > held.Memory:
		resource, want, have = "memory", mebibytes(needs.Memory), mebibytes(held.Memory)
	case needs.Disk > held.Disk:
		resource, want, have = "ephemeral-storage", mebibytes(needs.Disk), mebibytes(held.Disk)
	}
	return "OutOf" + resource, fmt.Sprintf("Pod was rejected: Node %s didn't have enough resource: %s, requested: %d, offered by Mesos: %d", node, resource, want, have)
}
