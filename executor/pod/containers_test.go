package pod

import (
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
	"github.com/tombolo-project/tombolo/virtualnode/podapi/podspec"
)

// Init containers run in order, before the others, and share volumes with them.
func TestInitContainersAndProbes(t *testing.T) {
	r := newRig(t)
	pod := newPod("init", "cat /data/order; touch /tmp/up; "+forever, "httpd -f -p 8080 -h /data")
	pod.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
	mount := []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	first, second := shell("first", "echo -n 1 > /data/order"), shell("second", "sleep 0.2; echo 2 >> /data/order")
	first.VolumeMounts, second.VolumeMounts = mount, mount
	pod.Spec.InitContainers = []corev1.Container{first, second}
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].VolumeMounts = mount
	}
	pod.Spec.Containers[0].StartupProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		Exec: &corev1.ExecAction{Command: []string{"test", "-e", "/tmp/up"}},
	}}
	pod.Spec.Containers[1].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}
	pod.Spec.Containers[1].ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		HTTPGet: &corev1.HTTPGetAction{Path: "/order", Port: intstr.FromString("http")},
	}}
	pod.Spec.Containers[1].LivenessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
		TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)},
	}}
	r.run(pod)
	s := r.awaitReady(pod)
	if text, err := r.logs(pod, "c0"); err != nil || text != "12\n" {
		t.Errorf("init containers left %q, %v", text, err)
	}
	for _, c := range s.InitContainerStatuses {
		if c.State.Terminated == nil || c.State.Terminated.Reason != "Completed" || !c.Ready {
			t.Errorf("init container %s: %+v", c.Name, c.State)
		}
	}
	got := forward(t, r, pod, 8080, "GET /order HTTP/1.0\r\n\r\n")
	if !strings.HasPrefix(got, "HTTP/1.0 200 OK") && !strings.HasPrefix(got, "HTTP/1.1 200 OK") || !strings.HasSuffix(got, "12\n") {
		t.Errorf("port-forward answered %q", got)
	}
	r.kill(pod, time.Second)
	r.awaitState(pod, mesos.TASK_KILLED)
}

// forward sends text to a port of the pod and reads the answer to its end.
func forward(t *testing.T, r *rig, pod *corev1.Pod, port int, text string) string {
	t.Helper()
	stream, err := r.client.PortForward(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&podapi.ForwardInput{TaskID: r.task(pod), Port: port}); err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&podapi.ForwardInput{Data: []byte(text)}); err != nil {
		t.Fatal(err)
	}
	answer := ""
	for {
		chunk, err := stream.Recv()
		if err != nil {
			return answer
		}
		answer += string(chunk.Data)
	}
}

func TestPortForwardToNobody(t *testing.T) {
	r := newRig(t)
	pod := newPod("closed", forever)
	r.run(pod)
	r.awaitReady(pod)
	stream, err := r.client.PortForward(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&podapi.ForwardInput{TaskID: r.task(pod), Port: 81}); err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

// A container that fails its liveness probe is killed and restarted; the log of the one before stays.
func TestLivenessRestarts(t *testing.T) {
	r := newRig(t)
	pod := newPod("live", "echo run; touch /tmp/ok; sleep 2; rm /tmp/ok; "+forever)
	pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{PeriodSeconds: 1, FailureThreshold: 1, InitialDelaySeconds: 1, ProbeHandler: corev1.ProbeHandler{
		Exec: &corev1.ExecAction{Command: []string{"cat", "/tmp/ok"}},
	}}
	pod.Spec.TerminationGracePeriodSeconds = new(int64)
	r.run(pod)
	s := r.await(pod, "restarted", func(_ mesos.TaskState, s corev1.PodStatus) bool {
		return len(s.ContainerStatuses) > 0 && s.ContainerStatuses[0].RestartCount == 1 && s.ContainerStatuses[0].State.Running != nil
	})
	if s.ContainerStatuses[0].LastTerminationState.Terminated == nil {
		t.Error("no last state")
	}
	text, err := r.logs(pod, "c0", func(q *podapi.LogsRequest) { q.Previous = true })
	if err != nil || text != "run\nbye\n" {
		t.Errorf("previous log %q, %v", text, err)
	}
	r.awaitEvents(pod, "Pulled", "Created", "Started", "Unhealthy", "Killing", "Pulled", "Created", "Started")
}

// Restart policies: Never ends the pod with the exit code, OnFailure restarts until success.
func TestRestartPolicies(t *testing.T) {
	r := newRig(t)
	failing := newPod("never", "exit 3", "exit 0")
	failing.Spec.RestartPolicy = corev1.RestartPolicyNever
	r.run(failing)
	succeeding := newPod("onfailure", "test -e /data/second && exit 0; touch /data/second; exit 1")
	succeeding.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	succeeding.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory"}}}}
	succeeding.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	r.run(succeeding)

	s := r.awaitState(failing, mesos.TASK_FAILED)
	if end := s.ContainerStatuses[0].State.Terminated; s.Phase != corev1.PodFailed || end.ExitCode != 3 || end.Reason != "Error" {
		t.Errorf("phase %s, container %+v", s.Phase, end)
	}
	s = r.awaitState(succeeding, mesos.TASK_FINISHED)
	if s.Phase != corev1.PodSucceeded || s.ContainerStatuses[0].RestartCount != 1 {
		t.Errorf("phase %s, %d restarts", s.Phase, s.ContainerStatuses[0].RestartCount)
	}
}

func TestOOMKilledAndTerminationMessage(t *testing.T) {
	r := newRig(t)
	pod := newPod("oom", "echo -n 'too much' > /dev/termination-log; cat /dev/zero | head -c 200m | tail >/dev/null", "echo last words; exit 1")
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Containers[0].Command = []string{"sh", "-c", "echo -n 'too much' > /dev/termination-log; exec awk 'BEGIN{s=\"0123456789abcdef\"; while(1) s=s s}'"}
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("24Mi")}
	pod.Spec.Containers[1].TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	r.run(pod)
	s := r.awaitState(pod, mesos.TASK_FAILED)
	if end := s.ContainerStatuses[0].State.Terminated; end.Reason != "OOMKilled" || end.ExitCode != 137 || end.Message != "too much" {
		t.Errorf("container ended with %+v", end)
	}
	if end := s.ContainerStatuses[1].State.Terminated; end.Message != "last words\n" {
		t.Errorf("message %q", end.Message)
	}
}

// What is not supported is refused by name (design D14); images that are not there are not either.
func TestRefusals(t *testing.T) {
	r := newRig(t)
	pod := newPod("claim", forever)
	pod.Spec.Volumes = []corev1.Volume{{Name: "disk", VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "d"},
	}}}
	r.launch(pod)
	_, err := r.client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: r.task(pod), Bundle: podapi.Bundle{Pod: pod}})
	if status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "spec.volumes[disk].persistentVolumeClaim") {
		t.Errorf("RunPod answered %v", err)
	}
	s := r.awaitState(pod, mesos.TASK_FAILED)
	if s.Phase != corev1.PodFailed || s.Reason != podspec.Reason || !strings.Contains(s.Message, "persistentVolumeClaim") {
		t.Errorf("status %s %s %s", s.Phase, s.Reason, s.Message)
	}

	_, err = r.client.RunPod(t.Context(), &podapi.RunPodRequest{TaskID: "unknown.0", Bundle: podapi.Bundle{Pod: pod}})
	if status.Code(err) != codes.NotFound {
		t.Errorf("RunPod of an unknown task answered %v", err)
	}

	missing := newPod("image", forever)
	missing.Spec.Containers[0].ImagePullPolicy = corev1.PullNever
	missing.Spec.Containers[0].Image = "nobody/nothing:1"
	nonRoot := newPod("nonroot", forever)
	yes := true
	nonRoot.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsNonRoot: &yes}
	lacking := newPod("lacking", forever)
	lacking.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}}}}
	for pod, want := range map[*corev1.Pod]string{
		missing: "ErrImageNeverPull", nonRoot: "CreateContainerConfigError", lacking: "CreateContainerConfigError",
	} {
		r.run(pod)
		s := r.await(pod, want, func(_ mesos.TaskState, s corev1.PodStatus) bool {
			w := s.ContainerStatuses
			return len(w) > 0 && w[0].State.Waiting != nil && w[0].State.Waiting.Reason == want
		})
		t.Logf("%s: %s", pod.Name, s.ContainerStatuses[0].State.Waiting.Message)
	}
}

// An image that cannot be pulled shows ErrImagePull, then ImagePullBackOff.
func TestImagePullBackOff(t *testing.T) {
	r := newRig(t)
	pod := newPod("pull", forever)
	pod.Spec.Containers[0].Image = "127.0.0.1:1/nobody/nothing:1"
	r.run(pod)
	for _, want := range []string{"ErrImagePull", "ImagePullBackOff"} {
		r.await(pod, want, func(_ mesos.TaskState, s corev1.PodStatus) bool {
			w := s.ContainerStatuses
			return len(w) > 0 && w[0].State.Waiting != nil && w[0].State.Waiting.Reason == want
		})
	}
	r.awaitEvents(pod, "Pulling", "Failed", "Failed", "BackOff", "Failed")
	r.kill(pod, time.Second)
	if s := r.awaitState(pod, mesos.TASK_KILLED); s.Phase != corev1.PodFailed {
		t.Errorf("phase %s", s.Phase)
	}
}
