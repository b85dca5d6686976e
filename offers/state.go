package offers

import (
	"fmt"
	"slices"
	"time"
)

// Options are the allocator's flags. They never change during a State's life.
type Options struct {
	// MinAllocatable (--min_allocatable_resources): what is left of an agent is offered only if it holds all of at least
	// one of these. Empty: anything is offered. DefaultMinAllocatable is Mesos's default (OFF-12).
	MinAllocatable []Quantities
	// FilterGPUs (--filter_gpu_resources, Mesos's default is true): agents that have gpus are offered only to frameworks
	// with GPU_RESOURCES.
	FilterGPUs bool
	// ExcludedFromShares (--fair_sharing_excluded_resource_names): kinds that don't count toward DRF shares (ALC-03).
	ExcludedFromShares []string
	// RoleSorter and FrameworkSorter (--role_sorter, --framework_sorter) say who goes first among roles and, within one,
	// among frameworks (ALC-02).
	RoleSorter, FrameworkSorter Sorter
	// Region is the master's own region; agents elsewhere are offered only to REGION_AWARE frameworks.
	Region string
}

// Sorter is a rule of who goes first.
type Sorter int

const (
	// DRF lets go first who has the smallest dominant share for its weight.
	DRF Sorter = iota
	// Random shuffles for each agent; who has twice the weight is twice as likely to be first, whatever it has (ALC-07).
	Random
)

// ParseSorter reads a sorter flag: "drf" or "random".
func ParseSorter(text string) (Sorter, error) {
	switch text {
	case "drf":
		return DRF, nil
	case "random":
		return Random, nil
	}
	return DRF, fmt.Errorf("the sorter %q is neither drf nor random", text)
}

// String is the name that ParseSorter reads.
func (s Sorter) String() string {
	if s == Random {
		return "random"
	}
	return "drf"
}

// State is the ledger that allocation decides on: agents and what is booked on them (outstanding offers count as
// allocated, ALC-08), frameworks, weights, refusals. The zero value is not usable; see NewState. A State belongs to one
// goroutine.
type State struct {
	options Options
	minimum []requirement
	now     int64  // unix nanoseconds, as last told by Advance
	version uint64 // counts changes, so that Apply notices a plan that is out of date

	kinds    kinds
	total    vector // of every scalar kind, over all agents known, active or not
	agents   map[string]*agent
	slots    []*agent // by agent.index; nil is free
	freeSlot []int

	frameworks map[string]*framework
	clients    []*client // by client.index; nil is free
	freeClient []int
	classes    map[classKey]*class
	usual      bits // clients that have no minimum of their own
	open       bits // clients that take offers: active, subscribed, not suppressed

	root      *role
	roles     map[string]*role // all but the root, by path
	weights   map[string]float64
	quotas    []*role // those that have one
	spare     vector  // unreserved, non-revocable scalars that are free on agents that are offered: for guarantees
	biggest   vector  // the most that one agent ever had of each kind
	ceilings  map[*quota]*ceilings
	whitelist map[string]bool // hostnames; nil: all
	expiry    expiries
	visited   func(stage int, a *agent) // for tests: told of each agent that a round looks at; else nil
	tidied    int                       // length of expiry when it was last tidied
}

// NewState returns an empty ledger.
func NewState(o Options) *State {
	s := &State{
		options:    o,
		kinds:      newKinds(o.ExcludedFromShares),
		agents:     map[string]*agent{},
		frameworks: map[string]*framework{},
		root:       &role{},
		roles:      map[string]*role{},
		classes:    map[classKey]*class{},
		ceilings:   map[*quota]*ceilings{},
		weights:    map[string]float64{},
	}
	s.minimum = requirements(o.MinAllocatable)
	return s
}

// Advance tells the ledger the time: refusals that end at or before now are forgotten. Time never goes back.
func (s *State) Advance(now time.Time) {
	s.now = max(s.now, now.UnixNano())
	s.expire()
}

// Free is what is neither allocated nor offered on an agent; empty if the agent is unknown.
func (s *State) Free(agent string) Resources {
	if a := s.agents[agent]; a != nil {
		return a.free
	}
	return Resources{}
}

// Held is what is booked to a framework on an agent, offers included.
func (s *State) Held(framework, agent string) Resources {
	var sum Resources
	if a := s.agents[agent]; a != nil {
		for _, h := range a.held {
			if h.client.framework.ID == framework {
				sum = sum.Plus(h.resources)
			}
		}
	}
	return sum
}

// Total is the sum of every scalar kind over all agents.
func (s *State) Total() Quantities { return s.kinds.quantities(s.total) }

// RoleStanding is what GET /roles and Explain show of one role.
type RoleStanding struct {
	Role       string
	Weight     float64
	Share      float64    // dominant share of the role with all roles below it, not divided by the weight
	Allocated  Quantities // booked, with all roles below it; offers included
	Reserved   Quantities // on agents, with all roles below it; booked or not
	Consumed   Quantities // of the quota, see State.Consumed
	Quota      Quota      // of the role itself
	Frameworks []string   // subscribed, sorted by id
}

// Roles lists every role that has a framework, a booking, a reservation, a quota or a weight, or is above one that has, by name.
func (s *State) Roles() []RoleStanding {
	var out []RoleStanding
	for path, r := range s.roles {
		standing := RoleStanding{
			Role: path, Weight: s.weightOf(path), Share: s.kinds.share(r.all, s.total),
			Allocated: s.kinds.quantities(r.all), Reserved: s.kinds.quantities(r.reserved), Consumed: s.kinds.quantities(r.consumed()),
		}
		if r.quota != nil {
			standing.Quota = r.quota.Quota
		}
		for _, c := range r.clients {
			if c.subscribed {
				standing.Frameworks = append(standing.Frameworks, c.framework.ID)
			}
		}
		slices.Sort(standing.Frameworks)
		out = append(out, standing)
	}
	for path, weight := range s.weights {
		if s.roles[path] == nil {
			out = append(out, RoleStanding{Role: path, Weight: weight, Allocated: Quantities{}, Reserved: Quantities{}, Consumed: Quantities{}})
		}
	}
	slices.SortFunc(out, func(a, b RoleStanding) int { return compareStrings(a.Role, b.Role) })
	return out
}
