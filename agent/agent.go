package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/checkpoint"
	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
	"github.com/tombolo-project/tombolo/mesos/detect"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// Config is fixed for the life of an Agent.
type Config struct {
	Core       core.Config
	Self       libprocess.UPID // slave(1)@ip:port
	Masters    *detect.Detector
	Containers containers.Config
	Strict     bool // --strict: refuse to start on unreadable checkpoints
	Cleanup    bool // --recover=cleanup: end the executors of the last run and exit
	GC         GC
	Log        *slog.Logger
	Dial       libprocess.Dial        // nil: plain connections
	Credential credentials.Credential // that the agent proves itself by; without secret it does not
}

// GC says when sandboxes of ended runs are removed; a zero Interval is never.
type GC struct {
	Delay    time.Duration // --gc_delay
	Headroom float64       // --gc_disk_headroom
	Interval time.Duration // --disk_watch_interval
}

// Agent is a running agent. Make it with New, serve Handler, call Run.
type Agent struct {
	cfg        Config
	log        *slog.Logger
	store      *checkpoint.Store
	containers *containers.Manager
	sender     *libprocess.Sender
	mailbox    chan core.Event
	done       chan struct{} // closed when the owner has ended
	view       atomic.Pointer[core.View]
	executors  *executors
	launches   launches
	unlink     func()
	identity   *authenticatee
	limits     map[string]core.Limits   // last applied, by container
	mounted    map[string][]core.Volume // by container
	drivers    struct {                 // of executors of the old protocol, by address
		sync.Mutex
		known map[libprocess.UPID]*driver
	}
}

// mailboxSize bounds what waits for the owner; who posts more, waits.
const mailboxSize = 4096

// New prepares an agent; nothing runs yet.
func New(cfg Config) (*Agent, error) {
	store, err := checkpoint.Open(cfg.Core.WorkDir)
	if err != nil {
		return nil, err
	}
	cfg.Containers.Log = cfg.Log
	manager, err := containers.New(cfg.Containers)
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	a := &Agent{
		cfg: cfg, log: cfg.Log, store: store, containers: manager,
		mailbox: make(chan core.Event, mailboxSize), done: make(chan struct{}), limits: map[string]core.Limits{}, mounted: map[string][]core.Volume{},
	}
	a.sender = libprocess.NewSender(cfg.Self, cfg.Log)
	if cfg.Dial != nil {
		a.sender = libprocess.NewSenderOver(cfg.Dial, cfg.Self, cfg.Log)
	}
	a.executors = newExecutors(a.post)
	a.identity = &authenticatee{
		credential: cfg.Credential, self: cfg.Self, post: a.post, log: cfg.Log,
		send: func(from, to libprocess.UPID, m proto.Message) error { return a.sender.SendFrom(from, to, m) },
	}
	a.drivers.known = map[libprocess.UPID]*driver{}
	a.launches.cancel = map[string]context.CancelFunc{}
	a.view.Store(&core.View{Info: cfg.Core.Info, Recovering: true})
	return a, nil
}

// View is the latest picture of the state; it never waits for the owner.
func (a *Agent) View() *core.View { return a.view.Load() }

// Containers gives access to usage and limits of what runs.
func (a *Agent) Containers() *containers.Manager { return a.containers }

// Handler serves libprocess messages on the agent's port and hands the rest to next.
func (a *Agent) Handler(next http.Handler) http.Handler {
	return libprocess.Handler(a.deliver, next)
}

// deliver takes a message for our actor in.
func (a *Agent) deliver(m libprocess.Message) bool {
	handshake := a.identity.serves(m.To)
	if m.To != a.cfg.Self.ID && !handshake {
		return false
	}
	decoded, err := messages.Decode(m.Name, m.Body)
	if err != nil {
		a.log.Warn("message can't be read, ignored", "message", m.Name, "from", m.From.String(), "error", err)
		return true
	}
	if handshake {
		return a.identity.deliver(m.From, m.To, decoded)
	}
	if a.driverSaid(m.From, decoded) {
		return true
	}
	a.post(core.Received{From: m.From.String(), Message: decoded, Epoch: m.Epoch})
	return true
}

// post gives an event to the owner; after its end, events are dropped.
func (a *Agent) post(e core.Event) {
	select {
	case a.mailbox <- e:
	case <-a.done:
	}
}

// Run recovers what an earlier run left, then owns the state until ctx ends or the
// agent has to go. Executors keep running when ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	defer func() {
		close(a.done)
		_ = a.store.Close()
	}()
	recovered, waiting, err := a.recover()
	if err != nil {
		return err
	}
	if a.cfg.Cleanup {
		return a.cleanup(waiting)
	}
	defer a.sender.Close()
	state := core.New(a.cfg.Core, recovered)
	for id, c := range waiting {
		go a.await(id, c.Exit)
	}
	if err := a.step(state, core.RecoveryStarted{}); err != nil {
		return err
	}
	go a.cfg.Masters.Run(ctx, func(leader *mesos.MasterInfo) {
		if leader == nil {
			a.log.Warn("no master leads")
		}
		a.post(core.MasterDetected{PID: leader.GetPID()})
	})
	if a.cfg.GC.Interval > 0 {
		collector := sandbox.Collector{WorkDir: a.cfg.Core.WorkDir, Delay: a.cfg.GC.Delay, Headroom: a.cfg.GC.Headroom,
			Interval: a.cfg.GC.Interval, Live: a.sandboxes, Log: a.log}
		collecting, stop := context.WithCancel(ctx)
		defer stop()
		go collector.Run(collecting)
	}
	return a.own(ctx, state)
}

// sandboxes are those in use; nil before the agent knows what it runs. One that is
// being made is missing for a moment, but far too young to be collected.
func (a *Agent) sandboxes() map[string]bool {
	v := a.View()
	if v.Recovering {
		return nil
	}
	all := map[string]bool{}
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			all[e.Directory] = true
		}
	}
	return all
}

// own is the owner's loop.
func (a *Agent) own(ctx context.Context, state *core.State) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if at, ok := state.Deadline(); ok {
			timer.Reset(time.Until(at))
		} else {
			timer.Stop()
		}
		var e core.Event
		select {
		case <-ctx.Done():
			return nil
		case e = <-a.mailbox:
		case <-timer.C:
			e = core.Tick{}
		}
		if err := a.step(state, e); err != nil {
			if exit, ok := errors.AsType[*exited](err); ok && !exit.failure {
				a.log.Info("agent ends", "reason", exit.reason)
				return nil
			}
			return err
		}
	}
}

// exited ends the loop by the core's decision.
type exited struct {
	reason  string
	failure bool
}

func (e *exited) Error() string { return e.reason }

func (a *Agent) step(state *core.State, e core.Event) error {
	for _, effect := range state.Step(time.Now(), e) {
		if err := a.perform(effect); err != nil {
			return err
		}
	}
	switch e := e.(type) {
	case core.ContainerExited:
		delete(a.limits, e.Container)
		delete(a.mounted, e.Container)
	case core.ContainerFailed:
		delete(a.limits, e.Container)
		delete(a.mounted, e.Container)
	}
	a.view.Store(state.View())
	return nil
}

// perform carries one effect out. An error ends the agent: without its checkpoints
// it could not keep its promises.
func (a *Agent) perform(effect core.Effect) error {
	if saved, err := a.store.Save(effect); saved {
		return err
	}
	switch e := effect.(type) {
	case core.Send:
		a.send(e)
	case core.Link:
		a.link(e.To)
	case core.Authenticate:
		a.identity.begin(e.With)
	case core.StartContainer:
		a.start(e)
	case core.UpdateContainer:
		a.remount(e)
		a.resize(e)
	case core.DestroyContainer:
		a.destroy(e.Container)
	case core.Tell:
		a.executors.tell(e.Conn, e.Event)
	case core.Hangup:
		a.executors.hangup(e.Conn)
	case core.Answer:
		a.executors.answer(e)
	case core.Log:
		a.log.Log(context.Background(), slog.Level(e.Level), e.Message, e.Attrs...)
	case core.Exit:
		if e.Forget {
			if err := a.store.Forget(); err != nil {
				return err
			}
		}
		return &exited{reason: e.Reason, failure: e.Failure}
	default:
		return fmt.Errorf("effect %T is not known", effect)
	}
	return nil
}

func (a *Agent) send(e core.Send) {
	to, err := libprocess.ParseUPID(e.To)
	if err == nil {
		err = a.sender.Send(to, e.Message)
	}
	if err != nil { // whatever matters is sent again
		a.log.Warn("message not sent", "to", e.To, "message", messages.NameOf(e.Message), "error", err)
	}
}

func (a *Agent) link(upid string) {
	to, err := libprocess.ParseUPID(upid)
	if err != nil {
		a.log.Error("can't link", "to", upid, "error", err)
		return
	}
	if a.unlink != nil {
		a.unlink()
	}
	a.unlink = a.sender.Link(to, func() {
		a.cfg.Masters.Hurry()
		a.post(core.MasterExited{PID: upid})
	})
}

// recover reads the checkpoints and finds the containers that belong to them.
func (a *Agent) recover() (core.Recovered, map[string]containers.Recovered, error) {
	r, err := a.store.Recover(a.cfg.Strict)
	if err != nil {
		return r, nil, err
	}
	if r.Info != nil && !a.cfg.Cleanup {
		if change := changed(r.Info, &a.cfg.Core.Info); change != "" {
			return r, nil, fmt.Errorf("this agent was %s before, with other %s: start it with the old value, or remove %s/meta/slaves/latest to make it a new agent",
				r.Info.ID.GetValue(), change, a.cfg.Core.WorkDir)
		}
	}
	known := map[string]containers.Resources{}
	for _, f := range r.Frameworks {
		for _, e := range f.Executors {
			known[e.Container] = containers.Resources{}
		}
	}
	found, err := a.containers.Recover(known)
	if err != nil {
		return r, nil, fmt.Errorf("recover containers: %w", err)
	}
	for i := range r.Frameworks {
		for j := range r.Frameworks[i].Executors {
			e := &r.Frameworks[i].Executors[j]
			if c, ok := found[e.Container]; ok {
				e.Alive, e.PID = true, c.Process.PID
			}
		}
	}
	if r.Info != nil {
		a.log.Info("recovered", "agent_id", r.Info.ID.GetValue(), "executors", len(known), "containers", len(found))
	}
	return r, maps.Clone(found), nil
}

// cleanup is --recover=cleanup: all executors of the last run are ended.
func (a *Agent) cleanup(left map[string]containers.Recovered) error {
	for id := range left {
		if err := a.containers.Destroy(id); err != nil && !errors.Is(err, containers.ErrUnknown) {
			return err
		}
	}
	for _, c := range left {
		<-c.Exit
	}
	a.log.Info("cleaned up", "containers", len(left))
	return a.store.Forget()
}

// changed names what differs between the info on disk and the flags; an agent that
// runs tasks can't change what it is made of (reference rows RCV-06, RCV-07).
func changed(old, now *mesos.AgentInfo) string {
	was, err1 := offers.Parse(old.Resources)
	is, err2 := offers.Parse(now.Resources)
	switch {
	case old.Hostname != now.Hostname:
		return fmt.Sprintf("--hostname (%q, now %q)", old.Hostname, now.Hostname)
	case old.GetPort() != now.GetPort():
		return fmt.Sprintf("--port (%d, now %d)", old.GetPort(), now.GetPort())
	case err1 != nil || err2 != nil || !was.Equal(is):
		return fmt.Sprintf("--resources (%s, now %s)", was, is)
	case !reflect.DeepEqual(old.Attributes, now.Attributes) && len(old.Attributes)+len(now.Attributes) > 0:
		return "--attributes"
	case !old.Domain.Equal(now.Domain):
		return "--domain"
	}
	return ""
}
