package core

import (
	"math"
	"time"
)

// What Mesos forgets with each master (reference row 0.1 and the end of 6.2): which
// frameworks there are and since when they are away. This master keeps it in the
// registry, so that a framework that never comes back after a failover is removed
// and what it runs ends, instead of running for ever with nobody to account for it.

// maxFailoverTimeout bounds what a framework, or an agent in its name, may ask for.
const maxFailoverTimeout = 100 * 365 * 24 * time.Hour

// failoverTimeout is how long a framework may stay away.
func (f *framework) failoverTimeout() time.Duration {
	s := f.info.GetFailoverTimeout()
	switch {
	case math.IsNaN(s) || s <= 0:
		return 0
	case s >= maxFailoverTimeout.Seconds():
		return maxFailoverTimeout
	default:
		return seconds(s)
	}
}

// recoverFrameworks takes over the frameworks of the master before. All of them are
// away until they subscribe here. Nobody could subscribe while there was no master, so
// that each has at least as long as agents have to come back.
func (s *State) recoverFrameworks(records map[string]FrameworkRecord) {
	for _, id := range sortedKeys(records) {
		r := records[id]
		f := s.newFramework(id, &r.Info)
		f.registered, f.disconnected, f.stored, f.recovered = r.Registered, r.Disconnected, r, true
		s.awaitRecovered(f)
	}
	if len(records) > 0 {
		s.timers.add(timer{at: s.now.Add(s.cfg.AgentReregisterTimeout), kind: recordRecovered})
	}
}

// awaitRecovered starts the failover timer of a framework that this master has not seen yet.
func (s *State) awaitRecovered(f *framework) {
	if f.disconnected.IsZero() {
		f.disconnected = s.now
	}
	at := f.disconnected.Add(f.failoverTimeout())
	if least := s.now.Add(s.cfg.AgentReregisterTimeout); at.Before(least) {
		at = least
	}
	s.timers.add(timer{at: at, kind: failover, id: f.id, gen: f.incarnation})
}

// recordRecoveredFrameworks writes down since when those are away that have not come
// back by now, so that the next failover does not give them their whole time again.
func (s *State) recordRecoveredFrameworks() {
	for _, f := range s.sortedFrameworks() {
		if f.recovered {
			s.record(f)
		}
	}
}

// record makes durable what the registry has to know of a framework. One change per
// framework is under way at a time; what happens meanwhile is written after it.
func (s *State) record(f *framework) {
	if f.recording || f.retiring {
		return
	}
	r := FrameworkRecord{Info: f.info, Registered: f.registered, Disconnected: f.disconnected}
	if r.Registered.Equal(f.stored.Registered) && r.Disconnected.Equal(f.stored.Disconnected) && r.Info.Equal(&f.stored.Info) {
		return
	}
	f.recording = true
	s.write(RegistryChange{Kind: PutFramework, Framework: r}, &admission{
		then: func(c RegistryChange, _ *admission) {
			f.stored, f.recording = c.Framework, false
			if s.frameworks[f.id] == f {
				s.record(f)
			}
		},
		failed: func(error) {
			f.recording = false
			s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: recordFramework, id: f.id})
		},
	})
}

// retire removes a framework as soon as the registry has forgotten it. A master that
// does not lead any more cannot write, and so ends nobody's tasks. done is called
// with the outcome.
func (s *State) retire(f *framework, done func(error)) {
	if f.retiring {
		done(nil)
		return
	}
	f.retiring = true
	f.active = false
	s.dropOffers(f)
	s.ledger.DeactivateFramework(f.id)
	s.touch(f, nil)
	s.write(RegistryChange{Kind: RemoveFramework, Framework: FrameworkRecord{Info: f.info}}, &admission{
		then: func(RegistryChange, *admission) {
			s.removeFramework(f)
			done(nil)
		},
		failed: func(err error) {
			f.retiring = false
			f.incarnation++
			if !f.connected {
				s.timers.add(timer{at: s.now.Add(s.cfg.AgentPingTimeout), kind: failover, id: f.id, gen: f.incarnation})
			}
			done(err)
		},
	})
}
