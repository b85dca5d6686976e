package core

import "testing"

// TestALT05_OffersWaitForAgentsAfterAFailover: with a quota set, nobody is offered anything until four fifths of the agents
// are back, or ten minutes are over.
func TestALT05_OffersWaitForAgentsAfterAFailover(t *testing.T) {
	for _, enough := range []bool{true, false} {
		w := newWorld(t)
		var agents []*testAgent
		for range 5 {
			agents = append(agents, w.agent("cpus:4;mem:4096"))
		}
		if r := w.updateQuota(false, config("r", amounts("cpus", 1.), nil)); r.Status != 200 {
			t.Fatalf("quota: %v", r)
		}
		next := restart(t, w.registry)
		f := next.subscribe(named("f"))
		for _, a := range agents[:3] {
			a.reregister(next, nil)
		}
		next.pass(recoveryTimeout / 10)
		if len(f.offers()) > 0 {
			t.Fatal("three of five agents are back, and offers are made")
		}
		if enough {
			agents[3].reregister(next, nil)
			next.pass(2 * next.s.cfg.AllocationInterval)
		} else {
			next.pass(recoveryTimeout, agents[0].pid, agents[1].pid, agents[2].pid)
		}
		if len(f.offers()) == 0 {
			t.Errorf("enough agents %v: no offers", enough)
		}
	}
}

func TestALT06_WhitelistRead(t *testing.T) {
	w := newWorld(t)
	w.step(WhitelistRead{Hosts: []string{}})
	f := w.subscribe(named("f"))
	w.agent("cpus:4;mem:4096")
	if len(f.offers()) > 0 {
		t.Fatal("an agent that is not on the whitelist is offered")
	}
	w.step(WhitelistRead{})
	w.pass(2 * w.s.cfg.AllocationInterval)
	if len(f.offers()) != 1 {
		t.Errorf("%d offers", len(f.offers()))
	}
}
