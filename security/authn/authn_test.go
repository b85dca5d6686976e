package authn

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/security/credentials"
)

var (
	key   = credentials.NewSecret("a key")
	store = credentials.NewStore(credentials.Credential{Principal: "ops", Secret: credentials.NewSecret("pass:word")})
	noon  = time.Unix(1_700_000_000, 0)
)

func jwt() JWT { return JWT{key: key, now: func() time.Time { return noon }} }

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func TestBasic(t *testing.T) {
	for header, want := range map[string]string{
		"Basic " + b64("ops:pass:word"): "ops", "basic " + b64("ops:pass:word"): "ops",
		"Basic " + b64("ops:pass"): "", "Basic " + b64("ops"): "", "Basic " + b64(":"): "", "Basic " + b64("nobody:"): "", "Basic": "", "Basic ": "", "": "",
		"Basic  " + b64("ops:pass:word"): "", "Basic " + b64("ops:pass:word") + " x": "", "Basic !": "", "Bearer " + b64("ops:pass:word"): "",
	} {
		p, err := Basic{Store: store}.Authenticate(header)
		if p.Name != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", header, p.Name, err)
		}
	}
}

// raw signs what Sign would never make.
func raw(header, payload string, k credentials.Secret) string {
	text := encode([]byte(header)) + "." + encode([]byte(payload))
	return text + "." + encode(signature(text, k))
}

func TestTokens(t *testing.T) {
	const good = `{"alg":"HS256","typ":"JWT"}`
	at := noon.Unix()
	signed, err := Sign(map[string]any{"sub": "ops", "exp": at + 60, "team": "x"}, key)
	if err != nil {
		t.Fatal(err)
	}
	unsigned := encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(`{"sub":"ops"}`)) + "."
	for token, want := range map[string]string{
		signed: "ops", raw(good, `{"sub":"ops"}`, key): "ops", raw(`{"alg":"HS256"}`, `{"sub":"ops"}`, key): "ops",
		raw(good, fmt.Sprintf(`{"sub":"ops","nbf":%d}`, at), key):  "ops",
		raw(good, `{"sub":"ops"}`, credentials.NewSecret("other")): "signature", raw(good, `{"sub":"ops"}`, credentials.Secret{}): "signature",
		unsigned: "signature", raw(`{"alg":"none"}`, `{"sub":"ops"}`, key): "HS256", raw(`{"alg":"RS256"}`, `{"sub":"ops"}`, key): "HS256",
		raw(`{"alg":"HS256","typ":"X"}`, `{"sub":"ops"}`, key): "type", raw(`{"alg":"HS256","crit":["x"]}`, `{"sub":"ops"}`, key): "critical",
		raw(good, fmt.Sprintf(`{"sub":"ops","exp":%d}`, at), key): "expired", raw(good, fmt.Sprintf(`{"sub":"ops","nbf":%d}`, at+1), key): "expired",
		raw(good, `{"sub":"ops","exp":"tomorrow"}`, key): "number", raw(good, `{"sub":"ops","exp":null}`, key): "number", raw(good, `{"sub":5}`, key): "string",
		raw(good, `{}`, key): "missing", raw(good, `[]`, key): "object", raw(good, `null`, key): "missing", raw(good, `{"sub":"ops"}{}`, key): "followed",
		"a.b": "3 components", "a.b.c.d": "3 components", "..": "signature", signed + "=": "ops", strings.Replace(signed, ".", ".x", 1): "signature",
	} {
		p, err := jwt().Authenticate("Bearer " + token)
		switch {
		case err == nil && p.Name != want:
			t.Errorf("%s: %+v", token, p)
		case err != nil && !strings.Contains(err.Error(), want):
			t.Errorf("%s: %v, want %q", token, err, want)
		}
	}
	if p, err := jwt().Authenticate("Bearer " + signed); err != nil || p.Claims["team"] != "x" || p.Claims["sub"] != "" {
		t.Errorf("%+v, %v", p, err)
	}
	for _, claims := range []map[string]any{{"cid": "c"}, {"sub": ""}} { // somebody, but nameless: never the same as nobody
		token, _ := Sign(claims, key)
		if p, err := jwt().Authenticate("Bearer " + token); err != nil || !p.Nameless() || p.Anonymous() {
			t.Errorf("%v: %+v, %v", claims, p, err)
		}
	}
}

func TestEverybodyGetsTheRealmsChallenge(t *testing.T) {
	realms := Realms{MasterReadOnly: {Basic{Store: store}}, MasterReadWrite: {Basic{Store: store}, jwt()}}
	ask := func(realm Realm, header string) (*httptest.ResponseRecorder, *http.Request) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		if header != "" {
			r.Header.Set("Authorization", header)
		}
		r, ok := realms.Check(w, r, realm)
		if ok != (r != nil) {
			t.Fatal("neither refused nor let in")
		}
		return w, r
	}
	for _, realm := range []Realm{Open, MasterScheduler} {
		if _, r := ask(realm, ""); r == nil || !PrincipalOf(r.Context()).Anonymous() {
			t.Errorf("realm %q asks", realm)
		}
	}
	w, r := ask(MasterReadOnly, "")
	if r != nil || w.Code != 401 || w.Header().Get("WWW-Authenticate") != `Basic realm="mesos-master-readonly"` || w.Body.String() != "401 Unauthorized." {
		t.Errorf("%d %v %s", w.Code, w.Header(), w.Body)
	}
	w, _ = ask(MasterReadWrite, "")
	if got := w.Header().Get("WWW-Authenticate"); got != `Basic realm="mesos-master-readwrite",Bearer realm="mesos-master-readwrite"` {
		t.Error(got)
	}
	w, _ = ask(MasterReadWrite, "Bearer x")
	if got := w.Header().Get("WWW-Authenticate"); !strings.Contains(got, `error="invalid_token"`) {
		t.Error(got)
	}
	token, _ := Sign(map[string]any{"sub": "ops"}, key)
	for _, header := range []string{"Bearer " + token, "Basic " + b64("ops:pass:word")} {
		if _, r := ask(MasterReadWrite, header); r == nil || PrincipalOf(r.Context()).Name != "ops" {
			t.Errorf("%s is not let in", header)
		}
	}
	if w, _ := ask(MasterReadWrite, "Basic "+strings.Repeat("A", maxHeader)); w.Code != 401 {
		t.Errorf("a huge header: %d", w.Code)
	}
}

func TestTheClientShowsItsCredentialToMastersAlone(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, r.Header.Get("Authorization"))
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "/here", http.StatusTemporaryRedirect)
		}
	}))
	defer server.Close()
	c := credentials.Credential{Principal: "p", Secret: credentials.NewSecret("s")}
	if _, err := Client(c, &http.Transport{}).Get(server.URL + "/away"); err != nil {
		t.Fatal(err)
	}
	if want := "Basic " + b64("p:s"); len(seen) != 2 || seen[0] != want || seen[1] != want {
		t.Errorf("shown: %q", seen)
	}
	secured := httptest.NewTLSServer(http.RedirectHandler(server.URL+"/here", http.StatusTemporaryRedirect))
	defer secured.Close()
	over := secured.Client().Transport.(*http.Transport).Clone()
	seen = nil
	client := Client(c, over)
	if _, err := client.Get(secured.URL); err != nil {
		t.Fatal(err)
	}
	if len(seen) != 1 || seen[0] != "" {
		t.Errorf("a redirect away from TLS was shown %q", seen)
	}
	if text := fmt.Sprintf("%v", client.Transport); strings.Contains(text, b64("p:s")) {
		t.Error("the client prints its credential")
	}
}

func TestByName(t *testing.T) {
	for names, want := range map[string]int{"basic": 1, "jwt": 1, "basic,jwt": 2, "": -1, "basic,basic": -1, "kerberos": -1} {
		list, err := ByName(names, store, key)
		if (err != nil) != (want < 0) || err == nil && len(list) != want {
			t.Errorf("%q: %d, %v", names, len(list), err)
		}
	}
	if _, err := ByName("basic", nil, key); err == nil {
		t.Error("basic without credentials")
	}
	if _, err := ByName("jwt", store, credentials.Secret{}); err == nil {
		t.Error("jwt without a key")
	}
}

func FuzzAuthenticate(f *testing.F) {
	token, _ := Sign(map[string]any{"sub": "ops"}, key)
	f.Add("Bearer " + token)
	f.Add("Basic " + b64("ops:pass:word"))
	f.Add("Bearer " + raw(`{"alg":"HS256"}`, `{"exp":1e400}`, key))
	f.Fuzz(func(t *testing.T, header string) {
		for _, a := range []Authenticator{Basic{Store: store}, jwt()} {
			p, err := a.Authenticate(header)
			if err == nil && p.Anonymous() || err != nil && (p.Name != "" || p.Claims != nil) {
				t.Fatalf("%q: %+v, %v", header, p, err)
			}
			if err != nil && strings.ContainsAny(a.Challenge(MasterReadOnly, err), "\r\n") {
				t.Fatalf("%q: a challenge of two lines", header)
			}
		}
	})
}

// FuzzToken signs what it is given, so that it gets past the signature.
func FuzzToken(f *testing.F) {
	f.Add(`{"alg":"HS256"}`, `{"sub":"ops","exp":1.7e9}`)
	f.Fuzz(func(t *testing.T, header, payload string) {
		p, err := jwt().Authenticate("Bearer " + raw(header, payload, key))
		if err == nil && p.Anonymous() {
			t.Fatalf("%s %s: nobody is let in", header, payload)
		}
	})
}
