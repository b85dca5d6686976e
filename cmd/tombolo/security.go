package main

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/pflag"

	"github.com/tombolo-project/tombolo/master"
	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/security/authn"
	"github.com/tombolo-project/tombolo/security/credentials"
	"github.com/tombolo-project/tombolo/security/guard"
	"github.com/tombolo-project/tombolo/security/transport"
)

// masterSecurityFlags are the flags of who may do what at a master, with Mesos's names where Mesos has them.
func masterSecurityFlags(flags *pflag.FlagSet, s *master.Security, timeout *duration.Flag) {
	guardFlags(flags, &s.Files)
	flags.BoolVar(&s.AuthenticateHTTPReadOnly, "authenticate_http_readonly", false, "ask those who read for their credentials")
	flags.BoolVar(&s.AuthenticateHTTPReadWrite, "authenticate_http_readwrite", false, "ask those who change something, and all users of /api/v1, for their credentials")
	flags.BoolVar(&s.AuthenticateHTTPFrameworks, "authenticate_http_frameworks", false, "ask frameworks of the v1 API for their credentials")
	flags.StringVar(&s.HTTPAuthenticators, "http_authenticators", s.HTTPAuthenticators, "how operators prove who they are: basic, jwt, or basic,jwt")
	flags.StringVar(&s.HTTPFrameworkAuthenticators, "http_framework_authenticators", "", "how frameworks of the v1 API prove who they are: basic, jwt, or basic,jwt")
	flags.BoolVar(&s.AuthenticateAgents, "authenticate_agents", false, "let in only agents that prove who they are (CRAM-MD5)")
	flags.BoolVar(&s.AuthenticateFrameworks, "authenticate_frameworks", false, "let in only frameworks of the older driver that prove who they are (CRAM-MD5)")
	flags.StringVar(&s.Authenticators, "authenticators", s.Authenticators, "how agents and frameworks of the older driver prove who they are; crammd5 is all there is")
	flags.StringVar(&s.Authorizers, "authorizers", s.Authorizers, "who decides by the ACLs; local is all there is")
	flags.Var(timeout, "authentication_v0_timeout", "how long an agent or a framework of the older driver may take to prove who it is")
	serverFlags(flags, &s.Transport, &s.RequirePeerIP)
}

// guardFlags are the files that say who may do what.
func guardFlags(flags *pflag.FlagSet, f *guard.Files) {
	flags.StringVar(&f.ACLs, "acls", "", "access control lists: JSON, or a file of it (default: everything is allowed)")
	flags.StringVar(&f.JWTSecretKey, "jwt_secret_key", "", "file with the key that signs tokens (HS256)")
	flags.StringVar(&f.Credentials, "credentials", "", "file of principals and secrets, JSON or lines 'principal secret'")
}

// serverFlags are those of what lies below HTTP.
func serverFlags(flags *pflag.FlagSet, t *transport.Config, requirePeerIP *bool) {
	tlsFlags(flags, t)
	flags.BoolVar(&t.RequireClientCert, "tls_require_client_cert", false, "let in only clients with a certificate of --tls_ca_file")
	flags.BoolVar(&t.Downgrade, "tls_support_downgrade", false, "take plain connections, too, on the same port")
	flags.IntVar(&t.MaxConnections, "max_connections", transport.DefaultConnections, "connections kept at once; one more is closed")
	flags.BoolVar(requirePeerIP, "require_peer_address_ip_match", false, "refuse messages whose sender is not where its connection comes from")
}

// tlsFlags are those of a TLS client.
func tlsFlags(flags *pflag.FlagSet, t *transport.Config) {
	flags.StringVar(&t.CertFile, "tls_cert_file", "", "own certificate (PEM); turns TLS on (default: LIBPROCESS_SSL_* as Mesos has them)")
	flags.StringVar(&t.KeyFile, "tls_key_file", "", "key of --tls_cert_file (PEM)")
	flags.StringVar(&t.CAFile, "tls_ca_file", "", "authorities that others' certificates must be of (PEM; default: the system's)")
}

// secure completes a transport from Mesos's variables and reads its files.
func secure(t *transport.Config, requirePeerIP *bool, log *slog.Logger) error {
	ignored, err := t.FromEnvironment(os.Getenv)
	if err != nil {
		return err
	}
	if requirePeerIP != nil && os.Getenv("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH") == "true" {
		*requirePeerIP = true
	}
	for _, name := range ignored {
		log.Warn("not heeded", "setting", name)
	}
	return t.Load()
}

// agentSecurity is who an agent is, and who may do what at it.
type agentSecurity struct {
	files                                 guard.Files
	credential, authenticatee, authorizer string
	httpAuthenticators                    string
	readOnly, readWrite, executors        bool
	timeoutMin, timeoutMax, backoff       duration.Flag
	transport                             transport.Config
	requirePeerIP                         bool
}

func (a *agentSecurity) register(flags *pflag.FlagSet) {
	a.timeoutMin, a.timeoutMax, a.backoff = duration.Flag(5*time.Second), duration.Flag(time.Minute), duration.Flag(time.Second)
	flags.StringVar(&a.credential, "credential", "", "file with principal and secret by which the agent proves itself to the master (CRAM-MD5)")
	flags.StringVar(&a.authenticatee, "authenticatee", "crammd5", "how it does; crammd5 is all there is")
	flags.Var(&a.timeoutMin, "authentication_timeout_min", "how long to wait for the master before authentication is tried again, at first")
	flags.Var(&a.timeoutMax, "authentication_timeout_max", "the same, at last")
	flags.Var(&a.backoff, "authentication_backoff_factor", "by how much the wait grows at first")
	flags.StringVar(&a.files.ACLs, "acls", "", "access control lists: JSON, or a file of it (default: everything is allowed)")
	flags.StringVar(&a.authorizer, "authorizer", "local", "who decides by the ACLs; local is all there is")
	flags.StringVar(&a.files.Credentials, "http_credentials", "", "file of principals and secrets, JSON or lines 'principal secret'")
	flags.StringVar(&a.files.JWTSecretKey, "jwt_secret_key", "", "file with the key that signs tokens (HS256)")
	flags.BoolVar(&a.readOnly, "authenticate_http_readonly", false, "ask those who read for their credentials")
	flags.BoolVar(&a.readWrite, "authenticate_http_readwrite", false, "ask all users of /api/v1 for their credentials")
	flags.BoolVar(&a.executors, "authenticate_http_executors", false, "let in only executors with the token that this agent gave them")
	flags.StringVar(&a.httpAuthenticators, "http_authenticators", "basic", "how operators prove who they are: basic, jwt, or basic,jwt")
	serverFlags(flags, &a.transport, &a.requirePeerIP)
}

// load reads the files.
func (a *agentSecurity) load(log *slog.Logger) (*guard.Guard, credentials.Credential, error) {
	var c credentials.Credential
	if a.authenticatee != "crammd5" || a.authorizer != "local" {
		return nil, c, fmt.Errorf("--authenticatee can only be crammd5, and --authorizer local")
	}
	if a.timeoutMin <= 0 || a.timeoutMax < a.timeoutMin {
		return nil, c, fmt.Errorf("--authentication_timeout_min must be above 0 and at most --authentication_timeout_max")
	}
	if err := secure(&a.transport, &a.requirePeerIP, log); err != nil {
		return nil, c, err
	}
	g, err := guard.Load(a.files, log)
	if err != nil {
		return nil, c, err
	}
	for _, r := range []struct {
		realm authn.Realm
		names string
		on    bool
	}{
		{authn.AgentReadOnly, a.httpAuthenticators, a.readOnly}, {authn.AgentReadWrite, a.httpAuthenticators, a.readWrite},
		{authn.AgentExecutor, "jwt", a.executors},
	} {
		if r.on {
			if err := g.Require(r.realm, r.names); err != nil {
				return nil, c, err
			}
		}
	}
	if a.credential != "" {
		if c, err = credentials.LoadOne(a.credential, log); err != nil {
			return nil, c, fmt.Errorf("--credential: %w", err)
		}
	}
	return g, c, nil
}

// token makes executors' tokens; nil if they are not asked for any.
func (a *agentSecurity) token(g *guard.Guard) func(framework, executor, container string) string {
	if !a.executors {
		return nil
	}
	return func(framework, executor, container string) string {
		token, err := authn.ExecutorToken(g.Key, framework, executor, container)
		if err != nil { // three strings can be encoded
			panic(err)
		}
		return token
	}
}

// clientFlags are those by which a framework proves who it is.
type clientFlags struct {
	principal, secretFile, credential string
	transport                         transport.Config
}

func (f *clientFlags) register(flags *pflag.FlagSet, principal bool) {
	if principal {
		flags.StringVar(&f.principal, "principal", "", "principal to act as (default: that of --credential)")
	}
	flags.StringVar(&f.secretFile, "secret-file", "", "file with the secret of --principal")
	flags.StringVar(&f.credential, "credential", "", "file with principal and secret, JSON or 'principal secret'; instead of --principal and --secret-file")
	tlsFlags(flags, &f.transport)
}

// load reads the files. The credential has no secret where none is to be shown.
func (f *clientFlags) load(log *slog.Logger) (credentials.Credential, error) {
	c := credentials.Credential{Principal: f.principal}
	f.transport.Enabled = f.transport.CAFile != ""
	if err := secure(&f.transport, nil, log); err != nil {
		return c, err
	}
	var err error
	switch {
	case f.credential != "" && f.secretFile != "":
		return c, fmt.Errorf("--credential and --secret-file say the same; give one of them")
	case f.credential != "":
		if c, err = credentials.LoadOne(f.credential, log); err != nil {
			return c, fmt.Errorf("--credential: %w", err)
		}
		if f.principal != "" && f.principal != c.Principal {
			return c, fmt.Errorf("--principal %q is not that of --credential, %q", f.principal, c.Principal)
		}
	case f.secretFile != "":
		if f.principal == "" {
			return c, fmt.Errorf("--secret-file needs --principal")
		}
		if c.Secret, err = credentials.LoadSecret(f.secretFile, log); err != nil {
			return c, fmt.Errorf("--secret-file: %w", err)
		}
	}
	return c, nil
}
