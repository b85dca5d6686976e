// Package orders is what the cores of our frameworks ask of the master, as plain values, and the one place that turns
// them into calls. It also keeps the rule when to ask for offers (Appetite) and how a framework presents itself (Info).
//
// Start reading at Perform.
package orders

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// The orders. A core returns them as effects.
type (
	// Accept launches tasks on offers of one agent.
	Accept struct {
		Offers []mesos.OfferID
		Tasks  []mesos.TaskInfo
		Refuse time.Duration // for what is left over
	}
	// Decline gives offers back.
	Decline struct {
		Offers []mesos.OfferID
		Refuse time.Duration
	}
	// Kill ends a task, with the grace period of its own kill policy.
	Kill struct{ Task, Agent string }
	// Revive asks for offers, whatever was refused before.
	Revive struct{}
	// Suppress asks for none.
	Suppress struct{}
	// Reconcile asks for a task's present status.
	Reconcile struct{ Task, Agent string }
)

// How long offers are refused for; a Revive clears that.
const (
	RefuseIdle  = time.Hour        // nothing waits
	RefuseUnfit = 30 * time.Second // something waits, but this does not fit it
	RefuseRest  = 5 * time.Second  // what a launch left over
)

// Mesos is the part of a session that carries orders out; none of its calls waits.
type Mesos interface {
	Accept(offers []mesos.OfferID, ops []mesos.Offer_Operation, refuse time.Duration)
	Decline(offers []mesos.OfferID, refuse time.Duration)
	Revive(roles ...string)
	Suppress(roles ...string)
	Kill(task mesos.TaskID, agent *mesos.AgentID, grace *time.Duration)
	Reconcile(tasks []scheduler.Call_Reconcile_Task)
}

// Perform carries out an order and tells whether the effect was one.
func Perform(link Mesos, effect any) bool {
	switch e := effect.(type) {
	case Accept:
		link.Accept(e.Offers, []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH,
			Launch: &mesos.Offer_Operation_Launch{TaskInfos: e.Tasks}}}, e.Refuse)
	case Decline:
		link.Decline(e.Offers, e.Refuse)
	case Kill:
		link.Kill(mesos.TaskID{Value: e.Task}, agent(e.Agent), nil)
	case Revive:
		link.Revive()
	case Suppress:
		link.Suppress()
	case Reconcile:
		link.Reconcile([]scheduler.Call_Reconcile_Task{Task(e.Task, e.Agent)})
	default:
		return false
	}
	return true
}

// Task names a task for reconciliation.
func Task(task, agentID string) scheduler.Call_Reconcile_Task {
	return scheduler.Call_Reconcile_Task{TaskID: mesos.TaskID{Value: task}, AgentID: agent(agentID)}
}

func agent(id string) *mesos.AgentID {
	if id == "" {
		return nil
	}
	return &mesos.AgentID{Value: id}
}

// reviveInterval is the least time between two revives.
const reviveInterval = time.Second

// Appetite decides when a framework asks for offers: when more waits than it last asked for, at most once a second; and
// when it says that it needs none: as soon as nothing waits.
type Appetite struct {
	connected, suppressed bool
	asked                 int
	revivedAt             time.Time
}

// Connected notes a new subscription, which starts with offers for everyone.
func (a *Appetite) Connected() { *a = Appetite{connected: true} }

// Disconnected notes the end of the subscription.
func (a *Appetite) Disconnected() { a.connected = false }

// IsConnected tells whether there is a subscription.
func (a *Appetite) IsConnected() bool { return a.connected }

// Served notes that one of the things that waited has been placed.
func (a *Appetite) Served() { a.asked = max(0, a.asked-1) }

// Renew makes the next Decide ask again, since what waits has changed.
func (a *Appetite) Renew() { a.asked = 0 }

// Decide returns Revive{}, Suppress{} or nil, for the number of things that wait for offers.
func (a *Appetite) Decide(now time.Time, waiting int) any {
	switch {
	case !a.connected:
		return nil
	case waiting == 0:
		a.asked = 0
		if !a.suppressed {
			a.suppressed = true
			return Suppress{}
		}
	case waiting > a.asked && (a.suppressed || now.Sub(a.revivedAt) >= reviveInterval):
		a.asked, a.suppressed, a.revivedAt = waiting, false, now
		return Revive{}
	case waiting < a.asked:
		a.asked = waiting
	}
	return nil
}

// Info is how a framework of ours presents itself: id is the one it had before, or "".
func Info(name, user, role, host, url, id string, failover time.Duration) mesos.FrameworkInfo {
	checkpoint, seconds := true, failover.Seconds()
	info := mesos.FrameworkInfo{User: user, Name: name, Roles: []string{role}, Checkpoint: &checkpoint, FailoverTimeout: &seconds,
		WebUiURL: &url, Hostname: &host}
	for _, c := range []mesos.FrameworkInfo_Capability_Type{mesos.FrameworkInfo_Capability_PARTITION_AWARE,
		mesos.FrameworkInfo_Capability_TASK_KILLING_STATE, mesos.FrameworkInfo_Capability_MULTI_ROLE,
		mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT} {
		info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: c})
	}
	if id != "" {
		info.ID = &mesos.FrameworkID{Value: id}
	}
	return info
}

// RemovedMessage is in what Mesos's master says to a framework that was torn down or whose failover timeout has passed
// (reference row SUB-02): its tasks are dead and its id is of no more use.
const RemovedMessage = "Framework has been removed"
