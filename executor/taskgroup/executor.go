package taskgroup

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/executor/agentlink"
	"github.com/tombolo-project/tombolo/executor/checks"
)

// Executor carries out what the State wants. All of it belongs to the goroutine of Run.
type Executor struct {
	cfg        agentlink.Config
	link       *agentlink.Link
	containers *containers
	state      *State
	events     chan any // of what was started
	unwatch    map[string]context.CancelFunc
	told       map[string]bool // updates that the last subscription carried
	offline    time.Time       // since when the agent is away; zero while it is there
	heard      bool            // it was there once
	leaveAt    time.Time       // when to go after a signal, heard or not; zero: no signal
}

// Run is the executor's life. It returns when its tasks have ended and the agent knows it, or the agent has been away
// for too long. The end of ctx, which is a signal to this process, ends the tasks like a SHUTDOWN.
func Run(ctx context.Context, cfg agentlink.Config) error {
	endpoint, err := url.Parse(cfg.Endpoint)
	if err != nil {
		return err
	}
	address, _, err := net.SplitHostPort(endpoint.Host)
	if err != nil {
		return err
	}
	stop := ctx.Done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the link outlives the signal: the end has to be told
	defer cancel()
	x := &Executor{
		cfg: cfg, link: agentlink.New(cfg), containers: newContainers(cfg, address),
		state:  New(cfg.Executor, cfg.ShutdownGrace, func() []byte { id := uuid.New(); return id[:] }),
		events: make(chan any, 64), unwatch: map[string]context.CancelFunc{}, offline: time.Now(),
	}
	go x.link.Run(ctx)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for !x.state.Done() {
		timer.Reset(time.Until(x.next()))
		select {
		case <-stop:
			stop = nil
			x.leaveAt = time.Now().Add(cfg.ShutdownGrace)
			x.step(ctx, Shutdown{})
		case reply := <-x.link.Wanted:
			if err := x.drain(ctx); err != nil {
				return err
			}
			reply <- x.subscription()
		case e := <-x.link.Events:
			if err := x.event(ctx, e); err != nil {
				return err
			}
		case e := <-x.events:
			x.step(ctx, e)
		case <-timer.C:
			if err := x.due(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain takes in what the last stream still brought, so that the next subscription names it.
func (x *Executor) drain(ctx context.Context) error {
	for {
		select {
		case e := <-x.link.Events:
			if err := x.event(ctx, e); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// patience is how long an executor lives without its agent (reference row EXE-09).
func (x *Executor) patience() time.Duration {
	if x.cfg.Checkpoint || !x.heard {
		return x.cfg.RecoveryTimeout
	}
	return 0
}

// next is when something is due.
func (x *Executor) next() time.Time {
	at := time.Now().Add(time.Hour)
	earlier := func(t time.Time) {
		if t.Before(at) {
			at = t
		}
	}
	if due, ok := x.state.Deadline(); ok {
		earlier(due)
	}
	if !x.offline.IsZero() {
		earlier(x.offline.Add(x.patience()))
	}
	if !x.leaveAt.IsZero() {
		earlier(x.leaveAt)
	}
	return at
}

func (x *Executor) due(ctx context.Context) error {
	now := time.Now()
	switch {
	case !x.leaveAt.IsZero() && !now.Before(x.leaveAt):
		return errors.New("told to end by a signal, and the agent did not hear of it in time")
	case !x.offline.IsZero() && !now.Before(x.offline.Add(x.patience())):
		return fmt.Errorf("the agent at %s has been away for longer than %s", x.cfg.Endpoint, x.patience())
	}
	if at, ok := x.state.Deadline(); ok && !now.Before(at) {
		x.step(ctx, Tick{})
	}
	return nil
}

func (x *Executor) subscription() *executor.Call {
	c := x.link.Call(executor.Call_SUBSCRIBE)
	c.Subscribe = x.state.Subscription()
	x.told = map[string]bool{}
	for i := range c.Subscribe.UnacknowledgedUpdates {
		x.told[string(c.Subscribe.UnacknowledgedUpdates[i].Status.UUID)] = true
	}
	return c
}

// event takes in what happened on the link.
func (x *Executor) event(ctx context.Context, e any) error {
	switch e := e.(type) {
	case agentlink.Connected:
		x.offline = time.Time{}
		for _, u := range x.state.Unacknowledged() { // made while the subscription was on its way
			if !x.told[string(u.UUID)] {
				x.post(u)
			}
		}
	case agentlink.Disconnected:
		if x.offline.IsZero() {
			x.offline = time.Now()
		}
		x.cfg.Log.Debug("not connected to the agent", "error", e.Err)
	case *executor.Event:
		return x.agentEvent(ctx, e)
	}
	return nil
}

func (x *Executor) agentEvent(ctx context.Context, e *executor.Event) error {
	switch e.Type {
	case executor.Event_SUBSCRIBED:
		x.heard = true
		x.cfg.Log.Info("subscribed", "framework_id", x.cfg.Framework, "executor_id", x.cfg.Executor)
		x.step(ctx, Subscribed{Framework: e.Subscribed.FrameworkInfo, Container: e.Subscribed.ContainerID.GetValue()})
	case executor.Event_LAUNCH_GROUP:
		l := Launch{Tasks: e.LaunchGroup.TaskGroup.Tasks}
		for range l.Tasks {
			l.IDs = append(l.IDs, uuid.NewString())
		}
		x.step(ctx, l)
	case executor.Event_KILL:
		x.step(ctx, Kill{Task: e.Kill.TaskID.Value, Policy: e.Kill.KillPolicy})
	case executor.Event_ACKNOWLEDGED:
		x.step(ctx, Acknowledged{UUID: string(e.Acknowledged.UUID)})
	case executor.Event_SHUTDOWN:
		x.cfg.Log.Info("told to shut down")
		x.step(ctx, Shutdown{})
	case executor.Event_ERROR:
		return errors.New(e.Error.Message)
	case executor.Event_HEARTBEAT, executor.Event_MESSAGE:
	default:
		x.cfg.Log.Warn("event not supported by the default executor, ignored", "event", e.Type.String())
	}
	return nil
}

// step has the state decide, and carries out what it wants.
func (x *Executor) step(ctx context.Context, event any) {
	for _, effect := range x.state.Step(time.Now(), event) {
		switch e := effect.(type) {
		case Start:
			go x.start(ctx, e)
		case Watch:
			x.watch(ctx, e)
		case Unwatch:
			if cancel := x.unwatch[e.Task]; cancel != nil {
				cancel()
			}
		case Signal:
			go x.signal(ctx, e)
		case Send:
			if x.offline.IsZero() {
				x.post(e.Status)
			}
		}
	}
}

func (x *Executor) report(ctx context.Context, event any) {
	select {
	case x.events <- event:
	case <-ctx.Done():
	}
}

func (x *Executor) start(ctx context.Context, e Start) {
	done := Launched{Task: e.Task.TaskID.Value}
	if err := x.containers.start(ctx, e.Container, e.Task); err != nil {
		done.Error = err.Error()
	}
	x.report(ctx, done)
}

func (x *Executor) watch(ctx context.Context, e Watch) {
	name := e.Task.TaskID.Value
	watching, cancel := context.WithCancel(ctx)
	x.unwatch[name] = cancel
	checks.Start(watching, e.Task, x.containers.check(e.Container, e.Task), func(r checks.Result) {
		found := Watched{Task: name, Check: r.Check}
		if r.Health != nil {
			found.Healthy, found.Kill = &r.Health.Healthy, r.Health.Kill
		}
		x.report(watching, found)
	})
	go func() { x.report(ctx, Ended{Task: name, Exit: x.containers.wait(ctx, e.Container)}) }()
}

func (x *Executor) signal(ctx context.Context, e Signal) {
	if err := x.containers.signal(ctx, e.Container, e.Signal); err != nil && ctx.Err() == nil {
		x.cfg.Log.Error("container not signalled", "container_id", e.Container, "signal", e.Signal.String(), "error", err)
	}
}

func (x *Executor) post(u mesos.TaskStatus) {
	c := x.link.Call(executor.Call_UPDATE)
	c.Update = &executor.Call_Update{Status: u}
	x.link.Post(c)
}
