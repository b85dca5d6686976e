package agent

import (
	"context"
	"testing"
	"time"
)

func TestListenWaitsForThePortOfAKilledAgent(t *testing.T) {
	old, err := Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = old.Close() })
	l, err := Listen(t.Context(), old.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if l, err := Listen(ctx, l.Addr().String()); err == nil {
		l.Close()
		t.Error("a port that is in use was opened")
	}
}
