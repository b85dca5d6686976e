package pod

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
)

// mountsOf lists mount points below dir.
func mountsOf(dir string) (found []string, err error) {
	text, err := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); strings.HasPrefix(fields[1], dir) {
			found = append(found, fields[1])
		}
	}
	return found, err
}

// The thin thread: launched, handed over, running with an address, logs, killed, gone.
func TestPodLife(t *testing.T) {
	r := newRig(t)
	pod := newPod("life", "echo hello; "+forever)
	r.run(pod)
	status := r.awaitReady(pod)
	if status.Phase != corev1.PodRunning || status.PodIP == "" || status.HostIP != agentIP {
		t.Fatalf("phase %s, pod IP %q, host IP %q", status.Phase, status.PodIP, status.HostIP)
	}
	eventually(t, "greeting in the log", func() bool {
		text, err := r.logs(pod, "c0")
		return err == nil && text == "hello\n"
	})
	r.kill(pod, 10*time.Second)
	status = r.awaitState(pod, mesos.TASK_KILLED)
	end := status.ContainerStatuses[0].State.Terminated
	if end == nil || end.ExitCode != 0 || end.Reason != "Completed" {
		t.Errorf("container ended with %+v", end)
	}
	text, err := r.logs(pod, "c0")
	if err != nil || text != "hello\nbye\n" {
		t.Errorf("log after the end: %q, %v", text, err)
	}
	want := []mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_KILLED}
	if got := r.agent.states(r.task(pod)); !slices.Equal(got, want) {
		t.Errorf("states %v, want %v", got, want)
	}
}
