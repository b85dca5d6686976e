package core

import (
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// returns has an agent come back to a master with what it keeps: reservations and operations.
func (a *testAgent) returns(w *world, frameworks []mesos.FrameworkInfo, keeps []mesos.Resource, ops ...mesos.Operation) {
	a.w = w
	version := "1.11.0"
	a.says(&messages.ReregisterSlaveMessage{
		Agent: a.info, Version: &version, AgentCapabilities: operatingCapabilities, Frameworks: frameworks,
		CheckpointedResources: keeps, ResourceVersionUUID: &mesos.UUID{Value: []byte("version")},
	})
	a.says(&messages.UpdateSlaveMessage{AgentID: *a.info.ID, Operations: &messages.UpdateSlaveMessage_Operations{Operations: ops}})
}

// An order that was lost with the connection never happened: the master asks, and the framework hears of it.
func TestOP08_LostOrdersAreDropped(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "r", "p", "r")))
	w.step(AgentExited{PID: a.pid})
	a.returns(w, nil, nil)
	asked := lastSent[*messages.ReconcileOperationsMessage](a)
	if asked == nil || len(asked.Operations) != 1 {
		t.Fatalf("asked %v", asked)
	}
	if w.total(a) != "cpus:4; mem:4096" {
		t.Errorf("the agent knows best what it has: %s", w.total(a))
	}
	a.says(&messages.UpdateOperationStatusMessage{AgentID: a.info.ID, OperationUUID: asked.Operations[0].OperationUUID, Status: mesos.OperationStatus{State: mesos.OPERATION_DROPPED, AgentID: a.info.ID}})
	if st := f.result("op1"); st.GetState() != mesos.OPERATION_DROPPED || st.UUID != nil {
		t.Errorf("%v", st)
	}
	if len(w.s.View().Operations) != 0 {
		t.Error("nobody will acknowledge it, so it must be gone")
	}
}

// A master that never saw an operation learns of it from the agent.
func TestOP08_ANewMasterLearnsOfOperations(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "r", "p", "r")))
	a.finishes()
	op := *w.s.View().Operations[0]
	next := restart(t, w.registry)
	a.returns(next, nil, []mesos.Resource{amount("cpus", 1, "", "p", "r")}, op)
	info := named("f", mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT)
	info.Roles, info.ID, info.Principal = []string{"r"}, &mesos.FrameworkID{Value: f.id}, strptr("p")
	g := next.subscribe(info)
	if len(next.s.View().Operations) != 1 || next.total(a) != "cpus:3; cpus(reservations: [(DYNAMIC,r,p)]):1; mem:4096" {
		t.Fatalf("%v, %s", next.s.View().Operations, next.total(a))
	}
	g.call(scheduler.Call{Type: scheduler.Call_RECONCILE_OPERATIONS, ReconcileOperations: &scheduler.Call_ReconcileOperations{}})
	if st := g.result("op1"); st.GetState() != mesos.OPERATION_FINISHED || st.UUID != nil {
		t.Errorf("%v", st)
	}
	status, uuid := op.LatestStatus, op.UUID
	a.says(&messages.UpdateOperationStatusMessage{FrameworkID: op.FrameworkID, AgentID: a.info.ID, OperationUUID: &uuid, Status: status})
	if st := g.result("op1"); st.UUID == nil {
		t.Errorf("%v", st)
	} else {
		g.acknowledgeOperation(st)
	}
	if lastSent[*messages.AcknowledgeOperationStatusMessage](a) == nil || len(next.s.View().Operations) != 0 {
		t.Error("not acknowledged")
	}
}

// Of a framework that is removed, or that nobody knows for long, the master acknowledges.
func TestOP08_OrphansAreAdopted(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "r", "p", "r")))
	f.call(scheduler.Call{Type: scheduler.Call_TEARDOWN})
	a.finishes()
	if lastSent[*messages.AcknowledgeOperationStatusMessage](a) == nil || len(w.s.View().Operations) != 0 {
		t.Error("an operation of a removed framework is not acknowledged")
	}
	next := restart(t, w.registry)
	uuid := mesos.UUID{Value: []byte("0123456789abcdef")}
	status := mesos.OperationStatus{OperationID: opID("op2"), State: mesos.OPERATION_FINISHED, UUID: &mesos.UUID{Value: []byte("fedcba9876543210")}, AgentID: a.info.ID}
	op := mesos.Operation{FrameworkID: &mesos.FrameworkID{Value: "stranger"}, AgentID: a.info.ID, UUID: uuid, LatestStatus: status, Statuses: []mesos.OperationStatus{status}, Info: reserveOp("op2", amount("cpus", 1, "r", "p", "r"))}
	a.returns(next, nil, []mesos.Resource{amount("cpus", 1, "", "p", "r")}, op)
	again := &messages.UpdateOperationStatusMessage{FrameworkID: op.FrameworkID, AgentID: a.info.ID, OperationUUID: &uuid, Status: status}
	a.says(again)
	if lastSent[*messages.AcknowledgeOperationStatusMessage](a) != nil {
		t.Error("acknowledged although its framework may still come")
	}
	next.pass(11*time.Minute, a.pid)
	a.says(again)
	if lastSent[*messages.AcknowledgeOperationStatusMessage](a) == nil || len(next.s.View().Operations) != 0 {
		t.Error("an operation of a framework that never came is kept for ever")
	}
}

// REC-08: what a master says of operations it does not know.
func TestREC08_UnknownOperations(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	lost := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	w.step(AgentExited{PID: lost.pid})
	w.pass(11*time.Minute, a.pid)
	ask := func(id string, agent *mesos.AgentID, provider string) *mesos.OperationStatus {
		q := scheduler.Call_ReconcileOperations_Operation{OperationID: mesos.OperationID{Value: id}, AgentID: agent}
		if provider != "" {
			q.ResourceProviderID = &mesos.ResourceProviderID{Value: provider}
		}
		f.call(scheduler.Call{Type: scheduler.Call_RECONCILE_OPERATIONS, ReconcileOperations: &scheduler.Call_ReconcileOperations{Operations: []scheduler.Call_ReconcileOperations_Operation{q}}})
		return f.result(id)
	}
	for _, c := range []struct {
		id    string
		agent *mesos.AgentID
		state mesos.OperationState
		text  string
	}{
		{"1", nil, mesos.OPERATION_UNKNOWN, "Reconciliation: Operation is unknown and no 'agent_id' was provided"},
		{"2", a.info.ID, mesos.OPERATION_UNKNOWN, "Reconciliation: Operation is unknown"},
		{"3", &mesos.AgentID{Value: "nobody"}, mesos.OPERATION_UNKNOWN, "Reconciliation: Both operation and agent are unknown"},
		{"4", lost.info.ID, mesos.OPERATION_UNREACHABLE, "Reconciliation: Agent is unreachable"},
	} {
		if st := ask(c.id, c.agent, ""); st.GetState() != c.state || st.GetMessage() != c.text || st.UUID != nil || !st.AgentID.Equal(c.agent) {
			t.Errorf("%s: %v", c.id, st)
		}
	}
	if st := ask("5", a.info.ID, "rp"); st != nil {
		t.Errorf("answered for the agent: %v", st)
	}
	m := lastSent[*messages.ReconcileOperationsMessage](a)
	if m == nil || m.FrameworkID.GetValue() != f.id || m.Operations[0].OperationID.Value != "5" {
		t.Fatalf("asked the agent %v", m)
	}
	a.says(&messages.UpdateOperationStatusMessage{FrameworkID: m.FrameworkID, AgentID: a.info.ID, Status: mesos.OperationStatus{OperationID: opID("5"), State: mesos.OPERATION_UNKNOWN}})
	if f.result("5").GetState() != mesos.OPERATION_UNKNOWN {
		t.Errorf("%v", f.result("5"))
	}
	next := restart(t, w.registry)
	g := next.reserver("r")
	g.call(scheduler.Call{Type: scheduler.Call_RECONCILE_OPERATIONS, ReconcileOperations: &scheduler.Call_ReconcileOperations{Operations: []scheduler.Call_ReconcileOperations_Operation{{OperationID: mesos.OperationID{Value: "6"}, AgentID: a.info.ID}}}})
	if st := g.result("6"); st.GetState() != mesos.OPERATION_RECOVERING {
		t.Errorf("%v", st)
	}
}

func TestOP08a_OneIDTwice(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("op1", amount("cpus", 1, "r", "p", "r")), reserveOp("op1", amount("mem", 64, "r", "p", "r")))
	if a.finishes() != 2 {
		t.Fatal("both are carried out")
	}
	all := f.of(scheduler.Event_UPDATE_OPERATION_STATUS)
	for i := range all {
		f.acknowledgeOperation(&all[len(all)-1-i].UpdateOperationStatus.Status)
	}
	if n := len(w.s.View().Operations); n != 0 {
		t.Errorf("%d operations are left", n)
	}
}

func TestACC07_TooManyUnacknowledgedOperations(t *testing.T) {
	w := newWorld(t)
	w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	var ops []mesos.Offer_Operation
	for range maxOperations / 2 {
		ops = append(ops, reserveOp("x", amount("cpus", 1, "r", "p", "r")), unreserveOp("x", amount("cpus", 1, "r", "p", "r")))
	}
	f.accept(0, f.offer(), ops...)
	w.pass(2 * time.Second)
	f.accept(0, f.offer(), reserveOp("more", amount("cpus", 1, "r", "p", "r")))
	if st := f.result("more"); st.GetState() != mesos.OPERATION_ERROR {
		t.Errorf("%v", st)
	}
}

// An agent that takes no orders is told what it is to keep, also when it comes back.
func TestROW53_OldAgentsAreToldTheirReservations(t *testing.T) {
	w := newWorld(t)
	a := w.agent("cpus:4;mem:4096")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("", amount("cpus", 1, "r", "p", "r")))
	w.step(AgentExited{PID: a.pid})
	w.sent[a.pid] = nil
	a.reregister(w, nil)
	if m := lastSent[*messages.CheckpointResourcesMessage](a); m == nil || len(m.Resources) != 1 || m.Resources[0].AllocationInfo != nil {
		t.Errorf("told %v", m)
	}
	if w.total(a) != "cpus:3; cpus(reservations: [(DYNAMIC,r,p)]):1; mem:4096" {
		t.Errorf("%s", w.total(a))
	}
}

// An agent that registers again with other resources, its connection whole, makes its offers void: what they hold may be gone.
func TestROW53_OffersOfAnAgentThatChanged(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	w.operate(a, reserveOp("", amount("cpus", 4, "", "", "r")), 202)
	f := w.reserver("r")
	stale := f.offer()
	a.returns(w, nil, nil)
	if rescinded := f.of(scheduler.Event_RESCIND); len(rescinded) != 1 || rescinded[0].Rescind.OfferID != stale.ID {
		t.Errorf("rescinded %v", rescinded)
	}
	if o := f.offer(); o.ID == stale.ID || len(parsed(o.Resources...).Reserved()) != 0 {
		t.Errorf("offered %v", o.Resources)
	}
	if len(w.errors) != 0 {
		t.Errorf("%v", w.errors)
	}
}
