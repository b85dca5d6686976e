// Package frameworktest is a datacenter made of memory, for tests of frameworks: it offers resources, runs tasks for as
// long as the test wants, and speaks to a session.Handler as a session would.
//
// Start reading at Datacenter.Run.
package frameworktest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/frameworks/placement"
	"github.com/tombolo-project/tombolo/frameworks/session"
)

// Agent is a machine: its resources, and whether it can be reached.
type Agent struct {
	ID, Host, Address string
	Rack              string
	Cpus, Mem         float64
	Ports             [2]uint64
	Unreachable       bool
}

// Task is a task that was launched, for as long as it lives.
type Task struct {
	Info  mesos.TaskInfo
	Agent string
	State mesos.TaskState
}

// Datacenter plays master and agents. Its orders.Mesos methods may be called from anywhere.
type Datacenter struct {
	Agents []*Agent
	// Script tells what becomes of a task, state by state; nil = it runs until it is killed.
	Script func(mesos.TaskInfo) []mesos.TaskState
	// Handler is the framework under test.
	Handler session.Handler

	mu       sync.Mutex // guards all below
	tasks    map[string]*Task
	launched map[string]int // launches by task id
	quiet    bool           // suppressed
	offered  map[string]string
	wake     chan struct{}
	queue    []func()
	serial   int
	// Killed lists the kills that were asked for.
	Killed []string
}

// New makes n equal agents: 4 CPUs, 4096 MiB, ports 31000 to 31009.
func New(n int) *Datacenter {
	d := &Datacenter{tasks: map[string]*Task{}, launched: map[string]int{}, offered: map[string]string{}, wake: make(chan struct{}, 1)}
	for i := range n {
		d.Agents = append(d.Agents, &Agent{ID: fmt.Sprintf("agent-%d", i), Host: fmt.Sprintf("host-%d", i), Address: "127.0.0.1",
			Rack: fmt.Sprintf("r%d", i%2+1), Cpus: 4, Mem: 4096, Ports: [2]uint64{31000, 31009}})
	}
	return d
}

// Run subscribes the handler and serves it until ctx ends.
func (d *Datacenter) Run(ctx context.Context) error {
	d.mu.Lock()
	d.quiet, d.offered = false, map[string]string{} // the queue stays: agents repeat what was not acknowledged
	d.mu.Unlock()
	d.Handler.Subscribed(mesos.FrameworkID{Value: "framework-1"})
	d.Reconcile(d.Handler.Tasks())
	for ctx.Err() == nil {
		for _, deliver := range d.take() {
			deliver()
		}
		if offers := d.offers(); len(offers) > 0 {
			d.Handler.Offers(offers)
		}
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (d *Datacenter) take() []func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	q := d.queue
	d.queue = nil
	return q
}

// later queues a delivery; to be called with mu held.
func (d *Datacenter) laterLocked(f func()) {
	d.queue = append(d.queue, f)
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// offers offers everything that is free on every reachable agent that has no offer out.
func (d *Datacenter) offers() []mesos.Offer {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quiet {
		return nil
	}
	out := map[string]bool{}
	for _, agent := range d.offered {
		out[agent] = true
	}
	var offers []mesos.Offer
	for _, a := range d.Agents {
		if a.Unreachable || out[a.ID] {
			continue
		}
		d.serial++
		id := fmt.Sprintf("offer-%d", d.serial)
		d.offered[id] = a.ID
		offers = append(offers, d.offerLocked(a, id))
	}
	return offers
}

func (d *Datacenter) offerLocked(a *Agent, id string) mesos.Offer {
	role := "*"
	cpus, mem, used := a.Cpus, a.Mem, map[uint64]bool{}
	for _, t := range d.tasks {
		if t.Agent != a.ID {
			continue
		}
		for _, r := range t.Info.Resources {
			switch r.Name {
			case "cpus":
				cpus -= r.Scalar.Value
			case "mem":
				mem -= r.Scalar.Value
			case "ports":
				for _, ports := range r.Ranges.Range {
					used[ports.Begin] = true
				}
			}
		}
	}
	var free []mesos.Value_Range
	for p := a.Ports[0]; p <= a.Ports[1]; p++ {
		if !used[p] {
			free = append(free, mesos.Value_Range{Begin: p, End: p})
		}
	}
	scalarType, rangesType, rack := mesos.SCALAR, mesos.RANGES, a.Rack
	return mesos.Offer{ID: mesos.OfferID{Value: id}, AgentID: mesos.AgentID{Value: a.ID}, Hostname: a.Host,
		URL:            &mesos.URL{Scheme: "http", Address: mesos.Address{IP: &a.Address, Port: 5051}},
		AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role},
		Attributes:     []mesos.Attribute{{Name: "rack", Type: mesos.TEXT, Text: &mesos.Value_Text{Value: rack}}},
		Resources: []mesos.Resource{{Name: "cpus", Type: &scalarType, Scalar: &mesos.Value_Scalar{Value: cpus}},
			{Name: "mem", Type: &scalarType, Scalar: &mesos.Value_Scalar{Value: mem}},
			{Name: "ports", Type: &rangesType, Ranges: &mesos.Value_Ranges{Range: free}}}}
}

// Accept launches tasks. What was not offered, or more than was offered, ends them as TASK_ERROR would be too kind: it
// panics, since the framework is wrong.
func (d *Datacenter) Accept(offers []mesos.OfferID, ops []mesos.Offer_Operation, _ time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	agent := d.offered[offers[0].Value]
	for _, o := range offers {
		delete(d.offered, o.Value)
	}
	for _, op := range ops {
		for _, info := range op.Launch.TaskInfos {
			if agent == "" { // the offer is of an earlier subscription
				d.statusLocked(info.TaskID.Value, agent, mesos.TASK_DROPPED)
				continue
			}
			d.launched[info.TaskID.Value]++
			d.tasks[info.TaskID.Value] = &Task{Info: info, Agent: agent, State: mesos.TASK_STAGING}
			states := []mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING}
			if d.Script != nil {
				states = d.Script(info)
			}
			for _, state := range states {
				d.changeLocked(info.TaskID.Value, state)
			}
		}
	}
	for _, a := range d.Agents {
		if a.ID == agent && placement.Group([]mesos.Offer{d.offerLocked(a, "")})[0].Left("cpus") < 0 {
			panic("more launched than offered on " + agent)
		}
	}
}

// Change moves a task to a state, as if its executor or agent had said so.
func (d *Datacenter) Change(task string, state mesos.TaskState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changeLocked(task, state)
}

func (d *Datacenter) changeLocked(task string, state mesos.TaskState) {
	t := d.tasks[task]
	if t == nil {
		return
	}
	t.State = state
	d.statusLocked(task, t.Agent, state)
	if session.Terminal(state) {
		delete(d.tasks, task)
	}
}

// statusLocked delivers a status until it is taken in.
func (d *Datacenter) statusLocked(task, agent string, state mesos.TaskState) {
	id := uuid.New()
	status := mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}, State: &state, AgentID: &mesos.AgentID{Value: agent}, UUID: id[:]}
	var deliver func()
	deliver = func() {
		if d.Handler.Update(status) != nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.laterLocked(deliver)
		}
	}
	d.laterLocked(deliver)
}

// Decline takes offers back; they are offered again.
func (d *Datacenter) Decline(offers []mesos.OfferID, _ time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range offers {
		delete(d.offered, o.Value)
	}
}

// Revive resumes offers.
func (d *Datacenter) Revive(...string) { d.hush(false) }

// Suppress stops offers.
func (d *Datacenter) Suppress(...string) { d.hush(true) }

func (d *Datacenter) hush(quiet bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quiet = quiet
	d.laterLocked(func() {})
}

// Kill ends a task.
func (d *Datacenter) Kill(task mesos.TaskID, _ *mesos.AgentID, _ *time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.Killed = append(d.Killed, task.Value)
	d.changeLocked(task.Value, mesos.TASK_KILLED)
}

// Reconcile answers with the state of each task, as a master with a registered agent does (TASK_GONE for unknown ones).
func (d *Datacenter) Reconcile(tasks []scheduler.Call_Reconcile_Task) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, asked := range tasks {
		state := mesos.TASK_GONE
		if t := d.tasks[asked.TaskID.Value]; t != nil {
			state = t.State
		}
		d.statusLocked(asked.TaskID.Value, asked.GetAgentID().GetValue(), state)
	}
}

// Partition makes an agent unreachable or reachable again, with all its tasks.
func (d *Datacenter) Partition(agent string, away bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, a := range d.Agents {
		if a.ID == agent {
			a.Unreachable = away
		}
	}
	for id, t := range d.tasks {
		if t.Agent == agent {
			state := mesos.TASK_RUNNING
			if away {
				state = mesos.TASK_UNREACHABLE
			}
			d.changeLocked(id, state)
		}
	}
}

// Tasks copies the living tasks.
func (d *Datacenter) Tasks() []Task {
	d.mu.Lock()
	defer d.mu.Unlock()
	var list []Task
	for _, t := range d.tasks {
		list = append(list, *t)
	}
	return list
}

// Launches is how many times each task was launched.
func (d *Datacenter) Launches() map[string]int {
	d.mu.Lock()
	defer d.mu.Unlock()
	counts := map[string]int{}
	for id, n := range d.launched {
		counts[id] = n
	}
	return counts
}

// Eventually polls until check returns nil, for at most half a minute.
func Eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
