package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/pflag"

	"github.com/tombolo-project/tombolo/master"
	"github.com/tombolo-project/tombolo/mesos/duration"
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
