package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// decide carries out virtualnode.Decide on what is held and who waits.
func (s *State) decide() {
	s.plan = false
	if !s.ready || !s.synced {
		return
	}
	plan := virtualnode.Decide(s.holding())
	for _, accept := range plan.Accepts {
		s.accept(accept)
	}
	for uid, short := range plan.Short {
		s.pods[types.UID(uid)].short = short
	}
	s.decline(plan.Declines)
	s.demand(plan.Wanting)
}

func (s *State) holding() virtualnode.Holding {
	h := virtualnode.Holding{
		Executor: s.config.Executor.Resources,
		Runs:     map[string]bool{},
		Barred:   map[string]bool{},
		Headroom: s.config.Headroom,
	}
	for id, n := range s.agents {
		h.Runs[id] = n.runs
		h.Barred[id] = n.listed && !n.usable()
	}
	for _, o := range s.offers {
		h.Offers = append(h.Offers, o.Offer)
	}
	for _, p := range s.pods {
		n := s.nodes[p.node]
		if p.stage != waiting || p.keeping || s.now.Before(p.notYet) || n == nil || !n.usable() {
			continue
		}
		w := virtualnode.Waiting{UID: string(p.uid), Agent: n.agentID, Needs: p.needs(), Since: p.since}
		w.Ports = virtualnode.ManagedPorts(virtualnode.HostPorts(&p.pod.Spec), n.agent.Ports)
		if p.pod.Spec.Priority != nil {
			w.Priority = *p.pod.Spec.Priority
		}
		h.Waiting = append(h.Waiting, w)
	}
	return h
}

func (s *State) accept(a virtualnode.Accept) {
	n := s.agents[a.Agent]
	if n == nil {
		return
	}
	effect := Accept{Refuse: refuse}
	if a.More {
		effect.Refuse = 0
	}
	for _, id := range a.Offers {
		effect.Offers = append(effect.Offers, mesos.OfferID{Value: id})
		delete(s.offers, id)
	}
	for _, place := range a.Pods {
		p := s.pods[types.UID(place.UID)]
		p.stage, p.agent, p.state, p.seen, p.toldText, p.began = launched, a.Agent, mesos.TASK_STAGING, false, "", s.now
		effect.Tasks = append(effect.Tasks, virtualnode.Task(virtualnode.Launch{
			Pod: p.pod, Attempt: p.attempt, AgentID: a.Agent, Taken: place.Taken,
			Executor: s.executor, Data: taskData(p.pod), Limits: n.agent.Limits,
		}))
		s.touch(p)
	}
	n.runs = true
	s.do(effect)
}

func (s *State) decline(ids []string) {
	if len(ids) == 0 {
		return
	}
	effect := Decline{Refuse: refuse}
	for _, id := range ids {
		effect.Offers = append(effect.Offers, mesos.OfferID{Value: id})
		delete(s.offers, id)
	}
	s.do(effect)
}

// demand asks for offers while some are wanted (REVIVE also lifts the filters of what was declined), less and less often
// as it does not help, and for none when none are.
func (s *State) demand(wanting bool) {
	if !wanting {
		s.reviveStep = 0
		if !s.suppressed {
			s.suppressed = true
			s.do(Suppress{})
		}
		return
	}
	if !s.suppressed && s.now.Before(s.reviveAt) {
		return
	}
	s.reviveStep = min(max(2*s.reviveStep, reviveFirst), reviveMax)
	s.reviveAt = s.now.Add(s.reviveStep)
	s.suppressed = false
	s.do(Revive{})
}
