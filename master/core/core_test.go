package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// world is a State with its surroundings: a registry that always succeeds, and
// lists of all that the state ordered.
type world struct {
	t        testing.TB
	s        *State
	registry *Registry
	now      time.Time
	request  RequestID
	streams  int
	hold     bool // registry writes wait until written is called
	held     []RegistryChange

	events   map[StreamID][]*scheduler.Event
	closed   map[StreamID]bool
	replies  map[RequestID]Reply
	sent     map[string][]proto.Message // to agents, by pid
	links    []string
	operator []*master.Event
	errors   []string // of notes that someone must act on
}

func testConfig() Config {
	role, port := "master@127.0.0.1:5050", uint32(5050)
	return Config{
		Master:             mesos.MasterInfo{ID: "m", PID: &role, Port: &port},
		AllocationInterval: time.Second, AgentPingTimeout: 15 * time.Second, MaxAgentPingTimeouts: 5, AgentReregisterTimeout: 10 * time.Minute,
		RootSubmissions: true, FilterGPUs: true, MinAllocatable: offers.DefaultMinAllocatable(),
		MaxCompletedFrameworks: 50, MaxCompletedTasks: 1000, MaxUnreachableTasks: 1000,
		RegistryMaxAge: 14 * 24 * time.Hour, RegistryMaxCount: 1000, RegistryGCInterval: 15 * time.Minute, ConstraintLimits: constraints.DefaultLimits,
	}
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	return restart(t, NewRegistry(), change...)
}

// restart is a master that starts with what a registry holds.
func restart(t testing.TB, reg *Registry, change ...func(*Config)) *world {
	cfg := testConfig()
	for _, f := range change {
		f(&cfg)
	}
	w := &world{t: t, registry: reg, now: time.Unix(1_700_000_000, 0)}
	w.s = New(cfg, reg, w.now)
	w.forget()
	return w
}

// forget empties the lists.
func (w *world) forget() {
	w.events, w.closed, w.replies = map[StreamID][]*scheduler.Event{}, map[StreamID]bool{}, map[RequestID]Reply{}
	w.sent, w.links, w.operator = map[string][]proto.Message{}, nil, nil
}

// step feeds an event and carries out what it causes; then what is due.
func (w *world) step(e Event) {
	w.take(w.s.Step(w.now, e))
	for !w.s.Deadline().After(w.now) {
		w.take(w.s.Step(w.now, Ticked{}))
	}
}

func (w *world) take(effects []Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case SendEvent:
			if w.closed[e.Stream] {
				w.t.Fatalf("event %v after the end of stream %s", e.Event, e.Stream)
			}
			w.events[e.Stream] = append(w.events[e.Stream], e.Event)
		case CloseStream:
			w.closed[e.Stream] = true
		case Reply:
			w.replies[e.Request] = e
		case SendAgent:
			w.sent[e.PID] = append(w.sent[e.PID], e.Message)
		case LinkAgent:
			w.links = append(w.links, e.PID)
		case WriteRegistry:
			w.held = append(w.held, e.Change)
			if !w.hold {
				w.written(nil)
			}
		case Announce:
			w.operator = append(w.operator, e.Event)
		case Note:
			if e.Error {
				w.t.Logf("note: %s %v", e.Message, e.Attributes)
				w.errors = append(w.errors, fmt.Sprint(e.Message, e.Attributes))
			}
		}
	}
}

// written lets the registry finish the oldest write.
func (w *world) written(err error) {
	c := w.held[0]
	w.held = w.held[1:]
	if err == nil {
		w.registry.Apply(c)
	}
	w.take(w.s.Step(w.now, RegistryWritten{Change: c, Err: err}))
}

// pass lets time go by, doing all that becomes due, and answering pings of the given agents.
func (w *world) pass(d time.Duration, alive ...string) {
	end := w.now.Add(d)
	for {
		next := w.s.Deadline()
		if next.After(end) {
			break
		}
		if next.After(w.now) {
			w.now = next
		}
		w.take(w.s.Step(w.now, Ticked{}))
		for _, pid := range alive {
			w.take(w.s.Step(w.now, AgentMessaged{From: pid, Message: &messages.PongSlaveMessage{}}))
		}
	}
	w.now = end
}

// testScheduler is a framework in a test.
type testScheduler struct {
	w      *world
	id     string
	stream StreamID
	role   string
}

// subscribe opens a stream for info and returns the scheduler if it was accepted.
func (w *world) subscribe(info mesos.FrameworkInfo, suppressed ...string) *testScheduler {
	w.t.Helper()
	w.streams++
	f := &testScheduler{w: w, stream: StreamID(fmt.Sprintf("stream-%d", w.streams)), role: info.GetRole()}
	if len(info.Roles) > 0 {
		f.role = info.Roles[0]
	}
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, FrameworkID: info.ID, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info, SuppressedRoles: suppressed}}
	w.step(SchedulerSubscribed{Stream: f.stream, Call: call})
	if first := w.events[f.stream][0]; first.Type == scheduler.Event_SUBSCRIBED {
		f.id = first.Subscribed.FrameworkID.Value
	}
	return f
}

func named(name string, caps ...mesos.FrameworkInfo_Capability_Type) mesos.FrameworkInfo {
	timeout := 100.0
	info := mesos.FrameworkInfo{User: "nobody", Name: name, FailoverTimeout: &timeout}
	for _, c := range caps {
		info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: c})
	}
	return info
}

func (f *testScheduler) again(info mesos.FrameworkInfo, suppressed ...string) *testScheduler {
	info.ID = &mesos.FrameworkID{Value: f.id}
	return f.w.subscribe(info, suppressed...)
}

// call makes a call and returns the status of its reply.
func (f *testScheduler) call(c scheduler.Call) Reply {
	f.w.request++
	c.FrameworkID = &mesos.FrameworkID{Value: f.id}
	f.w.step(SchedulerCalled{Request: f.w.request, Stream: f.stream, Call: &c})
	return f.w.replies[f.w.request]
}

// of returns the events of a type that came on the scheduler's stream.
func (f *testScheduler) of(t scheduler.Event_Type) []*scheduler.Event {
	var list []*scheduler.Event
	for _, e := range f.w.events[f.stream] {
		if e.Type == t {
			list = append(list, e)
		}
	}
	return list
}

// offers returns all offers that came.
func (f *testScheduler) offers() []mesos.Offer {
	var list []mesos.Offer
	for _, e := range f.of(scheduler.Event_OFFERS) {
		list = append(list, e.Offers.Offers...)
	}
	return list
}

// offer returns the newest offer.
func (f *testScheduler) offer() mesos.Offer {
	f.w.t.Helper()
	list := f.offers()
	if len(list) == 0 {
		f.w.t.Fatalf("no offer for framework %s", f.id)
	}
	return list[len(list)-1]
}

// update returns the newest status of a task.
func (f *testScheduler) update(task string) *mesos.TaskStatus {
	var found *mesos.TaskStatus
	for _, e := range f.of(scheduler.Event_UPDATE) {
		if e.Update.Status.TaskID.Value == task {
			found = &e.Update.Status
		}
	}
	return found
}

func (f *testScheduler) accept(refuse float64, o mesos.Offer, ops ...mesos.Offer_Operation) {
	f.w.t.Helper()
	r := f.call(scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs: []mesos.OfferID{o.ID}, Operations: ops, Filters: &mesos.Filters{RefuseSeconds: &refuse},
	}})
	if r.Status != 202 {
		f.w.t.Fatalf("ACCEPT: %v", r)
	}
}

func (f *testScheduler) decline(refuse float64, o mesos.Offer) {
	f.call(scheduler.Call{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{OfferIDs: []mesos.OfferID{o.ID}, Filters: &mesos.Filters{RefuseSeconds: &refuse}}})
}

func launch(tasks ...mesos.TaskInfo) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks}}
}

func resources(text string) []mesos.Resource {
	r, err := offers.ParseText(text, "*")
	if err != nil {
		panic(err)
	}
	return r.Mesos()
}

func command(id string, o mesos.Offer, text string) mesos.TaskInfo {
	value := "sleep 1000"
	return mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: o.AgentID, Resources: resources(text), Command: &mesos.CommandInfo{Value: &value},
	}
}

// testAgent is an agent in a test.
type testAgent struct {
	w    *world
	id   string
	pid  string
	info mesos.AgentInfo
}

var agentCapabilities = []mesos.AgentInfo_Capability{
	{Type: mesos.AgentInfo_Capability_MULTI_ROLE}, {Type: mesos.AgentInfo_Capability_HIERARCHICAL_ROLE},
	{Type: mesos.AgentInfo_Capability_RESERVATION_REFINEMENT}, {Type: mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS},
}

// agent registers an agent with these resources.
func (w *world) agent(text string) *testAgent {
	w.t.Helper()
	n := len(w.s.agents) + 1
	a := &testAgent{w: w, pid: fmt.Sprintf("slave(1)@127.0.0.%d:5051", n), info: mesos.AgentInfo{Hostname: fmt.Sprintf("host%d", n), Resources: resources(text)}}
	version := "1.11.0"
	a.says(&messages.RegisterSlaveMessage{Agent: a.info, Version: &version, AgentCapabilities: agentCapabilities})
	if m := lastSent[*messages.SlaveRegisteredMessage](a); m != nil {
		a.id = m.AgentID.Value
		a.info.ID = &mesos.AgentID{Value: a.id}
	}
	return a
}

func (a *testAgent) says(m proto.Message) { a.w.step(AgentMessaged{From: a.pid, Message: m}) }

// reregister brings the agent with what it runs to a master.
func (a *testAgent) reregister(w *world, frameworks []mesos.FrameworkInfo, tasks ...mesos.Task) {
	version := "1.11.0"
	a.w = w
	a.says(&messages.ReregisterSlaveMessage{Agent: a.info, Version: &version, AgentCapabilities: agentCapabilities, Frameworks: frameworks, Tasks: tasks})
}

// lastSent returns the newest message of a type that the agent was sent, or nil.
func lastSent[M proto.Message](a *testAgent) (found M) {
	for _, m := range a.w.sent[a.pid] {
		if m, ok := m.(M); ok {
			found = m
		}
	}
	return found
}

// reports has the agent send a status update that wants an acknowledgement, and returns its uuid.
func (a *testAgent) reports(f *testScheduler, task string, state mesos.TaskState) []byte {
	uuid := []byte(fmt.Sprintf("%-16.16s", task+state.String()))
	pid := a.pid
	a.says(&messages.StatusUpdateMessage{PID: &pid, Update: messages.StatusUpdate{
		FrameworkID: mesos.FrameworkID{Value: f.id}, AgentID: a.info.ID, Timestamp: unixSeconds(a.w.now), UUID: uuid,
		Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}, State: &state},
	}})
	return uuid
}

func (f *testScheduler) acknowledge(a *testAgent, task string, uuid []byte) {
	f.call(scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{AgentID: *a.info.ID, TaskID: mesos.TaskID{Value: task}, UUID: uuid}})
}

// scalar sums a scalar in a list of resources.
func scalar(list []mesos.Resource, name string) float64 {
	sum := 0.0
	for _, r := range list {
		if r.Name == name {
			sum += r.GetScalar().GetValue()
		}
	}
	return sum
}
