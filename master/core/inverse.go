package core

import (
	"fmt"
	"math"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Inverse offers ask frameworks for what they have, or are offered, on machines whose
// maintenance is scheduled (reference section 1.13). What they answer is noted, no more.

// upkeep is what is known of the maintenance of an agent's machine. It begins anew with each schedule that names it.
type upkeep struct {
	unavailability mesos.Unavailability
	asked          map[string]*inverseOffer                // outstanding, by framework
	answers        map[string]allocator.InverseOfferStatus // the last of each framework
	quiet          map[string]time.Time                    // until when a framework wants not to be asked again
}

// inverseOffer is an outstanding one: at most one per framework and agent (reference row INV-02).
type inverseOffer struct {
	framework *framework
	agent     *agent
	message   mesos.InverseOffer
}

// planUpkeep gives an agent the upkeep that the schedule has for its machine.
func (s *State) planUpkeep(a *agent) {
	m, scheduled := s.reg.Machines[a.machine()]
	if !scheduled || m.Unavailability == nil {
		a.upkeep = nil
		delete(s.upkeeps, a.id)
		return
	}
	a.upkeep = &upkeep{
		unavailability: *m.Unavailability, asked: map[string]*inverseOffer{},
		answers: map[string]allocator.InverseOfferStatus{}, quiet: map[string]time.Time{},
	}
	s.upkeeps[a.id] = true
}

// unavailability is what an agent's offers say of its machine's maintenance, nil if none is scheduled.
func (a *agent) unavailability() *mesos.Unavailability {
	if a.upkeep == nil {
		return nil
	}
	u := a.upkeep.unavailability
	return &u
}

// askBack makes the inverse offers that are due for the given agents, all if none are given.
func (s *State) askBack(agents []string) {
	if len(s.upkeeps) == 0 {
		return
	}
	if agents == nil {
		agents = sortedKeys(s.upkeeps)
	}
	asked := map[string][]mesos.InverseOffer{}
	for _, id := range agents {
		a := s.agents[id]
		if a == nil || a.upkeep == nil || !s.active(a) {
			continue
		}
		for _, framework := range sortedKeys(a.holders()) {
			if o := s.inverseOffer(framework, a); o != nil {
				asked[framework] = append(asked[framework], o.message)
			}
		}
	}
	for _, framework := range sortedKeys(asked) {
		s.send(s.frameworks[framework], &scheduler.Event{
			Type: scheduler.Event_INVERSE_OFFERS, InverseOffers: &scheduler.Event_InverseOffers{InverseOffers: asked[framework]},
		})
	}
}

// holders are the frameworks that have, or are offered, something of an agent (reference row INV-01).
func (a *agent) holders() map[string]bool {
	m := map[string]bool{}
	for framework := range a.used {
		m[framework] = true
	}
	for _, o := range a.offers {
		m[o.framework.id] = true
	}
	return m
}

// inverseOffer asks one framework for what it has on an agent, unless it has been asked or wants not to be.
func (s *State) inverseOffer(framework string, a *agent) *inverseOffer {
	f := s.frameworks[framework]
	if f == nil || !f.connected || !f.active || f.stream == "" || a.upkeep.asked[f.id] != nil || s.now.Before(a.upkeep.quiet[f.id]) {
		return nil
	}
	delete(a.upkeep.quiet, f.id)
	o := &inverseOffer{framework: f, agent: a, message: mesos.InverseOffer{
		OfferID: mesos.OfferID{Value: fmt.Sprintf("%s-O%d", s.cfg.Master.ID, s.offerCount)},
		URL:     agentURL(a), FrameworkID: *f.info.ID, AgentID: a.info.ID, Unavailability: a.upkeep.unavailability,
	}}
	s.offerCount++
	a.upkeep.asked[f.id] = o
	s.inverse[o.message.OfferID.Value] = o
	s.touch(f, nil)
	if s.cfg.OfferTimeout > 0 {
		s.timers.add(timer{at: s.now.Add(s.cfg.OfferTimeout), kind: inverseExpire, id: o.message.OfferID.Value})
	}
	return o
}

// dropInverse takes an inverse offer out of the tables.
func (s *State) dropInverse(o *inverseOffer, tell bool) {
	delete(s.inverse, o.message.OfferID.Value)
	delete(o.agent.upkeep.asked, o.framework.id)
	s.touch(o.framework, nil)
	if tell {
		s.send(o.framework, &scheduler.Event{
			Type: scheduler.Event_RESCIND_INVERSE_OFFER, RescindInverseOffer: &scheduler.Event_RescindInverseOffer{InverseOfferID: o.message.OfferID},
		})
	}
}

// rescindInverse takes back all inverse offers for an agent.
func (s *State) rescindInverse(a *agent) {
	if a.upkeep == nil {
		return
	}
	for _, framework := range sortedKeys(a.upkeep.asked) {
		s.dropInverse(a.upkeep.asked[framework], true)
	}
}

// dropInverseOffers voids all inverse offers of a framework without a word; ended says that it is removed, so that its
// answers don't count any more, either.
func (s *State) dropInverseOffers(f *framework, ended bool) {
	for _, id := range sortedKeys(s.upkeeps) {
		u := s.agents[id].upkeep
		if o := u.asked[f.id]; o != nil {
			s.dropInverse(o, false)
		}
		delete(u.quiet, f.id)
		if ended {
			delete(u.answers, f.id)
		}
	}
}

// reviveInverse has a framework asked again that did not want to be (reference row CALL-05).
func (s *State) reviveInverse(f *framework) {
	for id := range s.upkeeps {
		delete(s.agents[id].upkeep.quiet, f.id)
	}
}

// inverseExpired takes back an inverse offer that was not answered in time (reference row INV-04).
func (s *State) inverseExpired(id string) {
	if o := s.inverse[id]; o != nil {
		s.dropInverse(o, true)
	}
}

// answerInverse notes what a framework says to inverse offers (reference rows INV-03, INV-04). Those that are not valid
// any more, or another framework's, are passed over.
func (s *State) answerInverse(f *framework, ids []mesos.OfferID, says allocator.InverseOfferStatus_Status, filters *mesos.Filters) {
	for _, id := range ids {
		o := s.inverse[id.Value]
		if o == nil || o.framework != f {
			s.note("answer to an inverse offer that is no longer valid ignored", "framework_id", f.id, "offer_id", id.Value)
			continue
		}
		says := says
		o.agent.upkeep.answers[f.id] = allocator.InverseOfferStatus{Status: &says, FrameworkID: *f.info.ID, Timestamp: mesos.TimeInfo{Nanoseconds: s.now.UnixNano()}}
		s.dropInverse(o, false)
		if quiet := quietTime(filters); quiet > 0 {
			o.agent.upkeep.quiet[f.id] = s.now.Add(quiet)
		}
	}
}

// quietTime is for how long a framework that answered wants not to be asked again: 5 s if it doesn't say or says nonsense,
// at most 365 days.
func quietTime(filters *mesos.Filters) time.Duration {
	const usual, longest = 5 * time.Second, 365 * 24 * time.Hour
	if filters == nil || filters.RefuseSeconds == nil {
		return usual
	}
	wanted := *filters.RefuseSeconds
	switch {
	case math.IsNaN(wanted) || wanted < 0:
		return usual
	case wanted > longest.Seconds():
		return longest
	default:
		return time.Duration(wanted * float64(time.Second))
	}
}
