package core

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// wishes is what a framework says, with SUBSCRIBE or UPDATE_FRAMEWORK, of the offers it wants.
type wishes struct {
	suppressed  []string
	constraints *constraints.OfferConstraints
	filters     map[string]offers.Constraint
}

// wishesOf checks wishes (reference rows SUB-05, SUB-06).
func (s *State) wishesOf(info *mesos.FrameworkInfo, suppressed []string, c *constraints.OfferConstraints) (wishes, error) {
	w := wishes{suppressed: suppressed, constraints: c}
	subscribed := set(rolesOf(info))
	if err := suppressible(subscribed, suppressed); err != nil {
		return w, err
	}
	for _, role := range c.Roles() {
		if !subscribed[role] {
			return w, fmt.Errorf("Offer constraints specify `role_constraints` for a role '%s' not contained in the set of roles", role) //nolint:staticcheck // Mesos's text
		}
	}
	filters, err := constraints.Compile(c, s.cfg.ConstraintLimits)
	if err != nil {
		return w, fmt.Errorf("Offer constraints are not valid: %w", err) //nolint:staticcheck // Mesos's text
	}
	w.filters = make(map[string]offers.Constraint, len(filters))
	for role, f := range filters {
		w.filters[role] = offers.Constraint(f)
	}
	return w, nil
}

// subscribe answers a SUBSCRIBE call (reference 1.4).
func (s *State) subscribe(e SchedulerSubscribed) {
	if e.Driver {
		e.Principal = s.authenticated[string(e.Stream)]
	}
	info := withPrincipal(e.Call.Subscribe.FrameworkInfo, e.Principal)
	id := info.GetID().GetValue()
	if id == "" {
		s.counts.message("register_framework")
	} else {
		s.counts.message("reregister_framework")
	}
	f := s.frameworks[id]
	w, err := s.admissible(e, info, f)
	if err != nil {
		s.emit(SendEvent{Stream: e.Stream, Event: errorEvent(err.Error())})
		s.emit(CloseStream{Stream: e.Stream})
		s.note("subscription refused", "framework_id", id, "name", info.Name, "error", err.Error())
		return
	}
	if s.answeredDriver(e, id, f) {
		return
	}
	if f == nil {
		s.subscribeNew(e, info, w)
		return
	}
	s.replaceInfo(f, info)
	s.rescindForeign(f)
	if f.stream == e.Stream { // a driver that asks again: it still thinks that it holds its offers
		s.rescindOffers(f)
	} else if f.stream != "" {
		s.send(f, errorEvent("Framework failed over"))
		s.emit(CloseStream{Stream: f.stream})
	}
	s.dropOffers(f)
	if f.recovered { // a time before this master is not known
		f.registered = s.now
	}
	f.reregistered = s.now
	s.connect(f, e, w)
	s.broadcastFramework(f)
}

// subscribeNew lets a framework in that this master does not have: a new one, or one
// of a master before whose id it brings (reference rows SUB-01, 0.3).
func (s *State) subscribeNew(e SchedulerSubscribed, info *mesos.FrameworkInfo, w wishes) {
	id := info.GetID().GetValue()
	returned := id != ""
	if !returned {
		id = fmt.Sprintf("%s-%04d", s.cfg.Master.ID, s.frameworkCount)
		s.frameworkCount++
	}
	f := s.newFramework(id, info)
	f.constraints = w.constraints
	if !returned {
		s.connect(f, e, w)
		s.announceFramework(f)
		return
	}
	// Operators see it as one that was recovered and then came back.
	f.recovered = true
	s.announceFramework(f)
	f.reregistered = s.now
	s.connect(f, e, w)
	s.broadcastFramework(f)
}

func (s *State) announceFramework(f *framework) {
	s.announce(&master.Event{Type: master.Event_FRAMEWORK_ADDED, FrameworkAdded: &master.Event_FrameworkAdded{Framework: s.frameworkMessage(f)}})
}

// admissible says why a subscription cannot be, or returns its wishes (reference row SUB-02).
func (s *State) admissible(e SchedulerSubscribed, info *mesos.FrameworkInfo, f *framework) (wishes, error) {
	if err := s.validFramework(info); err != nil {
		return wishes{}, err
	}
	w, err := s.wishesOf(info, e.Call.Subscribe.SuppressedRoles, e.Constraints)
	if err != nil {
		return w, err
	}
	if err := s.mayRegister(info); err != nil {
		return w, err
	}
	if err := s.mayDrive(e, info); err != nil {
		return w, err
	}
	if f != nil && !samePrincipal(&f.info, info) {
		return w, errPrincipal
	}
	return w, nil
}

// errPrincipal does not tell whose the framework is.
var errPrincipal = fmt.Errorf("Changing framework's principal is not allowed.") //nolint:staticcheck // Mesos's text

// samePrincipal compares principals; having none and having an empty one are not the same.
func samePrincipal(x, y *mesos.FrameworkInfo) bool {
	return (x.Principal == nil) == (y.Principal == nil) && x.GetPrincipal() == y.GetPrincipal()
}

// connect makes a stream the framework's.
func (s *State) connect(f *framework, e SchedulerSubscribed, w wishes) {
	delete(s.streams, f.stream)
	f.stream, f.driver = e.Stream, e.Driver
	s.streams[e.Stream] = f
	f.active, f.connected, f.recovered = true, true, false
	f.disconnected = time.Time{}
	f.incarnation++
	f.counts.call(scheduler.Call_SUBSCRIBE)
	s.welcome(f)
	if !f.driver {
		s.heartbeat(e.Stream)
	}
	s.enlist(f, w)
	s.record(f)
	s.note("framework subscribed", "framework_id", f.id, "name", f.info.Name)
}

// welcome tells a scheduler that it is subscribed.
func (s *State) welcome(f *framework) {
	interval := HeartbeatInterval.Seconds()
	info := s.cfg.Master
	s.send(f, &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID:              &mesos.FrameworkID{Value: f.id},
		HeartbeatIntervalSeconds: &interval,
		MasterInfo:               &info,
	}})
}

// enlist tells the ledger about a connected framework and has it offered what is free.
func (s *State) enlist(f *framework, w wishes) {
	f.suppressed, f.constraints, f.filters = set(w.suppressed), w.constraints, w.filters
	entry, err := offers.FrameworkOf(f.id, f.info, sortedKeys(f.suppressed))
	if err != nil { // validFramework looked at it before
		panic(fmt.Sprintf("core: framework %s: %v", f.id, err))
	}
	entry.Constraints = f.filters
	s.ledger.PutFramework(entry)
	s.allocateAll()
	s.touch(f, nil)
}

// replaceInfo takes over what a framework may change about itself (reference row SUB-09).
func (s *State) replaceInfo(f *framework, info *mesos.FrameworkInfo) {
	user, checkpoint := f.info.User, f.info.Checkpoint
	if info.User != user || info.GetCheckpoint() != f.info.GetCheckpoint() {
		s.note("changes of a framework's user and checkpoint are ignored", "framework_id", f.id)
	}
	f.info = *info
	f.info.User, f.info.Checkpoint = user, checkpoint
	f.info.ID = &mesos.FrameworkID{Value: f.id}
	s.touch(f, nil)
}

// rescindForeign takes back the offers of roles that the framework left (reference row SUB-14).
func (s *State) rescindForeign(f *framework) {
	for _, o := range sortedOffers(f.offers) {
		if !f.hasRole(o.role) {
			s.rescind(o)
		}
	}
}

// broadcastFramework tells agents and operators about a framework's description (reference row SUB-10).
func (s *State) broadcastFramework(f *framework) {
	for _, a := range s.sortedAgents() {
		if a.connected && a.runs(f.id) {
			s.sendAgent(a, s.updateFrameworkMessage(f))
		}
	}
	s.announce(&master.Event{Type: master.Event_FRAMEWORK_UPDATED, FrameworkUpdated: &master.Event_FrameworkUpdated{Framework: s.frameworkMessage(f)}})
}

func (s *State) updateFrameworkMessage(f *framework) *messages.UpdateFrameworkMessage {
	info, pid := f.info, f.pid()
	return &messages.UpdateFrameworkMessage{FrameworkID: *f.info.ID, PID: &pid, FrameworkInfo: &info}
}

// updateFramework answers UPDATE_FRAMEWORK: all of it or nothing (reference row SUB-14).
func (s *State) updateFramework(f *framework, e SchedulerCalled) {
	u := e.Call.UpdateFramework
	info := &u.FrameworkInfo
	if err := s.validFramework(info); err != nil {
		s.reply(e.Request, 400, "Supplied FrameworkInfo is not valid: %s", err)
		return
	}
	if err := validUpdate(&f.info, info); err != nil {
		s.reply(e.Request, 400, "FrameworkInfo update is not valid: %s", err)
		return
	}
	w, err := s.wishesOf(info, u.SuppressedRoles, e.Constraints)
	if err != nil {
		s.reply(e.Request, 400, "'UpdateFramework' call is not valid: %s", err)
		return
	}
	if err := s.mayRegister(info); err != nil {
		s.reply(e.Request, 403, "%s", err)
		return
	}
	same := f.info.Equal(info)
	s.replaceInfo(f, info)
	s.rescindForeign(f)
	s.enlist(f, w)
	if !same {
		s.broadcastFramework(f)
	}
	s.record(f)
	s.reply(e.Request, 200, "")
}

// validUpdate checks that what may not change stays (reference row SUB-14).
func validUpdate(old, info *mesos.FrameworkInfo) error {
	switch {
	case !samePrincipal(old, info):
		return errPrincipal
	case info.User != old.User:
		return fmt.Errorf("Updating 'FrameworkInfo.user' is unsupported; attempted to update from '%s' to '%s'", old.User, info.User) //nolint:staticcheck // Mesos's text
	case info.GetCheckpoint() != old.GetCheckpoint():
		return fmt.Errorf("Updating 'FrameworkInfo.checkpoint' is unsupported; attempted to update from '%t' to '%t'", old.GetCheckpoint(), info.GetCheckpoint()) //nolint:staticcheck // Mesos's text
	}
	return nil
}
