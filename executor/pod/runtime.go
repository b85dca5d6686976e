package pod

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
)

// Limits on calls to the container runtime. Calls that wait for a process or an image have limits of their own.
const (
	callTimeout    = 30 * time.Second
	sandboxTimeout = 4 * time.Minute
	pullTimeout    = 30 * time.Minute
	maxCRIMessage  = 16 << 20
)

// containerRuntime is a thin layer over CRI: it speaks of pods by task id.
type containerRuntime struct {
	conn    *grpc.ClientConn
	runtime cri.RuntimeServiceClient
	images  cri.ImageServiceClient
	name    string // e.g. containerd
	version string
	owner   string // value of criconfig.LabelOwner
}

// connectRuntime connects to the container runtime at a socket, e.g. "unix:///run/containerd/containerd.sock", and asks
// its version.
func connectRuntime(ctx context.Context, endpoint, owner string) (*containerRuntime, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "unix://" + endpoint
	}
	conn, err := grpc.NewClient(endpoint,
		grpc.WithTransportCredentials(insecure.NewCredentials()), // a local socket: its file mode is the lock
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxCRIMessage)))
	if err != nil {
		return nil, fmt.Errorf("container runtime %s: %w", endpoint, err)
	}
	r := &containerRuntime{
		conn: conn, owner: owner,
		runtime: cri.NewRuntimeServiceClient(conn), images: cri.NewImageServiceClient(conn),
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	version, err := r.runtime.Version(ctx, &cri.VersionRequest{}, grpc.WaitForReady(true))
	if err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("container runtime %s does not answer: %w", endpoint, err)
	}
	r.name, r.version = version.RuntimeName, version.RuntimeVersion
	return r, nil
}

func (r *containerRuntime) close() error { return r.conn.Close() }

// observe is what the runtime shows of one pod.
func (r *containerRuntime) observe(ctx context.Context, taskID string) (lifecycle.Observed, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var seen lifecycle.Observed
	labels := map[string]string{criconfig.LabelOwner: r.owner, criconfig.LabelTask: taskID}
	sandboxes, err := r.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{LabelSelector: labels}})
	if err != nil {
		return seen, fmt.Errorf("list sandboxes of task %s: %w", taskID, err)
	}
	var newest *cri.PodSandbox
	for _, sandbox := range sandboxes.Items {
		if newest == nil || sandbox.Metadata.Attempt > newest.Metadata.Attempt {
			newest = sandbox
		}
	}
	for _, sandbox := range sandboxes.Items {
		if sandbox != newest {
			seen.Stale = append(seen.Stale, sandbox.Id)
		}
	}
	if newest == nil {
		return seen, nil
	}
	if seen.Sandbox, err = r.sandbox(ctx, newest.Id); err != nil {
		return seen, err
	}
	containers, err := r.runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{LabelSelector: labels}})
	if err != nil {
		return seen, fmt.Errorf("list containers of task %s: %w", taskID, err)
	}
	for _, c := range containers.Containers {
		response, err := r.runtime.ContainerStatus(ctx, &cri.ContainerStatusRequest{ContainerId: c.Id})
		if isNotFound(err) {
			continue
		}
		if err != nil {
			return seen, fmt.Errorf("status of container %s: %w", c.Id, err)
		}
		seen.Instances = append(seen.Instances, instance(c.PodSandboxId, response.Status))
	}
	return seen, nil
}

func (r *containerRuntime) sandbox(ctx context.Context, id string) (*lifecycle.Sandbox, error) {
	response, err := r.runtime.PodSandboxStatus(ctx, &cri.PodSandboxStatusRequest{PodSandboxId: id})
	if isNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("status of sandbox %s: %w", id, err)
	}
	status := response.Status
	sandbox := &lifecycle.Sandbox{
		ID: id, Attempt: status.Metadata.Attempt,
		Ready: status.State == cri.PodSandboxState_SANDBOX_READY,
	}
	if status.Network != nil && status.Network.Ip != "" {
		sandbox.IPs = append(sandbox.IPs, status.Network.Ip)
		for _, ip := range status.Network.AdditionalIps {
			sandbox.IPs = append(sandbox.IPs, ip.Ip)
		}
	}
	return sandbox, nil
}

func instance(sandboxID string, status *cri.ContainerStatus) lifecycle.Instance {
	i := lifecycle.Instance{
		ID: status.Id, SandboxID: sandboxID,
		Container: status.Labels[criconfig.LabelContainer],
		Attempt:   status.Metadata.Attempt,
		StartedAt: moment(status.StartedAt), FinishedAt: moment(status.FinishedAt),
		ExitCode: status.ExitCode, Reason: status.Reason, Message: status.Message,
		ImageID: status.ImageRef,
	}
	switch status.State {
	case cri.ContainerState_CONTAINER_CREATED:
		i.State = lifecycle.Created
	case cri.ContainerState_CONTAINER_RUNNING:
		i.State = lifecycle.Running
	case cri.ContainerState_CONTAINER_EXITED:
		i.State = lifecycle.Exited
	default:
		i.State = lifecycle.Unknown
	}
	return i
}

// moment is a time of CRI, in nanoseconds since 1970; 0 is none.
func moment(nanos int64) time.Time {
	if nanos <= 0 {
		return time.Time{}
	}
	return time.Unix(0, nanos)
}

// fingerprints say, per task id, which sandboxes and containers there are and in which state. A changed fingerprint means
// that the pod's owner should look.
func (r *containerRuntime) fingerprints(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	labels := map[string]string{criconfig.LabelOwner: r.owner}
	sandboxes, err := r.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{Filter: &cri.PodSandboxFilter{LabelSelector: labels}})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes: %w", err)
	}
	containers, err := r.runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{LabelSelector: labels}})
	if err != nil {
		return nil, fmt.Errorf("list containers: %w", err)
	}
	out := map[string]string{}
	for _, s := range sandboxes.Items {
		out[s.Labels[criconfig.LabelTask]] += fmt.Sprintf("%s=%d ", s.Id, s.State)
	}
	for _, c := range containers.Containers {
		out[c.Labels[criconfig.LabelTask]] += fmt.Sprintf("%s=%d ", c.Id, c.State)
	}
	return out, nil
}

// removeSandbox stops a sandbox with all that runs in it and removes it.
func (r *containerRuntime) removeSandbox(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	if _, err := r.runtime.StopPodSandbox(ctx, &cri.StopPodSandboxRequest{PodSandboxId: id}); err != nil && !isNotFound(err) {
		return fmt.Errorf("stop sandbox %s: %w", id, err)
	}
	if _, err := r.runtime.RemovePodSandbox(ctx, &cri.RemovePodSandboxRequest{PodSandboxId: id}); err != nil && !isNotFound(err) {
		return fmt.Errorf("remove sandbox %s: %w", id, err)
	}
	return nil
}

// leftover is a sandbox of an earlier run of this executor.
type leftover struct {
	sandbox, task, dir, cgroup string
}

// leftovers lists sandboxes that carry our owner label. An executor that has just started has none of its own: the run that
// made them is gone, and Mesos has declared its tasks dead.
func (r *containerRuntime) leftovers(ctx context.Context) ([]leftover, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := r.runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{
		Filter: &cri.PodSandboxFilter{LabelSelector: map[string]string{criconfig.LabelOwner: r.owner}},
	})
	if err != nil {
		return nil, fmt.Errorf("list sandboxes of an earlier run: %w", err)
	}
	var found []leftover
	for _, s := range list.Items {
		found = append(found, leftover{
			sandbox: s.Id, task: s.Labels[criconfig.LabelTask],
			dir: s.Annotations[criconfig.AnnotationDir], cgroup: s.Annotations[criconfig.AnnotationCgroup],
		})
	}
	return found, nil
}
