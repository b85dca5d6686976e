// Package guard makes of a server's flags what it needs to know who may do what: it reads the files once, at the start.
// Start reading at Load.
package guard

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// Guard is what the files hold, and the realms that are guarded by it.
type Guard struct {
	ACLs   *security.ACLs // nil: everything is allowed
	Realms authn.Realms
	Store  *credentials.Store // nil: none
	Key    credentials.Secret // of tokens; may be empty
}

// Files are the values of Mesos's flags of these names; each may be empty. ACLs may also be the JSON itself.
type Files struct {
	ACLs, Credentials, JWTSecretKey string
}

// Load reads the files.
func Load(f Files, log *slog.Logger) (*Guard, error) {
	g := &Guard{Realms: authn.Realms{}}
	var err error
	if f.Credentials != "" {
		if g.Store, err = credentials.Load(f.Credentials, log); err != nil {
			return nil, fmt.Errorf("--credentials: %w", err)
		}
	}
	if f.JWTSecretKey != "" {
		key, err := credentials.Read(f.JWTSecretKey, log)
		if err == nil && len(key) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			return nil, fmt.Errorf("--jwt_secret_key: %w", err)
		}
		g.Key = credentials.NewSecret(string(key))
	}
	if f.ACLs == "" {
		return g, nil
	}
	document := []byte(f.ACLs)
	if !strings.HasPrefix(strings.TrimSpace(f.ACLs), "{") {
		if document, err = credentials.ReadPublic(f.ACLs); err != nil {
			return nil, fmt.Errorf("--acls: %w", err)
		}
	}
	if g.ACLs, err = security.ParseACLs(document); err != nil {
		return nil, fmt.Errorf("--acls: %w", err)
	}
	return g, nil
}

// Require has a realm guarded by the named authenticators.
func (g *Guard) Require(realm authn.Realm, names string) error {
	list, err := authn.ByName(names, g.Store, g.Key)
	if err != nil {
		return fmt.Errorf("realm %s: %w", realm, err)
	}
	g.Realms[realm] = list
	return nil
}
