// Package owner runs a pure core: one goroutine owns the state, feeds it events, makes what changed durable, and only
// then carries out the effects.
//
// The order is the guarantee: nothing is launched, killed, answered or acknowledged before the decision for it is in
// the store. When the store is away, changes and effects wait together and whoever asked gets the error; the next
// event tries again. Events that queue up meanwhile are committed in one write.
//
// Start reading at (*Loop).Run.
package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Limits of the loop.
const (
	queueLength  = 1024            // events waiting for the owner; more block their senders
	batchSize    = 256             // events committed by one write
	maxHeld      = 100_000         // effects that wait for the store; with more the process gives up
	writeTimeout = 5 * time.Second // one write to the store
	tickInterval = 500 * time.Millisecond
)

// Core is a pure state machine. E is its events, F its effects.
type Core[E, F any] interface {
	// Step takes one event in. An error refuses the event (a command that does not fit) and changes nothing.
	Step(now time.Time, event E) ([]F, error)
	// Changes returns what has to be written since the last call.
	Changes() []store.Change
}

// Loop owns one core.
type Loop[E, F any] struct {
	core    Core[E, F]
	store   store.Store
	perform func(F)
	tick    E
	log     *slog.Logger

	queue chan request[E]
	done  chan struct{}

	// Owned by Run.
	pending []store.Change
	held    []F
}

// request is an event or a look at the state, and where its outcome goes.
type request[E any] struct {
	event *E
	look  func()
	reply chan error
}

// New makes a loop. perform carries out one effect; it is called by the owner and must not block. tick is the event
// that the core gets twice a second.
func New[E, F any](core Core[E, F], s store.Store, perform func(F), tick E, log *slog.Logger) *Loop[E, F] {
	return &Loop[E, F]{core: core, store: s, perform: perform, tick: tick, log: log,
		queue: make(chan request[E], queueLength), done: make(chan struct{})}
}

// Run owns the core until ctx ends. It returns an error when it cannot go on: the state was taken over by another
// process (store.ErrSuperseded) or the store stayed away too long.
func (l *Loop[E, F]) Run(ctx context.Context) error {
	defer close(l.done)
	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		batch := make([]request[E], 0, 1)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			batch = append(batch, request[E]{event: &l.tick, reply: make(chan error, 1)})
		case r := <-l.queue:
			batch = append(batch, r)
		}
		for len(batch) < batchSize && len(l.queue) > 0 {
			batch = append(batch, <-l.queue)
		}
		if err := l.commit(ctx, batch); err != nil {
			return err
		}
	}
}

// commit steps the core through a batch, writes what changed, performs the effects and answers everyone.
func (l *Loop[E, F]) commit(ctx context.Context, batch []request[E]) error {
	refused := make([]error, len(batch))
	for i, r := range batch {
		if r.event == nil {
			continue
		}
		effects, err := l.core.Step(time.Now(), *r.event)
		l.held, refused[i] = append(l.held, effects...), err
	}
	l.pending = append(l.pending, l.core.Changes()...)
	err := l.flush(ctx)
	for i, r := range batch {
		switch {
		case r.look != nil:
			r.look()
			r.reply <- nil
		case refused[i] != nil:
			r.reply <- refused[i]
		default:
			r.reply <- err
		}
	}
	switch {
	case errors.Is(err, store.ErrSuperseded):
		return err
	case err != nil && len(l.held) > maxHeld:
		return fmt.Errorf("the store has been away too long: %w", err)
	case err != nil && ctx.Err() == nil:
		l.log.Error("state is not written, will be tried again", "error", err)
	}
	return nil
}

// flush writes the pending changes and, when they are durable, performs the effects that waited for them.
func (l *Loop[E, F]) flush(ctx context.Context) error {
	if len(l.pending) > 0 {
		ctx, cancel := context.WithTimeout(ctx, writeTimeout)
		defer cancel()
		if err := l.store.Write(ctx, latest(l.pending)); err != nil {
			return &Unavailable{err}
		}
		l.pending = nil
	}
	held := l.held
	l.held = nil
	for _, effect := range held {
		l.perform(effect)
	}
	return nil
}

// latest keeps the last change of each key: etcd refuses two puts of one key in a transaction.
func latest(changes []store.Change) []store.Change {
	at := make(map[string]int, len(changes))
	kept := make([]store.Change, 0, len(changes))
	for _, c := range changes {
		if i, ok := at[c.Key]; ok {
			kept[i] = c
			continue
		}
		at[c.Key] = len(kept)
		kept = append(kept, c)
	}
	return kept
}

// Unavailable wraps an error of the store: the event was taken in, its effects wait until the store is back.
type Unavailable struct{ Err error }

func (u *Unavailable) Error() string { return "the state store is unavailable: " + u.Err.Error() }
func (u *Unavailable) Unwrap() error { return u.Err }

// ErrStopped is what callers get when the loop has ended.
var ErrStopped = errors.New("shutting down")

// Do hands the event to the owner and waits until its consequences are durable. The error is the core's refusal, or
// *Unavailable.
func (l *Loop[E, F]) Do(ctx context.Context, event E) error {
	return l.send(ctx, request[E]{event: &event, reply: make(chan error, 1)})
}

// Look runs f in the owner goroutine, where it may read the core; it must be quick and keep only immutable values.
func (l *Loop[E, F]) Look(ctx context.Context, f func()) error {
	return l.send(ctx, request[E]{look: f, reply: make(chan error, 1)})
}

func (l *Loop[E, F]) send(ctx context.Context, r request[E]) error {
	select {
	case l.queue <- r:
	case <-l.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-r.reply:
		return err
	case <-l.done:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}
