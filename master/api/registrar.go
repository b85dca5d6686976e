package api

import (
	"net/http"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// registry serves /registrar(1)/registry: what outlives the master, in the form of Mesos's registry (reference section
// 6.2). The frameworks, which Mesos does not keep, are left out.
func (s *Server) registry(w http.ResponseWriter, r *http.Request) {
	v, ok := s.view(w, r)
	if !ok {
		return
	}
	reg, err := s.backend.Registry(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	if !core.SeesAll(s.approver(r)) {
		keepVisible(reg, v)
	}
	var b builder
	b.open('{')
	b.field("master")
	b.open('{')
	b.rawField("info", raw(&v.Master))
	b.close('}')
	b.admitted(reg)
	b.lost("unreachable", reg, reg.Unreachable)
	b.lost("gone", reg, reg.Gone)
	b.decided(reg)
	b.close('}')
	s.deliver(w, r, codec.MediaTypeJSON, b.done())
}

// keepVisible takes out of a copy of the registry what the view does not show.
func keepVisible(reg *core.Registry, v *core.View) {
	clear(reg.Admitted)
	for _, a := range v.Agents {
		reg.Admitted[a.ID()] = a.Info
	}
	for i := range v.Recovered {
		reg.Admitted[v.Recovered[i].GetID().GetValue()] = v.Recovered[i]
	}
	clear(reg.Weights)
	for _, x := range v.Weights {
		reg.Weights[x.GetRole()] = x.Weight
	}
	clear(reg.Quotas)
	for _, x := range v.Quotas {
		reg.Quotas[x.Role] = x
	}
	if reg.Schedule = v.Schedule; len(v.Schedule) == 0 {
		clear(reg.Machines)
	}
}

// admitted writes the agents that were let in.
func (t *text) admitted(reg *core.Registry) {
	t.field("slaves")
	t.open('{')
	t.field("slaves")
	t.open('[')
	for _, id := range sortedNames(reg.Admitted) {
		info := reg.Admitted[id]
		t.open('{')
		t.rawField("info", raw(&info))
		t.standing(reg, id)
		t.close('}')
	}
	t.close(']')
	t.close('}')
}

// standing writes what operators decided about an agent.
func (t *text) standing(reg *core.Registry, id string) {
	if drain, ok := reg.Drains[id]; ok {
		t.rawField("drain_info", raw(&drain))
	}
	t.boolField("deactivated", reg.Deactivated[id])
}

// lost writes agents that are unreachable or gone; nothing when there are none.
func (t *text) lost(name string, reg *core.Registry, since map[string]time.Time) {
	if len(since) == 0 {
		return
	}
	t.field(name)
	t.open('{')
	t.field("slaves")
	t.open('[')
	for _, id := range sortedNames(since) {
		t.open('{')
		t.rawField("id", raw(&mesos.AgentID{Value: id}))
		t.rawField("timestamp", raw(&mesos.TimeInfo{Nanoseconds: since[id].UnixNano()}))
		if name == "unreachable" {
			t.standing(reg, id)
		}
		t.close('}')
	}
	t.close(']')
	t.close('}')
}

// decided writes what operators decided about machines and roles.
func (t *text) decided(reg *core.Registry) {
	if len(reg.Machines) > 0 {
		t.field("machines")
		t.open('{')
		t.field("machines")
		t.open('[')
		byName := map[string]mesos.MachineInfo{}
		for machine, info := range reg.Machines {
			byName[machine.Hostname+" "+machine.IP] = info
		}
		for _, name := range sortedNames(byName) {
			info := byName[name]
			t.open('{')
			t.rawField("info", raw(&info))
			t.close('}')
		}
		t.close(']')
		t.close('}')
	}
	if len(reg.Schedule) > 0 {
		t.field("schedules")
		t.open('[')
		t.open('{')
		t.field("windows")
		t.open('[')
		for i := range reg.Schedule {
			t.comma()
			*t = append(*t, raw(&reg.Schedule[i])...)
		}
		t.close(']')
		t.close('}')
		t.close(']')
	}
	if len(reg.Quotas) > 0 {
		t.field("quota_configs")
		t.open('[')
		for _, role := range sortedNames(reg.Quotas) {
			config := reg.Quotas[role]
			t.comma()
			*t = append(*t, raw(&config)...)
		}
		t.close(']')
	}
	if len(reg.Weights) > 0 {
		t.field("weights")
		t.open('[')
		for _, role := range sortedNames(reg.Weights) {
			t.open('{')
			t.rawField("info", raw(&mesos.WeightInfo{Role: &role, Weight: reg.Weights[role]}))
			t.close('}')
		}
		t.close(']')
	}
	t.minimum(reg)
}

// minimum writes what a master must be able to do to take over.
func (t *text) minimum(reg *core.Registry) {
	names := map[string]bool{}
	for c := range reg.MinimumCapabilities {
		names[c.String()] = true
	}
	if len(names) == 0 {
		return
	}
	t.field("minimum_capabilities")
	t.open('[')
	for _, name := range sortedNames(names) {
		t.open('{')
		t.stringField("capability", name)
		t.close('}')
	}
	t.close(']')
}
