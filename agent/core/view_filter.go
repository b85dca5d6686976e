package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/security"
)

// Filtered is the view as the one sees it whom the approver speaks for: without frameworks, executors and tasks of users
// that are not theirs to see (reference row OPR-09). Whoever may see everything gets the view itself.
func (v *View) Filtered(a security.Approver) *View {
	if a.Unrestricted(security.ViewFramework, security.ViewExecutor, security.ViewTask) {
		return v
	}
	seen := *v
	seen.Frameworks, seen.Completed = seenFrameworks(v.Frameworks, a), seenFrameworks(v.Completed, a)
	return &seen
}

func seenFrameworks(list []*FrameworkView, a security.Approver) []*FrameworkView {
	var seen []*FrameworkView
	for _, f := range list {
		if a.Approved(security.ViewFramework, security.Named(f.Info.User)) {
			seen = append(seen, &FrameworkView{Info: f.Info, Executors: seenExecutors(f.Executors, f, a), Completed: seenExecutors(f.Completed, f, a)})
		}
	}
	return seen
}

func seenExecutors(list []*ExecutorView, f *FrameworkView, a security.Approver) []*ExecutorView {
	var seen []*ExecutorView
	for _, e := range list {
		if !a.Approved(security.ViewExecutor, security.Named(ExecutorUser(&e.Info, &f.Info))) {
			continue
		}
		x := *e
		for _, tasks := range []*[]*TaskView{&x.Queued, &x.Launched, &x.Terminated, &x.Completed} {
			*tasks = seenTasks(*tasks, f, a)
		}
		seen = append(seen, &x)
	}
	return seen
}

func seenTasks(list []*TaskView, f *FrameworkView, a security.Approver) []*TaskView {
	var seen []*TaskView
	for _, t := range list {
		user := f.Info.User
		if t.Task.User != nil {
			user = *t.Task.User
		}
		if a.Approved(security.ViewTask, security.Named(user)) {
			seen = append(seen, t)
		}
	}
	return seen
}

// ExecutorUser is the user that an executor runs as: its own, or the framework's.
func ExecutorUser(x *mesos.ExecutorInfo, f *mesos.FrameworkInfo) string {
	if x.Command != nil && x.Command.User != nil {
		return *x.Command.User
	}
	return f.User
}
