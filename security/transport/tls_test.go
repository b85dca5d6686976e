package transport

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// authority makes certificates for 127.0.0.1.
type authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	a := &authority{dir: t.TempDir()}
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	a.cert = &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	a.write(t, "ca", a.cert, a.key)
	return a
}

func (a *authority) write(t *testing.T, name string, c *x509.Certificate, key *ecdsa.PrivateKey) (cert, private string) {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, private = filepath.Join(a.dir, name+".pem"), filepath.Join(a.dir, name+".key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, private: {Type: "EC PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, private
}

func (a *authority) config(t *testing.T) *Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &Config{CAFile: filepath.Join(a.dir, "ca.pem")}
	c.CertFile, c.KeyFile = a.write(t, "own", &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "own"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, key)
	return loaded(t, c)
}

func loaded(t *testing.T, c *Config) *Config {
	t.Helper()
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	return c
}

// serve runs a server and returns its address.
func serve(t *testing.T, c *Config) string {
	t.Helper()
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := c.Listen(inner, quiet)
	if err != nil {
		t.Fatal(err)
	}
	server := Server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }), quiet)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close() })
	return inner.Addr().String()
}

// reach says what a client gets to hear by HTTP and over a connection of Dial.
func reach(c *Config, address string) error {
	client := http.Client{Transport: c.HTTP(), Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	answer, err := client.Get(c.Scheme() + "://" + address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || string(text) != "hello" {
		return fmt.Errorf("%q, %w", text, err)
	}
	return dialled(c, address)
}

func dialled(c *Config, address string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	conn, err := c.Dial(ctx, &net.Dialer{Timeout: 5 * time.Second}, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
		return err
	}
	text, err := io.ReadAll(conn)
	if err == nil && !strings.Contains(string(text), "hello") {
		err = fmt.Errorf("heard %q", text)
	}
	return err
}

func TestTLS(t *testing.T) {
	ours, others := newAuthority(t, "ours"), newAuthority(t, "others")
	server, stranger := ours.config(t), others.config(t)
	strict, both := *server, *server
	strict.RequireClientCert, both.Downgrade = true, true
	anonymous := loaded(t, &Config{Enabled: true, CAFile: server.CAFile})
	careless := loaded(t, &Config{Enabled: true, SkipVerify: true})
	plain := &Config{}
	for _, c := range []struct {
		what           string
		server, client *Config
		ok             bool
	}{
		{"plain to plain", plain, plain, true}, {"TLS to TLS", server, server, true}, {"no certificate to show", server, anonymous, true},
		{"plain to TLS", server, plain, false}, {"TLS to plain", plain, server, false}, {"another authority", server, stranger, false},
		{"who cares", server, careless, true}, {"one is required", &strict, server, true}, {"one is missing", &strict, anonymous, false},
		{"another's is shown", &strict, stranger, false}, {"plain to both", &both, plain, true}, {"TLS to both", &both, anonymous, true},
	} {
		if err := reach(c.client, serve(t, c.server)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	fallback := *anonymous
	fallback.Downgrade = true
	if err := dialled(&fallback, serve(t, plain)); err != nil {
		t.Errorf("no way down to plain: %v", err)
	}
	if err := dialled(anonymous, serve(t, plain)); err == nil {
		t.Error("went down to plain without leave")
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	address := serve(t, newAuthority(t, "a").config(t))
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10})
	if err == nil {
		conn.Close()
		t.Error("TLS 1.1 was taken")
	}
}

func TestAHandshakeMustEndInTime(t *testing.T) {
	config := newAuthority(t, "a").config(t)
	serving(t, config, func(p *pipes) {
		for _, begun := range []string{"", "\x16", "\x16\x03\x01\x00\xff"} {
			c := p.dial()
			go func() { _, _ = io.WriteString(c, begun) }()
			if took := closedAfter(t, c); took > handshakeTimeout+time.Second {
				t.Errorf("%q was borne for %s", begun, took)
			}
			c.Close()
		}
	})
}

func TestMesossVariables(t *testing.T) {
	from := func(pairs ...string) (*Config, []string, error) {
		env := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			env[pairs[i]] = pairs[i+1]
		}
		c := &Config{}
		ignored, err := c.FromEnvironment(func(name string) string { return env[name] })
		return c, ignored, err
	}
	if c, _, err := from("LIBPROCESS_SSL_CERT_FILE", "x"); err != nil || c.On() {
		t.Error("on without being enabled")
	}
	c, ignored, err := from("LIBPROCESS_SSL_ENABLED", "true", "LIBPROCESS_SSL_CERT_FILE", "c", "SSL_KEY_FILE", "k", "LIBPROCESS_SSL_SUPPORT_DOWNGRADE", "1",
		"LIBPROCESS_SSL_REQUIRE_CERT", "true", "LIBPROCESS_SSL_CIPHERS", "AES")
	if err != nil || !c.On() || c.CertFile != "c" || c.KeyFile != "k" || !c.Downgrade || !c.RequireClientCert || c.SkipVerify || !slices.Equal(ignored, []string{"LIBPROCESS_SSL_CIPHERS"}) {
		t.Errorf("%+v, %v, %v", c, ignored, err)
	}
	if c, ignored, err = from("LIBPROCESS_SSL_ENABLED", "true"); err != nil || !c.SkipVerify || len(ignored) != 1 {
		t.Errorf("%+v, %v, %v", c, ignored, err)
	}
	for _, pairs := range [][]string{
		{"LIBPROCESS_SSL_ENABLED", "perhaps"}, {"LIBPROCESS_SSL_ENABLED", "true", "LIBPROCESS_SSL_ENABLE_TLS_V1_0", "true"},
	} {
		if _, _, err := from(pairs...); err == nil {
			t.Errorf("%v was taken", pairs)
		}
	}
	// What an agent tells its executors is what they read.
	a := newAuthority(t, "a").config(t)
	told := a.Environment()
	e, err := ForExecutor(func(name string) string { return told[name] })
	if err != nil || !e.On() || e.CAFile != a.CAFile || e.SkipVerify || e.CertFile != "" {
		t.Errorf("%+v, %v", e, err)
	}
}

func TestWhatCannotBeLoaded(t *testing.T) {
	good := newAuthority(t, "a").config(t)
	for what, c := range map[string]*Config{
		"no key": {CertFile: good.CertFile}, "no certificate": {Enabled: true, KeyFile: good.KeyFile}, "a missing file": {CertFile: "/nowhere", KeyFile: good.KeyFile},
		"no authority": {CertFile: good.CertFile, KeyFile: good.KeyFile, RequireClientCert: true}, "an empty authority": {Enabled: true, CAFile: good.KeyFile},
		"negative": {MaxConnections: -1}, "an empty directory": {Enabled: true, CADir: t.TempDir()},
	} {
		if err := c.Load(); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if _, err := loaded(t, &Config{Enabled: true}).Listen(newPipes(), quiet); err == nil {
		t.Error("a server without certificate")
	}
}
