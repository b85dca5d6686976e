package registry

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// startTimeout is how long the embedded etcd may take to be ready.
const startTimeout = 60 * time.Second

// Embedded starts an etcd in this process with its data in dir, and returns a
// registry in it and the address (host:port) at which it serves other clients.
// listen is where to listen for them; port 0 chooses a free one. It serves
// anyone who can reach that address, without authentication, so listen should be
// on the loopback or on a network where everybody is trusted.
func Embedded(ctx context.Context, dir, listen string) (*Etcd, string, error) {
	cfg, err := embeddedConfig(dir, listen)
	if err != nil {
		return nil, "", err
	}
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, "", fmt.Errorf("start the embedded etcd in %s: %w", dir, err)
	}
	stop := func() error {
		server.Close()
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-server.Server.ReadyNotify():
	case err := <-server.Err():
		server.Close()
		return nil, "", fmt.Errorf("start the embedded etcd in %s: %w", dir, err)
	case <-ctx.Done():
		server.Close()
		return nil, "", fmt.Errorf("the embedded etcd in %s is not ready: %w", dir, ctx.Err())
	}
	return NewEtcd(v3client.New(server.Server), stop), server.Clients[0].Addr().String(), nil
}

func embeddedConfig(dir, listen string) (*embed.Config, error) {
	if _, _, err := net.SplitHostPort(listen); err != nil {
		return nil, fmt.Errorf("%q is no address host:port to listen on for etcd clients", listen)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the embedded etcd: %w", err)
	}
	cfg := embed.NewConfig()
	cfg.Name = "tombolo"
	cfg.Dir = dir
	cfg.Logger = "zap"
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{filepath.Join(dir, "etcd.log")}
	client := url.URL{Scheme: "http", Host: listen}
	cfg.ListenClientUrls = []url.URL{client}
	cfg.AdvertiseClientUrls = []url.URL{client}
	// A single member listens for no peers; the URL is only its name among members.
	cfg.ListenPeerUrls = nil
	peer := url.URL{Scheme: "http", Host: "localhost:2380"}
	cfg.AdvertisePeerUrls = []url.URL{peer}
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	cfg.AutoCompactionMode = "revision"
	cfg.AutoCompactionRetention = "10000"
	cfg.QuotaBackendBytes = 8 << 30
	return cfg, nil
}
