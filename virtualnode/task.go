package virtualnode

import (
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
)

// DefaultGrace is a pod's terminationGracePeriodSeconds where it has none.
const DefaultGrace = 30 * time.Second

// AttemptAnnotation keeps the attempt of a pod whose first task was dropped before it started, so that a restarted bridge
// asks the master about the right task. It is written before that attempt is launched; a pod without it is at attempt 0.
const AttemptAnnotation = "tombolo.io/attempt"

// TaskID is the Mesos task id of a pod's attempt (reference row VK-16); podapi reads it back.
func TaskID(podUID string, attempt int) string { return podUID + "." + strconv.Itoa(attempt) }

// PodOfTask takes a task id of TaskID apart; ok is false for an id that is not one.
func PodOfTask(taskID string) (podUID string, attempt int, ok bool) {
	i := strings.LastIndexByte(taskID, '.')
	if i <= 0 {
		return "", 0, false
	}
	attempt, err := strconv.Atoi(taskID[i+1:])
	return taskID[:i], attempt, err == nil && attempt >= 0
}

// Attempt is the attempt at which a pod is, from its annotation.
func Attempt(pod *corev1.Pod) int {
	attempt, err := strconv.Atoi(pod.Annotations[AttemptAnnotation])
	if err != nil || attempt < 0 {
		return 0
	}
	return attempt
}

// Grace is how long a pod may take to end.
func Grace(pod *corev1.Pod) time.Duration {
	seconds := pod.Spec.TerminationGracePeriodSeconds
	if pod.DeletionGracePeriodSeconds != nil {
		seconds = pod.DeletionGracePeriodSeconds
	}
	if seconds == nil {
		return DefaultGrace
	}
	return time.Duration(*seconds) * time.Second
}

// Executor is how the pod executor of every agent is started.
type Executor struct {
	// Command is the shell command that starts it, for example "/opt/tombolo/tombolo-pod-executor".
	Command string
	// URI, if set, is fetched into the sandbox before (executable).
	URI string
	// User runs it; empty: the agent's own.
	User string
	// Resources is what it takes for itself, once per agent.
	Resources Amounts
	// Role is the framework's role, to which its resources are allocated.
	Role string
	// Data is podapi.ExecutorData as JSON.
	Data []byte
	// ShutdownGrace is how long its pods have when it is shut down.
	ShutdownGrace time.Duration
}

// Info is the executor's ExecutorInfo. Executors with the same id must be identical on an agent (reference row TV-11), so
// the id is drawn from everything else: a bridge that starts executors differently starts others beside those that run.
func (e Executor) Info() *mesos.ExecutorInfo {
	command := &mesos.CommandInfo{Shell: pointer(true), Value: pointer(e.Command)}
	if e.URI != "" {
		command.URIs = []mesos.CommandInfo_URI{{Value: e.URI, Executable: pointer(true), Extract: pointer(false)}}
	}
	if e.User != "" {
		command.User = pointer(e.User)
	}
	hash := fnv.New64a()
	fmt.Fprintf(hash, "%q %q %q %v %q %q %d", e.Command, e.URI, e.User, e.Resources, e.Role, e.Data, e.ShutdownGrace)
	return &mesos.ExecutorInfo{
		Type:                mesos.ExecutorInfo_CUSTOM,
		ExecutorID:          mesos.ExecutorID{Value: fmt.Sprintf("tombolo-pods-%016x", hash.Sum64())},
		Name:                pointer("Kubernetes pods"),
		Source:              pointer("tombolo"),
		Command:             command,
		Resources:           e.Resources.Resources(e.Role),
		Data:                e.Data,
		ShutdownGracePeriod: &mesos.DurationInfo{Nanoseconds: e.ShutdownGrace.Nanoseconds()},
	}
}

// Launch says how one pod becomes a task.
type Launch struct {
	Pod      *corev1.Pod
	Attempt  int
	AgentID  string
	Taken    []mesos.Resource // carved from the offer
	Executor *mesos.ExecutorInfo
	Data     []byte // podapi.TaskData as JSON: whose pod it is, nothing secret
	// Limits says that the agent understands TaskInfo.limits.
	Limits bool
}

// Task is the TaskInfo of a pod (reference rows VK-03, VK-04, VK-09). It carries nothing of the pod's contents: these go to
// the executor directly.
func Task(l Launch) mesos.TaskInfo {
	task := mesos.TaskInfo{
		Name:       l.Pod.Namespace + "/" + l.Pod.Name,
		TaskID:     mesos.TaskID{Value: TaskID(string(l.Pod.UID), l.Attempt)},
		AgentID:    mesos.AgentID{Value: l.AgentID},
		Resources:  l.Taken,
		Executor:   l.Executor,
		Data:       l.Data,
		KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: Grace(l.Pod).Nanoseconds()}},
		Labels: &mesos.Labels{Labels: []mesos.Label{
			{Key: "kubernetes.io/namespace", Value: pointer(l.Pod.Namespace)},
			{Key: "kubernetes.io/pod", Value: pointer(l.Pod.Name)},
			{Key: "kubernetes.io/uid", Value: pointer(string(l.Pod.UID))},
		}},
	}
	if l.Limits {
		task.Limits = taskLimits(&l.Pod.Spec)
	}
	return task
}

// taskLimits never goes below what the task takes (reference row TV-09), and is infinite where a container has no limit, so
// that the agent's cgroup never holds a pod to less than it may burst to.
func taskLimits(spec *corev1.PodSpec) map[string]mesos.Value_Scalar {
	limits, least := Limits(spec), Requests(spec).Max(Least)
	scalar := func(limit, least int64) mesos.Value_Scalar {
		if limit == Unlimited {
			return mesos.Value_Scalar{Value: math.Inf(1)}
		}
		return mesos.Value_Scalar{Value: float64(max(limit, least)) / 1000}
	}
	return map[string]mesos.Value_Scalar{
		"cpus": scalar(limits.CPU, least.CPU),
		"mem":  scalar(limits.Memory, least.Memory),
	}
}

func pointer[T any](v T) *T { return &v }
