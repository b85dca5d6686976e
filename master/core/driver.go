package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// This file is what differs for a framework whose scheduler speaks the protocol before HTTP, through libmesos's driver
// or one like it (reference sections 5.2 and 5.6). Its stream is the driver's UPID; package master turns its messages
// into calls, and events into messages.

// pid is the UPID of the framework's driver, which agents send its executors' messages to; empty for schedulers over HTTP.
func (f *framework) pid() string {
	if !f.driver {
		return ""
	}
	return string(f.stream)
}

// answeredDriver deals with a driver's subscription under id, of the framework f if that is known, as far as it is not
// like one over HTTP; it reports whether that was all.
func (s *State) answeredDriver(e SchedulerSubscribed, id string, f *framework) bool {
	if !e.Driver {
		return false
	}
	known := s.streams[e.Stream]
	switch {
	case known != nil && id == "": // the first answer was lost
		s.welcome(known)
	case known != nil && known != f:
		s.note("subscription of a driver that has another framework ignored", "framework_id", id, "pid", string(e.Stream), "has", known.id)
	case f != nil && !f.recovered && f.stream != e.Stream && !e.Force:
		s.emit(SendEvent{Stream: e.Stream, Event: errorEvent("Framework failed over")})
		s.emit(CloseStream{Stream: e.Stream})
		s.note("subscription of a driver refused: the framework has failed over to another", "framework_id", id, "pid", string(e.Stream))
	default:
		return false
	}
	return true
}

// mayDrive says why a driver may not subscribe as it does, or nil. Schedulers over HTTP were asked at the door.
func (s *State) mayDrive(e SchedulerSubscribed, info *mesos.FrameworkInfo) error {
	switch {
	case !e.Driver:
		return nil
	case s.cfg.AuthenticateFrameworks && e.Principal.Anonymous():
		return fmt.Errorf("Framework at %s is not authenticated", e.Stream) //nolint:staticcheck // Mesos's text
	case !e.Principal.Anonymous() && info.GetPrincipal() != e.Principal.Name:
		return fmt.Errorf("Framework principal '%s' does not match the authenticated principal '%s'", info.GetPrincipal(), e.Principal.Name) //nolint:staticcheck // like Mesos's
	}
	return nil
}

// driverAborted stops offers to a framework whose driver was aborted; its tasks run on.
func (s *State) driverAborted(e DriverAborted) {
	f := s.streams[e.Stream]
	if f == nil || f.id != e.Framework {
		return
	}
	s.note("framework deactivated by its driver", "framework_id", f.id, "name", f.info.Name)
	f.active = false
	s.rescindOffers(f)
	s.ledger.DeactivateFramework(f.id)
	s.touch(f, nil)
}

// rescindOffers voids all offers to a framework that is there to hear of it.
func (s *State) rescindOffers(f *framework) {
	for _, o := range sortedOffers(f.offers) {
		s.rescind(o)
	}
}

// agentsFor lists the UPIDs that go with an event to a driver.
func (s *State) agentsFor(f *framework, e *scheduler.Event) []string {
	if !f.driver {
		return nil
	}
	var pids []string
	switch e.Type {
	case scheduler.Event_OFFERS:
		for i := range e.Offers.Offers {
			pids = append(pids, s.pidOf(e.Offers.Offers[i].AgentID.Value))
		}
	case scheduler.Event_UPDATE:
		pids = append(pids, s.pidOf(e.Update.Status.GetAgentID().GetValue()))
	default:
	}
	return pids
}

// pidOf is the UPID of an agent, or "" if it is not registered.
func (s *State) pidOf(agent string) string {
	if a := s.agents[agent]; a != nil {
		return a.pid
	}
	return ""
}
