package sim

import (
	"maps"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	agentcore "github.com/tombolo-project/tombolo/agent/core"
	mastercore "github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// checker holds what is known from outside of the cores, and compares the cores
// with it after every event. Each invariant is a function named for what must
// hold; its comment says which row of the list it proves:
//
//	I1  conservation of resources         booksBalance, machinesSuffice
//	I2  offers                            oneOfferPerResource, deadOffersLaunchNothing, voidOffersAreRescinded
//	I3  a task starts at most once        startedOnce, nothingUnknown
//	I4  states of tasks                   statesMoveForward
//	I5  status updates                    updatesInOrder, storedBeforeSent, nothingDropped
//	I6  registry                          admittedIsDurable, lossIsDurable, goneStaysGone
//	I7  one master, one scheduler         oldMastersAreRefused, oldStreamsDoNothing, fenced registry (registry.conclude)
//	I12 liveness                          unrest
//	I13 bounds                            withinBounds
//
// I8 (fairness, quota) is proved against a slow oracle in package offers, I10 and
// I11 in bridge and frameworks.
type checker struct {
	w      *world
	limits limits

	views   map[*master]*lastView
	streams map[*master]map[string]mastercore.StreamID // by framework id: of its last SUBSCRIBED

	started  map[taskID]*executor // every task that ever began
	live     map[*executor]bool
	emitted  map[taskID][]string // uuids in the order in which the executor made them
	seen     map[taskID]int      // how many of them the framework was told of
	stored   map[string]taskID   // uuids on an agent's disk that the framework was not told of
	onDisk   map[string]bool     // uuids that were ever stored
	final    map[taskID]bool     // the framework was told of the end by the agent
	removedF map[string]bool     // frameworks that are gone for good
	obeyed   map[*disk]int64     // the newest epoch whose orders an agent with this disk obeyed
}

type taskID struct{ framework, task string }

type limits struct{ offerTimeout time.Duration }

// lastView is what a master showed after its last event.
type lastView struct {
	version uint64
	tasks   map[taskID]*mesos.Task
	offers  map[string]string // live ones: offer id -> framework id
}

func newChecker(w *world) *checker {
	c := &checker{
		w: w, views: map[*master]*lastView{}, streams: map[*master]map[string]mastercore.StreamID{},
		started: map[taskID]*executor{}, live: map[*executor]bool{}, emitted: map[taskID][]string{}, seen: map[taskID]int{},
		stored: map[string]taskID{}, onDisk: map[string]bool{}, final: map[taskID]bool{}, removedF: map[string]bool{},
		obeyed: map[*disk]int64{},
	}
	if w.chance(50) {
		c.limits.offerTimeout = w.between(10*time.Second, time.Minute)
	}
	return c
}

func (c *checker) newMaster(m *master) {
	c.views[m] = &lastView{tasks: map[taskID]*mesos.Task{}, offers: map[string]string{}}
	c.streams[m] = map[string]mastercore.StreamID{}
}

// masterStepped looks at a master after an event, before its effects are carried out.
func (c *checker) masterStepped(m *master, e mastercore.Event, effects []mastercore.Effect) {
	c.oldStreamsDoNothing(m, e, effects)
	c.deadOffersLaunchNothing(m, e, effects)
	for _, x := range effects {
		switch x := x.(type) {
		case mastercore.SendAgent:
			c.orderSent(m, x)
		case mastercore.SendEvent:
			c.eventSent(m, x)
		}
	}
	last := c.views[m]
	if v := m.state.Version(); v == last.version {
		return
	}
	v := m.state.View()
	last.version = v.Version
	c.booksBalance(m, v)
	before := maps.Clone(last.offers)
	c.oneOfferPerResource(m, v)
	c.voidOffersAreRescinded(m, e, effects, before)
	c.statesMoveForward(m, v)
	c.withinBounds(m, v)
}

func (c *checker) orderSent(m *master, x mastercore.SendAgent) {
	switch o := x.Message.(type) {
	case *messages.SlaveRegisteredMessage:
		c.admittedIsDurable(m, o.AgentID.Value)
		c.goneStaysGone(m, o.AgentID.Value)
	case *messages.SlaveReregisteredMessage:
		c.admittedIsDurable(m, o.AgentID.Value)
		c.goneStaysGone(m, o.AgentID.Value)
	case *messages.ShutdownFrameworkMessage:
		c.removed(o.FrameworkID.Value)
	}
}

func (c *checker) eventSent(m *master, x mastercore.SendEvent) {
	switch x.Event.Type {
	case scheduler.Event_SUBSCRIBED:
		c.streams[m][x.Event.Subscribed.FrameworkID.Value] = x.Stream
	case scheduler.Event_UPDATE:
		c.lossIsDurable(m, &x.Event.Update.Status)
	}
}

// noted looks at what a core wants an operator to act on: nothing in here should need one.
func (c *checker) noted(m *master, n mastercore.Note) {
	if n.Error {
		c.w.fail("I1", "%s: %s %v", m.name, n.Message, n.Attributes)
	}
}

// agentStepped looks at an agent after an event, before its effects are carried out.
func (c *checker) agentStepped(a *agent, e agentcore.Event, effects []agentcore.Effect) {
	c.oldMastersAreRefused(a, e, effects)
	saved := map[string]bool{}
	for _, x := range effects {
		switch x := x.(type) {
		case agentcore.SaveUpdate:
			saved[string(x.Update.UUID)] = true
		case agentcore.Send:
			if m, ok := x.Message.(*messages.StatusUpdateMessage); ok {
				c.storedBeforeSent(a, m, saved)
			}
		}
	}
}

// oldMastersAreRefused: an agent that has obeyed a master does nothing for one that
// led before it (I7), whatever has happened to either process since.
func (c *checker) oldMastersAreRefused(a *agent, e agentcore.Event, effects []agentcore.Effect) {
	m, ok := e.(agentcore.Received)
	if !ok {
		return
	}
	refused := false
	for _, x := range effects {
		switch x := x.(type) {
		case agentcore.Log:
			refused = refused || x.Message == "message from a master that leads no more, refused"
		case agentcore.SaveEpoch:
			c.obeyed[a.disk] = max(c.obeyed[a.disk], x.Epoch.Number)
		}
	}
	if m.Epoch.Number < c.obeyed[a.disk] && !refused {
		c.w.fail("I7", "%s takes %T of epoch %d, after it obeyed %d", a.name, m.Message, m.Epoch.Number, c.obeyed[a.disk])
	}
}

// oldStreamsDoNothing: a call on a stream that is not its framework's present one
// has no effect but its refusal (I7).
func (c *checker) oldStreamsDoNothing(m *master, e mastercore.Event, effects []mastercore.Effect) {
	call, ok := e.(mastercore.SchedulerCalled)
	if !ok || c.streams[m][call.Call.GetFrameworkID().GetValue()] == call.Stream {
		return
	}
	for _, x := range effects {
		switch x := x.(type) {
		case mastercore.Reply:
			if x.Status < 400 {
				c.w.fail("I7", "%s answers %d to %s on the old stream %s", m.name, x.Status, call.Call.Type, call.Stream)
			}
		case mastercore.Note:
		default:
			c.w.fail("I7", "%s does %T for %s on the old stream %s", m.name, x, call.Call.Type, call.Stream)
		}
	}
}

// deadOffersLaunchNothing: ACCEPT of an offer that is not outstanding for the
// framework launches nothing (I2, I3).
func (c *checker) deadOffersLaunchNothing(m *master, e mastercore.Event, effects []mastercore.Effect) {
	call, ok := e.(mastercore.SchedulerCalled)
	if !ok || call.Call.Type != scheduler.Call_ACCEPT {
		return
	}
	dead := ""
	for _, id := range call.Call.Accept.OfferIDs {
		if c.views[m].offers[id.Value] != call.Call.GetFrameworkID().GetValue() {
			dead = id.Value
		}
	}
	for _, x := range effects {
		if s, ok := x.(mastercore.SendAgent); ok && dead != "" && isOrder(s.Message) {
			c.w.fail("I2", "%s sends %T for offer %s, which is not outstanding", m.name, s.Message, dead)
		}
	}
}

func isOrder(m proto.Message) bool {
	switch m.(type) {
	case *messages.RunTaskMessage, *messages.RunTaskGroupMessage, *messages.ApplyOperationMessage:
		return true
	default:
		return false
	}
}

// removed notes that a framework is gone for good: nobody is owed anything for it.
func (c *checker) removed(framework string) { c.removedF[framework] = true }
