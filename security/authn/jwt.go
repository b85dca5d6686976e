package authn

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// maxClaims is how many claims a token may make.
const maxClaims = 64

// JWT knows principals by signed tokens (RFC 7519, HS256 alone). The claim "sub" is the principal's name.
type JWT struct {
	key credentials.Secret
	now func() time.Time
}

// NewJWT takes tokens that were signed by key.
func NewJWT(key credentials.Secret) JWT { return JWT{key: key, now: time.Now} }

// Scheme implements Authenticator.
func (JWT) Scheme() string { return "Bearer" }

// Challenge implements Authenticator (RFC 6750, section 3).
func (JWT) Challenge(realm Realm, err error) string {
	if errors.Is(err, errAbsent) {
		return fmt.Sprintf("Bearer realm=%q", realm)
	}
	return fmt.Sprintf("Bearer realm=%q, error=\"invalid_token\", error_description=%q", realm, err.Error())
}

// Authenticate implements Authenticator.
func (j JWT) Authenticate(header string) (security.Principal, error) {
	if header == "" {
		return security.Principal{}, errAbsent
	}
	token, ok := scheme(header, "Bearer")
	if !ok {
		return security.Principal{}, errors.New("Malformed 'Authorization' header") //nolint:staticcheck // Mesos's text
	}
	claims, err := verify(token, j.key, j.now())
	if err != nil {
		return security.Principal{}, fmt.Errorf("Invalid JWT: %w", err) //nolint:staticcheck // Mesos's text
	}
	if len(claims) == 0 {
		return security.Principal{}, errors.New("JWT claims missing") //nolint:staticcheck // Mesos's text
	}
	p := security.Principal{Name: claims["sub"], Claims: claims}
	if p.Name != "" { // an empty one stays among the claims: its bearer is not nobody
		delete(claims, "sub")
	}
	return p, nil
}

// header is the first part of a token.
type header struct {
	Algorithm string          `json:"alg"`
	Type      string          `json:"typ,omitempty"`
	Critical  json.RawMessage `json:"crit,omitempty"`
}

// Sign makes a token with the given claims, which need no escaping beyond JSON's.
func Sign(claims map[string]any, key credentials.Secret) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode claims: %w", err)
	}
	text := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode(payload)
	return text + "." + encode(signature(text, key)), nil
}

// verify checks a token and returns its claims as text, strings without quotes.
func verify(token string, key credentials.Secret, now time.Time) (map[string]string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("Expected 3 components in token, got %d", len(parts)) //nolint:staticcheck // Mesos's text
	}
	given, err := decode(parts[2])
	if err != nil {
		return nil, errors.New("the signature is not base64url")
	}
	// Nothing of a token is read before its signature is known to be good.
	if key.Empty() || !hmac.Equal(given, signature(parts[0]+"."+parts[1], key)) {
		return nil, errors.New("Token signature does not match") //nolint:staticcheck // Mesos's text
	}
	var h header
	if err := object(parts[0], &h); err != nil {
		return nil, fmt.Errorf("the header %w", err)
	}
	switch {
	case h.Algorithm != "HS256":
		return nil, errors.New("the algorithm is not HS256")
	case h.Type != "" && !strings.EqualFold(h.Type, "JWT"):
		return nil, errors.New("the type is not JWT")
	case h.Critical != nil:
		return nil, errors.New("the header has critical extensions, none of which is known")
	}
	var payload map[string]json.RawMessage
	if err := object(parts[1], &payload); err != nil {
		return nil, fmt.Errorf("the payload %w", err)
	}
	if len(payload) > maxClaims {
		return nil, fmt.Errorf("there are more than %d claims", maxClaims)
	}
	if err := inTime(payload, now); err != nil {
		return nil, err
	}
	claims := map[string]string{}
	for name, value := range payload {
		var text string
		if json.Unmarshal(value, &text) != nil {
			if name == "sub" {
				return nil, errors.New(`the claim "sub" is not a string`)
			}
			text = string(value)
		}
		claims[name] = text
	}
	return claims, nil
}

// inTime checks the claims "exp" and "nbf", seconds since 1970.
func inTime(payload map[string]json.RawMessage, now time.Time) error {
	at := float64(now.UnixNano()) / 1e9
	for name, bad := range map[string]func(float64) bool{
		"exp": func(t float64) bool { return at >= t },
		"nbf": func(t float64) bool { return at < t },
	} {
		text, there := payload[name]
		if !there {
			continue
		}
		t, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return fmt.Errorf("the claim %q is not a number", name)
		}
		if bad(t) {
			return errors.New("Token has expired") //nolint:staticcheck // Mesos's text
		}
	}
	return nil
}

func signature(text string, key credentials.Secret) []byte {
	mac := hmac.New(sha256.New, key.Reveal())
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func decode(text string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
}

func object(part string, into any) error {
	text, err := decode(part)
	if err != nil {
		return errors.New("is not base64url")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(into); err != nil {
		return errors.New("is not a JSON object")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("is followed by something")
	}
	return nil
}

// ExecutorToken is what an agent gives an executor that it starts, to prove by who it is (reference section 6.3). It
// speaks of this run of the executor alone.
func ExecutorToken(key credentials.Secret, framework, executor, container string) (string, error) {
	return Sign(map[string]any{"fid": framework, "eid": executor, "cid": container}, key)
}
