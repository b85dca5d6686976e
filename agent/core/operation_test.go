package core

import (
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// richRig is an admitted agent with resources.
func richRig(t rapid.TB, recovered Recovered) *rig {
	cfg := config()
	cfg.Info.Resources = []mesos.Resource{amount("cpus", 4), amount("mem", 1000), amount("disk", 1000)}
	r := &rig{t: t, s: New(cfg, recovered), now: time.Unix(1_000_000, 0)}
	r.do(RecoveryStarted{})
	r.do(MasterDetected{PID: master})
	r.pass(time.Second)
	if recovered.Info == nil {
		r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	} else {
		r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	}
	return r
}

func reserved(name string, v float64, role string) mesos.Resource {
	r := amount(name, v)
	r.Reservations = []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role}}
	return r
}

func volume(id string, v float64, role, inside string) mesos.Resource {
	r := reserved("disk", v, role)
	r.Disk = &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id}, Volume: &mesos.Volume{ContainerPath: inside, Mode: mesos.RW.Enum()}}
	return r
}

// apply is an order of a framework's operation "op", numbered n.
func apply(n byte, op mesos.Offer_Operation) *messages.ApplyOperationMessage {
	op.ID = &mesos.OperationID{Value: "op"}
	return &messages.ApplyOperationMessage{FrameworkID: &mesos.FrameworkID{Value: "f"}, OperationInfo: op, OperationUUID: mesos.UUID{Value: id(n)}}
}

func reserve(list ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: list}}
}

func create(list ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: list}}
}

func TestOP08_ResultIsSavedSentAndRepeated(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(apply(1, reserve(reserved("cpus", 1, "r"))))
	if _, first := r.effects[0].(SaveResources); !first {
		t.Fatalf("the result goes out before it is on disk: %+v", r.effects)
	}
	saved := one[SaveResources](t, r.effects)
	if len(saved.Resources) != 1 || len(saved.Operations) != 1 || saved.Operations[0].LatestStatus.State != mesos.OPERATION_FINISHED {
		t.Errorf("saved %+v", saved)
	}
	m := sent[*messages.UpdateOperationStatusMessage](r.effects)
	if len(m) != 1 || m[0].Status.State != mesos.OPERATION_FINISHED || len(m[0].Status.UUID.GetValue()) != 16 || m[0].Status.OperationID.GetValue() != "op" ||
		m[0].Status.AgentID.GetValue() != "S0" || m[0].FrameworkID.GetValue() != "f" || string(m[0].OperationUUID.Value) != string(id(1)) {
		t.Fatalf("sent %v", m)
	}
	if n := len(sent[*messages.UpdateOperationStatusMessage](r.from(apply(1, reserve(reserved("cpus", 1, "r")))))); n != 0 {
		t.Error("an order that comes twice is carried out twice")
	}
	for _, wait := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second} { // OP-09
		r.do(Received{From: observer, Message: &messages.PingSlaveMessage{Connected: true}})
		if n := len(sent[*messages.UpdateOperationStatusMessage](r.pass(wait - time.Second))); n != 0 {
			t.Errorf("sent again before %v", wait)
		}
		if n := len(sent[*messages.UpdateOperationStatusMessage](r.pass(time.Second))); n != 1 {
			t.Errorf("%d results after %v", n, wait)
		}
	}
	r.from(&messages.AcknowledgeOperationStatusMessage{OperationUUID: mesos.UUID{Value: id(1)}, StatusUUID: mesos.UUID{Value: id(9)}})
	if len(r.s.operations) != 1 {
		t.Error("an acknowledgement of something else ended it")
	}
	r.from(&messages.AcknowledgeOperationStatusMessage{OperationUUID: mesos.UUID{Value: id(1)}, StatusUUID: *m[0].Status.UUID})
	if saved := one[SaveResources](t, r.effects); len(saved.Operations) != 0 || len(saved.Resources) != 1 {
		t.Errorf("saved %+v", saved)
	}
	if n := len(sent[*messages.UpdateOperationStatusMessage](r.pass(time.Minute))); n != 0 {
		t.Error("sent again after the acknowledgement")
	}
}

func TestRCV01_RegistersWithWhatItKeeps(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(apply(1, reserve(reserved("disk", 100, "r"))))
	r.from(apply(2, create(volume("v", 60, "r", "data"))))
	saved := one[SaveResources](t, r.effects)
	next := richRig(t, Recovered{Info: &mesos.AgentInfo{ID: &mesos.AgentID{Value: "S0"}}, Resources: saved.Resources, Operations: saved.Operations})
	if got, want := operations.Text(next.s.total), "cpus:4; disk:900; disk(reservations: [(DYNAMIC,r)]):40; disk(reservations: [(DYNAMIC,r)])[v:data]:60; mem:1000"; got != want {
		t.Errorf("has %s, want %s", got, want)
	}
	m := next.s.reregistration()
	if len(m.CheckpointedResources) != 2 {
		t.Errorf("registers with %v", m.CheckpointedResources)
	}
	u := sent[*messages.UpdateSlaveMessage](next.effects)
	if len(u) != 1 || len(u[0].Operations.Operations) != 2 {
		t.Errorf("reports %v", u)
	}
	if n := len(sent[*messages.UpdateOperationStatusMessage](next.effects)); n != 2 {
		t.Errorf("%d results sent again", n)
	}
	// A new agent on the same disk: reservations and volumes stay, results were another agent's.
	fresh := New(next.s.cfg, Recovered{Resources: saved.Resources, Operations: saved.Operations})
	if len(fresh.operations) != 0 || len(operations.Checkpointed(fresh.total)) != 2 {
		t.Errorf("%d operations, %v", len(fresh.operations), operations.Text(fresh.total))
	}
}

func TestRCV07_FlagsThatDoNotCoverReservations(t *testing.T) {
	cfg := config()
	cfg.Info.Resources = []mesos.Resource{amount("cpus", 1)}
	s := New(cfg, Recovered{Info: &mesos.AgentInfo{ID: &mesos.AgentID{Value: "S0"}}, Resources: []mesos.Resource{reserved("cpus", 2, "r")}})
	x := one[Exit](t, s.Step(time.Unix(1, 0), RecoveryStarted{}))
	if !x.Failure || !strings.Contains(x.Reason, "--resources") || x.Forget {
		t.Errorf("%+v", x)
	}
}

func TestOP08_WhatCannotBeDoneIsAnErrorAndTheMasterLearns(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(apply(1, reserve(reserved("cpus", 99, "r"))))
	m := sent[*messages.UpdateOperationStatusMessage](r.effects)
	if len(m) != 1 || m[0].Status.State != mesos.OPERATION_ERROR || m[0].Status.UUID == nil || m[0].Status.GetMessage() == "" {
		t.Errorf("sent %v", m)
	}
	if again := sent[*messages.ReregisterSlaveMessage](r.pass(3 * time.Second)); len(again) == 0 || len(again[0].CheckpointedResources) != 0 {
		t.Errorf("the master does not learn what is here: %v", again)
	}
}

func TestOP08_Reconciliation(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(apply(1, reserve(reserved("cpus", 1, "r"))))
	uuid := func(n byte) *mesos.UUID { return &mesos.UUID{Value: id(n)} }
	r.from(&messages.ReconcileOperationsMessage{Operations: []messages.ReconcileOperationsMessage_Operation{{OperationUUID: uuid(1)}, {OperationUUID: uuid(2)}}})
	m := sent[*messages.UpdateOperationStatusMessage](r.effects)
	if len(m) != 1 || m[0].Status.State != mesos.OPERATION_DROPPED || m[0].Status.UUID != nil || string(m[0].OperationUUID.Value) != string(id(2)) || m[0].FrameworkID != nil {
		t.Errorf("to the master: %v", m)
	}
	ask := func(op string) *messages.UpdateOperationStatusMessage {
		r.from(&messages.ReconcileOperationsMessage{FrameworkID: &mesos.FrameworkID{Value: "f"}, Operations: []messages.ReconcileOperationsMessage_Operation{{
			OperationID: &mesos.OperationID{Value: op}, ResourceProviderID: &mesos.ResourceProviderID{Value: "rp"}}}})
		return sent[*messages.UpdateOperationStatusMessage](r.effects)[0]
	}
	if m := ask("other"); m.Status.State != mesos.OPERATION_UNKNOWN || m.OperationUUID != nil || m.Status.Message != nil || m.Status.ResourceProviderID.GetValue() != "rp" {
		t.Errorf("to the framework: %v", m)
	}
	if m := ask("op"); m.Status.State != mesos.OPERATION_FINISHED || m.Status.UUID != nil {
		t.Errorf("to the framework: %v", m)
	}
}

func TestROW52_CheckpointResources(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(&messages.CheckpointResourcesMessage{Resources: []mesos.Resource{reserved("cpus", 1, "r")}})
	if s := one[SaveResources](t, r.effects); len(s.Resources) != 1 {
		t.Errorf("saved %+v", s)
	}
	r.from(&messages.CheckpointResourcesMessage{Resources: []mesos.Resource{reserved("cpus", 99, "r")}})
	if len(all[SaveResources](r.effects)) != 0 || !strings.Contains(operations.Text(r.s.total), "cpus:3; ") {
		t.Errorf("took over what it has not got: %s", operations.Text(r.s.total))
	}
	r.from(&messages.CheckpointResourcesMessage{})
	if operations.Text(r.s.total) != "cpus:4; disk:1000; mem:1000" {
		t.Errorf("%s", operations.Text(r.s.total))
	}
}

// launchOn orders a task that uses more resources.
func launchOn(more ...mesos.Resource) *messages.RunTaskMessage {
	m := run("t")
	for _, r := range more {
		role := "r"
		r.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
		m.Task.Resources = append(m.Task.Resources, r)
	}
	return m
}

func TestLCH01_UnknownReservations(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(launchOn(reserved("cpus", 1, "r")))
	m := sent[*messages.StatusUpdateMessage](r.effects)
	if len(m) != 1 || m[0].Update.Status.GetReason() != mesos.REASON_RESOURCES_UNKNOWN || len(all[StartContainer](r.effects)) != 0 {
		t.Errorf("%v", m)
	}
	r.from(apply(1, reserve(reserved("cpus", 1, "r"))))
	again := launchOn(reserved("cpus", 1, "r"))
	again.Task.TaskID.Value = "another" // the same would be taken for a repetition of the first
	r.from(again)
	one[StartContainer](t, r.effects)
}

func TestOP03_VolumesReachTheContainer(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(apply(1, reserve(reserved("disk", 100, "a/b"))))
	r.from(apply(2, create(volume("v", 60, "a/b", "deep/data"))))
	r.from(launchOn(volume("v", 60, "a/b", "deep/data")))
	start := one[StartContainer](t, r.effects)
	if want := (Volume{Path: "/w/volumes/roles/a b/v", Container: "deep/data"}); len(start.Volumes) != 1 || start.Volumes[0] != want {
		t.Errorf("volumes %+v, want %+v", start.Volumes, want)
	}
}

func TestOP03_VolumesOutsideOfTheSandboxAreRefused(t *testing.T) {
	for n, path := range []string{"/etc", "..", "../x", "a/../../x", "", "."} {
		r := richRig(t, Recovered{})
		r.from(apply(1, reserve(reserved("disk", 100, "r"))))
		r.from(apply(2, create(volume("v", 60, "r", path))))
		r.from(launchOn(volume("v", 60, "r", path)))
		m := sent[*messages.StatusUpdateMessage](r.effects)
		if len(m) != 1 || m[0].Update.Status.GetReason() != mesos.REASON_CONTAINER_LAUNCH_FAILED || !strings.Contains(m[0].Update.Status.GetMessage(), "container_path") {
			t.Errorf("%d %q: %v", n, path, m)
		}
	}
}

func TestOP03_VolumesOfACustomExecutorComeAndGo(t *testing.T) {
	r := richRig(t, Recovered{})
	r.from(apply(1, reserve(reserved("disk", 100, "r"))))
	r.from(apply(2, create(volume("v", 60, "r", "data"))))
	r.from(group("x", "t1"))
	r.subscribe("f", "x")
	g := group("x", "t2")
	g.TaskGroup.Tasks[0].Resources = append(g.TaskGroup.Tasks[0].Resources, volume("v", 60, "r", "data"))
	r.from(g)
	if u := one[UpdateContainer](t, r.effects); len(u.Volumes) != 1 {
		t.Errorf("with the task: %+v", u)
	}
	source, state := mesos.SOURCE_EXECUTOR, mesos.TASK_FINISHED
	r.do(ExecutorUpdate{Framework: "f", Executor: "x", Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t2"}, State: &state, Source: &source, UUID: id(5)}})
	if u := one[UpdateContainer](t, r.effects); len(u.Volumes) != 0 {
		t.Errorf("after the task: %+v", u)
	}
}

func TestVolumePath(t *testing.T) {
	on := func(kind mesos.Resource_DiskInfo_Source_Type, root string) mesos.Resource {
		v := volume("v", 1, "r", "data")
		v.Disk.Source = &mesos.Resource_DiskInfo_Source{Type: kind}
		switch kind {
		case mesos.Resource_DiskInfo_Source_PATH:
			v.Disk.Source.Path = &mesos.Resource_DiskInfo_Source_Path{Root: &root}
		case mesos.Resource_DiskInfo_Source_MOUNT:
			v.Disk.Source.Mount = &mesos.Resource_DiskInfo_Source_Mount{Root: &root}
		}
		return v
	}
	for _, c := range []struct {
		r    mesos.Resource
		want string
	}{
		{volume("v", 1, "r", "data"), "/w/volumes/roles/r/v"},
		{volume("v", 1, "r/s", "data"), "/w/volumes/roles/r s/v"},
		{on(mesos.Resource_DiskInfo_Source_PATH, "/d"), "/d/volumes/roles/r/v"},
		{on(mesos.Resource_DiskInfo_Source_PATH, "d"), "/w/d/volumes/roles/r/v"},
		{on(mesos.Resource_DiskInfo_Source_MOUNT, "/d"), "/d"},
		{on(mesos.Resource_DiskInfo_Source_MOUNT, ""), ""},
		{on(mesos.Resource_DiskInfo_Source_BLOCK, ""), ""},
		{volume("..", 1, "r", "data"), ""},
		{volume("a/b", 1, "r", "data"), ""},
	} {
		if got, err := VolumePath("/w", &c.r); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", operations.TextOf(&c.r), got, err, c.want)
		}
	}
}
