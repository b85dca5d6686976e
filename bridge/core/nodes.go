package core

import (
	"reflect"
	"sort"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// node is one Kubernetes node and the agent behind it.
type node struct {
	name     string
	agentID  string
	agent    virtualnode.Agent
	endpoint string
	system   corev1.NodeSystemInfo // as an executor there has told, last
	listed   bool                  // the agent has been in the master's list since the start: agent is filled
	present  bool                  // it is in the master's newest list
	recovers bool                  // the master, started anew, waits for it
	health   virtualnode.Health
	lost     time.Time // since when it is not connected; zero: it is
	empty    time.Time // since when it is gone without a pod left
	runs     bool      // our executor runs there, or has been asked for
	pods     map[types.UID]*pod
	shown    *ShowNode
}

func (s *State) nodesKnown(e NodesKnown) {
	for _, name := range e.Foreign {
		s.foreign[name] = true
	}
	for _, known := range e.Ours {
		n := &node{name: known.Name, agentID: known.AgentID, endpoint: known.Endpoint, system: known.System, pods: map[types.UID]*pod{}}
		s.nodes[n.name] = n
		s.agents[n.agentID] = n
	}
}

// agentsListed brings nodes in line with the master's list of agents.
func (s *State) agentsListed(answer *master.Response_GetAgents) {
	agents := make([]virtualnode.Agent, 0, len(answer.Agents))
	for i := range answer.Agents {
		a := &answer.Agents[i]
		agents = append(agents, virtualnode.AgentFrom(a, s.uses(a.AgentInfo.GetID().GetValue())))
	}
	sort.Slice(agents, func(i, j int) bool { return agents[i].ID < agents[j].ID })
	known := map[string]string{}
	for id, n := range s.agents {
		known[id] = n.name
	}
	names := virtualnode.NodeNames(agents, known, s.foreign, s.config.NodePrefix)
	for _, n := range s.nodes {
		n.present, n.recovers = false, false
	}
	for _, a := range agents {
		s.agentListed(names[a.ID], a)
	}
	for i := range answer.RecoveredAgents {
		if n := s.agents[answer.RecoveredAgents[i].GetID().GetValue()]; n != nil {
			n.recovers = true
		}
	}
	for _, n := range s.nodes {
		s.tickNode(n)
	}
	s.plan = true
}

func (s *State) agentListed(name string, a virtualnode.Agent) {
	n := s.nodes[name]
	if n == nil {
		n = &node{name: name, pods: map[types.UID]*pod{}}
		s.nodes[name] = n
	}
	if n.agentID != a.ID { // an agent installed anew on the same host
		delete(s.agents, n.agentID)
		n.agentID, n.endpoint, n.runs = a.ID, "", false
		n.system = corev1.NodeSystemInfo{}
		s.agents[a.ID] = n
	}
	n.agent, n.listed, n.present = a, true, true
	s.dirty[name] = true
}

// tickNode follows an agent's health and lets the node of an agent go that will not come back.
func (s *State) tickNode(n *node) {
	if !n.listed && !n.recovers { // known from Kubernetes only, and in no list yet
		s.tickGone(n)
		return
	}
	health := virtualnode.Healthy
	switch {
	case n.present && n.agent.Connected:
		n.lost = time.Time{}
	case n.present || n.recovers:
		if n.lost.IsZero() {
			n.lost = s.now
		}
		if s.now.Sub(n.lost) >= patience {
			health = virtualnode.Disconnected
		}
	default:
		health = virtualnode.Gone
	}
	if health != n.health {
		n.health = health
		s.dirty[n.name] = true
		s.plan = true
	}
	s.tickGone(n)
}

func (s *State) tickGone(n *node) {
	if n.present || n.recovers || len(n.pods) > 0 {
		n.empty = time.Time{}
		return
	}
	if n.empty.IsZero() {
		n.empty = s.now
		return
	}
	if s.now.Sub(n.empty) >= forgetNode {
		delete(s.nodes, n.name)
		delete(s.agents, n.agentID)
		delete(s.dirty, n.name)
		s.do(RemoveNode{Name: n.name})
	}
}

// nameTaken gives up a name that a node has which is not ours; the next list gives the agent another one.
func (s *State) nameTaken(name string) {
	s.foreign[name] = true
	if n := s.nodes[name]; n != nil {
		delete(s.nodes, name)
		delete(s.agents, n.agentID)
		delete(s.dirty, name)
	}
}

// executorSaid takes in a message of an executor.
func (s *State) executorSaid(e ExecutorSaid) {
	s.executorAt(e.AgentID, e.Endpoint)
	if n := s.agents[e.AgentID]; n != nil && e.System != nil && n.system != *e.System {
		n.system = *e.System
		s.dirty[n.name] = true
	}
	for _, happened := range e.Events {
		uid, attempt, ok := virtualnode.PodOfTask(happened.TaskID)
		p := s.pods[types.UID(uid)]
		if !ok || p == nil || p.pod == nil || attempt != p.attempt {
			continue // of a pod that nobody looks at any more
		}
		s.do(Tell{
			Pod: p.pod, Node: p.node, FieldPath: happened.FieldPath,
			Warning: happened.Warning, Reason: happened.Reason, Message: happened.Message,
		})
	}
}

// executorAt keeps where an agent's executor listens; after a change every pod there is handed over again.
func (s *State) executorAt(agentID, endpoint string) {
	n := s.agents[agentID]
	if n == nil {
		return
	}
	n.runs = true
	if n.endpoint == endpoint {
		return
	}
	n.endpoint = endpoint
	s.dirty[n.name] = true
	for _, p := range n.pods {
		if p.agent == agentID && p.stage == launched {
			p.delivered = false
			s.deliver(p)
		}
	}
}

func (s *State) executorEnded(e ExecutorEnded) {
	n := s.agents[e.AgentID]
	if n == nil || e.ExecutorID != s.executor.ExecutorID.Value {
		return // not ours, or the whole agent: it may come back with its executor, and the list of agents tells of its health
	}
	n.runs, n.endpoint = false, ""
	s.dirty[n.name] = true
	s.plan = true
}

// uses is what this framework uses on an agent, in Mesos's account.
func (s *State) uses(agentID string) virtualnode.Amounts {
	var sum virtualnode.Amounts
	n := s.agents[agentID]
	if n == nil {
		return sum
	}
	for _, p := range n.pods {
		if p.stage == launched && p.agent == agentID && p.pod != nil {
			sum = sum.Plus(p.needs())
		}
	}
	if n.runs {
		sum = sum.Plus(s.config.Executor.Resources)
	}
	return sum
}

// touch marks what a pod's change may change.
func (s *State) touch(p *pod) {
	if s.nodes[p.node] != nil {
		s.dirty[p.node] = true
	}
}

// showNodes writes every node anew whose picture has changed.
func (s *State) showNodes() {
	for name := range s.dirty {
		delete(s.dirty, name)
		n := s.nodes[name]
		if n == nil || !n.listed {
			continue
		}
		show := ShowNode{View: s.view(n), Renew: n.health == virtualnode.Healthy}
		if n.shown != nil && reflect.DeepEqual(*n.shown, show) {
			continue
		}
		n.shown = &show
		s.do(show)
	}
}

func (s *State) view(n *node) virtualnode.View {
	view := virtualnode.View{
		Name: n.name, Agent: n.agent, Health: n.health, Endpoint: n.endpoint, System: n.system, Taint: s.config.Taint,
		Bridge: s.config.Bridge, MaxPods: s.config.MaxPods, Architecture: s.config.Architecture,
	}
	for _, p := range n.pods {
		if p.stage != launched || p.pod == nil {
			continue
		}
		view.Held = view.Held.Plus(p.requests)
		view.Ours = view.Ours.Plus(p.needs())
		view.Pods++
	}
	if n.runs {
		view.Ours = view.Ours.Plus(s.config.Executor.Resources)
	} else {
		view.Overhead = s.config.Executor.Resources
	}
	return view
}

// usable says whether tasks may be sent to the node's agent now.
func (n *node) usable() bool {
	return n.present && n.agent.Connected && !n.agent.Leaving
}

func (s *State) offered(offers []mesos.Offer) {
	for i := range offers {
		o := &offers[i]
		runs := false
		for _, id := range o.ExecutorIDs {
			runs = runs || id.Value == s.executor.ExecutorID.Value
		}
		s.offers[o.ID.Value] = &offer{
			Offer:    virtualnode.Offer{ID: o.ID.Value, Agent: o.AgentID.Value, Resources: o.Resources},
			executor: runs,
		}
		if n := s.agents[o.AgentID.Value]; n != nil && runs {
			n.runs = true
		}
	}
	s.plan = true
}

func (s *State) dropOffer(id string) {
	if _, ok := s.offers[id]; ok {
		delete(s.offers, id)
		s.plan = true
	}
}

func (s *State) voidOffers() {
	clear(s.offers)
}
