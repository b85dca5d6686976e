package agentlink

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// Link is the connection to the agent. One goroutine, the executor's owner, calls its
// methods; what happens on it arrives through Events.
type Link struct {
	// Events brings *executor.Event, Connected and Disconnected.
	Events chan any
	// Wanted asks the owner for a SUBSCRIBE call (see Call), which says what the agent may not know yet.
	Wanted chan chan *executor.Call

	cfg    Config
	http   *http.Client
	posts  chan *executor.Call
	log    *slog.Logger
	broken chan struct{} // a post failed: the stream is not to be trusted either
}

// Connected and Disconnected bracket the events of one stream.
type (
	Connected    struct{}
	Disconnected struct{ Err error }
)

// New prepares a link; Run keeps it up.
func New(cfg Config) *Link {
	transport := cfg.Transport
	if transport == nil {
		transport = &http.Transport{}
	}
	transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext
	transport.MaxIdleConnsPerHost = 2
	return &Link{
		cfg: cfg, http: &http.Client{Transport: transport}, log: cfg.Log,
		Events: make(chan any, 256), posts: make(chan *executor.Call, 1024),
		Wanted: make(chan chan *executor.Call), broken: make(chan struct{}, 1),
	}
}

// Run keeps the link up until ctx ends. Giving up is the owner's decision.
func (l *Link) Run(ctx context.Context) {
	go l.sendPosts(ctx)
	for ctx.Err() == nil {
		err := l.stream(ctx)
		l.emit(ctx, Disconnected{err})
		// Many executors of an agent come back together: spread them, but stay well
		// inside the time that a restarted agent waits (row EXE-08).
		pause := min(l.cfg.BackoffMax, time.Second) / 4
		select {
		case <-ctx.Done():
		case <-time.After(pause/2 + rand.N(pause)):
		}
	}
}

func (l *Link) emit(ctx context.Context, e any) {
	select {
	case l.Events <- e:
	case <-ctx.Done():
	}
}

// stream subscribes once and passes events on until the stream breaks.
func (l *Link) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reply := make(chan *executor.Call, 1)
	select {
	case l.Wanted <- reply:
	case <-ctx.Done():
		return ctx.Err()
	}
	call := <-reply
	select {
	case <-l.broken: // about an earlier stream
	default:
	}
	s, err := client.Subscribe(ctx, l.http, l.cfg.Endpoint, codec.Protobuf, call, l.options()...)
	if err != nil {
		return err
	}
	defer s.Close()
	go func() {
		select {
		case <-ctx.Done():
		case <-l.broken:
			cancel()
		}
	}()
	l.emit(ctx, Connected{})
	for {
		e := &executor.Event{}
		if err := s.Next(e); err != nil {
			return err
		}
		l.emit(ctx, e)
	}
}

// options show who this executor is.
func (l *Link) options() []client.Option {
	if l.cfg.Token == "" {
		return nil
	}
	return []client.Option{client.WithHeader("Authorization", "Bearer "+l.cfg.Token)}
}

// Post queues a call; what can't be sent is repeated by the next subscription.
func (l *Link) Post(c *executor.Call) {
	select {
	case l.posts <- c:
	default:
		l.breakUp()
	}
}

func (l *Link) breakUp() {
	select {
	case l.broken <- struct{}{}:
	default:
	}
}

func (l *Link) sendPosts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case c := <-l.posts:
			attempt, cancel := context.WithTimeout(ctx, 30*time.Second)
			err := client.Call(attempt, l.http, l.cfg.Endpoint, codec.Protobuf, c, l.options()...)
			cancel()
			if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusBadRequest {
				l.log.Error("the agent refused an update", "error", err)
			} else if err != nil && ctx.Err() == nil {
				l.log.Warn("update not delivered, subscribing again", "error", err)
				l.breakUp()
			}
		}
	}
}

// Call starts a call of this executor.
func (l *Link) Call(t executor.Call_Type) *executor.Call {
	return &executor.Call{Type: t, FrameworkID: mesos.FrameworkID{Value: l.cfg.Framework}, ExecutorID: mesos.ExecutorID{Value: l.cfg.Executor}}
}
