package lifecycle

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

var host = Host{IP: "192.0.2.1", RuntimeName: "containerd"}

// world is a container runtime in memory: it carries out actions at once, and its containers do what the test says.
type world struct {
	m       *Machine
	pod     *corev1.Pod
	now     time.Time
	seen    Observed
	count   int
	log     []string // actions in short
	running map[string]Action
}

func newWorld(pod *corev1.Pod) *world {
	pod.Name, pod.Namespace, pod.UID = "p", "default", "u"
	now := time.Unix(1_000_000, 0)
	return &world{m: New(pod, now), pod: pod, now: now, running: map[string]Action{}}
}

// settle lets the machine act until it wants nothing more now; it returns when it wants to be asked again.
func (w *world) settle() (wake time.Time) {
	for range 100 {
		w.m.Observe(w.now, w.copy())
		actions, at := w.m.Decide(w.now)
		if len(actions) == 0 {
			return at
		}
		for _, a := range actions {
			w.m.Began(a, w.now)
			w.m.Done(a, w.now, w.carryOut(a))
		}
	}
	panic("the machine does not settle: " + fmt.Sprint(w.log))
}

func (w *world) copy() Observed {
	seen := w.seen
	seen.Instances = slices.Clone(w.seen.Instances)
	if w.seen.Sandbox != nil {
		sandbox := *w.seen.Sandbox
		seen.Sandbox = &sandbox
	}
	return seen
}

func (w *world) carryOut(a Action) *Failure {
	w.count++
	switch a.Kind {
	case CreateSandbox:
		w.log = append(w.log, fmt.Sprintf("sandbox %d", a.Attempt))
		w.seen.Sandbox = &Sandbox{ID: fmt.Sprintf("s%d", a.Attempt), Attempt: a.Attempt, Ready: true, IPs: []string{"10.0.0.1"}}
	case RemoveSandbox:
		w.log = append(w.log, "remove sandbox")
		w.seen.Sandbox, w.seen.Instances = nil, nil
	case StartContainer:
		w.log = append(w.log, fmt.Sprintf("start %s %d", a.Container, a.Attempt))
		w.seen.Instances = append(w.seen.Instances, Instance{
			ID: fmt.Sprintf("i%d", w.count), Container: a.Container, SandboxID: a.Sandbox, Attempt: a.Attempt, State: Running, StartedAt: w.now,
		})
	case KillContainer:
		w.log = append(w.log, fmt.Sprintf("kill %s %s", a.Container, a.Grace))
		w.end(a.Container, 143)
	case RemoveInstance:
		w.log = append(w.log, "forget "+a.Container)
		w.seen.Instances = slices.DeleteFunc(w.seen.Instances, func(i Instance) bool { return i.ID == a.Instance })
	}
	return nil
}

// end makes the newest instance of a container exit.
func (w *world) end(name string, code int32) {
	for i := len(w.seen.Instances) - 1; i >= 0; i-- {
		if instance := &w.seen.Instances[i]; instance.Container == name {
			instance.State, instance.ExitCode, instance.FinishedAt = Exited, code, w.now
			return
		}
	}
}

func (w *world) status() corev1.PodStatus {
	w.m.Observe(w.now, w.copy())
	return w.m.Status(w.now, host)
}

// did returns the actions since the last call.
func (w *world) did() []string {
	log := w.log
	w.log = nil
	return log
}

func (w *world) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := w.did(); !slices.Equal(got, want) {
		t.Fatalf("did %q, want %q", got, want)
	}
}

func containers(names ...string) (list []corev1.Container) {
	for _, name := range names {
		list = append(list, corev1.Container{Name: name, Image: name})
	}
	return list
}

func podOf(policy corev1.RestartPolicy, names ...string) *corev1.Pod {
	return &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: policy, Containers: containers(names...)}}
}

func condition(s corev1.PodStatus, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func TestInitContainersInOrder(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a", "b")
	pod.Spec.InitContainers = containers("i", "j")
	w := newWorld(pod)
	w.settle()
	w.expect(t, "sandbox 0", "start i 0")
	s := w.status()
	if c := condition(s, corev1.PodInitialized); c.Reason != "ContainersNotInitialized" || c.Message != "containers with incomplete status: [i j]" {
		t.Errorf("initialized: %+v", c)
	}
	if s.Phase != corev1.PodPending || s.ContainerStatuses[0].State.Waiting.Reason != "PodInitializing" {
		t.Errorf("status %s %+v", s.Phase, s.ContainerStatuses[0].State)
	}
	w.end("i", 1)
	w.settle()
	w.expect(t, "start i 1") // the first restart does not wait
	w.end("i", 0)
	w.settle()
	w.expect(t, "start j 0")
	w.end("j", 0)
	w.settle()
	w.expect(t, "start a 0", "start b 0")
	if s := w.status(); s.Phase != corev1.PodRunning || condition(s, corev1.PodReady).Status != corev1.ConditionTrue {
		t.Errorf("status %+v", s)
	}
}

func TestFailedInitEndsPodThatNeverRestarts(t *testing.T) {
	pod := podOf(corev1.RestartPolicyNever, "a")
	pod.Spec.InitContainers = containers("i")
	w := newWorld(pod)
	w.settle()
	w.end("i", 7)
	w.settle()
	w.expect(t, "sandbox 0", "start i 0", "remove sandbox")
	if s := w.status(); s.Phase != corev1.PodFailed || !w.m.Finished() {
		t.Errorf("phase %s", s.Phase)
	}
}

// The back-off of a kubelet: at once, then 10 s doubling to 5 min; forgotten after 10 min of running.
func TestRestartBackOff(t *testing.T) {
	w := newWorld(podOf(corev1.RestartPolicyAlways, "a"))
	w.settle()
	for i, want := range []time.Duration{0, 10, 20, 40, 80, 160, 300, 300} {
		want *= time.Second
		w.end("a", 1)
		before := w.now
		wake := w.settle()
		if want > 0 {
			s := w.status().ContainerStatuses[0]
			if s.State.Waiting == nil || s.State.Waiting.Reason != "CrashLoopBackOff" || s.LastTerminationState.Terminated.ExitCode != 1 {
				t.Fatalf("crash %d: %+v", i, s)
			}
			if wake.Sub(before) != want {
				t.Fatalf("crash %d waits for %s, want %s", i, wake.Sub(before), want)
			}
			w.now = wake
			w.settle()
		}
		if got := w.status().ContainerStatuses[0]; got.RestartCount != int32(i+1) || got.State.Running == nil {
			t.Fatalf("crash %d: %+v", i, got)
		}
	}
	w.now = w.now.Add(10 * time.Minute)
	w.end("a", 1)
	w.settle()
	if w.status().ContainerStatuses[0].State.Running == nil {
		t.Error("a crash after a long run waits")
	}
	if n := len(w.seen.Instances); n > 3 {
		t.Errorf("%d instances are kept", n)
	}
}

func TestPhases(t *testing.T) {
	cases := []struct {
		name   string
		policy corev1.RestartPolicy
		codes  []int32
		phase  corev1.PodPhase
		ends   bool
	}{
		{"all succeed, never", corev1.RestartPolicyNever, []int32{0, 0}, corev1.PodSucceeded, true},
		{"one fails, never", corev1.RestartPolicyNever, []int32{0, 1}, corev1.PodFailed, true},
		{"all succeed, on failure", corev1.RestartPolicyOnFailure, []int32{0, 0}, corev1.PodSucceeded, true},
		{"one fails, on failure", corev1.RestartPolicyOnFailure, []int32{0, 1}, corev1.PodRunning, false},
		{"all succeed, always", corev1.RestartPolicyAlways, []int32{0, 0}, corev1.PodRunning, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(podOf(c.policy, "a", "b"))
			w.settle()
			w.end("a", c.codes[0])
			w.end("b", c.codes[1])
			w.settle()
			if s := w.status(); s.Phase != c.phase || w.m.Finished() != c.ends {
				t.Errorf("phase %s, finished %v", s.Phase, w.m.Finished())
			}
		})
	}
}

func TestSidecars(t *testing.T) {
	always := corev1.ContainerRestartPolicyAlways
	pod := podOf(corev1.RestartPolicyNever, "a")
	pod.Spec.InitContainers = containers("s", "i", "z")
	pod.Spec.InitContainers[0].RestartPolicy = &always
	pod.Spec.InitContainers[2].RestartPolicy = &always
	w := newWorld(pod)
	w.settle()
	w.expect(t, "sandbox 0", "start s 0", "start i 0")
	w.end("i", 0)
	w.settle()
	w.expect(t, "start z 0", "start a 0")
	w.end("s", 0) // a sidecar restarts, whatever the pod's policy
	w.settle()
	w.expect(t, "start s 1")
	w.end("a", 0)
	w.settle()
	w.expect(t, "kill z 30s", "kill s 30s", "remove sandbox")
	if s := w.status(); s.Phase != corev1.PodSucceeded {
		t.Errorf("phase %s: sidecars do not count", s.Phase)
	}
}

func TestProbes(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	probe := func(success, failure int32) *corev1.Probe {
		return &corev1.Probe{SuccessThreshold: success, FailureThreshold: failure}
	}
	c := &pod.Spec.Containers[0]
	c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = probe(1, 3), probe(1, 2), probe(2, 2)
	w := newWorld(pod)
	w.settle()
	id := w.m.Current("a").ID
	wanted := func() (kinds []ProbeKind) {
		for _, k := range []ProbeKind{Startup, Liveness, Readiness} {
			if w.m.Wanted("a", k) {
				kinds = append(kinds, k)
			}
		}
		return kinds
	}
	check := func(kinds []ProbeKind, started, ready bool) {
		t.Helper()
		s := w.status().ContainerStatuses[0]
		if !slices.Equal(wanted(), kinds) || *s.Started != started || s.Ready != ready {
			t.Fatalf("wanted %v, started %v, ready %v", wanted(), *s.Started, s.Ready)
		}
	}
	both := []ProbeKind{Liveness, Readiness}
	check([]ProbeKind{Startup}, false, false)
	w.m.Probed("a", id, Startup, false)
	w.m.Probed("a", id, Startup, false)
	w.m.Probed("a", id, Readiness, true) // too early: ignored
	w.m.Probed("a", id, Startup, true)
	check(both, true, false)
	w.m.Probed("a", id, Readiness, true)
	check(both, true, false)
	w.m.Probed("a", id, Readiness, true)
	check(both, true, true)
	w.m.Probed("a", id, Readiness, false)
	check(both, true, true)
	w.m.Probed("a", id, Readiness, false)
	check(both, true, false)
	w.did()
	w.m.Probed("a", "another instance", Liveness, false)
	w.m.Probed("a", id, Liveness, false)
	w.settle()
	w.expect(t)
	w.m.Probed("a", id, Liveness, false)
	w.settle()
	w.expect(t, "kill a 30s", "start a 1")
	check([]ProbeKind{Startup}, false, false)
}

// Row KIL-06: a repeated kill may only shorten the grace.
func TestKillGrace(t *testing.T) {
	w := newWorld(podOf(corev1.RestartPolicyAlways, "a"))
	w.settle()
	kill := func(grace time.Duration) []Action {
		w.m.End(w.now, Ending{Grace: grace, Cause: Killed})
		w.m.Observe(w.now, w.copy())
		actions, _ := w.m.Decide(w.now)
		for _, a := range actions {
			w.m.Began(a, w.now)
		}
		return actions
	}
	if a := kill(time.Minute); len(a) != 1 || a[0].Grace != time.Minute {
		t.Fatalf("first kill: %v", a)
	}
	if a := kill(time.Hour); len(a) != 0 {
		t.Fatalf("longer grace: %v", a)
	}
	if a := kill(5 * time.Second); len(a) != 1 || a[0].Grace != 5*time.Second {
		t.Fatalf("shorter grace: %v", a)
	}
	if a := kill(0); len(a) != 1 || a[0].Grace != minGrace {
		t.Fatalf("no grace: %v", a)
	}
	if s := w.status(); condition(s, corev1.PodReady).Status != corev1.ConditionFalse || s.Phase != corev1.PodRunning {
		t.Errorf("while it is killed: %+v", s)
	}
}

func TestDeadline(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	seconds := int64(60)
	pod.Spec.ActiveDeadlineSeconds = &seconds
	w := newWorld(pod)
	wake := w.settle()
	if wake.Sub(w.now) != time.Minute {
		t.Fatalf("wakes at %s", wake)
	}
	w.now = wake
	w.settle()
	if s := w.status(); s.Phase != corev1.PodFailed || s.Reason != "DeadlineExceeded" || !w.m.Finished() {
		t.Errorf("status %+v", s)
	}
}

// A sandbox that dies takes its containers along; all begin again in a new one, and the restart count goes on.
func TestSandboxDies(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	pod.Spec.InitContainers = containers("i")
	w := newWorld(pod)
	w.settle()
	w.end("i", 0)
	w.settle()
	w.did()
	w.seen.Sandbox.Ready = false
	w.settle()
	w.expect(t, "remove sandbox", "sandbox 1", "start i 1")
	w.end("i", 0)
	w.settle()
	w.expect(t, "start a 1")
	s := w.status()
	if c := s.ContainerStatuses[0]; c.RestartCount != 1 || c.LastTerminationState.Terminated.Reason != "ContainerStatusUnknown" {
		t.Errorf("%+v", c)
	}
}

func TestFailures(t *testing.T) {
	w := newWorld(podOf(corev1.RestartPolicyAlways, "a"))
	step := func() []Action {
		w.m.Observe(w.now, w.copy())
		actions, wake := w.m.Decide(w.now)
		if len(actions) == 0 {
			w.now = wake
			w.m.Observe(w.now, w.copy())
			actions, _ = w.m.Decide(w.now)
		}
		return actions
	}
	create := step()[0]
	w.m.Done(create, w.now, &Failure{Reason: "FailedCreatePodSandBox", Message: "no network"})
	if s := w.status().ContainerStatuses[0].State.Waiting; s.Reason != "ContainerCreating" || s.Message != "FailedCreatePodSandBox: no network" {
		t.Errorf("%+v", s)
	}
	again := step()[0]
	if again.Kind != CreateSandbox || again.Attempt != 1 {
		t.Fatalf("%+v", again)
	}
	w.m.Done(again, w.now, w.carryOut(again))
	start := step()[0]
	w.m.Done(start, w.now, &Failure{Reason: "ErrImagePull", Message: "not found"})
	if s := w.status().ContainerStatuses[0].State.Waiting; s.Reason != "ErrImagePull" {
		t.Errorf("%+v", s)
	}
	step() // wakes to show the back-off
	if s := w.status().ContainerStatuses[0].State.Waiting; s.Reason != "ImagePullBackOff" {
		t.Errorf("%+v", s)
	}
	w.m.Update(w.pod) // a changed bundle tries at once
	if a := step(); len(a) != 1 || a[0].Kind != StartContainer || a[0].Attempt != 0 {
		t.Errorf("%+v", a)
	}
}

// What was created but never started is removed and tried again.
func TestInterruptedStart(t *testing.T) {
	w := newWorld(podOf(corev1.RestartPolicyAlways, "a"))
	w.seen.Sandbox = &Sandbox{ID: "s0", Ready: true}
	w.seen.Instances = []Instance{{ID: "x", Container: "a", SandboxID: "s0", State: Created}}
	w.m.Observe(w.now, w.copy())
	actions, _ := w.m.Decide(w.now)
	if len(actions) != 1 || actions[0].Kind != KillContainer {
		t.Fatalf("%+v", actions)
	}
}

func TestEphemeralContainersAreRefusedInTheStatus(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	now := time.Unix(1_000_000, 0)
	m := New(pod, now)
	debugged := pod.DeepCopy()
	debugged.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debugger", Image: "i"}}}
	m.Update(debugged)
	status := m.Status(now, Host{})
	if len(status.EphemeralContainerStatuses) != 1 || status.EphemeralContainerStatuses[0].State.Terminated == nil || status.EphemeralContainerStatuses[0].State.Terminated.Message != NoEphemeral {
		t.Errorf("shown as %+v", status.EphemeralContainerStatuses)
	}
}

func TestAResizeIsInfeasible(t *testing.T) {
	pod := podOf(corev1.RestartPolicyAlways, "a")
	now := time.Unix(1_000_000, 0)
	m := New(pod, now)
	pending := func() bool {
		for _, c := range m.Status(now, Host{}).Conditions {
			if c.Type == corev1.PodResizePending {
				return c.Status == corev1.ConditionTrue && c.Reason == corev1.PodReasonInfeasible
			}
		}
		return false
	}
	larger := pod.DeepCopy()
	larger.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("3")}
	if m.Update(larger); !pending() {
		t.Error("a resize is passed over in silence")
	}
	if m.Update(pod); pending() {
		t.Error("a resize that was taken back is still pending")
	}
}
