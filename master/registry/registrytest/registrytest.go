// Package registrytest holds every implementation of registry.Registry to the same
// behaviour: that of core.Registry.Apply, durably.
package registrytest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
)

// Run tests the registry that open returns. open is called again after Close; if
// durable, what was stored must still be there.
func Run(t *testing.T, durable bool, open func() registry.Registry) {
	reg := open()
	model := core.NewRegistry()
	steps := append(append(agents(), operators()...), frameworks()...)
	for i, changes := range steps {
		if err := reg.Apply(t.Context(), changes); err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
		for _, c := range changes {
			model.Apply(c)
		}
		Same(t, reg, model)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	if !durable {
		return
	}
	reg = open()
	Same(t, reg, model)
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
}

var at = time.Unix(1700000000, 42)

func agents() [][]core.RegistryChange {
	yes := true
	return [][]core.RegistryChange{
		{{Kind: core.AdmitAgent, Agent: agent("S0", "host0")}},
		{{Kind: core.AdmitAgent, Agent: agent("S1", "host1")}, {Kind: core.AdmitAgent, Agent: agent("S2", "host2")}},
		{{Kind: core.AdmitAgent, Agent: agent("S0", "host0-renamed")}},
		{{Kind: core.UnreachableAgent, Agent: agent("S1", ""), At: at}},
		{{Kind: core.ReachableAgent, Agent: agent("S1", "host1")}, {Kind: core.UnreachableAgent, Agent: agent("S1", ""), At: at}},
		{{Kind: core.RemoveAgent, Agent: agent("S2", "")}},
		{{Kind: core.ReachableAgent, Agent: agent("foreign-S7", "host7")}},
		{{Kind: core.DrainAgent, Agent: agent("S1", ""), Drain: mesos.DrainConfig{MarkGone: &yes, MaxGracePeriod: &mesos.DurationInfo{Nanoseconds: 5}}}},
		{{Kind: core.DrainAgent, Agent: agent("nobody", "")}, {Kind: core.DeactivateAgent, Agent: agent("S0", "")}},
		{{Kind: core.DrainedAgent, Agent: agent("S1", "")}, {Kind: core.DrainedAgent, Agent: agent("S0", "")}},
		{{Kind: core.ReachableAgent, Agent: agent("S1", "host1")}},
		{{Kind: core.ReactivateAgent, Agent: agent("S0", "")}},
		{{Kind: core.GoneAgent, Agent: agent("S1", ""), At: at}},
		{{Kind: core.UnreachableAgent, Agent: agent("foreign-S7", ""), At: at}, {Kind: core.PruneAgents, IDs: []string{"foreign-S7", "S1"}}},
	}
}

func operators() [][]core.RegistryChange {
	role, other := "prod", "batch/nightly"
	guaranteed := quota.QuotaConfig{Role: other, Guarantees: map[string]mesos.Value_Scalar{"cpus": {Value: 1.5}}, Limits: map[string]mesos.Value_Scalar{"cpus": {Value: 3}}}
	window := func(from, to int) maintenance.Window {
		w := maintenance.Window{Unavailability: mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: int64(from)}, Duration: &mesos.DurationInfo{Nanoseconds: 7}}}
		for i := from; i < to; i++ {
			w.MachineIDs = append(w.MachineIDs, machine(i))
		}
		return w
	}
	return [][]core.RegistryChange{
		{{Kind: core.SetWeights, Weights: []mesos.WeightInfo{{Role: &role, Weight: 2.5}, {Role: &other, Weight: 0.1}}}},
		{{Kind: core.SetQuotas, Quotas: []quota.QuotaConfig{guaranteed, {Role: role, Limits: map[string]mesos.Value_Scalar{"mem": {Value: 10}}}}}},
		{{Kind: core.SetQuotas, Quotas: []quota.QuotaConfig{{Role: role}}}},
		{{Kind: core.SetQuotas, Quotas: []quota.QuotaConfig{{Role: other}}}},
		// More than one transaction holds.
		{{Kind: core.SetSchedule, Schedule: []maintenance.Window{window(0, 400), window(400, 500)}}},
		{{Kind: core.StartMaintenance, Machines: []mesos.MachineID{machine(3), machine(450), machine(9999)}}},
		{{Kind: core.SetSchedule, Schedule: []maintenance.Window{window(300, 500), window(0, 5)}}},
		{{Kind: core.StopMaintenance, Machines: []mesos.MachineID{machine(0), machine(1), machine(2), machine(3), machine(4), machine(450)}}},
		{{Kind: core.SetSchedule}},
	}
}

func frameworks() [][]core.RegistryChange {
	record := func(id, name string, disconnected time.Time) core.FrameworkRecord {
		timeout := 3600.0
		return core.FrameworkRecord{
			Info:       mesos.FrameworkInfo{ID: &mesos.FrameworkID{Value: id}, User: "root", Name: name, FailoverTimeout: &timeout, Roles: []string{"a", "b"}},
			Registered: at, Disconnected: disconnected,
		}
	}
	return [][]core.RegistryChange{
		{{Kind: core.PutFramework, Framework: record("F0", "marathon", time.Time{})}, {Kind: core.PutFramework, Framework: record("F1", "yarn", time.Time{})}},
		{{Kind: core.PutFramework, Framework: record("F0", "marathon", at.Add(time.Hour))}},
		{{Kind: core.RemoveFramework, Framework: record("F1", "", time.Time{})}, {Kind: core.RemoveFramework, Framework: record("F2", "", time.Time{})}},
	}
}

func agent(id, hostname string) mesos.AgentInfo {
	return mesos.AgentInfo{ID: &mesos.AgentID{Value: id}, Hostname: hostname}
}

func machine(i int) mesos.MachineID {
	hostname, ip := fmt.Sprintf("Host%d.example", i), fmt.Sprintf("10.0.%d.%d", i/256, i%256)
	if i%3 == 0 {
		return mesos.MachineID{Hostname: &hostname}
	}
	return mesos.MachineID{Hostname: &hostname, IP: &ip}
}

// Same fails the test if reg does not hold what want does.
func Same(t interface {
	Helper()
	Fatalf(string, ...any)
}, reg registry.Registry, want *core.Registry) {
	t.Helper()
	got, err := reg.Load(context.Background())
	if err != nil {
		t.Fatalf("load: %v", err)
	}
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		if x, y := g.Field(i), w.Field(i); x.Len()+y.Len() > 0 && !reflect.DeepEqual(x.Interface(), y.Interface()) {
			t.Fatalf("%s is\n%v\nwant\n%v", g.Type().Field(i).Name, x.Interface(), y.Interface())
		}
	}
}
