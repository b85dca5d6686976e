package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Config says how a process encrypts. The zero Config is plain HTTP.
type Config struct {
	CertFile, KeyFile string // PEM; a server needs them, a client only where its certificate is wanted
	CAFile, CADir     string // PEM; whom to trust; none: the system's
	RequireClientCert bool   // a server lets in only clients with a certificate of the CA
	Downgrade         bool   // a server takes plain connections on the same port, a client falls back to them
	Enabled           bool   // a client speaks TLS; implied by CertFile
	SkipVerify        bool   // a client does not look whose certificate a server has
	MaxConnections    int    // of a server; 0: DefaultConnections

	certificates []tls.Certificate
	roots        *x509.CertPool
}

// On says that there is TLS at all.
func (c *Config) On() bool { return c.Enabled || c.CertFile != "" }

// Load reads the files. It must be called before all else.
func (c *Config) Load() error {
	if c.MaxConnections < 0 {
		return fmt.Errorf("the number of connections %d is negative", c.MaxConnections)
	}
	if !c.On() {
		return nil
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		return errors.New("TLS needs both a certificate and its key")
	}
	if c.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
		if err != nil {
			return fmt.Errorf("TLS certificate %s with key %s: %w", c.CertFile, c.KeyFile, err)
		}
		c.certificates = []tls.Certificate{pair}
	}
	files := []string{}
	if c.CAFile != "" {
		files = append(files, c.CAFile)
	}
	if c.CADir != "" {
		found, err := filepath.Glob(filepath.Join(c.CADir, "*"))
		if err != nil || len(found) == 0 {
			return fmt.Errorf("TLS authorities: the directory %s holds none", c.CADir)
		}
		files = append(files, found...)
	}
	if c.RequireClientCert && len(files) == 0 {
		return errors.New("TLS: to require clients' certificates, name the authority that made them")
	}
	return c.trust(files)
}

func (c *Config) trust(files []string) error {
	if len(files) == 0 {
		return nil // the system's
	}
	c.roots = x509.NewCertPool()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("TLS authority: %w", err)
		}
		if !c.roots.AppendCertsFromPEM(text) && file == c.CAFile {
			return fmt.Errorf("TLS authority: %s holds no certificate", file)
		}
	}
	return nil
}

// Listen makes of a listener one that keeps the limits and, if it is to, speaks TLS.
func (c *Config) Listen(inner net.Listener, log *slog.Logger) (net.Listener, error) {
	most := c.MaxConnections
	if most == 0 {
		most = DefaultConnections
	}
	if !c.On() {
		return wrap(inner, nil, true, most, log), nil
	}
	if len(c.certificates) == 0 {
		return nil, errors.New("TLS: a server needs a certificate and its key")
	}
	server := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: c.certificates, ClientCAs: c.roots, NextProtos: []string{"http/1.1"}}
	if c.RequireClientCert {
		server.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return wrap(inner, server, c.Downgrade, most, log), nil
}

// Client is the configuration of a TLS client; nil if it is to speak plainly.
func (c *Config) Client() *tls.Config {
	if !c.On() {
		return nil
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12, Certificates: c.certificates, RootCAs: c.roots,
		InsecureSkipVerify: c.SkipVerify, //nolint:gosec // only where LIBPROCESS_SSL_VERIFY_SERVER_CERT says so
	}
}

// HTTP returns a transport for a client of ours.
func (c *Config) HTTP() *http.Transport {
	return &http.Transport{TLSClientConfig: c.Client(), TLSHandshakeTimeout: handshakeTimeout, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
}

// Dial connects to host:port for libprocess messages.
func (c *Config) Dial(ctx context.Context, dialer *net.Dialer, address string) (net.Conn, error) {
	config := c.Client()
	if config == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	secured := tls.Dialer{NetDialer: dialer, Config: config}
	conn, err := secured.DialContext(ctx, "tcp", address)
	var plain tls.RecordHeaderError
	if c.Downgrade && (errors.As(err, &plain) || errors.Is(err, os.ErrDeadlineExceeded)) {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return conn, err
}

// FromEnvironment fills what is not set from Mesos's variables, LIBPROCESS_SSL_* and, older, SSL_* (reference section 6.3).
// It says what it could not heed.
func (c *Config) FromEnvironment(getenv func(string) string) (ignored []string, err error) {
	e := environment{get: func(name string) string {
		if v := getenv("LIBPROCESS_SSL_" + name); v != "" {
			return v
		}
		return getenv("SSL_" + name)
	}}
	if c.On() || !e.flag("ENABLED", false) {
		return nil, e.err
	}
	c.Enabled = true
	c.CertFile, c.KeyFile = e.get("CERT_FILE"), e.get("KEY_FILE")
	c.CAFile, c.CADir = e.get("CA_FILE"), e.get("CA_DIR")
	c.Downgrade = e.flag("SUPPORT_DOWNGRADE", false)
	c.RequireClientCert = e.flag("REQUIRE_CLIENT_CERT", e.flag("REQUIRE_CERT", false))
	// As in Mesos since 1.9, whoever requires certificates of clients looks at those of servers, too.
	c.SkipVerify = !e.flag("VERIFY_SERVER_CERT", e.flag("VERIFY_CERT", c.RequireClientCert))
	for _, name := range []string{"ENABLE_SSL_V3", "ENABLE_TLS_V1_0", "ENABLE_TLS_V1_1"} {
		if e.flag(name, false) {
			return nil, fmt.Errorf("LIBPROCESS_SSL_%s: TLS below 1.2 is broken and not supported", name)
		}
	}
	for _, name := range []string{"CIPHERS", "ECDH_CURVES", "VERIFY_DEPTH", "VERIFY_IPADD", "HOSTNAME_VALIDATION_SCHEME"} {
		if e.get(name) != "" {
			ignored = append(ignored, "LIBPROCESS_SSL_"+name)
		}
	}
	if c.SkipVerify {
		ignored = append(ignored, "certificates of servers (set LIBPROCESS_SSL_VERIFY_SERVER_CERT=true)")
	}
	return ignored, e.err
}

type environment struct {
	get func(string) string
	err error
}

func (e *environment) flag(name string, otherwise bool) bool {
	text := e.get(name)
	if text == "" {
		return otherwise
	}
	v, err := strconv.ParseBool(text)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("LIBPROCESS_SSL_%s=%q is neither true nor false", name, text)
	}
	return v
}

// Scheme is that of URLs.
func (c *Config) Scheme() string {
	if c.On() {
		return "https"
	}
	return "http"
}

// ForExecutor reads how an executor reaches the agent that started it.
func ForExecutor(getenv func(string) string) (Config, error) {
	var c Config
	if _, err := c.FromEnvironment(getenv); err != nil {
		return c, err
	}
	return c, c.Load()
}

// Environment is what ForExecutor reads, for executors of an agent with this configuration.
func (c *Config) Environment() map[string]string {
	if !c.On() {
		return nil
	}
	env := map[string]string{
		"LIBPROCESS_SSL_ENABLED": "true", "LIBPROCESS_SSL_VERIFY_SERVER_CERT": strconv.FormatBool(!c.SkipVerify),
		"LIBPROCESS_SSL_SUPPORT_DOWNGRADE": strconv.FormatBool(c.Downgrade),
	}
	files := map[string]string{"CA_FILE": c.CAFile, "CA_DIR": c.CADir}
	if c.RequireClientCert {
		files["CERT_FILE"], files["KEY_FILE"] = c.CertFile, c.KeyFile
	}
	for name, file := range files {
		if file == "" {
			continue
		}
		if whole, err := filepath.Abs(file); err == nil {
			file = whole
		}
		env["LIBPROCESS_SSL_"+name] = file
	}
	return env
}
