package core

import "time"

// Authenticate orders the handshake with a master by which the agent proves who it is; AuthenticationEnded follows.
// An order while one is under way replaces it.
type Authenticate struct{ With string }

func (Authenticate) effect() {}

// AuthenticationEnded is the outcome of a handshake with the master With.
type AuthenticationEnded struct {
	With    string
	Refused bool   // the credential is wrong; trying again is no use
	Failure string // what else went wrong; empty for success
}

func (AuthenticationEnded) event() {}

// authenticate begins a handshake and sees to it that it is tried again (reference section 5.4).
func (s *State) authenticate() {
	s.do(Authenticate{With: s.master})
	wait := s.cfg.AuthenticationTimeout + s.jitter(s.authBackoff)
	s.authBackoff = min(2*s.authBackoff, s.cfg.AuthenticationTimeoutMax)
	s.after(min(wait, s.cfg.AuthenticationTimeoutMax), timer{kind: timerRegister})
}

// authenticationEnded goes on to register, or waits for the next try. An agent that the master refuses ends, as Mesos's
// does; its executors live on.
func (s *State) authenticationEnded(e AuthenticationEnded) {
	if e.With != s.master || s.phase != registering || s.authenticated {
		return
	}
	switch {
	case e.Refused:
		s.do(Exit{Failure: true, Reason: "master " + s.master + " refused authentication: look at --credential, and at the master's --credentials"})
	case e.Failure != "":
		s.log(Warn, "authentication with the master failed, trying again", "master", s.master, "error", e.Failure)
		s.after(authenticationPause+s.jitter(s.cfg.BackoffFactor), timer{kind: timerRegister})
	default:
		s.log(Info, "authenticated with the master", "master", s.master)
		s.authenticated = true
		s.register()
	}
}

// authenticationPause is the least time between two tries that failed at once.
const authenticationPause = time.Second
