package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"

	"github.com/tombolo-project/tombolo/offers/operations"
	"github.com/tombolo-project/tombolo/security"
)

// viewActions are those that decide what a View shows.
var viewActions = []security.Action{
	security.ViewFramework, security.ViewTask, security.ViewExecutor, security.ViewRole, security.GetQuota, security.ViewFlags,
	security.GetMaintenanceSchedule, security.GetMaintenanceStatus,
}

// Filtered is the view as the one sees it whom the approver speaks for: without frameworks, tasks and executors of users,
// and without roles, that are not theirs to see (reference rows OPR-09, EVT-07). Whoever may see everything gets the view
// itself. Renderers need not know; what they take from elsewhere they ask the Sees methods about.
func (v *View) Filtered(a security.Approver) *View {
	if SeesAll(a) {
		return v
	}
	f := *v
	f.approver = a
	f.Frameworks = filteredFrameworks(v.Frameworks, a)
	f.Completed = filteredFrameworks(v.Completed, a)
	f.Agents, f.Recovered, f.Weights = nil, nil, nil
	for _, agent := range v.Agents {
		seen := *agent
		seen.Info.Resources = seenResources(agent.Info.Resources, f.SeesRole)
		seen.Total, seen.Used, seen.Offered = agent.Total.VisibleTo(f.SeesRole), agent.Used.VisibleTo(f.SeesRole), agent.Offered.VisibleTo(f.SeesRole)
		f.Agents = append(f.Agents, &seen)
	}
	for _, info := range v.Recovered {
		info.Resources = seenResources(info.Resources, f.SeesRole)
		f.Recovered = append(f.Recovered, info)
	}
	for _, w := range v.Weights {
		if f.SeesRole(w.GetRole()) {
			f.Weights = append(f.Weights, w)
		}
	}
	if !f.approver.Approved(security.GetMaintenanceSchedule, security.Object{}) {
		f.Schedule = nil
	}
	if !f.approver.Approved(security.GetMaintenanceStatus, security.Object{}) {
		f.Maintenance = maintenance.ClusterStatus{}
	}
	f.Quotas, f.Operations = nil, nil
	for _, q := range v.Quotas {
		if f.SeesQuota(q.Role) {
			f.Quotas = append(f.Quotas, q)
		}
	}
	for _, o := range v.Operations {
		if f.seesOperation(o) {
			f.Operations = append(f.Operations, o)
		}
	}
	return &f
}

// seesOperation says whether the roles of all that an operation works on may be known.
func (v *View) seesOperation(o *mesos.Operation) bool {
	list, err := operations.Conversions(&o.Info)
	if err != nil {
		return false
	}
	for _, c := range list {
		if !c.Consumed.VisibleTo(v.SeesRole).Equal(c.Consumed) {
			return false
		}
	}
	return true
}

// SeesAll says whether the one whom the approver speaks for sees a View as it is.
func SeesAll(a security.Approver) bool { return a.Unrestricted(viewActions...) }

// SeesRole says whether the view is for one who may know of a role.
func (v *View) SeesRole(role string) bool {
	return v.approver.Approved(security.ViewRole, security.Named(role))
}

// SeesQuota says whether the view is for one who may know of a role's quota.
func (v *View) SeesQuota(role string) bool {
	return v.approver.Approved(security.GetQuota, security.Named(role))
}

// SeesFlags says whether the view is for one who may know how the master was started.
func (v *View) SeesFlags() bool { return v.approver.Approved(security.ViewFlags, security.Object{}) }

func filteredFrameworks(list []*FrameworkView, a security.Approver) []*FrameworkView {
	var seen []*FrameworkView
	for _, f := range list {
		if !SeesFramework(a, &f.Info) {
			continue
		}
		role := func(role string) bool { return a.Approved(security.ViewRole, security.Named(role)) }
		g := *f
		g.Tasks, g.Unreachable, g.Completed = seenTasks(f.Tasks, f, a), seenTasks(f.Unreachable, f, a), seenTasks(f.Completed, f, a)
		g.Used, g.Offered = f.Used.VisibleTo(role), f.Offered.VisibleTo(role)
		g.Executors = nil
		for _, x := range f.Executors {
			if SeesExecutor(a, &x.Info, &f.Info) {
				g.Executors = append(g.Executors, x)
			}
		}
		seen = append(seen, &g)
	}
	return seen
}

func seenTasks(list []*mesos.Task, f *FrameworkView, a security.Approver) []*mesos.Task {
	var seen []*mesos.Task
	for _, t := range list {
		if SeesTask(a, t, &f.Info) {
			seen = append(seen, t)
		}
	}
	return seen
}

// SeesFramework says whether the approver's principal may know of a framework.
func SeesFramework(a security.Approver, f *mesos.FrameworkInfo) bool {
	return a.Approved(security.ViewFramework, security.Named(f.User))
}

// SeesTask says whether the approver's principal may know of a task of a framework. A task without a user of its own
// runs as the framework's.
func SeesTask(a security.Approver, t *mesos.Task, f *mesos.FrameworkInfo) bool {
	user := f.User
	if t.User != nil {
		user = *t.User
	}
	return a.Approved(security.ViewTask, security.Named(user))
}

// SeesExecutor says whether the approver's principal may know of an executor of a framework.
func SeesExecutor(a security.Approver, x *mesos.ExecutorInfo, f *mesos.FrameworkInfo) bool {
	user := f.User
	if x.Command != nil && x.Command.User != nil {
		user = *x.Command.User
	}
	return a.Approved(security.ViewExecutor, security.Named(user))
}
