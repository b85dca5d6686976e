package pod

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/crilog"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
)

// perform carries out one action against the container runtime. It runs beside the worker's owner goroutine and touches
// only what is safe for that: the bundle, the volumes under their lock, and its own copy of the facts.
func (w *worker) perform(ctx context.Context, a lifecycle.Action, facts criconfig.Facts) *lifecycle.Failure {
	switch a.Kind {
	case lifecycle.CreateSandbox:
		return w.createSandbox(ctx, a, facts)
	case lifecycle.RemoveSandbox:
		if err := w.runtime.removeSandbox(ctx, a.Sandbox); err != nil {
			return &lifecycle.Failure{Reason: "KillPodSandboxError", Message: message(err)}
		}
	case lifecycle.StartContainer:
		return w.startContainer(ctx, a, facts)
	case lifecycle.KillContainer:
		return w.killContainer(ctx, a, facts)
	case lifecycle.RemoveInstance:
		if err := w.removeInstance(ctx, a.Instance); err != nil {
			return &lifecycle.Failure{Reason: "RemoveContainerError", Message: message(err)}
		}
	}
	return nil
}

func (w *worker) createSandbox(ctx context.Context, a lifecycle.Action, facts criconfig.Facts) *lifecycle.Failure {
	bundle := w.bundle.Load()
	w.files.Lock()
	err := w.volumes.Prepare(bundle)
	w.files.Unlock()
	if err != nil {
		return &lifecycle.Failure{Reason: "FailedMount", Message: err.Error()}
	}
	if err := os.MkdirAll(facts.LogDir, 0o755); err != nil { //nolint:gosec // logs lie in the task's sandbox, open as it is
		return &lifecycle.Failure{Reason: "FailedCreatePodSandBox", Message: err.Error()}
	}
	if err := w.cgroup.create(bundle.Pod); err != nil {
		return &lifecycle.Failure{Reason: "FailedCreatePodContainer", Message: err.Error()}
	}
	ctx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	_, err = w.runtime.runtime.RunPodSandbox(ctx, &cri.RunPodSandboxRequest{Config: criconfig.Sandbox(bundle, facts, a.Attempt)})
	if err != nil {
		return &lifecycle.Failure{Reason: "FailedCreatePodSandBox", Message: message(err)}
	}
	return nil
}

// startContainer brings a container from its image to its running process. Its log begins in a fresh file.
func (w *worker) startContainer(ctx context.Context, a lifecycle.Action, facts criconfig.Facts) *lifecycle.Failure {
	bundle := w.bundle.Load()
	container := findContainer(bundle.Pod, a.Container)
	sandbox := criconfig.Sandbox(bundle, facts, 0)
	image, failure := w.runtime.ensureImage(ctx, bundle, container, sandbox, w.imageNews(container))
	if failure != nil {
		return failure
	}
	config, err := w.containerConfig(bundle.Pod, container, facts, image, a.Attempt)
	if err != nil {
		return &lifecycle.Failure{Reason: "CreateContainerConfigError", Message: err.Error()}
	}
	callCtx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	created, err := w.runtime.runtime.CreateContainer(callCtx, &cri.CreateContainerRequest{
		PodSandboxId: a.Sandbox, Config: config, SandboxConfig: sandbox,
	})
	if err != nil {
		return &lifecycle.Failure{Reason: "CreateContainerError", Message: message(err)}
	}
	w.tell.normal(container, bundle.Pod, "Created", "Container created")
	if _, err := w.runtime.runtime.StartContainer(callCtx, &cri.StartContainerRequest{ContainerId: created.ContainerId}); err != nil {
		// The container shows itself as exited (StartError), which the machine counts as a crash.
		w.log.Warn("container could not be started", "container", a.Container, "error", message(err))
		w.tell.warning(container, bundle.Pod, "Failed", "Error: %s", message(err))
		return nil
	}
	w.tell.normal(container, bundle.Pod, "Started", "Container started")
	if hook := container.Lifecycle; hook != nil && hook.PostStart != nil {
		if err := w.runHook(ctx, hook.PostStart, container, created.ContainerId, facts); err != nil {
			w.log.Warn("postStart hook failed, container is killed", "container", a.Container, "error", err)
			w.tell.warning(container, bundle.Pod, "FailedPostStartHook", "PostStartHook failed: %v", err)
			return w.stop(context.WithoutCancel(ctx), created.ContainerId, lifecycle.Grace(bundle.Pod))
		}
	}
	return nil
}

func (w *worker) containerConfig(pod *corev1.Pod, container *corev1.Container, facts criconfig.Facts, image criconfig.Image, attempt uint32) (*cri.ContainerConfig, error) {
	bundle := w.bundle.Load()
	env, err := criconfig.Env(bundle, container, facts.Addresses)
	if err != nil {
		return nil, err
	}
	hostFile := ""
	if pod.Spec.HostNetwork {
		text, err := os.ReadFile("/etc/hosts")
		if err != nil {
			return nil, fmt.Errorf("read the machine's hosts file: %w", err)
		}
		hostFile = string(text)
	}
	w.files.Lock()
	mounts, err := w.volumes.Mounts(bundle, container, env, criconfig.Hosts(bundle, facts, hostFile), attempt)
	w.files.Unlock()
	if err != nil {
		return nil, err
	}
	return criconfig.Container(bundle, container, facts, image, env, mounts, attempt)
}

// killContainer runs the preStop hook and stops the container, both within the grace period.
func (w *worker) killContainer(ctx context.Context, a lifecycle.Action, facts criconfig.Facts) *lifecycle.Failure {
	started := time.Now()
	w.tellKilling(a)
	container := findContainer(w.bundle.Load().Pod, a.Container)
	if hook := container.Lifecycle; hook != nil && hook.PreStop != nil && a.Grace > 0 {
		hookCtx, cancel := context.WithTimeout(ctx, a.Grace)
		if err := w.runHook(hookCtx, hook.PreStop, container, a.Instance, facts); err != nil {
			w.log.Warn("preStop hook failed", "container", a.Container, "error", err)
			w.tell.warning(container, w.bundle.Load().Pod, "FailedPreStopHook", "PreStopHook failed: %v", err)
		}
		cancel()
	}
	w.log.Info("container is stopped", "container", a.Container, "reason", a.Reason, "grace", a.Grace)
	return w.stop(ctx, a.Instance, a.Grace-time.Since(started))
}

// stop sends SIGTERM, and SIGKILL after grace. A container that was never started is removed.
func (w *worker) stop(ctx context.Context, id string, grace time.Duration) *lifecycle.Failure {
	grace = max(grace, 2*time.Second).Round(time.Second)
	ctx, cancel := context.WithTimeout(ctx, grace+2*time.Minute)
	defer cancel()
	status, err := w.runtime.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if err == nil && status.Status.State == cri.ContainerState_CONTAINER_CREATED {
		err = w.removeInstance(ctx, id)
	} else if err == nil {
		_, err = w.runtime.runtime.StopContainer(ctx, &cri.StopContainerRequest{ContainerId: id, Timeout: int64(grace / time.Second)})
	}
	if err != nil && !isNotFound(err) {
		return &lifecycle.Failure{Reason: "KillContainerError", Message: message(err)}
	}
	return nil
}

// removeInstance removes an old instance of a container with its log.
func (w *worker) removeInstance(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	status, err := w.runtime.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: id})
	if err == nil {
		_, err = w.runtime.runtime.RemoveContainer(ctx, &cri.RemoveContainerRequest{ContainerId: id})
	}
	if isNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := os.Remove(status.Status.LogPath); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// addMessage completes what the runtime says of an exited instance by its termination message: the file that it wrote or,
// if asked for and it failed, the end of its log.
func (w *worker) addMessage(i *lifecycle.Instance) {
	if i.State != lifecycle.Exited {
		return
	}
	container := findContainer(w.bundle.Load().Pod, i.Container)
	if container == nil {
		return
	}
	if text, err := readHead(w.volumes.MessageFile(i.Container, i.Attempt), maxTerminationMessage); err == nil && text != "" {
		i.Message = text
		return
	}
	if container.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && i.ExitCode != 0 && i.Message == "" {
		path := filepath.Join(w.facts.LogDir, criconfig.LogPath(i.Container, i.Attempt))
		if text, err := crilog.Tail(path, 80, 2048); err == nil {
			i.Message = text
		}
	}
}

// maxTerminationMessage is what a kubelet keeps of one, in bytes.
const maxTerminationMessage = 4096

func readHead(path string, limit int) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	buffer := make([]byte, limit)
	n, err := file.Read(buffer)
	if n == 0 {
		return "", err
	}
	return string(buffer[:n]), nil
}

func findContainer(pod *corev1.Pod, name string) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i]
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i]
		}
	}
	return nil
}

func equalReports(a, b report) bool {
	return a.running == b.running && a.finished == b.finished && (a.ending == nil) == (b.ending == nil) &&
		equality.Semantic.DeepEqual(a.status, b.status)
}
