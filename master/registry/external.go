package registry

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/namespace"
	"go.uber.org/zap"
)

// Times of talking to an external etcd.
const (
	dialTimeout      = 5 * time.Second
	firstAnswer      = 15 * time.Second // within which some member must answer at the start
	keepAliveTime    = 5 * time.Second  // a connection that says nothing is probed
	keepAliveTimeout = 3 * time.Second
)

// External says where an etcd is that others run.
type External struct {
	Endpoints []string // "host:port" or URLs
	CAFile    string   // with any of these three, connections are by TLS
	CertFile  string
	KeyFile   string
	Prefix    string // before all keys, so that several datacenters share an etcd
}

// Validate says what is wrong, without connecting.
func (x External) Validate() error {
	if len(x.Endpoints) == 0 {
		return fmt.Errorf("no etcd endpoint is given")
	}
	for _, e := range x.Endpoints {
		bare := strings.TrimPrefix(strings.TrimPrefix(e, "http://"), "https://")
		if !strings.Contains(bare, ":") || strings.ContainsAny(bare, "/ ") {
			return fmt.Errorf("%q is no etcd endpoint: it must be host:port or http(s)://host:port", e)
		}
		if strings.HasPrefix(e, "http://") && x.secure() {
			return fmt.Errorf("the etcd endpoint %q is without TLS although certificates are given", e)
		}
	}
	if (x.CertFile == "") != (x.KeyFile == "") {
		return fmt.Errorf("a client certificate for etcd needs both, certificate and key")
	}
	for _, f := range []string{x.CAFile, x.CertFile, x.KeyFile} {
		if f == "" {
			continue
		}
		if _, err := os.ReadFile(f); err != nil {
			return fmt.Errorf("TLS file for etcd: %w", err)
		}
	}
	return nil
}

func (x External) secure() bool {
	if x.CAFile != "" || x.CertFile != "" {
		return true
	}
	for _, e := range x.Endpoints {
		if strings.HasPrefix(e, "https://") {
			return true
		}
	}
	return false
}

// Dial connects to an external etcd. It fails, naming all endpoints, when none of them answers.
func Dial(ctx context.Context, x External) (*Etcd, error) {
	if err := x.Validate(); err != nil {
		return nil, err
	}
	cfg := clientv3.Config{
		DialTimeout: dialTimeout, DialKeepAliveTime: keepAliveTime, DialKeepAliveTimeout: keepAliveTimeout,
		Logger: zap.NewNop(), // errors come back from the calls
	}
	if x.secure() {
		security, err := x.tls()
		if err != nil {
			return nil, err
		}
		cfg.TLS = security
	}
	for _, e := range x.Endpoints {
		if !strings.Contains(e, "://") {
			scheme := "http://"
			if x.secure() {
				scheme = "https://"
			}
			e = scheme + e
		}
		cfg.Endpoints = append(cfg.Endpoints, e)
	}
	client, err := clientv3.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("etcd at %s: %w", strings.Join(x.Endpoints, ", "), err)
	}
	limited, cancel := context.WithTimeout(ctx, firstAnswer)
	defer cancel()
	if _, err := client.Get(limited, root, clientv3.WithCountOnly()); err != nil {
		client.Close() // nothing to lose
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("no etcd answers at %s within %s: %w", strings.Join(x.Endpoints, ", "), firstAnswer, err)
	}
	if x.Prefix != "" {
		client.KV = namespace.NewKV(client.KV, x.Prefix)
		client.Watcher = namespace.NewWatcher(client.Watcher, x.Prefix)
		client.Lease = namespace.NewLease(client.Lease, x.Prefix)
	}
	return NewEtcd(client, nil), nil
}

func (x External) tls() (*tls.Config, error) {
	info := transport.TLSInfo{CertFile: x.CertFile, KeyFile: x.KeyFile, TrustedCAFile: x.CAFile}
	cfg, err := info.ClientConfig()
	if err != nil {
		return nil, fmt.Errorf("TLS for etcd: %w", err)
	}
	return cfg, nil
}
