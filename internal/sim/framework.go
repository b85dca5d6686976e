package sim

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	mastercore "github.com/tombolo-project/tombolo/master/core"
)

// framework is a scheduler that behaves as Mesos's guide for highly available
// frameworks asks: it stores what it is about to do before it does it, takes an
// update in before it acknowledges it, reconciles after each subscription and from
// time to time, and never uses a task id twice.
type framework struct {
	process
	index  int
	habits habits
	leader *master // as last detected

	// What its store holds.
	id       string
	renewals int // framework ids it has had
	jobs     []*job
	attempts []*attempt
	tearing  bool // it is being torn down by itself,
	finished bool // and has been

	// What one instance knows.
	stream     *stream
	subscribed bool
	heard      time.Duration // last event
	offers     []mesos.Offer
	suppressed bool
	connecting int // counts attempts to subscribe
}

// habits make frameworks differ.
type habits struct {
	aware, killing, multiRole, checkpoint bool
	failover                              time.Duration
	role                                  string
	greedy, picky, killer, suppresses     bool
	executors                             executorKind
	tearsDown                             bool
}

type executorKind int

const (
	commandTasks executorKind = iota
	ownExecutor
	taskGroups
)

// job is work that must be done once; each attempt at it is a task of its own.
type job struct {
	name      string
	resources string
	port      bool
	attempts  int
	done      bool
}

// attempt is a task.
type attempt struct {
	id          string
	job         *job
	agent       string // agent id
	state       mesos.TaskState
	over        bool          // nothing more will come of it
	abandoned   bool          // another attempt has taken its place; if it lives, it is to be killed
	killed      bool          // we want it killed
	unreachable time.Duration // since when, 0: it is not
}

func newFramework(w *world, i int) *framework {
	f := &framework{process: process{w: w, name: fmt.Sprintf("f%d", i)}, index: i}
	roles := []string{"a", "b", "a/x", "a/y", "*"}
	timeouts := []time.Duration{0, 20 * time.Second, 5 * time.Minute, 2 * time.Hour, 2 * time.Hour}
	f.habits = habits{
		aware: w.chance(60), killing: w.chance(50), multiRole: w.chance(70), checkpoint: w.chance(70),
		failover: timeouts[w.rng.IntN(len(timeouts))], role: roles[w.rng.IntN(len(roles))],
		greedy: w.chance(50), picky: w.chance(30), killer: w.chance(30), suppresses: w.chance(40),
		executors: executorKind(w.rng.IntN(3)), tearsDown: w.chance(30),
	}
	sizes := []string{"cpus:0.5;mem:32", "cpus:1;mem:128", "cpus:0.1;mem:64;disk:10", "cpus:1.5;mem:512"}
	for n := range 2 + w.rng.IntN(8) {
		f.jobs = append(f.jobs, &job{name: fmt.Sprintf("%s-j%d", f.name, n), resources: sizes[w.rng.IntN(len(sizes))], port: w.chance(30)})
	}
	return f
}

func (f *framework) info() *mesos.FrameworkInfo {
	timeout, checkpoint := f.habits.failover.Seconds(), f.habits.checkpoint
	info := &mesos.FrameworkInfo{User: "nobody", Name: f.name, FailoverTimeout: &timeout, Checkpoint: &checkpoint}
	if f.id != "" {
		info.ID = &mesos.FrameworkID{Value: f.id}
	}
	add := func(has bool, c mesos.FrameworkInfo_Capability_Type) {
		if has {
			info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: c})
		}
	}
	add(f.habits.aware, mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	add(f.habits.killing, mesos.FrameworkInfo_Capability_TASK_KILLING_STATE)
	add(f.habits.multiRole, mesos.FrameworkInfo_Capability_MULTI_ROLE)
	add(true, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT)
	if f.habits.multiRole {
		info.Roles = []string{f.habits.role}
	} else {
		info.Role = &f.habits.role
	}
	return info
}

// boot starts an instance with what the store holds.
func (f *framework) boot() {
	if f.up || f.finished || f.w.violation != nil {
		return
	}
	f.start()
	f.forget()
	f.w.note(f.name, "starts", f.id)
	f.after(f.w.upTo(time.Second), f.connect)
	f.after(f.w.upTo(20*time.Second), f.routine)
}

// forget drops what an instance knows.
func (f *framework) forget() {
	f.stream, f.subscribed, f.offers, f.suppressed = nil, false, nil, false
}

// crash is kill -9.
func (f *framework) crash(why string) {
	f.w.note(f.name, "dies:", why)
	f.die()
	if f.stream != nil {
		f.w.breakStream(f.stream)
	}
	f.forget()
}

func (f *framework) masterDetected(m *master) {
	f.leader = m
	f.take(func() {
		if f.stream == nil {
			f.connect()
		}
	})
}

// connect subscribes, and again later when nothing came of it.
func (f *framework) connect() {
	if f.stream != nil || f.finished {
		return
	}
	f.connecting++
	n := f.connecting
	if f.leader != nil {
		f.subscribe(f.leader, &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, FrameworkID: f.info().ID, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: f.info()}})
	}
	f.after(f.w.between(10*time.Second, 20*time.Second), func() {
		if f.connecting == n && !f.subscribed {
			if f.stream != nil {
				f.w.breakStream(f.stream)
				f.stream = nil
			}
			f.connect()
		}
	})
}

// streamEnded is the end of a connection as the client sees it.
func (f *framework) streamEnded(s *stream) {
	if f.stream != s {
		return
	}
	f.w.note(f.name, "lost its stream")
	f.forget()
	f.after(f.w.between(100*time.Millisecond, 2*time.Second), f.connect)
}

// event takes in what comes down a stream; what comes down an old one is for another instance.
func (f *framework) event(s *stream, e *scheduler.Event) {
	f.take(func() {
		if f.stream != s || s.broken {
			return
		}
		f.heard = f.w.now
		f.w.check.told(f, e)
		switch e.Type {
		case scheduler.Event_SUBSCRIBED:
			f.onSubscribed(e.Subscribed)
		case scheduler.Event_OFFERS:
			f.offers = append(f.offers, e.Offers.Offers...)
			f.after(f.w.upTo(2*time.Second), f.considerOffers)
		case scheduler.Event_RESCIND:
			f.dropOffer(e.Rescind.OfferID.Value)
		case scheduler.Event_UPDATE:
			f.onUpdate(s, &e.Update.Status)
		case scheduler.Event_ERROR:
			f.onError(e.Error.Message)
		}
	})
}

func (f *framework) onSubscribed(e *scheduler.Event_Subscribed) {
	if f.id == "" {
		f.id = e.FrameworkID.Value
		f.renewals++
	} else if f.id != e.FrameworkID.Value {
		f.w.fail("sim", "framework %s is subscribed as %s", f.id, e.FrameworkID.Value)
	}
	f.subscribed = true
	f.reconcile()
}

// onError ends the instance's session; a removed framework begins anew, and all that it ran is gone.
func (f *framework) onError(message string) {
	f.w.note(f.name, "error", message)
	switch message {
	case "Framework has been removed":
		f.w.check.removed(f.id)
		if f.tearing {
			f.finished = true
			f.crash("torn down")
			return
		}
		f.id = ""
		for _, a := range f.attempts {
			a.over = true
		}
		f.attempts = nil
	case "Framework failed over":
	default:
		f.w.fail("sim", "framework %s is told: %s", f.id, message)
	}
	if f.stream != nil {
		f.w.breakStream(f.stream)
		s := f.stream
		f.streamEnded(s)
	}
}

// replied looks at the answer to a call.
func (f *framework) replied(s *stream, r mastercore.Reply) {
	if r.Status < 300 || f.stream != s {
		return
	}
	f.w.note(f.name, "refused:", r.Text)
	f.w.breakStream(s)
	f.streamEnded(s)
}

// call makes a call on the present stream.
func (f *framework) call(c *scheduler.Call) {
	if f.stream == nil || !f.subscribed {
		return
	}
	c.FrameworkID = &mesos.FrameworkID{Value: f.id}
	f.request(f.stream, c)
}

func (f *framework) dropOffer(id string) {
	for i := range f.offers {
		if f.offers[i].ID.Value == id {
			f.offers = append(f.offers[:i:i], f.offers[i+1:]...)
			return
		}
	}
}

// current is the attempt of a job that is not given up.
func (f *framework) current(j *job) *attempt {
	for _, a := range f.attempts {
		if a.job == j && !a.over && !a.abandoned {
			return a
		}
	}
	return nil
}

// pending are the jobs that want an attempt.
func (f *framework) pending() []*job {
	var list []*job
	for _, j := range f.jobs {
		if !j.done && f.current(j) == nil {
			list = append(list, j)
		}
	}
	return list
}

func (f *framework) attempt(id string) *attempt {
	for _, a := range f.attempts {
		if a.id == id {
			return a
		}
	}
	return nil
}

// done says whether all jobs are.
func (f *framework) done() bool {
	for _, j := range f.jobs {
		if !j.done {
			return false
		}
	}
	return true
}
