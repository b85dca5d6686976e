package libprocess

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// Limits of what a Sender keeps for one destination.
const (
	maxQueue     = 16384            // messages that wait for a slow peer; further ones are refused
	dialTimeout  = 5 * time.Second  // to connect
	writeTimeout = 15 * time.Second // to hand one message to the network
	idleTimeout  = 60 * time.Second // a connection without messages is closed
)

// ErrQueueFull is returned by Send when the destination does not keep up.
var ErrQueueFull = errors.New("too many messages wait for this destination")

// ErrClosed is returned by Send after Close.
var ErrClosed = errors.New("the sender is closed")

// errLost breaks the links to an address that a message could not be delivered to.
var errLost = errors.New("a message was lost")

// Sender sends messages to actors in other processes. Its methods are safe for
// concurrent use and do not wait for the network. Messages to one address arrive
// in the order of the calls. One that is known to be lost breaks the links to the
// address, as it does in libprocess, so that both sides compare what they know.
type Sender struct {
	self   UPID
	dial   Dial
	log    *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wait   sync.WaitGroup
	epoch  string // sent with every message

	mu    sync.Mutex // Protects fields below, and the queues of peers.
	peers map[string]*peer
	links map[string]map[*link]bool // by address
}

// Dial connects to an address, host:port, perhaps encrypted.
type Dial func(ctx context.Context, dialer *net.Dialer, address string) (net.Conn, error)

// NewSender returns a Sender whose messages come from self and travel plainly.
func NewSender(self UPID, log *slog.Logger) *Sender {
	return NewSenderOver(func(ctx context.Context, dialer *net.Dialer, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", address)
	}, self, log)
}

// NewSenderOver returns a Sender whose messages come from self and travel over the connections that dial makes.
func NewSenderOver(dial Dial, self UPID, log *slog.Logger) *Sender {
	ctx, cancel := context.WithCancel(context.Background())
	return &Sender{dial: dial, self: self, log: log, ctx: ctx, cancel: cancel, peers: map[string]*peer{}, links: map[string]map[*link]bool{}}
}

// SetEpoch has every message say in which reign it was sent. It is called before the
// first message.
func (s *Sender) SetEpoch(e epoch.Epoch) { s.epoch = e.String() }

// Send sends msg from the sender's own actor.
func (s *Sender) Send(to UPID, msg proto.Message) error {
	return s.SendFrom(s.self, to, msg)
}

// SendFrom sends msg in the name of another actor of this process, as Mesos's
// slave observers do. It fails when msg can't be encoded, when too many messages
// wait, and after Close; a message lost on the way breaks the links to its address.
func (s *Sender) SendFrom(from, to UPID, msg proto.Message) error {
	body, err := proto.Marshal(msg)
	if err != nil {
		return fmt.Errorf("encode %T for %s: %w", msg, to, err)
	}
	if err := s.enqueue(to.Address(), envelope(from, to, messages.NameOf(msg), s.epoch, body)); err != nil {
		return fmt.Errorf("send %T to %s: %w", msg, to, err)
	}
	return nil
}

// enqueue leaves a request to the peer of an address, which it starts if there is none.
func (s *Sender) enqueue(address string, request []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return ErrClosed
	}
	p, ok := s.peers[address]
	if !ok {
		p = &peer{sender: s, address: address, wake: make(chan struct{}, 1)}
		s.peers[address] = p
		s.wait.Add(1)
		go func() {
			defer s.wait.Done()
			p.run(s.ctx)
		}()
	}
	if len(p.queue) >= maxQueue {
		s.breakLinks(address)
		return ErrQueueFull
	}
	p.queue = append(p.queue, request)
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// breakLinks ends the links to an address. The caller holds mu.
func (s *Sender) breakLinks(address string) {
	for l := range s.links[address] {
		l.lost(errLost)
	}
}

// envelope is the whole HTTP request of a message, as libprocess writes it
// (reference row LP-03) but with a Content-Length.
func envelope(from, to UPID, name, reign string, body []byte) []byte {
	var b bytes.Buffer
	b.Grow(len(body) + 256)
	fmt.Fprintf(&b, "POST /%s/%s HTTP/1.1\r\n", to.ID, name)
	fmt.Fprintf(&b, "Host: %s\r\nUser-Agent: libprocess/%s\r\nLibprocess-From: %s\r\nConnection: Keep-Alive\r\n", to.Address(), from, from)
	if reign != "" {
		b.WriteString(epoch.Header + ": " + reign + "\r\n")
	}
	b.WriteString("Content-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n")
	b.Write(body)
	return b.Bytes()
}

// link is one call of Link whose connection lives, or is being made.
type link struct{ lost context.CancelCauseFunc }

// Link opens a connection to the process of to that lives as long as both do, and
// calls exited once, from a goroutine of its own, when it breaks, can't be made, or a
// message to that process is lost. Close does not count as a break. The returned
// function undoes the link without a call of exited.
func (s *Sender) Link(to UPID, exited func()) (unlink func()) {
	undone, undo := context.WithCancel(s.ctx)
	ctx, lost := context.WithCancelCause(undone)
	l := &link{lost: lost}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.links[to.Address()] == nil {
		s.links[to.Address()] = map[*link]bool{}
	}
	s.links[to.Address()][l] = true
	s.wait.Add(1)
	go func() {
		defer s.wait.Done()
		defer undo()
		err := s.hold(ctx, to.Address())
		s.forget(to.Address(), l)
		if undone.Err() != nil {
			return
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		s.log.Debug("link broke", "peer", to.String(), "error", err)
		exited()
	}()
	return undo
}

func (s *Sender) forget(address string, l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links[address], l)
	if len(s.links[address]) == 0 {
		delete(s.links, address)
	}
}

// hold connects and returns when the connection ends.
func (s *Sender) hold(ctx context.Context, address string) error {
	conn, err := s.dial(ctx, &net.Dialer{Timeout: dialTimeout, KeepAlive: 5 * time.Second}, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = io.Copy(io.Discard, conn)
	return err
}

// Close drops all connections and what still waits, and returns when every
// goroutine of the sender has ended.
func (s *Sender) Close() {
	s.cancel()
	s.wait.Wait()
}

// peer is the one connection to an address that messages go out by. It lives while
// there are messages, and idleTimeout longer.
type peer struct {
	sender  *Sender
	address string
	queue   [][]byte      // protected by the sender's mu
	wake    chan struct{} // has room for one

	conn net.Conn      // owned by run
	gone chan struct{} // closed when the peer has closed conn
	stop func() bool   // ends the watch that closes conn with the sender
}

// run writes what is queued, connecting when there is something to say.
func (p *peer) run(ctx context.Context) {
	defer p.drop()
	idle := time.NewTimer(idleTimeout)
	defer idle.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-idle.C:
			if p.leave() {
				return
			}
		case <-p.wake:
			for request := p.next(); request != nil && ctx.Err() == nil; request = p.next() {
				p.deliver(ctx, request)
			}
		}
		idle.Reset(idleTimeout)
	}
}

// next takes the oldest request out of the queue, or nil.
func (p *peer) next() []byte {
	p.sender.mu.Lock()
	defer p.sender.mu.Unlock()
	if len(p.queue) == 0 {
		p.queue = nil
		return nil
	}
	request := p.queue[0]
	p.queue[0] = nil
	p.queue = p.queue[1:]
	return request
}

// leave takes the peer out of the sender, unless it has work again.
func (p *peer) leave() bool {
	p.sender.mu.Lock()
	defer p.sender.mu.Unlock()
	if len(p.queue) > 0 {
		return false
	}
	delete(p.sender.peers, p.address)
	return true
}

func (p *peer) deliver(ctx context.Context, request []byte) {
	err := p.write(ctx, request)
	if err == nil || ctx.Err() != nil {
		return
	}
	p.sender.log.Debug("message lost", "peer", p.address, "error", err)
	p.drop()
	p.sender.mu.Lock()
	defer p.sender.mu.Unlock()
	p.sender.breakLinks(p.address)
}

// write sends one request. A connection kept from before may have been closed by
// the peer meanwhile: the request is then tried once more on a fresh one.
func (p *peer) write(ctx context.Context, request []byte) error {
	if p.usable() {
		if err := p.put(request); err == nil {
			return nil
		}
	}
	p.drop()
	if err := p.connect(ctx); err != nil {
		return err
	}
	return p.put(request)
}

func (p *peer) usable() bool {
	if p.conn == nil {
		return false
	}
	select {
	case <-p.gone:
		return false
	default:
		return true
	}
}

func (p *peer) put(request []byte) error {
	if err := p.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	_, err := p.conn.Write(request)
	return err
}

func (p *peer) connect(ctx context.Context) error {
	conn, err := p.sender.dial(ctx, &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}, p.address)
	if err != nil {
		return err
	}
	p.conn, p.gone = conn, make(chan struct{})
	p.stop = context.AfterFunc(ctx, func() { conn.Close() }) // ends a write that the peer does not take
	go p.readAnswers(conn, p.gone)
	return nil
}

// readAnswers reads and drops the responses, so that the peer never blocks on
// them; it closes gone when the peer closes, so that the next write notices. Refusals are logged: they tell of a wrong UPID.
func (p *peer) readAnswers(conn net.Conn, gone chan<- struct{}) {
	defer conn.Close()
	defer close(gone)
	in := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			return
		}
		text, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return
		}
		response.Body.Close()
		if response.StatusCode/100 != 2 {
			p.sender.log.Debug("message refused", "peer", p.address, "status", response.StatusCode, "text", string(text))
		}
	}
}

func (p *peer) drop() {
	if p.conn != nil {
		p.stop()
		p.conn.Close()
		p.conn = nil
	}
}
