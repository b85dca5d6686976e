package virtualnode

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// Happening is something that a kubelet would record as an event of a pod.
type Happening struct {
	Warning         bool
	Reason, Message string
}

// Happenings are the events between two statuses of a pod: containers started, waiting for a reason, ended badly.
func Happenings(before, after *corev1.PodStatus) []Happening {
	var out []Happening
	for _, pair := range [][2][]corev1.ContainerStatus{
		{before.InitContainerStatuses, after.InitContainerStatuses}, {before.ContainerStatuses, after.ContainerStatuses},
	} {
		was := map[string]*corev1.ContainerStatus{}
		for i := range pair[0] {
			was[pair[0][i].Name] = &pair[0][i]
		}
		for i := range pair[1] {
			c := &pair[1][i]
			old := was[c.Name]
			if old == nil {
				old = &corev1.ContainerStatus{}
			}
			out = append(out, happened(old, c)...)
		}
	}
	return out
}

// usual reasons to wait are no news.
var usual = map[string]bool{"": true, "ContainerCreating": true, "PodInitializing": true}

func happened(old, c *corev1.ContainerStatus) []Happening {
	var out []Happening
	if c.State.Running != nil && (old.State.Running == nil || old.ContainerID != c.ContainerID) {
		out = append(out, Happening{Reason: "Started", Message: fmt.Sprintf("Started container %s (image %s)", c.Name, c.Image)})
	}
	if w := c.State.Waiting; w != nil && !usual[w.Reason] && (old.State.Waiting == nil || old.State.Waiting.Reason != w.Reason) {
		out = append(out, Happening{Warning: true, Reason: w.Reason, Message: fmt.Sprintf("container %s: %s", c.Name, w.Message)})
	}
	if t := ending(c); t != nil && (ending(old) == nil || ending(old).ContainerID != t.ContainerID) && t.ExitCode != 0 {
		out = append(out, Happening{Warning: true, Reason: "Ended", Message: fmt.Sprintf("container %s ended with exit code %d (%s)", c.Name, t.ExitCode, t.Reason)})
	}
	return out
}

// ending is the newest end of a container, whether it has been started again or not.
func ending(c *corev1.ContainerStatus) *corev1.ContainerStateTerminated {
	if c.State.Terminated != nil {
		return c.State.Terminated
	}
	return c.LastTerminationState.Terminated
}
