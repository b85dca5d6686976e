package core

import (
	"time"

	"github.com/tombolo-project/tombolo/offers"
)

// Mesos's --allocator_agent_recovery_factor and --allocator_recovery_timeout (reference row ALT-05).
const (
	recoveryFactor  = 0.8
	recoveryTimeout = 10 * time.Minute
)

// recovery holds offers back after a failover while there are quotas: until most agents
// are back, it can't be told what roles hold already and what guarantees need.
type recovery struct {
	agents int       // that have to be registered; 0: nothing is held back
	until  time.Time // when it ends in any case
}

func newRecovery(s *State, now time.Time) recovery {
	for _, c := range s.quotas {
		if len(c.Guarantees) > 0 || len(c.Limits) > 0 {
			return recovery{agents: int(recoveryFactor * float64(len(s.recovered))), until: now.Add(recoveryTimeout)}
		}
	}
	return recovery{}
}

// recovering says whether offers are still held back.
func (s *State) recovering() bool {
	r := &s.recovery
	if r.agents == 0 {
		return false
	}
	if len(s.agents) < r.agents && s.now.Before(r.until) {
		return true
	}
	s.note("offers are made again after the failover", "agents", len(s.agents), "awaited", r.agents)
	s.recovery = recovery{}
	return false
}

func newLedger(cfg Config) *offers.State {
	return offers.NewState(offers.Options{
		MinAllocatable: cfg.MinAllocatable, FilterGPUs: cfg.FilterGPUs, Region: cfg.Region,
		RoleSorter: cfg.RoleSorter, FrameworkSorter: cfg.FrameworkSorter, ExcludedFromShares: cfg.ExcludedFromShares,
	})
}

// whitelistRead has only the agents of these hosts offered. As in Mesos, offers that
// are out stay.
func (s *State) whitelistRead(e WhitelistRead) {
	s.ledger.SetWhitelist(e.Hosts)
	s.allocateAll()
}
