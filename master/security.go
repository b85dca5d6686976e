package master

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tombolo-project/tombolo/security/authn"
	"github.com/tombolo-project/tombolo/security/guard"
	"github.com/tombolo-project/tombolo/security/transport"
)

// Security is how a master knows who may do what. The names are those of Mesos's flags (reference section 6.3).
type Security struct {
	guard.Files
	HTTPAuthenticators          string // for operators: basic, jwt, or both with a comma
	HTTPFrameworkAuthenticators string // the same for schedulers
	Authenticators              string // of agents and schedulers of the older driver: crammd5
	Authorizers                 string // local

	AuthenticateHTTPReadOnly   bool
	AuthenticateHTTPReadWrite  bool
	AuthenticateHTTPFrameworks bool
	AuthenticateFrameworks     bool
	AuthenticateAgents         bool
	AuthenticationTimeout      time.Duration // for an agent to finish its handshake
	RequirePeerIP              bool          // a message's sender must be where its connection comes from

	Transport transport.Config
}

// defaultSecurity is Mesos's: nobody is asked.
func defaultSecurity() Security {
	return Security{HTTPAuthenticators: "basic", Authenticators: "crammd5", Authorizers: "local", AuthenticationTimeout: 15 * time.Second}
}

// load reads the files and checks that they suffice for what is to be authenticated.
func (s *Security) load(log *slog.Logger) (*guard.Guard, error) {
	g, err := guard.Load(s.Files, log)
	if err != nil {
		return nil, err
	}
	if s.AuthenticateHTTPFrameworks && s.HTTPFrameworkAuthenticators == "" {
		return nil, errors.New("--authenticate_http_frameworks needs --http_framework_authenticators, such as basic")
	}
	for _, r := range []struct {
		realm authn.Realm
		names string
		on    bool
	}{
		{authn.MasterReadOnly, s.HTTPAuthenticators, s.AuthenticateHTTPReadOnly},
		{authn.MasterReadWrite, s.HTTPAuthenticators, s.AuthenticateHTTPReadWrite},
		{authn.MasterScheduler, s.HTTPFrameworkAuthenticators, s.AuthenticateHTTPFrameworks},
	} {
		if r.on {
			if err := g.Require(r.realm, r.names); err != nil {
				return nil, err
			}
		}
	}
	switch {
	case s.Authenticators != "crammd5":
		return nil, fmt.Errorf("--authenticators %q is not supported; crammd5 is", s.Authenticators)
	case s.Authorizers != "local":
		return nil, fmt.Errorf("--authorizers %q is not supported; local is", s.Authorizers)
	case (s.AuthenticateAgents || s.AuthenticateFrameworks) && g.Store == nil:
		return nil, errors.New("--authenticate_agents and --authenticate_frameworks need --credentials")
	case s.AuthenticationTimeout <= 0:
		return nil, fmt.Errorf("--authentication_v0_timeout %s is not above 0", s.AuthenticationTimeout)
	}
	return g, s.Transport.Load()
}
