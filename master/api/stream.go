package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
	"github.com/tombolo-project/tombolo/security"
)

// Limits of one event stream.
const (
	maxPending   = 16384            // events that wait for a slow operator; one more and it is disconnected
	maxEvents    = 1 << 18          // the same for a scheduler, which gets one for each of its tasks at once (reference row REC-01)
	writeTimeout = 30 * time.Second // for a reader to take what is written to it
)

// Errors that end a stream.
var (
	errSlowReader = errors.New("the client reads its events too slowly")
	errFinished   = errors.New("the master ended the stream")
	// ErrReplaced ends the oldest operator stream when there are too many.
	ErrReplaced = errors.New("too many subscribers; the oldest is disconnected")
)

// Stream is a queue of events on their way to one client. Its methods are safe
// for concurrent use and never block.
type Stream struct {
	limit    int               // of queue
	approver security.Approver // whom it is for
	mu       sync.Mutex        // protects the fields below
	queue    []any             // proto.Message, *Announcement or *document
	finished bool
	failed   error
	control  *http.ResponseController // of the connection, while it is served
	wake     chan struct{}            // has room for one
}

// NewStream returns an empty stream for an operator, who sees what the approver allows.
func NewStream(a security.Approver) *Stream {
	return &Stream{limit: maxPending, approver: a, wake: make(chan struct{}, 1)}
}

// NewSchedulerStream returns an empty stream for a scheduler. It holds more: one answer
// of the master to RECONCILE, or the loss of a rack, is an event for each task, and
// a framework must not be cut off for having many.
func NewSchedulerStream() *Stream { return &Stream{limit: maxEvents, wake: make(chan struct{}, 1)} }

// Send queues an event. A client that is too far behind is disconnected instead.
func (s *Stream) Send(event proto.Message) { s.push(event) }

// Announce queues an event that others get, too, as far as this one may see it.
func (s *Stream) Announce(a *Announcement) {
	switch seen := a.said.Seen(s.approver); seen {
	case nil:
	case a.said.Event:
		s.push(a)
	default:
		s.push(seen)
	}
}

func (s *Stream) push(event any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.finished || s.failed != nil:
		return
	case len(s.queue) >= s.limit:
		s.fail(errSlowReader)
	default:
		s.queue = append(s.queue, event)
	}
	s.signal()
}

// first puts events before all that are queued.
func (s *Stream) first(events ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = append(events, s.queue...)
	s.signal()
}

// Finish ends the stream once all that was sent has been written.
func (s *Stream) Finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.signal()
}

// Fail ends the stream at once.
func (s *Stream) Fail(reason error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.fail(reason)
	}
	s.signal()
}

// fail gives up the client, also one to whom something is being written. The caller holds mu.
func (s *Stream) fail(reason error) {
	s.failed = reason
	s.queue = nil
	if s.control != nil {
		// Where there are no deadlines the write ends by itself, with the client or with the master.
		_ = s.control.SetWriteDeadline(time.Now())
	}
}

// extend gives the client time to take the next thing that is written.
func (s *Stream) extend(control *http.ResponseController) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	s.control = control
	return control.SetWriteDeadline(time.Now().Add(writeTimeout))
}

func (s *Stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns all queued events; err says that no more will come.
func (s *Stream) take() ([]any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.queue
	s.queue = nil
	if s.failed != nil {
		return nil, s.failed
	}
	if s.finished && len(events) == 0 {
		return nil, errFinished
	}
	return events, nil
}

// serve writes the stream's events to w until it ends, and says why it did. The
// header, but for Content-Type, is the caller's.
func (s *Stream) serve(ctx context.Context, w http.ResponseWriter, c codec.Codec) error {
	w.Header().Set("Content-Type", c.MediaType())
	w.WriteHeader(http.StatusOK)
	control := http.NewResponseController(w)
	if err := control.Flush(); err != nil {
		return err
	}
	for {
		events, err := s.take()
		if err != nil {
			return err
		}
		if len(events) == 0 {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-s.wake:
			}
			continue
		}
		if err := s.write(control, w, c, events); err != nil {
			return err
		}
	}
}

func (s *Stream) write(control *http.ResponseController, w io.Writer, c codec.Codec, events []any) error {
	out := recordio.NewWriter(w)
	for _, event := range events {
		if err := s.extend(control); err != nil {
			return err
		}
		if doc, ok := event.(*document); ok {
			if _, err := fmt.Fprintf(w, "%d\n", doc.size); err != nil {
				return err
			}
			if _, err := doc.WriteTo(w); err != nil {
				return err
			}
			continue
		}
		record, err := recordOf(c, event)
		if err != nil {
			return err
		}
		if err := out.Write(record); err != nil {
			return err
		}
	}
	return control.Flush()
}

func recordOf(c codec.Codec, event any) ([]byte, error) {
	if a, ok := event.(*Announcement); ok {
		return a.record(c)
	}
	return render(c, event.(proto.Message))
}

// Announcement is an event for many streams. It is rendered once in each form.
type Announcement struct {
	said  core.Announce
	json  func() ([]byte, error)
	proto func() ([]byte, error)
}

// NewAnnouncement prepares an event, which must not change any more.
func NewAnnouncement(said core.Announce) *Announcement {
	event := said.Event
	return &Announcement{
		said:  said,
		json:  sync.OnceValues(func() ([]byte, error) { return render(codec.JSON, event) }),
		proto: sync.OnceValues(func() ([]byte, error) { return render(codec.Protobuf, event) }),
	}
}

func (a *Announcement) record(c codec.Codec) ([]byte, error) {
	if c == codec.JSON {
		return a.json()
	}
	return a.proto()
}
