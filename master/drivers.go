package master

import (
	"log/slog"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// maxDrivers is how many drivers may be linked at a time; further ones are told so.
const maxDrivers = 10_000

// drivers are the schedulers that speak the protocol before HTTP: libmesos's driver and others like it. Their messages
// become the calls of the v1 API, and its events messages (reference sections 5.2 and 5.6). It belongs to the owner's
// goroutine.
type drivers struct {
	sender *libprocess.Sender
	log    *slog.Logger
	known  map[core.StreamID]*driver
}

// driver is one of them. Its stream is its UPID.
type driver struct {
	to        libprocess.UPID
	framework mesos.FrameworkID // that it was registered as
	again     bool              // its last subscription was for that framework
	unlink    func()
}

func newDrivers(sender *libprocess.Sender, log *slog.Logger) *drivers {
	return &drivers{sender: sender, log: log, known: map[core.StreamID]*driver{}}
}

// driverCall turns a driver's message into a call; false for messages that are no calls.
func driverCall(m proto.Message) (c messages.DriverCall, ok bool) {
	of := func(id mesos.FrameworkID, call scheduler.Call) (messages.DriverCall, bool) {
		call.FrameworkID = &id
		return messages.DriverCall{Call: call}, true
	}
	switch m := m.(type) {
	case *messages.DriverCall:
		return *m, true
	case *messages.RegisterFrameworkMessage:
		c.Call.Type, c.Call.Subscribe = scheduler.Call_SUBSCRIBE, &scheduler.Call_Subscribe{FrameworkInfo: &m.Framework}
		return c, true
	case *messages.ReregisterFrameworkMessage:
		c.Call.Type, c.Call.Subscribe = scheduler.Call_SUBSCRIBE, &scheduler.Call_Subscribe{FrameworkInfo: &m.Framework}
		c.Call.FrameworkID, c.Force = m.Framework.ID, m.Failover
		return c, true
	case *messages.UnregisterFrameworkMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_TEARDOWN})
	case *messages.ResourceRequestMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_REQUEST, Request: &scheduler.Call_Request{Requests: m.Requests}})
	case *messages.LaunchTasksMessage:
		return of(m.FrameworkID, launchCall(m))
	case *messages.ReviveOffersMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_REVIVE, Revive: &scheduler.Call_Revive{Roles: m.Roles}})
	case *messages.KillTaskMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: m.TaskID, KillPolicy: m.KillPolicy}})
	case *messages.StatusUpdateAcknowledgementMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{
			AgentID: m.AgentID, TaskID: m.TaskID, UUID: m.UUID}})
	case *messages.ReconcileTasksMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: reconcileCall(m)})
	case *messages.FrameworkToExecutorMessage:
		return of(m.FrameworkID, scheduler.Call{Type: scheduler.Call_MESSAGE, Message: &scheduler.Call_Message{
			AgentID: m.AgentID, ExecutorID: m.ExecutorID, Data: m.Data}})
	}
	return c, false
}

// launchCall is an ACCEPT, or a DECLINE if nothing is to be launched.
func launchCall(m *messages.LaunchTasksMessage) scheduler.Call {
	if len(m.Tasks) == 0 {
		return scheduler.Call{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{OfferIDs: m.OfferIDs, Filters: &m.Filters}}
	}
	return scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs: m.OfferIDs, Filters: &m.Filters,
		Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: m.Tasks}}},
	}}
}

func reconcileCall(m *messages.ReconcileTasksMessage) *scheduler.Call_Reconcile {
	c := &scheduler.Call_Reconcile{}
	for i := range m.Statuses {
		c.Tasks = append(c.Tasks, scheduler.Call_Reconcile_Task{TaskID: m.Statuses[i].TaskID, AgentID: m.Statuses[i].AgentID})
	}
	return c
}

// driverSaid takes in a driver's message; false if it is none.
func (o *owner) driverSaid(from libprocess.UPID, m proto.Message) bool {
	if abort, ok := m.(*messages.DeactivateFrameworkMessage); ok {
		o.post(letter{event: core.DriverAborted{Stream: core.StreamID(from.String()), Framework: abort.FrameworkID.Value}})
		return true
	}
	c, ok := driverCall(m)
	if !ok {
		return false
	}
	if problem := api.ValidCall(&c.Call); problem != nil {
		o.log.Warn("call of a driver that is not valid dropped", "from", from.String(), "call", c.Call.Type.String(), "problem", problem)
		return true
	}
	var wishes constraints.Carrier
	if c.V1 != nil {
		if err := proto.Unmarshal(c.V1, &wishes); err != nil {
			o.log.Warn("call of a driver whose offer constraints do not parse dropped", "from", from.String(), "error", err)
			return true
		}
	}
	o.post(letter{f: func() { o.driverCalled(from, c, wishes.Get()) }})
	return true
}

// driverCalled has the state answer a call, in the owner's goroutine.
func (o *owner) driverCalled(from libprocess.UPID, c messages.DriverCall, wishes *constraints.OfferConstraints) {
	stream := core.StreamID(from.String())
	d := o.drivers.known[stream]
	if c.Call.Type == scheduler.Call_SUBSCRIBE {
		o.driverSubscribes(stream, from, c, wishes)
		return
	}
	if d == nil || d.framework.Value != c.Call.FrameworkID.GetValue() {
		// It was disconnected without knowing; it must start anew (reference 5.6).
		o.drivers.post(from, &messages.FrameworkErrorMessage{Message: "Framework disconnected"})
		return
	}
	o.take(letter{event: core.SchedulerCalled{Stream: stream, Call: &c.Call, Constraints: wishes}})
}

func (o *owner) driverSubscribes(stream core.StreamID, from libprocess.UPID, c messages.DriverCall, wishes *constraints.OfferConstraints) {
	d := o.drivers.known[stream]
	if d == nil {
		if len(o.drivers.known) >= maxDrivers {
			o.drivers.post(from, &messages.FrameworkErrorMessage{Message: "Too many frameworks are connected"})
			return
		}
		d = &driver{to: from}
		o.drivers.known[stream] = d
		d.unlink = o.drivers.sender.Link(from, func() {
			o.post(letter{f: func() { o.driverExited(stream, d) }})
		})
	}
	id := c.Call.Subscribe.FrameworkInfo.GetID().GetValue()
	d.again = id != "" && id == d.framework.Value
	o.take(letter{event: core.SchedulerSubscribed{Stream: stream, Call: &c.Call, Constraints: wishes, Driver: true, Force: c.Force}})
}

// driverExited follows a broken link (reference row LP-11): the framework is disconnected, its failover timeout runs.
func (o *owner) driverExited(stream core.StreamID, d *driver) {
	if o.drivers.known[stream] != d {
		return
	}
	delete(o.drivers.known, stream)
	o.take(letter{event: core.StreamClosed{Stream: stream, Reason: "the link to its driver broke"}})
}

// close forgets a driver after what was sent to it before.
func (s *drivers) close(stream core.StreamID) {
	if d := s.known[stream]; d != nil {
		delete(s.known, stream)
		d.unlink()
	}
}

// send puts an event to a driver as a message, if the stream is one's.
func (s *drivers) send(e core.SendEvent) {
	d := s.known[e.Stream]
	if d == nil {
		return
	}
	if m := d.message(e); m != nil {
		s.post(d.to, m)
	}
}

func (s *drivers) post(to libprocess.UPID, m proto.Message) {
	if err := s.sender.Send(to, m); err != nil {
		s.log.Error("message not sent", "pid", to.String(), "error", err)
	}
}

// message is the message for an event, nil for those that drivers know nothing of.
func (d *driver) message(e core.SendEvent) proto.Message {
	switch e.Event.Type {
	case scheduler.Event_SUBSCRIBED:
		s := e.Event.Subscribed
		d.framework = *s.FrameworkID
		if d.again {
			return &messages.FrameworkReregisteredMessage{FrameworkID: *s.FrameworkID, MasterInfo: *s.MasterInfo}
		}
		return &messages.FrameworkRegisteredMessage{FrameworkID: *s.FrameworkID, MasterInfo: *s.MasterInfo}
	case scheduler.Event_OFFERS:
		return &messages.ResourceOffersMessage{Offers: e.Event.Offers.Offers, PIDs: e.Agents}
	case scheduler.Event_RESCIND:
		return &messages.RescindResourceOfferMessage{OfferID: e.Event.Rescind.OfferID}
	case scheduler.Event_UPDATE:
		return d.update(e)
	case scheduler.Event_MESSAGE:
		m := e.Event.Message
		return &messages.ExecutorToFrameworkMessage{AgentID: m.AgentID, FrameworkID: d.framework, ExecutorID: m.ExecutorID, Data: m.Data}
	case scheduler.Event_FAILURE:
		return d.failure(e.Event.Failure)
	case scheduler.Event_ERROR:
		return &messages.FrameworkErrorMessage{Message: e.Event.Error.Message}
	default: // HEARTBEAT, inverse offers, operations: only the v1 API has them
		return nil
	}
}

// update is a status update. With an agent's address it wants an acknowledgement, without one none.
func (d *driver) update(e core.SendEvent) proto.Message {
	status := e.Event.Update.Status
	m := &messages.StatusUpdateMessage{Update: messages.StatusUpdate{
		FrameworkID: d.framework, ExecutorID: status.ExecutorID, AgentID: status.AgentID, Status: status, Timestamp: status.GetTimestamp(),
	}, PID: new(string)}
	if len(status.UUID) > 0 {
		m.Update.UUID = status.UUID
		*m.PID = e.Agents[0]
	}
	return m
}

// failure says that an agent was removed or an executor ended.
func (d *driver) failure(f *scheduler.Event_Failure) proto.Message {
	switch {
	case f.AgentID == nil:
		return nil
	case f.ExecutorID == nil:
		return &messages.LostSlaveMessage{AgentID: *f.AgentID}
	default:
		return &messages.ExitedExecutorMessage{AgentID: *f.AgentID, FrameworkID: d.framework, ExecutorID: *f.ExecutorID, Status: f.GetStatus()}
	}
}
