package owner

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/frameworks/store"
)

// counter adds numbers up; the effect is the new sum. Negative numbers are refused, 0 is the tick.
type counter struct {
	sum   int
	dirty bool
}

var errNegative = errors.New("negative")

func (c *counter) Step(_ time.Time, n int) ([]int, error) {
	if n < 0 {
		return nil, errNegative
	}
	if n == 0 {
		return nil, nil
	}
	c.sum += n
	c.dirty = true
	return []int{c.sum}, nil
}

func (c *counter) Changes() []store.Change {
	if !c.dirty {
		return nil
	}
	c.dirty = false
	return []store.Change{{Key: "sum", Value: fmt.Append(nil, c.sum)}}
}

func TestEffectsWaitForTheStore(t *testing.T) {
	var away atomic.Bool
	s := &store.Memory{Fail: func([]store.Change) error {
		if away.Load() {
			return errors.New("away")
		}
		return nil
	}}
	done := make(chan int, 10)
	core := &counter{}
	l := New[int, int](core, s, func(n int) { done <- n }, 0, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()

	if err := l.Do(ctx, 2); err != nil {
		t.Fatal(err)
	}
	if n := <-done; n != 2 {
		t.Fatalf("effect %d, want 2", n)
	}
	if err := l.Do(ctx, -1); !errors.Is(err, errNegative) {
		t.Fatalf("refusal: got %v", err)
	}

	away.Store(true)
	var unavailable *Unavailable
	if err := l.Do(ctx, 3); !errors.As(err, &unavailable) {
		t.Fatalf("while the store is away: got %v", err)
	}
	if len(done) != 0 {
		t.Fatal("an effect happened before its change was durable")
	}
	away.Store(false)
	if n := <-done; n != 5 { // the tick writes it
		t.Fatalf("effect %d, want 5", n)
	}
	docs, _ := s.Load(ctx)
	if string(docs["sum"]) != "5" {
		t.Fatalf("stored %q", docs["sum"])
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := l.Do(t.Context(), 1); !errors.Is(err, ErrStopped) {
		t.Fatalf("after the end: %v", err)
	}
}

func TestSupersededEndsTheLoop(t *testing.T) {
	s := &store.Memory{Fail: func([]store.Change) error { return store.ErrSuperseded }}
	l := New[int, int](&counter{}, s, func(int) { t.Error("effect performed") }, 0, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	go func() { ended <- l.Run(t.Context()) }()
	if err := l.Do(t.Context(), 1); !errors.Is(err, store.ErrSuperseded) && !errors.Is(err, ErrStopped) {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, store.ErrSuperseded) {
		t.Fatal(err)
	}
}
