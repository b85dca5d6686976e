package pod

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Events of one pod: as many at once, and later one at a time, as Kubernetes's own client lets a kubelet send.
const (
	eventBurst = 25
	eventRate  = rate.Limit(1.0 / 300)
)

// teller sends what happens to one pod to the bridge, which records it as events of Kubernetes. Nothing depends on their
// arrival. It is safe for concurrent use.
type teller struct {
	taskID string
	limit  *rate.Limiter
	send   func(podapi.Event) // does not block
}

// newTeller is for the pod of one task.
func (x *Executor) newTeller(taskID string) *teller {
	return &teller{taskID: taskID, limit: rate.NewLimiter(eventRate, eventBurst), send: func(e podapi.Event) {
		x.driver.send(&executor.Call{
			Type:    executor.Call_MESSAGE,
			Message: &executor.Call_Message{Data: podapi.Encode(podapi.Message{Endpoint: x.endpoint, Events: []podapi.Event{e}})},
		})
	}}
}

// normal and warning tell of a container, in a kubelet's words; nil means the pod.
func (t *teller) normal(c *corev1.Container, pod *corev1.Pod, reason, format string, args ...any) {
	t.tell(podapi.Event{FieldPath: fieldPath(pod, c), Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (t *teller) warning(c *corev1.Container, pod *corev1.Pod, reason, format string, args ...any) {
	t.tell(podapi.Event{FieldPath: fieldPath(pod, c), Warning: true, Reason: reason, Message: fmt.Sprintf(format, args...)})
}

func (t *teller) tell(e podapi.Event) {
	if t.limit.Allow() {
		e.TaskID = t.taskID
		t.send(e)
	}
}

// fieldPath is where a container stands in its pod.
func fieldPath(pod *corev1.Pod, c *corev1.Container) string {
	if c == nil {
		return ""
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == c.Name {
			return "spec.initContainers{" + c.Name + "}"
		}
	}
	return "spec.containers{" + c.Name + "}"
}

// tellFailure tells that an action could not be carried out, under the reasons that a kubelet gives.
func (w *worker) tellFailure(a lifecycle.Action, failure *lifecycle.Failure) {
	pod := w.bundle.Load().Pod
	switch a.Kind {
	case lifecycle.CreateSandbox:
		text := failure.Message
		switch failure.Reason {
		case "FailedCreatePodSandBox":
			text = "Failed to create pod sandbox: " + text
		case "FailedMount":
			text = "MountVolume.SetUp failed for " + text
		}
		w.tell.warning(nil, pod, failure.Reason, "%s", text)
	case lifecycle.StartContainer:
		container := findContainer(pod, a.Container)
		switch failure.Reason {
		case "ErrImagePull":
			w.tell.warning(container, pod, "Failed", "Failed to pull image %q: %s", container.Image, failure.Message)
			w.tell.warning(container, pod, "Failed", "Error: ErrImagePull")
		case "ErrImageNeverPull", "InvalidImageName":
			w.tell.warning(container, pod, failure.Reason, "%s", failure.Message)
			w.tell.warning(container, pod, "Failed", "Error: %s", failure.Reason)
		default:
			w.tell.warning(container, pod, "Failed", "Error: %s", failure.Message)
		}
	case lifecycle.RemoveSandbox:
		w.tell.warning(nil, pod, "FailedKillPod", "error killing pod: %s", failure.Message)
	case lifecycle.KillContainer, lifecycle.RemoveInstance:
	}
}

// tellWaits tells of containers that have begun to wait before they are tried again.
func (w *worker) tellWaits(before, now *corev1.PodStatus) {
	pod := w.bundle.Load().Pod
	for _, list := range [][]corev1.ContainerStatus{now.InitContainerStatuses, now.ContainerStatuses} {
		for i := range list {
			waiting := list[i].State.Waiting
			if waiting == nil {
				continue
			}
			if old := containerStatus(before, list[i].Name); old != nil && old.State.Waiting != nil && old.State.Waiting.Reason == waiting.Reason {
				continue
			}
			container := findContainer(pod, list[i].Name)
			switch waiting.Reason {
			case "CrashLoopBackOff":
				w.tell.warning(container, pod, "BackOff", "Back-off restarting failed container %s in pod %s_%s(%s)", container.Name, pod.Name, pod.Namespace, pod.UID)
			case "ImagePullBackOff":
				w.tell.normal(container, pod, "BackOff", "Back-off pulling image %q", container.Image)
				w.tell.warning(container, pod, "Failed", "Error: ImagePullBackOff")
			}
		}
	}
}

// tellKilling tells why a container is stopped.
func (w *worker) tellKilling(a lifecycle.Action) {
	pod := w.bundle.Load().Pod
	text := "Stopping container " + a.Container
	if a.Probe != nil {
		text = fmt.Sprintf("Container %s failed %s probe, will be restarted", a.Container, a.Probe.Lower())
	}
	w.tell.normal(findContainer(pod, a.Container), pod, "Killing", "%s", text)
}

// imageNews tells how a container's image comes.
func (w *worker) imageNews(container *corev1.Container) imageNews {
	pod := w.bundle.Load().Pod
	return imageNews{
		pulling: func() { w.tell.normal(container, pod, "Pulling", "Pulling image %q", container.Image) },
		pulled:  func(text string) { w.tell.normal(container, pod, "Pulled", "%s", text) },
	}
}

// imageNews are called while an image is looked for.
type imageNews struct {
	pulling func()
	pulled  func(text string)
}
