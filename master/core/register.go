package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// messagesMessage is any message of mesos.internal.
type messagesMessage = proto.Message

// admission is what waits for a write of the registry.
type admission struct {
	pid        string
	register   *messages.RegisterSlaveMessage
	reregister *messages.ReregisterSlaveMessage
	// returned says that the agent was unreachable or unknown before.
	returned bool
	kind     RegistryKind // of the change that is being written
	request  RequestID    // who asked for it, 0 if nobody waits for a reply
	then     func(RegistryChange, *admission)
	// failed, if not nil, hears that the change could not be made durable.
	failed func(error)
	after  func() // if not nil, called when the write is over, whether or not it succeeded
}

// agentMessage takes in a message from an agent.
func (s *State) agentMessage(e AgentMessaged) {
	switch m := e.Message.(type) {
	case *messages.PongSlaveMessage:
		if a := s.pids[e.From]; a != nil {
			a.ponged = true
		}
	case *messages.RegisterSlaveMessage:
		s.counts.message("register_slave")
		s.register(e.From, m)
	case *messages.ReregisterSlaveMessage:
		s.counts.message("reregister_slave")
		s.reregister(e.From, m)
	case *messages.UnregisterSlaveMessage:
		s.counts.message("unregister_slave")
		s.unregister(e.From, m)
	case *messages.UpdateSlaveMessage:
		s.counts.message("update_slave")
		s.updateAgent(m)
	case *messages.UpdateOperationStatusMessage:
		s.counts.message("operation_status_update")
		s.operationStatus(m)
	case *messages.StatusUpdateMessage:
		s.counts.message("status_update")
		s.statusUpdate(m)
	case *messages.ExitedExecutorMessage:
		s.counts.message("exited_executor")
		s.exitedExecutor(m)
	case *messages.ExecutorToFrameworkMessage:
		s.counts.message("executor_to_framework")
		s.executorMessage(m)
	default:
		s.note("message of an unexpected type ignored", "from", e.From, "type", fmt.Sprintf("%T", e.Message))
	}
}

// write sends a change to the registry; w.then goes on when it is durable.
func (s *State) write(c RegistryChange, w *admission) uint64 {
	c.Token = s.nextToken()
	w.kind = c.Kind
	s.admitting[c.Token] = w
	s.emit(WriteRegistry{Change: c})
	return c.Token
}

// transition writes a change of one agent's standing; meanwhile the agent is busy
// and its messages to register are ignored, as it repeats them (reference row 5.3, step 9).
func (s *State) transition(c RegistryChange, w *admission) {
	id := c.Agent.ID.Value
	if _, busy := s.busyAgent[id]; busy {
		return
	}
	s.busyAgent[id] = s.write(c, w)
}

// registryWritten goes on with what waited for the registry.
func (s *State) registryWritten(e RegistryWritten) {
	w := s.admitting[e.Change.Token]
	delete(s.admitting, e.Change.Token)
	id := e.Change.Agent.GetID().GetValue()
	delete(s.busyAgent, id)
	if e.Err == nil {
		s.reg.Apply(e.Change)
	}
	if w == nil {
		return
	}
	delete(s.busyPID, w.pid)
	if e.Err != nil {
		s.emit(Note{Error: true, Message: "the registry could not be written; the change is given up", Attributes: []any{"kind", int(e.Change.Kind), "error", e.Err.Error()}})
		s.registryFailed(e, w)
		if w.failed != nil {
			w.failed(e.Err)
		}
	} else {
		w.then(e.Change, w)
		s.changed()
	}
	if w.after != nil {
		w.after()
	}
	s.settled(id)
}

// registryFailed cleans up after a change that could not be made durable.
func (s *State) registryFailed(e RegistryWritten, w *admission) {
	if w.request != 0 {
		s.reply(w.request, 503, "the change could not be stored: %s", e.Err)
	}
	if e.Change.Kind == UnreachableAgent {
		// Try again: the agent stays lost however long the registry is.
		s.lookAgain(e.Change.Agent.ID.Value)
	}
}

// validAgent checks what an agent says about itself (reference row 5.3, steps 3 and 5).
func (s *State) validAgent(info *mesos.AgentInfo, version *string, checkpointed []mesos.Resource) error {
	if version == nil {
		return fmt.Errorf("the agent sent no version")
	}
	if err := validVersion(*version); err != nil {
		return err
	}
	if info.Hostname == "" {
		return fmt.Errorf("the agent has no hostname")
	}
	if info.GetDomain().GetFaultDomain() != nil && s.cfg.Region == "" {
		return fmt.Errorf("the agent has a domain but the master has none, so whether it is remote can't be told; start the master with --domain")
	}
	_, err := registeredTotal(info, checkpointed)
	return err
}

// register lets a new agent in (reference rows 5.3, steps 6 and 7).
func (s *State) register(from string, m *messages.RegisterSlaveMessage) {
	if err := s.validAgent(&m.Agent, m.Version, m.CheckpointedResources); err != nil {
		s.note("registration refused", "pid", from, "error", err.Error())
		return
	}
	if err := s.mayJoin(from, &m.Agent); err != nil {
		s.note("registration refused", "pid", from, "error", err.Error())
		return
	}
	if s.refuseDown(from, &m.Agent) {
		return
	}
	if a := s.pids[from]; a != nil {
		if a.connected {
			s.sendAgent(a, s.registeredMessage(a))
			return
		}
		if _, busy := s.busyAgent[a.id]; busy {
			return
		}
		s.transition(RegistryChange{Kind: RemoveAgent, Agent: mesos.AgentInfo{ID: a.info.ID}}, &admission{pid: from, register: m, then: func(_ RegistryChange, w *admission) {
			s.counts.AgentsReplaced++
			s.removeAgent(a, "a new agent registered at the same address")
			s.admit(w.pid, w.register)
		}})
		return
	}
	if _, busy := s.busyPID[from]; busy {
		return
	}
	s.admit(from, m)
}

func (s *State) admit(from string, m *messages.RegisterSlaveMessage) {
	info := m.Agent
	info.ID = &mesos.AgentID{Value: fmt.Sprintf("%s-S%d", s.cfg.Master.ID, s.agentCount)}
	s.agentCount++
	s.busyPID[from] = s.write(RegistryChange{Kind: AdmitAgent, Agent: info}, &admission{pid: from, register: m, then: s.admitted})
}

// admitted finishes the registration of a new agent.
func (s *State) admitted(c RegistryChange, w *admission) {
	s.counts.AgentRegistrations++
	m := w.register
	a := s.addAgent(c.Agent, w.pid, *m.Version, m.AgentCapabilities, m.ResourceVersionUUID, m.CheckpointedResources)
	a.told = true // a new agent has no operations
	s.sendAgent(a, s.registeredMessage(a))
	s.startPings(a)
	s.announceAgent(a)
	s.note("agent registered", "agent_id", a.id, "pid", a.pid, "resources", a.total.String())
}

func (s *State) registeredMessage(a *agent) *messages.SlaveRegisteredMessage {
	return &messages.SlaveRegisteredMessage{AgentID: *a.info.ID, Connection: s.connection()}
}

func (s *State) connection() *messages.MasterSlaveConnection {
	total := (s.cfg.AgentPingTimeout * time.Duration(s.cfg.MaxAgentPingTimeouts)).Seconds()
	return &messages.MasterSlaveConnection{TotalPingTimeoutSeconds: &total}
}

func (s *State) announceAgent(a *agent) {
	s.announce(&master.Event{Type: master.Event_AGENT_ADDED, AgentAdded: &master.Event_AgentAdded{Agent: *AgentMessage(s.agentView(a))}})
}

// reregister lets an agent come back with all it runs (reference rows 5.3, steps 8 to 11).
func (s *State) reregister(from string, m *messages.ReregisterSlaveMessage) {
	id := m.Agent.GetID().GetValue()
	if id == "" {
		s.note("re-registration without an agent id ignored", "pid", from)
		return
	}
	if err := s.validReregistration(m); err != nil {
		s.note("re-registration refused", "agent_id", id, "pid", from, "error", err.Error())
		return
	}
	if err := s.mayJoin(from, &m.Agent); err != nil {
		s.note("re-registration refused", "agent_id", id, "pid", from, "error", err.Error())
		return
	}
	if _, gone := s.gone[id]; gone {
		text := goneMessage
		s.emit(SendAgent{PID: from, Message: &messages.ShutdownMessage{Message: &text}})
		return
	}
	if s.refuseDown(from, &m.Agent) {
		return
	}
	if token, busy := s.busyAgent[id]; busy {
		if w := s.admitting[token]; w != nil && w.reregister != nil && w.pid == from && w.reregister.Agent.Equal(&m.Agent) {
			w.reregister = m // what it says now is nearer to the truth
		}
		return
	}
	if a := s.agents[id]; a != nil {
		s.reconnect(a, from, m)
		return
	}
	known, recovered := s.recovered[id]
	w := &admission{pid: from, reregister: m, returned: !recovered, then: s.readmitted}
	if recovered && known.Equal(&m.Agent) {
		s.readmitted(RegistryChange{Agent: m.Agent}, w)
		return
	}
	s.transition(RegistryChange{Kind: ReachableAgent, Agent: m.Agent}, w)
}

func (s *State) validReregistration(m *messages.ReregisterSlaveMessage) error {
	if err := s.validAgent(&m.Agent, m.Version, m.CheckpointedResources); err != nil {
		return err
	}
	for _, t := range m.Tasks {
		if t.AgentID.Value != m.Agent.ID.Value {
			return fmt.Errorf("task %q says that it runs on agent %q", t.TaskID.Value, t.AgentID.Value)
		}
		if t.State == nil {
			return fmt.Errorf("task %q has no state", t.TaskID.Value)
		}
		if _, err := offers.Parse(t.Resources); err != nil {
			return fmt.Errorf("resources of task %q: %w", t.TaskID.Value, err)
		}
	}
	for _, x := range m.ExecutorInfos {
		if x.FrameworkID == nil {
			return fmt.Errorf("executor %q has no framework id", x.ExecutorID.Value)
		}
		if _, err := offers.Parse(x.Resources); err != nil {
			return fmt.Errorf("resources of executor %q: %w", x.ExecutorID.Value, err)
		}
	}
	return nil
}

// readmitted finishes the return of an agent that this master did not have.
func (s *State) readmitted(c RegistryChange, w *admission) {
	m := w.reregister
	s.counts.AgentReregistrations++
	message := "Unknown agent reregistered"
	if _, was := s.unreachable[c.Agent.ID.Value]; was {
		message = "Unreachable agent re-reregistered" // Mesos's text
	}
	a := s.addAgent(c.Agent, w.pid, *m.Version, m.AgentCapabilities, m.ResourceVersionUUID, m.CheckpointedResources)
	a.reregistered = s.now
	if w.returned {
		s.forgetLost(a)
	}
	s.takeIn(a, m, w.returned, message)
	s.sendAgent(a, &messages.SlaveReregisteredMessage{AgentID: *a.info.ID, Connection: s.connection()})
	s.afterReturn(a, m)
	s.announceAgent(a)
	s.note("agent re-registered", "agent_id", a.id, "pid", a.pid, "tasks", len(m.Tasks), "executors", len(m.ExecutorInfos))
}

// reconnect renews the connection with an agent that is registered.
func (s *State) reconnect(a *agent, from string, m *messages.ReregisterSlaveMessage) {
	if a.info.Hostname != m.Agent.Hostname || upidIP(a.pid) != upidIP(from) {
		text := fmt.Sprintf("agent %s re-registered from another host (%s, %s)", a.id, m.Agent.Hostname, from)
		s.emit(SendAgent{PID: from, Message: &messages.ShutdownMessage{Message: &text}})
		s.note("re-registration from another host refused", "agent_id", a.id, "pid", from)
		return
	}
	if !a.info.Equal(&m.Agent) {
		s.transition(RegistryChange{Kind: AdmitAgent, Agent: m.Agent}, &admission{pid: from, reregister: m, then: func(c RegistryChange, w *admission) {
			if s.agents[a.id] == a {
				s.reconnected(a, c.Agent, w.pid, w.reregister)
			}
		}})
		return
	}
	s.reconnected(a, m.Agent, from, m)
}

func (s *State) reconnected(a *agent, info mesos.AgentInfo, from string, m *messages.ReregisterSlaveMessage) {
	s.counts.AgentReregistrations++
	total := s.returnedTotal(a, &info, m)
	if !total.Equal(a.total) {
		for _, o := range sortedOffers(a.offers) { // what they hold may be gone
			s.rescind(o)
		}
	}
	if !slices.EqualFunc(a.info.Attributes, info.Attributes, func(x, y mesos.Attribute) bool { return x.Equal(&y) }) {
		s.ledger.ClearFilters(a.id) // reference row OFF-11
		if a.upkeep != nil {
			clear(a.upkeep.quiet)
		}
	}
	a.info, a.total, a.version, a.capabilities = info, total, *m.Version, m.AgentCapabilities
	a.reregistered = s.now
	s.connectAgent(a, from, m.ResourceVersionUUID)
	reconciliations := s.compare(a, m)
	s.takeIn(a, m, true, "Agent reregistered")
	s.sendAgent(a, &messages.SlaveReregisteredMessage{AgentID: *a.info.ID, Reconciliations: reconciliations, Connection: s.connection()})
	s.afterReturn(a, m)
	s.note("agent reconnected", "agent_id", a.id, "pid", a.pid)
}

// compare finds what this master has on an agent and the agent did not report:
// executors are forgotten, and for tasks the agent is asked (reference 5.3).
func (s *State) compare(a *agent, m *messages.ReregisterSlaveMessage) []messages.ReconcileTasksMessage {
	reported := map[taskKey]bool{}
	for _, t := range m.Tasks {
		reported[taskKey{t.FrameworkID.Value, t.TaskID.Value}] = true
	}
	running := map[taskKey]bool{}
	for _, x := range m.ExecutorInfos {
		running[taskKey{x.FrameworkID.Value, x.ExecutorID.Value}] = true
	}
	for _, framework := range sortedKeys(a.executors) {
		for _, id := range sortedKeys(a.executors[framework]) {
			if x := a.executors[framework][id]; !running[taskKey{framework, id}] && !x.onItsWay(a, reported) {
				s.removeExecutor(a, x)
			}
		}
	}
	missing := map[string]*messages.ReconcileTasksMessage{}
	for _, t := range sortedAgentTasks(a) {
		f := s.frameworks[t.key.framework]
		if reported[t.key] || f == nil {
			continue
		}
		if st := t.info.StatusUpdateState; st != nil && terminal(*st) {
			s.removeTask(t) // an acknowledgement of its end crossed an older report
			continue
		}
		r := missing[f.id]
		if r == nil {
			info := f.info
			r = &messages.ReconcileTasksMessage{FrameworkID: *f.info.ID, Framework: &info}
			missing[f.id] = r
		}
		r.Statuses = append(r.Statuses, *s.status(f, t, t.state(), mesos.REASON_RECONCILIATION, "Reconciliation: Latest task state"))
	}
	var out []messages.ReconcileTasksMessage
	for _, id := range sortedKeys(missing) {
		out = append(out, *missing[id])
	}
	return out
}

// takeIn adds what an agent reports and this master did not know; tell says that
// frameworks hear of such tasks, because they may have been told that those were lost.
// Frameworks that never subscribed here are made from the agent's word (reference row SUB-13).
func (s *State) takeIn(a *agent, m *messages.ReregisterSlaveMessage, tell bool, message string) {
	for i := range m.Frameworks {
		info := &m.Frameworks[i]
		id := info.GetID().GetValue()
		if id == "" || s.frameworks[id] != nil || s.removed[id] {
			continue
		}
		f := s.newFramework(id, info)
		f.recovered = true
		s.awaitRecovered(f)
		s.record(f)
		s.touch(f, nil)
		s.announce(&master.Event{Type: master.Event_FRAMEWORK_ADDED, FrameworkAdded: &master.Event_FrameworkAdded{Framework: s.frameworkMessage(f)}})
	}
	for i := range m.ExecutorInfos {
		info := m.ExecutorInfos[i]
		f := s.frameworks[info.FrameworkID.Value]
		if f == nil {
			continue
		}
		if x := a.executors[f.id][info.ExecutorID.Value]; x != nil {
			x.ordered = false
			continue
		}
		s.addExecutor(a, f, info)
	}
	for i := range m.Tasks {
		s.takeInTask(a, &m.Tasks[i], tell, message)
	}
}

func (s *State) takeInTask(a *agent, reported *mesos.Task, tell bool, message string) {
	f := s.frameworks[reported.FrameworkID.Value]
	if f == nil {
		return // a removed framework; the agent is told to shut it down
	}
	t := f.tasks[reported.TaskID.Value]
	switch {
	case t == nil:
		t = s.addTask(a, f, *reported)
		if tell { // it may have been given up before
			f.completed.drop(func(done *mesos.Task) bool { return done.TaskID.Value == t.key.task })
		}
	case t.agent == a:
		s.adoptTask(t, reported)
		return
	default:
		s.emit(Note{Error: true, Message: "two agents report the same task", Attributes: []any{"framework_id", f.id, "task_id", t.key.task, "agent_id", t.agent.id, "other_agent_id", a.id}})
		return
	}
	if tell && f.connected {
		s.forward(f, s.latestStatus(f, t, t.state(), mesos.REASON_AGENT_REREGISTERED, message))
	}
}

// forgetLost forgets that tasks were lost with an agent that is back.
func (s *State) forgetLost(a *agent) {
	for _, f := range s.frameworks { // in any order: nothing is told
		before := len(f.unreachable.all())
		f.unreachable.drop(func(t *mesos.Task) bool { return t.AgentID.Value == a.id })
		if len(f.unreachable.all()) != before {
			s.touch(f, nil)
		}
	}
}

// afterReturn tells an agent that came back what it may have missed (reference row 5.3, step 11).
func (s *State) afterReturn(a *agent, m *messages.ReregisterSlaveMessage) {
	told := map[string]bool{}
	for i := range m.Frameworks {
		id := m.Frameworks[i].GetID().GetValue()
		if told[id] {
			continue
		}
		told[id] = true
		if f := s.frameworks[id]; f != nil {
			s.sendAgent(a, s.updateFrameworkMessage(f))
		} else if id != "" {
			s.sendAgent(a, &messages.ShutdownFrameworkMessage{FrameworkID: mesos.FrameworkID{Value: id}})
		}
	}
	for i := range m.Tasks {
		t := &m.Tasks[i]
		kill := a.killed[taskKey{t.FrameworkID.Value, t.TaskID.Value}]
		if kill != nil && !terminal(*t.State) {
			s.sendAgent(a, &messages.KillTaskMessage{FrameworkID: t.FrameworkID, TaskID: t.TaskID, KillPolicy: kill.KillPolicy})
		}
	}
	if !a.can(mesos.AgentInfo_Capability_RESOURCE_PROVIDER) {
		s.sendAgent(a, &messages.CheckpointResourcesMessage{Resources: operations.Checkpointed(a.total)})
	}
	s.tellDrain(a)
	s.startPings(a)
}

// updateAgent takes in an UpdateSlaveMessage (reference 5.2). Resource providers
// and oversubscription are not supported; an agent that brings them is told of in the log.
func (s *State) updateAgent(m *messages.UpdateSlaveMessage) {
	a := s.agents[m.AgentID.Value]
	if a == nil {
		s.note("update of an agent that is not registered ignored", "agent_id", m.AgentID.Value)
		return
	}
	if m.ResourceVersionUUID != nil {
		a.resourceVersion = m.ResourceVersionUUID
	}
	s.compareOperations(a, m)
	a.told = true
	s.mayBeDrained(a)
	if len(m.OversubscribedResources) > 0 || m.ResourceProviders != nil && len(m.ResourceProviders.Providers) > 0 {
		s.emit(Note{Error: true, Message: "oversubscribed resources and resource providers are not supported yet; they are not offered", Attributes: []any{"agent_id", a.id}})
	}
}
