package virtualnode

import (
	"math"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

func container(cpu, mem, cpuLimit, memLimit string) corev1.Container {
	list := func(cpu, mem string) corev1.ResourceList {
		l := corev1.ResourceList{}
		if cpu != "" {
			l[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if mem != "" {
			l[corev1.ResourceMemory] = resource.MustParse(mem)
		}
		return l
	}
	return corev1.Container{Resources: corev1.ResourceRequirements{Requests: list(cpu, mem), Limits: list(cpuLimit, memLimit)}}
}

func sidecar(c corev1.Container) corev1.Container {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return c
}

func TestVK03_VK04_RequestsAndLimits(t *testing.T) {
	for _, test := range []struct {
		name     string
		spec     corev1.PodSpec
		requests Amounts
		limits   Amounts
	}{
		{"nothing asked", corev1.PodSpec{Containers: []corev1.Container{{}}}, Amounts{}, Amounts{CPU: Unlimited, Memory: Unlimited}},
		{
			"sum of containers, rounded up to MiB",
			corev1.PodSpec{Containers: []corev1.Container{container("100m", "1", "1", "64Mi"), container("250m", "10Mi", "500m", "64Mi")}},
			Amounts{CPU: 350, Memory: 11_000},
			Amounts{CPU: 1500, Memory: 128_000},
		},
		{
			"one container without a limit frees the pod",
			corev1.PodSpec{Containers: []corev1.Container{container("1", "1Gi", "1", "1Gi"), container("1", "1Gi", "", "")}},
			Amounts{CPU: 2000, Memory: 2048_000},
			Amounts{CPU: Unlimited, Memory: Unlimited},
		},
		{
			"a larger init container counts alone",
			corev1.PodSpec{InitContainers: []corev1.Container{container("2", "1Mi", "2", "1Mi")}, Containers: []corev1.Container{container("1", "2Mi", "1", "2Mi")}},
			Amounts{CPU: 2000, Memory: 2000},
			Amounts{CPU: 2000, Memory: 2000},
		},
		{
			"sidecars run beside init containers that come later",
			corev1.PodSpec{
				InitContainers: []corev1.Container{sidecar(container("1", "", "", "")), container("3", "", "", "")},
				Containers:     []corev1.Container{container("2", "", "", "")},
			},
			Amounts{CPU: 4000},
			Amounts{CPU: Unlimited, Memory: Unlimited},
		},
		{
			"overhead is added",
			corev1.PodSpec{Containers: []corev1.Container{container("1", "", "1", "1Mi")}, Overhead: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m")}},
			Amounts{CPU: 1100},
			Amounts{CPU: 1100, Memory: 1000},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := Requests(&test.spec); got != test.requests {
				t.Errorf("requests %v, want %v", got, test.requests)
			}
			if got := Limits(&test.spec); got != test.limits {
				t.Errorf("limits %v, want %v", got, test.limits)
			}
		})
	}
}

func TestTaskOfAPod(t *testing.T) {
	seconds := int64(7)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "p", UID: "u"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{container("1", "4Mi", "2", "")}, TerminationGracePeriodSeconds: &seconds,
	}}
	task := Task(Launch{Pod: pod, Attempt: 2, AgentID: "A", Limits: true, Executor: Executor{Command: "x", Role: "r"}.Info()})
	if task.TaskID.Value != "u.2" || task.TaskID.Value != podapi.TaskID("u", 2) {
		t.Errorf("task id %q", task.TaskID.Value)
	}
	if task.Limits["cpus"].Value != 2 || !math.IsInf(task.Limits["mem"].Value, 1) {
		t.Errorf("limits %v", task.Limits)
	}
	if got := time.Duration(task.KillPolicy.GracePeriod.Nanoseconds); got != 7*time.Second {
		t.Errorf("grace %v", got)
	}
	if uid, attempt, ok := PodOfTask("u.2"); uid != "u" || attempt != 2 || !ok {
		t.Errorf("read back %q %d %v", uid, attempt, ok)
	}
	for _, bad := range []string{"", ".1", "u", "u.x", "u.-1"} {
		if _, _, ok := PodOfTask(bad); ok {
			t.Errorf("%q was read as a task id", bad)
		}
	}
}

func TestTV11_ExecutorsThatDifferHaveDifferentIDs(t *testing.T) {
	a := Executor{Command: "x", Role: "r"}
	b := a
	b.Command = "y"
	first, again := a.Info().ExecutorID, a.Info().ExecutorID
	if first == b.Info().ExecutorID || first != again {
		t.Error("the executor's id does not follow its content")
	}
}

func drawResources(t *rapid.T) []mesos.Resource {
	var out []mesos.Resource
	for range rapid.IntRange(0, 6).Draw(t, "resources") {
		amount := Amounts{
			CPU: rapid.Int64Range(0, 3000).Draw(t, "cpu"), Memory: rapid.Int64Range(0, 3000).Draw(t, "mem"), Disk: rapid.Int64Range(0, 3000).Draw(t, "disk"),
		}
		for _, r := range amount.Resources("role") {
			if rapid.Bool().Draw(t, "reserved") {
				role := "role"
				r.Reservations = []mesos.Resource_ReservationInfo{{Role: &role}}
			}
			out = append(out, r)
		}
	}
	return out
}

func drawAmounts(t *rapid.T, most int64) Amounts {
	return Amounts{
		CPU: rapid.Int64Range(0, most).Draw(t, "wantCPU"), Memory: rapid.Int64Range(0, most).Draw(t, "wantMem"), Disk: rapid.Int64Range(0, most).Draw(t, "wantDisk"),
	}
}

func TestCarveLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offered, want := drawResources(t), drawAmounts(t, 6000)
		have := Of(offered)
		taken, rest, ok := Carve(offered, want)
		if ok != want.FitsIn(have) {
			t.Fatalf("ok is %v for %v of %v", ok, want, have)
		}
		if ok && Of(taken) != want {
			t.Fatalf("took %v, wanted %v", Of(taken), want)
		}
		if Of(taken).Plus(Of(rest)) != have || Of(offered) != have {
			t.Fatalf("%v and %v are not %v", Of(taken), Of(rest), have)
		}
	})
}

func TestDecidePlacesWithinOffers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		agents := []string{"a", "b", "c"}
		h := Holding{Executor: drawAmounts(t, 200), Headroom: drawAmounts(t, 3000), Runs: map[string]bool{}, Barred: map[string]bool{}}
		needs := map[string]Waiting{}
		for i := range rapid.IntRange(0, 8).Draw(t, "pods") {
			w := Waiting{UID: string(rune('A' + i)), Agent: rapid.SampledFrom(agents).Draw(t, "agent"), Needs: drawAmounts(t, 4000), Priority: rapid.Int32Range(0, 2).Draw(t, "priority")}
			h.Waiting = append(h.Waiting, w)
			needs[w.UID] = w
		}
		offers := map[string]Offer{}
		for i := range rapid.IntRange(0, 5).Draw(t, "offers") {
			o := Offer{ID: string(rune('0' + i)), Agent: rapid.SampledFrom(agents).Draw(t, "agent"), Resources: drawResources(t)}
			h.Offers = append(h.Offers, o)
			offers[o.ID] = o
		}
		for _, a := range agents {
			h.Runs[a] = rapid.Bool().Draw(t, "runs")
			h.Barred[a] = rapid.IntRange(0, 4).Draw(t, "barred") == 0
		}
		plan := Decide(h)
		used, placed := map[string]bool{}, map[string]bool{}
		use := func(id string) {
			if used[id] {
				t.Fatalf("offer %s is used twice", id)
			}
			used[id] = true
		}
		for _, id := range plan.Declines {
			use(id)
		}
		for _, accept := range plan.Accepts {
			if h.Barred[accept.Agent] || len(accept.Pods) == 0 {
				t.Fatalf("accepts %v", accept)
			}
			var have, takes Amounts
			for _, id := range accept.Offers {
				use(id)
				if offers[id].Agent != accept.Agent {
					t.Fatalf("offer %s of another agent", id)
				}
				have = have.Plus(Of(offers[id].Resources))
			}
			if !h.Runs[accept.Agent] {
				takes = h.Executor
			}
			for _, p := range accept.Pods {
				if placed[p.UID] || needs[p.UID].Agent != accept.Agent || Of(p.Taken) != needs[p.UID].Needs {
					t.Fatalf("places %v", p)
				}
				placed[p.UID] = true
				takes = takes.Plus(Of(p.Taken))
			}
			if !takes.FitsIn(have) {
				t.Fatalf("takes %v of %v", takes, have)
			}
		}
		for _, w := range h.Waiting {
			if _, short := plan.Short[w.UID]; short == placed[w.UID] {
				t.Fatalf("pod %s is placed %v and short %v", w.UID, placed[w.UID], short)
			}
		}
		if len(plan.Short) > 0 && !plan.Wanting {
			t.Fatal("pods wait and nothing is wanted")
		}
	})
}

func TestDecideDoesNotHoard(t *testing.T) {
	plan := Decide(Holding{Offers: []Offer{{ID: "o", Agent: "a", Resources: Amounts{CPU: 4000, Memory: 4000}.Resources("r")}}})
	if len(plan.Declines) != 1 || plan.Wanting {
		t.Errorf("an idle bridge plans %+v", plan)
	}
}

func TestVK13_NodeOfAnAgent(t *testing.T) {
	text := "r1/a b"
	view := View{
		Name: "n", MaxPods: 110, Architecture: "amd64", KubeletAddress: "10.0.0.1", KubeletPort: 4242,
		Agent: Agent{
			ID: "x-S1", IP: "10.0.0.9", Region: "eu", Zone: "eu-1", Version: "1.11.0", Total: Amounts{CPU: 4000, Memory: 8000_000},
			Taken:      Amounts{CPU: 1000, Memory: 1000_000},
			Attributes: []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: text}}, {Name: "level", Type: mesos.SCALAR, Scalar: &mesos.Value_Scalar{Value: 2.5}}},
		},
		Held: Amounts{CPU: 500}, Ours: Amounts{CPU: 600, Memory: 16_000}, Overhead: Amounts{},
	}
	node := view.Node(time.Unix(100, 0), nil)
	for key, want := range map[string]string{
		corev1.LabelTopologyRegion: "eu", corev1.LabelTopologyZone: "eu-1", AttributePrefix + "rack": "r1_a_b", AttributePrefix + "level": "2.5",
		corev1.LabelHostname: "n", corev1.LabelArchStable: "amd64", corev1.LabelOSStable: "linux",
	} {
		if node.Labels[key] != want {
			t.Errorf("label %s is %q, want %q", key, node.Labels[key], want)
		}
	}
	// 4000 in all, 1000 others', 600 ours of which pods asked for 500: 2400 are free beside the 500.
	if got := node.Status.Allocatable.Cpu().MilliValue(); got != 2900 {
		t.Errorf("allocatable is %dm", got)
	}
	if len(node.Spec.Taints) != 0 {
		t.Errorf("taints %v", node.Spec.Taints)
	}
	view.Health = Gone
	later := view.Node(time.Unix(200, 0), node)
	if c := later.Status.Conditions[0]; c.Type != corev1.NodeReady || c.Status != corev1.ConditionUnknown || c.LastTransitionTime.Unix() != 200 {
		t.Errorf("a lost agent's node is %+v", c)
	}
	again := view.Node(time.Unix(300, 0), later)
	if c := again.Status.Conditions[0]; c.LastTransitionTime.Unix() != 200 || c.LastHeartbeatTime.Unix() != 300 {
		t.Errorf("the transition is dated %v", c)
	}
}

func TestNodeNamesAreUniqueAndStable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func() []Agent {
			var agents []Agent
			for i := range rapid.IntRange(0, 6).Draw(t, "agents") {
				agents = append(agents, Agent{ID: "m-S" + string(rune('0'+i)), Hostname: rapid.SampledFrom([]string{"Host", "host", "a_b", "", "-", "ä.example", "x.y"}).Draw(t, "host")})
			}
			return agents
		}
		foreign := map[string]bool{"host": rapid.Bool().Draw(t, "foreign")}
		agents := draw()
		names := NodeNames(agents, nil, foreign, "")
		seen := map[string]bool{}
		for _, a := range agents {
			name := names[a.ID]
			if seen[name] || foreign[name] || len(validation.IsDNS1123Subdomain(name)) > 0 || len(validation.IsValidLabelValue(name)) > 0 {
				t.Fatalf("agent %+v is named %q", a, name)
			}
			seen[name] = true
		}
		again := NodeNames(agents, names, foreign, "")
		for id, name := range names {
			if again[id] != name {
				t.Fatalf("%s was renamed from %q to %q", id, name, again[id])
			}
		}
	})
}

func TestAReinstalledAgentIsTheSameNode(t *testing.T) {
	names := NodeNames([]Agent{{ID: "new", Hostname: "h"}}, map[string]string{"old": "h"}, nil, "")
	if names["new"] != "h" {
		t.Errorf("named %q", names["new"])
	}
}

func TestLabelValuesAreValid(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if value := LabelValue(rapid.String().Draw(t, "text")); len(validation.IsValidLabelValue(value)) > 0 {
			t.Fatalf("%q", value)
		}
	})
}

func TestMergeKeepsOthersConditions(t *testing.T) {
	pod := &corev1.Pod{
		Spec:   corev1.PodSpec{ReadinessGates: []corev1.PodReadinessGate{{ConditionType: "gate"}}},
		Status: corev1.PodStatus{QOSClass: corev1.PodQOSBurstable, PodIP: "10.0.0.1", Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: OfferCondition}}},
	}
	reported := &corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}}}
	merged := Merge(pod, reported, "10.9.9.9")
	got := map[corev1.PodConditionType]corev1.ConditionStatus{}
	for _, c := range merged.Conditions {
		got[c.Type] = c.Status
	}
	if got[corev1.PodScheduled] != corev1.ConditionTrue || got[corev1.PodReady] != corev1.ConditionFalse || len(got) != 3 {
		t.Errorf("conditions %v", merged.Conditions)
	}
	if merged.QOSClass != corev1.PodQOSBurstable || merged.HostIP != "10.9.9.9" || merged.PodIP != "10.0.0.1" {
		t.Errorf("merged %+v", merged)
	}
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "gate", Status: corev1.ConditionTrue})
	for _, c := range Merge(pod, reported, "").Conditions {
		if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue {
			t.Errorf("not ready behind an open gate: %+v", c)
		}
	}
}

func TestEndedWithoutAWordIsFinal(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}}}
	lost := mesos.TASK_LOST
	reason, message := WhyEnded(&mesos.TaskStatus{State: &lost})
	status := Ended(pod, metav1.Now(), reason, message)
	if !Finished(status) || status.Reason != ReasonNodeLost || status.ContainerStatuses[0].State.Terminated == nil || status.ContainerStatuses[0].Ready {
		t.Errorf("status %+v", status)
	}
	if pod.Status.ContainerStatuses[0].State.Running == nil {
		t.Error("the pod itself was changed")
	}
}

func TestReferencesNameEverythingOnce(t *testing.T) {
	optional := true
	spec := corev1.PodSpec{
		ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
		Containers: []corev1.Container{{
			Env:     []corev1.EnvVar{{ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}}},
			EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "maybe"}, Optional: &optional}}},
		}},
		Volumes: []corev1.Volume{
			{VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}, Optional: &optional}}},
			{VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}}}}}},
		},
	}
	names := References(&spec)
	if len(names.ConfigMaps) != 1 || len(names.Secrets) != 3 || !names.Needed["configmap/cm"] || !names.Needed["secret/s"] || names.Needed["secret/maybe"] || names.Needed["secret/pull"] {
		t.Errorf("names %+v", names)
	}
}

func TestWhatANodeSaysNoLongerIsOver(t *testing.T) {
	pod := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
		{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodResizePending, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionFalse},
	}}}
	merged := Merge(pod, &corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}, "")
	if len(merged.Conditions) != 2 || merged.Conditions[0].Type != corev1.PodScheduled || merged.Conditions[1].Status != corev1.ConditionTrue {
		t.Errorf("conditions are %+v", merged.Conditions)
	}
}

func TestAPodBoundByHandIsScheduled(t *testing.T) {
	reported := &corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue, Reason: "node"}}}
	pod := &corev1.Pod{}
	next := Merge(pod, reported, "").Conditions
	if len(next) != 1 || len(WithForeign(nil, next)) != 1 {
		t.Errorf("without a scheduler the conditions are %+v", next)
	}
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
	next = Merge(pod, reported, "").Conditions
	if written := WithForeign(pod.Status.Conditions, next); len(written) != 1 || written[0].Reason != "" {
		t.Errorf("the scheduler's word became %+v", written)
	}
}
