package core

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// operate has an operator ask for an operation and checks the status of the answer.
func (w *world) operate(a *testAgent, op mesos.Offer_Operation, status int) Reply {
	w.t.Helper()
	w.request++
	w.step(OperationRequested{Request: w.request, AgentID: a.id, Operation: &op})
	r := w.replies[w.request]
	if r.Status != status {
		w.t.Fatalf("%s: %v, want %d", op.Type, r, status)
	}
	return r
}

func TestOP03b_RefusedVolumes(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r")
	change := func(edit func(*mesos.Resource)) mesos.Resource {
		v := volume("id1", 8, "r", "p", "r")
		edit(&v)
		return v
	}
	where := "; on agent " + a.id + " at " + a.pid + " (host1)"
	cases := []struct {
		v    mesos.Resource
		text string
	}{
		{amount("disk", 8, "r", "p", "r"), "Not a persistent volume: Resource disk(allocated: r)(reservations: [(DYNAMIC,r,p)]):8 does not have DiskInfo" + where},
		{change(func(v *mesos.Resource) { v.Reservations = nil }), "Invalid resources: Invalid DiskInfo: Persistent volumes cannot be created from unreserved resources" + where},
		{change(func(v *mesos.Resource) { v.Disk.Volume.Mode = mesos.RO.Enum() }), "Not a persistent volume: Read-only persistent volume not supported" + where},
		{change(func(v *mesos.Resource) { v.Disk.Persistence.ID = "a/b" }), "Invalid resources: Invalid DiskInfo: Invalid persistence ID for persistent volume: 'a/b' contains invalid characters" + where},
		{change(func(v *mesos.Resource) { v.Disk.Volume.HostPath = strptr("/x") }), "Invalid resources: Invalid DiskInfo: Expecting 'host_path' to be unset for persistent volume" + where},
		{change(func(v *mesos.Resource) { v.Disk.Persistence = nil }), "Invalid resources: Invalid DiskInfo: Non-persistent volume not supported" + where},
		{change(func(v *mesos.Resource) { v.Disk.Persistence.Principal = strptr("other") }), "Create volume operation attempted by authenticated principal 'p', which does not match a volume in the operation with principal 'other' set in 'disk.persistence'" + where},
		{change(func(v *mesos.Resource) { v.Shared = &mesos.Resource_SharedInfo{} }), "Create volume operation for 'disk(allocated: r)(reservations: [(DYNAMIC,r,p)])[id1:vol]<SHARED>:8' has been attempted by framework '" + f.id + "' with no SHARED_RESOURCES capability" + where},
		{change(func(v *mesos.Resource) { v.Name = "cpus" }), "Operation attempted with invalid resources: Resource 'cpus(allocated: r)(reservations: [(DYNAMIC,r,p)])[id1:vol]:8' is invalid: DiskInfo should not be set for cpus resource"},
		{volume("id1", 8, "r", "p", "r"), "cpus(allocated: r):4; disk(allocated: r):1000; mem(allocated: r):4096 does not contain disk(allocated: r)(reservations: [(DYNAMIC,r,p)]):8"},
	}
	var ops []mesos.Offer_Operation
	for i, c := range cases {
		ops = append(ops, createOp(fmt.Sprint(i), c.v))
	}
	f.accept(0, f.offer(), ops...)
	for i, c := range cases {
		if st := f.result(fmt.Sprint(i)); st == nil || st.State != mesos.OPERATION_ERROR || st.GetMessage() != c.text {
			t.Errorf("%d: got %v\nwant %s", i, st, c.text)
		}
	}
}

func TestOP03c_PersistenceIDsAreUnique(t *testing.T) {
	w := newWorld(t)
	w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r")
	f.accept(0, f.offer(), reserveOp("op1", amount("disk", 64, "r", "p", "r")), createOp("op2", volume("id1", 32, "r", "p", "r")), createOp("op3", volume("id1", 32, "r", "p", "r")))
	if st := f.result("op3"); st == nil || !strings.HasPrefix(st.GetMessage(), "Persistence ID 'id1' is not unique") || f.result("op2") != nil {
		t.Errorf("%v", st)
	}
}

func TestOP04_VolumesInUse(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r", mesos.FrameworkInfo_Capability_SHARED_RESOURCES)
	v := sharedVolume("id1", 64, "r", "p", "r")
	f.accept(0, f.offer(), destroyOp("op0", v), reserveOp("", amount("disk", 64, "r", "p", "r")), createOp("", v))
	if st := f.result("op0"); !strings.HasPrefix(st.GetMessage(), "Persistent volumes not found; on agent ") {
		t.Errorf("%v", st)
	}
	w.pass(2*time.Second, a.pid)
	o := f.offer()
	one, two := command("t1", o, "cpus:1;mem:32"), command("t2", o, "cpus:1;mem:32")
	one.Resources, two.Resources = append(one.Resources, v), append(two.Resources, v)
	f.accept(0, o, launch(one, two))
	if f.update("t1") != nil || f.update("t2") != nil {
		t.Fatalf("a shared volume is for many tasks: %v %v", f.update("t1"), f.update("t2"))
	}
	w.pass(2*time.Second, a.pid)
	o = f.offer()
	if !contains(parsed(o.Resources...).AllocatedTo("r"), v) {
		t.Fatalf("a shared volume in use is not offered: %v", o.Resources)
	}
	f.accept(0, o, destroyOp("op1", v))
	if st := f.result("op1"); !strings.HasPrefix(st.GetMessage(), "Persistent volumes in use; on agent ") {
		t.Errorf("%v", st)
	}
	w.operate(a, destroyOp("", sharedVolume("id1", 64, "", "p", "r")), 400)
	for _, id := range []string{"t1", "t2"} {
		f.acknowledge(a, id, a.reports(f, id, mesos.TASK_FINISHED))
	}
	w.pass(2*time.Second, a.pid)
	w.operate(a, destroyOp("", sharedVolume("id1", 64, "", "p", "r")), 202)
	for _, o := range f.w.s.offers {
		if contains(o.resources, v) {
			t.Errorf("offer %s still holds what was destroyed", o.id)
		}
	}
	if n := len(f.of(scheduler.Event_RESCIND)); n != 2 {
		t.Errorf("%d offers rescinded, want both that held the volume", n)
	}
	if w.total(a) != "cpus:4; disk:936; disk(reservations: [(DYNAMIC,r,p)]):64; mem:4096" {
		t.Errorf("%s", w.total(a))
	}
}

func TestOP05_ResizedVolumesAreForTheNextOffer(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r")
	v := func(size float64) mesos.Resource { return volume("id1", size, "r", "p", "r") }
	f.accept(0, f.offer(), reserveOp("", amount("disk", 64, "r", "p", "r")), createOp("", v(32)), growOp("op1", v(32), amount("disk", 16, "r", "p", "r")), shrinkOp("op2", v(48), 40))
	if f.result("op1") != nil || !strings.HasPrefix(f.result("op2").GetMessage(), "Invalid SHRINK_VOLUME operation: ") {
		t.Errorf("%v %v", f.result("op1"), f.result("op2"))
	}
	w.pass(2*time.Second, a.pid)
	f.accept(0, f.offer(), shrinkOp("op3", v(48), 40))
	if want := "cpus:4; disk:936; disk(reservations: [(DYNAMIC,r,p)]):56; disk(reservations: [(DYNAMIC,r,p)])[id1:vol]:8; mem:4096"; w.total(a) != want || f.result("op3") != nil {
		t.Errorf("%s\nwant %s; %v", w.total(a), want, f.result("op3"))
	}
}

func TestOP05b_RefusedResizes(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r")
	v, where := volume("id1", 32, "r", "p", "r"), "; on agent "+a.id+" at "+a.pid+" (host1)"
	cases := []struct {
		op   mesos.Offer_Operation
		text string
	}{
		{growOp("", v, amount("disk", 1, "r", "")), "Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields"},
		{growOp("", amount("disk", 8, "r", "p", "r"), amount("disk", 8, "r", "p", "r")), "Invalid persistent volume in the 'GrowVolume.volume' field: Resource disk(allocated: r)(reservations: [(DYNAMIC,r,p)]):8 does not have DiskInfo"},
		{growOp("", v, amount("disk", 0, "r", "p", "r")), "The size of 'GrowVolume.addition' field must be greater than zero"},
		{growOp("", sharedVolume("id1", 32, "r", "p", "r"), amount("disk", 1, "r", "p", "r")), "Growing a shared persistent volume is not supported"},
		{shrinkOp("", v, 0), "Value of 'ShrinkVolume.subtract' must be greater than zero"},
		{shrinkOp("", v, 32), "Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'"},
		{shrinkOp("", v, -1), "Value of 'ShrinkVolume.subtract' must be greater than zero"},
	}
	var ops []mesos.Offer_Operation
	for i, c := range cases {
		c.op.ID = opID(fmt.Sprint(i))
		ops = append(ops, c.op)
	}
	f.accept(0, f.offer(), ops...)
	for i, c := range cases {
		if st := f.result(fmt.Sprint(i)); st.GetMessage() != c.text+where {
			t.Errorf("%d: got %v\nwant %s", i, st, c.text+where)
		}
	}
}

func TestOP06_OP07_DisksOfProviders(t *testing.T) {
	w := newWorld(t)
	w.operating("cpus:4;mem:4096;disk:1000")
	f := w.reserver("r")
	raw := amount("disk", 8, "r", "")
	raw.ProviderID, raw.Disk = &mesos.ResourceProviderID{Value: "rp"}, &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_RAW, Profile: strptr("x")}}
	f.accept(0, f.offer(),
		mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE_DISK, ID: opID("1"), CreateDisk: &mesos.Offer_Operation_CreateDisk{Source: amount("disk", 8, "r", ""), TargetType: mesos.Resource_DiskInfo_Source_MOUNT}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY_DISK, ID: opID("2"), DestroyDisk: &mesos.Offer_Operation_DestroyDisk{Source: amount("disk", 8, "r", "")}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE_DISK, ID: opID("3"), CreateDisk: &mesos.Offer_Operation_CreateDisk{Source: raw, TargetType: mesos.Resource_DiskInfo_Source_MOUNT}},
		mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY_DISK, ID: opID("4"), DestroyDisk: &mesos.Offer_Operation_DestroyDisk{Source: raw}},
	)
	for id, text := range map[string]string{"1": "'source' is not managed by a resource provider", "2": "'source' is not managed by a resource provider", "3": errProviders.Error(), "4": "'source' is not backed by a CSI volume"} {
		if st := f.result(id); st.GetState() != mesos.OPERATION_ERROR || !strings.HasPrefix(st.GetMessage(), text) {
			t.Errorf("%s: %v", id, st)
		}
	}
}

func TestOP1_18_OperatorsReserve(t *testing.T) {
	w := newWorld(t)
	a := w.operating("cpus:4;mem:4096")
	f := w.subscribe(named("f"))
	offered := f.offer()
	w.operate(a, reserveOp("", amount("cpus", 4, "", "", "r")), 202)
	if rescinded := f.of(scheduler.Event_RESCIND); len(rescinded) != 1 || rescinded[0].Rescind.OfferID != offered.ID {
		t.Errorf("rescinded %v", rescinded)
	}
	if m := lastSent[*messages.ApplyOperationMessage](a); m == nil || m.FrameworkID != nil {
		t.Errorf("order %v", m)
	}
	a.finishes()
	if lastSent[*messages.AcknowledgeOperationStatusMessage](a) == nil || len(w.s.View().Operations) != 0 {
		t.Error("nobody acknowledges an operator's operation")
	}
	w.operate(a, reserveOp("", amount("cpus", 1, "", "", "r")), 409)
	w.operate(a, reserveOp("", amount("cpus", 4, "", "", "r", "r/x")), 202)
	w.operate(a, unreserveOp("", amount("cpus", 4, "", "", "r")), 409)
	w.operate(a, unreserveOp("", amount("cpus", 4, "", "", "r", "r/x")), 202)
	update := reserveOp("", amount("cpus", 4, "", "", "s"))
	update.Reserve.Source = []mesos.Resource{amount("cpus", 4, "", "", "r")}
	w.operate(a, update, 202)
	if w.total(a) != "cpus(reservations: [(DYNAMIC,s)]):4; mem:4096" {
		t.Errorf("%s", w.total(a))
	}
	w.operate(a, update, 409)
	update.Reserve.Source[0].Scalar = &mesos.Value_Scalar{Value: 3}
	w.operate(a, update, 400)
	w.operate(a, reserveOp("", amount("cpus", 1, "r", "", "r")), 400)
	w.operate(a, reserveOp(""), 400)
	w.operate(&testAgent{id: "none"}, reserveOp("", amount("cpus", 1, "", "", "r")), 400)
}

func TestOP1_18_SchedulersCannotUpdateReservations(t *testing.T) {
	w := newWorld(t)
	w.operating("cpus:4;mem:4096")
	f := w.reserver("r")
	op := reserveOp("op1", amount("cpus", 1, "r", "p", "r"))
	op.Reserve.Source = []mesos.Resource{amount("cpus", 1, "r", "")}
	f.accept(0, f.offer(), op)
	if st := f.result("op1"); st.GetMessage() != "Operation attempted with invalid resources: Reservation updates are not yet implemented for the scheduler API." {
		t.Errorf("%v", st)
	}
}
