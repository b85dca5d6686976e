package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/client"
)

// dispatch hands a subscription's events to the Handler until the stream ends.
func (s *Session) dispatch(ctx context.Context, events *client.Stream, st *stream) (subscribed bool, err error) {
	incoming := make(chan *scheduler.Event)
	ended := make(chan error, 1)
	go read(ctx, events, incoming, ended)

	silence := missedHeartbeats * defaultHeartbeat
	heartbeat := time.NewTimer(silence)
	defer heartbeat.Stop()
	reconciler := newReconciler(s)
	defer reconciler.stop()
	for {
		select {
		case <-ctx.Done():
			return subscribed, context.Cause(ctx)
		case err := <-ended:
			return subscribed, fmt.Errorf("the event stream ended: %w", err)
		case <-heartbeat.C:
			return subscribed, fmt.Errorf("nothing heard from the master for %v", silence)
		case <-reconciler.timer.C:
			reconciler.again()
		case event := <-incoming:
			if event.GetType() == scheduler.Event_SUBSCRIBED {
				subscribed = true
				if seconds := event.GetSubscribed().GetHeartbeatIntervalSeconds(); seconds > 0 {
					silence = time.Duration(missedHeartbeats * seconds * float64(time.Second))
				}
				s.subscribed(event.GetSubscribed(), st)
				reconciler.begin()
			}
			if err := s.handle(event, reconciler); err != nil {
				return subscribed, err
			}
			st.rest(ctx)
			heartbeat.Reset(silence)
		}
	}
}

func read(ctx context.Context, events *client.Stream, incoming chan<- *scheduler.Event, ended chan<- error) {
	for {
		event := new(scheduler.Event)
		if err := events.Next(event); err != nil {
			ended <- err
			return
		}
		select {
		case incoming <- event:
		case <-ctx.Done():
			return
		}
	}
}

func (s *Session) subscribed(event *scheduler.Event_Subscribed, st *stream) {
	id := *event.GetFrameworkID()
	s.attach(st, id)
	s.log.Info("subscribed to the master", "framework_id", id.Value, "master", event.GetMasterInfo().GetHostname())
	s.config.Handler.Subscribed(id)
	s.killAgain()
}

func (s *Session) handle(event *scheduler.Event, r *reconciler) error {
	h := s.config.Handler
	switch event.GetType() {
	case scheduler.Event_OFFERS:
		h.Offers(event.GetOffers().GetOffers())
	case scheduler.Event_RESCIND:
		h.Rescind(event.GetRescind().GetOfferID())
	case scheduler.Event_UPDATE:
		s.update(event.GetUpdate().GetStatus(), r)
	case scheduler.Event_MESSAGE:
		m := event.GetMessage()
		h.Message(m.GetAgentID(), m.GetExecutorID(), m.GetData())
	case scheduler.Event_FAILURE:
		f := event.GetFailure()
		h.Failure(f.GetAgentID(), f.GetExecutorID(), f.Status)
	case scheduler.Event_ERROR:
		message := event.GetError().GetMessage()
		h.Error(message)
		return fmt.Errorf("%w: %s", ErrTerminal, message)
	}
	return nil
}

func (s *Session) update(status mesos.TaskStatus, r *reconciler) {
	r.answered(status.GetTaskID().Value)
	if Terminal(status.GetState()) {
		s.forgetKill(status.GetTaskID().Value)
	}
	err := s.config.Handler.Update(status)
	if errors.Is(err, ErrLater) {
		return
	}
	if err != nil {
		s.log.Error("status update not taken in; it will come again", "task_id", status.GetTaskID().Value, "state", status.GetState().String(), "error", err)
		return
	}
	s.Acknowledge(status)
}

// Terminal tells whether a task in this state has ended for good (reference
// appendix A). UNREACHABLE and UNKNOWN tasks may come back.
func Terminal(state mesos.TaskState) bool {
	switch state {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	}
	return false
}

// reconciler asks about the tasks that the framework believes to exist until each
// has been answered, then about all of them now and then (reference row REC-09).
// It belongs to the goroutine of dispatch.
type reconciler struct {
	session *Session
	timer   *time.Timer
	backoff time.Duration
	waiting map[string]scheduler.Call_Reconcile_Task
}

func newReconciler(s *Session) *reconciler {
	return &reconciler{session: s, timer: time.NewTimer(reconcileImplicit)}
}

func (r *reconciler) stop() { r.timer.Stop() }

func (r *reconciler) begin() {
	r.waiting = map[string]scheduler.Call_Reconcile_Task{}
	for _, task := range r.session.config.Handler.Tasks() {
		r.waiting[task.TaskID.Value] = task
	}
	r.backoff = reconcileFirst
	if len(r.waiting) > 0 {
		r.ask()
	}
	r.session.Reconcile(nil)
	r.timer.Reset(r.backoff)
}

func (r *reconciler) again() {
	if len(r.waiting) == 0 {
		r.session.Reconcile(nil)
		r.timer.Reset(reconcileImplicit)
		return
	}
	r.ask()
	r.backoff = min(2*r.backoff, reconcileMax)
	r.timer.Reset(r.backoff)
}

func (r *reconciler) ask() {
	tasks := make([]scheduler.Call_Reconcile_Task, 0, len(r.waiting))
	for _, task := range r.waiting {
		tasks = append(tasks, task)
	}
	r.session.Reconcile(tasks)
}

func (r *reconciler) answered(task string) {
	if _, ok := r.waiting[task]; !ok {
		return
	}
	delete(r.waiting, task)
	if len(r.waiting) == 0 {
		r.timer.Reset(reconcileImplicit)
	}
}

// errNotSubscribed is what a synchronous call returns without a subscription.
var errNotSubscribed = errors.New("not subscribed to the master")
