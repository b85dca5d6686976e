package pod

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/uuid"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/executor/pod/volumes"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
	"github.com/tombolo-project/tombolo/virtualnode/podapi/podspec"
)

// task is one pod as Mesos knows it. At most one update is on its way to the agent (sent); what happens meanwhile is
// joined into one that waits (next), so that a pod that changes quickly cannot fill any queue.
type task struct {
	info  mesos.TaskInfo
	data  podapi.TaskData
	state mesos.TaskState
	known bool // the agent has acknowledged an update: it knows that we have the task
	sent  *executor.Call_Update
	next  *executor.Call_Update

	worker  *worker // nil as long as the task waits for its bundle, and if it never got one
	waiting *time.Timer
	status  corev1.PodStatus
	pod     *corev1.Pod
	logs    string // directory
}

func (t *task) id() string { return t.info.TaskID.Value }

func (t *task) terminal() bool {
	switch t.state {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED:
		return true
	default:
		return false
	}
}

// launch accepts a task and waits for the bridge to hand over the pod.
func (x *Executor) launch(info mesos.TaskInfo) {
	id := info.TaskID.Value
	if x.tasks[id] != nil {
		x.log.Warn("task is launched already", "task_id", id)
		return
	}
	data, err := podapi.Decode[podapi.TaskData](info.Data)
	switch {
	case err != nil:
		x.refuse(info, "TaskInfo.data must be JSON with the pod's namespace, name and uid")
		return
	case x.stopping:
		x.refuse(info, "the executor is being shut down")
		return
	case x.active() >= maxPods:
		x.refuse(info, fmt.Sprintf("the executor has %d pods already, its limit", maxPods))
		return
	}
	_, _, logs := x.config.podDirs(id)
	t := &task{info: info, data: data, logs: logs, status: corev1.PodStatus{Phase: corev1.PodPending}}
	x.tasks[id] = t
	t.waiting = time.AfterFunc(x.config.BundleTimeout, func() {
		x.do(func() {
			if t.worker == nil && !t.terminal() {
				x.fail(t, fmt.Sprintf("the bridge has not handed over the pod within %s", x.config.BundleTimeout))
			}
		})
	})
	x.log.Info("pod launched", "task_id", id, "pod", data.Namespace+"/"+data.Name)
	x.update(t, mesos.TASK_STARTING, "")
}

func (x *Executor) active() (n int) {
	for _, t := range x.tasks {
		if !t.terminal() {
			n++
		}
	}
	return n
}

// refuse answers a launch that cannot be.
func (x *Executor) refuse(info mesos.TaskInfo, reason string) {
	t := &task{info: info, status: corev1.PodStatus{Phase: corev1.PodFailed}}
	x.tasks[t.id()] = t
	x.fail(t, reason)
}

// fail ends a task that has no worker.
func (x *Executor) fail(t *task, reason string) {
	t.status.Phase, t.status.Message = corev1.PodFailed, reason
	x.finish(t, mesos.TASK_FAILED, reason)
}

// runPod starts the worker of a launched task. The errors are those of podapi.Service.
func (x *Executor) runPod(id string, bundle *podapi.Bundle) error {
	t := x.tasks[id]
	switch {
	case t == nil:
		return status.Errorf(codes.NotFound, "task %s has not been launched here (yet)", id)
	case t.terminal():
		return status.Errorf(codes.FailedPrecondition, "task %s has ended: %s", id, t.state)
	case t.worker != nil:
		return nil // it runs already
	case bundle.Pod == nil || string(bundle.Pod.UID) != t.data.UID:
		return status.Errorf(codes.InvalidArgument, "task %s is pod %s, the bundle is another's", id, t.data.UID)
	}
	if reasons := podspec.Unsupported(&bundle.Pod.Spec); len(reasons) > 0 {
		message := podspec.Message(reasons)
		t.status.Reason = podspec.Reason
		x.fail(t, message)
		return status.Error(codes.InvalidArgument, message)
	}
	t.waiting.Stop()
	t.pod = bundle.Pod
	t.worker = x.newWorker(t, bundle)
	x.start(t.worker)
	return nil
}

func (x *Executor) newWorker(t *task, bundle *podapi.Bundle) *worker {
	private, data, logs := x.config.podDirs(t.id())
	cgroup := filepath.Join(x.config.Cgroup, "pods", "pod"+t.data.UID)
	w := &worker{
		runtime: x.runtime, host: x.host,
		facts: criconfig.Facts{
			TaskID: t.id(), Owner: x.config.owner(), CgroupParent: cgroup, LogDir: logs, Dir: private,
			Unified:    unifiedSettings(filepath.Join(unifiedRoot, x.config.Cgroup)),
			ResolvConf: x.resolv,
			Addresses:  criconfig.Addresses{HostIP: x.host.IP},
		},
		volumes:  volumes.New(private, data),
		tell:     x.newTeller(t.id()),
		cgroup:   podCgroup{path: cgroup},
		log:      x.log.With("task_id", t.id(), "pod", t.data.Namespace+"/"+t.data.Name),
		events:   make(chan any, 64),
		machine:  lifecycle.New(bundle.Pod, time.Now()),
		inflight: map[string]func(){},
		probers:  map[proberKey]func(){},
	}
	w.bundle.Store(bundle)
	w.report = func(r report) {
		x.do(func() { x.reported(t, r) })
	}
	return w
}

// reported turns what a worker says into updates.
func (x *Executor) reported(t *task, r report) {
	if t.terminal() {
		return
	}
	t.status = r.status
	switch {
	case r.finished && r.ending.Cause == lifecycle.Killed:
		x.finish(t, mesos.TASK_KILLED, r.ending.Message)
	case r.finished && r.status.Phase == corev1.PodSucceeded:
		x.finish(t, mesos.TASK_FINISHED, "")
	case r.finished:
		x.finish(t, mesos.TASK_FAILED, failureMessage(r.status))
	case t.state == mesos.TASK_KILLING || r.ending != nil && r.ending.Cause == lifecycle.Killed:
		x.update(t, mesos.TASK_KILLING, "")
	case r.running:
		x.update(t, mesos.TASK_RUNNING, "")
	default:
		x.update(t, mesos.TASK_STARTING, "")
	}
}

// failureMessage says in one line why a pod has failed.
func failureMessage(s corev1.PodStatus) string {
	if s.Message != "" {
		return s.Message
	}
	for _, list := range [][]corev1.ContainerStatus{s.InitContainerStatuses, s.ContainerStatuses} {
		for _, c := range list {
			if end := c.State.Terminated; end != nil && end.ExitCode != 0 {
				return fmt.Sprintf("container %s ended with exit code %d (%s)", c.Name, end.ExitCode, end.Reason)
			}
		}
	}
	return "the pod has failed"
}

// kill orders a pod to stop (reference rows KIL-06 and KIL-07).
func (x *Executor) kill(e *executor.Event_Kill) {
	t := x.tasks[e.TaskID.Value]
	if t == nil {
		x.log.Warn("told to kill an unknown task", "task_id", e.TaskID.Value)
		return
	}
	var grace time.Duration
	switch policy := e.GetKillPolicy(); {
	case policy.GetGracePeriod() != nil:
		grace = time.Duration(policy.GetGracePeriod().Nanoseconds)
	case t.info.GetKillPolicy().GetGracePeriod() != nil:
		grace = time.Duration(t.info.GetKillPolicy().GetGracePeriod().Nanoseconds)
	case t.pod != nil:
		grace = lifecycle.Grace(t.pod)
	}
	x.end(t, grace, "")
}

func (x *Executor) end(t *task, grace time.Duration, why string) {
	switch {
	case t.terminal():
	case t.worker == nil:
		t.status.Phase = corev1.PodFailed
		x.finish(t, mesos.TASK_KILLED, "killed before the pod was handed over")
	default:
		ending := lifecycle.Ending{Grace: grace, Cause: lifecycle.Killed, Message: why}
		worker := t.worker
		// The worker may be waiting for this goroutine to take its report: never wait for it here.
		select {
		case worker.events <- evEnd{ending: ending}:
		default:
			go func() { worker.events <- evEnd{ending: ending} }()
		}
		x.update(t, mesos.TASK_KILLING, why)
	}
}

// finish sends the terminal update and drops what is kept of the oldest terminal pods.
func (x *Executor) finish(t *task, state mesos.TaskState, message string) {
	if t.waiting != nil {
		t.waiting.Stop()
	}
	x.update(t, state, message)
	x.log.Info("pod ended", "task_id", t.id(), "state", state.String(), "message", message)
	x.finished = append(x.finished, t.id())
	if len(x.finished) > maxKept {
		x.forget(x.finished[0])
	}
}

// forget drops a terminal pod with its logs. One whose last update is still on its way stays.
func (x *Executor) forget(id string) {
	t := x.tasks[id]
	if t == nil || !t.terminal() || t.sent != nil || t.next != nil {
		return
	}
	delete(x.tasks, id)
	x.finished = slices.DeleteFunc(x.finished, func(other string) bool { return other == id })
	if t.logs != "" {
		if err := os.RemoveAll(filepath.Dir(t.logs)); err != nil {
			x.log.Warn("remove a forgotten pod's logs", "task_id", id, "error", err)
		}
	}
}

// update notes the task's state and status, and sends it unless an update is on its way.
func (x *Executor) update(t *task, state mesos.TaskState, message string) {
	t.state = state
	id := uuid.New()
	now := float64(time.Now().UnixNano()) / 1e9
	source := mesos.SOURCE_EXECUTOR
	healthy := isReady(&t.status)
	update := &executor.Call_Update{Status: mesos.TaskStatus{
		TaskID: t.info.TaskID, State: &state, Source: &source, UUID: id[:], Timestamp: &now,
		AgentID: x.agentID(), ExecutorID: &mesos.ExecutorID{Value: x.config.ExecutorID},
		Data: podapi.Encode(podapi.StatusData{Status: t.status, Endpoint: x.endpoint}),
	}}
	if message != "" {
		update.Status.Message = &message
	}
	if state == mesos.TASK_RUNNING {
		update.Status.Healthy = &healthy
	}
	if ip := t.status.PodIP; ip != "" {
		update.Status.ContainerStatus = &mesos.ContainerStatus{
			NetworkInfos: []mesos.NetworkInfo{{IPAddresses: []mesos.NetworkInfo_IPAddress{{IPAddress: &ip}}}},
		}
	}
	if t.sent != nil {
		t.next = update
		return
	}
	x.post(t, update)
}

func (x *Executor) post(t *task, update *executor.Call_Update) {
	t.sent, t.next = update, nil
	x.driver.send(&executor.Call{Type: executor.Call_UPDATE, Update: update})
}

// acknowledged notes that the agent has an update, and sends what has happened since.
func (x *Executor) acknowledged(e *executor.Event_Acknowledged) {
	t := x.tasks[e.TaskID.Value]
	if t == nil || t.sent == nil || !slices.Equal(t.sent.Status.UUID, e.UUID) {
		return
	}
	t.known, t.sent = true, nil
	if t.next != nil {
		x.post(t, t.next)
	}
}

func isReady(s *corev1.PodStatus) bool {
	for _, c := range s.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}
