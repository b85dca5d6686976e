package core

import (
	"fmt"
	"maps"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/offers"
)

// QuotaUpdated says that an operator asked to set the quotas of some roles, all or
// none (reference row OP1-26).
type QuotaUpdated struct {
	Request RequestID
	Configs []quota.QuotaConfig
	Force   bool // even if more is consumed than the limits say, or more guaranteed than there is
}

// QuotaSet says that an operator asked for a quota in the older form, where the
// guarantee is the limit, too (reference row OP1-27).
type QuotaSet struct {
	Request RequestID
	Quota   quota.QuotaRequest
}

// QuotaRemoved says that an operator asked to set a role's quota back to none. Path is
// what the older endpoint was called by, which its errors name; empty for the v1 API.
type QuotaRemoved struct {
	Request RequestID
	Role    string
	Path    string
}

func (QuotaUpdated) event() {}
func (QuotaSet) event()     {}
func (QuotaRemoved) event() {}

// updateQuota answers UPDATE_QUOTA (reference row OP1-26).
func (s *State) updateQuota(e QuotaUpdated) {
	for i := range e.Configs {
		c := &e.Configs[i]
		if text := s.refusedQuota(c); text != "" {
			s.reply(e.Request, 400, "%s", text)
			return
		}
		c.Guarantees, c.Limits = wireOf(quantitiesOf(c.Guarantees)), wireOf(limitsOf(c.Limits))
	}
	s.decide(e.Request, func() {
		if text := s.quotaUnfit(e); text != "" {
			s.reply(e.Request, 400, "%s", text)
			return
		}
		s.writeQuotas(e.Request, e.Configs, s.rescindForQuota)
	})
}

// refusedQuota says why a quota can't be, whatever the state of the cluster.
func (s *State) refusedQuota(c *quota.QuotaConfig) string {
	switch {
	case !s.allowedRole(c.Role):
		return fmt.Sprintf("Invalid QuotaConfig: '%s' is not on the roles whitelist", c.Role)
	case strings.Contains(c.Role, "/"):
		return fmt.Sprintf("Updating quota on nested role '%s' is not supported yet", c.Role)
	}
	if err := validQuotaConfig(c); err != nil {
		return "Invalid QuotaConfig: " + err.Error()
	}
	return ""
}

// quotaUnfit says why quotas can't be set as the cluster stands.
func (s *State) quotaUnfit(e QuotaUpdated) string {
	guarantees := s.guarantees()
	for _, c := range e.Configs {
		limits, consumed := limitsOf(c.Limits), s.consumed(c.Role)
		if !e.Force && !consumed.Within(limits) {
			return fmt.Sprintf("Invalid QuotaConfig: Role '%s' is already consuming '%s'; this is more than the requested limits '%s' (use 'force' flag to bypass this check)",
				c.Role, consumed, limits)
		}
		guarantees[c.Role] = quantitiesOf(c.Guarantees)
	}
	if err := brokenHierarchy(guarantees); err != nil {
		return "Invalid QuotaConfig: " + err.Error()
	}
	if total, capacity := totalGuarantees(guarantees), s.capacity(); !e.Force && !capacity.Contains(total) {
		return fmt.Sprintf("Invalid QuotaConfig: total quota guarantees '%s' exceed cluster capacity '%s' (use 'force' flag to bypass this check)", total, capacity)
	}
	return ""
}

// writeQuotas makes checked quotas durable, then has the ledger keep them; more is what else follows for each.
func (s *State) writeQuotas(request RequestID, configs []quota.QuotaConfig, more func(quota.QuotaConfig)) {
	if len(configs) == 0 {
		s.reply(request, 200, "")
		return
	}
	s.writeDecision(request, RegistryChange{Kind: SetQuotas, Quotas: configs}, func() {
		for _, c := range configs {
			s.applyQuota(c)
		}
		for _, c := range configs {
			more(c)
		}
		s.allocateAll()
	})
}

// applyQuota takes over a quota that is durable. A role whose quota was set back to
// none is still listed until the master restarts, as in Mesos.
func (s *State) applyQuota(c quota.QuotaConfig) {
	next := maps.Clone(s.quotas) // views hold the old one
	if next == nil {
		next = map[string]quota.QuotaConfig{}
	}
	next[c.Role] = c
	s.quotas = next
	s.quotaList = sortedConfigs(next)
	s.enforceQuota(c)
}

// setQuota answers SET_QUOTA and POST /quota (reference row OP1-27).
func (s *State) setQuota(e QuotaSet) {
	const invalid = "Failed to validate set quota request: "
	amounts, err := validQuotaRequest(&e.Quota)
	role := e.Quota.GetRole()
	switch {
	case err != nil:
		s.reply(e.Request, 400, invalid+"%s", err)
		return
	case !s.allowedRole(role):
		s.reply(e.Request, 400, invalid+"Unknown role '%s'", role)
		return
	}
	c := quota.QuotaConfig{Role: role, Guarantees: wireOf(quantitiesOf(amounts)), Limits: wireOf(quantitiesOf(amounts))}
	s.decide(e.Request, func() {
		guarantees := s.guarantees()
		guarantees[role] = quantitiesOf(c.Guarantees)
		_, there := s.quotas[role]
		err := brokenHierarchy(guarantees)
		total, capacity := totalGuarantees(guarantees), s.capacity()
		switch {
		case there:
			s.reply(e.Request, 400, invalid+"Cannot set quota for role '%s' which already has quota", role)
		case err != nil:
			s.reply(e.Request, 400, invalid+"%s", err)
		case strings.Contains(role, "/"):
			s.reply(e.Request, 400, "Setting quota on nested role '%s' is not supported yet", role)
		case !e.Quota.GetForce() && !capacity.Contains(total):
			s.reply(e.Request, 409, "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees '%s' exceed cluster capacity '%s'", total, capacity)
		default:
			s.writeQuotas(e.Request, []quota.QuotaConfig{c}, s.rescindForQuota)
		}
	})
}

// removeQuota answers REMOVE_QUOTA and DELETE /quota/<role> (reference row OP1-27).
func (s *State) removeQuota(e QuotaRemoved) {
	failed, where := "Failed to remove quota: ", ""
	if e.Path != "" {
		failed = fmt.Sprintf("Failed to remove quota for path '%s': ", e.Path)
		where = fmt.Sprintf("Failed to validate remove quota request for path '%s': Unknown role '%s'", e.Path, e.Role)
	}
	if where != "" && !s.allowedRole(e.Role) {
		s.reply(e.Request, 400, "%s", where)
		return
	}
	s.decide(e.Request, func() {
		guarantees := s.guarantees()
		delete(guarantees, e.Role)
		_, there := s.quotas[e.Role]
		if err := brokenHierarchy(guarantees); !there {
			s.reply(e.Request, 400, "%sRole '%s' has no quota set", failed, e.Role)
		} else if err != nil {
			s.reply(e.Request, 400, "%s%s", failed, err)
		} else {
			s.writeQuotas(e.Request, []quota.QuotaConfig{{Role: e.Role}}, s.forgetQuota)
		}
	})
}

// forgetQuota unlists a role whose quota was removed.
func (s *State) forgetQuota(c quota.QuotaConfig) {
	next := maps.Clone(s.quotas)
	delete(next, c.Role)
	s.quotas = next
	s.quotaList = sortedConfigs(next)
}

// enforceQuota has the ledger keep a quota that was checked.
func (s *State) enforceQuota(c quota.QuotaConfig) {
	if len(c.Guarantees) == 0 && len(c.Limits) == 0 {
		s.ledger.RemoveQuota(c.Role)
		return
	}
	if err := s.ledger.SetQuota(c.Role, offers.Quota{Guarantees: quantitiesOf(c.Guarantees), Limits: limitsOf(c.Limits)}); err != nil {
		s.emit(Note{Error: true, Message: "a quota can't be kept", Attributes: []any{"role", c.Role, "error", err.Error()}})
	}
}

// guarantees are what is guaranteed now, by role.
func (s *State) guarantees() map[string]offers.Quantities {
	m := map[string]offers.Quantities{}
	for role, c := range s.quotas {
		m[role] = quantitiesOf(c.Guarantees)
	}
	return m
}

// capacity is all there is on registered agents, also disconnected ones, that may not be revoked.
func (s *State) capacity() offers.Quantities {
	sum := offers.Quantities{}
	for _, a := range s.agents {
		sum.Add(a.total.NonRevocable().Quantities(), 1)
	}
	return sum
}

// consumed is what counts against a role's quota: what is in use in its subtree, and
// what is reserved for it, whether or not in use.
func (s *State) consumed(role string) offers.Quantities {
	sum := offers.Quantities{}
	for _, a := range s.agents {
		sum.Add(a.total.ReservedWithin(role).Counts(), 1)
		for _, used := range a.used {
			sum.Add(used.AllocatedWithin(role).Counts(), 1)
			sum.Add(used.ReservedWithin(role).Counts(), -1)
		}
	}
	return sum
}

// rescindForQuota rescinds offers until a role is within its limits, and others' offers
// until its guarantees could be met. As in Mesos it errs on the side of rescinding.
func (s *State) rescindForQuota(c quota.QuotaConfig) {
	limits, guarantees := limitsOf(c.Limits), quantitiesOf(c.Guarantees)
	held := s.consumed(c.Role)
	var own, others []*offer
	for _, o := range sortedOffers(s.offers) {
		if o.role == c.Role || strings.HasPrefix(o.role, c.Role+"/") {
			own = append(own, o)
			held.Add(o.resources.Counts(), 1)
		} else {
			others = append(others, o)
		}
	}
	for _, o := range own {
		if held.Within(limits) {
			break
		}
		held.Add(o.resources.Counts(), -1)
		s.rescind(o)
	}
	for _, o := range others {
		if held.Contains(guarantees) {
			break
		}
		held.Add(o.resources.Counts(), 1)
		s.rescind(o)
	}
}
