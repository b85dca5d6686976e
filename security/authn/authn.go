// Package authn finds out whom an HTTP request comes from. A Realm of a server has an Authenticator; a request without
// the right credentials is answered 401, with the others' principal in its context it goes on. Start reading at Realms.Check.
//
// Reference section 6.3; the answers are those of Mesos.
package authn

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// Realm is a part of a server's endpoints that share an authenticator.
type Realm string

// The realms of master and agent. Open is that of what anybody may ask.
const (
	Open            Realm = ""
	MasterReadOnly  Realm = "mesos-master-readonly"
	MasterReadWrite Realm = "mesos-master-readwrite"
	MasterScheduler Realm = "mesos-master-scheduler"
	AgentReadOnly   Realm = "mesos-agent-readonly"
	AgentReadWrite  Realm = "mesos-agent-readwrite"
	AgentExecutor   Realm = "mesos-agent-executor"
)

// maxHeader is the longest Authorization header, in bytes, that is looked at.
const maxHeader = 16 << 10

// Authenticator knows principals by one scheme.
type Authenticator interface {
	// Scheme is how it is called in headers and texts: Basic, Bearer.
	Scheme() string
	// Authenticate reads the value of an Authorization header, empty when absent. Its errors are safe to show to anybody.
	Authenticate(header string) (security.Principal, error)
	// Challenge is the WWW-Authenticate header for a request that failed with err.
	Challenge(realm Realm, err error) string
}

// errAbsent says that a request carries no credentials at all.
var errAbsent = errors.New("credentials are missing")

// Realms says which authenticators guard each realm; any of them suffices. A realm that is not in it is open.
type Realms map[Realm][]Authenticator

// Check authenticates a request to a realm. It returns the request with the principal in its context; where there is
// none it has answered, and returns false.
func (r Realms) Check(w http.ResponseWriter, request *http.Request, realm Realm) (*http.Request, bool) {
	guards := r[realm]
	if realm == Open || len(guards) == 0 {
		return request, true
	}
	header := request.Header.Get("Authorization")
	var challenges, bodies []string
	for _, a := range guards {
		p, err := security.Principal{}, errors.New("the Authorization header is too long")
		if len(header) <= maxHeader {
			p, err = a.Authenticate(header)
		}
		if err == nil {
			return request.WithContext(WithPrincipal(request.Context(), p)), true
		}
		challenges = append(challenges, a.Challenge(realm, err))
		bodies = append(bodies, fmt.Sprintf("%q authenticator returned:\n%s", a.Scheme(), unauthorized))
	}
	body := unauthorized
	if len(guards) > 1 {
		body = strings.Join(bodies, "\n\n")
	}
	w.Header().Set("WWW-Authenticate", strings.Join(challenges, ","))
	answer(w, http.StatusUnauthorized, body)
	return nil, false
}

// Texts of refusals, as Mesos has them.
const (
	unauthorized = "401 Unauthorized."
	forbidden    = "403 Forbidden."
	nameless     = "The request's authenticated principal contains claims, but no value string. The master currently requires that principals have a value"
)

// Forbid answers a request that its principal may not make.
func Forbid(w http.ResponseWriter) { answer(w, http.StatusForbidden, forbidden) }

// ForbidNameless answers a request whose principal has only claims (reference rows SCH-02, OPR-02).
func ForbidNameless(w http.ResponseWriter) { answer(w, http.StatusForbidden, nameless) }

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

type contextKey struct{}

// WithPrincipal returns a context that carries the principal of a request.
func WithPrincipal(ctx context.Context, p security.Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// PrincipalOf returns the principal that a request's context carries; nobody if it carries none.
func PrincipalOf(ctx context.Context) security.Principal {
	p, _ := ctx.Value(contextKey{}).(security.Principal)
	return p
}

// Basic knows principals by their passwords.
type Basic struct{ Store *credentials.Store }

// Scheme implements Authenticator.
func (Basic) Scheme() string { return "Basic" }

// Challenge implements Authenticator.
func (Basic) Challenge(realm Realm, _ error) string { return fmt.Sprintf("Basic realm=%q", realm) }

// Authenticate implements Authenticator. A password may contain colons, which it may not in Mesos.
func (b Basic) Authenticate(header string) (security.Principal, error) {
	encoded, ok := scheme(header, "Basic")
	if !ok {
		return security.Principal{}, errAbsent
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return security.Principal{}, errors.New("the credentials are not base64")
	}
	name, secret, ok := strings.Cut(string(decoded), ":")
	if !ok || name == "" || !b.Store.Verify(name, credentials.NewSecret(secret)) {
		return security.Principal{}, errors.New("the credentials are wrong")
	}
	return security.Principal{Name: name}, nil
}

// scheme cuts the scheme off an Authorization header.
func scheme(header, name string) (rest string, ok bool) {
	got, rest, ok := strings.Cut(header, " ")
	return rest, ok && strings.EqualFold(got, name) && rest != "" && !strings.Contains(rest, " ")
}

// ByName makes the authenticators that a flag names, "basic", "jwt" or both with a comma (--http_authenticators).
// store and key may be missing when none needs them.
func ByName(names string, store *credentials.Store, key credentials.Secret) ([]Authenticator, error) {
	var list []Authenticator
	var seen []string
	for _, name := range strings.Split(names, ",") {
		switch {
		case slices.Contains(seen, name):
			return nil, fmt.Errorf("the HTTP authenticator %q is named twice", name)
		case name == "basic" && store == nil:
			return nil, errors.New("the HTTP authenticator basic needs --credentials")
		case name == "basic":
			list = append(list, Basic{Store: store})
		case name == "jwt" && key.Empty():
			return nil, errors.New("the HTTP authenticator jwt needs --jwt_secret_key")
		case name == "jwt":
			list = append(list, NewJWT(key))
		default:
			return nil, fmt.Errorf("the HTTP authenticator %q is neither basic nor jwt", name)
		}
		seen = append(seen, name)
	}
	return list, nil
}
