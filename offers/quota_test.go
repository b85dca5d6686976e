package offers

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
)

func TestRUN02_Consumed(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r/s")
	d.agent("a1", "cpus:4;cpus(r):2;cpus(r/s):1;mem(q):8")
	d.holds("f1", "a1", "cpus:3", "r/s")
	d.holds("f1", "a1", "cpus(r):2", "r/s")
	for role, want := range map[string]Amount{"r": 6 * Unit, "r/s": 4 * Unit, "q": 0, "none": 0} {
		if got := d.Consumed(role)["cpus"]; got != want {
			t.Errorf("role %s consumes %s cpus, not %s", role, got, want)
		}
	}
	if got := d.Consumed("q")["mem"]; got != 8*Unit {
		t.Errorf("role q consumes %s mem", got)
	}
	d.RemoveAgent("a1")
	if got := d.Consumed("r"); len(got) > 0 {
		t.Errorf("after the agent went, %v is consumed", got)
	}
	if len(d.roles) != 2 { // r and r/s, where f1 is subscribed
		t.Errorf("roles left: %v", sortedKeys(d.roles))
	}
}

func TestRUN10_SetQuota(t *testing.T) {
	d := newDC(t, Options{})
	for role, q := range map[string]Quota{
		"a/b": {Guarantees: Quantities{"cpus": 1}},
		"a b": {},
		"c":   {Guarantees: Quantities{"cpus": 2}, Limits: Quantities{"cpus": 1}},
	} {
		if err := d.SetQuota(role, q); err == nil {
			t.Errorf("quota %v of role %q was accepted", q, role)
		}
	}
	if err := d.SetQuota("r", Quota{Guarantees: Quantities{"cpus": 2}, Limits: Quantities{"mem": 0}}); err != nil {
		t.Fatal(err)
	}
	q, ok := d.Quota("r")
	if _, limited := q.Limits["mem"]; !ok || !limited || q.Guarantees["cpus"] != 2 {
		t.Errorf("got %v, %v", q, ok)
	}
	if err := d.SetQuota("r", Quota{}); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Quota("r"); ok || len(d.roles) > 0 {
		t.Error("an empty quota is none")
	}
}

func TestACC03_Convert(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r")
	d.agent("a1", "cpus:4;disk:100")
	d.play()
	disk := func(r mesos.Resource, amount float64) Resources {
		r.Name, r.Type, r.Scalar = "disk", mesos.SCALAR.Enum(), &mesos.Value_Scalar{Value: amount}
		return Resources{}.mustPlus(r)
	}
	volume := mesos.Resource{Reservations: dynamic("r"), Shared: &mesos.Resource_SharedInfo{}, Disk: &mesos.Resource_DiskInfo{
		Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "v"}, Volume: &mesos.Volume{ContainerPath: "v", Mode: mesos.RW.Enum()}}}
	plain, reserved, made := disk(mesos.Resource{}, 100), disk(mesos.Resource{Reservations: dynamic("r")}, 100), disk(volume, 100)

	convert := func(framework string, before, after Resources) {
		t.Helper()
		if framework != "" {
			before, after = before.Allocate("r"), after.Allocate("r")
		}
		if err := d.Convert(framework, "a1", before, after); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Convert("", "a1", plain, reserved); err == nil {
		t.Error("what is offered was converted as if it were free")
	}
	if err := d.Convert("f1", "a1", made.Allocate("r"), reserved.Allocate("r")); err == nil {
		t.Error("what is not there was converted")
	}
	convert("f1", plain, reserved)
	if got := d.Consumed("r"); got["disk"] != 100*Unit || got["cpus"] != 4*Unit {
		t.Errorf("consumed %v", got)
	}
	convert("f1", reserved, made)
	if err := d.Charge("f1", "a1", made.Allocate("r")); err != nil { // a task with another copy
		t.Fatal(err)
	}
	if got := d.Free("a1"); !got.Equal(made) {
		t.Errorf("free: %s; a shared volume stays free", got)
	}
	if got := d.Roles()[0].Allocated["disk"]; got != 100*Unit {
		t.Errorf("two copies are charged as %s MB", got)
	}
	if err := d.Release("f1", "a1", made.Allocate("r")); err != nil {
		t.Fatal(err)
	}
	if got := d.Roles()[0].Allocated["disk"]; got != 100*Unit {
		t.Errorf("the copy that is left is charged as %s MB", got)
	}
	convert("f1", made, reserved)
	convert("f1", reserved, plain)
	if err := d.Release("f1", "a1", must(t, "cpus:4;disk:100").Allocate("r")); err != nil {
		t.Fatal(err)
	}
	convert("", plain, reserved)
	if got := d.Free("a1"); !got.Equal(must(t, "cpus:4").Plus(reserved)) {
		t.Errorf("free: %s", got)
	}
	if got := d.Roles()[0]; len(got.Allocated) > 0 || got.Reserved["disk"] != 100*Unit {
		t.Errorf("role is %v", got)
	}
}
