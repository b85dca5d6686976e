package session

import (
	"context"
	"errors"
	"sync"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/detect"
)

// errReplaced ends a subscription to a master that leads no more.
var errReplaced = errors.New("another master leads by now")

// leader is who leads by now. Its methods are safe for concurrent use.
type leader struct {
	mu       sync.Mutex // protects the fields below
	address  string     // host:port; empty while nobody leads
	last     string     // the last one who led
	replaced context.Context
	replace  context.CancelFunc // ends replaced
	changed  chan struct{}      // closed at the next change
}

func newLeader(address string) *leader {
	l := &leader{address: address, last: address, changed: make(chan struct{})}
	l.replaced, l.replace = context.WithCancel(context.Background())
	return l
}

// set notes who leads. While nobody does, the subscription to the last leader is left
// alone: it may be the only one who knows.
func (l *leader) set(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if address == l.address {
		return
	}
	if address != "" && address != l.last {
		l.replace()
		l.replaced, l.replace = context.WithCancel(context.Background())
		l.last = address
	}
	l.address = address
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait returns the leader as soon as there is one, and a context that ends when
// another leads; nothing when ctx ends.
func (l *leader) wait(ctx context.Context) (address string, replaced context.Context) {
	for {
		l.mu.Lock()
		address, replaced, changed := l.address, l.replaced, l.changed
		l.mu.Unlock()
		if address != "" {
			return address, replaced
		}
		select {
		case <-ctx.Done():
			return "", nil
		case <-changed:
		}
	}
}

// follow takes in what the detector finds.
func (s *Session) follow(m *mesos.MasterInfo) {
	if m == nil {
		s.leader.set("")
		return
	}
	address, err := detect.Address(m, s.config.TLS)
	if err != nil {
		s.log.Error("a leading master cannot be reached", "error", err)
		return
	}
	s.leader.set(address)
}

// Leader is the host:port of the leading master as far as is known, or empty.
func (s *Session) Leader() string {
	s.leader.mu.Lock()
	defer s.leader.mu.Unlock()
	return s.leader.address
}
