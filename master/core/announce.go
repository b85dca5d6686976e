package core

import (
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security"
)

// Announce orders an event to be sent to all operators who subscribed and may see it. Framework and Task say whose it is,
// where it is somebody's.
type Announce struct {
	Event     *master.Event
	Framework *mesos.FrameworkInfo
	Task      *mesos.Task
}

func (Announce) effect() {}

// announce tells the operators who listen.
func (s *State) announce(e *master.Event) { s.emit(Announce{Event: e}) }

// announceTask tells them of a task. Its framework may be gone.
func (s *State) announceTask(e *master.Event, t *task) { s.announceTaskOf(e, t.key.framework, t.info) }

// announceTaskOf tells them of a task that may be in no table any more.
func (s *State) announceTaskOf(e *master.Event, framework string, info *mesos.Task) {
	a := Announce{Event: e, Task: info}
	if f := s.frameworks[framework]; f != nil {
		info := f.info
		a.Framework = &info
	}
	s.emit(a)
}

// Seen is the event as one sees it whom the approver speaks for: itself, less of it, or nil (reference row EVT-07).
func (e Announce) Seen(a security.Approver) *master.Event {
	if SeesAll(a) {
		return e.Event
	}
	visible := func(role string) bool { return a.Approved(security.ViewRole, security.Named(role)) }
	out := *e.Event
	switch out.Type {
	case master.Event_TASK_ADDED, master.Event_TASK_UPDATED:
		if e.Framework == nil || !SeesFramework(a, e.Framework) || !SeesTask(a, e.Task, e.Framework) {
			return nil
		}
	case master.Event_FRAMEWORK_ADDED:
		added := *out.FrameworkAdded
		added.Framework = seenFramework(added.Framework, visible)
		out.FrameworkAdded = &added
		return ifSees(a, &added.Framework.FrameworkInfo, &out)
	case master.Event_FRAMEWORK_UPDATED:
		updated := *out.FrameworkUpdated
		updated.Framework = seenFramework(updated.Framework, visible)
		out.FrameworkUpdated = &updated
		return ifSees(a, &updated.Framework.FrameworkInfo, &out)
	case master.Event_FRAMEWORK_REMOVED:
		return ifSees(a, &out.FrameworkRemoved.FrameworkInfo, &out)
	case master.Event_AGENT_ADDED:
		added := *out.AgentAdded
		agent := &added.Agent
		for _, list := range []*[]mesos.Resource{&agent.AgentInfo.Resources, &agent.TotalResources, &agent.AllocatedResources, &agent.OfferedResources} {
			*list = seenResources(*list, visible)
		}
		out.AgentAdded = &added
	}
	return &out
}

func ifSees(a security.Approver, f *mesos.FrameworkInfo, e *master.Event) *master.Event {
	if !SeesFramework(a, f) {
		return nil
	}
	return e
}

func seenFramework(f master.Response_GetFrameworks_Framework, visible func(string) bool) master.Response_GetFrameworks_Framework {
	f.AllocatedResources, f.OfferedResources = seenResources(f.AllocatedResources, visible), seenResources(f.OfferedResources, visible)
	return f
}

// seenResources leaves out what is reserved for roles that are not visible, or allocated to them.
func seenResources(list []mesos.Resource, visible func(string) bool) []mesos.Resource {
	var seen []mesos.Resource
	for i := range list {
		r, err := offers.Parse(list[i : i+1])
		if err == nil && r.VisibleTo(visible).Equal(r) {
			seen = append(seen, list[i])
		}
	}
	return seen
}
