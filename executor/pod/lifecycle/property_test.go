package lifecycle

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

// TestAnyLifeEndsCleanly throws everything at the machine, in any order: exits, probes, dying sandboxes, failing and slow
// actions, kills. At each step the invariants hold; in the end, once killed, the pod finishes with nothing left.
func TestAnyLifeEndsCleanly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(anyPod(t))
		pending := map[int]Action{}
		next := 0
		ask := func() {
			w.m.Observe(w.now, w.copy())
			actions, _ := w.m.Decide(w.now)
			for _, a := range actions {
				w.m.Began(a, w.now)
				pending[next] = a
				next++
			}
			check(t, w, pending)
		}
		complete := func(i int, fail bool) {
			a := pending[i]
			delete(pending, i)
			var failure *Failure
			if fail {
				failure = &Failure{Reason: "Whatever", Message: "it failed"}
			} else if a.Kind != KillContainer || alive(w, a.Instance) {
				failure = w.carryOut(a)
			}
			w.m.Done(a, w.now, failure)
		}
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			ask()
			switch rapid.SampledFrom([]string{"done", "done", "done", "exit", "time", "probe", "sandbox", "kill"}).Draw(t, "what") {
			case "done":
				if i, ok := anyOf(t, pending); ok {
					complete(i, rapid.IntRange(0, 3).Draw(t, "fails") == 0)
				}
			case "exit":
				if len(w.seen.Instances) > 0 {
					i := rapid.IntRange(0, len(w.seen.Instances)-1).Draw(t, "instance")
					if w.seen.Instances[i].State == Running {
						w.seen.Instances[i].State, w.seen.Instances[i].FinishedAt = Exited, w.now
						w.seen.Instances[i].ExitCode = rapid.SampledFrom([]int32{0, 1, 137}).Draw(t, "code")
					}
				}
			case "time":
				w.now = w.now.Add(time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second)
			case "probe":
				kind := ProbeKind(rapid.IntRange(0, 2).Draw(t, "kind"))
				for _, c := range w.m.containers {
					if c.current != nil {
						w.m.Probed(c.spec.Name, c.current.ID, kind, rapid.Bool().Draw(t, "success"))
					}
				}
			case "sandbox":
				if w.seen.Sandbox != nil && rapid.IntRange(0, 4).Draw(t, "dies") == 0 {
					w.seen.Sandbox.Ready = false
				}
			case "kill":
				if rapid.IntRange(0, 9).Draw(t, "really") == 0 {
					w.m.End(w.now, Ending{Grace: time.Duration(rapid.IntRange(0, 60).Draw(t, "grace")) * time.Second, Cause: Killed})
				}
			}
		}
		w.m.End(w.now, Ending{Grace: time.Second, Cause: Killed})
		for range 200 {
			for i := range pending {
				complete(i, false)
			}
			ask()
			if w.m.Finished() && len(pending) == 0 {
				break
			}
			w.now = w.now.Add(time.Minute)
		}
		s := w.m.Status(w.now, host)
		if !w.m.Finished() || w.seen.Sandbox != nil || s.Phase != corev1.PodFailed && s.Phase != corev1.PodSucceeded {
			t.Fatalf("does not end: phase %s, sandbox %v, pending %v", s.Phase, w.seen.Sandbox, pending)
		}
	})
}

func anyPod(t *rapid.T) *corev1.Pod {
	policy := rapid.SampledFrom([]corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}).Draw(t, "policy")
	pod := podOf(policy)
	for i := range rapid.IntRange(0, 3).Draw(t, "init") {
		c := corev1.Container{Name: fmt.Sprintf("i%d", i)}
		if rapid.Bool().Draw(t, "sidecar") {
			always := corev1.ContainerRestartPolicyAlways
			c.RestartPolicy = &always
		}
		pod.Spec.InitContainers = append(pod.Spec.InitContainers, c)
	}
	for i := range rapid.IntRange(1, 3).Draw(t, "main") {
		c := corev1.Container{Name: fmt.Sprintf("c%d", i)}
		for _, probe := range []**corev1.Probe{&c.StartupProbe, &c.LivenessProbe, &c.ReadinessProbe} {
			if rapid.Bool().Draw(t, "probe") {
				*probe = &corev1.Probe{}
			}
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}

func anyOf(t *rapid.T, pending map[int]Action) (int, bool) {
	var keys []int
	for i := range 10_000 {
		if _, ok := pending[i]; ok {
			keys = append(keys, i)
		}
		if len(keys) == len(pending) {
			break
		}
	}
	if len(keys) == 0 {
		return 0, false
	}
	return rapid.SampledFrom(keys).Draw(t, "action"), true
}

func alive(w *world, id string) bool {
	for _, i := range w.seen.Instances {
		if i.ID == id {
			return i.State != Exited
		}
	}
	return false
}

// check holds what must be true at every moment.
func check(t *rapid.T, w *world, pending map[int]Action) {
	starts, sandboxes := map[string]int{}, 0
	for _, a := range pending {
		switch a.Kind {
		case StartContainer:
			starts[a.Container]++
			if starts[a.Container] > 1 {
				t.Fatalf("container %s is started twice at a time", a.Container)
			}
			if w.m.ending != nil && w.m.Finished() {
				t.Fatal("finished while a container is being started")
			}
		case CreateSandbox, RemoveSandbox:
			if sandboxes++; sandboxes > 1 {
				t.Fatal("two actions on the sandbox at a time")
			}
		case KillContainer, RemoveInstance:
		}
	}
	running := map[string]int{}
	for _, i := range w.seen.Instances {
		if i.State == Running {
			if running[i.Container]++; running[i.Container] > 1 {
				t.Fatalf("container %s runs twice", i.Container)
			}
		}
	}
	s := w.m.Status(w.now, host)
	for _, c := range append(s.ContainerStatuses, s.InitContainerStatuses...) {
		states := 0
		for _, set := range []bool{c.State.Waiting != nil, c.State.Running != nil, c.State.Terminated != nil} {
			if set {
				states++
			}
		}
		if states != 1 {
			t.Fatalf("container %s has %d states", c.Name, states)
		}
	}
	ready := condition(s, corev1.PodReady).Status == corev1.ConditionTrue
	for _, c := range s.ContainerStatuses {
		if ready && !c.Ready {
			t.Fatalf("the pod is ready, container %s is not", c.Name)
		}
	}
	terminal := s.Phase == corev1.PodSucceeded || s.Phase == corev1.PodFailed
	if terminal && w.m.ending == nil && w.m.failedInit() == nil {
		t.Fatalf("phase %s of a pod that does not end", s.Phase)
	}
}
