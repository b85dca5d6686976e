package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// operatingCapabilities are those of an agent that carries out operations and tells of them.
var operatingCapabilities = append([]mesos.AgentInfo_Capability{
	{Type: mesos.AgentInfo_Capability_RESOURCE_PROVIDER}, {Type: mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK}, {Type: mesos.AgentInfo_Capability_RESIZE_VOLUME},
}, agentCapabilities...)

// operating registers an agent with those capabilities.
func (w *world) operating(text string) *testAgent {
	w.t.Helper()
	n := len(w.s.agents) + 1
	a := &testAgent{w: w, pid: fmt.Sprintf("slave(1)@127.0.0.%d:5051", n), info: mesos.AgentInfo{Hostname: fmt.Sprintf("host%d", n), Resources: resources(text)}}
	version := "1.11.0"
	a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: &version, AgentCapabilities: operatingCapabilities, ResourceVersionUUID: &mesos.UUID{Value: []byte("version")}})
	a.id = lastSent[*messages.SlaveRegisteredMessage](a).AgentID.Value
	a.info.ID = &mesos.AgentID{Value: a.id}
	return a
}

// finishes has the agent answer every order it got so far, and forgets them.
func (a *testAgent) finishes() (answered int) {
	sent := a.w.sent[a.pid]
	a.w.sent[a.pid] = nil
	for _, m := range sent {
		if m, ok := m.(*messages.ApplyOperationMessage); ok {
			answered++
			uuid := m.OperationUUID
			a.says(&messages.UpdateOperationStatusMessage{FrameworkID: m.FrameworkID, AgentID: a.info.ID, OperationUUID: &uuid, Status: mesos.OperationStatus{
				OperationID: m.OperationInfo.ID, State: mesos.OPERATION_FINISHED, AgentID: a.info.ID, UUID: &mesos.UUID{Value: append([]byte("f"), uuid.Value[1:]...)},
			}})
		}
	}
	return answered
}

// result is the newest status of an operation.
func (f *testScheduler) result(id string) *mesos.OperationStatus {
	var found *mesos.OperationStatus
	for _, e := range f.of(scheduler.Event_UPDATE_OPERATION_STATUS) {
		if e.UpdateOperationStatus.Status.OperationID.GetValue() == id {
			found = &e.UpdateOperationStatus.Status
		}
	}
	return found
}

func (f *testScheduler) acknowledgeOperation(st *mesos.OperationStatus) {
	f.call(scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS, AcknowledgeOperationStatus: &scheduler.Call_AcknowledgeOperationStatus{
		AgentID: st.AgentID, UUID: st.UUID.Value, OperationID: *st.OperationID,
	}})
}

// reserver subscribes a framework that can do everything, in a role, as principal p.
func (w *world) reserver(role string, more ...mesos.FrameworkInfo_Capability_Type) *testScheduler {
	info := named(role, append(more, mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT)...)
	info.Roles, info.Principal = []string{role}, strptr("p")
	return w.subscribe(info)
}

func strptr(s string) *string { return &s }

// amount is a scalar of a role's offers, dynamically reserved for each of roles in turn.
func amount(name string, v float64, allocated, principal string, roles ...string) mesos.Resource {
	r := mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: v}}
	if allocated != "" {
		r.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &allocated}
	}
	for _, role := range roles {
		step := mesos.Resource_ReservationInfo{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: strptr(role)}
		if principal != "" {
			step.Principal = &principal
		}
		r.Reservations = append(r.Reservations, step)
	}
	return r
}

func volume(id string, v float64, allocated, principal, role string) mesos.Resource {
	r := amount("disk", v, allocated, principal, role)
	r.Disk = &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id}, Volume: &mesos.Volume{ContainerPath: "vol", Mode: mesos.RW.Enum()}}
	if principal != "" {
		r.Disk.Persistence.Principal = &principal
	}
	return r
}

func sharedVolume(id string, v float64, allocated, principal, role string) mesos.Resource {
	r := volume(id, v, allocated, principal, role)
	r.Shared = &mesos.Resource_SharedInfo{}
	return r
}

func opID(id string) *mesos.OperationID {
	if id == "" {
		return nil
	}
	return &mesos.OperationID{Value: id}
}

func reserveOp(id string, list ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, ID: opID(id), Reserve: &mesos.Offer_Operation_Reserve{Resources: list}}
}

func unreserveOp(id string, list ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, ID: opID(id), Unreserve: &mesos.Offer_Operation_Unreserve{Resources: list}}
}

func createOp(id string, list ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, ID: opID(id), Create: &mesos.Offer_Operation_Create{Volumes: list}}
}

func destroyOp(id string, list ...mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, ID: opID(id), Destroy: &mesos.Offer_Operation_Destroy{Volumes: list}}
}

func growOp(id string, v, addition mesos.Resource) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_GROW_VOLUME, ID: opID(id), GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: v, Addition: addition}}
}

func shrinkOp(id string, v mesos.Resource, by float64) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_SHRINK_VOLUME, ID: opID(id), ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: v, Subtract: mesos.Value_Scalar{Value: by}}}
}

// total is what an agent has, as text.
func (w *world) total(a *testAgent) string { return operations.Text(w.s.agents[a.id].total) }

func TestOP01a_ReserveWithFeedback(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "r", "p", "r")))
	order := lastSent[*messages.ApplyOperationMessage](a)
	if order == nil || order.FrameworkID.GetValue() != f.id || string(order.ResourceVersionUUID.UUID.Value) != "version" || len(order.OperationUUID.Value) != 16 {
		t.Fatalf("order %v", order)
	}
	if v := w.s.View().Operations; len(v) != 1 || v[0].LatestStatus.State != mesos.OPERATION_PENDING || v[0].AgentID.Value != a.id {
		t.Fatalf("operations %v", v)
	}
	a.finishes()
	st := f.result("op1")
	if st == nil || st.State != mesos.OPERATION_FINISHED || st.UUID == nil || st.AgentID.GetValue() != a.id {
		t.Fatalf("result %v", st)
	}
	w.pass(2*time.Second, a.pid)
	if o := f.offer(); len(parsed(o.Resources...).AllocatedTo("r").Reserved()) != 1 {
		t.Errorf("the next offer has no reservation: %v", o.Resources)
	}
	f.acknowledgeOperation(st)
	ack := lastSent[*messages.AcknowledgeOperationStatusMessage](a)
	if ack == nil || string(ack.StatusUUID.Value) != string(st.UUID.Value) || string(ack.OperationUUID.Value) != string(order.OperationUUID.Value) {
		t.Errorf("acknowledgement %v", ack)
	}
	if n := len(w.s.View().Operations); n != 0 {
		t.Errorf("%d operations after the acknowledgement", n)
	}
}

func TestOP01b_WithoutIDTheMasterAcknowledges(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("", amount("cpus", 1, "r", "p", "r")))
	a.finishes()
	if lastSent[*messages.AcknowledgeOperationStatusMessage](a) == nil || len(w.s.View().Operations) != 0 {
		t.Error("nobody acknowledged the operation")
	}
	if n := len(f.of(scheduler.Event_UPDATE_OPERATION_STATUS)); n != 0 {
		t.Errorf("%d statuses that nobody asked for", n)
	}
}

// The texts are those of a real master.
func TestOP01c_RefusedReservations(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	static := amount("cpus", .1, "r", "", "r")
	static.Reservations[0].Type = mesos.Resource_ReservationInfo_STATIC.Enum()
	roleless := amount("cpus", .1, "r", "p", "r")
	roleless.Reservations[0].Role = nil
	where := "; on agent " + a.id + " at " + a.pid + " (host1)"
	cases := []struct {
		list []mesos.Resource
		text string
	}{
		{nil, "Invalid resources: The resources have multiple resource providers: " + where},
		{[]mesos.Resource{amount("cpus", -1, "r", "p", "r")}, "Operation attempted with invalid resources: Resource 'cpus(allocated: r)(reservations: [(DYNAMIC,r,p)]):-1' is invalid: Invalid scalar resource: value <= 0"},
		{[]mesos.Resource{amount("cpus", .1, "r", "")}, "Resource cpus(allocated: r):0.1 is not dynamically reserved" + where},
		{[]mesos.Resource{amount("cpus", .1, "r", "", "r")}, "A reserve operation was attempted by principal 'p', but there is a reserved resource in the request with no principal set" + where},
		{[]mesos.Resource{amount("cpus", .1, "r", "other", "r")}, "A reserve operation was attempted by authenticated principal 'p', which does not match a reserved resource in the request with principal 'other'" + where},
		{[]mesos.Resource{amount("cpus", .1, "o", "p", "o")}, "A reserve operation was attempted for a resource allocated to role 'o', but the framework only has roles '{ r }'" + where},
		{[]mesos.Resource{amount("cpus", .1, "r", "p", "s")}, "A reserve operation was attempted for a resource with role 's', but the resource was allocated to role 'r'" + where},
		{[]mesos.Resource{amount("cpus", 1e5, "r", "p", "r")}, "cpus(allocated: r):4; mem(allocated: r):4096 does not contain cpus(allocated: r):100000"},
		{[]mesos.Resource{static}, "Resource cpus(allocated: r)(reservations: [(STATIC,r)]):0.1 is not dynamically reserved" + where},
		{[]mesos.Resource{amount("cpus", .1, "r//x", "p", "r//x")}, "Operation attempted with invalid resources: Resource 'cpus(allocated: r//x)(reservations: [(DYNAMIC,r//x,p)]):0.1' is invalid: Role 'r//x' cannot contain two adjacent slashes"},
		{[]mesos.Resource{amount("cpus", .1, "*", "p", "*")}, "Operation attempted with invalid resources: Resource 'cpus(allocated: *)(reservations: [(DYNAMIC,*,p)]):0.1' is invalid: Invalid reservation: role \"*\" cannot be reserved"},
		{[]mesos.Resource{roleless}, "Operation attempted with invalid resources: Resource 'cpus(allocated: r)(reservations: [(DYNAMIC,,p)]):0.1' is invalid: Invalid reservation: 'Resource.ReservationInfo.role' field must be set."},
	}
	var ops []mesos.Offer_Operation
	for i, c := range cases {
		ops = append(ops, reserveOp(fmt.Sprint(i), c.list...))
	}
	f.accept(0, f.offer(), ops...)
	for i, c := range cases {
		st := f.result(fmt.Sprint(i))
		if st == nil || st.State != mesos.OPERATION_ERROR || st.UUID != nil || st.AgentID != nil || st.GetMessage() != c.text {
			t.Errorf("%d: got %v\nwant %s", i, st, c.text)
		}
	}
	if lastSent[*messages.ApplyOperationMessage](a) != nil || w.total(a) != "cpus:4; mem:4096" {
		t.Errorf("something was done all the same: %s", w.total(a))
	}
}

func TestOP01e_EitherFormatOfReservations(t *testing.T) {
	w := newWorld(t)
	w.operating("cpus:4;mem:4096")
	info := named("old")
	info.Role, info.Principal = strptr("r"), strptr("p")
	old := w.subscribe(info)
	oldForm := mesos.Resource{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: .5}, Role: strptr("r"), Reservation: &mesos.Resource_ReservationInfo{Principal: strptr("p")}}
	o := old.offer()
	old.accept(0, o, reserveOp("op1", oldForm), reserveOp("op2", amount("cpus", .5, "", "p", "r")))
	if old.result("op1") != nil || old.result("op2") != nil {
		t.Errorf("refused: %v %v", old.result("op1"), old.result("op2"))
	}
	if got := old.w.s.View().Agents[0].Total.Reserved()["r"].Scalar("cpus"); got != offers.Unit {
		t.Errorf("reserved %s", got)
	}
}

func TestOP01f_RefinedReservation(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	w.operate(a, reserveOp("", amount("cpus", .5, "", "", "r")), 202)
	info := named("child", mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT)
	info.Roles = []string{"r/x"}
	f := w.subscribe(info)
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", .5, "r/x", "", "r", "r/x")))
	if want := "cpus:3.5; cpus(reservations: [(DYNAMIC,r), (DYNAMIC,r/x)]):0.5; mem:4096"; w.total(a) != want {
		t.Errorf("%s\nwant %s", w.total(a), want)
	}
	w.pass(2*time.Second, a.pid)
	f.accept(0, f.offer(), unreserveOp("op2", amount("cpus", .5, "r/x", "", "r", "r/x")))
	if want := "cpus:3.5; cpus(reservations: [(DYNAMIC,r)]):0.5; mem:4096"; w.total(a) != want {
		t.Errorf("%s\nwant %s: one reservation goes at a time", w.total(a), want)
	}
}

func TestACC03_ReserveCreateAndLaunchInOneAccept(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r")
	o := f.offer()
	v := volume("id1", 64, "r", "p", "r")
	task := command("t", o, "cpus:1;mem:32")
	task.Resources = append(task.Resources, v)
	f.accept(0, o, reserveOp("op1", amount("disk", 64, "r", "p", "r")), createOp("op2", v), launch(task))
	if st := f.update("t"); st != nil {
		t.Fatalf("the task was refused: %v", st)
	}
	var kinds []string
	for _, m := range w.sent[a.pid] {
		kinds = append(kinds, messages.NameOf(m))
	}
	if got := strings.Join(kinds[len(kinds)-3:], " "); got != "mesos.internal.ApplyOperationMessage mesos.internal.ApplyOperationMessage mesos.internal.RunTaskMessage" {
		t.Errorf("orders %s", got)
	}
	if a.finishes() != 2 || f.result("op1").State != mesos.OPERATION_FINISHED || f.result("op2").State != mesos.OPERATION_FINISHED {
		t.Error("no feedback")
	}
	w.pass(2*time.Second, a.pid)
	if o := f.offer(); len(parsed(o.Resources...).Reserved()) != 0 {
		t.Errorf("a volume in use is offered: %v", o.Resources)
	}
	uuid := a.reports(f, "t", mesos.TASK_FINISHED)
	f.acknowledge(a, "t", uuid)
	w.pass(2*time.Second, a.pid)
	f.decline(0, f.offer())
	w.pass(2*time.Second, a.pid)
	bare := volume("id1", 64, "", "p", "r")
	if !contains(parsed(f.offer().Resources...).Unallocated(), bare) {
		t.Errorf("the volume is not offered: %v", f.offer().Resources)
	}
	f.accept(0, f.offer(), destroyOp("op3", v), unreserveOp("op4", amount("disk", 64, "r", "p", "r")))
	if f.result("op3") != nil || f.result("op4") != nil || w.total(a) != "cpus:4; disk:1000; mem:4096" {
		t.Errorf("%v %v: %s", f.result("op3"), f.result("op4"), w.total(a))
	}
}

func TestACC05_WhatOperationsMakeIsNotRefused(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(1000, f.offer(), reserveOp("", amount("cpus", 1, "r", "p", "r"), amount("mem", 64, "r", "p", "r")))
	w.pass(2*time.Second, a.pid)
	o := f.offer()
	if got := operations.Text(parsed(o.Resources...).Unallocated()); got != "cpus(reservations: [(DYNAMIC,r,p)]):1; mem(reservations: [(DYNAMIC,r,p)]):64" && got != "cpus:3; cpus(reservations: [(DYNAMIC,r,p)]):1; mem:4032; mem(reservations: [(DYNAMIC,r,p)]):64" {
		t.Errorf("offered %s", got)
	}
	if len(f.offers()) != 2 {
		t.Errorf("%d offers: what was reserved is no part of the refusal", len(f.offers()))
	}
}

func TestACC07_FeedbackNeedsItsCapabilities(t *testing.T) {
	for _, c := range []struct {
		lacks mesos.AgentInfo_Capability_Type
		text  string
	}{
		{mesos.AgentInfo_Capability_RESOURCE_PROVIDER, "does not have the required RESOURCE_PROVIDER capability"},
		{mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK, "does not have the required AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities"},
	} {
		w := newWorld(t)
		a := w.operating("cpus:4;mem:4096")
		known := w.s.agents[a.id]
		known.capabilities = nil
		for _, x := range operatingCapabilities {
			if x.Type != c.lacks {
				known.capabilities = append(known.capabilities, x)
			}
		}
		f := w.reserver("r")
		f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "r", "p", "r")), reserveOp("", amount("cpus", 1, "r", "p", "r")))
		if st := f.result("op1"); st.GetState() != mesos.OPERATION_ERROR || !strings.Contains(st.GetMessage(), c.text) {
			t.Errorf("%v", st)
		}
		if !strings.Contains(w.total(a), "(DYNAMIC,r,p)]):1") {
			t.Errorf("without an id it was not carried out: %s", w.total(a))
		}
		if m := lastSent[*messages.CheckpointResourcesMessage](a); c.lacks == mesos.AgentInfo_Capability_RESOURCE_PROVIDER && (m == nil || len(m.Resources) != 1) {
			t.Errorf("an agent that takes no orders is not told: %v", m)
		}
	}
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	task := launch(command("t", f.offer(), "cpus:1;mem:32"))
	task.ID = opID("op")
	f.accept(0, f.offer(), task)
	if st := f.update("t"); st.GetState() != mesos.TASK_ERROR || f.result("op") != nil || lastSent[*messages.RunTaskMessage](a) != nil {
		t.Errorf("a LAUNCH with an id: %v", st)
	}
}

func TestACC07_DriversGetNoFeedback(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	info := named("old")
	info.Role, info.Principal = strptr("r"), strptr("p")
	f := &testScheduler{w: w, stream: "scheduler(1)@127.0.0.1:9000", role: "r"}
	w.step(SchedulerSubscribed{Stream: f.stream, Driver: true, Call: &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}})
	f.id = w.events[f.stream][0].Subscribed.FrameworkID.Value
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "", "p", "r")), reserveOp("", amount("mem", 64, "", "p", "r")))
	if errors := f.of(scheduler.Event_ERROR); len(errors) != 1 || !strings.Contains(errors[0].Error.Message, "not supported for the SchedulerDriver API") {
		t.Errorf("errors %v", errors)
	}
	if f.result("op1") != nil || w.total(a) != "cpus:4; mem:4032; mem(reservations: [(DYNAMIC,r,p)]):64" {
		t.Errorf("%v %s", f.result("op1"), w.total(a))
	}
}
