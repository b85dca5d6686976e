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

// View takes a picture of the state. For what has not changed since the last one it
// costs a copy of pointers.
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
	v.Frameworks = s.frameworkViews.picture(func(id string) *FrameworkView { return s.frameworkView(s.frameworks[id]) })
	v.Agents = s.agentViews.picture(func(id string) *AgentView { return s.agentView(s.agents[id]) })
	if s.waiting == nil && len(s.recovered) > 0 {
		for _, id := range sortedKeys(s.recovered) {
			s.waiting = append(s.waiting, s.recovered[id])
		}
	}
	v.Recovered = s.waiting
	return v
}

// Explain says why a framework is offered nothing of which agent (design D12).
func (s *State) Explain(framework string) ([]offers.Reason, bool) {
	if s.frameworks[framework] == nil {
		return nil, false
	}
	return s.ledger.Explain(framework), true
}

// Registry is a copy of what outlives the master, as far as it is durable.
func (s *State) Registry() *Registry { return s.reg.Clone() }

// Standings are the roles as the allocator sees them, and how many refusals it remembers of each.
func (s *State) Standings() ([]offers.RoleStanding, map[string]int) {
	return s.ledger.Roles(), s.ledger.Refusals()
}

// touch notes that a framework and an agent, either of which may be nil, look different now.
func (s *State) touch(f *framework, a *agent) {
	if f != nil && f.view != nil {
		f.view = nil
		s.frameworkViews.changed(f.id)
	}
	if a != nil && a.view != nil {
		a.view = nil
		s.agentViews.changed(a.id)
	}
	s.changed()
}

// forgetRecovered notes that an agent of the registry is back or lost.
func (s *State) forgetRecovered(id string) {
	if _, known := s.recovered[id]; known {
		delete(s.recovered, id)
		s.waiting = nil
	}
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
	used := make([]offers.Resources, 0, len(f.on))
	for _, a := range f.on { // the order makes no difference to the sum
		used = append(used, a.used[f.id])
	}
	v.Used = offers.Sum(used)
	v.Tasks = f.inOrder.picture()
	v.Executors = f.executorViews()
	offered := make([]offers.Resources, 0, f.offered.live)
	v.Offers = make([]*mesos.Offer, 0, f.offered.live)
	for _, o := range f.offered.items {
		if o != nil {
			v.Offers = append(v.Offers, o.shown)
			offered = append(offered, o.resources)
		}
	}
	v.Offered = offers.Sum(offered)
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

// executorViews are the framework's executors by agent and id. The list is made anew only when one comes or goes.
func (f *framework) executorViews() []ExecutorView {
	if f.shown == nil {
		for _, agent := range sortedKeys(f.executors) {
			for _, id := range sortedKeys(f.executors[agent]) {
				f.shown = append(f.shown, ExecutorView{Info: f.executors[agent][id].info, AgentID: agent})
			}
		}
	}
	return f.shown
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
