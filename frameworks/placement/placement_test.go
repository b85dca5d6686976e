package placement

import (
	"fmt"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

func scalar(name string, amount float64, role string) mesos.Resource {
	kind := mesos.SCALAR
	r := mesos.Resource{Name: name, Type: &kind, Scalar: &mesos.Value_Scalar{Value: amount}}
	if role != "" {
		r.Reservations = []mesos.Resource_ReservationInfo{{Role: &role}}
	}
	return r
}

func portRange(begin, end uint64) mesos.Resource {
	kind := mesos.RANGES
	return mesos.Resource{Name: "ports", Type: &kind, Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: begin, End: end}}}}
}

func offer(resources ...mesos.Resource) []mesos.Offer {
	return []mesos.Offer{{ID: mesos.OfferID{Value: "o"}, Hostname: "h", Resources: resources}}
}

func TestTake(t *testing.T) {
	machine := func() *Machine {
		return Group(offer(scalar("cpus", 1, "prod"), scalar("cpus", 2, ""), scalar("mem", 100, ""), portRange(31000, 31002)))[0]
	}
	for _, c := range []struct {
		name string
		ask  Ask
		want Reason
	}{
		{"all of it", Ask{Cpus: 3, Mem: 100, Ports: []int{0, 31000, 0}}, ""},
		{"a port too many", Ask{Cpus: 3, Ports: []int{0, 0, 0, 0}}, InsufficientPorts},
		{"a port outside", Ask{Ports: []int{80}}, InsufficientPorts},
		{"the same port twice", Ask{Ports: []int{31000, 31000}}, InsufficientPorts},
		{"too many cpus", Ask{Cpus: 3.001}, InsufficientCpus},
		{"unreserved only", Ask{Cpus: 3, Roles: []string{"*"}}, InsufficientCpus},
		{"reserved only", Ask{Cpus: 1, Roles: []string{"prod"}}, ""},
		{"no such role", Ask{Cpus: 1, Roles: []string{"dev"}}, UnfulfilledRole},
		{"memory", Ask{Mem: 101}, InsufficientMemory},
		{"disk", Ask{Disk: 1}, InsufficientDisk},
		{"gpus", Ask{Gpus: 1}, InsufficientGpus},
	} {
		m := machine()
		_, ports, why := m.Take(c.ask)
		if why != c.want {
			t.Errorf("%s: got %q, want %q", c.name, why, c.want)
		}
		seen := map[int]bool{}
		for _, p := range ports {
			if seen[p] || p < 31000 || p > 31002 {
				t.Errorf("%s: ports %v", c.name, ports)
			}
			seen[p] = true
		}
		if c.want != "" && (m.Left("cpus") != 3 || m.Left("mem") != 100) {
			t.Errorf("%s: a refused ask took something", c.name)
		}
	}
	m := machine()
	taken, _, _ := m.Take(Ask{Cpus: 0.5})
	if len(taken) != 1 || roleOf(&taken[0]) != "prod" {
		t.Errorf("reserved resources are not used first: %v", taken)
	}
}

// Whatever is asked in whatever order, the machine gives what it has and no more, and no port twice.
func TestTakeNeverGivesMoreThanOffered(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := Group(offer(scalar("cpus", 4, ""), portRange(31000, 31009)))[0]
		given, ports := int64(0), map[int]bool{}
		for range rapid.IntRange(1, 30).Draw(t, "asks") {
			ask := Ask{Cpus: float64(rapid.IntRange(1, 900).Draw(t, "cpus")) / 1000, Seed: rapid.Uint64().Draw(t, "seed"),
				Ports: make([]int, rapid.IntRange(0, 2).Draw(t, "ports"))}
			taken, got, why := m.Take(ask)
			if why != "" {
				continue
			}
			for _, r := range taken {
				if r.Name == "cpus" {
					given += milli(r.Scalar.Value)
				}
			}
			for _, p := range got {
				if ports[p] {
					t.Fatalf("port %d twice", p)
				}
				ports[p] = true
			}
		}
		if given+milli(m.Left("cpus")) != 4000 || len(ports) > 10 {
			t.Fatalf("given %d, left %v, ports %d", given, m.Left("cpus"), len(ports))
		}
	})
}

func at(host, rack string) Reader {
	return func(field string) (string, bool) {
		return Field(field, host, "", "", map[string]string{"rack": rack})
	}
}

func TestConstraints(t *testing.T) {
	two := []Reader{at("a", "r1"), at("b", "r1")}
	for _, c := range []struct {
		constraint string
		here       Reader
		others     []Reader
		want       bool
	}{
		{"hostname:UNIQUE", at("c", "r1"), two, true},
		{"hostname:UNIQUE", at("a", "r1"), two, false},
		{"@hostname:UNIQUE", at("a", "r1"), nil, true},
		{"rack:LIKE:r[12]", at("a", "r2"), nil, true},
		{"rack:LIKE:r", at("a", "r2"), nil, false},
		{"rack:UNLIKE:r2", at("a", "r2"), nil, false},
		{"floor:UNLIKE:f1", at("a", "r2"), nil, true},
		{"floor:LIKE:.*", at("a", "r2"), nil, false},
		{"rack:CLUSTER:r1", at("a", "r2"), nil, false},
		{"rack:CLUSTER", at("a", "r2"), two, false},
		{"rack:CLUSTER", at("a", "r1"), two, true},
		{"rack:MAX_PER:2", at("a", "r1"), two, false},
		{"rack:MAX_PER:3", at("a", "r1"), two, true},
		{"rack:IS:r1", at("a", "r1"), two, true},
		{"rack:GROUP_BY:2", at("a", "r1"), two, false},
		{"rack:GROUP_BY:2", at("a", "r2"), two, true},
		{"rack:GROUP_BY", at("a", "r2"), two, true},
	} {
		parsed, err := Parse(c.constraint)
		if err != nil {
			t.Fatal(err)
		}
		if got := parsed.Allow(c.here, c.others, 4); got != c.want {
			t.Errorf("%s: got %v", c.constraint, got)
		}
	}
	for _, bad := range []string{"x", "x:NEAR", "x:LIKE", "x:LIKE:(", "x:MAX_PER:0", "x:UNIQUE:1", ":UNIQUE"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func ExampleSentence() {
	fmt.Println(Sentence(map[Reason]int{InsufficientCpus: 2, UnfulfilledConstraint: 1}))
	// Output: of 3 machines offered, 1 do not satisfy the constraints, 2 have too few cpus
}
