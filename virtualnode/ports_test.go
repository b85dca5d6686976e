package virtualnode

import (
	"slices"
	"testing"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
)

func portsResource(ranges ...mesos.Value_Range) mesos.Resource {
	kind := mesos.RANGES
	return mesos.Resource{Name: "ports", Type: &kind, Ranges: &mesos.Value_Ranges{Range: ranges}}
}

func TestHostPortsThatMesosManages(t *testing.T) {
	spec := corev1.PodSpec{
		InitContainers: []corev1.Container{{Ports: []corev1.ContainerPort{{HostPort: 31005}}}},
		Containers: []corev1.Container{
			{Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}, {ContainerPort: 9, HostPort: 31005, Protocol: corev1.ProtocolUDP}}},
			{Ports: []corev1.ContainerPort{{ContainerPort: 81}, {ContainerPort: 8, HostPort: 31001}}},
		},
	}
	ports := HostPorts(&spec)
	if !slices.Equal(ports, []uint64{80, 31001, 31005}) {
		t.Errorf("the pod's host ports are %d", ports)
	}
	ranges := PortsOf([]mesos.Resource{portsResource(mesos.Value_Range{Begin: 31000, End: 31001}, mesos.Value_Range{Begin: 31005, End: 31005})})
	if managed := ManagedPorts(ports, ranges); !slices.Equal(managed, []uint64{31001, 31005}) {
		t.Errorf("Mesos manages %d", managed)
	}
}

// Whatever is taken was offered, exactly once, and together with what stays it is what was offered.
func TestCarvedPortsAndTheRestAreWhatWasOffered(t *testing.T) {
	expand := func(resources []mesos.Resource) (all []uint64) {
		for _, r := range PortsOf(resources) {
			for p := r.Begin; p <= r.End; p++ {
				all = append(all, p)
			}
		}
		slices.Sort(all)
		return all
	}
	rapid.Check(t, func(t *rapid.T) {
		offered := Amounts{CPU: 1000, Memory: 1000}.Resources("r")
		next := uint64(0)
		for range rapid.IntRange(0, 4).Draw(t, "ranges") {
			begin := next + rapid.Uint64Range(1, 3).Draw(t, "gap")
			end := begin + rapid.Uint64Range(0, 4).Draw(t, "length")
			offered, next = append(offered, portsResource(mesos.Value_Range{Begin: begin, End: end})), end+1
		}
		before := expand(offered)
		want := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 30), 0, 6, rapid.ID[uint64]).Draw(t, "want")
		taken, rest, missing := CarvePorts(offered, want)
		if !slices.Equal(expand(offered), before) {
			t.Fatal("the offer itself was changed")
		}
		for _, port := range want {
			if slices.Contains(before, port) == slices.Contains(missing, port) {
				t.Fatalf("port %d of %d: missing are %d", port, before, missing)
			}
		}
		got := expand(taken)
		if len(missing) > 0 && len(got) > 0 || len(missing) == 0 && len(got) != len(want) {
			t.Fatalf("wanted %d, took %d, missing %d", want, got, missing)
		}
		if all := append(got, expand(rest)...); !slices.Equal(slices.Sorted(slices.Values(all)), before) {
			t.Fatalf("%d became %d", before, all)
		}
	})
}

func TestAFullAgentTakesNoPodThatRequestsNothing(t *testing.T) {
	total := Amounts{CPU: 1000, Memory: 1024_000}
	view := View{Agent: Agent{Total: total}, MaxPods: 110, Pods: 3}
	for _, c := range []struct {
		ours Amounts
		want int
	}{
		{Amounts{}, 3 + 64},                // memory is short first
		{Amounts{CPU: 980}, 3 + 2},         // room for two
		{Amounts{CPU: 995}, 3},             // full
		{Amounts{Memory: 1000_000}, 3 + 1}, // one more by memory
	} {
		view.Ours = c.ours
		if got := view.AllocatablePods(); got != c.want {
			t.Errorf("with %v in use %d pods are allocatable, want %d", c.ours, got, c.want)
		}
	}
	view.Agent.Total, view.Ours = Amounts{CPU: 64_000, Memory: 1024_000_000}, Amounts{}
	if got := view.AllocatablePods(); got != 110 {
		t.Errorf("on a large agent %d pods are allocatable", got)
	}
}
