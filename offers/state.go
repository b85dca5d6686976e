package offers

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Options are the allocator's flags.
type Options struct {
	// MinAllocatable (--min_allocatable_resources): what is left of an agent is offered only if it holds at least one of
	// these. Empty: anything is offered. DefaultMinAllocatable is Mesos's default (OFF-12).
	MinAllocatable []Quantities
	// FilterGPUs (--filter_gpu_resources): agents that have gpus are offered only to frameworks with GPU_RESOURCES.
	FilterGPUs bool
	// ExcludedFromShares (--fair_sharing_excluded_resource_names): kinds that don't count toward DRF shares (ALC-03).
	ExcludedFromShares []string
	// Region is the master's own region; agents elsewhere are offered only to REGION_AWARE frameworks.
	Region string
}

// Quantities is an amount per scalar kind, whatever its reservation: {"cpus": 10, "mem": 32000}.
type Quantities map[string]Amount

// Capabilities are those capabilities of a framework that decide what it may be offered (reference section 1.12).
type Capabilities struct {
	MultiRole, GPUs, Revocable, Shared, ReservationRefinement, RegionAware bool
}

// Framework is what the allocator has to know of a framework.
type Framework struct {
	ID           string
	Roles        []string // subscribed roles; "*" for the default role
	Suppressed   []string // those of Roles that want no offers now
	Active       bool     // connected and not deactivated
	Capabilities Capabilities
	// MinAllocatable overrides Options.MinAllocatable per role; an empty list means no minimum (OFF-12).
	MinAllocatable map[string][]Quantities
}

// FrameworkOf reads a FrameworkInfo as sent with SUBSCRIBE or UPDATE_FRAMEWORK; id is the id the master gave it.
// The result is Active.
func FrameworkOf(id string, info mesos.FrameworkInfo, suppressed []string) (Framework, error) {
	panic("being written")
}

// Agent is what the allocator has to know of an agent.
type Agent struct {
	ID     string
	Total  Resources // everything it has, allocated or not
	Region string    // of its fault domain; empty counts as the master's own
	Active bool      // connected, not deactivated, not draining
}

// State is the ledger the allocator decides on: agents and what is allocated on them (offers outstanding count as
// allocated, ALC-08), frameworks, weights, refusals. The master's core owns it and keeps it up to date by its methods;
// nothing in it reads a clock.
type State struct{ now time.Time }

// NewState returns an empty ledger.
func NewState(o Options) *State { panic("being written") }

// PutAgent adds an agent or replaces what is known of it. Changed attributes or totals are the caller's reason to also
// call ClearFilters.
func (s *State) PutAgent(a Agent) { panic("being written") }

// SetAgentActive starts or stops offering an agent; what is allocated on it stays. It reports whether the agent is known.
func (s *State) SetAgentActive(id string, active bool) bool { panic("being written") }

// RemoveAgent forgets an agent, everything allocated on it, and all refusals of it.
func (s *State) RemoveAgent(id string) { panic("being written") }

// ClearFilters forgets all refusals of an agent, as its attributes changed (OFF-11).
func (s *State) ClearFilters(agent string) { panic("being written") }

// PutFramework adds a framework (SUBSCRIBE) or replaces what is known of it (failover, UPDATE_FRAMEWORK).
func (s *State) PutFramework(f Framework) { panic("being written") }

// DeactivateFramework stops offers to a framework (disconnected) and forgets its refusals. Allocations stay.
func (s *State) DeactivateFramework(id string) { panic("being written") }

// RemoveFramework forgets a framework; call Release for what it held first, anything left is released here.
func (s *State) RemoveFramework(id string) { panic("being written") }

// Suppress stops offers for the given roles, all of its roles if none is given (SEM-06).
func (s *State) Suppress(framework string, roles ...string) { panic("being written") }

// Revive undoes Suppress and forgets the framework's refusals for the given roles, all of its roles if none is given.
func (s *State) Revive(framework string, roles ...string) { panic("being written") }

// SetWeight sets a role's weight (default 1). The weight must be above 0.
func (s *State) SetWeight(role string, weight float64) error { panic("being written") }

// Charge books resources of an agent, each allocated to a role (Resources.Allocate), to a framework: tasks and executors
// of an agent that re-registers. Framework and agent need not be known yet. (Offers are booked by Apply; a launch from an
// offer needs no call, the resources stay booked.)
func (s *State) Charge(framework, agent string, allocated Resources) error { panic("being written") }

// Release gives back resources that were booked by Charge or Apply: a task ended, an offer was declined or rescinded.
func (s *State) Release(framework, agent string, allocated Resources) error { panic("being written") }

// Refuse gives back what was left of an offer and keeps offers contained in it from the framework (in the role the
// resources are allocated to) for the given time (OFF-09, OFF-10); 0 sets no filter. See RefuseTimeout.
func (s *State) Refuse(framework, agent string, allocated Resources, timeout time.Duration) error {
	panic("being written")
}

// RefuseTimeout reads Filters.refuse_seconds (nil = absent) as Mesos does (OFF-09) and lengthens it to the allocation
// interval.
func RefuseTimeout(seconds *float64, interval time.Duration) time.Duration { panic("being written") }

// Advance tells the ledger the time: refusals that ended by now are forgotten. Time never goes back.
func (s *State) Advance(now time.Time) { panic("being written") }

// Allocate decides one round over the given agents (all if none is named): a pure function of the ledger and the seed,
// which shuffles the agents. Nothing is booked until Apply.
func (s *State) Allocate(seed uint64, agents ...string) Plan { panic("being written") }

// Apply books a plan made from this very state: every grant becomes allocated.
func (s *State) Apply(p Plan) { panic("being written") }

// Plan is the outcome of a round.
type Plan struct {
	Grants []Grant // in the order decided
}

// Grant is one offer to be made: resources of one agent, allocated to one role of one framework (OFF-01).
type Grant struct {
	Framework, Role, Agent string
	Resources              Resources // each with allocation_info.role = Role
}

// ByFramework groups the grants: one OFFERS event each (RUN-09), in the order of each framework's first grant.
func (p Plan) ByFramework() [][]Grant { panic("being written") }

// Reason says why a framework is offered nothing of an agent (Agent empty: of any).
type Reason struct {
	Role, Agent string
	Sentence    string
}

// Explain says, per role and agent, why the framework holds no offer, and who goes first.
func (s *State) Explain(framework string) []Reason { panic("being written") }
