package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// An operator takes an agent out of service and puts it back (reference rows OP1-30 to
// OP1-32). What was decided stands in the registry, s.reg: it holds for agents that
// are away, too, and for masters to come.
//
//	active -> (DEACTIVATE_AGENT) -> deactivated: no offers; tasks go on
//	       -> (DRAIN_AGENT) -> DRAINING, deactivated: tasks are killed -> (nothing left) -> DRAINED, or gone if mark_gone
//	DRAINED or deactivated -> (REACTIVATE_AGENT) -> active

// DrainWanted says that an operator asked to drain an agent. Config.MarkGone is set.
type DrainWanted struct {
	Request RequestID
	Agent   string // id
	Config  mesos.DrainConfig
}

// DeactivationWanted says that an operator asked that an agent be offered no more.
type DeactivationWanted struct {
	Request RequestID
	Agent   string
}

// ReactivationWanted says that an operator asked to offer an agent again that drained
// or was deactivated.
type ReactivationWanted struct {
	Request RequestID
	Agent   string
}

func (DrainWanted) event()        {}
func (DeactivationWanted) event() {}
func (ReactivationWanted) event() {}

// knows says whether the registry has an agent that is not gone: one that is
// registered, was before this master started, or is unreachable.
func (s *State) knows(id string) bool {
	_, admitted := s.reg.Admitted[id]
	_, unreachable := s.reg.Unreachable[id]
	return admitted || unreachable
}

// decideAgent checks a decision about one agent as soon as its standing is settled, and
// makes it durable. refused returns the status and text of a refusal, 0 if there is none.
func (s *State) decideAgent(request RequestID, c RegistryChange, refused func() (int, string), act func(*agent)) {
	id := c.Agent.ID.Value
	s.whenSettled(request, id, func() {
		if status, text := refused(); status != 0 {
			s.reply(request, status, "%s", text)
			return
		}
		s.transition(c, &admission{request: request, then: func(RegistryChange, *admission) {
			if a := s.agents[id]; a != nil {
				act(a)
			}
			s.reply(request, 200, "")
		}})
	})
}

// drainAgent answers DRAIN_AGENT (reference row OP1-30).
func (s *State) drainAgent(e DrainWanted) {
	if s.writing(e.Agent) == GoneAgent {
		s.reply(e.Request, 409, "Agent is currently being marked gone")
		return
	}
	c := RegistryChange{Kind: DrainAgent, Agent: agentNamed(e.Agent), Drain: e.Config}
	s.decideAgent(e.Request, c, func() (int, string) {
		if a := s.agents[e.Agent]; a != nil {
			if m, scheduled := s.reg.Machines[a.machine()]; scheduled {
				return 400, fmt.Sprintf("Agent %s is part of a maintenance schedule under Machine %s", a.id, machineText(m.ID))
			}
			if !a.can(mesos.AgentInfo_Capability_AGENT_DRAINING) {
				return 400, fmt.Sprintf("Agent %s is not capable of draining", a.id)
			}
		}
		return s.unknownAgent(e.Agent)
	}, func(a *agent) {
		s.note("agent drains", "agent_id", a.id, "tasks", len(a.tasks))
		s.deactivate(a)
		s.tellDrain(a)
	})
}

// deactivateAgent answers DEACTIVATE_AGENT (reference row OP1-31).
func (s *State) deactivateAgent(e DeactivationWanted) {
	c := RegistryChange{Kind: DeactivateAgent, Agent: agentNamed(e.Agent)}
	s.decideAgent(e.Request, c, func() (int, string) { return s.unknownAgent(e.Agent) }, s.deactivate)
}

// reactivateAgent answers REACTIVATE_AGENT (reference row OP1-32).
func (s *State) reactivateAgent(e ReactivationWanted) {
	c := RegistryChange{Kind: ReactivateAgent, Agent: agentNamed(e.Agent)}
	s.decideAgent(e.Request, c, func() (int, string) {
		if !s.reg.Deactivated[e.Agent] {
			return 400, "Agent is not deactivated"
		}
		if d, ok := s.reg.Drains[e.Agent]; ok && d.State == mesos.DrainState_DRAINING {
			return 400, "Agent is still in the DRAINING state"
		}
		return 0, ""
	}, func(a *agent) {
		a.drainStarted = nil
		if s.active(a) {
			s.ledger.SetAgentActive(a.id, true)
			s.allocateOn(a.id)
		}
		s.touch(nil, a)
	})
}

func agentNamed(id string) mesos.AgentInfo { return mesos.AgentInfo{ID: &mesos.AgentID{Value: id}} }

func (s *State) unknownAgent(id string) (int, string) {
	if !s.knows(id) {
		return 400, "Unknown agent"
	}
	return 0, ""
}

// active says whether an agent's resources may be offered.
func (s *State) active(a *agent) bool { return a.connected && !s.reg.Deactivated[a.id] }

// deactivate stops offering an agent; what runs there goes on.
func (s *State) deactivate(a *agent) {
	s.ledger.SetAgentActive(a.id, false)
	for _, o := range sortedOffers(a.offers) {
		s.rescind(o)
	}
	s.rescindInverse(a)
	s.touch(nil, a)
}

// tellDrain orders an agent that is to drain to do so, also if it has drained before
// it was away: it knows how to take that (reference row 5.3, step 11).
func (s *State) tellDrain(a *agent) {
	info, draining := s.reg.Drains[a.id]
	if !draining || !a.connected {
		return
	}
	if a.drainStarted == nil {
		now := s.now
		a.drainStarted = &now
	}
	s.sendAgent(a, &messages.DrainSlaveMessage{Config: info.Config})
	s.mayBeDrained(a)
	s.touch(nil, a)
}

// mayBeDrained has an agent looked at, at the end of this turn, from which a task or an operation went.
func (s *State) mayBeDrained(a *agent) {
	if info, ok := s.reg.Drains[a.id]; ok && info.State == mesos.DrainState_DRAINING {
		s.drains[a.id] = true
	}
}

// checkDrains ends the draining of agents that have no tasks, whose ends are
// acknowledged, and no operations left.
func (s *State) checkDrains() {
	for _, id := range sortedKeys(s.drains) {
		delete(s.drains, id)
		a := s.agents[id]
		if a == nil || !a.connected || !a.told || len(a.tasks) > 0 || len(a.operations) > 0 {
			continue
		}
		if info := s.reg.Drains[id]; info.State == mesos.DrainState_DRAINING {
			s.whenSettled(0, id, func() { s.finishDrain(id) })
		}
	}
}

// finishDrain makes it durable that an agent has drained.
func (s *State) finishDrain(id string) {
	a, info := s.agents[id], s.reg.Drains[id]
	if a == nil || !a.connected || len(a.tasks) > 0 || len(a.operations) > 0 || info.State != mesos.DrainState_DRAINING {
		return // another decision came first
	}
	again := func(error) {
		s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: drainAgain, id: id})
	}
	if info.Config.GetMarkGone() {
		s.transition(RegistryChange{Kind: GoneAgent, Agent: agentNamed(id), At: s.now}, &admission{then: s.agentGone, failed: again})
		return
	}
	s.transition(RegistryChange{Kind: DrainedAgent, Agent: agentNamed(id)}, &admission{failed: again, then: func(RegistryChange, *admission) {
		s.note("agent has drained", "agent_id", id)
		if a := s.agents[id]; a != nil {
			s.touch(nil, a)
		}
	}})
}

// drainExpired looks again at an agent whose end of draining could not be stored.
func (s *State) drainExpired(id string) {
	if a := s.agents[id]; a != nil {
		s.mayBeDrained(a)
	}
}

// machineText is a machine as Mesos's errors name it.
func machineText(id mesos.MachineID) string {
	switch {
	case id.Hostname != nil && id.IP != nil:
		return fmt.Sprintf("%s (%s)", id.GetHostname(), id.GetIP())
	case id.Hostname != nil:
		return id.GetHostname()
	default:
		return fmt.Sprintf("(%s)", id.GetIP())
	}
}
