package agent

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/security/crammd5"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// clientActor begins the names of the actors that handshakes are held by.
const clientActor = "crammd5-authenticatee("

// authenticatee proves to the master who the agent is (reference section 5.5). One handshake is under way at a time. Its
// methods are safe for concurrent use.
type authenticatee struct {
	credential credentials.Credential
	self       libprocess.UPID // the agent's
	send       func(from, to libprocess.UPID, m proto.Message) error
	post       func(core.Event)
	log        *slog.Logger

	mu     sync.Mutex // protects the fields below
	count  int
	actor  libprocess.UPID // that holds the present handshake
	master libprocess.UPID
	peer   libprocess.UPID // the master's actor for it; zero before it has shown itself
	under  bool            // one is under way
}

// begin starts a handshake with a master; one that was under way is forgotten.
func (a *authenticatee) begin(with string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	master, err := libprocess.ParseUPID(with)
	if err != nil {
		go a.post(core.AuthenticationEnded{With: with, Failure: err.Error()}) // the owner, who called, must not wait for itself
		return
	}
	a.count++
	a.actor = a.self
	a.actor.ID = fmt.Sprintf("%s%d)", clientActor, a.count)
	a.master, a.peer, a.under = master, libprocess.UPID{}, true
	if err := a.send(a.actor, master, &messages.AuthenticateMessage{PID: a.self.String()}); err != nil {
		a.log.Warn("authentication not begun", "master", with, "error", err) // the state tries again
	}
}

// serves says whether an actor may be one of a handshake.
func (a *authenticatee) serves(actor string) bool { return strings.HasPrefix(actor, clientActor) }

// deliver takes in a message of a handshake; false if it belongs to none that is under way.
func (a *authenticatee) deliver(from libprocess.UPID, actor string, m proto.Message) bool {
	outcome, ok := a.take(from, actor, m)
	if outcome != nil {
		a.post(*outcome) // without mu: the owner may wait for it
	}
	return ok
}

// take is deliver; it returns the outcome if the handshake has ended.
func (a *authenticatee) take(from libprocess.UPID, actor string, m proto.Message) (*core.AuthenticationEnded, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	// Whoever is not at the master's address must not get answers to challenges.
	if !a.under || actor != a.actor.ID || from.Address() != a.master.Address() {
		return nil, false
	}
	switch m := m.(type) {
	case *messages.AuthenticationMechanismsMessage:
		if a.peer != (libprocess.UPID{}) {
			return nil, false
		}
		if !slices.Contains(m.Mechanisms, crammd5.Mechanism) {
			return a.end(core.AuthenticationEnded{Failure: "the master knows no mechanism but " + strings.Join(m.Mechanisms, ", ")})
		}
		a.peer = from
		a.reply(&messages.AuthenticationStartMessage{Mechanism: crammd5.Mechanism})
	case *messages.AuthenticationStepMessage:
		if from != a.peer {
			return nil, false
		}
		a.reply(&messages.AuthenticationStepMessage{Data: crammd5.Answer(a.credential, m.Data)})
	case *messages.AuthenticationCompletedMessage:
		return a.end(core.AuthenticationEnded{})
	case *messages.AuthenticationFailedMessage:
		return a.end(core.AuthenticationEnded{Refused: true})
	case *messages.AuthenticationErrorMessage:
		text := "the master does not say why"
		if m.Error != nil {
			text = *m.Error
		}
		return a.end(core.AuthenticationEnded{Failure: text})
	default:
		return nil, false
	}
	return nil, true
}

func (a *authenticatee) reply(m proto.Message) {
	if err := a.send(a.actor, a.peer, m); err != nil {
		a.log.Warn("message of an authentication not sent", "peer", a.peer.String(), "error", err)
	}
}

// end notes that the handshake is over. The caller holds mu.
func (a *authenticatee) end(e core.AuthenticationEnded) (*core.AuthenticationEnded, bool) {
	a.under = false
	e.With = a.master.String()
	return &e, true
}
