package core

import (
	"fmt"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// masterDetected starts registration with a random delay, so that a new master is
// not met by all agents at once (reference section 5.4).
func (s *State) masterDetected(e MasterDetected) {
	s.master = e.PID
	if s.phase == recovering || s.phase == terminating {
		return
	}
	s.startRegistration(s.jitter(s.cfg.BackoffFactor))
}

func (s *State) startRegistration(delay time.Duration) {
	if s.phase == running {
		s.pauseUpdates()
		s.pauseOperations()
		s.resourceVersion = s.uuid() // an order of before may be for a task that the master has given up since
	}
	s.phase = disconnected
	s.backoff = s.cfg.BackoffFactor
	s.authenticated, s.authBackoff = false, s.cfg.AuthenticationBackoff
	s.cancel(timer{kind: timerPing})
	s.cancel(timer{kind: timerRegister})
	if s.master != "" {
		s.after(delay, timer{kind: timerRegister})
	}
}

// masterExited notices a broken link. An agent that was admitted tries again at once;
// the master behind a static address may be back in a moment.
func (s *State) masterExited(e MasterExited) {
	if e.PID != s.master || s.phase == recovering || s.phase == terminating {
		return
	}
	if s.phase == running {
		s.log(Warn, "connection to the master broke, registering again", "master", s.master)
	}
	s.startRegistration(relinkDelay + s.jitter(s.cfg.BackoffFactor))
}

// register sends the request once more and doubles the back-off.
func (s *State) register() {
	s.phase = registering
	s.do(Link{To: s.master})
	if s.cfg.Authenticates && !s.authenticated {
		s.authenticate()
		return
	}
	version := s.cfg.Version
	if s.info.ID == nil {
		s.do(Send{To: s.master, Message: &messages.RegisterSlaveMessage{
			Agent: s.info, Version: &version, AgentCapabilities: s.cfg.Capabilities,
			ResourceVersionUUID: &mesos.UUID{Value: s.resourceVersion}, CheckpointedResources: operations.Checkpointed(s.total),
		}})
	} else {
		s.do(Send{To: s.master, Message: s.reregistration()})
	}
	s.backoff = min(2*s.backoff, registerBackoffMax)
	s.after(s.cfg.BackoffFactor/2+s.jitter(s.backoff), timer{kind: timerRegister})
}

// reregistration tells a master everything that runs here; reference row 0.1.
func (s *State) reregistration() *messages.ReregisterSlaveMessage {
	version := s.cfg.Version
	m := &messages.ReregisterSlaveMessage{
		Agent: s.info, Version: &version, AgentCapabilities: s.cfg.Capabilities,
		ResourceVersionUUID: &mesos.UUID{Value: s.resourceVersion}, CheckpointedResources: operations.Checkpointed(s.total),
	}
	for _, f := range s.frameworksInOrder() {
		m.Frameworks = append(m.Frameworks, f.info)
		for _, e := range f.executorsInOrder() {
			if !e.generated && e.state != executorTerminated {
				info := e.info
				info.FrameworkID = f.info.ID
				m.ExecutorInfos = append(m.ExecutorInfos, info)
			}
			for _, id := range e.order {
				if t := e.tasks[id]; t != nil {
					m.Tasks = append(m.Tasks, s.taskMessage(t))
				}
			}
		}
	}
	return m
}

// taskMessage is a task as the master keeps it.
func (s *State) taskMessage(t *task) mesos.Task {
	m := newTask(t)
	m.StatusUpdateState, m.StatusUpdateUUID = t.sent, t.sentUUID
	return m
}

func (s *State) registered(m *messages.SlaveRegisteredMessage) {
	if s.info.ID != nil && s.info.ID.Value != m.AgentID.Value {
		s.do(Exit{Failure: true, Reason: fmt.Sprintf("master %s registered this agent as %s, but it is %s: remove %s/meta/slaves/latest to start as a new agent",
			s.master, m.AgentID.Value, s.info.ID.Value, s.cfg.WorkDir)})
		return
	}
	if s.info.ID == nil {
		s.info.ID = &mesos.AgentID{Value: m.AgentID.Value}
		s.do(SaveAgent{Info: s.info})
		s.log(Info, "registered", "agent_id", s.agentID(), "master", s.master)
	}
	s.admitted(m.Connection)
}

func (s *State) reregistered(m *messages.SlaveReregisteredMessage) {
	if s.info.ID == nil || s.info.ID.Value != m.AgentID.Value {
		s.do(Exit{Failure: true, Reason: fmt.Sprintf("master %s re-registered this agent as %s, but it is %q", s.master, m.AgentID.Value, s.agentID())})
		return
	}
	if s.phase != running {
		s.log(Info, "re-registered", "agent_id", s.agentID(), "master", s.master)
	}
	s.admitted(m.Connection)
	for _, r := range m.Reconciliations {
		s.reconcile(r)
	}
}

// admitted is the common end of both registrations.
func (s *State) admitted(c *messages.MasterSlaveConnection) {
	if c != nil && c.TotalPingTimeoutSeconds != nil && *c.TotalPingTimeoutSeconds > 0 {
		s.pingLimit = time.Duration(*c.TotalPingTimeoutSeconds * float64(time.Second))
	}
	s.cancel(timer{kind: timerRegister})
	s.after(s.pingLimit, timer{kind: timerPing})
	if s.phase == running {
		return // an answer to a repeated request
	}
	s.phase = running
	s.counters.Registrations++
	oversubscribed := false
	s.do(Send{To: s.master, Message: &messages.UpdateSlaveMessage{
		AgentID: *s.info.ID, UpdateOversubscribedResources: &oversubscribed,
		ResourceVersionUUID: &mesos.UUID{Value: s.resourceVersion},
		Operations:          &messages.UpdateSlaveMessage_Operations{Operations: s.operationList()},
		ResourceProviders:   &messages.UpdateSlaveMessage_ResourceProviders{},
	}})
	s.resumeUpdates()
	s.resumeOperations()
	if s.outdated {
		s.outdated = false
		s.do(Send{To: s.master, Message: s.reregistration()})
	}
}

// ping answers a master's probe. One that says "not connected" means that the master
// has lost our registration.
func (s *State) ping(from string, m *messages.PingSlaveMessage) {
	if address(from) != address(s.master) {
		s.log(Warn, "ping from someone who is not the leading master, ignored", "from", from, "master", s.master)
		return
	}
	s.do(Send{To: from, Message: &messages.PongSlaveMessage{}})
	if s.phase != running {
		return
	}
	if !m.Connected {
		s.log(Warn, "the master holds this agent for disconnected, registering again", "master", s.master)
		s.startRegistration(s.jitter(s.cfg.BackoffFactor))
		return
	}
	s.after(s.pingLimit, timer{kind: timerPing})
}

func (s *State) pingsMissing() {
	s.log(Warn, "no ping from the master, registering again", "master", s.master, "timeout", s.pingLimit.String())
	s.startRegistration(s.jitter(s.cfg.BackoffFactor))
}

// address is the ip:port of a UPID.
func address(upid string) string {
	_, addr, _ := strings.Cut(upid, "@")
	return addr
}

// reconcile answers for tasks that the master believes to be here.
func (s *State) reconcile(m messages.ReconcileTasksMessage) {
	f := s.frameworks[m.FrameworkID.Value]
	for i := range m.Statuses {
		id := m.Statuses[i].TaskID.Value
		if s.streams[taskKey{m.FrameworkID.Value, id}] != nil || s.findTask(m.FrameworkID.Value, id) != nil {
			continue // known after all: its own updates tell
		}
		aware := m.Framework != nil && (&framework{info: *m.Framework}).has(mesos.FrameworkInfo_Capability_PARTITION_AWARE) ||
			f != nil && f.has(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
		s.loose(m.FrameworkID.Value, id, nil, lost(aware), mesos.REASON_RECONCILIATION, "Reconciliation: task unknown to the agent")
	}
}

func (s *State) findTask(frameworkID, taskID string) *task {
	if f := s.frameworks[frameworkID]; f != nil {
		for _, e := range f.executors {
			if t := e.tasks[taskID]; t != nil {
				return t
			}
		}
	}
	return nil
}

// lost is the state of a task that never was, or is no more, on this agent.
func lost(partitionAware bool) mesos.TaskState {
	if partitionAware {
		return mesos.TASK_DROPPED
	}
	return mesos.TASK_LOST
}
