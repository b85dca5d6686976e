package pod

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/crilog"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// service is the executor's side of the pod API: it asks the executor's goroutine for what it owns, and does the rest in the
// goroutine of the call.
type service struct {
	x *Executor
}

var _ podapi.Service = (*service)(nil)

// do runs f in the executor's goroutine.
func (s *service) do(f func() error) error {
	var err error
	if !s.x.do(func() { err = f() }) {
		return status.Error(codes.Unavailable, "the pod executor is shutting down")
	}
	return err
}

// RunPod implements podapi.Service.
func (s *service) RunPod(_ context.Context, request *podapi.RunPodRequest) (*podapi.RunPodResponse, error) {
	return &podapi.RunPodResponse{}, s.do(func() error { return s.x.runPod(request.TaskID, &request.Bundle) })
}

// UpdatePod implements podapi.Service.
func (s *service) UpdatePod(_ context.Context, request *podapi.UpdatePodRequest) (*podapi.UpdatePodResponse, error) {
	var w *worker
	err := s.do(func() error {
		t, err := s.x.find(request.TaskID)
		if err != nil {
			return err
		}
		if t.worker == nil {
			return status.Errorf(codes.FailedPrecondition, "task %s has not got its pod yet", request.TaskID)
		}
		if pod := request.Bundle.Pod; pod == nil || string(pod.UID) != t.data.UID {
			return status.Errorf(codes.InvalidArgument, "task %s is pod %s, the bundle is another's", request.TaskID, t.data.UID)
		}
		if !t.terminal() {
			w = t.worker
		}
		return nil
	})
	if err != nil || w == nil {
		return &podapi.UpdatePodResponse{}, err
	}
	select {
	case w.events <- evUpdate{bundle: &request.Bundle}:
		return &podapi.UpdatePodResponse{}, nil
	case <-s.x.done:
		return nil, status.Error(codes.Unavailable, "the pod executor is shutting down")
	default:
		return nil, status.Errorf(codes.ResourceExhausted, "task %s has too much to do at the moment", request.TaskID)
	}
}

// ForgetPod implements podapi.Service.
func (s *service) ForgetPod(_ context.Context, request *podapi.ForgetPodRequest) (*podapi.ForgetPodResponse, error) {
	return &podapi.ForgetPodResponse{}, s.do(func() error {
		if t := s.x.tasks[request.TaskID]; t != nil && !t.terminal() {
			return status.Errorf(codes.FailedPrecondition, "task %s has not ended", request.TaskID)
		}
		s.x.forget(request.TaskID)
		return nil
	})
}

// Pods implements podapi.Service.
func (s *service) Pods(context.Context, *podapi.PodsRequest) (*podapi.PodsResponse, error) {
	response := &podapi.PodsResponse{}
	return response, s.do(func() error {
		for _, t := range s.x.tasks {
			response.Pods = append(response.Pods, podapi.PodState{
				TaskID: t.id(), Pod: t.data, Waiting: t.worker == nil && !t.terminal(), Status: *t.status.DeepCopy(),
			})
		}
		return nil
	})
}

// Logs implements podapi.Service.
func (s *service) Logs(request *podapi.LogsRequest, out podapi.LogSender) error {
	attempt, logs, err := s.logOf(request)
	if err != nil {
		return err
	}
	options := crilog.Options{
		Follow: request.Follow && !request.Previous, Timestamps: request.Timestamps, Since: request.Since, Tail: -1,
	}
	if request.TailLines != nil {
		options.Tail = max(*request.TailLines, 0)
	}
	if request.LimitBytes != nil {
		if *request.LimitBytes < 1 {
			return status.Error(codes.InvalidArgument, "limitBytes must be positive")
		}
		options.Limit = *request.LimitBytes
	}
	ended := func() bool {
		over := true
		_ = s.do(func() error {
			t := s.x.tasks[request.TaskID]
			over = t == nil || t.terminal() || instanceOver(&t.status, request.Container, attempt)
			return nil
		})
		return over
	}
	path := filepath.Join(logs, criconfig.LogPath(request.Container, attempt))
	err = crilog.Copy(out.Context(), path, options, chunkWriter(func(data []byte) error {
		return out.Send(&podapi.Chunk{Data: data})
	}), ended)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return status.Errorf(codes.FailedPrecondition, "container %s has no log (any more)", request.Container)
	case errors.Is(err, context.Canceled):
		return nil // the reader has gone
	}
	return err
}

// logOf finds the instance whose log is asked for.
func (s *service) logOf(request *podapi.LogsRequest) (attempt uint32, logs string, err error) {
	err = s.do(func() error {
		t, err := s.x.find(request.TaskID)
		if err != nil {
			return err
		}
		c := containerStatus(&t.status, request.Container)
		for i := range t.status.EphemeralContainerStatuses {
			if t.status.EphemeralContainerStatuses[i].Name == request.Container {
				return status.Error(codes.FailedPrecondition, lifecycle.NoEphemeral)
			}
		}
		if c == nil {
			return status.Errorf(codes.NotFound, "task %s has no container %q", request.TaskID, request.Container)
		}
		if c.ContainerID == "" && c.LastTerminationState.Terminated == nil {
			return waitingToStart(c)
		}
		logs, attempt = t.logs, uint32(c.RestartCount) //nolint:gosec // never negative
		if request.Previous {
			if attempt == 0 {
				return status.Errorf(codes.FailedPrecondition, "previous terminated container %q in pod %q not found", request.Container, t.data.Name)
			}
			attempt--
		}
		return nil
	})
	return attempt, logs, err
}

func waitingToStart(c *corev1.ContainerStatus) error {
	reason := "ContainerCreating"
	if c.State.Waiting != nil {
		reason = c.State.Waiting.Reason
	}
	return status.Errorf(codes.FailedPrecondition, "container %q is waiting to start: %s", c.Name, reason)
}

func containerStatus(s *corev1.PodStatus, name string) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{s.ContainerStatuses, s.InitContainerStatuses} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

// instanceOver says that a container's instance writes no more.
func instanceOver(s *corev1.PodStatus, name string, attempt uint32) bool {
	c := containerStatus(s, name)
	return c == nil || uint32(c.RestartCount) != attempt || c.State.Running == nil //nolint:gosec // never negative
}

// Stats implements podapi.Service.
func (s *service) Stats(ctx context.Context, _ *podapi.StatsRequest) (*podapi.StatsResponse, error) {
	started := map[string]*corev1.PodStatus{}
	pods := map[string]podapi.TaskData{}
	err := s.do(func() error {
		for _, t := range s.x.tasks {
			if t.worker != nil && !t.terminal() {
				started[t.id()], pods[t.id()] = t.status.DeepCopy(), t.data
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	summary, err := s.x.stats.collect(ctx, s.x.runtime, s.x.config.Cgroup, pods, started)
	if err != nil {
		return nil, status.Error(codes.Unavailable, err.Error())
	}
	return &podapi.StatsResponse{Summary: summary}, nil
}

// find is the task with this id, or NotFound.
func (x *Executor) find(id string) (*task, error) {
	if t := x.tasks[id]; t != nil {
		return t, nil
	}
	return nil, status.Errorf(codes.NotFound, "task %s is not known here", id)
}

// runningInstance is the CRI id of a container that runs now.
func (s *service) runningInstance(id, container string) (instance string, err error) {
	err = s.do(func() error {
		t, err := s.x.find(id)
		if err != nil {
			return err
		}
		c := containerStatus(&t.status, container)
		switch {
		case c == nil:
			return status.Errorf(codes.NotFound, "task %s has no container %q", id, container)
		case c.State.Running == nil:
			return status.Errorf(codes.FailedPrecondition, "container %q is not running", container)
		}
		instance = c.ContainerID[len(s.x.host.RuntimeName+"://"):]
		return nil
	})
	return instance, err
}

// chunkWriter sends what is written in pieces of at most MaxChunk.
type chunkWriter func([]byte) error

// Write implements io.Writer.
func (w chunkWriter) Write(data []byte) (int, error) {
	sent := 0
	for len(data) > 0 {
		piece := data[:min(len(data), podapi.MaxChunk)]
		if err := w(piece); err != nil {
			return sent, err
		}
		sent += len(piece)
		data = data[len(piece):]
	}
	return sent, nil
}

var _ io.Writer = chunkWriter(nil)

// sandboxOf is the CRI id of a task's sandbox.
func (s *service) sandboxOf(ctx context.Context, id string) (string, error) {
	if err := s.do(func() error { _, err := s.x.find(id); return err }); err != nil {
		return "", err
	}
	seen, err := s.x.runtime.observe(ctx, id)
	if err != nil {
		return "", status.Error(codes.Unavailable, err.Error())
	}
	if seen.Sandbox == nil || !seen.Sandbox.Ready {
		return "", status.Errorf(codes.FailedPrecondition, "task %s has no running sandbox", id)
	}
	return seen.Sandbox.ID, nil
}
