package core

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// agent is a registered agent.
//
//	(register) -> connected, active -> (link breaks) -> disconnected -> (agent_reregister_timeout) -> unreachable
//	                                -> (pings missed) -> unreachable
type agent struct {
	id           string
	info         mesos.AgentInfo
	pid          string // UPID slave(1)@ip:port
	version      string
	capabilities []mesos.AgentInfo_Capability
	connected    bool
	registered   time.Time
	reregistered time.Time
	// incarnation counts connections, so that old timers find that they are stale.
	incarnation     uint64
	resourceVersion *mesos.UUID

	total     offers.Resources
	used      map[string]offers.Resources // by framework id
	offered   offers.Resources
	tasks     map[taskKey]*task
	executors map[string]map[string]*executor // by framework id, executor id
	offers    map[string]*offer
	// operations are those not over yet, by uuid.
	operations map[string]*operation
	killed     map[taskKey]*scheduler.Call_Kill // kills to pass on when it returns (reference row KIL-04)

	// told says that the agent has told of its operations since it connected (reference row 5.2, UpdateSlaveMessage).
	told         bool
	upkeep       *upkeep    // nil unless its machine is in the maintenance schedule
	drainStarted *time.Time // since when it drains, as far as this master knows

	ponged bool
	missed int // pings in a row without an answer

	view *AgentView // as last shown; nil when that is out of date
}

// runs says whether the agent has a task or an executor of a framework.
func (a *agent) runs(framework string) bool {
	if len(a.executors[framework]) > 0 {
		return true
	}
	for k := range a.tasks {
		if k.framework == framework {
			return true
		}
	}
	return false
}

// can says whether the agent announced a capability (reference 1.12).
func (a *agent) can(t mesos.AgentInfo_Capability_Type) bool {
	for _, c := range a.capabilities {
		if c.Type == t {
			return true
		}
	}
	return false
}

// machine is where the agent runs, as maintenance knows it.
func (a *agent) machine() Machine {
	return Machine{Hostname: strings.ToLower(a.info.Hostname), IP: upidIP(a.pid)}
}

// executor is an executor that runs, or was ordered to, on an agent. Command
// tasks have none: the agent makes theirs itself.
type executor struct {
	framework string
	agent     string
	id        string
	info      mesos.ExecutorInfo
	resources offers.Resources
	ordered   bool // and the agent has not yet said that it has it; see ordered.go
}

func (s *State) sortedAgents() []*agent {
	list := make([]*agent, 0, len(s.agents))
	for _, a := range s.agents {
		list = append(list, a)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].id < list[j].id })
	return list
}

func (s *State) sendAgent(a *agent, m messagesMessage) { s.emit(SendAgent{PID: a.pid, Message: m}) }

// addAgent lets an agent in: it is connected and gets work from now on.
func (s *State) addAgent(info mesos.AgentInfo, pid, version string, caps []mesos.AgentInfo_Capability, uuid *mesos.UUID, checkpointed []mesos.Resource) *agent {
	total, err := registeredTotal(&info, checkpointed)
	if err != nil { // validAgent looked at them before
		panic(fmt.Sprintf("core: agent %s: %v", info.ID.Value, err))
	}
	a := &agent{
		id:           info.ID.Value,
		info:         info,
		version:      version,
		capabilities: caps,
		registered:   s.now,
		total:        total,
		used:         map[string]offers.Resources{},
		tasks:        map[taskKey]*task{},
		executors:    map[string]map[string]*executor{},
		offers:       map[string]*offer{},
		operations:   map[string]*operation{},
		killed:       map[taskKey]*scheduler.Call_Kill{},
	}
	s.agents[a.id] = a
	s.agentViews.put(a.id)
	s.forgetRecovered(a.id)
	delete(s.unreachable, a.id)
	s.connectAgent(a, pid, uuid)
	return a
}

// connectAgent links an agent at pid and starts to ping it.
func (s *State) connectAgent(a *agent, pid string, uuid *mesos.UUID) {
	if a.pid != pid {
		delete(s.pids, a.pid)
	}
	a.pid = pid
	s.pids[pid] = a
	if uuid != nil {
		a.resourceVersion = uuid
	}
	a.connected = true
	a.told = !a.can(mesos.AgentInfo_Capability_RESOURCE_PROVIDER)
	a.incarnation++
	a.missed = 0
	if a.upkeep == nil {
		s.planUpkeep(a)
	}
	s.emit(LinkAgent{PID: pid})
	s.enterInLedger(a)
	s.allocateOn(a.id)
	s.touch(nil, a)
}

// startPings begins the health check of an agent (reference row 5.4).
func (s *State) startPings(a *agent) {
	a.ponged = false
	s.sendAgent(a, &messages.PingSlaveMessage{Connected: a.connected})
	s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: pingAgent, id: a.id, gen: a.incarnation})
}

// pingExpired looks whether the last ping was answered, and sends the next one.
func (s *State) pingExpired(id string, gen uint64) {
	a := s.agents[id]
	if a == nil || a.incarnation != gen {
		return
	}
	if a.ponged {
		a.missed = 0
	} else {
		a.missed++
		if a.missed >= s.cfg.MaxAgentPingTimeouts {
			s.note("agent does not answer pings", "agent_id", id, "missed", a.missed)
			s.markUnreachable(a.info, "health check timed out")
			return
		}
	}
	s.startPings(a)
}

// enterInLedger tells the ledger what an agent has and whether it is to be offered.
func (s *State) enterInLedger(a *agent) {
	s.ledger.PutAgent(offers.Agent{
		ID: a.id, Total: a.total, Region: regionOf(&a.info), Active: s.active(a), Info: infoOf(a),
		LacksMultiRole: !a.can(mesos.AgentInfo_Capability_MULTI_ROLE),
		LacksHierarchy: !a.can(mesos.AgentInfo_Capability_HIERARCHICAL_ROLE),
	})
}

// agentExited is the break of a link: the process or its network is gone (reference 1.11).
func (s *State) agentExited(pid string) {
	delete(s.authenticated, pid) // whoever comes next from there proves who it is
	a := s.pids[pid]
	if a == nil || !a.connected {
		return
	}
	s.note("agent disconnected", "agent_id", a.id, "pid", pid)
	a.connected = false
	s.deactivate(a)
	for _, t := range sortedAgentTasks(a) {
		if f := s.frameworks[t.key.framework]; f != nil && !f.info.GetCheckpoint() {
			s.loseTask(f, t, mesos.TASK_LOST, mesos.REASON_AGENT_DISCONNECTED, fmt.Sprintf("Agent %s disconnected", a.info.Hostname), nil)
		}
	}
	for _, framework := range sortedKeys(a.executors) {
		if f := s.frameworks[framework]; f != nil && !f.info.GetCheckpoint() {
			s.removeExecutors(a, framework)
		}
	}
	s.touch(nil, a)
	s.timers.add(timer{at: s.now.Add(s.cfg.AgentReregisterTimeout), kind: reregister, id: a.id, gen: a.incarnation})
}

// reregisterExpired counts an agent as lost that did not reconnect in time.
func (s *State) reregisterExpired(id string, gen uint64) {
	if a := s.agents[id]; a != nil && !a.connected && a.incarnation == gen {
		s.note("agent did not come back within agent_reregister_timeout", "agent_id", id)
		s.markUnreachable(a.info, fmt.Sprintf("agent did not reregister within %s after disconnecting", duration.Format(s.cfg.AgentReregisterTimeout)))
	}
}

// recoveredExpired counts all agents as lost that have not been seen since this master started.
func (s *State) recoveredExpired() {
	for _, id := range sortedKeys(s.recovered) {
		s.markUnreachable(s.recovered[id], fmt.Sprintf("agent did not reregister within %s after master failover", duration.Format(s.cfg.AgentReregisterTimeout)))
	}
}

// markUnreachable asks the registry to count an agent as lost; why is what frameworks
// are told. While another change of the agent is under way it looks again later: that
// change may fail.
func (s *State) markUnreachable(info mesos.AgentInfo, why string) {
	if _, busy := s.busyAgent[info.ID.Value]; busy {
		s.lookAgain(info.ID.Value)
		return
	}
	s.transition(RegistryChange{Kind: UnreachableAgent, Agent: mesos.AgentInfo{ID: info.ID}, At: s.now}, &admission{
		then: func(c RegistryChange, _ *admission) { s.agentUnreachable(c, info, why) },
	})
}

// lookAgain has an agent, which could not be counted as lost now, judged anew in a while.
func (s *State) lookAgain(id string) {
	if a := s.agents[id]; a != nil {
		a.incarnation++ // ends timers that still run, so that there is one chain of pings
		s.startPings(a)
		if !a.connected {
			s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: reregister, id: id, gen: a.incarnation})
		}
	} else if _, waiting := s.recovered[id]; waiting {
		s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: recoveredExpire})
	}
}

// agentUnreachable gives up an agent that the registry counts as lost now (reference 1.11).
func (s *State) agentUnreachable(c RegistryChange, info mesos.AgentInfo, why string) {
	id := c.Agent.ID.Value
	s.forgetRecovered(id)
	s.unreachable[id] = c.At
	a := s.agents[id]
	if a == nil {
		s.counts.RecoveryRemovals++
		s.announceLoss(info.ID)
		return
	}
	s.counts.AgentsUnreachable++
	for _, t := range sortedAgentTasks(a) {
		f := s.frameworks[t.key.framework]
		if f == nil {
			continue
		}
		state := mesos.TASK_LOST
		if f.partitionAware() {
			state = mesos.TASK_UNREACHABLE
		}
		s.loseTask(f, t, state, mesos.REASON_AGENT_REMOVED, why, &c.At)
	}
	s.dropAgentOperations(a, mesos.OPERATION_UNREACHABLE)
	s.dropAgent(a)
	s.note("agent unreachable", "agent_id", id)
}

// unregister removes an agent that says good-bye (reference row 5.2 UnregisterSlaveMessage).
func (s *State) unregister(from string, m *messages.UnregisterSlaveMessage) {
	a := s.agents[m.AgentID.Value]
	if a == nil || a.pid != from {
		s.note("unregistration of an agent that is not registered ignored", "agent_id", m.AgentID.Value, "pid", from)
		return
	}
	s.transition(RegistryChange{Kind: RemoveAgent, Agent: mesos.AgentInfo{ID: a.info.ID}}, &admission{then: func(RegistryChange, *admission) {
		s.removeAgent(a, "the agent unregistered")
	}})
}

// removeAgent forgets an agent that ended in good order: its tasks are lost.
func (s *State) removeAgent(a *agent, message string) {
	if s.agents[a.id] != a {
		return
	}
	s.counts.AgentRemovals++
	for _, t := range sortedAgentTasks(a) {
		if f := s.frameworks[t.key.framework]; f != nil {
			s.loseTask(f, t, mesos.TASK_LOST, mesos.REASON_AGENT_REMOVED, fmt.Sprintf("Agent %s removed: %s", a.info.Hostname, message), nil)
		}
	}
	s.dropAgent(a)
	s.announce(&master.Event{Type: master.Event_AGENT_REMOVED, AgentRemoved: &master.Event_AgentRemoved{AgentID: *a.info.ID}})
	s.note("agent removed", "agent_id", a.id, "reason", message)
}

// dropAgent takes an agent, whose tasks are gone already, out of the tables.
func (s *State) dropAgent(a *agent) {
	for _, o := range sortedOffers(a.offers) {
		s.rescind(o)
	}
	for _, framework := range sortedKeys(a.executors) {
		s.removeExecutors(a, framework)
	}
	s.dropAgentOperations(a, mesos.OPERATION_GONE_BY_OPERATOR)
	delete(s.agents, a.id)
	s.agentViews.remove(a.id)
	if s.pids[a.pid] == a {
		delete(s.pids, a.pid)
	}
	s.rescindInverse(a)
	delete(s.upkeeps, a.id)
	s.ledger.RemoveAgent(a.id)
	delete(s.dirty, a.id)
	s.announceLoss(a.info.ID)
	s.changed()
}

// announceLoss tells all frameworks that an agent is lost (reference row EV-03).
func (s *State) announceLoss(id *mesos.AgentID) {
	for _, f := range s.sortedFrameworks() {
		if f.connected {
			s.send(f, &scheduler.Event{Type: scheduler.Event_FAILURE, Failure: &scheduler.Event_Failure{AgentID: id}})
		}
	}
}

// pruneRegistry forgets agents that have been unreachable or gone for too long (reference 6.2).
func (s *State) pruneRegistry() {
	s.timers.add(timer{at: s.now.Add(s.cfg.RegistryGCInterval), kind: registryGC})
	if s.pruning > 0 {
		return // the registry has not forgotten the last ones yet
	}
	var old []string
	for _, table := range []map[string]time.Time{s.unreachable, s.gone} {
		ids := sortedKeys(table)
		sort.SliceStable(ids, func(i, j int) bool { return table[ids[i]].Before(table[ids[j]]) })
		for i, id := range ids {
			if len(ids)-i > s.cfg.RegistryMaxCount || s.now.Sub(table[id]) > s.cfg.RegistryMaxAge {
				old = append(old, id)
			}
		}
	}
	for len(old) > 0 {
		n := min(len(old), maxPrune)
		s.pruning++
		s.write(RegistryChange{Kind: PruneAgents, IDs: old[:n]}, &admission{then: s.pruned, failed: func(error) { s.pruning-- }})
		old = old[n:]
	}
}

// maxPrune is how many agents are forgotten by one change of the registry.
const maxPrune = 50

func (s *State) pruned(c RegistryChange, _ *admission) {
	s.pruning--
	for _, id := range c.IDs {
		delete(s.unreachable, id)
		delete(s.gone, id)
	}
}

// infoOf is a copy of what an agent says of itself, which later changes of the agent leave alone.
func infoOf(a *agent) *mesos.AgentInfo {
	info := a.info
	return &info
}

func regionOf(info *mesos.AgentInfo) string {
	return info.GetDomain().GetFaultDomain().GetRegion().Name
}

// validVersion checks the version gate: at least 1.0.0 (reference row 0.6).
func validVersion(version string) error {
	major, _, _ := strings.Cut(version, ".")
	if n, err := strconv.Atoi(major); err != nil || n < 1 {
		return fmt.Errorf("agent version %q is not 1.0.0 or newer", version)
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
