package session

import (
	"context"
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/client"
)

// The calls below return at once. They are sent in their order; one made while
// not subscribed is dropped, since what it was about has to be decided anew after
// Subscribed, but for Kill, which is repeated until the task's end is seen.

// Accept runs operations on offers of one agent; what they leave is refused for
// the given time (0: may be offered again at once).
func (s *Session) Accept(offers []mesos.OfferID, operations []mesos.Offer_Operation, refuse time.Duration) {
	s.call(&scheduler.Call{
		Type:   scheduler.Call_ACCEPT,
		Accept: &scheduler.Call_Accept{OfferIDs: offers, Operations: operations, Filters: filters(refuse)},
	})
}

// Decline gives offers back and refuses the like of them for the given time.
func (s *Session) Decline(offers []mesos.OfferID, refuse time.Duration) {
	if len(offers) == 0 {
		return
	}
	s.call(&scheduler.Call{
		Type:    scheduler.Call_DECLINE,
		Decline: &scheduler.Call_Decline{OfferIDs: offers, Filters: filters(refuse)},
	})
}

// Revive asks for offers for the roles, or all, whatever was refused before.
func (s *Session) Revive(roles ...string) {
	s.call(&scheduler.Call{Type: scheduler.Call_REVIVE, Revive: &scheduler.Call_Revive{Roles: roles}})
}

// Suppress asks for no more offers for the roles, or all.
func (s *Session) Suppress(roles ...string) {
	s.call(&scheduler.Call{Type: scheduler.Call_SUPPRESS, Suppress: &scheduler.Call_Suppress{Roles: roles}})
}

// Kill asks for a task's end, after grace where it is given and the task's own
// kill policy otherwise. The session remembers it and asks again after each new
// subscription until it sees the task's terminal update.
func (s *Session) Kill(task mesos.TaskID, agent *mesos.AgentID, grace *time.Duration) {
	kill := &scheduler.Call_Kill{TaskID: task, AgentID: agent}
	if grace != nil {
		kill.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: grace.Nanoseconds()}}
	}
	s.mu.Lock()
	s.kills[task.Value] = kill
	s.mu.Unlock()
	s.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: kill})
}

// Acknowledge tells the agent that an update has been taken in; for updates that
// Handler.Update answered with ErrLater. One without a uuid wants no answer
// (reference row EV-06). After a broken link the agent sends the update again.
func (s *Session) Acknowledge(status mesos.TaskStatus) {
	if len(status.UUID) == 0 || status.AgentID == nil {
		return
	}
	s.call(&scheduler.Call{
		Type: scheduler.Call_ACKNOWLEDGE,
		Acknowledge: &scheduler.Call_Acknowledge{
			AgentID: *status.AgentID,
			TaskID:  status.TaskID,
			UUID:    status.UUID,
		},
	})
}

// Reconcile asks for the present status of tasks, or of all for none.
func (s *Session) Reconcile(tasks []scheduler.Call_Reconcile_Task) {
	s.call(&scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{Tasks: tasks}})
}

// Send passes bytes to an executor, at most once.
func (s *Session) Send(agent mesos.AgentID, executor mesos.ExecutorID, data []byte) {
	s.call(&scheduler.Call{
		Type:    scheduler.Call_MESSAGE,
		Message: &scheduler.Call_Message{AgentID: agent, ExecutorID: executor, Data: data},
	})
}

// Shutdown asks for an executor's end.
func (s *Session) Shutdown(executor mesos.ExecutorID, agent mesos.AgentID) {
	s.call(&scheduler.Call{
		Type:     scheduler.Call_SHUTDOWN,
		Shutdown: &scheduler.Call_Shutdown{ExecutorID: executor, AgentID: agent},
	})
}

// Teardown ends the framework and all its tasks for good. It waits for the
// master's answer. Run then returns an error wrapping ErrTerminal, or ends with
// its context.
func (s *Session) Teardown(ctx context.Context) error {
	s.mu.Lock()
	st, id := s.stream, s.id
	s.mu.Unlock()
	if st == nil {
		return fmt.Errorf("tear down the framework: %w", errNotSubscribed)
	}
	call := &scheduler.Call{Type: scheduler.Call_TEARDOWN, FrameworkID: id}
	return client.Call(ctx, s.http, st.url, s.codec, call, client.WithStreamID(st.id))
}

func filters(refuse time.Duration) *mesos.Filters {
	seconds := refuse.Seconds()
	return &mesos.Filters{RefuseSeconds: &seconds}
}

// call queues a call on the present subscription.
func (s *Session) call(call *scheduler.Call) {
	s.mu.Lock()
	st := s.stream
	call.FrameworkID = s.id
	s.mu.Unlock()
	if st == nil {
		s.log.Debug("call dropped", "call", call.GetType().String(), "error", errNotSubscribed)
		return
	}
	select {
	case st.calls <- call:
	default:
		st.cancel(fmt.Errorf("%d calls wait for a master that does not take them", s.room))
	}
}

func (s *Session) killAgain() {
	s.mu.Lock()
	kills := make([]*scheduler.Call_Kill, 0, len(s.kills))
	for _, kill := range s.kills {
		kills = append(kills, kill)
	}
	s.mu.Unlock()
	for _, kill := range kills {
		s.call(&scheduler.Call{Type: scheduler.Call_KILL, Kill: kill})
	}
}

func (s *Session) forgetKill(task string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kills, task)
}
