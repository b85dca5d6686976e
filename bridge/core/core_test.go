package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// bench drives a State by hand.
type bench struct {
	t     *testing.T
	state *State
	now   time.Time
}

func newBench(t *testing.T) *bench {
	b := &bench{t: t, state: New(simConfig), now: time.Unix(1000, 0)}
	b.step(NodesKnown{})
	b.step(PodsSynced{})
	b.step(Subscribed{Framework: mesos.FrameworkID{Value: "F"}})
	b.step(FrameworkKept{})
	b.step(listed("S0"))
	return b
}

func listed(ids ...string) AgentsListed {
	answer := &master.Response_GetAgents{}
	for _, id := range ids {
		answer.Agents = append(answer.Agents, master.Response_GetAgents_Agent{
			AgentInfo: mesos.AgentInfo{ID: &mesos.AgentID{Value: id}, Hostname: "host-" + id}, Active: true, TotalResources: simTotal.Resources("r"),
		})
	}
	return AgentsListed{Answer: answer}
}

func (b *bench) step(e Event) []Effect { return b.state.Step(b.now, e) }

func (b *bench) after(d time.Duration, e Event) []Effect {
	b.now = b.now.Add(d)
	return b.step(e)
}

func one[T Effect](effects []Effect) (found T, ok bool) {
	for _, e := range effects {
		if f, is := e.(T); is {
			found, ok = f, true
		}
	}
	return found, ok
}

func pending(name string, cpu int64) PodSeen {
	return PodSeen{Pod: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "d", UID: types.UID(name)},
		Spec: corev1.PodSpec{NodeName: "host-s0", Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: virtualnode.Amounts{CPU: cpu}.List()},
		}}},
	}}
}

func (b *bench) offer(id string, a virtualnode.Amounts) []Effect {
	return b.step(Offered{Offers: []mesos.Offer{{ID: mesos.OfferID{Value: id}, AgentID: mesos.AgentID{Value: "S0"}, Resources: a.Resources("r")}}})
}

func TestD7_SeveralPodsGoIntoOneAccept(t *testing.T) {
	b := newBench(t)
	b.step(pending("a", 300))
	effects := b.step(pending("b", 300))
	if _, revives := one[Revive](effects); !revives {
		t.Errorf("waiting pods ask for no offers: %v", effects)
	}
	effects = b.offer("O", simTotal)
	accept, ok := one[Accept](effects)
	if !ok || len(accept.Tasks) != 2 {
		t.Fatalf("offers are answered with %v", effects)
	}
	if _, suppresses := one[Suppress](effects); !suppresses {
		t.Error("nobody waits, and offers are still wanted")
	}
	show, ok := one[ShowNode](effects)
	if got := show.View.Allocatable(); !ok || got.CPU != simTotal.CPU-simConfig.Executor.Resources.CPU {
		t.Errorf("allocatable is %v", got)
	}
}

func TestD7_AWaitIsVisibleAndBounded(t *testing.T) {
	b := newBench(t)
	b.step(pending("big", 1900)) // with the executor, that is more than is ever offered
	// Of 1.5 CPUs the executor will take 0.1.
	b.offer("O", virtualnode.Amounts{CPU: 1500, Memory: 1000_000})
	effects := b.after(tellAfter, Tick{})
	told, ok := one[Tell](effects)
	if !ok || !strings.Contains(told.Message, "1.9") || !strings.Contains(told.Message, "1.4") {
		t.Errorf("the wait is told as %+v", told)
	}
	write, ok := one[WriteStatus](effects)
	if !ok || write.Status.Conditions[0].Type != virtualnode.OfferCondition || write.Status.Conditions[0].Status != corev1.ConditionFalse {
		t.Errorf("the wait is written as %+v", write.Status)
	}
	if _, again := one[Tell](b.after(tellAfter, Tick{})); again {
		t.Error("the same is told again at once")
	}
	write, ok = one[WriteStatus](b.after(simConfig.PendingTimeout, Tick{}))
	if !ok || write.Status.Phase != corev1.PodFailed || write.Status.Reason != "OutOfcpu" {
		t.Errorf("the wait ends as %+v", write.Status)
	}
}

func TestLostAgentsNodeIsNotReadyAndItsPodsAreLeftAlone(t *testing.T) {
	b := newBench(t)
	b.step(pending("a", 300))
	b.offer("O", simTotal)
	gone, ok := one[ShowNode](b.step(listed()))
	if !ok || gone.View.Health != virtualnode.Gone || gone.Renew {
		t.Errorf("a lost agent is shown as %+v", gone)
	}
	unreachable := mesos.TASK_UNREACHABLE
	effects := b.step(TaskUpdated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "a.0"}, State: &unreachable, AgentID: &mesos.AgentID{Value: "S0"}}})
	for _, e := range effects {
		switch e.(type) {
		case WriteStatus, Delete, Accept:
			t.Errorf("an unreachable pod is touched: %+v", e)
		}
	}
	back, ok := one[ShowNode](b.step(listed("S0")))
	if !ok || back.View.Health != virtualnode.Healthy || !back.Renew {
		t.Errorf("an agent that is back is shown as %+v", back)
	}
}

func TestAPodDeletedWhileItsAgentWasAwayEndsAtOnceWhenItIsBack(t *testing.T) {
	b := newBench(t)
	seen := pending("a", 300)
	b.step(seen)
	b.offer("O", simTotal)
	update := func(state mesos.TaskState) []Effect {
		return b.step(TaskUpdated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "a.0"}, State: &state, AgentID: &mesos.AgentID{Value: "S0"}}})
	}
	update(mesos.TASK_RUNNING)
	update(mesos.TASK_UNREACHABLE)
	deleted := seen.Pod.DeepCopy()
	deleted.DeletionTimestamp = &metav1.Time{Time: b.now}
	if _, kills := one[Kill](b.step(PodSeen{Pod: deleted})); !kills {
		t.Error("the end was not asked for")
	}
	if _, again := one[Kill](update(mesos.TASK_UNREACHABLE)); again {
		t.Error("asked again while the agent is away")
	}
	if _, kills := one[Kill](update(mesos.TASK_RUNNING)); !kills {
		t.Error("the pod of the agent that is back runs on")
	}
	if _, again := one[Kill](update(mesos.TASK_RUNNING)); again {
		t.Error("asked again at once")
	}
}

func TestARefusedPodFailsByName(t *testing.T) {
	b := newBench(t)
	seen := pending("a", 1)
	seen.Refused = "this node does not support X"
	effects := b.step(seen)
	write, ok := one[WriteStatus](effects)
	if !ok || write.Status.Phase != corev1.PodFailed || write.Status.Message != seen.Refused {
		t.Errorf("refused as %+v", effects)
	}
	if _, launched := one[Accept](b.offer("O", simTotal)); launched {
		t.Error("a refused pod was launched")
	}
}

func TestADroppedTaskIsLaunchedUnderANewID(t *testing.T) {
	b := newBench(t)
	b.step(pending("a", 1))
	b.offer("O", simTotal)
	dropped := mesos.TASK_DROPPED
	effects := b.step(TaskUpdated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "a.0"}, State: &dropped, AgentID: &mesos.AgentID{Value: "S0"}}})
	if keep, ok := one[KeepAttempt](effects); !ok || keep.Attempt != 1 {
		t.Fatalf("dropped: %v", effects)
	}
	if _, launched := one[Accept](b.offer("P", simTotal)); launched {
		t.Error("launched before the attempt was kept")
	}
	b.step(AttemptKept{UID: "a", Attempt: 1})
	if _, launched := one[Accept](b.offer("Q", simTotal)); launched {
		t.Error("launched again without a pause")
	}
	b.after(relaunchFirst, Tick{})
	accept, ok := one[Accept](b.offer("R", simTotal))
	if !ok || accept.Tasks[0].TaskID.Value != "a.1" {
		t.Errorf("launched as %+v", accept)
	}
}

// The pause between launches in vain doubles, and the last of them fails the pod.
func TestATaskThatIsAlwaysDroppedFailsItsPod(t *testing.T) {
	b := newBench(t)
	b.state.config.PendingTimeout = time.Hour
	b.step(pending("a", 1))
	b.offer("O", simTotal)
	dropped := mesos.TASK_DROPPED
	pause := relaunchFirst
	for attempt := range mostDrops {
		b.step(TaskUpdated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: fmt.Sprintf("a.%d", attempt)}, State: &dropped, AgentID: &mesos.AgentID{Value: "S0"}}})
		b.step(AttemptKept{UID: "a", Attempt: attempt + 1})
		b.after(pause-1, Tick{})
		if _, early := one[Accept](b.offer(fmt.Sprint("early", attempt), simTotal)); early {
			t.Fatalf("attempt %d comes before its pause of %s is over", attempt+1, pause)
		}
		b.after(1, Tick{})
		accept, launched := one[Accept](b.offer(fmt.Sprint("offer", attempt), simTotal))
		if !launched || accept.Tasks[0].TaskID.Value != fmt.Sprintf("a.%d", attempt+1) {
			t.Fatalf("attempt %d: %+v", attempt+1, accept)
		}
		pause = min(2*pause, relaunchMax)
	}
	last := mesos.TaskStatus{TaskID: mesos.TaskID{Value: fmt.Sprintf("a.%d", mostDrops)}, State: &dropped, AgentID: &mesos.AgentID{Value: "S0"}}
	if write, ok := one[WriteStatus](b.step(TaskUpdated{Status: last})); !ok || write.Status.Phase != corev1.PodFailed {
		t.Errorf("after %d attempts: %+v", mostDrops, write)
	}
}

// A kubelet starts a pod's containers again after its machine was switched off; so does the next attempt, once the end of
// the last one is certain. Other restart policies leave it to the pod's controller.
func TestAPodWhoseExecutorEndedStartsAgain(t *testing.T) {
	for policy, again := range map[corev1.RestartPolicy]bool{
		corev1.RestartPolicyAlways: true, corev1.RestartPolicyOnFailure: false, corev1.RestartPolicyNever: false,
	} {
		b := newBench(t)
		seen := pending("a", 1)
		seen.Pod.Spec.RestartPolicy = policy
		b.step(seen)
		b.offer("O", simTotal)
		running, failed, why := mesos.TASK_RUNNING, mesos.TASK_FAILED, mesos.REASON_EXECUTOR_TERMINATED
		b.step(TaskUpdated{
			Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "a.0"}, State: &running, AgentID: &mesos.AgentID{Value: "S0"}},
			Report: &corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{{Name: "c", Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}},
		})
		end := mesos.TaskStatus{TaskID: mesos.TaskID{Value: "a.0"}, State: &failed, Reason: &why, UUID: []byte("0123456789abcdef"), AgentID: &mesos.AgentID{Value: "S0"}}
		effects := b.step(TaskUpdated{Status: end})
		write, written := one[WriteStatus](effects)
		if !written || write.Ack == nil {
			t.Fatalf("%s: the end is not written and acknowledged: %v", policy, effects)
		}
		keep, kept := one[KeepAttempt](effects)
		if kept != again || kept && keep.Attempt != 1 {
			t.Errorf("%s: %v", policy, effects)
		}
		if want := map[bool]corev1.PodPhase{true: corev1.PodRunning, false: corev1.PodFailed}[again]; write.Status.Phase != want || write.Status.ContainerStatuses[0].Ready {
			t.Errorf("%s: written as %+v", policy, write.Status)
		}
		asked := mesos.REASON_RECONCILIATION
		b.step(TaskUpdated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "a.0"}, State: &failed, Reason: &asked}}) // the master's answer comes late
		b.step(AttemptKept{UID: "a", Attempt: 1})
		b.after(relaunchFirst, Tick{})
		accept, launched := one[Accept](b.offer("P", simTotal))
		if launched != again || launched && accept.Tasks[0].TaskID.Value != "a.1" {
			t.Errorf("%s: launched as %+v", policy, accept)
		}
	}
}

func TestANameThatIsTakenIsNotFoughtOver(t *testing.T) {
	b := newBench(t)
	b.step(NameTaken{Node: "host-s0"})
	show, ok := one[ShowNode](b.step(listed("S0")))
	if !ok || show.View.Name == "host-s0" {
		t.Errorf("shown as %q", show.View.Name)
	}
}

func TestANodeWithoutAgentAndPodsGoes(t *testing.T) {
	b := newBench(t)
	b.step(listed())
	b.after(time.Second, Tick{})
	if removed, ok := one[RemoveNode](b.after(forgetNode, Tick{})); !ok || removed.Name != "host-s0" {
		t.Errorf("removed %+v", removed)
	}
}

func TestTheKubeletsEventsAreThoseOfTheExecutor(t *testing.T) {
	b := newBench(t)
	b.step(pending("a", 1))
	b.offer("O", simTotal)
	told := PodEvent{TaskID: "a.0", FieldPath: "spec.containers{c}", Warning: true, Reason: "Unhealthy", Message: "it coughs"}
	tell, ok := one[Tell](b.step(ExecutorSaid{AgentID: "S0", Endpoint: "E", Events: []PodEvent{told}}))
	if !ok || tell.Pod.Name != "a" || tell.Node != "host-s0" || tell.FieldPath != told.FieldPath || !tell.Warning || tell.Reason != "Unhealthy" || tell.Message != "it coughs" {
		t.Errorf("recorded as %+v", tell)
	}
	for _, other := range []string{"b.0", "a.1", "a"} {
		told.TaskID = other
		if tell, ok := one[Tell](b.step(ExecutorSaid{AgentID: "S0", Endpoint: "E", Events: []PodEvent{told}})); ok {
			t.Errorf("an event of task %s is recorded as %+v", other, tell)
		}
	}
}

func TestAMachineStaysKnownOverARestart(t *testing.T) {
	b := newBench(t)
	machine := corev1.NodeSystemInfo{KernelVersion: "6.1", OSImage: "Debian", MachineID: "m", ContainerRuntimeVersion: "containerd://2", Architecture: "arm64"}
	show, ok := one[ShowNode](b.step(ExecutorSaid{AgentID: "S0", Endpoint: "E", System: &machine}))
	node := show.View.Node(b.now, nil)
	if info := node.Status.NodeInfo; !ok || info.KernelVersion != "6.1" || info.Architecture != "arm64" || info.KubeletVersion != virtualnode.KubeletVersion || node.Labels[corev1.LabelArchStable] != "arm64" {
		t.Errorf("shown as %+v, %v", info, node.Labels)
	}
	again := New(simConfig)
	again.Step(b.now, NodesKnown{Ours: []KnownNode{{Name: "host-s0", AgentID: "S0", System: virtualnode.SystemOf(node)}}})
	show, ok = one[ShowNode](again.Step(b.now, listed("S0")))
	if info := show.View.Node(b.now, nil).Status.NodeInfo; !ok || info.KernelVersion != "6.1" || info.ContainerRuntimeVersion != "containerd://2" {
		t.Errorf("after a restart shown as %+v", info)
	}
	bare := virtualnode.View{Agent: virtualnode.Agent{ID: "S9", Version: "1.11.0"}}
	if info := virtualnode.SystemOf(bare.Node(b.now, nil)); info != (corev1.NodeSystemInfo{}) {
		t.Errorf("a machine that nobody described is known as %+v", info)
	}
}

func TestHostPortsOfTheAgentAreTakenFromMesos(t *testing.T) {
	b := newBench(t)
	kind := mesos.RANGES
	ports := func(begin, end uint64) mesos.Resource {
		return mesos.Resource{Name: "ports", Type: &kind, Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: begin, End: end}}}}
	}
	agents := listed("S0")
	agents.Answer.Agents[0].TotalResources = append(agents.Answer.Agents[0].TotalResources, ports(31000, 31009))
	b.step(agents)
	seen := pending("a", 10)
	seen.Pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 1, HostPort: 31005}, {ContainerPort: 2, HostPort: 443}}
	b.step(seen)
	offer := func(id string, begin, end uint64) []Effect {
		return b.step(Offered{Offers: []mesos.Offer{{
			ID: mesos.OfferID{Value: id}, AgentID: mesos.AgentID{Value: "S0"}, Resources: append(virtualnode.Amounts{CPU: 500, Memory: 500_000}.Resources("r"), ports(begin, end)),
		}}})
	}
	if accept, early := one[Accept](offer("O", 31000, 31004)); early {
		t.Fatalf("launched without its port: %+v", accept)
	}
	told, ok := one[Tell](b.after(tellAfter, Tick{}))
	if !ok || !strings.Contains(told.Message, "31005") || strings.Contains(told.Message, "443") {
		t.Errorf("the wait is told as %+v", told)
	}
	accept, ok := one[Accept](offer("P", 31005, 31009))
	if !ok {
		t.Fatal("not launched with its port")
	}
	taken := virtualnode.PortsOf(accept.Tasks[0].Resources)
	if len(taken) != 1 || taken[0] != (mesos.Value_Range{Begin: 31005, End: 31005}) {
		t.Errorf("the task takes ports %v", taken)
	}
}
