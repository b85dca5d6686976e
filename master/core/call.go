package core

import (
	"github.com/mesos/mesos-go/api/v1/lib/allocator"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// call answers every call but SUBSCRIBE (reference rows SCH-12 to SCH-19).
func (s *State) call(e SchedulerCalled) {
	f := s.frameworks[e.Call.GetFrameworkID().GetValue()]
	switch {
	case f == nil:
		s.reply(e.Request, 400, "Framework cannot be found")
	case !e.Principal.Anonymous() && e.Principal.Name != f.info.GetPrincipal(): // reference row SCH-13
		s.reply(e.Request, 400, "Authenticated principal '%s' does not match principal '%s' set in `FrameworkInfo`", e.Principal.Name, f.info.GetPrincipal())
	case !f.connected || f.retiring:
		s.reply(e.Request, 403, "Framework is not subscribed")
	case e.Stream == "":
		s.reply(e.Request, 400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header")
	case e.Stream != f.stream:
		s.reply(e.Request, 400, "The stream ID '%s' included in this request didn't match the stream ID currently associated with framework ID %s", e.Stream, f.id)
	default:
		f.counts.call(e.Call.Type)
		s.touch(f, nil)
		s.serve(f, e)
	}
}

// serve carries out a call of a connected framework. It is accepted first: what
// comes of it travels as events.
func (s *State) serve(f *framework, e SchedulerCalled) {
	c := e.Call
	if c.Type == scheduler.Call_UPDATE_FRAMEWORK {
		s.updateFramework(f, e)
		return
	}
	if c.Type == scheduler.Call_UNKNOWN {
		s.reply(e.Request, 501, "the call type is not known")
		return
	}
	s.reply(e.Request, 202, "")
	switch c.Type {
	case scheduler.Call_TEARDOWN:
		s.retire(f, func(error) {})
	case scheduler.Call_ACCEPT:
		s.counts.message("launch_tasks")
		s.accept(f, c.Accept)
	case scheduler.Call_DECLINE:
		s.counts.message("decline_offers")
		s.decline(f, c.Decline)
	case scheduler.Call_REVIVE:
		s.counts.message("revive_offers")
		s.revive(f, c.GetRevive().GetRoles())
	case scheduler.Call_SUPPRESS:
		s.counts.message("suppress_offers")
		s.suppress(f, c.GetSuppress().GetRoles())
	case scheduler.Call_KILL:
		s.counts.message("kill_task")
		s.kill(f, c.Kill)
	case scheduler.Call_SHUTDOWN:
		s.shutdown(f, c.Shutdown)
	case scheduler.Call_ACKNOWLEDGE:
		s.counts.message("status_update_acknowledgement")
		s.acknowledge(f, c.Acknowledge)
	case scheduler.Call_RECONCILE:
		s.counts.message("reconcile_tasks")
		s.reconcile(f, c.Reconcile.Tasks)
	case scheduler.Call_MESSAGE:
		s.counts.message("framework_to_executor")
		s.message(f, c.Message)
	case scheduler.Call_REQUEST: // accepted and ignored, as the built-in allocator does (reference row CALL-12)
		s.counts.message("resource_request")
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		s.counts.message("operation_status_update_acknowledgement")
		s.acknowledgeOperation(f, c.AcknowledgeOperationStatus)
	case scheduler.Call_RECONCILE_OPERATIONS:
		s.counts.message("reconcile_operations")
		s.reconcileOperations(f, c.ReconcileOperations)
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		s.answerInverse(f, c.AcceptInverseOffers.InverseOfferIDs, allocator.InverseOfferStatus_ACCEPT, c.AcceptInverseOffers.Filters)
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		s.answerInverse(f, c.DeclineInverseOffers.InverseOfferIDs, allocator.InverseOfferStatus_DECLINE, c.DeclineInverseOffers.Filters)
	default:
		s.unsupported(f, c)
	}
}

// unsupported answers calls whose features come later, by an event where there is one.
func (s *State) unsupported(f *framework, c *scheduler.Call) {
	s.note("call is not supported yet and has no effect", "framework_id", f.id, "call", c.Type.String())
}

// shutdown passes a SHUTDOWN on (reference row CALL-08).
func (s *State) shutdown(f *framework, c *scheduler.Call_Shutdown) {
	a := s.agents[c.AgentID.Value]
	if a == nil || !a.connected {
		s.note("shutdown of an executor ignored: its agent is not connected", "framework_id", f.id, "agent_id", c.AgentID.Value, "executor_id", c.ExecutorID.Value)
		return
	}
	id := c.ExecutorID
	s.sendAgent(a, &messages.ShutdownExecutorMessage{ExecutorID: &id, FrameworkID: f.info.ID})
}

// message passes bytes on to an executor, best effort (reference row CALL-11).
func (s *State) message(f *framework, c *scheduler.Call_Message) {
	a := s.agents[c.AgentID.Value]
	if a == nil || !a.connected {
		s.counts.InvalidFrameworkMessages++
		return
	}
	s.counts.ValidFrameworkMessages++
	s.sendAgent(a, &messages.FrameworkToExecutorMessage{AgentID: c.AgentID, FrameworkID: *f.info.ID, ExecutorID: c.ExecutorID, Data: c.Data})
}
