// Package crammd5 is the handshake by which agents and schedulers of the older driver prove to the master who they are:
// SASL's CRAM-MD5 (RFC 2195), in the messages of reference section 5.5. It sends nothing; who carries the messages calls
// Server or Answer. The secret never travels.
package crammd5

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5" //nolint:gosec // the mechanism is what Mesos's agents speak; HMAC-MD5 itself is not broken
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/tombolo-project/tombolo/security/credentials"
)

// Mechanism is its name.
const Mechanism = "CRAM-MD5"

// maxAnswer is the longest answer, in bytes, that is looked at.
const maxAnswer = 4 << 10

// Server is the master's side of one handshake. It belongs to one goroutine at a time.
type Server struct {
	store     *credentials.Store
	challenge []byte
	state     state
}

type state int

const (
	starting state = iota
	stepping
	over
)

// NewServer begins a handshake. The challenge must be different each time and not to be foreseen.
func NewServer(store *credentials.Store, challenge string) *Server {
	return &Server{store: store, challenge: []byte(challenge)}
}

// Start takes the client's choice of a mechanism and returns the challenge. An error ends the handshake.
func (s *Server) Start(mechanism string, data []byte) ([]byte, error) {
	if s.state != starting {
		s.state = over
		return nil, errors.New("Unexpected authentication 'start' received") //nolint:staticcheck // Mesos's text
	}
	s.state = over
	switch {
	case mechanism != Mechanism:
		return nil, fmt.Errorf("the mechanism %q is not supported; %s is", mechanism, Mechanism)
	case len(data) > 0:
		return nil, errors.New("CRAM-MD5 takes no initial data")
	}
	s.state = stepping
	return s.challenge, nil
}

// Step takes the client's answer. It returns the principal, and whether the answer is right; an error says that it is
// none. Either way the handshake is over.
func (s *Server) Step(answer []byte) (principal string, right bool, err error) {
	was := s.state
	s.state = over
	if was != stepping {
		return "", false, errors.New("Unexpected authentication 'step' received") //nolint:staticcheck // Mesos's text
	}
	space := bytes.LastIndexByte(answer, ' ')
	if space < 1 || len(answer) > maxAnswer {
		return "", false, errors.New("the answer is not of the form 'principal digest'")
	}
	principal = string(answer[:space])
	secret, known := s.store.Secret(principal)
	// An unknown principal takes as long.
	matches := hmac.Equal(digest(secret, s.challenge), answer[space+1:])
	return principal, known && matches, nil
}

// Answer is what a client answers to a challenge.
func Answer(c credentials.Credential, challenge []byte) []byte {
	return append([]byte(c.Principal+" "), digest(c.Secret, challenge)...)
}

func digest(secret credentials.Secret, challenge []byte) []byte {
	mac := hmac.New(md5.New, secret.Reveal())
	mac.Write(challenge)
	return []byte(hex.EncodeToString(mac.Sum(nil)))
}
