package detect

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

func TestNew(t *testing.T) {
	dir := t.TempDir()
	file, loop := filepath.Join(dir, "masters"), filepath.Join(dir, "loop")
	if err := os.WriteFile(file, []byte("zk://u:p@zk1:2181,zk2:2181/mesos\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(loop, []byte("file://"+loop), 0o600); err != nil {
		t.Fatal(err)
	}
	for text, peers := range map[string]string{
		"10.0.0.1:5050": "10.0.0.1:5050", "a:1, b:2": "a:1 b:2", "file://" + file: "zk1:2181 zk2:2181", "zk://zk:2181/a/b": "zk:2181",
	} {
		d, err := New(text, slog.Default())
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := strings.Join(d.Peers(), " "); got != peers {
			t.Errorf("%s: %s", text, got)
		}
	}
	for _, text := range []string{"", "a", "a:0", "a:70000", "a:1,,b:2", "etcd://a:1/b", "zk://a:1", "zk://a/x", "zk://u@a:1/x", "file:///nowhere", "file://" + loop} {
		if _, err := New(text, slog.Default()); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestList has three masters of which the leader changes: the answer of each names it.
func TestList(t *testing.T) {
	var leader atomic.Pointer[string]
	var servers []*httptest.Server
	var list []string
	for range 3 {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			name := leader.Load()
			switch {
			case r.URL.Path != "/master/redirect":
				http.NotFound(w, r)
			case name == nil:
				http.Error(w, "No leader elected", http.StatusServiceUnavailable)
			default:
				w.Header().Set("Location", "//"+*name)
				w.WriteHeader(http.StatusTemporaryRedirect)
			}
		}))
		defer s.Close()
		servers, list = append(servers, s), append(list, s.Listener.Addr().String())
	}
	d, err := New(strings.Join(list, ","), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan string, 10)
	go d.Run(ctx, func(m *mesos.MasterInfo) { heard <- m.GetPID() })
	expect := func(pid string) {
		t.Helper()
		select {
		case got := <-heard:
			if got != pid {
				t.Fatalf("%q leads, want %q", got, pid)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q is not detected", pid)
		}
	}
	expect("")
	leader.Store(&list[0])
	expect("master@" + list[0])
	servers[0].Close()
	leader.Store(&list[2])
	d.Hurry()
	expect("master@" + list[2])
}
