package core

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// framework is a scheduler and what it holds.
//
//	(subscribe) -> connected, active -> (stream ends) -> disconnected -> (failover_timeout) -> removed
//	recovered: known only from agents, never subscribed to this master (reference row SUB-13)
type framework struct {
	id        string
	info      mesos.FrameworkInfo
	stream    StreamID // empty while disconnected
	active    bool     // gets offers
	connected bool
	recovered bool
	// incarnation counts subscriptions, so that an old failover timer finds that it is stale.
	incarnation  uint64
	registered   time.Time
	reregistered time.Time
	disconnected time.Time       // since when it is away; zero while it is connected
	suppressed   map[string]bool // roles that want no offers

	stored    FrameworkRecord // what the registry has of it
	recording bool            // the registry is being told of it
	retiring  bool            // the registry is being told of its removal

	tasks       map[string]*task
	inOrder     taskList                        // the same
	executors   map[string]map[string]*executor // by agent id, executor id
	offers      map[string]*offer
	operations  map[string]*operation // by uuid; not over yet
	on          map[string]*agent     // agents on which it uses resources
	unreachable ring[*mesos.Task]
	completed   ring[*mesos.Task]
	counts      *FrameworkCounters
	view        *FrameworkView // as last shown; nil when that is out of date
}

// can says whether the framework has a capability (reference 1.12).
func (f *framework) can(t mesos.FrameworkInfo_Capability_Type) bool {
	return hasCapability(&f.info, t)
}

func (f *framework) partitionAware() bool {
	return f.can(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
}

func (f *framework) roles() []string { return rolesOf(&f.info) }

func (f *framework) hasRole(role string) bool {
	for _, r := range f.roles() {
		if r == role {
			return true
		}
	}
	return false
}

func (s *State) newFramework(id string, info *mesos.FrameworkInfo) *framework {
	f := &framework{
		id:          id,
		info:        *info,
		registered:  s.now,
		suppressed:  map[string]bool{},
		tasks:       map[string]*task{},
		executors:   map[string]map[string]*executor{},
		offers:      map[string]*offer{},
		operations:  map[string]*operation{},
		on:          map[string]*agent{},
		unreachable: newRing[*mesos.Task](s.cfg.MaxUnreachableTasks),
		completed:   newRing[*mesos.Task](s.cfg.MaxCompletedTasks),
		counts:      newFrameworkCounters(),
	}
	f.info.ID = &mesos.FrameworkID{Value: id}
	s.frameworks[id] = f
	s.adoptOperations(f)
	s.changed()
	return f
}

// subscribe answers a SUBSCRIBE call (reference 1.4).
func (s *State) subscribe(e SchedulerSubscribed) {
	info := withPrincipal(e.Call.Subscribe.FrameworkInfo, e.Principal)
	id := info.GetID().GetValue()
	f := s.frameworks[id]
	if err := s.refuseSubscription(e, info, f); err != nil {
		s.emit(SendEvent{Stream: e.Stream, Event: errorEvent(err.Error())})
		s.emit(CloseStream{Stream: e.Stream})
		s.note("subscription refused", "framework_id", id, "name", info.Name, "error", err.Error())
		return
	}
	if f == nil {
		if id == "" {
			id = fmt.Sprintf("%s-%04d", s.cfg.Master.ID, s.frameworkCount)
			s.frameworkCount++
		}
		f = s.newFramework(id, info)
		s.connect(f, e)
		s.announce(&master.Event{Type: master.Event_FRAMEWORK_ADDED, FrameworkAdded: &master.Event_FrameworkAdded{Framework: s.frameworkMessage(f)}})
		return
	}
	if f.stream != "" {
		s.send(f, errorEvent("Framework failed over"))
		s.emit(CloseStream{Stream: f.stream})
	}
	s.dropOffers(f)
	s.replaceInfo(f, info)
	s.connect(f, e)
	f.reregistered = s.now
	s.touch(f, nil)
	s.broadcastFramework(f)
}

// refuseSubscription says why a subscription cannot be, or nil (reference row SUB-02).
func (s *State) refuseSubscription(e SchedulerSubscribed, info *mesos.FrameworkInfo, f *framework) error {
	if e.Constrained {
		return fmt.Errorf("offer_constraints are not supported by this master yet; subscribe without them")
	}
	if err := s.validFramework(info, e.Call.Subscribe.SuppressedRoles); err != nil {
		return err
	}
	if s.removed[info.GetID().GetValue()] || f != nil && f.retiring {
		return fmt.Errorf("Framework has been removed") //nolint:staticcheck // text known to schedulers
	}
	if f != nil && !f.recovered && f.info.GetPrincipal() != info.GetPrincipal() {
		return fmt.Errorf("changing framework's principal is not allowed")
	}
	return s.mayRegister(info)
}

// connect makes the stream of e the framework's.
func (s *State) connect(f *framework, e SchedulerSubscribed) {
	delete(s.streams, f.stream)
	f.stream = e.Stream
	s.streams[e.Stream] = f
	f.active, f.connected, f.recovered = true, true, false
	f.disconnected = time.Time{}
	f.incarnation++
	f.suppressed = set(e.Call.Subscribe.SuppressedRoles)
	interval := HeartbeatInterval.Seconds()
	info := s.cfg.Master
	f.counts.call(scheduler.Call_SUBSCRIBE)
	s.send(f, &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID:              &mesos.FrameworkID{Value: f.id},
		HeartbeatIntervalSeconds: &interval,
		MasterInfo:               &info,
	}})
	s.heartbeat(e.Stream)
	s.enlist(f)
	s.record(f)
	s.note("framework subscribed", "framework_id", f.id, "name", f.info.Name)
}

// enlist tells the ledger about a connected framework and has it offered what is free.
func (s *State) enlist(f *framework) {
	entry, err := offers.FrameworkOf(f.id, f.info, sortedKeys(f.suppressed))
	if err != nil { // validFramework looked at it before
		panic(fmt.Sprintf("core: framework %s: %v", f.id, err))
	}
	s.ledger.PutFramework(entry)
	s.allocateAll()
	s.touch(f, nil)
}

// replaceInfo takes over what a framework may change about itself (reference row SUB-09).
func (s *State) replaceInfo(f *framework, info *mesos.FrameworkInfo) {
	user, checkpoint := f.info.User, f.info.Checkpoint
	f.info = *info
	f.info.User, f.info.Checkpoint = user, checkpoint
	f.info.ID = &mesos.FrameworkID{Value: f.id}
	s.touch(f, nil)
}

// broadcastFramework tells agents and operators about a framework's description (reference row SUB-10).
func (s *State) broadcastFramework(f *framework) {
	for _, a := range s.agents {
		if a.connected && a.runs(f.id) {
			s.sendAgent(a, s.updateFrameworkMessage(f))
		}
	}
	s.announce(&master.Event{Type: master.Event_FRAMEWORK_UPDATED, FrameworkUpdated: &master.Event_FrameworkUpdated{Framework: s.frameworkMessage(f)}})
}

func (s *State) updateFrameworkMessage(f *framework) *messages.UpdateFrameworkMessage {
	info, pid := f.info, ""
	return &messages.UpdateFrameworkMessage{FrameworkID: *f.info.ID, PID: &pid, FrameworkInfo: &info}
}

func (s *State) heartbeat(id StreamID) {
	f := s.streams[id]
	if f == nil {
		return
	}
	s.send(f, &scheduler.Event{Type: scheduler.Event_HEARTBEAT})
	s.timers.add(timer{at: s.now.Add(HeartbeatInterval), kind: heartbeat, id: string(id)})
}

// streamClosed disconnects the framework of a stream that ended (reference row SUB-11).
func (s *State) streamClosed(e StreamClosed) {
	f := s.streams[e.Stream]
	delete(s.streams, e.Stream)
	if f == nil || f.stream != e.Stream {
		return
	}
	s.note("framework disconnected", "framework_id", f.id, "name", f.info.Name, "reason", e.Reason)
	f.stream = ""
	f.active, f.connected = false, false
	f.disconnected = s.now
	s.dropOffers(f)
	s.ledger.DeactivateFramework(f.id)
	s.touch(f, nil)
	timeout := f.failoverTimeout()
	if timeout == 0 {
		s.retire(f, func(error) {})
		return
	}
	s.record(f)
	s.timers.add(timer{at: s.now.Add(timeout), kind: failover, id: f.id, gen: f.incarnation})
}

// failoverExpired removes a framework that did not come back (reference row SUB-12).
func (s *State) failoverExpired(id string, incarnation uint64) {
	f := s.frameworks[id]
	if f == nil || f.connected || f.incarnation != incarnation {
		return
	}
	s.note("framework did not come back within its failover timeout", "framework_id", id)
	s.retire(f, func(error) {})
}

// removeFramework ends a framework and all it runs (reference rows CALL-02, SUB-12).
func (s *State) removeFramework(f *framework) {
	if f.stream != "" {
		s.emit(CloseStream{Stream: f.stream})
		delete(s.streams, f.stream)
		f.stream = ""
	}
	f.active, f.connected, f.recovered = false, false, false
	s.dropOffers(f)
	for _, a := range s.sortedAgents() {
		if a.connected {
			s.sendAgent(a, &messages.ShutdownFrameworkMessage{FrameworkID: *f.info.ID})
		}
	}
	for _, t := range sortedTasks(f.tasks) {
		if !terminal(t.state()) {
			status := s.status(f, t, mesos.TASK_KILLED, mesos.REASON_FRAMEWORK_REMOVED, fmt.Sprintf("Framework %s removed", f.id))
			s.setTaskStatus(t, status, mesos.TASK_KILLED)
		}
		s.removeTask(t)
	}
	for agentID, executors := range f.executors {
		for _, x := range executors {
			s.removeExecutor(s.agents[agentID], x)
		}
	}
	s.dropFrameworkOperations(f)
	s.ledger.RemoveFramework(f.id)
	delete(s.frameworks, f.id)
	s.archive(f)
	s.changed()
	s.announce(&master.Event{Type: master.Event_FRAMEWORK_REMOVED, FrameworkRemoved: &master.Event_FrameworkRemoved{FrameworkInfo: f.info}})
	s.note("framework removed", "framework_id", f.id, "name", f.info.Name)
}

// archive keeps a removed framework among the completed ones.
func (s *State) archive(f *framework) {
	f.view = nil
	view := s.frameworkView(f)
	view.Unregistered = s.now
	s.completed = append(s.completed, view)
	s.removed[f.id] = true
	if over := len(s.completed) - s.cfg.MaxCompletedFrameworks; over > 0 {
		for _, v := range s.completed[:over] {
			delete(s.removed, v.Info.GetID().GetValue())
		}
		s.completed = append([]*FrameworkView(nil), s.completed[over:]...)
	}
}

// updateFramework answers UPDATE_FRAMEWORK (reference row SUB-14).
func (s *State) updateFramework(f *framework, e SchedulerCalled) {
	u := e.Call.UpdateFramework
	info := &u.FrameworkInfo
	err := s.validFramework(info, u.SuppressedRoles)
	switch {
	case err != nil:
	case e.Constrained:
		err = fmt.Errorf("offer_constraints are not supported by this master yet")
	case info.User != f.info.User:
		err = fmt.Errorf("changing 'user' from %q to %q is not allowed", f.info.User, info.User)
	case info.GetCheckpoint() != f.info.GetCheckpoint():
		err = fmt.Errorf("changing 'checkpoint' is not allowed")
	case info.GetPrincipal() != f.info.GetPrincipal():
		err = fmt.Errorf("changing 'principal' is not allowed")
	}
	if err != nil {
		s.reply(e.Request, 400, "'UpdateFramework.framework_info' is not valid: %s", err)
		return
	}
	if err := s.mayRegister(info); err != nil {
		s.reply(e.Request, 403, "%s", err)
		return
	}
	same := f.info.Equal(info)
	s.replaceInfo(f, info)
	f.suppressed = set(u.SuppressedRoles)
	for _, o := range sortedOffers(f.offers) {
		if !f.hasRole(o.role) {
			s.rescind(o)
		}
	}
	s.enlist(f)
	if !same {
		s.broadcastFramework(f)
	}
	s.record(f)
	s.reply(e.Request, 200, "")
}

// tornDown answers an operator's TEARDOWN (reference row OP1-28).
func (s *State) tornDown(e TornDown) {
	f := s.frameworks[e.Framework]
	if f == nil {
		s.reply(e.Request, 400, "No framework found with ID %s", e.Framework)
		return
	}
	s.retire(f, func(err error) {
		if err != nil {
			s.reply(e.Request, 503, "the removal of the framework could not be stored: %s", err)
			return
		}
		s.reply(e.Request, 200, "")
	})
}

func errorEvent(message string) *scheduler.Event {
	return &scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: message}}
}

// seconds converts the wire's seconds; the caller made sure that they fit.
func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, n := range names {
		m[n] = true
	}
	return m
}
