package sim

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	agentcore "github.com/tombolo-project/tombolo/agent/core"
	mastercore "github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/offers"
)

// agent is one agent process and its machine: a core, its disk, its containers.
type agent struct {
	process
	index     int
	upid      string
	ip        string
	resources []mesos.Resource
	total     offers.Resources
	state     *agentcore.State
	disk      *disk
	master    string // as last detected; known to the machine's configuration
	linkedTo  string

	containers map[string]*executor // that run, by container id; they outlive the process
	ended      map[string]*int      // that ended while nobody looked, with their wait status
	launching  map[string]bool      // on their way; false: to be stopped
	conns      map[uint64]*executor
	conn       uint64
	call       uint64
	calls      map[uint64]*executor // who waits for an Answer
	tickAt     time.Duration
	tickGen    int
}

var agentResources = []string{
	"cpus:4;mem:2048;disk:4096;ports:[31000-31009]",
	"cpus:2;mem:1024;disk:1024;ports:[31000-31004]",
	"cpus:8;mem:4096;disk:8192;ports:[31000-31019]",
}

func newAgent(w *world, i int) *agent {
	ip := fmt.Sprintf("10.0.1.%d", i+1)
	a := &agent{
		process: process{w: w, name: fmt.Sprintf("a%d", i)}, index: i, ip: ip, upid: fmt.Sprintf("slave(1)@%s:5051", ip),
		disk: newDisk(), containers: map[string]*executor{}, ended: map[string]*int{},
	}
	total, err := offers.ParseText(agentResources[w.rng.IntN(len(agentResources))], "*")
	if err != nil {
		panic(err)
	}
	a.total, a.resources = total, total.Mesos()
	return a
}

func (w *world) agentAt(upid string) *agent {
	for _, a := range w.agents {
		if a.upid == upid {
			return a
		}
	}
	return nil
}

// agentNamed finds the agent that has an id, by its disk.
func (w *world) agentNamed(id string) *agent {
	for _, a := range w.agents {
		if a.disk.info.GetID().GetValue() == id {
			return a
		}
	}
	return nil
}

func (a *agent) config() agentcore.Config {
	port := int32(5051)
	info := mesos.AgentInfo{Hostname: a.ip, Port: &port, Resources: a.resources}
	c := agentcore.Config{
		Info: info, PID: a.upid, Address: a.ip, Version: "1.12.0", WorkDir: "/work", CommandExecutor: "/executor",
		BackoffFactor: time.Second, RegisterTimeout: time.Minute, ReregisterTimeout: 2 * time.Second, ShutdownGrace: 5 * time.Second,
		RecoveryTimeout: 15 * time.Minute, MaxCompletedExecutors: 3,
	}
	for _, t := range []mesos.AgentInfo_Capability_Type{
		mesos.AgentInfo_Capability_MULTI_ROLE, mesos.AgentInfo_Capability_HIERARCHICAL_ROLE,
		mesos.AgentInfo_Capability_RESERVATION_REFINEMENT, mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS,
	} {
		c.Capabilities = append(c.Capabilities, mesos.AgentInfo_Capability{Type: t})
	}
	for i := range 4 {
		binary.LittleEndian.PutUint64(c.Seed[8*i:], a.w.rng.Uint64())
	}
	return c
}

// boot starts the process: it recovers from its disk and finds its containers.
func (a *agent) boot() {
	if a.up || a.w.violation != nil {
		return
	}
	w := a.w
	a.start()
	w.note(a.name, "starts")
	a.conns, a.calls, a.launching = map[uint64]*executor{}, map[uint64]*executor{}, map[string]bool{}
	a.linkedTo, a.tickAt = "", 0
	known := a.disk.containers()
	for _, id := range slices.Sorted(maps.Keys(a.containers)) {
		if !known[id] { // orphans are destroyed before anything else
			a.containers[id].die("orphan")
			delete(a.containers, id)
		}
	}
	a.state = agentcore.New(a.config(), a.disk.recover(func(id string) bool {
		_, ended := a.ended[id]
		return a.containers[id] != nil || ended
	}))
	for _, id := range slices.Sorted(maps.Keys(a.ended)) {
		status := a.ended[id]
		delete(a.ended, id)
		a.after(w.upTo(10*time.Millisecond), func() { a.feed(agentcore.ContainerExited{Container: id, Status: status}) })
	}
	a.feed(agentcore.RecoveryStarted{})
	if a.up && a.master != "" {
		a.feed(agentcore.MasterDetected{PID: a.master})
	}
}

// crash is kill -9 of the agent process.
func (a *agent) crash(why string) {
	w := a.w
	w.note(a.name, "dies:", why)
	a.die()
	a.state = nil
	for _, id := range slices.Sorted(maps.Keys(a.containers)) {
		x := a.containers[id]
		if x.conn != 0 {
			conn := x.conn
			x.after(w.upTo(50*time.Millisecond), func() { x.hungUp(conn) })
		}
	}
	for _, m := range w.masters {
		w.net.orphan(a.name, m.name)
		if number := m.links[a.upid]; number != 0 {
			m.after(w.upTo(2*time.Second), func() { m.agentExited(a.upid, number) })
		}
	}
}

// reboot is a loss of power of the whole machine.
func (a *agent) reboot() {
	a.crash("power lost")
	for _, id := range slices.Sorted(maps.Keys(a.containers)) {
		a.containers[id].die("power lost")
	}
	clear(a.containers)
	clear(a.ended)
	a.w.check.powerLost(a)
	a.disk.powerLoss()
}

// feed gives the core an event and carries out what it orders.
func (a *agent) feed(e agentcore.Event) {
	if a.state == nil || a.w.violation != nil {
		return
	}
	w := a.w
	w.events++
	effects := a.state.Step(a.clock(), e)
	w.check.agentStepped(a, e, effects)
	stop := len(effects)
	if stop > 1 && w.strikes(AgentCrashMidway, 2) {
		stop = w.rng.IntN(stop)
	}
	for i, x := range effects {
		if i == stop {
			a.crash("midway")
			w.after(w.upTo(20*time.Second), a.boot)
			return
		}
		a.carryOut(x)
		if a.state == nil {
			return
		}
	}
	a.planTick()
}

func (a *agent) planTick() {
	at, some := a.state.Deadline()
	if !some {
		return
	}
	wanted := a.w.now + max(time.Microsecond, at.Sub(a.clock()))
	if a.tickAt != 0 && a.tickAt <= wanted {
		return
	}
	a.tickAt = wanted
	a.tickGen++
	gen := a.tickGen
	a.after(wanted-a.w.now, func() {
		if a.tickGen != gen || a.state == nil {
			return
		}
		a.tickAt = 0
		if at, some := a.state.Deadline(); !some || at.After(a.clock()) {
			a.planTick()
			return
		}
		a.feed(agentcore.Tick{})
	})
}

func (a *agent) carryOut(x agentcore.Effect) {
	w := a.w
	if s, ok := x.(agentcore.SaveUpdate); ok {
		w.check.saved(s)
	}
	if a.disk.save(x) {
		w.note(a.name, strings.TrimPrefix(fmt.Sprintf("%T", x), "core."))
		return
	}
	switch x := x.(type) {
	case agentcore.Send:
		a.send(x)
	case agentcore.Link:
		a.link(x.To)
	case agentcore.StartContainer:
		a.startContainer(x)
	case agentcore.UpdateContainer:
	case agentcore.DestroyContainer:
		a.destroy(x.Container)
	case agentcore.Tell:
		if c := a.conns[x.Conn]; c != nil {
			open := sealed(w, a.name, "to "+c.name, x.Event)
			w.net.send(a.name, c.name, carriage{}, func() { c.event(x.Conn, open()) })
		}
	case agentcore.Hangup:
		if c := a.conns[x.Conn]; c != nil {
			delete(a.conns, x.Conn)
			w.net.send(a.name, c.name, carriage{}, func() { c.hungUp(x.Conn) })
		}
	case agentcore.Answer:
		if c := a.calls[x.Call]; c != nil {
			delete(a.calls, x.Call)
			w.net.send(a.name, c.name, carriage{}, func() { c.answered(x) })
		}
	case agentcore.Log:
		if w.trace.keep {
			w.line(a.name, fmt.Sprint("log: ", x.Message, " ", x.Attrs))
		}
	case agentcore.Exit:
		a.exit(x)
	default:
		w.fail("sim", "effect %T of the agent is not modelled", x)
	}
}

// exit ends the process by its own decision; its supervisor starts it again.
func (a *agent) exit(x agentcore.Exit) {
	a.crash("exits: " + x.Reason)
	if x.Forget {
		a.w.check.diskLost(a)
		a.disk.forget()
	}
	a.w.after(a.w.between(time.Second, 10*time.Second), a.boot)
}

// send posts a message to a master; one that is lost breaks the link.
func (a *agent) send(x agentcore.Send) {
	w := a.w
	m := w.masterAt(x.To)
	open := sealedMessage(w, a.name, "to "+m.name, x.Message)
	life := a.life
	lost := func() {
		if a.life == life && a.linkedTo == m.upid {
			a.masterExited(m.upid)
		}
	}
	w.net.send(a.name, m.name, carriage{lost: MessageLost, twice: MessageTwice, lossy: true, onLost: lost}, func() {
		if m.state == nil {
			w.after(w.upTo(time.Second), lost)
			return
		}
		m.take(func() { m.feed(mastercore.AgentMessaged{From: a.upid, Message: open()}) })
	})
}

// masterAt finds a master by its address; observers of agents live there, too.
func (w *world) masterAt(upid string) *master {
	_, address, _ := strings.Cut(upid, "@")
	for _, m := range w.masters {
		if strings.HasSuffix(m.upid, "@"+address) {
			return m
		}
	}
	panic("sim: no master at " + upid)
}

// link holds a connection to a master.
func (a *agent) link(upid string) {
	a.linkedTo = upid
	m := a.w.masterAt(upid)
	switch {
	case m.state == nil:
		a.after(a.w.upTo(10*time.Millisecond), func() { a.masterExited(upid) })
	case !a.w.net.open(a.name, m.name) || !a.w.net.open(m.name, a.name):
		a.after(5*time.Second, func() {
			if !a.w.net.open(a.name, m.name) || !a.w.net.open(m.name, a.name) {
				a.masterExited(upid)
			}
		})
	}
}

// masterExited tells the core that its link broke.
func (a *agent) masterExited(upid string) {
	a.take(func() {
		if a.linkedTo == upid {
			a.linkedTo = ""
			a.feed(agentcore.MasterExited{PID: upid})
		}
	})
}

// masterDetected tells the core who leads.
func (a *agent) masterDetected(upid string) {
	a.master = upid
	a.take(func() { a.feed(agentcore.MasterDetected{PID: upid}) })
}

func (a *agent) received(from string, reign epoch.Epoch, m proto.Message) {
	a.take(func() { a.feed(agentcore.Received{From: from, Epoch: reign, Message: m}) })
}
