// Package transport is what lies below HTTP on every port: TLS, by flags or by the LIBPROCESS_SSL_* variables of Mesos,
// and limits on what a connection may cost. Start reading at Config.Listen (servers) and Config.Dial (clients).
package transport

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of what a client may cost a server.
const (
	// DefaultConnections is how many connections a server keeps; one more is closed at once.
	DefaultConnections = 1 << 16

	handshakeTimeout = 10 * time.Second // for a client to finish the TLS handshake
	warnEvery        = 10 * time.Second // about connections that were closed because there are too many
)

// recordHandshake is the first byte that a TLS client sends; no HTTP request begins with it.
const recordHandshake = 0x16

// Listener hands a connection over only when the client has begun to say something. Links between master and agents, on
// which nothing is ever said (reference row LP-11), wait here at little cost, so that the HTTP server can be strict
// about how long a request may take to arrive.
type Listener struct {
	net.Listener
	tls       *tls.Config // nil: plain only
	downgrade bool        // take plain ones, too
	most      int64
	log       *slog.Logger

	ready  chan net.Conn
	failed chan error
	done   chan struct{}
	open   atomic.Int64

	mu     sync.Mutex // protects the fields below
	silent map[net.Conn]bool
	closed bool
	warned time.Time
}

// wrap makes a Listener of inner, which it owns.
func wrap(inner net.Listener, config *tls.Config, downgrade bool, most int, log *slog.Logger) *Listener {
	l := &Listener{
		Listener: inner, tls: config, downgrade: downgrade, most: int64(most), log: log,
		ready: make(chan net.Conn), failed: make(chan error, 1), done: make(chan struct{}), silent: map[net.Conn]bool{},
	}
	go l.run()
	return l
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. It ends the connections on which nothing was said yet.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	close(l.done)
	for c := range l.silent {
		c.Close()
	}
	return l.Listener.Close()
}

// Open is the number of connections at present.
func (l *Listener) Open() int { return int(l.open.Load()) }

func (l *Listener) run() {
	for {
		c, err := l.Listener.Accept()
		var passing net.Error
		switch {
		case err == nil && l.open.Load() >= l.most:
			c.Close()
			l.warn()
		case err == nil:
			l.open.Add(1)
			go l.greet(&counted{Conn: c, open: &l.open})
		case errors.As(err, &passing) && passing.Timeout(), isExhausted(err):
			time.Sleep(50 * time.Millisecond) // no descriptor is free; some will be
		default:
			l.failed <- err
			return
		}
	}
}

func (l *Listener) warn() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.warned) > warnEvery {
		l.warned = now
		l.log.Warn("a connection was closed: there are too many", "limit", l.most)
	}
}

// greet waits for the client to say something, and hands the connection over.
func (l *Listener) greet(c net.Conn) {
	if !l.park(c) {
		c.Close()
		return
	}
	heard, err := l.hear(c)
	l.unpark(c)
	if err != nil {
		c.Close()
		return
	}
	select {
	case l.ready <- heard:
	case <-l.done:
		c.Close()
	}
}

func (l *Listener) park(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.silent[c] = true
	}
	return !l.closed
}

func (l *Listener) unpark(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.silent, c)
}

// hear returns a connection that has something to read, decrypted.
func (l *Listener) hear(c net.Conn) (net.Conn, error) {
	if l.tls == nil {
		return peek(c)
	}
	if l.downgrade {
		p, err := peek(c)
		if err != nil || p.first[0] != recordHandshake {
			return p, err
		}
		c = p
	}
	secured := tls.Server(c, l.tls)
	if err := c.SetDeadline(time.Now().Add(handshakeTimeout)); err != nil {
		return nil, err
	}
	if err := secured.Handshake(); err != nil {
		l.log.Debug("TLS handshake failed", "peer", c.RemoteAddr().String(), "error", err)
		return nil, err
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return nil, err
	}
	return peek(secured)
}

// peeked is a connection whose first byte was read.
type peeked struct {
	net.Conn
	first []byte // nil once it was read again
}

func peek(c net.Conn) (*peeked, error) {
	p := &peeked{Conn: c, first: make([]byte, 1)}
	for {
		n, err := c.Read(p.first)
		if n == 1 {
			return p, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Read implements net.Conn. One goroutine reads at a time, as everywhere in net/http.
func (p *peeked) Read(b []byte) (int, error) {
	if len(p.first) == 0 || len(b) == 0 {
		return p.Conn.Read(b)
	}
	n := copy(b, p.first)
	p.first = nil
	return n, nil
}

// counted is a connection that is counted until it is closed.
type counted struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

// Close implements net.Conn.
func (c *counted) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}
