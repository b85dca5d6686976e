package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/election"
	"github.com/tombolo-project/tombolo/offers"
)

// Limits of the owner.
const (
	maxMail  = 4096 // letters that wait; senders wait when it is full
	maxBatch = 256  // letters taken in before timers and allocation get a turn
	maxLooks = 64   // looks at the state that wait; who wants one more waits
)

// errStopped is what those get who ask a master that shuts down.
var errStopped = errors.New("the master is shutting down")

// letter is one thing for the owner to do: take in an event, or run f, which may
// look at the state and at what belongs to the owner.
type letter struct {
	event core.Event
	reply chan core.Reply // wants the Reply to request
	asked core.RequestID
	f     func()
}

// owner is the one goroutine that has the state.
type owner struct {
	state *core.State
	log   *slog.Logger
	mail  chan letter
	looks chan func()   // at the state; they go before letters
	done  chan struct{} // closed when run has returned

	agents  *agents
	drivers *drivers
	writer  *writer
	meters  *api.Meters

	streams  map[core.StreamID]*api.Stream
	pending  map[core.RequestID]chan core.Reply
	watchers []*api.Stream
	view     *core.View // the last one made

	// valid says whether this master still leads; nil for one that always does. fail
	// ends the reign.
	valid func(time.Time) bool
	fail  context.CancelCauseFunc

	maxWatchers int // the oldest goes when one more comes (reference row EVT-06)

	requests atomic.Uint64
	watching atomic.Int64
	depth    atomic.Int64 // of the mailbox when last looked at
}

func newOwner(state *core.State, meters *api.Meters, log *slog.Logger) *owner {
	return &owner{
		state: state, meters: meters, log: log,
		mail: make(chan letter, maxMail), looks: make(chan func(), maxLooks), done: make(chan struct{}),
		streams: map[core.StreamID]*api.Stream{}, pending: map[core.RequestID]chan core.Reply{},
	}
}

// run feeds the state until ctx ends: letters as they come, and ticks when the
// state wants them. Letters are taken in batches, so that a burst of events causes
// one allocation run (reference row ALT-03).
func (o *owner) run(ctx context.Context) {
	defer close(o.done)
	defer o.hangUp()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-o.mail:
			o.take(l)
			o.takeMore()
		case f := <-o.looks:
			f()
		case <-timer.C:
		}
		if now := time.Now(); !o.state.Deadline().After(now) {
			o.meters.AllocationLatency.Observe(now.Sub(o.state.Deadline()))
			o.step(now, core.Ticked{})
			o.meters.Allocation.Observe(time.Since(now))
		}
		timer.Reset(time.Until(o.state.Deadline()))
	}
}

func (o *owner) takeMore() {
	o.depth.Store(int64(len(o.mail)))
	for range maxBatch {
		select {
		case f := <-o.looks:
			f()
		default:
		}
		select {
		case l := <-o.mail:
			o.take(l)
		default:
			return
		}
	}
}

func (o *owner) take(l letter) {
	if l.reply != nil {
		o.pending[l.asked] = l.reply
	}
	if l.event != nil {
		o.step(time.Now(), l.event)
	}
	if l.f != nil {
		l.f()
	}
}

// step feeds the state, unless this master may not lead any more: then its state
// means nothing to anyone, and nothing comes of the event.
func (o *owner) step(now time.Time, e core.Event) {
	if o.valid != nil && !o.valid(now) {
		o.fail(fmt.Errorf("%w: its lease may have run out", election.ErrLost))
		return
	}
	o.carryOut(o.state.Step(now, e))
}

// carryOut does what the state orders. Nothing in here blocks.
func (o *owner) carryOut(effects []core.Effect) {
	for _, e := range effects {
		switch e := e.(type) {
		case core.SendEvent:
			if s := o.streams[e.Stream]; s != nil {
				s.Send(e.Event)
			} else {
				o.drivers.send(e)
			}
		case core.CloseStream:
			if s := o.streams[e.Stream]; s != nil {
				s.Finish()
			} else {
				o.drivers.close(e.Stream)
			}
		case core.Reply:
			if c := o.pending[e.Request]; c != nil {
				delete(o.pending, e.Request)
				c <- e
			}
		case core.SendAgent:
			o.agents.send(e)
		case core.LinkAgent:
			o.agents.link(o, e.PID)
		case core.WriteRegistry:
			o.writer.write(e.Change)
		case core.Announce:
			if len(o.watchers) == 0 {
				break
			}
			announcement := api.NewAnnouncement(e)
			for _, w := range o.watchers {
				w.Announce(announcement)
			}
		case core.Note:
			level := slog.LevelInfo
			if e.Error {
				level = slog.LevelError
			}
			o.log.Log(context.Background(), level, e.Message, e.Attributes...)
		}
	}
}

// hangUp ends all streams when the master stops.
func (o *owner) hangUp() {
	for _, s := range o.streams {
		s.Fail(errStopped)
	}
	for _, w := range o.watchers {
		w.Fail(errStopped)
	}
}

// post sends a letter; it reports false when the master is stopping.
func (o *owner) post(l letter) bool {
	select {
	case o.mail <- l:
		return true
	case <-o.done:
		return false
	}
}

// Subscribe implements api.Backend.
func (o *owner) Subscribe(s *api.Stream, e core.SchedulerSubscribed) {
	ok := o.post(letter{f: func() {
		o.streams[e.Stream] = s
		o.step(time.Now(), e)
	}})
	if !ok {
		s.Fail(errStopped)
	}
}

// Unsubscribe implements api.Backend.
func (o *owner) Unsubscribe(id core.StreamID, reason error) {
	o.post(letter{f: func() {
		delete(o.streams, id)
		o.step(time.Now(), core.StreamClosed{Stream: id, Reason: reason.Error()})
	}})
}

// Ask implements api.Backend.
func (o *owner) Ask(ctx context.Context, make func(core.RequestID) core.Event) (core.Reply, error) {
	id := core.RequestID(o.requests.Add(1))
	reply := replyChannel()
	if !o.post(letter{event: make(id), reply: reply, asked: id}) {
		return core.Reply{}, errStopped
	}
	select {
	case r := <-reply:
		return r, nil
	case <-o.done:
		return core.Reply{}, errStopped
	case <-ctx.Done():
		return core.Reply{}, context.Cause(ctx)
	}
}

// replyChannel has room for the one answer, so that the owner never waits for who asked.
func replyChannel() chan core.Reply { return make(chan core.Reply, 1) }

// look runs f in the owner's goroutine and waits for it. It goes before the letters that
// wait: what was answered has happened already.
func (o *owner) look(ctx context.Context, f func()) error {
	finished := make(chan struct{})
	select {
	case o.looks <- func() { f(); close(finished) }:
	case <-o.done:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-finished:
		return nil
	case <-o.done:
		return errStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// View implements api.Backend. It is rendered outside of the owner's goroutine, so
// that readers cost the datacenter only the picture (design D4).
func (o *owner) View(ctx context.Context) (*core.View, error) {
	found := make(chan *core.View, 1)
	if err := o.look(ctx, func() { found <- o.picture() }); err != nil {
		return nil, err
	}
	return <-found, nil
}

// picture returns the present view; it is made anew only after a change.
func (o *owner) picture() *core.View {
	if o.view == nil || o.view.Version != o.state.Version() {
		o.view = o.state.View()
	}
	return o.view
}

// Watch implements api.Backend.
func (o *owner) Watch(ctx context.Context, s *api.Stream) (*core.View, error) {
	found := make(chan *core.View, 1)
	err := o.look(ctx, func() {
		if len(o.watchers) >= o.maxWatchers {
			o.watchers[0].Fail(api.ErrReplaced)
			o.watchers = o.watchers[1:]
		}
		o.watchers = append(o.watchers, s)
		o.watching.Store(int64(len(o.watchers)))
		found <- o.picture()
	})
	if err != nil {
		return nil, err
	}
	return <-found, nil
}

// Unwatch implements api.Backend.
func (o *owner) Unwatch(s *api.Stream) {
	o.post(letter{f: func() {
		for i, w := range o.watchers {
			if w == s {
				o.watchers = append(o.watchers[:i:i], o.watchers[i+1:]...)
				break
			}
		}
		o.watching.Store(int64(len(o.watchers)))
	}})
}

// Watchers implements api.Backend.
func (o *owner) Watchers() int { return int(o.watching.Load()) }

// Backlog implements api.Backend.
func (o *owner) Backlog() int { return int(o.depth.Load()) }

// Standings implements api.Backend.
func (o *owner) Standings(ctx context.Context) ([]offers.RoleStanding, map[string]int, error) {
	type result struct {
		roles    []offers.RoleStanding
		refusals map[string]int
	}
	found := make(chan result, 1)
	if err := o.look(ctx, func() {
		roles, refusals := o.state.Standings()
		found <- result{roles, refusals}
	}); err != nil {
		return nil, nil, err
	}
	r := <-found
	return r.roles, r.refusals, nil
}

// Registry implements api.Backend.
func (o *owner) Registry(ctx context.Context) (*core.Registry, error) {
	found := make(chan *core.Registry, 1)
	if err := o.look(ctx, func() { found <- o.state.Registry() }); err != nil {
		return nil, err
	}
	return <-found, nil
}

// Explain implements api.Backend.
func (o *owner) Explain(ctx context.Context, framework string) ([]offers.Reason, bool, error) {
	var reasons []offers.Reason
	known := false
	type result struct {
		reasons []offers.Reason
		known   bool
	}
	found := make(chan result, 1)
	if err := o.look(ctx, func() {
		r, k := o.state.Explain(framework)
		found <- result{r, k}
	}); err != nil {
		return nil, false, err
	}
	r := <-found
	reasons, known = r.reasons, r.known
	return reasons, known, nil
}
