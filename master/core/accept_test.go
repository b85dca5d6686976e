package core

import (
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func TestOFF01_to_OFF05_ShapeOfOffers(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096;disk:100;ports:[31000-32000]")
	plain := w.subscribe(named("plain"))
	o := plain.offer()
	if o.ID.Value != "m-O0" || o.AgentID.Value != a.id || o.Hostname != a.info.Hostname || o.URL.GetPath() != "/slave(1)" || o.URL.Address.Port != 5051 {
		t.Errorf("offer %v", o)
	}
	for _, r := range o.Resources {
		if r.AllocationInfo != nil || r.GetRole() != "*" || r.Reservations != nil {
			t.Errorf("resource %v for a framework without capabilities", r)
		}
	}
	plain.decline(100, o)
	info := named("modern", mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT)
	info.Roles = []string{"prod"}
	modern := w.subscribe(info)
	o = modern.offer()
	if o.AllocationInfo.GetRole() != "prod" {
		t.Errorf("allocation %v", o.AllocationInfo)
	}
	for _, r := range o.Resources {
		if r.AllocationInfo.GetRole() != "prod" || r.Role != nil {
			t.Errorf("resource %v for a MULTI_ROLE framework", r)
		}
	}
}

func TestOFF06_OfferTimeout(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.OfferTimeout = 3 * time.Second })
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	first := f.offer()
	w.pass(4*time.Second, a.pid)
	rescinded := f.of(scheduler.Event_RESCIND)
	if len(rescinded) != 1 || rescinded[0].Rescind.OfferID != first.ID {
		t.Fatalf("rescinded %v", rescinded)
	}
	if f.offer().ID == first.ID {
		t.Error("the resources were not offered again")
	}
}

func TestOFF09_OFF11_RefusalsAndRevive(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	f.decline(5, f.offer())
	w.pass(4*time.Second, a.pid)
	if n := len(f.offers()); n != 1 {
		t.Fatalf("%d offers although refused for 5 s", n)
	}
	w.pass(2*time.Second, a.pid)
	if n := len(f.offers()); n != 2 {
		t.Fatalf("%d offers after the refusal ended, want 2", n)
	}
	f.decline(1000, f.offer())
	f.call(scheduler.Call{Type: scheduler.Call_REVIVE})
	if n := len(f.offers()); n != 3 {
		t.Fatalf("%d offers after REVIVE, want 3", n)
	}
	f.decline(0, f.offer())
	w.pass(time.Second, a.pid)
	if n := len(f.offers()); n != 4 {
		t.Fatalf("%d offers a second after a refusal of 0 s, want 4", n)
	}
}

func TestACC01_InvalidOffers(t *testing.T) {
	for _, aware := range []bool{false, true} {
		w := newWorld(t)
		w.agent("cpus:4;mem:4096")
		w.agent("cpus:4;mem:4096")
		var caps []mesos.FrameworkInfo_Capability_Type
		want := mesos.TASK_LOST
		if aware {
			caps, want = append(caps, mesos.FrameworkInfo_Capability_PARTITION_AWARE), mesos.TASK_DROPPED
		}
		f := w.subscribe(named("f", caps...))
		two := f.offers()
		op := launch(command("t", two[0], "cpus:1;mem:32"))
		for name, ids := range map[string][]mesos.OfferID{
			"none": {}, "unknown": {{Value: "nothing"}}, "twice": {two[0].ID, two[0].ID}, "two agents": {two[0].ID, two[1].ID},
		} {
			f.call(scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{OfferIDs: ids, Operations: []mesos.Offer_Operation{op}}})
			if s := f.update("t"); s.GetState() != want || s.GetReason() != mesos.REASON_INVALID_OFFERS || s.UUID != nil {
				t.Errorf("%s, partition aware %t: %v", name, aware, s)
			}
			delete(w.events, f.stream)
		}
		if w.s.offers[two[0].ID.Value] != nil || w.s.offers[two[1].ID.Value] != nil {
			t.Error("offers named by an invalid ACCEPT are still valid")
		}
	}
}

func TestACC01d_AnotherFrameworksOffer(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	owner := w.subscribe(named("owner"))
	o := owner.offer()
	thief := w.subscribe(named("thief"), "*")
	thief.accept(0, o, launch(command("t", o, "cpus:1;mem:32")))
	if s := thief.update("t"); s.GetReason() != mesos.REASON_INVALID_OFFERS {
		t.Errorf("%v", s)
	}
	if len(owner.of(scheduler.Event_RESCIND)) != 0 || w.s.offers[o.ID.Value] != nil {
		t.Error("the offer must be lost without a word")
	}
}

func TestACC03_ACC05_LaunchUsesUpTheOffer(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	o := f.offer()
	f.accept(0, o, launch(command("t1", o, "cpus:3;mem:32"), command("t2", o, "cpus:3;mem:32")), launch(command("t3", o, "cpus:1;mem:32")))
	if m := lastSent[*messages.RunTaskMessage](a); m == nil || m.Task.TaskID.Value != "t3" || !*m.LaunchExecutor || m.Framework.ID.Value != f.id {
		t.Fatalf("the agent was sent %v", m)
	}
	if s := f.update("t2"); s.GetState() != mesos.TASK_ERROR || s.GetReason() != mesos.REASON_TASK_INVALID {
		t.Errorf("a task beyond what is left: %v", s)
	}
	if f.update("t1") != nil || f.update("t3") != nil {
		t.Error("tasks that fit were refused")
	}
	left := f.offer()
	if left.ID == o.ID || scalar(left.Resources, "cpus") != 0 || scalar(left.Resources, "mem") != 4032 {
		t.Errorf("left over: %v", left.Resources)
	}
	v := w.s.View()
	if used := v.Agents[0].Used.Scalar("cpus").Float(); used != 4 {
		t.Errorf("%g cpus in use, want 4", used)
	}
	if got := len(v.Frameworks[0].Tasks); got != 2 {
		t.Errorf("%d tasks, want 2", got)
	}
}

func TestACC04_AcceptWithoutTasksDeclines(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	f.accept(5, f.offer(), launch())
	w.pass(4*time.Second, a.pid)
	if n := len(f.offers()); n != 1 {
		t.Fatalf("%d offers although the ACCEPT refused for 5 s", n)
	}
}

func TestACC07_OperationsNotSupportedAreAnswered(t *testing.T) {
	w := newWorld(t)
	w.agent("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	reserve := mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, ID: &mesos.OperationID{Value: "op"}, Reserve: &mesos.Offer_Operation_Reserve{}}
	f.accept(0, f.offer(), reserve)
	answers := f.of(scheduler.Event_UPDATE_OPERATION_STATUS)
	if len(answers) != 1 || answers[0].UpdateOperationStatus.Status.State != mesos.OPERATION_ERROR {
		t.Fatalf("%v", answers)
	}
	o := newOffer(t, w, f)
	op := launch(command("t", o, "cpus:1;mem:32"))
	op.ID = &mesos.OperationID{Value: "op"}
	f.accept(0, o, op)
	if s := f.update("t"); s.GetState() != mesos.TASK_ERROR {
		t.Errorf("LAUNCH with an operation id: %v", s)
	}
}

// newOffer waits for the next batch and returns the newest offer.
func newOffer(t *testing.T, w *world, f *testScheduler) mesos.Offer {
	t.Helper()
	w.pass(2 * time.Second)
	return f.offer()
}

func TestTV_TasksThatAreRefused(t *testing.T) {
	bad := "no"
	cases := map[string]func(*mesos.TaskInfo){
		"TV01 empty id":    func(x *mesos.TaskInfo) { x.TaskID.Value = "" },
		"TV01 slash":       func(x *mesos.TaskInfo) { x.TaskID.Value = "a/b" },
		"TV01 long":        func(x *mesos.TaskInfo) { x.TaskID.Value = strings.Repeat("x", 256) },
		"TV02 running":     func(x *mesos.TaskInfo) { x.TaskID.Value = "running" },
		"TV03 other agent": func(x *mesos.TaskInfo) { x.AgentID.Value = "other" },
		"TV04 kill policy": func(x *mesos.TaskInfo) {
			x.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: -1}}
		},
		"TV04 completion":   func(x *mesos.TaskInfo) { x.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: -1} },
		"TV05 health check": func(x *mesos.TaskInfo) { x.HealthCheck = &mesos.HealthCheck{Type: mesos.HealthCheck_TCP} },
		"TV05 check": func(x *mesos.TaskInfo) {
			x.Check = &mesos.CheckInfo{Type: mesos.CheckInfo_HTTP, HTTP: &mesos.CheckInfo_Http{Port: 1, Path: &bad}}
		},
		"TV06 no resources": func(x *mesos.TaskInfo) { x.Resources = nil },
		"TV06 overlap":      func(x *mesos.TaskInfo) { x.Resources = append(x.Resources, ports(31000, 31005, 31003, 31009)) },
		"TV07 environment": func(x *mesos.TaskInfo) {
			x.Command.Environment = &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "A"}}}
		},
		"TV08 volume": func(x *mesos.TaskInfo) {
			x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), Volumes: []mesos.Volume{{ContainerPath: "p"}}}
		},
		"TV09 limit":      func(x *mesos.TaskInfo) { x.Limits = map[string]mesos.Value_Scalar{"cpus": {Value: 0.5}} },
		"TV09 kind":       func(x *mesos.TaskInfo) { x.Limits = map[string]mesos.Value_Scalar{"disk": {Value: 100}} },
		"TV10 no command": func(x *mesos.TaskInfo) { x.Command = nil },
		"TV10 both":       func(x *mesos.TaskInfo) { x.Executor = &mesos.ExecutorInfo{} },
		"TV11 executor": func(x *mesos.TaskInfo) {
			x.Command, x.Executor = nil, &mesos.ExecutorInfo{Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "e"}}
		},
		"TV12 too much": func(x *mesos.TaskInfo) { x.Resources = resources("cpus:100;mem:32") },
		"TV13 share_cgroups": func(x *mesos.TaskInfo) {
			no := false
			x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), LinuxInfo: &mesos.LinuxInfo{ShareCgroups: &no}}
		},
		"ACC08 another role": func(x *mesos.TaskInfo) {
			r := "other"
			for i := range x.Resources {
				x.Resources[i].AllocationInfo = &mesos.Resource_AllocationInfo{Role: &r}
			}
		},
	}
	for name, change := range cases {
		w := newWorld(t)
		w.agent("cpus:4;mem:4096;ports:[31000-32000]")
		f := w.subscribe(named("f"))
		o := f.offer()
		f.accept(0, o, launch(command("running", o, "cpus:1;mem:32")))
		o = f.offer()
		x := command("t", o, "cpus:1;mem:32")
		change(&x)
		f.accept(0, o, launch(x))
		if s := f.update(x.TaskID.Value); s.GetState() != mesos.TASK_ERROR || s.GetReason() != mesos.REASON_TASK_INVALID || s.GetMessage() == "" {
			t.Errorf("%s: %v", name, s)
		}
	}
}

func ports(begin1, end1, begin2, end2 uint64) mesos.Resource {
	return mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: begin1, End: end1}, {Begin: begin2, End: end2}}}}
}

func TestTG03_GroupsAreAllOrNothing(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096;disk:1000")
	f := w.subscribe(named("f"))
	group := func(o mesos.Offer, cpus ...string) mesos.Offer_Operation {
		op := mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP, LaunchGroup: &mesos.Offer_Operation_LaunchGroup{
			Executor: mesos.ExecutorInfo{Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: &mesos.FrameworkID{Value: f.id}, Resources: resources("cpus:0.1;mem:32;disk:32")},
		}}
		for i, c := range cpus {
			op.LaunchGroup.TaskGroup.Tasks = append(op.LaunchGroup.TaskGroup.Tasks, command(string(rune('a'+i)), o, c))
		}
		return op
	}
	o := f.offer()
	f.accept(0, o, group(o, "cpus:2;mem:32", "cpus:2;mem:32"))
	for _, id := range []string{"a", "b"} {
		if s := f.update(id); s.GetState() != mesos.TASK_ERROR || s.GetReason() != mesos.REASON_TASK_GROUP_INVALID {
			t.Errorf("task %s of a group that does not fit: %v", id, s)
		}
	}
	o = newOffer(t, w, f)
	f.accept(0, o, group(o, "cpus:1;mem:32", "cpus:1;mem:32"))
	m := lastSent[*messages.RunTaskGroupMessage](a)
	if m == nil || len(m.TaskGroup.Tasks) != 2 || !*m.LaunchExecutor {
		t.Fatalf("the agent was sent %v", m)
	}
	if used := w.s.View().Agents[0].Used.Scalar("cpus").Float(); used != 2.1 {
		t.Errorf("%g cpus in use, want 2.1 with the executor's", used)
	}
	o = f.offer()
	if len(o.ExecutorIDs) != 1 || o.ExecutorIDs[0].Value != "e" {
		t.Errorf("OFF-04: executors of the next offer: %v", o.ExecutorIDs)
	}
	a.says(&messages.ExitedExecutorMessage{AgentID: *a.info.ID, FrameworkID: mesos.FrameworkID{Value: f.id}, ExecutorID: mesos.ExecutorID{Value: "e"}, Status: 256})
	failures := f.of(scheduler.Event_FAILURE)
	if len(failures) != 1 || failures[0].Failure.GetStatus() != 256 {
		t.Errorf("EV-03: %v", failures)
	}
	if used := w.s.View().Agents[0].Used.Scalar("disk").Float(); used != 0 {
		t.Errorf("%g disk still in use by the executor that exited", used)
	}
}
