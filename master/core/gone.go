package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// GoneWanted says that an operator declared that an agent will never come back
// (reference row OP1-29).
type GoneWanted struct {
	Request RequestID
	Agent   string
}

func (GoneWanted) event() {}

// goneMessage is what agents and frameworks are told of an agent that is gone.
const goneMessage = "Agent has been marked gone"

// markAgentGone answers MARK_AGENT_GONE. It can be repeated; it can't be taken back.
func (s *State) markAgentGone(e GoneWanted) {
	switch s.writing(e.Agent) {
	case GoneAgent:
		s.reply(e.Request, 503, "Agent '%s' is already being transitioned to gone", e.Agent)
		return
	case RemoveAgent:
		s.reply(e.Request, 503, "Agent '%s' is being transitioned to removed", e.Agent)
		return
	case UnreachableAgent:
		s.reply(e.Request, 503, "Agent '%s' is being transitioned to unreachable", e.Agent)
		return
	}
	s.whenSettled(e.Request, e.Agent, func() {
		if _, gone := s.gone[e.Agent]; gone {
			s.reply(e.Request, 200, "")
			return
		}
		if !s.knows(e.Agent) {
			s.reply(e.Request, 404, "Agent '%s' not found", e.Agent)
			return
		}
		c := RegistryChange{Kind: GoneAgent, Agent: agentNamed(e.Agent), At: s.now}
		s.transition(c, &admission{request: e.Request, then: func(c RegistryChange, w *admission) {
			s.agentGone(c, w)
			s.reply(e.Request, 200, "")
		}})
	})
}

// agentGone gives up an agent that the registry counts as gone now (reference 1.11).
func (s *State) agentGone(c RegistryChange, _ *admission) {
	id := c.Agent.ID.Value
	s.forgetRecovered(id)
	delete(s.unreachable, id)
	s.gone[id] = c.At
	s.note("agent marked gone", "agent_id", id)
	s.unreachableTasksGone(id)
	a := s.agents[id]
	if a == nil {
		return
	}
	text := goneMessage
	s.sendAgent(a, &messages.ShutdownMessage{Message: &text})
	for _, t := range sortedAgentTasks(a) {
		if f := s.frameworks[t.key.framework]; f != nil {
			state, reason := goneState(f)
			s.loseTask(f, t, state, reason, goneMessage, nil)
		}
	}
	s.dropAgent(a)
}

// goneState is what a framework is told of tasks on an agent that is gone.
func goneState(f *framework) (mesos.TaskState, mesos.TaskStatus_Reason) {
	if f.partitionAware() {
		return mesos.TASK_GONE_BY_OPERATOR, mesos.REASON_AGENT_REMOVED_BY_OPERATOR
	}
	return mesos.TASK_LOST, mesos.REASON_AGENT_REMOVED
}

// unreachableTasksGone ends the tasks of an agent that was unreachable before it was gone.
func (s *State) unreachableTasksGone(id string) {
	for _, f := range s.sortedFrameworks() {
		var ended []*mesos.Task
		f.unreachable.drop(func(t *mesos.Task) bool {
			if t.AgentID.Value != id {
				return false
			}
			ended = append(ended, t)
			return true
		})
		state, reason := goneState(f)
		for _, t := range ended {
			status := s.masterStatus(t.TaskID.Value, &id, state, reason, goneMessage)
			status.ExecutorID = t.ExecutorID
			last := *t
			last.State = &state
			last.Statuses = append(append([]mesos.TaskStatus(nil), t.Statuses...), *status)
			f.completed.add(&last)
			if *t.State != state { // the framework was not told before
				s.forward(f, status)
			}
		}
		if len(ended) > 0 {
			s.touch(f, nil)
		}
	}
}
