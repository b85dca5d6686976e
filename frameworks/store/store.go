// Package store keeps a framework's state: small JSON documents under keys, in etcd.
//
// Marathon and batch write every decision here before they act on it, so that a restart finds what was decided
// and neither loses an instance nor starts one twice. A store has one writer: opening it takes it over, and the
// earlier holder's next write fails with ErrSuperseded (the newest wins, as with a Mesos framework id).
//
// Start reading at Open; Memory is the implementation that tests use.
package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/etcdserver/api/v3client"
)

// ErrSuperseded says that another process opened the same state later and owns it now.
var ErrSuperseded = errors.New("another process has taken over this state")

// Limits. etcd refuses transactions of more than 128 operations and requests above 1.5 MiB.
const (
	maxOperations = 120
	maxValue      = 1 << 20
	pageSize      = 500
	dialTimeout   = 10 * time.Second
	quotaBytes    = 2 << 30
)

// Change is one key to write; a nil Value deletes it.
type Change struct {
	Key   string
	Value []byte
}

// Store is durable state with one writer. Load is called once, before the first Write.
type Store interface {
	Load(ctx context.Context) (map[string][]byte, error)
	Write(ctx context.Context, changes []Change) error
	Close() error
}

// Etcd is a Store in etcd, under one prefix.
type Etcd struct {
	client   *clientv3.Client
	embedded *embed.Etcd // nil for a remote etcd
	prefix   string      // ends in "/"
	token    string      // what the owner key holds while this process is the writer
}

// Open opens the state at address and takes it over from any earlier holder:
//
//	etcd://HOST:PORT[,HOST:PORT...]/PATH   keys under PATH in that etcd
//	file:///DIRECTORY (or just a path)     an etcd of our own in that directory, reachable by no one else
func Open(ctx context.Context, address string, log *slog.Logger) (*Etcd, error) {
	s := &Etcd{token: uuid.NewString()}
	var err error
	switch {
	case strings.HasPrefix(address, "etcd://"):
		err = s.dial(address)
	case strings.HasPrefix(address, "file://"):
		err = s.embed(ctx, strings.TrimPrefix(address, "file://"), log)
	case address != "" && !strings.Contains(address, "://"):
		err = s.embed(ctx, address, log)
	default:
		err = fmt.Errorf("want etcd://HOST:PORT/PATH or file:///DIRECTORY")
	}
	if err != nil {
		return nil, fmt.Errorf("state %q: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if _, err := s.client.Put(ctx, s.prefix+"owner", s.token); err != nil {
		s.Close()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("nobody answers there within %s: %w", dialTimeout, err)
		}
		return nil, fmt.Errorf("state %q: take it over: %w", address, err)
	}
	return s, nil
}

func (s *Etcd) dial(address string) error {
	// url.Parse refuses several hosts with ports, so the list is cut by hand.
	hosts, path, _ := strings.Cut(strings.TrimPrefix(address, "etcd://"), "/")
	path = strings.Trim(path, "/")
	if hosts == "" || path == "" {
		return fmt.Errorf("want etcd://HOST:PORT/PATH")
	}
	var endpoints []string
	for _, host := range strings.Split(hosts, ",") {
		if u, err := url.Parse("http://" + host); err != nil || u.Port() == "" {
			return fmt.Errorf("%q is not HOST:PORT", host)
		}
		endpoints = append(endpoints, "http://"+host)
	}
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: dialTimeout})
	if err != nil {
		return err
	}
	s.client, s.prefix = client, "/"+path+"/"
	return nil
}

// embed starts an etcd in dir that listens nowhere.
func (s *Etcd) embed(ctx context.Context, dir string, log *slog.Logger) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.LogLevel = "error"
	cfg.LogOutputs = []string{filepath.Join(dir, "etcd.log")}
	cfg.QuotaBackendBytes = quotaBytes
	cfg.AutoCompactionMode, cfg.AutoCompactionRetention = embed.CompactorModeRevision, "1000"
	// No listeners: we speak to it in process. The addresses it advertises name the only member and are never dialled.
	nominal := []url.URL{{Scheme: "http", Host: "127.0.0.1:1"}}
	cfg.ListenClientUrls, cfg.ListenPeerUrls = nil, nil
	cfg.AdvertiseClientUrls, cfg.AdvertisePeerUrls = nominal, nominal
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)
	server, err := embed.StartEtcd(cfg)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-server.Server.ReadyNotify():
	case <-ctx.Done():
		server.Close()
		return ctx.Err()
	case <-time.After(dialTimeout):
		server.Close()
		return fmt.Errorf("etcd was not ready after %s", dialTimeout)
	}
	log.Debug("etcd started", "dir", dir)
	s.embedded, s.client, s.prefix = server, v3client.New(server.Server), "/"
	return nil
}

// Load reads every document under the prefix; the keys are without it.
func (s *Etcd) Load(ctx context.Context) (map[string][]byte, error) {
	all := map[string][]byte{}
	from, end := s.prefix, clientv3.GetPrefixRangeEnd(s.prefix)
	for {
		page, err := s.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(pageSize))
		if err != nil {
			return nil, fmt.Errorf("load state: %w", err)
		}
		for _, kv := range page.Kvs {
			all[strings.TrimPrefix(string(kv.Key), s.prefix)] = kv.Value
			from = string(kv.Key) + "\x00"
		}
		if !page.More {
			delete(all, "owner")
			return all, nil
		}
	}
}

// Write makes the changes durable; each batch of 120 is atomic. ErrSuperseded when another process owns the state.
func (s *Etcd) Write(ctx context.Context, changes []Change) error {
	for len(changes) > 0 {
		n, size := 0, 0
		ops := make([]clientv3.Op, 0, maxOperations)
		for n < len(changes) && n < maxOperations && (n == 0 || size+len(changes[n].Value) <= maxValue) {
			c := changes[n]
			if c.Value == nil {
				ops = append(ops, clientv3.OpDelete(s.prefix+c.Key))
			} else {
				ops = append(ops, clientv3.OpPut(s.prefix+c.Key, string(c.Value)))
			}
			size += len(c.Value)
			n++
		}
		mine := clientv3.Compare(clientv3.Value(s.prefix+"owner"), "=", s.token)
		answer, err := s.client.Txn(ctx).If(mine).Then(ops...).Commit()
		if err != nil {
			return fmt.Errorf("write state: %w", err)
		}
		if !answer.Succeeded {
			return ErrSuperseded
		}
		changes = changes[n:]
	}
	return nil
}

// Close ends the connection, and the embedded etcd if there is one.
func (s *Etcd) Close() error {
	err := s.client.Close()
	if s.embedded != nil {
		s.embedded.Close()
	}
	if errors.Is(err, context.Canceled) { // the in-process client answers this when it closes
		return nil
	}
	return err
}
