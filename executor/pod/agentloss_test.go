package pod

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/volumes"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Rows EXE-06 and EXE-08: an agent that comes back gets the updates that it has not acknowledged, and the tasks of which it
// has acknowledged none; the pod runs on.
func TestAgentRestarts(t *testing.T) {
	r := newRig(t)
	steady := newPod("steady", forever)
	r.run(steady)
	before := r.awaitReady(steady)

	r.agent.mu.Lock()
	r.agent.silent = true
	r.agent.mu.Unlock()
	fresh := newPod("fresh", forever)
	r.launch(fresh) // its TASK_STARTING is not acknowledged
	r.agent.mu.Lock()
	r.agent.down = true
	subscribed := len(r.agent.subscribes)
	r.agent.mu.Unlock()
	r.agent.disconnect()
	bundle := podapi.Bundle{Pod: fresh, Node: podapi.Node{Name: "node-1"}}
	if _, err := r.client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: r.task(fresh), Bundle: bundle}); err != nil {
		t.Fatalf("the bridge's channel needs no agent: %v", err)
	}
	eventually(t, "running pod while the agent is away", func() bool {
		pods, err := r.client.Pods(t.Context(), &podapi.PodsRequest{})
		return err == nil && slices.ContainsFunc(pods.Pods, func(p podapi.PodState) bool {
			return p.Pod.Name == "fresh" && isReady(&p.Status)
		})
	})
	r.agent.mu.Lock()
	r.agent.down, r.agent.silent = false, false
	r.agent.mu.Unlock()
	r.awaitReady(fresh)

	r.agent.mu.Lock()
	again := r.agent.subscribes[subscribed]
	r.agent.mu.Unlock()
	if len(again.UnacknowledgedTasks) != 1 || again.UnacknowledgedTasks[0].TaskID.Value != r.task(fresh) {
		t.Errorf("unacknowledged tasks: %v", again.UnacknowledgedTasks)
	}
	if len(again.UnacknowledgedUpdates) != 1 || *again.UnacknowledgedUpdates[0].Status.State != mesos.TASK_STARTING {
		t.Errorf("unacknowledged updates: %v", again.UnacknowledgedUpdates)
	}
	_, after := r.agent.last(r.task(steady))
	if after.Status.ContainerStatuses[0].ContainerID != before.ContainerStatuses[0].ContainerID {
		t.Error("the pod was started again")
	}
	// RunPod is idempotent.
	if _, err := r.client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: r.task(fresh), Bundle: bundle}); err != nil {
		t.Error(err)
	}
}

// SHUTDOWN stops all pods, reports them as killed and ends the executor (row EXE-10).
func TestShutdown(t *testing.T) {
	r := newRig(t)
	pod, waiting := newPod("pod", forever), newPod("waiting", forever)
	r.run(pod)
	r.awaitReady(pod)
	r.launch(waiting)
	r.agent.send(&executor.Event{Type: executor.Event_SHUTDOWN})
	r.awaitState(waiting, mesos.TASK_KILLED)
	s := r.awaitState(pod, mesos.TASK_KILLED)
	if s.Phase != corev1.PodSucceeded {
		t.Errorf("phase %s", s.Phase)
	}
	select {
	case err := <-r.ended:
		if err != nil {
			t.Error(err)
		}
		r.ended <- nil
	case <-time.After(patience):
		t.Error("the executor does not end")
	}
}

// A pod whose bundle never comes fails with a reason; a kill of a waiting pod is immediate.
func TestNoBundle(t *testing.T) {
	r := newRig(t)
	r.executor.do(func() { r.executor.config.BundleTimeout = 200 * time.Millisecond })
	pod := newPod("late", forever)
	r.launch(pod)
	s := r.awaitState(pod, mesos.TASK_FAILED)
	if !strings.Contains(s.Message, "has not handed over the pod") {
		t.Errorf("message %q", s.Message)
	}
	_, err := r.client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: r.task(pod), Bundle: podapi.Bundle{Pod: pod}})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("RunPod after the end: %v", err)
	}
	if _, err := r.client.ForgetPod(t.Context(), &podapi.ForgetPodRequest{TaskID: r.task(pod)}); err != nil {
		t.Error(err)
	}
	pods, err := r.client.Pods(t.Context(), &podapi.PodsRequest{})
	if err != nil || len(pods.Pods) != 0 {
		t.Errorf("after ForgetPod: %v, %v", pods, err)
	}
}

// An executor that was lost leaves sandboxes behind; the next run of it removes them before it does anything else, so that no
// pod runs twice (design D9).
func TestLeftoversAreRemoved(t *testing.T) {
	var old *containerRuntime
	pod := newPod("left", forever)
	pod.Spec.Volumes = []corev1.Volume{{Name: "m", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}}}}
	var facts criconfig.Facts
	r := newRig(t, func(c *Config) {
		var err error
		if old, err = connectRuntime(t.Context(), c.CRI, c.owner()); err != nil {
			t.Fatal(err)
		}
		private, data, logs := c.podDirs("old.0")
		facts = criconfig.Facts{
			TaskID: "old.0", Owner: c.owner(), CgroupParent: c.Cgroup + "/pods/podold", LogDir: logs, Dir: private,
		}
		bundle := &podapi.Bundle{Pod: pod}
		if err := volumes.New(private, data).Prepare(bundle); err != nil {
			t.Fatal(err)
		}
		_, err = old.runtime.RunPodSandbox(t.Context(), &cri.RunPodSandboxRequest{Config: criconfig.Sandbox(bundle, facts, 0)})
		if err != nil {
			t.Fatal(err)
		}
		if found, err := old.leftovers(t.Context()); err != nil || len(found) != 1 {
			t.Fatalf("before: %v, %v", found, err)
		}
	})
	defer old.close()
	if found, err := old.leftovers(t.Context()); err != nil || len(found) != 0 {
		t.Errorf("after: %v, %v", found, err)
	}
	if mounts, err := mountsOf(facts.Dir); err != nil || len(mounts) > 0 {
		t.Errorf("mounts %v, %v", mounts, err)
	}
	if found, _ := filepath.Glob("/sys/fs/cgroup/*" + facts.CgroupParent); len(found) > 0 || r.config.Cgroup == "" {
		t.Errorf("cgroups %v", found)
	}
}

// An executor that was killed leaves a directory with mounts, too; the next one on the machine, whoever starts it, removes it.
func TestDirectoriesOfTheDeadAreSwept(t *testing.T) {
	dir := t.TempDir()
	alive, err := claimDir(dir, "alive")
	if err != nil {
		t.Fatal(err)
	}
	defer alive.release()
	dead, err := claimDir(dir, "dead")
	if err != nil {
		t.Fatal(err)
	}
	pod := newPod("m", forever)
	pod.Spec.Volumes = []corev1.Volume{{Name: "m", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}}}}
	for _, c := range []*claim{alive, dead} {
		if err := volumes.New(filepath.Join(c.dir, "task"), t.TempDir()).Prepare(&podapi.Bundle{Pod: pod}); err != nil {
			t.Fatal(err)
		}
	}
	if err := dead.lock.Close(); err != nil { // what the kernel does when the process is killed
		t.Fatal(err)
	}
	if _, err := claimDir(dir, "alive"); err == nil {
		t.Error("a directory was claimed twice")
	}
	mounts, err := mountsOf(dir)
	if err != nil || len(mounts) != 1 || !strings.HasPrefix(mounts[0], alive.dir) {
		t.Errorf("mounts %v, %v", mounts, err)
	}
	if entries, _ := os.ReadDir(dir); len(entries) != 2 {
		t.Errorf("left: %v", entries)
	}
}

// Logs that grow too long are rotated; a reader that follows misses nothing.
func TestLogRotation(t *testing.T) {
	r := newRig(t)
	pod := newPod("rotate", "for i in $(seq 1 50); do echo $i; sleep 0.05; done; "+forever)
	r.run(pod)
	r.awaitReady(pod)
	followed := make(chan string)
	go func() {
		text, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.Follow = true })
		if err != nil {
			text = err.Error()
		}
		followed <- text
	}()
	rotated := func() bool {
		if err := r.executor.rotateAll(t.Context(), 200); err != nil {
			t.Fatal(err)
		}
		_, _, logs := r.config.podDirs(r.task(pod))
		found, _ := filepath.Glob(filepath.Join(logs, "c0", "0.log.1"))
		return len(found) > 0
	}
	eventually(t, "rotated log", rotated)
	eventually(t, "last number", func() bool {
		_, _, logs := r.config.podDirs(r.task(pod))
		text, _ := os.ReadFile(filepath.Join(logs, "c0", "0.log"))
		return strings.Contains(string(text), " 50\n")
	})
	r.kill(pod, 5*time.Second)
	text := <-followed
	if lines := strings.Fields(text); len(lines) < 50 || lines[0] != "1" || !slices.Contains(lines, "50") || len(lines) > 51 {
		t.Errorf("followed %q", text)
	}
}
