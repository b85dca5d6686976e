package service

import (
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/frameworks/orders"
)

// The methods of session.Handler.

// Subscribed notes the framework id and lets everything be decided anew.
func (f *Service) Subscribed(id mesos.FrameworkID) { f.Post(Subscribed{id}) }

// Disconnected stops asking for offers until the next subscription.
func (f *Service) Disconnected(error) { f.Post(Disconnected{}) }

// Offers has offers used or declined.
func (f *Service) Offers(offers []mesos.Offer) { f.Post(Offered{offers}) }

// Rescind needs nothing: offers are answered at once.
func (f *Service) Rescind(mesos.OfferID) {}

// Update takes a status in; it is acknowledged once what followed from it is durable.
func (f *Service) Update(status mesos.TaskStatus) error {
	f.Log.Debug("status", "task_id", status.TaskID.Value, "state", status.GetState().String(), "message", status.GetMessage())
	return f.loop.Do(f.ctx, Updated{status})
}

// Message has no use: command executors send none.
func (f *Service) Message(mesos.AgentID, mesos.ExecutorID, []byte) {}

// Failure is no base for task states; status updates are.
func (f *Service) Failure(*mesos.AgentID, *mesos.ExecutorID, *int32) {}

// Tasks are the core's.
func (f *Service) Tasks() (tasks []scheduler.Call_Reconcile_Task) {
	if err := f.loop.Look(f.ctx, func() { tasks = f.core.Tasks() }); err != nil {
		f.Log.Warn("nothing is reconciled", "error", err)
	}
	return tasks
}

// Error is the master's last word. A framework that was removed starts anew under another id, once restarted.
func (f *Service) Error(message string) {
	f.Log.Error("the master refuses the framework", "message", message)
	if strings.Contains(message, orders.RemovedMessage) {
		f.Post(Removed{})
	}
}
