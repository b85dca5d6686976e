package master

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/crammd5"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// sessionActor begins the names of the actors that handshakes are held with.
const sessionActor = "crammd5-authenticator-session("

// maxSessions bounds the handshakes under way: all agents may come at once.
const maxSessions = 1 << 17

// authenticator holds the handshakes of agents and schedulers of the older driver (reference section 5.5). Its methods
// are safe for concurrent use.
type authenticator struct {
	store   *credentials.Store // nil: nobody can prove anything
	timeout time.Duration
	sender  *libprocess.Sender
	self    libprocess.UPID
	post    func(core.Event) // learns of beginnings and successes
	log     *slog.Logger

	mu       sync.Mutex // protects the fields below
	sessions map[string]*session
	byPID    map[string]*session // by the pid that is being authenticated
	count    uint64
}

func newAuthenticator(store *credentials.Store, timeout time.Duration, agents *agents, self libprocess.UPID, post func(core.Event)) *authenticator {
	return &authenticator{
		store: store, timeout: timeout, sender: agents.sender, self: self, post: post, log: agents.log,
		sessions: map[string]*session{}, byPID: map[string]*session{},
	}
}

// session is one handshake.
type session struct {
	actor  libprocess.UPID // ours
	peer   libprocess.UPID // the client's
	pid    string          // that is being authenticated
	server *crammd5.Server
	expiry *time.Timer
}

// begin answers an AuthenticateMessage. A handshake of the same pid that is under way is given up: the client has.
func (a *authenticator) begin(from libprocess.UPID, pid string) {
	a.post(core.AuthenticationBegan{PID: pid})
	subject, err := libprocess.ParseUPID(pid)
	switch {
	case a.store == nil:
		a.fail(a.self, from, "No authenticator loaded")
		return
	case err != nil || subject.Host != from.Host:
		// Else anybody with credentials could take another's place. Ports may differ: mesos-go's handshake has one of its own.
		a.fail(a.self, from, "an actor can be authenticated only by one at its own address")
		return
	}
	s, ok := a.open(from, pid)
	if !ok {
		a.fail(a.self, from, "too many authentications are under way")
		return
	}
	a.send(s.actor, s.peer, &messages.AuthenticationMechanismsMessage{Mechanisms: []string{crammd5.Mechanism}})
}

func (a *authenticator) open(from libprocess.UPID, pid string) (*session, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if old := a.byPID[pid]; old != nil {
		a.remove(old)
	}
	if len(a.sessions) >= maxSessions {
		return nil, false
	}
	a.count++
	actor := a.self
	actor.ID = fmt.Sprintf("%s%d)", sessionActor, a.count)
	// The challenge is what RFC 2195 wants: random, with the time and the host.
	challenge := fmt.Sprintf("<%s.%d@%s>", rand.Text(), time.Now().Unix(), a.self.Host)
	s := &session{actor: actor, peer: from, pid: pid, server: crammd5.NewServer(a.store, challenge)}
	a.sessions[actor.ID], a.byPID[pid] = s, s
	s.expiry = time.AfterFunc(a.timeout, func() { a.end(s) })
	return s, true
}

// end forgets a handshake.
func (a *authenticator) end(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.remove(s)
}

// remove is end for those who hold mu.
func (a *authenticator) remove(s *session) {
	s.expiry.Stop()
	delete(a.sessions, s.actor.ID)
	if a.byPID[s.pid] == s {
		delete(a.byPID, s.pid)
	}
}

// serves says whether an actor may be one of a handshake.
func (a *authenticator) serves(actor string) bool { return strings.HasPrefix(actor, sessionActor) }

// deliver takes in a message of a handshake; false if there is none, or it is another's.
func (a *authenticator) deliver(from libprocess.UPID, actor string, m proto.Message) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.sessions[actor]
	if s == nil || s.peer != from {
		return false
	}
	switch m := m.(type) {
	case *messages.AuthenticationStartMessage:
		challenge, err := s.server.Start(m.Mechanism, m.Data)
		if err != nil {
			a.remove(s)
			a.fail(s.actor, s.peer, err.Error())
			return true
		}
		a.send(s.actor, s.peer, &messages.AuthenticationStepMessage{Data: challenge})
	case *messages.AuthenticationStepMessage:
		a.finish(s, m.Data)
	default:
		return false
	}
	return true
}

// finish judges the answer. The caller holds mu.
func (a *authenticator) finish(s *session, answer []byte) {
	a.remove(s)
	principal, right, err := s.server.Step(answer)
	switch {
	case err != nil:
		a.fail(s.actor, s.peer, err.Error())
	case !right:
		a.log.Warn("authentication failed", "pid", s.pid, "principal", principal)
		a.send(s.actor, s.peer, &messages.AuthenticationFailedMessage{})
	default:
		a.log.Info("authenticated", "pid", s.pid, "principal", principal)
		// The state must know before the client does, who then registers at once.
		a.post(core.Authenticated{PID: s.pid, Principal: security.Principal{Name: principal}})
		a.send(s.actor, s.peer, &messages.AuthenticationCompletedMessage{})
	}
}

func (a *authenticator) fail(actor, peer libprocess.UPID, text string) {
	a.log.Warn("authentication refused", "peer", peer.String(), "error", text)
	a.send(actor, peer, &messages.AuthenticationErrorMessage{Error: &text})
}

func (a *authenticator) send(from, to libprocess.UPID, m proto.Message) {
	if err := a.sender.SendFrom(from, to, m); err != nil {
		a.log.Warn("message of an authentication not sent", "peer", to.String(), "error", err)
	}
}
