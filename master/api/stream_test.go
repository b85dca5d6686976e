package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
	"github.com/tombolo-project/tombolo/security"
)

var beatEvent = &scheduler.Event{Type: scheduler.Event_HEARTBEAT}

func TestD19_SlowReaderIsDisconnectedAndCostsNoMemory(t *testing.T) {
	s := NewStream(security.Approver{})
	for range maxPending + 10 {
		s.Send(beatEvent)
	}
	if _, err := s.take(); !errors.Is(err, errSlowReader) {
		t.Fatalf("after %d events nobody read: %v", maxPending+10, err)
	}
	if s.queue != nil {
		t.Error("the events are still held")
	}
}

func TestREC01_AnAnswerForEachOfManyTasksFitsASchedulersStream(t *testing.T) {
	s := NewSchedulerStream()
	for range 200_000 {
		s.Send(beatEvent) // all by one step of the owner: the reader has no chance to take any
	}
	if events, err := s.take(); err != nil || len(events) != 200_000 {
		t.Fatalf("%d events, %v", len(events), err)
	}
}

func TestStreamEndsAfterWhatWasSent(t *testing.T) {
	s := NewStream(security.Approver{})
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ended <- s.serve(r.Context(), w, codec.JSON) }))
	defer server.Close()
	s.Send(beatEvent)
	s.Send(&scheduler.Event{Type: scheduler.Event_ERROR, Error: &scheduler.Event_Error{Message: "over"}})
	s.Finish()
	s.Send(beatEvent) // too late
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	in := recordio.NewReader(answer.Body)
	for _, want := range []scheduler.Event_Type{scheduler.Event_HEARTBEAT, scheduler.Event_ERROR} {
		record, err := in.Next()
		if err != nil {
			t.Fatal(err)
		}
		var e scheduler.Event
		if err := codec.JSON.Unmarshal(record, &e); err != nil || e.Type != want {
			t.Fatalf("%s, %v; want %s", record, err, want)
		}
	}
	if record, err := in.Next(); err == nil {
		t.Errorf("one more event: %s", record)
	}
	if err := <-ended; !errors.Is(err, errFinished) {
		t.Error(err)
	}
}

func TestStreamEndsWithItsClient(t *testing.T) {
	s := NewStream(security.Approver{})
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ended <- s.serve(r.Context(), w, codec.JSON) }))
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	answer.Body.Close()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the stream outlives its client")
	}
}

func TestTiming(t *testing.T) {
	var x Timing
	m := map[string]float64{}
	x.into(m, "t")
	if len(m) != 0 {
		t.Errorf("figures without a sample: %v", m)
	}
	for i := 1; i <= 2000; i++ {
		x.Observe(time.Duration(i) * time.Millisecond)
	}
	x.into(m, "t")
	for name, want := range map[string]float64{"t": 2000, "t/count": 2000, "t/min": 1001, "t/max": 2000, "t/p50": 1500, "t/p99": 1990} {
		if m[name] != want {
			t.Errorf("%s is %g, want %g", name, m[name], want)
		}
	}
}

// SUB-06: constraints are read beside the vocabulary, from either encoding.
func TestConstraintsAreReadFromBothEncodings(t *testing.T) {
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &mesos.FrameworkInfo{User: "u", Name: "n"}, SuppressedRoles: []string{"a"}}}
	plain, err := call.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := constraintsIn(codec.Protobuf, call, plain); got != nil || err != nil {
		t.Errorf("got %v, %v from a call without", got, err)
	}
	sub := append([]byte{3<<3 | 2, 5}, 0x0a, 3, 0x0a, 1, 'r') // SUBSCRIBE { offer_constraints { role_constraints { key: "r" } } }
	body := append([]byte{3<<3 | 2, byte(len(sub))}, sub...)
	if got, err := constraintsIn(codec.Protobuf, call, body); err != nil || len(got.Roles()) != 1 {
		t.Errorf("got %v, %v in protobuf", got, err)
	}
	if got, err := constraintsIn(codec.JSON, call, []byte(`{"subscribe":{"offer_constraints":{"role_constraints":{"r":{}}}}}`)); err != nil || len(got.Roles()) != 1 {
		t.Errorf("got %v, %v in JSON", got, err)
	}
}
