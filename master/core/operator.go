package core

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// AgentMessage is an agent as the operator API shows it (reference row OP1-09).
func AgentMessage(a *AgentView) *master.Response_GetAgents_Agent {
	deactivated := a.Deactivated
	m := &master.Response_GetAgents_Agent{
		AgentInfo: a.Info, Active: a.Active, Deactivated: &deactivated, Version: a.Version, PID: &a.PID,
		RegisteredTime:     timeInfo(a.Registered),
		TotalResources:     ForOperators(a.Total),
		AllocatedResources: ForOperators(a.Used),
		OfferedResources:   ForOperators(a.Offered),
		Capabilities:       a.Capabilities,
	}
	if !a.Reregistered.IsZero() {
		m.ReregisteredTime = timeInfo(a.Reregistered)
	}
	m.DrainInfo = a.Drain
	if a.DrainStarted != nil {
		m.EstimatedDrainStartTime = timeInfo(*a.DrainStarted)
	}
	return m
}

// frameworkMessage is a framework as the events for operators show it (reference row EVT-04).
func (s *State) frameworkMessage(f *framework) master.Response_GetFrameworks_Framework {
	m := describe(s.frameworkView(f))
	m.UnregisteredTime = &mesos.TimeInfo{}
	return m
}

// FrameworkMessage is a framework as the operator API shows it (reference row OP1-10).
func FrameworkMessage(f *FrameworkView) master.Response_GetFrameworks_Framework {
	m := describe(f)
	m.AllocatedResources, m.OfferedResources = ForOperators(f.Used), ForOperators(f.Offered)
	if !f.Unregistered.IsZero() {
		m.UnregisteredTime = timeInfo(f.Unregistered)
	}
	for _, o := range f.Offers {
		m.Offers = append(m.Offers, *o)
	}
	m.InverseOffers = f.Inverse
	return m
}

func describe(f *FrameworkView) master.Response_GetFrameworks_Framework {
	m := master.Response_GetFrameworks_Framework{
		FrameworkInfo: f.Info, Active: f.Active, Connected: f.Connected, Recovered: f.Recovered,
		RegisteredTime: timeInfo(f.Registered), ReregisteredTime: timeInfo(f.Registered),
	}
	if !f.Reregistered.IsZero() {
		m.ReregisteredTime = timeInfo(f.Reregistered)
	}
	return m
}

// ForOperators lists resources in the form that readers of both the present and
// the older format of reservations understand (Mesos: the endpoints' format).
func ForOperators(r offers.Resources) []mesos.Resource {
	list := r.Mesos()
	for i := range list {
		operations.ForReaders(&list[i])
	}
	return list
}

func timeInfo(t time.Time) *mesos.TimeInfo { return &mesos.TimeInfo{Nanoseconds: t.UnixNano()} }
