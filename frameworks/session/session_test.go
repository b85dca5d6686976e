package session

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
)

// fakeMaster records calls and lets the test write events. It stands in for a
// master only where a real one can't be made to fail on demand.
type fakeMaster struct {
	*httptest.Server
	calls chan *scheduler.Call

	mu     sync.Mutex
	events chan *scheduler.Event // of the live subscription; closing it ends the stream
	subs   int
}

func newFakeMaster(t *testing.T) *fakeMaster {
	m := &fakeMaster{calls: make(chan *scheduler.Call, 1000)}
	m.Server = httptest.NewServer(m)
	t.Cleanup(m.Close)
	return m
}

func (m *fakeMaster) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := new(scheduler.Call)
	if err := codec.Protobuf.Unmarshal(body, call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	m.calls <- call
	if call.GetType() != scheduler.Call_SUBSCRIBE {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	events := make(chan *scheduler.Event, 100)
	m.mu.Lock()
	m.events, m.subs = events, m.subs+1
	m.mu.Unlock()
	w.Header().Set(client.StreamIDHeader, "stream")
	w.Header().Set("Content-Type", codec.MediaTypeProtobuf)
	w.WriteHeader(http.StatusOK)
	out := recordio.NewWriter(w)
	seconds := 15.0
	events <- &scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID: &mesos.FrameworkID{Value: "F1"}, HeartbeatIntervalSeconds: &seconds}}
	for {
		select {
		case <-r.Context().Done():
			return
		case event, ok := <-events:
			if !ok {
				return
			}
			data, _ := codec.Protobuf.Marshal(event)
			if out.Write(data) != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

func (m *fakeMaster) send(event *scheduler.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events <- event
}

func (m *fakeMaster) hangUp() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.events)
}

// await returns the next call of the given type and drops others.
func (m *fakeMaster) await(t *testing.T, kind scheduler.Call_Type) *scheduler.Call {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case call := <-m.calls:
			if call.GetType() == kind {
				return call
			}
		case <-deadline:
			t.Fatalf("no %s came", kind)
		}
	}
}

// recorder is a framework that keeps what it is told.
type recorder struct {
	events  chan string
	refuse  bool // updates are not taken in
	later   bool // updates are taken in later
	session *Session
}

func (r *recorder) Subscribed(id mesos.FrameworkID) { r.events <- "subscribed " + id.Value }
func (r *recorder) Disconnected(error)              { r.events <- "disconnected" }
func (r *recorder) Offers(o []mesos.Offer) {
	r.events <- "offer " + o[0].ID.Value
	r.session.Decline([]mesos.OfferID{o[0].ID}, time.Hour)
}
func (r *recorder) Rescind(id mesos.OfferID) { r.events <- "rescind " + id.Value }
func (r *recorder) Update(s mesos.TaskStatus) error {
	r.events <- "update " + s.TaskID.Value
	if r.later {
		return fmt.Errorf("in a moment: %w", ErrLater)
	}
	if r.refuse {
		return errors.New("the disk is full")
	}
	return nil
}
func (r *recorder) Message(_ mesos.AgentID, _ mesos.ExecutorID, data []byte) {
	r.events <- "message " + string(data)
}
func (r *recorder) Failure(*mesos.AgentID, *mesos.ExecutorID, *int32) { r.events <- "failure" }
func (r *recorder) Tasks() []scheduler.Call_Reconcile_Task {
	return []scheduler.Call_Reconcile_Task{{TaskID: mesos.TaskID{Value: "known"}}}
}
func (r *recorder) Error(message string) { r.events <- "error " + message }

func (r *recorder) await(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-r.events:
		if got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("%q did not come", want)
	}
}

func run(t *testing.T, m *fakeMaster) (*recorder, *Session, chan error) {
	r := &recorder{events: make(chan string, 100)}
	s, err := New(Config{
		Master:    strings.TrimPrefix(m.URL, "http://"),
		Framework: mesos.FrameworkInfo{User: "root", Name: "test"},
		Handler:   r,
		Log:       slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.session = s
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(cancel)
	return r, s, done
}

func update(task string, state mesos.TaskState) *scheduler.Event {
	return &scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: task}, State: &state, AgentID: &mesos.AgentID{Value: "S0"}, UUID: []byte("0123456789abcdef")}}}
}

func TestSubscribeOfferUpdateAndFailover(t *testing.T) {
	m := newFakeMaster(t)
	r, s, _ := run(t, m)
	r.await(t, "subscribed F1")
	if got := m.await(t, scheduler.Call_RECONCILE).GetReconcile().GetTasks(); len(got) != 1 || got[0].TaskID.Value != "known" {
		t.Errorf("reconciles %v", got)
	}
	m.send(&scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{Offers: []mesos.Offer{{ID: mesos.OfferID{Value: "O1"}}}}})
	r.await(t, "offer O1")
	decline := m.await(t, scheduler.Call_DECLINE)
	if decline.GetDecline().GetFilters().GetRefuseSeconds() != 3600 || decline.GetFrameworkID().Value != "F1" {
		t.Errorf("declines with %v", decline)
	}
	m.send(update("T1", mesos.TASK_RUNNING))
	r.await(t, "update T1")
	if got := m.await(t, scheduler.Call_ACKNOWLEDGE).GetAcknowledge(); got.TaskID.Value != "T1" || got.AgentID.Value != "S0" {
		t.Errorf("acknowledges %v", got)
	}
	s.Kill(mesos.TaskID{Value: "T1"}, nil, nil)
	m.await(t, scheduler.Call_KILL)

	m.hangUp()
	r.await(t, "disconnected")
	r.await(t, "subscribed F1")
	if got := m.await(t, scheduler.Call_SUBSCRIBE); got.GetFrameworkID() == nil || got.GetSubscribe().GetFrameworkInfo().GetID().GetValue() != "F1" {
		t.Errorf("subscribes again as %v", got)
	}
	if got := m.await(t, scheduler.Call_KILL); got.GetKill().GetTaskID().Value != "T1" {
		t.Errorf("kills %v again", got)
	}
	m.send(update("T1", mesos.TASK_KILLED))
	r.await(t, "update T1")
	m.hangUp()
	r.await(t, "disconnected")
	r.await(t, "subscribed F1")
	m.await(t, scheduler.Call_SUBSCRIBE)
	m.await(t, scheduler.Call_RECONCILE)
	select {
	case call := <-m.calls:
		if call.GetType() == scheduler.Call_KILL {
			t.Error("a task seen dead is killed again")
		}
	default:
	}
}

func TestAnUpdateNotTakenInIsNotAcknowledged(t *testing.T) {
	m := newFakeMaster(t)
	r, s, _ := run(t, m)
	r.await(t, "subscribed F1")
	r.refuse = true
	m.send(update("T1", mesos.TASK_RUNNING))
	r.await(t, "update T1")
	s.Suppress() // comes after where an acknowledgement would be
	for call := range m.calls {
		if call.GetType() == scheduler.Call_ACKNOWLEDGE {
			t.Fatal("acknowledged")
		}
		if call.GetType() == scheduler.Call_SUPPRESS {
			break
		}
	}
}

func TestAnUpdateTakenInLaterIsAcknowledgedLater(t *testing.T) {
	m := newFakeMaster(t)
	r, s, _ := run(t, m)
	r.await(t, "subscribed F1")
	r.later = true
	event := update("T1", mesos.TASK_RUNNING)
	m.send(event)
	r.await(t, "update T1")
	s.Suppress() // comes after where an early acknowledgement would be
	for call := range m.calls {
		if call.GetType() == scheduler.Call_ACKNOWLEDGE {
			t.Fatal("acknowledged at once")
		}
		if call.GetType() == scheduler.Call_SUPPRESS {
			break
		}
	}
	s.Acknowledge(event.GetUpdate().GetStatus())
	if got := m.await(t, scheduler.Call_ACKNOWLEDGE).GetAcknowledge(); got.TaskID.Value != "T1" {
		t.Errorf("acknowledges %v", got)
	}
}

func TestEV04_ErrorEndsTheSession(t *testing.T) {
	m := newFakeMaster(t)
	r, _, done := run(t, m)
	r.await(t, "subscribed F1")
	m.send(&scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: "Framework failed over"}})
	r.await(t, "error Framework failed over")
	if err := <-done; !errors.Is(err, ErrTerminal) {
		t.Errorf("got %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for _, master := range []string{"", "localhost", "a:1,b", "zk://x", ":5050", "a:b"} {
		_, err := New(Config{Master: master, Handler: &recorder{}, Log: slog.New(slog.DiscardHandler)})
		if err == nil {
			t.Errorf("%q was taken", master)
		}
	}
}

// eager takes every update in at once.
type eager struct {
	recorder
	taken int
}

func (e *eager) Update(mesos.TaskStatus) error { e.taken++; return nil }

func TestManyUpdatesAtOnceDoNotEndTheSubscription(t *testing.T) {
	m := newFakeMaster(t)
	m.calls = make(chan *scheduler.Call) // a call is answered once the test has seen it
	h := &eager{recorder: recorder{events: make(chan string, 100)}}
	s, err := New(Config{Master: strings.TrimPrefix(m.URL, "http://"), Framework: mesos.FrameworkInfo{User: "root", Name: "test"}, Handler: h, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h.session, s.room = s, 64
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() { // so that a failure ends the fake master, too
		cancel()
		go func() {
			for range m.calls {
			}
		}()
	})
	m.await(t, scheduler.Call_SUBSCRIBE)
	h.await(t, "subscribed F1")
	const updates = 1000
	go func() {
		for i := range updates {
			m.send(update(fmt.Sprint(i), mesos.TASK_RUNNING))
		}
	}()
	time.Sleep(200 * time.Millisecond) // lets updates pile up; the test is right without it, too
	for i := range updates {
		if got := m.await(t, scheduler.Call_ACKNOWLEDGE).GetAcknowledge().TaskID.Value; got != fmt.Sprint(i) {
			t.Fatalf("%s was acknowledged, want %d", got, i)
		}
	}
	cancel()
	for running := true; running; {
		select {
		case <-m.calls:
		case <-done:
			running = false
		}
	}
	if len(h.events) != 0 {
		t.Errorf("got %q", <-h.events)
	}
}
