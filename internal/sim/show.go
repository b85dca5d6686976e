package sim

import (
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// show says in a few words what a message is, for the lines of a trace.
func show(m any) string {
	switch m := m.(type) {
	case *scheduler.Event:
		return m.Type.String() + showEvent(m)
	case *scheduler.Call:
		return m.Type.String() + showCall(m)
	case *api.Event:
		return m.Type.String() + showExecutorEvent(m)
	case *messages.RunTaskMessage:
		return "RunTask " + m.Task.TaskID.Value
	case *messages.RunTaskGroupMessage:
		return "RunTaskGroup" + ids(m.TaskGroup.Tasks)
	case *messages.StatusUpdateMessage:
		return fmt.Sprintf("StatusUpdate %s latest %s", showStatus(&m.Update.Status), m.Update.LatestState)
	case *messages.StatusUpdateAcknowledgementMessage:
		return fmt.Sprintf("StatusUpdateAcknowledgement %s %.4x", m.TaskID.Value, m.UUID)
	case *messages.ReregisterSlaveMessage:
		text := "ReregisterSlave " + m.Agent.GetID().GetValue()
		for i := range m.Tasks {
			text += fmt.Sprintf(" %s=%s", m.Tasks[i].TaskID.Value, m.Tasks[i].GetState())
		}
		return text
	case fmt.Stringer:
		text := fmt.Sprintf("%T %s", m, m)
		if len(text) > maxShown {
			text = text[:maxShown] + "..."
		}
		return strings.TrimPrefix(text, "*messages.")
	default:
		return fmt.Sprintf("%T", m)
	}
}

func showEvent(e *scheduler.Event) string {
	switch e.Type {
	case scheduler.Event_SUBSCRIBED:
		return " " + e.Subscribed.FrameworkID.Value
	case scheduler.Event_OFFERS:
		text := ""
		for i := range e.Offers.Offers {
			o := &e.Offers.Offers[i]
			r, err := offers.Parse(o.Resources)
			if err != nil {
				return err.Error()
			}
			text += fmt.Sprintf(" %s of %s {%s}", o.ID.Value, o.AgentID.Value, r)
		}
		return text
	case scheduler.Event_RESCIND:
		return " " + e.Rescind.OfferID.Value
	case scheduler.Event_UPDATE:
		return " " + showStatus(&e.Update.Status)
	case scheduler.Event_ERROR:
		return " " + e.Error.Message
	default:
		return ""
	}
}

func showStatus(st *mesos.TaskStatus) string {
	return fmt.Sprintf("%s %s %s %q %.4x", st.TaskID.Value, st.GetState(), st.GetReason(), st.GetMessage(), st.UUID)
}

func showCall(c *scheduler.Call) string {
	switch c.Type {
	case scheduler.Call_ACCEPT:
		text := ""
		for _, id := range c.Accept.OfferIDs {
			text += " " + id.Value
		}
		for _, op := range c.Accept.Operations {
			text += " " + op.Type.String()
			if op.Launch != nil {
				text += ids(op.Launch.TaskInfos)
			}
			if op.LaunchGroup != nil {
				text += ids(op.LaunchGroup.TaskGroup.Tasks)
			}
		}
		return text
	case scheduler.Call_DECLINE:
		text := ""
		for _, id := range c.Decline.OfferIDs {
			text += " " + id.Value
		}
		return text
	case scheduler.Call_KILL:
		return " " + c.Kill.TaskID.Value
	case scheduler.Call_ACKNOWLEDGE:
		return fmt.Sprintf(" %s %.4x", c.Acknowledge.TaskID.Value, c.Acknowledge.UUID)
	case scheduler.Call_RECONCILE:
		text := ""
		for _, t := range c.Reconcile.Tasks {
			text += " " + t.TaskID.Value
		}
		return text
	default:
		return ""
	}
}

func showExecutorEvent(e *api.Event) string {
	switch e.Type {
	case api.Event_LAUNCH:
		return " " + e.Launch.Task.TaskID.Value
	case api.Event_LAUNCH_GROUP:
		return ids(e.LaunchGroup.TaskGroup.Tasks)
	case api.Event_KILL:
		return " " + e.Kill.TaskID.Value
	case api.Event_ACKNOWLEDGED:
		return fmt.Sprintf(" %s %.4x", e.Acknowledged.TaskID.Value, e.Acknowledged.UUID)
	default:
		return ""
	}
}

func ids(tasks []mesos.TaskInfo) string {
	text := ""
	for i := range tasks {
		text += " " + tasks[i].TaskID.Value
	}
	return text
}
