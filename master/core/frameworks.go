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

// framework is a scheduler and what it holds.
//
//	(subscribe) -> connected, active -> (stream ends) -> disconnected -> (failover_timeout) -> removed
//	recovered: known only from agents, never subscribed to this master (reference row SUB-13)
type framework struct {
	id        string
	info      mesos.FrameworkInfo
	stream    StreamID // empty while disconnected
	driver    bool     // its scheduler speaks the old protocol; stream is its UPID
	active    bool     // gets offers
	connected bool
	recovered bool
	// incarnation counts subscriptions, so that an old failover timer finds that it is stale.
	incarnation  uint64
	registered   time.Time
	reregistered time.Time
	disconnected time.Time       // since when it is away; zero while it is connected
	suppressed   map[string]bool // roles that want no offers
	// constraints say which agents are wanted; as they came, and compiled per role.
	constraints *constraints.OfferConstraints
	filters     map[string]offers.Constraint

	stored    FrameworkRecord // what the registry has of it
	recording bool            // the registry is being told of it
	retiring  bool            // the registry is being told of its removal

	tasks       map[string]*task
	offered     offerList                       // offers in the order in which they were made
	shown       []ExecutorView                  // of executors; nil when it is to be made anew
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

// unreachableTask finds a task among those lost with their agents, nil if it is not there.
func (f *framework) unreachableTask(id string) *mesos.Task {
	for _, t := range f.unreachable.all() {
		if t.TaskID.Value == id {
			return t
		}
	}
	return nil
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
	s.frameworkViews.put(id)
	s.adoptOperations(f)
	s.changed()
	return f
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
	s.dropInverseOffers(f, true)
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
	s.endUnreachable(f)
	for _, agentID := range sortedKeys(f.executors) {
		s.removeExecutors(s.agents[agentID], f.id)
	}
	s.dropFrameworkOperations(f)
	s.ledger.RemoveFramework(f.id)
	delete(s.frameworks, f.id)
	s.frameworkViews.remove(f.id)
	s.archive(f)
	s.changed()
	s.announce(&master.Event{Type: master.Event_FRAMEWORK_REMOVED, FrameworkRemoved: &master.Event_FrameworkRemoved{FrameworkInfo: f.info}})
	s.note("framework removed", "framework_id", f.id, "name", f.info.Name)
}

// endUnreachable counts the tasks of a removed framework that were lost with their agents as killed.
func (s *State) endUnreachable(f *framework) {
	killed := mesos.TASK_KILLED
	for _, t := range f.unreachable.all() {
		status := s.masterStatus(t.TaskID.Value, &t.AgentID.Value, killed, mesos.REASON_FRAMEWORK_REMOVED, fmt.Sprintf("Framework %s removed", f.id))
		status.ExecutorID = t.ExecutorID
		last := *t
		if !terminal(*t.State) {
			last.State = &killed
		}
		last.Statuses = append(append([]mesos.TaskStatus(nil), t.Statuses...), *status)
		f.completed.add(&last)
		s.announceTaskOf(&master.Event{Type: master.Event_TASK_UPDATED, TaskUpdated: &master.Event_TaskUpdated{
			FrameworkID: *f.info.ID, Status: *status, State: last.State,
		}}, f.id, &last)
	}
	f.unreachable = newRing[*mesos.Task](s.cfg.MaxUnreachableTasks)
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
