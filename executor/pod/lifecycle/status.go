package lifecycle

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
)

// errorShown is how long a failed start shows its own reason (ErrImagePull) before it shows the back-off
// (ImagePullBackOff).
const errorShown = 2 * time.Second

// Host is what the status says about the machine.
type Host struct {
	IP string
	// RuntimeName is the scheme of container ids, e.g. "containerd".
	RuntimeName string
}

// Status is the pod's status at now, as a kubelet would show it. It remembers when conditions changed.
func (m *Machine) Status(now time.Time, host Host) corev1.PodStatus {
	start := v1.NewTime(m.since)
	status := corev1.PodStatus{
		Phase:     m.phase(),
		StartTime: &start,
		QOSClass:  QOS(m.pod),
		HostIP:    host.IP,
	}
	if host.IP != "" {
		status.HostIPs = []corev1.HostIP{{IP: host.IP}}
	}
	if m.ending != nil {
		status.Reason, status.Message = m.ending.Reason, m.ending.Message
	}
	m.addresses(&status, host)
	for _, c := range m.containers {
		containerStatus := m.containerStatus(c, now, host)
		if c.init {
			status.InitContainerStatuses = append(status.InitContainerStatuses, containerStatus)
		} else {
			status.ContainerStatuses = append(status.ContainerStatuses, containerStatus)
		}
	}
	status.EphemeralContainerStatuses = refusedContainers(m.pod)
	status.Conditions = m.podConditions(now, &status)
	return status
}

// NoEphemeral says that ephemeral containers, which can be added to a running pod only, do not run here.
const NoEphemeral = "this node does not support ephemeral containers (kubectl debug); kubectl exec, or kubectl debug with --copy-to, do work"

// refusedContainers are the pod's ephemeral containers: ended before they began, so that nobody waits for them.
func refusedContainers(pod *corev1.Pod) (statuses []corev1.ContainerStatus) {
	for i := range pod.Spec.EphemeralContainers {
		c := &pod.Spec.EphemeralContainers[i]
		statuses = append(statuses, corev1.ContainerStatus{Name: c.Name, Image: c.Image, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: 128, Reason: "Unsupported", Message: NoEphemeral},
		}})
	}
	return statuses
}

// addresses stay in the status when the pod has ended, as in a kubelet.
func (m *Machine) addresses(status *corev1.PodStatus, host Host) {
	ips := m.ips
	if m.pod.Spec.HostNetwork && host.IP != "" && m.everReady {
		ips = []string{host.IP}
	}
	for _, ip := range ips {
		status.PodIPs = append(status.PodIPs, corev1.PodIP{IP: ip})
	}
	if len(ips) > 0 {
		status.PodIP = ips[0]
	}
}

// phase follows the kubelet's rules: a pod is terminal only when it ends.
func (m *Machine) phase() corev1.PodPhase {
	if m.ending != nil {
		switch m.ending.Cause {
		case DeadlineExceeded, Refused:
			return corev1.PodFailed
		case Completed, Killed:
		}
	}
	if m.failedInit() != nil {
		return corev1.PodFailed
	}
	running, waiting, exited, succeeded := 0, 0, 0, 0
	for _, c := range m.containers {
		switch {
		case c.init:
		case c.current == nil:
			waiting++
		case c.current.State == Exited:
			exited++
			if c.current.ExitCode == 0 {
				succeeded++
			}
		default:
			running++
		}
	}
	switch {
	case m.ending != nil && running == 0:
		// Ended by itself or on order: what did not run to a good end has failed.
		if waiting == 0 && exited == succeeded {
			return corev1.PodSucceeded
		}
		return corev1.PodFailed
	case !m.mainBegan() && exited == 0 && running == 0, waiting > 0:
		return corev1.PodPending
	default:
		return corev1.PodRunning
	}
}

func (m *Machine) containerStatus(c *container, now time.Time, host Host) corev1.ContainerStatus {
	running := c.current != nil && c.current.State == Running
	started := running && c.probes.started
	if c.init && !c.sidecar {
		started = running
	}
	status := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image,
		Started: &started,
		Ready:   running && c.probes.started && c.probes.ready && m.ending == nil,
	}
	if c.init && !c.sidecar {
		status.Ready = c.current != nil && c.current.State == Exited && c.current.ExitCode == 0
	}
	if c.current != nil { // what it was started with; see Update
		status.Resources, status.AllocatedResources = c.spec.Resources.DeepCopy(), c.spec.Resources.Requests.DeepCopy()
	}
	if c.last != nil {
		status.LastTerminationState = terminated(c.last, host)
	}
	if c.current == nil {
		status.State.Waiting = m.waiting(c, now)
		return status
	}
	status.RestartCount = int32(c.current.Attempt) //nolint:gosec // restarts are minutes apart
	status.ImageID = c.current.ImageID
	status.ContainerID = containerID(c.current, host)
	switch c.current.State {
	case Running:
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: v1.NewTime(c.current.StartedAt)}
	case Created, Unknown:
		status.State.Waiting = m.waiting(c, now)
	case Exited:
		again := m.ending == nil && m.restarts(c)
		// An init container of a sandbox that is gone runs again in the next one.
		again = again || m.ending == nil && c.init && !m.mainBegan() && (m.sandbox == nil || c.current.SandboxID != m.sandbox.ID)
		if waiting := m.waiting(c, now); again && (c.starting || c.failure != nil || now.Before(c.readyAt)) {
			status.LastTerminationState = terminated(c.current, host)
			status.State.Waiting = waiting
		} else {
			status.State = terminated(c.current, host)
		}
	}
	return status
}

// waiting says why a container does not run yet, or not at the moment.
func (m *Machine) waiting(c *container, now time.Time) *corev1.ContainerStateWaiting {
	switch {
	case c.failure != nil:
		reason, message := c.failure.Reason, c.failure.Message
		if reason == "ErrImagePull" && (c.starting || !now.Before(c.failedAt.Add(errorShown))) {
			reason = "ImagePullBackOff"
			message = fmt.Sprintf("Back-off pulling image %q: %s", c.spec.Image, c.failure.Message)
		}
		return &corev1.ContainerStateWaiting{Reason: reason, Message: message}
	case c.current != nil && c.current.State == Exited && now.Before(c.readyAt):
		return &corev1.ContainerStateWaiting{
			Reason:  "CrashLoopBackOff",
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)", c.delay, c.spec.Name, m.pod.Name, m.pod.Namespace, m.pod.UID),
		}
	case m.sandboxFailure != nil:
		return &corev1.ContainerStateWaiting{Reason: "ContainerCreating", Message: m.sandboxFailure.Reason + ": " + m.sandboxFailure.Message}
	case !c.init && len(m.pod.Spec.InitContainers) > 0 && !m.initialized(),
		c.init && !c.starting && c != m.containers[0]:
		return &corev1.ContainerStateWaiting{Reason: "PodInitializing"}
	default:
		return &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
}

func terminated(i *Instance, host Host) corev1.ContainerState {
	reason := i.Reason
	if reason == "" {
		reason = "Completed"
		if i.ExitCode != 0 {
			reason = "Error"
		}
	}
	return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: i.ExitCode, Reason: reason, Message: i.Message,
		StartedAt: v1.NewTime(i.StartedAt), FinishedAt: v1.NewTime(i.FinishedAt),
		ContainerID: containerID(i, host),
	}}
}

func containerID(i *Instance, host Host) string {
	if i.ID == "" {
		return ""
	}
	return host.RuntimeName + "://" + i.ID
}

// initialized says that all init containers have completed or, as sidecars, have started.
func (m *Machine) initialized() bool { return len(m.incomplete()) == 0 }

// incomplete are the names of init containers that hold the pod up.
func (m *Machine) incomplete() (names []string) {
	began := m.mainBegan()
	for _, c := range m.containers {
		if !c.init {
			continue
		}
		ok := began || m.passed(c)
		if !ok && c.current != nil && c.current.State == Exited && c.current.ExitCode == 0 && m.ending != nil {
			ok = true // completed, and its sandbox has been removed since
		}
		if !ok {
			names = append(names, c.spec.Name)
		}
	}
	return names
}

func (m *Machine) podConditions(now time.Time, status *corev1.PodStatus) []corev1.PodCondition {
	sandboxReady := m.sandbox != nil && m.sandbox.Ready
	conditions := []corev1.PodCondition{
		{Type: corev1.PodReadyToStartContainers, Status: truth(sandboxReady)},
		m.initializedCondition(status.Phase),
	}
	ready := m.readyCondition(status)
	conditions = append(conditions, ready(corev1.PodReady), ready(corev1.ContainersReady),
		corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionTrue})
	if m.resize { // in a kubelet's words
		conditions = append(conditions, corev1.PodCondition{
			Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible, Message: "In-place resize is not supported on this node",
		})
	}
	for i := range conditions {
		c := &conditions[i]
		c.ObservedGeneration = m.pod.Generation
		before, known := m.conditions[c.Type]
		if known && before.Status == c.Status {
			c.LastTransitionTime = before.LastTransitionTime
		} else {
			c.LastTransitionTime = v1.NewTime(now)
		}
		m.conditions[c.Type] = *c
	}
	return conditions
}

func (m *Machine) initializedCondition(phase corev1.PodPhase) corev1.PodCondition {
	condition := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	names := m.incomplete()
	switch {
	case phase == corev1.PodSucceeded:
		condition.Reason = "PodCompleted"
	case len(names) > 0:
		condition.Status, condition.Reason = corev1.ConditionFalse, "ContainersNotInitialized"
		condition.Message = fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(names, " "))
	}
	return condition
}

// readyCondition is the condition Ready and ContainersReady, which agree as there are no readiness gates.
func (m *Machine) readyCondition(status *corev1.PodStatus) func(corev1.PodConditionType) corev1.PodCondition {
	var unready []string
	for _, c := range m.containers {
		if c.init && !c.sidecar {
			continue
		}
		running := c.current != nil && c.current.State == Running
		if !running || !c.probes.started || !c.probes.ready || m.ending != nil {
			unready = append(unready, c.spec.Name)
		}
	}
	condition := corev1.PodCondition{Status: corev1.ConditionTrue}
	switch {
	case status.Phase == corev1.PodSucceeded:
		condition.Status, condition.Reason = corev1.ConditionFalse, "PodCompleted"
	case status.Phase == corev1.PodFailed:
		condition.Status, condition.Reason = corev1.ConditionFalse, "PodFailed"
	case len(unready) > 0:
		condition.Status, condition.Reason = corev1.ConditionFalse, "ContainersNotReady"
		condition.Message = fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	}
	return func(t corev1.PodConditionType) corev1.PodCondition {
		c := condition
		c.Type = t
		return c
	}
}

func truth(b bool) corev1.ConditionStatus {
	if b {
		return corev1.ConditionTrue
	}
	return corev1.ConditionFalse
}

// QOS is the pod's quality of service class: Guaranteed if every container's requests equal its limits for cpu and memory,
// BestEffort if none has any, else Burstable.
func QOS(pod *corev1.Pod) corev1.PodQOSClass {
	guaranteed, any := true, false
	check := func(c *corev1.Container) {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := c.Resources.Requests[name], c.Resources.Limits[name]
			if !request.IsZero() || !limit.IsZero() {
				any = true
			}
			// A missing request is the limit's (the API server has filled it in).
			if limit.IsZero() || (!request.IsZero() && request.Cmp(limit) != 0) {
				guaranteed = false
			}
		}
	}
	for i := range pod.Spec.InitContainers {
		check(&pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		check(&pod.Spec.Containers[i])
	}
	switch {
	case !any:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}
