package registry_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/master/registry/registrytest"
)

// TestEtcdIsTheModel compares the etcd registry with core.Registry and with Memory over
// random batches of changes of every kind. All cases share one etcd: each goes on from
// where the last one ended.
func TestEtcdIsTheModel(t *testing.T) {
	etcd, _, err := registry.Embedded(t.Context(), t.TempDir(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer etcd.Close()
	model, memory := core.NewRegistry(), registry.NewMemory()
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 5).Draw(r, "batches") {
			var batch []core.RegistryChange
			for range rapid.IntRange(0, 6).Draw(r, "changes") {
				batch = append(batch, drawChange(r))
			}
			for _, c := range batch {
				model.Apply(c)
			}
			if err := memory.Apply(t.Context(), batch); err != nil {
				r.Fatal(err)
			}
			if err := etcd.Apply(t.Context(), batch); err != nil {
				r.Fatal(err)
			}
		}
		registrytest.Same(r, memory, model)
		registrytest.Same(r, etcd, model)
	})
}

func drawChange(r *rapid.T) core.RegistryChange {
	small := func(label string) int { return rapid.IntRange(0, 3).Draw(r, label) }
	at := time.Unix(1700000000, int64(small("at")))
	name := fmt.Sprintf("x/%d", small("name"))
	machine := func() mesos.MachineID {
		hostname := rapid.SampledFrom([]string{"a", "A", "b/c", ""}).Draw(r, "hostname")
		ip := rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", ""}).Draw(r, "ip")
		return mesos.MachineID{Hostname: &hostname, IP: &ip}
	}
	markGone := small("gone") == 0
	c := core.RegistryChange{
		Kind:  core.RegistryKind(rapid.IntRange(int(core.AdmitAgent), int(core.RemoveFramework)).Draw(r, "kind")),
		Agent: mesos.AgentInfo{ID: &mesos.AgentID{Value: fmt.Sprintf("S%d", small("agent"))}, Hostname: name},
		At:    at,
		Drain: mesos.DrainConfig{MarkGone: &markGone},
		IDs:   []string{fmt.Sprintf("S%d", small("pruned")), fmt.Sprintf("S%d", small("pruned"))},
	}
	c.Weights = []mesos.WeightInfo{{Role: &name, Weight: float64(small("weight"))}}
	c.Quotas = []quota.QuotaConfig{{Role: name}}
	if n := small("quota"); n > 0 {
		c.Quotas[0].Limits = map[string]mesos.Value_Scalar{"cpus": {Value: float64(n)}}
	}
	c.Framework = core.FrameworkRecord{Info: mesos.FrameworkInfo{ID: &mesos.FrameworkID{Value: name}, Name: fmt.Sprint(small("framework"))}, Registered: at}
	if small("away") == 0 {
		c.Framework.Disconnected = at
	}
	// A machine stands in one window at most: the operator's calls refuse anything else.
	seen := map[core.Machine]bool{}
	for range small("windows") {
		w := maintenance.Window{Unavailability: mesos.Unavailability{Start: mesos.TimeInfo{Nanoseconds: int64(small("start"))}}}
		for range 1 + small("machines") {
			if id := machine(); !seen[core.MachineOf(id)] {
				seen[core.MachineOf(id)] = true
				w.MachineIDs = append(w.MachineIDs, id)
			}
		}
		if len(w.MachineIDs) > 0 {
			c.Schedule = append(c.Schedule, w)
		}
	}
	c.Machines = []mesos.MachineID{machine(), machine()}
	return c
}
