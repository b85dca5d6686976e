package authn

import (
	"encoding/base64"
	"net/http"

	"github.com/tombolo-project/tombolo/security/credentials"
)

// Client returns an HTTP client that shows a credential with every request, over the given connections. Without a secret
// it shows nothing. A redirect to another master gets the credential, too, but never one away from TLS.
func Client(c credentials.Credential, over *http.Transport) *http.Client {
	if c.Secret.Empty() {
		return &http.Client{Transport: over}
	}
	pair := append([]byte(c.Principal+":"), c.Secret.Reveal()...)
	return &http.Client{Transport: &shower{header: "Basic " + base64.StdEncoding.EncodeToString(pair), secured: over.TLSClientConfig != nil, over: over}}
}

// shower adds the header. It must not be printed.
type shower struct {
	header  string
	secured bool
	over    http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (s *shower) RoundTrip(r *http.Request) (*http.Response, error) {
	if s.secured && r.URL.Scheme != "https" {
		return s.over.RoundTrip(r)
	}
	shown := r.Clone(r.Context())
	shown.Header.Set("Authorization", s.header)
	return s.over.RoundTrip(shown)
}

// String keeps the header out of logs.
func (*shower) String() string { return "(a client with a credential)" }
