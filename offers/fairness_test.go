package offers

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// greedy is a datacenter in which every framework always wants more: it fills each offer with tasks of one cpu and refuses
// the rest; tasks end at random.
type greedy struct {
	*dc
	task  Resources
	tasks []Grant // one per running task
	dice  dice
}

func (g *greedy) step() {
	for _, grant := range g.grants() {
		rest, task := grant.Resources, g.task.Allocate(grant.Role)
		for rest.Contains(task) {
			rest = rest.without(task)
			g.tasks = append(g.tasks, Grant{Framework: grant.Framework, Role: grant.Role, Agent: grant.Agent, Resources: task})
		}
		if err := g.Refuse(grant.Framework, grant.Agent, rest, RefuseTimeout(nil, time.Second)); err != nil {
			g.Fatal(err)
		}
	}
	for i := 0; i < len(g.tasks); {
		if g.dice.next()%10 > 0 {
			i++
			continue
		}
		task := g.tasks[i]
		if err := g.Release(task.Framework, task.Agent, task.Resources); err != nil {
			g.Fatal(err)
		}
		g.tasks[i] = g.tasks[len(g.tasks)-1]
		g.tasks = g.tasks[:len(g.tasks)-1]
	}
	g.later(time.Second)
}

// shares plays on and averages the part of the running tasks that each framework has.
func (g *greedy) shares(settle, measure int) map[string]float64 {
	count, all := map[string]float64{}, 0.0
	for i := range settle + measure {
		g.step()
		if i >= settle {
			for _, task := range g.tasks {
				count[task.Framework]++
				all++
			}
		}
	}
	for id := range count {
		count[id] /= all
	}
	return count
}

// TestALC06_SharesOfGreedyFrameworks: with the datacenter full, each of three greedy frameworks of equal weight holds a
// third; with one's weight doubled it holds half and the others a quarter each; and back.
func TestALC06_SharesOfGreedyFrameworks(t *testing.T) {
	g := &greedy{dc: newDC(t, Options{MinAllocatable: DefaultMinAllocatable()}), task: must(t, "cpus:1;mem:128"), dice: 1}
	g.framework("early", "early")
	for i := range 20 {
		g.agent(fmt.Sprintf("agent-%d", i), "cpus:6;mem:2048;ports:[31000-32000]")
	}
	g.step() // early takes it all
	if len(g.tasks) < 100 {
		t.Fatalf("only %d tasks run", len(g.tasks))
	}
	g.framework("late", "late")
	g.framework("later", "later")
	expect := func(early, late, later float64) {
		t.Helper()
		got := g.shares(100, 200)
		for id, want := range map[string]float64{"early": early, "late": late, "later": later} {
			if math.Abs(got[id]-want) > 0.03 {
				t.Errorf("%s holds %.3f, not %.3f", id, got[id], want)
			}
		}
	}
	expect(1./3, 1./3, 1./3)
	for weight, want := range map[float64][3]float64{2: {0.25, 0.5, 0.25}} {
		if err := g.SetWeight("late", weight); err != nil {
			t.Fatal(err)
		}
		expect(want[0], want[1], want[2])
	}
	if err := g.SetWeight("late", 1); err != nil {
		t.Fatal(err)
	}
	expect(1./3, 1./3, 1./3)
}

// TestALC03_SharesWithinARole: frameworks of one role share it equally, whatever other roles do.
func TestALC03_SharesWithinARole(t *testing.T) {
	g := &greedy{dc: newDC(t, Options{MinAllocatable: DefaultMinAllocatable()}), task: must(t, "cpus:1;mem:128"), dice: 2}
	g.framework("f1", "r")
	g.framework("f2", "r")
	g.framework("f3", "q")
	for i := range 20 {
		g.agent(fmt.Sprintf("agent-%d", i), "cpus:6;mem:2048")
	}
	got := g.shares(100, 200)
	for id, want := range map[string]float64{"f1": 0.25, "f2": 0.25, "f3": 0.5} {
		if math.Abs(got[id]-want) > 0.03 {
			t.Errorf("%s holds %.3f, not %.3f", id, got[id], want)
		}
	}
}
