package master

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/election"
	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// store is where the registry lives, and with it the election.
type store struct {
	registry.Registry
	etcd   *registry.Etcd // nil for a registry in memory
	shared bool           // other masters may use it too
}

// openStore opens the registry that the configuration names.
func openStore(ctx context.Context, cfg Config, log *slog.Logger) (*store, error) {
	switch {
	case cfg.Registry == InMemory:
		return &store{Registry: registry.NewMemory()}, nil
	case len(cfg.Etcd.Endpoints) > 0:
		etcd, err := registry.Dial(ctx, cfg.Etcd)
		if err != nil {
			return nil, err
		}
		return &store{Registry: etcd, etcd: etcd, shared: true}, nil
	}
	endpoint := filepath.Join(cfg.WorkDir, etcdEndpointFile)
	etcd, address, err := registry.Embedded(ctx, filepath.Join(cfg.WorkDir, "etcd"), sameEndpoint(cfg.EtcdListen, endpoint))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(endpoint, []byte(address+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("tell where etcd listens: %w", err), etcd.Close())
	}
	log.Info("embedded etcd serves", "address", address)
	return &store{Registry: etcd, etcd: etcd}, nil
}

// sameEndpoint is where etcd is to listen: if any port will do, the one of the last
// run if that is free, so that etcd's clients survive a restart of the master.
func sameEndpoint(wanted, file string) string {
	host, port, err := net.SplitHostPort(wanted)
	if err != nil || port != "0" {
		return wanted
	}
	last, err := os.ReadFile(file)
	if err != nil {
		return wanted
	}
	address := strings.TrimSpace(string(last))
	if lastHost, _, err := net.SplitHostPort(address); err != nil || lastHost != host {
		return wanted
	}
	probe, err := net.Listen("tcp", address)
	if err != nil {
		return wanted
	}
	if probe.Close() != nil {
		return wanted
	}
	return address
}

// lead returns when this master leads. A registry in memory is nobody else's: its
// leader needs no election and has no epoch, and nil is returned.
func (s *store) lead(ctx context.Context, info mesos.MasterInfo, ttl time.Duration, log *slog.Logger) (*election.Leadership, error) {
	if s.etcd == nil {
		return nil, nil
	}
	self, err := codec.JSON.Marshal(&info)
	if err != nil {
		return nil, fmt.Errorf("describe this master: %w", err)
	}
	var l *election.Leadership
	if !s.shared {
		l, err = election.Seize(ctx, s.etcd.Client(), self)
	} else {
		l, err = s.campaign(ctx, self, ttl, log)
	}
	if err != nil {
		return nil, err
	}
	s.etcd.Fence(l.Fence())
	return l, nil
}

// campaign stands for election until this master leads. Losing the lease meanwhile,
// when etcd is away for a while, costs only its place in the queue.
func (s *store) campaign(ctx context.Context, self []byte, ttl time.Duration, log *slog.Logger) (*election.Leadership, error) {
	for {
		l, err := election.Campaign(ctx, s.etcd.Client(), self, ttl)
		if err == nil || ctx.Err() != nil {
			return l, err
		}
		log.Warn("not standing for election; trying again", "error", err)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(ttl / 4):
		}
	}
}

// follow tells the front who leads until ctx ends.
// One that is elected but may not lead yet, because another leads by ZooKeeper, leads
// nobody to itself.
func (s *store) follow(ctx context.Context, own string, f *front, log *slog.Logger) {
	election.Watch(ctx, s.etcd.Client(), func(self []byte) {
		if self == nil {
			f.leader.Store(nil)
			return
		}
		var info mesos.MasterInfo
		if err := codec.JSON.Unmarshal(self, &info); err != nil {
			log.Error("the leader's description cannot be read", "error", err)
			f.leader.Store(nil)
			return
		}
		if info.ID == own {
			return
		}
		f.leader.Store(&info)
		log.Info("a leader is elected", "id", info.ID, "pid", info.GetPID())
	})
}

// loadRegistry reads the registry, and puts in the weights of the flags that it does not have yet.
func loadRegistry(ctx context.Context, reg registry.Registry, weights map[string]float64, meters *api.Meters) (*core.Registry, error) {
	ctx, cancel := context.WithTimeout(ctx, registryTimeout)
	defer cancel()
	begin := time.Now()
	loaded, err := reg.Load(ctx)
	if err != nil {
		return nil, err
	}
	meters.RegistryFetch.Observe(time.Since(begin))
	change := core.RegistryChange{Kind: core.SetWeights}
	for role, w := range weights {
		if _, there := loaded.Weights[role]; !there {
			change.Weights = append(change.Weights, mesos.WeightInfo{Role: &role, Weight: w})
		}
	}
	if len(change.Weights) > 0 {
		if err := reg.Apply(ctx, []core.RegistryChange{change}); err != nil {
			return nil, err
		}
		loaded.Apply(change)
	}
	return loaded, nil
}
