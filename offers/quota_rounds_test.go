package offers

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

func (d *dc) quota(role, guarantees, limits string) {
	d.Helper()
	if err := d.SetQuota(role, Quota{Guarantees: must(d, guarantees).Quantities(), Limits: must(d, limits).Quantities()}); err != nil {
		d.Fatal(err)
	}
}

func TestSEM04_Limit(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r")
	d.agent("a1", "cpus:4;mem:8;ports:[1-9]")
	d.quota("r", "", "cpus:3")
	d.wants("f1 a1 cpus:3; mem:8; ports:[1-9]")
	d.why("f1", "a1", WhyLimit)
	d.gives("f1", "a1", "cpus:1", "r", 0)
	d.wants("f1 a1 cpus:1")
	d.quota("r", "", "cpus:1") // what it has stays
	d.wants()
	d.RemoveQuota("r")
	d.wants("f1 a1 cpus:1")
}

func TestSEM04_NestedRolesShareTheLimit(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r/s")
	d.framework("f2", "r/t")
	d.agent("a1", "cpus:4")
	d.agent("a2", "cpus(r/t):2")
	d.quota("r", "", "cpus:5")
	// Two are reserved, so three of the others are left.
	d.wants("f1 a1 cpus:3", "f2 a2 cpus(r/t):2")
}

func TestSEM03_HeadroomIsHeldBack(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "other")
	d.agent("a1", "cpus:4;mem:8")
	d.agent("a2", "cpus(r):1")
	d.quota("r", "cpus:4", "")
	d.wants("f1 a1 cpus:1; mem:8") // three of four must stay; the reservation counts
	d.why("f1", "a1", WhyHeadroom)
	d.framework("f2", "r")
	d.wants("f2 a1 cpus:3", "f2 a2 cpus(r):1")
}

func TestRUN04_GuaranteesGoFirst(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "a")
	d.framework("f2", "r")
	d.agent("a1", "cpus:4;mem:8")
	d.holds("f2", "a1", "mem:4", "r") // by fair shares it would come second
	d.quota("r", "cpus:1", "")
	d.wants("f2 a1 cpus:4; mem:4") // beyond the guarantee too: nobody else has one
}

func TestRUN03_InactiveAgentsAreNoHeadroom(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "other")
	d.agent("a1", "cpus:4")
	d.agent("a2", "cpus:4")
	d.quota("r", "cpus:4", "")
	d.SetAgentActive("a2", false)
	d.wants()
	d.SetAgentActive("a2", true)
	if got := d.grants(); len(got) != 1 || got[0].Resources.Scalar("cpus") != 4*Unit {
		t.Errorf("got %v", got)
	}
}

func TestSEM04_WholeDisksAreNotCut(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r")
	disk := scalar("disk", 100)
	disk.Disk = &mesos.Resource_DiskInfo{Source: &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_MOUNT}}
	d.PutAgent(Agent{ID: "a1", Active: true, Total: must(t, "cpus:1;disk:40").mustPlus(disk)})
	d.quota("r", "", "disk:60")
	d.wants("f1 a1 cpus:1; disk:40")
	d.quota("r", "", "disk:200")
	d.wants("f1 a1 disk{DISK}:100")
}

// TestSEM04_MoreRoomIsNoticed: who is denied for a limit, on several agents at different times, is served as soon as there is
// more room than when it was denied last on any of them.
func TestSEM04_MoreRoomIsNoticed(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r")
	d.framework("holder", "r")
	d.agent("a1", "cpus:10")
	d.agent("store", "cpus:10")
	d.SetAgentActive("store", false)
	d.quota("r", "", "cpus:10")
	d.holds("holder", "store", "cpus:4", "r")
	d.Suppress("holder")
	d.wants("f1 a1 cpus:6")
	d.gives("f1", "a1", "cpus:6", "r", time.Hour)
	d.wants() // denied at 6
	d.agent("a2", "cpus:9")
	d.holds("holder", "store", "cpus:3", "r")
	d.wants("f1 a2 cpus:3")
	d.gives("f1", "a2", "cpus:3", "r", time.Hour)
	d.wants() // denied at 3
	d.gives("holder", "store", "cpus:2", "r", 0)
	d.wants("f1 a2 cpus:5")
}

func TestRUN08_SharedVolumes(t *testing.T) {
	d := newDC(t, Options{})
	volume := scalar("disk", 5)
	volume.Reservations, volume.Shared = dynamic("r"), &mesos.Resource_SharedInfo{}
	volume.Disk = &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "v"}}
	for _, id := range []string{"f1", "f2"} {
		d.PutFramework(Framework{ID: id, Roles: []string{"r"}, Active: true, Capabilities: Capabilities{MultiRole: true, Shared: true}})
	}
	d.framework("f3", "r") // can't share
	v := Resources{}.mustPlus(volume)
	d.PutAgent(Agent{ID: "a1", Active: true, Total: must(t, "cpus:1").Plus(v)})
	taken := map[string]bool{}
	for range 2 { // once a round, while it is in use
		for _, g := range d.grants() {
			if !g.Resources.Shared().IsZero() {
				taken[g.Framework] = true
			}
		}
	}
	if len(taken) != 2 || taken["f3"] {
		t.Errorf("offered to %v", taken)
	}
	d.wants() // all have a copy
	if err := d.Release("f2", "a1", v.Allocate("r")); err != nil {
		t.Fatal(err)
	}
	got := d.grants()
	if len(got) != 1 || got[0].Framework != "f2" {
		t.Errorf("given back, it is offered as %v", got)
	}
}

func TestOFF13_Constraints(t *testing.T) {
	d := newDC(t, Options{})
	f := Framework{ID: "f1", Roles: []string{"r"}, Active: true, Constraints: map[string]Constraint{
		"r": func(info *mesos.AgentInfo) bool { return info.Hostname == "good" }}}
	d.PutFramework(f)
	for _, host := range []string{"good", "bad"} {
		d.PutAgent(Agent{ID: host, Total: must(t, "cpus:1"), Active: true, Info: &mesos.AgentInfo{Hostname: host}})
	}
	d.why("f1", "bad", WhyConstraint)
	d.wants("f1 good cpus:1")
	f.Constraints = nil
	d.PutFramework(f)
	d.wants("f1 bad cpus:1")
}

func TestALT06_Whitelist(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r")
	d.PutAgent(Agent{ID: "a1", Total: must(t, "cpus:1"), Active: true, Info: &mesos.AgentInfo{Hostname: "h1"}})
	d.SetWhitelist([]string{})
	d.why("f1", "a1", WhyWhitelist)
	d.wants()
	d.SetWhitelist([]string{"h1"})
	d.wants("f1 a1 cpus:1")
	d.SetWhitelist(nil)
}

// TestALC07_RandomSorter: the chance to be first follows the weights, whatever is held.
func TestALC07_RandomSorter(t *testing.T) {
	d := newDC(t, Options{RoleSorter: Random, FrameworkSorter: Random})
	d.framework("big", "x")
	d.framework("small1", "y/a")
	d.framework("small2", "y/b")
	for role, weight := range map[string]float64{"x": 6, "y": 2, "y/b": 3} {
		if err := d.SetWeight(role, weight); err != nil {
			t.Fatal(err)
		}
	}
	const agents = 8000
	for i := range agents {
		d.agent(fmt.Sprintf("a%d", i), "cpus:1")
	}
	count := map[string]int{}
	for _, g := range d.grants() {
		count[g.Framework]++
	}
	for id, part := range map[string]float64{"big": 0.75, "small1": 0.0625, "small2": 0.1875} {
		if got := float64(count[id]) / agents; got < part-0.02 || got > part+0.02 {
			t.Errorf("%s got %.3f, not about %.3f", id, got, part)
		}
	}
}
