// Package registrytest holds every implementation of registry.Registry to the same behaviour.
package registrytest

import (
	"reflect"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
)

// Run tests the registry that open returns. open is called again after Close; if
// durable, what was stored must still be there.
func Run(t *testing.T, durable bool, open func() registry.Registry) {
	ctx := t.Context()
	reg := open()
	model := core.NewRegistry()
	at := time.Unix(1700000000, 42)
	role, other := "prod", "batch/nightly"
	steps := [][]core.RegistryChange{
		{{Kind: core.AdmitAgent, Agent: agent("S0", "host0")}},
		{{Kind: core.AdmitAgent, Agent: agent("S1", "host1")}, {Kind: core.AdmitAgent, Agent: agent("S2", "host2")}},
		{{Kind: core.AdmitAgent, Agent: agent("S0", "host0-renamed")}},
		{{Kind: core.UnreachableAgent, Agent: agent("S1", ""), At: at}},
		{{Kind: core.SetWeights, Weights: []mesos.WeightInfo{{Role: &role, Weight: 2.5}, {Role: &other, Weight: 0.1}}}},
		{{Kind: core.ReachableAgent, Agent: agent("S1", "host1")}, {Kind: core.UnreachableAgent, Agent: agent("S1", ""), At: at}},
		{{Kind: core.RemoveAgent, Agent: agent("S2", "")}},
		{{Kind: core.ReachableAgent, Agent: agent("foreign-S7", "host7")}},
		{{Kind: core.UnreachableAgent, Agent: agent("foreign-S7", ""), At: at}, {Kind: core.PruneAgents, IDs: []string{"foreign-S7"}}},
	}
	for i, changes := range steps {
		if err := reg.Apply(ctx, changes); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		for _, c := range changes {
			model.Apply(c)
		}
		same(t, reg, model)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	if !durable {
		return
	}
	reg = open()
	same(t, reg, model)
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
}

func agent(id, hostname string) mesos.AgentInfo {
	return mesos.AgentInfo{ID: &mesos.AgentID{Value: id}, Hostname: hostname}
}

func same(t *testing.T, reg registry.Registry, want *core.Registry) {
	t.Helper()
	got, err := reg.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Admitted) != len(want.Admitted) {
		t.Fatalf("admitted %v, want %v", got.Admitted, want.Admitted)
	}
	for id, info := range want.Admitted {
		if g := got.Admitted[id]; !g.Equal(&info) {
			t.Fatalf("agent %s is %v, want %v", id, g, info)
		}
	}
	if len(got.Unreachable) != len(want.Unreachable) {
		t.Fatalf("unreachable %v, want %v", got.Unreachable, want.Unreachable)
	}
	for id, at := range want.Unreachable {
		if !got.Unreachable[id].Equal(at) {
			t.Fatalf("agent %s unreachable since %v, want %v", id, got.Unreachable[id], at)
		}
	}
	if !reflect.DeepEqual(got.Weights, want.Weights) {
		t.Fatalf("weights %v, want %v", got.Weights, want.Weights)
	}
}
