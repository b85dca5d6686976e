package sim

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	mastercore "github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// master is one master process: a core and the edge that package master puts around it.
type master struct {
	process
	index int
	upid  string
	epoch int // of its leadership
	state *mastercore.State

	streams  map[mastercore.StreamID]*stream
	requests map[mastercore.RequestID]func(mastercore.Reply)
	request  mastercore.RequestID
	links    map[string]int // agents linked, by pid -> number of the link
	linked   int
	tickAt   time.Duration // when the next tick is planned; 0: none
	tickGen  int
}

func newMaster(w *world, i int) *master {
	return &master{process: process{w: w, name: fmt.Sprintf("m%d", i)}, index: i, upid: fmt.Sprintf("master@10.0.0.%d:5050", i+1)}
}

// lead makes the process the leading master.
func (m *master) lead(epoch int) {
	w := m.w
	if !m.up {
		m.start()
	}
	m.epoch = epoch
	m.streams, m.requests, m.links = map[mastercore.StreamID]*stream{}, map[mastercore.RequestID]func(mastercore.Reply){}, map[string]int{}
	m.tickAt = 0
	w.note(m.name, "leads, epoch", fmt.Sprint(epoch))
	m.state = mastercore.New(m.config(), w.registry.load(), m.clock())
	w.check.newMaster(m)
	m.planTick()
}

func (m *master) config() mastercore.Config {
	port, ip := uint32(5050), uint32(m.index)
	return mastercore.Config{
		Master:             mesos.MasterInfo{ID: fmt.Sprintf("%s-e%d", m.name, m.epoch), PID: &m.upid, Port: &port, IP: ip},
		AllocationInterval: 5 * time.Second, OfferTimeout: m.w.check.limits.offerTimeout,
		AgentPingTimeout: 15 * time.Second, MaxAgentPingTimeouts: 5, AgentReregisterTimeout: 10 * time.Minute,
		RootSubmissions: true, FilterGPUs: true, MinAllocatable: offers.DefaultMinAllocatable(),
		MaxCompletedFrameworks: maxCompletedFrameworks, MaxCompletedTasks: maxCompletedTasks, MaxUnreachableTasks: maxUnreachableTasks,
		RegistryMaxAge: 14 * 24 * time.Hour, RegistryMaxCount: 1000, RegistryGCInterval: 15 * time.Minute,
	}
}

// Limits of what a master remembers, low enough to be reached (I13).
const (
	maxCompletedFrameworks = 3
	maxCompletedTasks      = 8
	maxUnreachableTasks    = 8
)

// crash is kill -9: streams and links break, and what was on its way out may be lost.
func (m *master) crash(why string) {
	w := m.w
	w.note(m.name, "dies:", why)
	m.die()
	m.state = nil
	for _, s := range w.openStreams(m) {
		w.breakStream(s)
	}
	for _, a := range w.agents {
		w.net.orphan(m.name, a.name)
		if a.linkedTo == m.upid {
			a.after(w.upTo(time.Second), func() { a.masterExited(m.upid) })
		}
	}
}

// feed gives the core an event and carries out what it orders.
func (m *master) feed(e mastercore.Event) {
	if m.state == nil || m.w.violation != nil {
		return
	}
	w := m.w
	w.events++
	effects := m.state.Step(m.clock(), e)
	w.check.masterStepped(m, e, effects)
	stop := len(effects)
	if stop > 1 && w.strikes(MasterCrashMidway, 8) {
		stop = w.rng.IntN(stop)
	}
	for i, x := range effects {
		if i == stop {
			m.crash("midway")
			w.afterMasterCrash(m)
			return
		}
		m.carryOut(x)
	}
	m.planTick()
}

// planTick has the core ticked when it wants to be. Events that come shortly before
// are taken in first, as the owner takes letters in batches.
func (m *master) planTick() {
	wanted := m.w.now + max(0, m.state.Deadline().Sub(m.clock()))
	if wanted == m.w.now {
		wanted += m.w.upTo(2 * time.Millisecond)
	}
	if m.tickAt != 0 && m.tickAt <= wanted {
		return
	}
	m.tickAt = wanted
	m.tickGen++
	gen := m.tickGen
	m.after(wanted-m.w.now, func() {
		if m.tickGen != gen || m.state == nil {
			return
		}
		m.tickAt = 0
		if m.state.Deadline().After(m.clock()) {
			m.planTick()
			return
		}
		m.feed(mastercore.Ticked{})
	})
}

func (m *master) carryOut(x mastercore.Effect) {
	w := m.w
	switch x := x.(type) {
	case mastercore.SendEvent:
		m.tell(x.Stream, x.Event)
	case mastercore.CloseStream:
		if s := m.streams[x.Stream]; s != nil {
			w.closeStream(s)
		}
	case mastercore.Reply:
		if answer := m.requests[x.Request]; answer != nil {
			delete(m.requests, x.Request)
			answer(x)
		}
	case mastercore.SendAgent:
		m.sendAgent(x)
	case mastercore.LinkAgent:
		m.linked++
		m.links[x.PID] = m.linked
	case mastercore.WriteRegistry:
		w.registry.write(m, x.Change)
	case mastercore.Announce:
	case mastercore.Note:
		if w.trace.keep {
			w.line(m.name, fmt.Sprint("note: ", x.Message, " ", x.Attributes))
		}
		w.check.noted(m, x)
	default:
		w.fail("sim", "effect %T of the master is not modelled", x)
	}
}

// tell sends an event down a stream.
func (m *master) tell(id mastercore.StreamID, e *scheduler.Event) {
	s := m.streams[id]
	if s == nil {
		return
	}
	open := sealed(m.w, m.name, "to "+s.f.name, e)
	m.w.net.send(m.name, s.f.name, carriage{}, func() { s.f.event(s, open()) })
}

func (m *master) sendAgent(x mastercore.SendAgent) {
	a := m.w.agentAt(x.PID)
	if a == nil {
		m.w.fail("sim", "message to %s, where no agent is", x.PID)
		return
	}
	from := m.upid
	if _, ping := x.Message.(*messages.PingSlaveMessage); ping {
		from = "slave-observer(1)" + m.upid[len("master"):]
	}
	open := sealedMessage(m.w, m.name, "to "+a.name, x.Message)
	life, reign := m.life, m.epoch
	lost := func() {
		if m.life == life {
			m.agentExited(x.PID, m.links[x.PID])
		}
	}
	m.w.net.send(m.name, a.name, carriage{lost: MessageLost, twice: MessageTwice, lossy: true, onLost: lost}, func() {
		if !a.up {
			m.w.after(m.w.upTo(time.Second), lost)
			return
		}
		a.received(from, epoch.Epoch{Registry: "r", Number: int64(reign)}, open())
	})
}

// agentExited tells the core that the link with a number broke.
func (m *master) agentExited(pid string, number int) {
	m.take(func() {
		if number != 0 && m.links[pid] == number {
			delete(m.links, pid)
			m.w.note(m.name, "link broke", pid)
			m.feed(mastercore.AgentExited{PID: pid})
		}
	})
}
