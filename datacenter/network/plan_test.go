package network

import (
	"testing"

	"pgregory.net/rapid"
)

// No address of a datacenter belongs to two things, and none to two datacenters.
func TestPlanAddressesAreDistinct(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := rapid.IntRange(0, Numbers-1).Draw(t, "first")
		second := rapid.IntRange(0, Numbers-1).Draw(t, "second")
		agents := rapid.IntRange(1, MaxAgents).Draw(t, "agents")
		p, err := NewPlan(first, agents)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{p.Gateway.String(): true}
		for i, a := range p.Agents {
			if seen[a.Address.String()] || seen[a.Link] || seen[a.Namespace] {
				t.Fatalf("%+v shares something", a)
			}
			seen[a.Address.String()], seen[a.Link], seen[a.Namespace] = true, true, true
			if !p.Subnet.Contains(a.Address) || !p.Pods.Overlaps(a.Pods) || len(a.Link)+1 > 15 {
				t.Fatalf("%+v is out of %+v", a, p)
			}
			for _, b := range p.Agents[:i] {
				if a.Pods.Overlaps(b.Pods) {
					t.Fatalf("pods of %s and %s overlap", a.Name, b.Name)
				}
			}
		}
		if q, _ := NewPlan(second, 1); first != second && (p.Subnet.Overlaps(q.Subnet) || p.Pods.Overlaps(q.Pods)) {
			t.Fatalf("datacenters %d and %d overlap", first, second)
		}
	})
}

func TestPlanRefusesWhatDoesNotFit(t *testing.T) {
	for _, c := range [][2]int{{-1, 1}, {Numbers, 1}, {0, 0}, {0, MaxAgents + 1}} {
		if _, err := NewPlan(c[0], c[1]); err == nil {
			t.Errorf("number %d with %d agents is taken", c[0], c[1])
		}
	}
}
