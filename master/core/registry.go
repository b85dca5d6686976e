package core

import (
	"maps"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/mesos/codec"
)

// Registry is what outlives the master (reference section 6.2): the agents it ever
// admitted, in one of three standings, what operators decided, and, which Mesos
// forgets, the frameworks with the time since when they are away.
//
// Values are replaced and never changed in place, so that copies of the maps share them.
type Registry struct {
	Admitted    map[string]mesos.AgentInfo // by agent id
	Unreachable map[string]time.Time       // agent id -> since when
	Gone        map[string]time.Time

	// Drains and Deactivated speak of admitted and unreachable agents, by agent id.
	// Each agent that drains is deactivated too.
	Drains      map[string]mesos.DrainInfo
	Deactivated map[string]bool

	Weights map[string]float64           // by role
	Quotas  map[string]quota.QuotaConfig // by role; a role that is not in it has no guarantees and no limits

	Schedule []maintenance.Window
	Machines map[Machine]mesos.MachineInfo // DRAINING or DOWN; all others are UP

	Frameworks map[string]FrameworkRecord // by framework id

	// MinimumCapabilities are what a master must be able to do to take over from one
	// that wrote this; Apply derives them from the rest.
	MinimumCapabilities map[mesos.MasterInfo_Capability_Type]bool
}

// FrameworkRecord is what the registry keeps of a framework that is not removed.
type FrameworkRecord struct {
	Info         mesos.FrameworkInfo // with its id
	Registered   time.Time           // first subscription
	Disconnected time.Time           // since when it is away; zero while it is connected
}

// Machine names a machine as a map key. Mesos compares hostnames without regard to case.
type Machine struct{ Hostname, IP string }

// MachineOf is the key of a machine.
func MachineOf(id mesos.MachineID) Machine {
	return Machine{Hostname: strings.ToLower(id.GetHostname()), IP: id.GetIP()}
}

// RegistryKind says what a RegistryChange does.
type RegistryKind int

// The changes of the registry (reference section 6.2). Those of one agent that the
// registry does not have in the standing they need change nothing.
const (
	AdmitAgent       RegistryKind = iota + 1 // a new agent, or new facts of an admitted one
	ReachableAgent                           // an unreachable or unknown agent is admitted
	UnreachableAgent                         // an admitted agent is counted as lost at At
	RemoveAgent                              // an admitted agent left for good
	SetWeights                               // weights of some roles
	PruneAgents                              // forget unreachable and gone agents named in IDs
	GoneAgent                                // an admitted or unreachable agent is gone for ever, at At
	DrainAgent                               // an admitted or unreachable agent drains by Drain and is deactivated
	DrainedAgent                             // a draining agent has nothing left
	DeactivateAgent                          // an admitted or unreachable agent gets no more work
	ReactivateAgent                          // it neither drains nor is deactivated any more
	SetQuotas                                // quotas of some roles; one without guarantees and limits is removed
	SetSchedule                              // the whole maintenance schedule, with the machines in it
	StartMaintenance                         // scheduled machines go DOWN
	StopMaintenance                          // machines are UP again and leave the schedule
	PutFramework                             // a framework as it is now
	RemoveFramework                          // a framework, named by Framework.Info.ID, is removed
)

// RegistryChange is one change of the registry. Which fields count depends on Kind.
type RegistryChange struct {
	Kind      RegistryKind
	Agent     mesos.AgentInfo // AdmitAgent, ReachableAgent; of the other changes of one agent only its id
	At        time.Time
	Drain     mesos.DrainConfig
	Weights   []mesos.WeightInfo
	Quotas    []quota.QuotaConfig
	Schedule  []maintenance.Window
	Machines  []mesos.MachineID // StartMaintenance, StopMaintenance
	Framework FrameworkRecord
	IDs       []string
	// Token leads the core back to what it waits for; the registry passes it on untouched.
	Token uint64
}

// Apply carries out a change on r. Implementations of the durable registry share
// it, so that all agree on what a change means.
func (r *Registry) Apply(c RegistryChange) {
	switch c.Kind {
	case SetWeights:
		for _, w := range c.Weights {
			r.Weights[w.GetRole()] = w.Weight
		}
	case PruneAgents:
		for _, id := range c.IDs {
			r.prune(id)
		}
	case SetQuotas:
		for _, q := range c.Quotas {
			if len(q.Guarantees) == 0 && len(q.Limits) == 0 {
				delete(r.Quotas, q.Role)
			} else {
				r.Quotas[q.Role] = q
			}
		}
	case SetSchedule, StartMaintenance, StopMaintenance:
		r.applyMaintenance(c)
	case PutFramework:
		r.Frameworks[c.Framework.Info.GetID().GetValue()] = c.Framework
	case RemoveFramework:
		delete(r.Frameworks, c.Framework.Info.GetID().GetValue())
	default:
		r.applyAgent(c)
	}
	r.need(mesos.MasterInfo_Capability_AGENT_DRAINING, len(r.Deactivated) > 0)
	r.need(codec.MasterQuotaV2, len(r.Quotas) > 0)
}

// applyAgent carries out the changes of one agent.
func (r *Registry) applyAgent(c RegistryChange) {
	id := c.Agent.GetID().GetValue()
	_, isAdmitted := r.Admitted[id]
	_, isUnreachable := r.Unreachable[id]
	switch c.Kind {
	case AdmitAgent, ReachableAgent:
		delete(r.Unreachable, id)
		r.Admitted[id] = c.Agent
		return
	case UnreachableAgent:
		delete(r.Admitted, id)
		r.Unreachable[id] = c.At
		return
	}
	if !isAdmitted && !isUnreachable {
		return
	}
	switch c.Kind {
	case RemoveAgent:
		if isAdmitted {
			delete(r.Admitted, id)
			r.activate(id)
		}
	case GoneAgent:
		delete(r.Admitted, id)
		delete(r.Unreachable, id)
		r.activate(id)
		r.Gone[id] = c.At
	case DrainAgent:
		r.Drains[id] = mesos.DrainInfo{State: mesos.DrainState_DRAINING, Config: c.Drain}
		r.Deactivated[id] = true
	case DrainedAgent:
		if d, ok := r.Drains[id]; ok {
			r.Drains[id] = mesos.DrainInfo{State: mesos.DrainState_DRAINED, Config: d.Config}
		}
	case DeactivateAgent:
		r.Deactivated[id] = true
	case ReactivateAgent:
		r.activate(id)
	}
}

func (r *Registry) activate(id string) {
	delete(r.Drains, id)
	delete(r.Deactivated, id)
}

// prune forgets an agent that is not admitted.
func (r *Registry) prune(id string) {
	delete(r.Gone, id)
	if _, lost := r.Unreachable[id]; lost {
		delete(r.Unreachable, id)
		r.activate(id)
	}
}

// applyMaintenance carries out the changes of the maintenance schedule (reference row OP1-16 and its neighbours).
func (r *Registry) applyMaintenance(c RegistryChange) {
	switch c.Kind {
	case SetSchedule:
		machines := map[Machine]mesos.MachineInfo{}
		for _, w := range c.Schedule {
			for _, id := range w.MachineIDs {
				mode, unavailability := mesos.DRAINING, w.Unavailability
				if old, ok := r.Machines[MachineOf(id)]; ok {
					mode = old.GetMode()
				}
				machines[MachineOf(id)] = mesos.MachineInfo{ID: id, Mode: &mode, Unavailability: &unavailability}
			}
		}
		r.Schedule, r.Machines = c.Schedule, machines
	case StartMaintenance:
		for _, id := range c.Machines {
			if m, ok := r.Machines[MachineOf(id)]; ok {
				mode := mesos.DOWN
				m.Mode = &mode
				r.Machines[MachineOf(id)] = m
			}
		}
	case StopMaintenance:
		up := map[Machine]bool{}
		for _, id := range c.Machines {
			up[MachineOf(id)] = true
			delete(r.Machines, MachineOf(id))
		}
		var left []maintenance.Window
		for _, w := range r.Schedule {
			kept := maintenance.Window{Unavailability: w.Unavailability}
			for _, id := range w.MachineIDs {
				if !up[MachineOf(id)] {
					kept.MachineIDs = append(kept.MachineIDs, id)
				}
			}
			if len(kept.MachineIDs) > 0 {
				left = append(left, kept)
			}
		}
		r.Schedule = left
	}
}

func (r *Registry) need(capability mesos.MasterInfo_Capability_Type, needed bool) {
	if needed {
		r.MinimumCapabilities[capability] = true
	} else {
		delete(r.MinimumCapabilities, capability)
	}
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{
		Admitted:            map[string]mesos.AgentInfo{},
		Unreachable:         map[string]time.Time{},
		Gone:                map[string]time.Time{},
		Drains:              map[string]mesos.DrainInfo{},
		Deactivated:         map[string]bool{},
		Weights:             map[string]float64{},
		Quotas:              map[string]quota.QuotaConfig{},
		Machines:            map[Machine]mesos.MachineInfo{},
		Frameworks:          map[string]FrameworkRecord{},
		MinimumCapabilities: map[mesos.MasterInfo_Capability_Type]bool{},
	}
}

// Clone returns a registry that changes apart from r.
func (r *Registry) Clone() *Registry {
	return &Registry{
		Admitted:            maps.Clone(r.Admitted),
		Unreachable:         maps.Clone(r.Unreachable),
		Gone:                maps.Clone(r.Gone),
		Drains:              maps.Clone(r.Drains),
		Deactivated:         maps.Clone(r.Deactivated),
		Weights:             maps.Clone(r.Weights),
		Quotas:              maps.Clone(r.Quotas),
		Schedule:            r.Schedule,
		Machines:            maps.Clone(r.Machines),
		Frameworks:          maps.Clone(r.Frameworks),
		MinimumCapabilities: maps.Clone(r.MinimumCapabilities),
	}
}
