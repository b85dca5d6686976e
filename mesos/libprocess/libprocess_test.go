package libprocess

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

var quiet = slog.New(slog.DiscardHandler)

// actor is a process with one actor that keeps what it receives.
type actor struct {
	server *httptest.Server
	pid    UPID
	inbox  chan Message
}

func start(t *testing.T, id string) *actor {
	a := &actor{inbox: make(chan Message, 10000)}
	a.server = httptest.NewServer(Handler(func(m Message) bool {
		if m.To != id {
			return false
		}
		a.inbox <- m
		return true
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "next: "+r.URL.Path) })))
	t.Cleanup(a.server.Close)
	pid, err := ParseUPID(id + "@" + a.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.pid = pid
	return a
}

func (a *actor) next(t *testing.T) Message {
	t.Helper()
	select {
	case m := <-a.inbox:
		return m
	case <-time.After(10 * time.Second):
		t.Fatal("no message came")
		return Message{}
	}
}

func TestLP10_MessagesArriveInOrder(t *testing.T) {
	agent := start(t, "slave(1)")
	self := UPID{ID: "master", Host: "127.0.0.1", Port: 5050}
	s := NewSender(self, quiet)
	defer s.Close()
	for i := range 1000 {
		if err := s.Send(agent.pid, &messages.KillTaskMessage{TaskID: mesos.TaskID{Value: fmt.Sprint(i)}}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 {
		m := agent.next(t)
		decoded, err := messages.Decode(m.Name, m.Body)
		if err != nil {
			t.Fatal(err)
		}
		if got := decoded.(*messages.KillTaskMessage).TaskID.Value; got != fmt.Sprint(i) || m.From != self {
			t.Fatalf("message %d: got %s from %s", i, got, m.From)
		}
	}
}

func TestSendReconnectsAfterThePeerClosed(t *testing.T) {
	agent := start(t, "slave(1)")
	s := NewSender(UPID{ID: "master", Host: "127.0.0.1", Port: 1}, quiet)
	defer s.Close()
	for range 3 {
		agent.server.CloseClientConnections()
		arrived := false
		for deadline := time.Now().Add(10 * time.Second); !arrived && time.Now().Before(deadline); {
			// One message may be lost with the old connection, no more.
			if err := s.Send(agent.pid, &messages.PingSlaveMessage{}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-agent.inbox:
				arrived = true
			case <-time.After(100 * time.Millisecond):
			}
		}
		if !arrived {
			t.Fatal("nothing arrives any more")
		}
	}
}

// What libprocess itself writes: chunked in one chunk, or no length at all.
func TestLP03_RequestsOfRealLibprocess(t *testing.T) {
	agent := start(t, "slave(1)")
	conn, err := net.Dial("tcp", agent.pid.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /slave(1)/mesos.internal.PingSlaveMessage HTTP/1.1\r\nUser-Agent: libprocess/slave-observer(1)@127.0.0.1:5050\r\n"+
		"Libprocess-From: slave-observer(1)@127.0.0.1:5050\r\nConnection: Keep-Alive\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\x08\x01\r\n0\r\n\r\n")
	fmt.Fprintf(conn, "POST /slave%%281%%29/mesos.internal.PongSlaveMessage HTTP/1.1\r\nUser-Agent: libprocess/x@127.0.0.1:5050\r\nConnection: Keep-Alive\r\nHost: \r\n\r\n")
	first, second := agent.next(t), agent.next(t)
	if string(first.Body) != "\x08\x01" || first.From.ID != "slave-observer(1)" {
		t.Errorf("got %q from %s", first.Body, first.From)
	}
	if second.Name != "mesos.internal.PongSlaveMessage" || second.To != "slave(1)" {
		t.Errorf("got %s for %s", second.Name, second.To)
	}
	in := bufio.NewReader(conn)
	for range 2 {
		response, err := http.ReadResponse(in, nil)
		if err != nil || response.StatusCode != http.StatusAccepted {
			t.Fatalf("got %v, %v", response, err)
		}
		response.Body.Close()
	}
}

func TestLP04_WhatIsNoMessageGoesOn(t *testing.T) {
	agent := start(t, "slave(1)")
	response, err := http.Post(agent.server.URL+"/slave(1)/api/v1", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, _ := io.ReadAll(response.Body); string(text) != "next: /slave(1)/api/v1" {
		t.Errorf("got %q", text)
	}
	for header, tc := range map[string]struct {
		path   string
		status int
	}{
		"a@127.0.0.1:1": {"/nobody/mesos.internal.PingSlaveMessage", http.StatusNotFound},
		"b@127.0.0.1:1": {"/slave(1)", http.StatusInternalServerError},
		"rubbish":       {"/slave(1)/mesos.internal.PingSlaveMessage", http.StatusInternalServerError},
	} {
		request, _ := http.NewRequest(http.MethodPost, agent.server.URL+tc.path, nil)
		request.Header.Set("Libprocess-From", header)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != tc.status {
			t.Errorf("%s from %s: got %d, want %d", tc.path, header, response.StatusCode, tc.status)
		}
	}
}

func TestLP11_LinkTellsWhenThePeerGoes(t *testing.T) {
	agent := start(t, "slave(1)")
	s := NewSender(UPID{ID: "master", Host: "127.0.0.1", Port: 1}, quiet)
	defer s.Close()
	exited, undone := make(chan struct{}), make(chan struct{})
	s.Link(agent.pid, func() { close(exited) })
	s.Link(agent.pid, func() { close(undone) })()
	if err := s.Send(agent.pid, &messages.PingSlaveMessage{}); err != nil {
		t.Fatal(err)
	}
	agent.next(t) // the peer is up and the link stands
	select {
	case <-exited:
		t.Fatal("the link broke by itself")
	default:
	}
	agent.server.CloseClientConnections()
	agent.server.Close()
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody told that the peer has gone")
	}
	select {
	case <-undone:
		t.Error("an undone link told of its end")
	default:
	}
}

func TestLP11_LinkTellsWhenNobodyListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := ParseUPID("slave(1)@" + listener.Addr().String())
	listener.Close()
	s := NewSender(UPID{ID: "master", Host: "127.0.0.1", Port: 1}, quiet)
	defer s.Close()
	exited := make(chan struct{})
	s.Link(pid, func() { close(exited) })
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody told that the peer is not there")
	}
}

func TestLP07_UPID(t *testing.T) {
	for text, want := range map[string]UPID{
		"master@10.0.0.1:5050":   {"master", "10.0.0.1", 5050},
		"slave(1)@10.0.0.1:5051": {"slave(1)", "10.0.0.1", 5051},
	} {
		got, err := ParseUPID(text)
		if err != nil || got != want || got.String() != text {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "master", "master@", "@1.2.3.4:5", "a@b", "a@b:c", "a@b:70000", "a@:1"} {
		if _, err := ParseUPID(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzParseUPID(f *testing.F) {
	f.Add("slave(1)@127.0.0.1:5051")
	f.Fuzz(func(t *testing.T, text string) {
		pid, err := ParseUPID(text)
		if err != nil {
			return
		}
		if again, err := ParseUPID(pid.String()); err != nil || again != pid {
			t.Fatalf("%q: %v, %v", text, again, err)
		}
	})
}

func TestLP11_ALostMessageBreaksTheLink(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	to, err := ParseUPID("slave(1)@" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := NewSender(UPID{ID: "master", Host: "127.0.0.1", Port: 1}, quiet)
	defer s.Close()
	exited := make(chan struct{})
	s.Link(to, func() { close(exited) })
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	listener.Close() // the link lives, but there is no way for messages any more
	if err := s.Send(to, &messages.PingSlaveMessage{}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		t.Fatal("a message was lost and nobody learns of it")
	}
}

func TestADestinationCostsLittleMemory(t *testing.T) {
	s := NewSender(UPID{ID: "master", Host: "127.0.0.1", Port: 1}, quiet)
	defer s.Close()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	const peers = 500
	for i := range peers {
		if err := s.Send(UPID{ID: "slave(1)", Host: fmt.Sprintf("127.1.%d.%d", i/250, 1+i%250), Port: 1}, &messages.PingSlaveMessage{}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if each := int64(after.HeapAlloc-before.HeapAlloc) / peers; each > 64<<10 {
		t.Errorf("%d bytes for each destination", each)
	}
}

func TestAQueueThatIsFullRefusesAndBreaksTheLink(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0") // takes connections, reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	to, err := ParseUPID("slave(1)@" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := NewSender(UPID{ID: "master", Host: "127.0.0.1", Port: 1}, quiet)
	defer s.Close()
	exited := make(chan struct{})
	s.Link(to, func() { close(exited) })
	big := &messages.FrameworkToExecutorMessage{Data: make([]byte, 4096)}
	for range 10 * maxQueue {
		if err = s.Send(to, big); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrQueueFull) {
		t.Fatalf("got %v", err)
	}
	select {
	case <-exited:
	case <-time.After(10 * time.Second):
		t.Fatal("messages were refused and nobody learns of it")
	}
}
