package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/security"
)

// EVT-06, D19: a client that reads nothing is cut off as soon as its queue is full, in the middle of a write, too.
func TestEVT06_AClientThatReadsNothingIsCutOff(t *testing.T) {
	s := NewStream(security.Approver{})
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ended <- s.serve(r.Context(), w, codec.JSON) }))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	big := &master.Event{Type: master.Event_TASK_ADDED, TaskAdded: &master.Event_TaskAdded{Task: mesos.Task{Name: strings.Repeat("x", 64<<10)}}}
	sent := 0
	for deadline := time.Now().Add(patience); ; sent++ {
		select {
		case err := <-ended:
			if !errors.Is(err, errSlowReader) && !errors.Is(err, context.DeadlineExceeded) && !strings.Contains(fmt.Sprint(err), "timeout") {
				t.Errorf("the stream ended because: %v", err)
			}
			if sent > 4*maxPending {
				t.Errorf("only after %d events", sent)
			}
			return
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the stream goes on")
		}
		s.Announce(NewAnnouncement(core.Announce{Event: big}))
		if sent > 2*maxPending {
			time.Sleep(time.Millisecond) // it must have been cut off by now; the server may say so
		}
	}
}

// patience is how long a test waits for what must happen; it is less than a write may take.
const patience = 20 * time.Second
