package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// pipes is a listener without network, whose clocks are those of a bubble.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	p.conns <- theirs
	return ours
}

// serving runs f in a bubble with a server that answers with the length of the body.
func serving(t *testing.T, c *Config, f func(p *pipes)) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l, err := c.Listen(p, quiet)
		if err != nil {
			t.Fatal(err)
		}
		server := Server(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			fmt.Fprint(w, len(body))
		}), quiet)
		ended := make(chan error, 1)
		go func() { ended <- server.Serve(l) }()
		f(p)
		server.Close()
		time.Sleep(time.Second) // net/http lingers a moment on connections that it closes
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		synctest.Wait()
	})
}

// closedAfter is how long the server bears a connection that says no more.
func closedAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	begin := time.Now()
	if c.SetReadDeadline(begin.Add(24*time.Hour)) != nil {
		return 0 // a pipe whose other end is closed already
	}
	if _, err := io.Copy(io.Discard, c); err != nil {
		return 24 * time.Hour
	}
	return time.Since(begin)
}

func ask(t *testing.T, c net.Conn) {
	t.Helper()
	if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if text, err := io.ReadAll(r.Body); err != nil || string(text) != "3" {
		t.Fatalf("answered %q, %v", text, err)
	}
}

func TestLP11_ASilentConnectionStays(t *testing.T) {
	serving(t, &Config{}, func(p *pipes) {
		link, kept := p.dial(), p.dial()
		ask(t, kept)
		time.Sleep(48 * time.Hour)
		ask(t, link) // never said anything before
		ask(t, kept) // was idle between two requests
		link.Close()
		kept.Close()
	})
}

func TestAHeaderMustArriveInTime(t *testing.T) {
	serving(t, &Config{}, func(p *pipes) {
		for _, begun := range []string{"G", "GET / HTTP/1.1\r\nHost: h\r\nX: "} {
			c := p.dial()
			if _, err := io.WriteString(c, begun); err != nil {
				t.Fatal(err)
			}
			if took := closedAfter(t, c); took > headerTimeout+time.Second {
				t.Errorf("%q was borne for %s", begun, took)
			}
			c.Close()
		}
		c := p.dial() // one byte a second is no progress
		defer c.Close()
		go func() { _, _ = io.Copy(io.Discard, c) }()
		begin := time.Now()
		for i := range 1000 {
			if _, err := c.Write([]byte("GET / HTTP/1.1\r\nX: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy")[i%60 : i%60+1]); err != nil {
				break
			}
			time.Sleep(time.Second)
		}
		if took := time.Since(begin); took > 2*headerTimeout {
			t.Errorf("a header that drips was borne for %s", took)
		}
	})
}

func TestAHeaderHasASize(t *testing.T) {
	serving(t, &Config{}, func(p *pipes) {
		c := p.dial()
		go func() { _, _ = io.WriteString(c, "GET / HTTP/1.1\r\nX: "+strings.Repeat("y", 1<<20)) }()
		r, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || r.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("%v, %v", r, err)
		}
		c.Close()
	})
}

func TestABodyMustMakeProgress(t *testing.T) {
	serving(t, &Config{}, func(p *pipes) {
		for what, pace := range map[string]struct {
			chunk int
			every time.Duration
			done  bool
		}{
			"nothing":        {0, time.Second, false},
			"a drip":         {10, time.Second, false},
			"slow but fine":  {64 << 10, time.Second, true},
			"late, then all": {4 << 20, 20 * time.Second, true},
		} {
			c := p.dial()
			const size = 4 << 20
			if _, err := fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", size); err != nil {
				t.Fatal(err)
			}
			gone := make(chan time.Time, 1)
			go func() {
				_, _ = io.Copy(io.Discard, c)
				gone <- time.Now()
			}()
			begin, failed := time.Now(), false
			for sent := 0; sent < size && !failed && time.Since(begin) < time.Hour; sent += pace.chunk {
				time.Sleep(pace.every)
				_, err := c.Write(make([]byte, pace.chunk))
				failed = err != nil
				select {
				case <-gone:
					failed = true
				default:
				}
			}
			if took := time.Since(begin); failed == pace.done || failed && took > bodyPatience+10*time.Second {
				t.Errorf("%s: failed %t after %s", what, failed, took)
			}
			c.Close()
			synctest.Wait()
		}
	})
}

func TestThereAreOnlySoManyConnections(t *testing.T) {
	serving(t, &Config{MaxConnections: 2}, func(p *pipes) {
		first, second, third := p.dial(), p.dial(), p.dial()
		synctest.Wait()
		if took := closedAfter(t, third); took > time.Second {
			t.Errorf("a third connection was kept for %s", took)
		}
		ask(t, first)
		ask(t, second)
		second.Close()
		synctest.Wait()
		fourth := p.dial()
		ask(t, fourth)
		fourth.Close()
		first.Close()
	})
}

// A bubble does not end before all of its goroutines have: this one does when its connection is closed.
func TestCloseEndsSilentConnections(t *testing.T) {
	serving(t, &Config{}, func(p *pipes) {
		silent := p.dial()
		go func() {
			if _, err := silent.Read(make([]byte, 1)); err == nil {
				t.Error("the server said something")
			}
		}()
		synctest.Wait()
	})
}
