// Package session is the scheduler side of Mesos's v1 API that every framework of
// ours shares: it subscribes, subscribes again when the link breaks, acknowledges
// what the framework has taken in, and reconciles after each subscription. Start
// reading at Handler, then Session.Run.
//
// One goroutine, that of Run, calls the Handler; the calls of a Session may come
// from anywhere, the Handler included, and are sent in their order by another.
package session

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/detect"
)

// Timers; reference rows EV-02, SUB-15, REC-09.
const (
	subscribeTimeout  = 20 * time.Second // until the answer's headers are there
	firstBackoff      = 250 * time.Millisecond
	maxBackoff        = 10 * time.Second
	missedHeartbeats  = 5
	defaultHeartbeat  = 15 * time.Second
	callTimeout       = 30 * time.Second
	maxCalls          = 1 << 16 // calls that wait to be sent
	reconcileFirst    = 5 * time.Second
	reconcileMax      = time.Minute
	reconcileImplicit = 15 * time.Minute
)

// Handler is the framework. Its methods are called from the goroutine of Run, one
// at a time and in the order of the events; they must not block for long.
type Handler interface {
	// Subscribed tells that the framework is connected under id, for the first
	// time or again. The session then reconciles the tasks that Tasks names.
	Subscribed(id mesos.FrameworkID)
	// Disconnected tells that the link broke; all offers held are void.
	Disconnected(err error)
	// Offers brings new offers, each of which must be accepted or declined.
	Offers(offers []mesos.Offer)
	// Rescind takes an offer back.
	Rescind(id mesos.OfferID)
	// Update brings a task's status. Once it returns nil the update, where it
	// asks for that, is acknowledged; an error leaves it to be sent again. One
	// that wraps ErrLater means that the framework itself calls Acknowledge.
	Update(status mesos.TaskStatus) error
	// Message brings an executor's bytes.
	Message(agent mesos.AgentID, executor mesos.ExecutorID, data []byte)
	// Failure tells of the end of an agent or of an executor (reference row
	// EV-03); it is no base for task states.
	Failure(agent *mesos.AgentID, executor *mesos.ExecutorID, status *int32)
	// Tasks returns what to reconcile explicitly: the tasks that the framework
	// believes to exist. Nil asks for implicit reconciliation only.
	Tasks() []scheduler.Call_Reconcile_Task
	// Error brings the master's last word: the framework is not wanted.
	Error(message string)
}

// Config describes a session.
type Config struct {
	Master    string              // as package mesos/detect reads it: host:port, several of them, zk://...
	Framework mesos.FrameworkInfo // with an ID to fail over an existing framework
	Suppress  []string            // roles that start without offers
	Handler   Handler
	Log       *slog.Logger
	Codec     codec.Codec  // nil means protobuf
	HTTP      *http.Client // nil means one of the session's own; one of security/authn shows a credential
	TLS       bool         // the masters speak TLS
}

// Session is a framework's subscription to a master.
type Session struct {
	config  Config
	masters *detect.Detector
	codec   codec.Codec
	http    *http.Client
	log     *slog.Logger
	room    int // for calls that wait to be sent

	leader *leader

	mu     sync.Mutex // Protects fields below.
	id     *mesos.FrameworkID
	stream *stream                         // nil while not subscribed
	kills  map[string]*scheduler.Call_Kill // asked for, end not seen yet; by task id
}

// stream is one subscription.
type stream struct {
	id     string
	url    string
	calls  chan *scheduler.Call
	taken  chan struct{} // has room for one: a call was taken out of calls
	cancel context.CancelCauseFunc
}

// ErrTerminal is wrapped by the error of Run when the master refused the
// framework for good.
var ErrTerminal = errors.New("the master ended the framework's subscription")

// ErrLater is what Handler.Update returns for an update that the framework still
// has to write down somewhere; it calls Session.Acknowledge when that is done.
var ErrLater = errors.New("the framework acknowledges the update later")

// New checks config and returns a Session that does nothing before Run.
func New(config Config) (*Session, error) {
	s := &Session{config: config, codec: config.Codec, http: config.HTTP, log: config.Log, room: maxCalls, kills: map[string]*scheduler.Call_Kill{}}
	if config.Handler == nil || config.Log == nil {
		return nil, errors.New("a session needs a handler and a logger")
	}
	var err error
	if s.masters, err = detect.New(config.Master, config.Log); err != nil {
		return nil, err
	}
	s.leader = newLeader(s.masters.Fixed())
	if s.codec == nil {
		s.codec = codec.Protobuf
	}
	if s.http == nil {
		s.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}}
	}
	s.masters.Use(s.scheme(), s.http)
	if id := config.Framework.ID; id != nil && id.Value != "" {
		s.id = id
	}
	return s, nil
}

// Run subscribes and serves the Handler until ctx ends, which returns nil, or the
// master refuses the framework for good, which returns an error wrapping
// ErrTerminal. A broken link is mended with growing, randomised pauses.
func (s *Session) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if s.masters.Fixed() == "" {
		go s.masters.Run(ctx, s.follow)
	}
	backoff := firstBackoff
	for {
		master, replaced := s.leader.wait(ctx)
		if ctx.Err() != nil {
			return nil
		}
		subscribed, err := s.serve(ctx, master, replaced)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrTerminal) {
			return err
		}
		if subscribed {
			backoff = firstBackoff
			s.config.Handler.Disconnected(err)
		}
		s.log.Warn("not subscribed to the master", "master", master, "error", err, "retry_in", backoff)
		s.masters.Hurry()
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff/2 + rand.N(backoff/2)):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// FrameworkID returns the id that the master gave, or false before there is one.
func (s *Session) FrameworkID() (mesos.FrameworkID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id == nil {
		return mesos.FrameworkID{}, false
	}
	return *s.id, true
}

func (s *Session) scheme() string {
	if s.config.TLS {
		return "https://"
	}
	return "http://"
}

// serve holds one subscription from its beginning to its end and tells whether
// it had begun.
func (s *Session) serve(ctx context.Context, master string, replaced context.Context) (subscribed bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(replaced, func() { cancel(errReplaced) })()
	url := s.scheme() + master + "/api/v1/scheduler"
	watchdog := time.AfterFunc(subscribeTimeout, func() { cancel(errors.New("the master did not answer in time")) })
	events, err := client.Subscribe(ctx, s.http, url, s.codec, s.subscribeCall())
	if !watchdog.Stop() && err == nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("subscribe to %s: %w", master, err)
	}
	defer events.Close()

	st := &stream{id: events.StreamID(), url: url, calls: make(chan *scheduler.Call, s.room), taken: make(chan struct{}, 1), cancel: cancel}
	sender := make(chan struct{})
	go func() {
		defer close(sender)
		s.send(ctx, st)
	}()
	defer func() {
		s.detach(st)
		cancel(nil)
		<-sender
	}()
	return s.dispatch(ctx, events, st)
}

func (s *Session) subscribeCall() *scheduler.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := s.config.Framework
	info.ID = s.id
	return &scheduler.Call{
		Type:        scheduler.Call_SUBSCRIBE,
		FrameworkID: s.id,
		Subscribe:   &scheduler.Call_Subscribe{FrameworkInfo: &info, SuppressedRoles: s.config.Suppress},
	}
}

// send posts the stream's calls one after the other. A call that the master
// refuses ends the subscription: the two then disagree about what it is.
func (s *Session) send(ctx context.Context, st *stream) {
	for {
		select {
		case <-ctx.Done():
			return
		case call := <-st.calls:
			select {
			case st.taken <- struct{}{}:
			default:
			}
			callCtx, cancel := context.WithTimeout(ctx, callTimeout)
			err := client.Call(callCtx, s.http, st.url, s.codec, call, client.WithStreamID(st.id))
			cancel()
			if err != nil && ctx.Err() == nil {
				st.cancel(fmt.Errorf("%s: %w", call.GetType(), err))
				return
			}
		}
	}
}

// rest waits while half of the room for calls is taken, so that events which bring more
// calls (each update an acknowledgement) stay with the master until these are sent.
func (st *stream) rest(ctx context.Context) {
	for 2*len(st.calls) > cap(st.calls) {
		select {
		case <-ctx.Done():
			return
		case <-st.taken:
		}
	}
}

func (s *Session) attach(st *stream, id mesos.FrameworkID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.stream = &id, st
}

func (s *Session) detach(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream == st {
		s.stream = nil
	}
}
