package offers

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
)

func TestFrameworkOf(t *testing.T) {
	role := "old"
	f, err := FrameworkOf("f1", mesos.FrameworkInfo{Role: &role, Roles: []string{"ignored"}}, nil)
	if err != nil || !slices.Equal(f.Roles, []string{"old"}) || !f.Active {
		t.Errorf("got %+v, %v", f, err)
	}
	if f, err = FrameworkOf("f1", mesos.FrameworkInfo{}, nil); err != nil || !slices.Equal(f.Roles, []string{"*"}) {
		t.Errorf("got %+v, %v", f, err)
	}
	var all []mesos.FrameworkInfo_Capability
	for i := range int32(9) {
		all = append(all, mesos.FrameworkInfo_Capability{Type: mesos.FrameworkInfo_Capability_Type(i)})
	}
	f, err = FrameworkOf("f1", mesos.FrameworkInfo{Capabilities: all, Roles: []string{"a", "b/c"}}, []string{"a"})
	if err != nil || f.Capabilities != (Capabilities{true, true, true, true, true, true}) || len(f.Roles) != 2 || f.Suppressed[0] != "a" {
		t.Errorf("got %+v, %v", f, err)
	}
	if _, err = FrameworkOf("f1", mesos.FrameworkInfo{Capabilities: all, Roles: []string{"a b"}}, nil); err == nil {
		t.Error("a role with a space was accepted")
	}
}

func TestALC01_RolesView(t *testing.T) {
	d := newDC(t, Options{})
	d.framework("f1", "r/s")
	d.agent("a1", "cpus:4;mem:8")
	d.holds("f1", "a1", "cpus:1", "r/s")
	if err := d.SetWeight("w", 2); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(d.Roles())
	if want := "[{r 1 0.25 cpus:1 {} cpus:1 {{} {}} []} {r/s 1 0.25 cpus:1 {} cpus:1 {{} {}} [f1]} {w 2 0 {} {} {} {{} {}} []}]"; got != want {
		t.Errorf("got %s", got)
	}
	d.RemoveFramework("f1")
	if got := d.Roles(); len(got) != 1 || d.Free("a1").String() != "cpus:4; mem:8" {
		t.Errorf("got %v, free %s", got, d.Free("a1"))
	}
}

func TestExplain(t *testing.T) {
	d := newDC(t, Options{})
	d.why("nobody", "", WhyUnknown)
	d.framework("f1", "x")
	d.why("f1", "", WhyNoAgent)
	d.agent("a1", "cpus:2")
	d.agent("a2", "cpus:2")
	d.framework("f2", "y")
	d.why("f1", "a1", WhyNext)
	d.holds("f1", "a1", "cpus:1", "x")
	d.why("f1", "a1", WhyBehind)
	d.holds("f3", "a2", "cpus:2", "y")
	d.why("f1", "a2", WhyNothingFree)
	got := strings.Join(Summarize(d.Explain("f1")), "\n")
	want := `Role "x" has a dominant share of 25.0 % (weight 1); role "x" is served first; the framework is number 1 of 1 in its role.
Role "x", agent a1: cpus:1 is free and will be offered to it in the next round.
Role "x", agent a2: nothing is free; framework f3 holds cpus:2.`
	if got != want {
		t.Errorf("got\n%s", got)
	}
	d.DeactivateFramework("f1")
	d.why("f1", "", WhyInactive)
}
