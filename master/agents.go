package master

import (
	"errors"
	"log/slog"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// The actors of a master: itself, and the one that pings agents (reference rows 0.4 and 5.2).
const (
	masterActor   = "master"
	observerActor = "slave-observer(1)"
)

// agents carries messages to and from agents. All but deliver belongs to the owner's goroutine.
type agents struct {
	sender   *libprocess.Sender
	observer libprocess.UPID
	log      *slog.Logger
	links    map[string]*agentLink // by pid
	// authenticator holds the handshakes of those who prove who they are; safe for concurrent use.
	authenticator *authenticator
}

// agentLink is one link; a new link to the same agent replaces it.
type agentLink struct{ unlink func() }

func newAgents(dial libprocess.Dial, self libprocess.UPID, log *slog.Logger) *agents {
	observer := self
	observer.ID = observerActor
	return &agents{sender: libprocess.NewSenderOver(dial, self, log), observer: observer, log: log, links: map[string]*agentLink{}}
}

// send posts a message to an agent. What is lost on the way is made good by the
// protocol: agents and master repeat and reconcile.
func (a *agents) send(e core.SendAgent) {
	to, err := libprocess.ParseUPID(e.PID)
	if err != nil {
		a.log.Error("message not sent: bad agent address", "pid", e.PID, "error", err)
		return
	}
	if _, ping := e.Message.(*messages.PingSlaveMessage); ping {
		err = a.sender.SendFrom(a.observer, to, e.Message)
	} else {
		err = a.sender.Send(to, e.Message)
	}
	if err != nil {
		a.log.Error("message not sent", "pid", e.PID, "error", err)
	}
}

// link holds a connection to an agent; when it breaks the owner learns of it, unless
// another link has replaced it by then.
func (a *agents) link(o *owner, pid string) {
	to, err := libprocess.ParseUPID(pid)
	if err != nil {
		a.log.Error("agent not linked: bad address", "pid", pid, "error", err)
		return
	}
	if old := a.links[pid]; old != nil {
		old.unlink()
	}
	l := &agentLink{}
	a.links[pid] = l
	l.unlink = a.sender.Link(to, func() {
		o.post(letter{f: func() {
			if a.links[pid] == l {
				delete(a.links, pid)
				o.take(letter{event: core.AgentExited{PID: pid}})
			}
		}})
	})
}

// deliver takes in a message from the network. It may wait for the owner, which
// slows down the one connection that the message came on.
func (o *owner) deliver(m libprocess.Message) bool {
	handshake := o.agents.authenticator.serves(m.To)
	if m.To != masterActor && m.To != observerActor && !handshake {
		return false
	}
	message, err := messages.Decode(m.Name, m.Body)
	var unknown *messages.UnknownError
	switch {
	case errors.As(err, &unknown):
		o.log.Warn("message of an unknown kind dropped", "from", m.From.String(), "message", m.Name)
		return true
	case err != nil:
		o.log.Warn("message that does not parse dropped", "from", m.From.String(), "message", m.Name, "error", err)
		return true
	}
	if handshake {
		return o.agents.authenticator.deliver(m.From, m.To, message)
	}
	if wanted, ok := message.(*messages.AuthenticateMessage); ok {
		o.agents.authenticator.begin(m.From, wanted.PID)
		return true
	}
	if o.driverSaid(m.From, message) {
		return true
	}
	o.post(letter{event: core.AgentMessaged{From: m.From.String(), Message: message}})
	return true
}
