package agent

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

// listenPatience is how long Listen waits for the port of an agent that was killed.
const listenPatience = 5 * time.Second

// Listen opens the agent's port. A child that a killed agent had just forked still
// holds the port until it has become another program, so an address in use is tried
// again for a moment.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	for deadline := time.Now().Add(listenPatience); ; {
		l, err := config.Listen(ctx, "tcp4", address)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
