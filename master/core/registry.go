package core

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Registry is what outlives the master: the agents it ever admitted, in one of
// three standings, and the weights of roles (reference row 0.1 and section 6.2).
type Registry struct {
	Admitted    map[string]mesos.AgentInfo // by agent id
	Unreachable map[string]time.Time       // agent id -> since when
	Gone        map[string]time.Time
	Weights     map[string]float64 // by role
}

// RegistryKind says what a RegistryChange does.
type RegistryKind int

// The changes of the registry (reference section 6.2).
const (
	AdmitAgent       RegistryKind = iota + 1 // a new agent, or new facts of an admitted one
	ReachableAgent                           // an unreachable or unknown agent is admitted
	UnreachableAgent                         // an admitted agent is counted as lost at At
	RemoveAgent                              // an admitted agent left for good
	SetWeights                               // weights of some roles
	PruneAgents                              // forget unreachable and gone agents named in IDs
)

// RegistryChange is one change of the registry.
type RegistryChange struct {
	Kind    RegistryKind
	Agent   mesos.AgentInfo // AdmitAgent, ReachableAgent; else only its id
	At      time.Time
	Weights []mesos.WeightInfo
	IDs     []string
	// Token leads the core back to what it waits for; the registry passes it on untouched.
	Token uint64
}

// Apply carries out a change on r. Implementations of the durable registry share
// it, so that all agree on what a change means.
func (r *Registry) Apply(c RegistryChange) {
	id := c.Agent.GetID().GetValue()
	switch c.Kind {
	case AdmitAgent, ReachableAgent:
		delete(r.Unreachable, id)
		r.Admitted[id] = c.Agent
	case UnreachableAgent:
		delete(r.Admitted, id)
		r.Unreachable[id] = c.At
	case RemoveAgent:
		delete(r.Admitted, id)
	case SetWeights:
		for _, w := range c.Weights {
			r.Weights[w.GetRole()] = w.Weight
		}
	case PruneAgents:
		for _, id := range c.IDs {
			delete(r.Unreachable, id)
			delete(r.Gone, id)
		}
	}
}

// NewRegistry returns an empty registry.
func NewRegistry() *Registry {
	return &Registry{
		Admitted:    map[string]mesos.AgentInfo{},
		Unreachable: map[string]time.Time{},
		Gone:        map[string]time.Time{},
		Weights:     map[string]float64{},
	}
}
