package core

import (
	"fmt"
	"net/netip"
	"sort"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/offers"
)

// offer is an outstanding offer: resources of one agent for one role of one
// framework, and for nobody else (reference rows OFF-01, 0.9).
type offer struct {
	id        string
	framework *framework
	agent     *agent
	role      string
	resources offers.Resources
	message   *mesos.Offer // as the framework sees it
	shown     *mesos.Offer // as operators see it: in full
	place     int          // in the framework's offerList
}

// allocateOn has an agent's free resources offered at the end of this turn.
func (s *State) allocateOn(agent string) {
	s.dirty[agent] = true
	s.allocate = true
}

// allocateAll has everything that is free offered at the end of this turn.
func (s *State) allocateAll() {
	s.dirtyAll = true
	s.allocate = true
}

// runAllocation lets the ledger decide and makes the offers it grants. batch says
// that all agents are looked at, as each allocation interval does.
func (s *State) runAllocation(batch bool) {
	if s.recovering() {
		s.dirtyAll = true
		return
	}
	s.ledger.Advance(s.now)
	s.counts.AllocationRuns++
	s.seed++
	var plan offers.Plan
	var agents []string // nil for all
	if batch || s.dirtyAll {
		plan = s.ledger.Allocate(s.seed)
	} else {
		agents = sortedKeys(s.dirty)
		plan = s.ledger.Allocate(s.seed, agents...)
	}
	s.dirtyAll = false
	clear(s.dirty)
	if err := s.ledger.Apply(plan); err != nil {
		// The ledger changed since the plan was made, which this one turn excludes:
		// nothing was booked, so nothing may be offered. The next batch tries again.
		s.note("allocation dropped", "error", err.Error())
		s.dirtyAll = true
		return
	}
	for _, grants := range plan.ByFramework() {
		s.makeOffers(grants)
	}
	s.askBack(agents)
}

// makeOffers turns one framework's grants into offers, sent as one event (reference row EV-05).
func (s *State) makeOffers(grants []offers.Grant) {
	f := s.frameworks[grants[0].Framework]
	event := &scheduler.Event_Offers{}
	for _, g := range grants {
		o := s.makeOffer(f, s.agents[g.Agent], g)
		event.Offers = append(event.Offers, *o.message)
	}
	f.counts.OffersSent += uint64(len(grants))
	s.send(f, &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: event})
}

func (s *State) makeOffer(f *framework, a *agent, g offers.Grant) *offer {
	o := &offer{
		id:        fmt.Sprintf("%s-O%d", s.cfg.Master.ID, s.offerCount),
		framework: f, agent: a, role: g.Role, resources: g.Resources,
	}
	s.offerCount++
	s.offers[o.id], f.offers[o.id], a.offers[o.id] = o, o, o
	a.offered = a.offered.Plus(g.Resources)
	o.message = s.offerMessage(o)
	full := *o.message
	full.Resources = o.resources.Mesos()
	full.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &o.role}
	o.shown = &full
	f.offered.add(o)
	s.touch(f, a)
	if s.cfg.OfferTimeout > 0 {
		s.timers.add(timer{at: s.now.Add(s.cfg.OfferTimeout), kind: offerExpire, id: o.id})
	}
	return o
}

// offerMessage describes an offer the way its framework can read it (reference rows OFF-01 to OFF-05).
func (s *State) offerMessage(o *offer) *mesos.Offer {
	f, a := o.framework, o.agent
	m := &mesos.Offer{
		ID:          mesos.OfferID{Value: o.id},
		FrameworkID: *f.info.ID,
		AgentID:     *a.info.ID,
		Hostname:    a.info.Hostname,
		URL:         agentURL(a),
		Domain:      a.info.Domain,
		Attributes:  a.info.Attributes,
		Resources:   resourcesFor(f, o.resources),

		Unavailability: a.unavailability(),
	}
	if f.can(mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		role := o.role
		m.AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	}
	for _, id := range sortedKeys(a.executors[f.id]) {
		m.ExecutorIDs = append(m.ExecutorIDs, mesos.ExecutorID{Value: id})
	}
	return m
}

// resourcesFor writes resources in the format a framework understands (reference row OFF-05).
func resourcesFor(f *framework, r offers.Resources) []mesos.Resource {
	if !f.can(mesos.FrameworkInfo_Capability_MULTI_ROLE) {
		r = r.Unallocated()
	}
	if f.can(mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT) {
		return r.Mesos()
	}
	return r.MesosOld()
}

// agentURL is where an agent's own endpoints are (reference row OFF-03).
func agentURL(a *agent) *mesos.URL {
	id, address, _ := strings.Cut(a.pid, "@")
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil
	}
	ip, path, hostname := at.Addr().String(), "/"+id, a.info.Hostname
	return &mesos.URL{
		Scheme:  "http",
		Address: mesos.Address{Hostname: &hostname, IP: &ip, Port: int32(at.Port())},
		Path:    &path,
	}
}

// upidIP is the address in a UPID, as text.
func upidIP(pid string) string {
	_, address, _ := strings.Cut(pid, "@")
	i := strings.LastIndexByte(address, ':')
	if i < 0 {
		return address
	}
	return address[:i]
}

// takeOffer takes an offer out of the tables; its resources stay charged to the
// framework until the caller uses, releases or refuses them.
func (s *State) takeOffer(o *offer) {
	delete(s.offers, o.id)
	delete(o.framework.offers, o.id)
	o.framework.offered.remove(o)
	delete(o.agent.offers, o.id)
	o.agent.offered = s.minus(o.agent.offered, o.resources)
	s.touch(o.framework, o.agent)
}

// dropOffer voids an offer without a word; its resources are free again.
func (s *State) dropOffer(o *offer) {
	s.takeOffer(o)
	s.free(o.framework, o.agent, o.resources)
}

// dropOffers voids all offers of a framework.
func (s *State) dropOffers(f *framework) {
	for _, o := range sortedOffers(f.offers) {
		s.dropOffer(o)
	}
	s.dropInverseOffers(f, false)
}

// rescind voids an offer and tells its framework (reference row OFF-07).
func (s *State) rescind(o *offer) {
	s.dropOffer(o)
	s.rescinded(o)
}

// rescinded tells a framework that an offer is void.
func (s *State) rescinded(o *offer) {
	o.framework.counts.OffersRescinded++
	s.send(o.framework, &scheduler.Event{Type: scheduler.Event_RESCIND, Rescind: &scheduler.Event_Rescind{OfferID: o.message.ID}})
}

// offerExpired rescinds an offer that was not answered in time (reference row OFF-06).
func (s *State) offerExpired(id string) {
	if o := s.offers[id]; o != nil {
		s.rescind(o)
	}
}

// free gives back resources that were offered and not used.
func (s *State) free(f *framework, a *agent, r offers.Resources) {
	if err := s.ledger.Release(f.id, a.id, r); err != nil {
		s.emit(Note{Error: true, Message: "offered resources could not be given back", Attributes: []any{"framework_id", f.id, "agent_id", a.id, "error", err.Error()}})
	}
	s.allocateOn(a.id)
}

// refuse gives back resources that a framework does not want for a time (reference
// rows OFF-09, OFF-10). Without a filter they come back with the next batch, so that
// a framework that refuses for 0 s cannot keep the master busy; soon overrides that.
func (s *State) refuse(f *framework, a *agent, r offers.Resources, filters *mesos.Filters, soon bool) {
	if r.IsZero() {
		return
	}
	var wanted *float64
	if filters != nil {
		wanted = filters.RefuseSeconds
	}
	timeout := offers.RefuseTimeout(wanted, s.cfg.AllocationInterval)
	s.ledger.Advance(s.now)
	if err := s.ledger.Refuse(f.id, a.id, r, timeout); err != nil {
		s.emit(Note{Error: true, Message: "refused resources could not be given back", Attributes: []any{"framework_id", f.id, "agent_id", a.id, "error", err.Error()}})
	}
	// The end of the filter needs no timer: it lasts an allocation interval at least,
	// and each batch looks at all agents.
	if timeout > 0 || soon {
		s.allocateOn(a.id)
	}
}

// decline answers DECLINE (reference row CALL-04).
func (s *State) decline(f *framework, c *scheduler.Call_Decline) {
	for _, id := range c.OfferIDs {
		o := s.offers[id.Value]
		if o == nil || o.framework != f {
			s.note("decline of an offer that is no longer valid ignored", "framework_id", f.id, "offer_id", id.Value)
			continue
		}
		f.counts.OffersDeclined++
		s.takeOffer(o)
		s.refuse(f, o.agent, o.resources, c.Filters, false)
	}
}

// revive answers REVIVE (reference row CALL-05).
func (s *State) revive(f *framework, roles []string) {
	if !s.subscribedRoles(f, "revive", roles) {
		return
	}
	if len(roles) == 0 {
		clear(f.suppressed)
	}
	for _, r := range roles {
		delete(f.suppressed, r)
	}
	s.ledger.Revive(f.id, roles...)
	s.reviveInverse(f)
	s.allocateAll()
	s.touch(f, nil)
}

// suppress answers SUPPRESS (reference row CALL-06).
func (s *State) suppress(f *framework, roles []string) {
	if !s.subscribedRoles(f, "suppress", roles) {
		return
	}
	if len(roles) == 0 {
		roles = f.roles()
	}
	for _, r := range roles {
		f.suppressed[r] = true
	}
	s.ledger.Suppress(f.id, roles...)
	s.touch(f, nil)
}

// subscribedRoles says whether a call names only roles of the framework; another call is dropped as a whole.
func (s *State) subscribedRoles(f *framework, call string, roles []string) bool {
	for _, r := range roles {
		if !f.hasRole(r) {
			s.note("call for a role that is not subscribed ignored", "framework_id", f.id, "call", call, "role", r)
			return false
		}
	}
	return true
}

func sortedOffers(m map[string]*offer) []*offer {
	list := make([]*offer, 0, len(m))
	for _, o := range m {
		list = append(list, o)
	}
	sort.Slice(list, func(i, j int) bool {
		return len(list[i].id) < len(list[j].id) || len(list[i].id) == len(list[j].id) && list[i].id < list[j].id
	})
	return list
}
