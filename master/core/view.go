package core

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security"
)

// View is a picture of the state at one moment. It is never changed once made, so
// any number of readers may hold it while the master goes on.
type View struct {
	Version     uint64
	At          time.Time
	Master      mesos.MasterInfo
	Frameworks  []*FrameworkView // by id
	Completed   []*FrameworkView // oldest first
	Agents      []*AgentView     // by id
	Recovered   []mesos.AgentInfo
	Unreachable int // agents
	Gone        int // agents
	Weights     []mesos.WeightInfo
	Quotas      []quota.QuotaConfig // by role; one of a role set back to none is empty
	Schedule    []maintenance.Window
	Maintenance maintenance.ClusterStatus
	Operations  []*mesos.Operation // not over yet, by agent
	Counters    Counters
	approver    security.Approver // whom it is for; see Filtered
}

// FrameworkView is one framework in a View.
type FrameworkView struct {
	Info         mesos.FrameworkInfo
	Active       bool
	Connected    bool
	Recovered    bool
	Registered   time.Time
	Reregistered time.Time                     // zero if it never came back
	Unregistered time.Time                     // zero while it lives
	Suppressed   []string                      // roles
	Constraints  *constraints.OfferConstraints // nil if it has none
	Tasks        []*mesos.Task                 // in the order in which they came
	Unreachable  []*mesos.Task
	Completed    []*mesos.Task
	Executors    []ExecutorView
	Offers       []*mesos.Offer
	Inverse      []mesos.InverseOffer
	Used         offers.Resources // by tasks and executors; ranges of several agents are put together
	Offered      offers.Resources
	Counters     FrameworkCounters
}

// ID is the framework's id.
func (f *FrameworkView) ID() string { return f.Info.GetID().GetValue() }

// Roles are the roles the framework is subscribed with.
func (f *FrameworkView) Roles() []string { return rolesOf(&f.Info) }

// ExecutorView is one executor in a View.
type ExecutorView struct {
	Info    mesos.ExecutorInfo
	AgentID string
}

// AgentView is one registered agent in a View.
type AgentView struct {
	Info         mesos.AgentInfo
	PID          string // UPID
	Version      string
	Capabilities []mesos.AgentInfo_Capability
	Connected    bool
	Active       bool // its resources may be offered
	Deactivated  bool // by an operator, also by draining
	Drain        *mesos.DrainInfo
	DrainStarted *time.Time // as far as this master knows
	Registered   time.Time
	Reregistered time.Time // zero if it never came back
	Total        offers.Resources
	Used         offers.Resources
	Offered      offers.Resources
}

// ID is the agent's id.
func (a *AgentView) ID() string { return a.Info.GetID().GetValue() }

// View takes a picture of the state. It costs little for what has not changed
// since the last one.
func (s *State) View() *View {
	v := &View{
		Version:     s.version,
		At:          s.now,
		Master:      s.cfg.Master,
		Completed:   s.completed[:len(s.completed):len(s.completed)],
		Unreachable: len(s.unreachable),
		Gone:        len(s.gone),
		Weights:     s.weightInfos(),
		Quotas:      s.quotaList,
		Schedule:    s.reg.Schedule,
		Maintenance: s.clusterStatus(),
		Operations:  s.operationsView(),
		Counters:    s.counts.clone(),
	}
	for _, f := range s.sortedFrameworks() {
		v.Frameworks = append(v.Frameworks, s.frameworkView(f))
	}
	for _, a := range s.sortedAgents() {
		v.Agents = append(v.Agents, s.agentView(a))
	}
	for _, id := range sortedKeys(s.recovered) {
		v.Recovered = append(v.Recovered, s.recovered[id])
	}
	return v
}

// Explain says why a framework is offered nothing of which agent (design D12).
func (s *State) Explain(framework string) ([]offers.Reason, bool) {
	if s.frameworks[framework] == nil {
		return nil, false
	}
	return s.ledger.Explain(framework), true
}

// Standings are the roles as the allocator sees them, and how many refusals it remembers of each.
func (s *State) Standings() ([]offers.RoleStanding, map[string]int) {
	return s.ledger.Roles(), s.ledger.Refusals()
}

// touch notes that a framework and an agent, either of which may be nil, look different now.
func (s *State) touch(f *framework, a *agent) {
	if f != nil {
		f.view = nil
	}
	if a != nil {
		a.view = nil
	}
	s.changed()
}

func (s *State) sortedFrameworks() []*framework {
	list := make([]*framework, 0, len(s.frameworks))
	for _, id := range sortedKeys(s.frameworks) {
		list = append(list, s.frameworks[id])
	}
	return list
}

func (s *State) frameworkView(f *framework) *FrameworkView {
	if f.view != nil {
		return f.view
	}
	v := &FrameworkView{
		Info: f.info, Active: f.active, Connected: f.connected, Recovered: f.recovered,
		Registered: f.registered, Reregistered: f.reregistered,
		Suppressed:  sortedKeys(f.suppressed),
		Constraints: f.constraints,
		Unreachable: f.unreachable.all(), Completed: f.completed.all(),
		Counters: f.counts.clone(),
	}
	for _, id := range sortedKeys(f.on) {
		v.Used = v.Used.Plus(f.on[id].used[f.id])
	}
	v.Tasks = f.inOrder.infos()
	for _, agent := range sortedKeys(f.executors) {
		for _, id := range sortedKeys(f.executors[agent]) {
			v.Executors = append(v.Executors, ExecutorView{Info: f.executors[agent][id].info, AgentID: agent})
		}
	}
	for _, o := range sortedOffers(f.offers) {
		v.Offers = append(v.Offers, o.shown)
		v.Offered = v.Offered.Plus(o.resources)
	}
	if len(s.inverse) == 0 {
		f.view = v
		return v
	}
	for _, id := range sortedKeys(s.upkeeps) {
		if o := s.agents[id].upkeep.asked[f.id]; o != nil {
			v.Inverse = append(v.Inverse, o.message)
		}
	}
	f.view = v
	return v
}

func (s *State) agentView(a *agent) *AgentView {
	if a.view != nil {
		return a.view
	}
	v := &AgentView{
		Info: a.info, PID: a.pid, Version: a.version, Capabilities: a.capabilities, Connected: a.connected,
		Active: s.active(a), Deactivated: s.reg.Deactivated[a.id], DrainStarted: a.drainStarted,
		Registered: a.registered, Reregistered: a.reregistered, Total: a.total, Offered: a.offered,
	}
	if info, ok := s.reg.Drains[a.id]; ok {
		v.Drain = &info
	}
	for _, framework := range sortedKeys(a.used) {
		v.Used = v.Used.Plus(a.used[framework])
	}
	a.view = v
	return v
}
