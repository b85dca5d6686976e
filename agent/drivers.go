package agent

import (
	"context"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// This file serves executors that speak the protocol before HTTP, through libmesos's executor driver or one like it
// (reference section 5.2): their messages become what the v1 API's handlers ask for, and events messages.

// Limits of executors' drivers.
const (
	maxDrivers       = 10_000
	maxDriverMessage = 1024 // messages of one driver that wait; further ones hold up its connection
)

// driver is one executor's. Its goroutine (run) handles its messages in order and passes events on to it.
type driver struct {
	agent     *Agent
	to        libprocess.UPID
	framework mesos.FrameworkID
	executor  mesos.ExecutorID
	again     bool // it registered again, with an agent that was restarted
	in        chan proto.Message
	gone      chan struct{} // closed when the link broke
	info      mesos.FrameworkInfo
	agentID   mesos.AgentID
}

// driverSaid takes in a message of an executor's driver; false if it is none.
func (a *Agent) driverSaid(from libprocess.UPID, m proto.Message) bool {
	switch m := m.(type) {
	case *messages.RegisterExecutorMessage:
		a.driverRegisters(&driver{to: from, framework: m.FrameworkID, executor: m.ExecutorID}, &executor.Call_Subscribe{})
	case *messages.ReregisterExecutorMessage:
		s := &executor.Call_Subscribe{UnacknowledgedTasks: m.Tasks}
		for i := range m.Updates {
			s.UnacknowledgedUpdates = append(s.UnacknowledgedUpdates, executor.Call_Update{Status: statusOf(&m.Updates[i])})
		}
		a.driverRegisters(&driver{to: from, framework: m.FrameworkID, executor: m.ExecutorID, again: true}, s)
	case *messages.StatusUpdateMessage, *messages.ExecutorToFrameworkMessage:
		a.drivers.Lock()
		d := a.drivers.known[from]
		a.drivers.Unlock()
		if d == nil {
			a.log.Warn("message of an executor that is not registered, ignored", "from", from.String(), "message", messages.NameOf(m))
			return true
		}
		select {
		case d.in <- m: // rather than give up on one that has just gone
		default:
			select {
			case d.in <- m:
			case <-d.gone:
			case <-a.done:
			}
		}
	default:
		return false
	}
	return true
}

// driverRegisters opens a stream for an executor as its SUBSCRIBE over HTTP would.
func (a *Agent) driverRegisters(d *driver, s *executor.Call_Subscribe) {
	d.agent, d.in, d.gone = a, make(chan proto.Message, maxDriverMessage), make(chan struct{})
	a.drivers.Lock()
	defer a.drivers.Unlock()
	if a.drivers.known[d.to] != nil {
		return // it repeats itself
	}
	if len(a.drivers.known) >= maxDrivers {
		a.log.Error("executor refused: too many are connected", "from", d.to.String(), "limit", maxDrivers)
		return
	}
	a.drivers.known[d.to] = d
	unlink := a.sender.Link(d.to, func() { close(d.gone) })
	events, leave := a.subscribe(core.ExecutorSubscribed{Framework: d.framework.Value, Executor: d.executor.Value, UPID: d.to.String()}, s)
	go func() {
		d.run(events)
		leave()
		unlink()
		a.drivers.Lock()
		delete(a.drivers.known, d.to)
		a.drivers.Unlock()
	}()
}

// run serves the driver until its link breaks, the agent hangs up, or the agent ends.
func (d *driver) run(events <-chan *executor.Event) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for {
		select {
		case <-d.gone:
			d.rest(ctx)
			return
		case <-d.agent.done:
			return
		case m := <-d.in:
			d.take(ctx, m)
		case e, open := <-events:
			if !open {
				return
			}
			d.pass(e)
		}
	}
}

// rest takes what the driver sent before its link broke: an executor's last update often is its last word.
func (d *driver) rest(ctx context.Context) {
	for {
		select {
		case m := <-d.in:
			d.take(ctx, m)
		default:
			return
		}
	}
}

// take hands an executor's message to the owner.
func (d *driver) take(ctx context.Context, m proto.Message) {
	var answer core.Answer
	var err error
	switch m := m.(type) {
	case *messages.StatusUpdateMessage:
		answer, err = d.agent.Update(ctx, d.framework.Value, d.executor.Value, statusOf(&m.Update))
	case *messages.ExecutorToFrameworkMessage:
		answer, err = d.agent.Message(ctx, d.framework.Value, d.executor.Value, m.Data)
	}
	if err != nil || answer.Text != "" {
		d.agent.log.Warn("message of an executor refused", "from", d.to.String(), "message", messages.NameOf(m), "reason", answer.Text, "error", err)
	}
}

// statusOf is the status of an update with what the v1 API has in the status itself.
func statusOf(u *messages.StatusUpdate) mesos.TaskStatus {
	status := u.Status
	status.UUID = u.UUID
	if status.Source == nil {
		source := mesos.SOURCE_EXECUTOR
		status.Source = &source
	}
	if status.Timestamp == nil {
		timestamp := u.Timestamp
		status.Timestamp = &timestamp
	}
	return status
}

// pass sends an event to the driver as a message.
func (d *driver) pass(e *executor.Event) {
	m := d.message(e)
	if m == nil {
		return
	}
	if err := d.agent.sender.Send(d.to, m); err != nil {
		d.agent.log.Warn("message to an executor not sent", "to", d.to.String(), "message", messages.NameOf(m), "error", err)
	}
}

// message is the message for an event; nil for those that drivers know nothing of.
func (d *driver) message(e *executor.Event) proto.Message {
	switch e.Type {
	case executor.Event_SUBSCRIBED:
		s := e.Subscribed
		d.info, d.agentID = s.FrameworkInfo, *s.AgentInfo.ID
		if d.again {
			return &messages.ExecutorReregisteredMessage{AgentID: d.agentID, AgentInfo: s.AgentInfo}
		}
		return &messages.ExecutorRegisteredMessage{
			ExecutorInfo: s.ExecutorInfo, FrameworkID: d.framework, FrameworkInfo: s.FrameworkInfo, AgentID: d.agentID, AgentInfo: s.AgentInfo,
		}
	case executor.Event_LAUNCH:
		return &messages.RunTaskMessage{FrameworkID: &d.framework, Framework: d.info, Task: e.Launch.Task, PID: new(string)}
	case executor.Event_KILL:
		return &messages.KillTaskMessage{FrameworkID: d.framework, TaskID: e.Kill.TaskID, KillPolicy: e.Kill.KillPolicy}
	case executor.Event_ACKNOWLEDGED:
		return &messages.StatusUpdateAcknowledgementMessage{
			AgentID: d.agentID, FrameworkID: d.framework, TaskID: e.Acknowledged.TaskID, UUID: e.Acknowledged.UUID,
		}
	case executor.Event_MESSAGE:
		return &messages.FrameworkToExecutorMessage{AgentID: d.agentID, FrameworkID: d.framework, ExecutorID: d.executor, Data: e.Message.Data}
	case executor.Event_SHUTDOWN:
		return &messages.ShutdownExecutorMessage{ExecutorID: &d.executor, FrameworkID: &d.framework}
	case executor.Event_LAUNCH_GROUP:
		d.agent.log.Error("task group not delivered: executors of the old protocol know none", "executor_id", d.executor.Value, "framework_id", d.framework.Value)
	default: // HEARTBEAT, ERROR
	}
	return nil
}
