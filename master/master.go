package master

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
)

// MesosVersion is the version of Mesos whose behaviour this master has; agents,
// schedulers and tools look at it (reference row 0.6).
const MesosVersion = "1.12.0"

// Endpoint files in the work directory tell other parts where the master listens.
const (
	etcdEndpointFile = "etcd.endpoint"
	registryTimeout  = time.Minute
	shutdownTimeout  = 5 * time.Second
)

// Run runs a master until ctx ends. ready, if not nil, is called with the address
// it listens on as soon as it serves.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(address string)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log, shown, err := openLogs(&cfg, log)
	if err != nil {
		return err
	}
	defer shown.close()
	listener, err := listen(cfg)
	if err != nil {
		return err
	}
	defer listener.Close()
	reg, err := openRegistry(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := reg.Close(); err != nil {
			log.Error("registry not closed cleanly", "error", err)
		}
	}()
	meters := &api.Meters{}
	loaded, err := loadRegistry(ctx, reg, cfg.Weights, meters)
	if err != nil {
		return err
	}
	info, self, err := identity(cfg, listener.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	started := time.Now()
	o := newOwner(core.New(cfg.core(info), loaded, started), meters, log)
	o.maxWatchers = cfg.MaxSubscribers
	o.agents = newAgents(self, log)
	o.writer = newWriter(reg, meters, func(w core.RegistryWritten) { o.post(letter{event: w}) })
	flags, own := shownFlags(&cfg, info.GetHostname())
	facts := api.Facts{
		Version: MesosVersion, Started: started, Cluster: cfg.Cluster, Flags: flags, OwnFlags: own, Build: buildFacts(), Meters: meters,
		Verbosity: api.NewVerbosity(cfg.LogLevel), LogDir: cfg.LogDir, Files: shown.files(), PerFrameworkMetrics: cfg.PerFrameworkMetrics,
	}
	log.Info("master starts", "id", info.ID, "pid", info.GetPID(), "recovered_agents", len(loaded.Admitted), "unreachable_agents", len(loaded.Unreachable))
	return serve(ctx, listener, o, api.New(o, facts, log), log, ready)
}

// serve runs the owner, the writer and the HTTP server until ctx ends.
func serve(ctx context.Context, listener net.Listener, o *owner, handler http.Handler, log *slog.Logger, ready func(string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var parts sync.WaitGroup
	parts.Go(func() { o.run(ctx) })
	parts.Go(func() { o.writer.run(ctx) })
	// There is no timeout for idle connections: links between master and agents
	// are connections on which nothing is ever sent (reference row LP-11).
	server := &http.Server{
		Handler:  libprocess.Handler(o.deliver, handler),
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	failed := make(chan error, 1)
	parts.Go(func() { failed <- server.Serve(listener) })
	if ready != nil {
		ready(listener.Addr().String())
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	cancel()
	stop, done := context.WithTimeout(context.Background(), shutdownTimeout)
	defer done()
	if server.Shutdown(stop) != nil {
		server.Close()
	}
	o.agents.sender.Close()
	parts.Wait()
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return nil
}

func listen(cfg Config) (net.Listener, error) {
	address := net.JoinHostPort(cfg.IP, strconv.Itoa(cfg.Port))
	listener, err := net.Listen("tcp4", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("port %d of %s is in use by another process; choose another with --port", cfg.Port, cfg.IP)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is no address of this machine; choose one with --ip", cfg.IP)
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// openRegistry opens the registry that the configuration names.
func openRegistry(ctx context.Context, cfg Config, log *slog.Logger) (registry.Registry, error) {
	if cfg.Registry == InMemory {
		return registry.NewMemory(), nil
	}
	endpoint := filepath.Join(cfg.WorkDir, etcdEndpointFile)
	reg, address, err := registry.Embedded(ctx, filepath.Join(cfg.WorkDir, "etcd"), sameEndpoint(cfg.EtcdListen, endpoint))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(endpoint, []byte(address+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("tell where etcd listens: %w", err), reg.Close())
	}
	log.Info("embedded etcd serves", "address", address)
	return reg, nil
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

// identity is how the master shows itself: a new id for each process, as in Mesos,
// and the address that others reach it at (reference rows 0.4, LP-08, ZK-04).
func identity(cfg Config, at *net.TCPAddr) (mesos.MasterInfo, libprocess.UPID, error) {
	ip, port := at.IP.String(), at.Port
	if cfg.AdvertiseIP != "" {
		ip = cfg.AdvertiseIP
	}
	if cfg.AdvertisePort != 0 {
		port = cfg.AdvertisePort
	}
	address := net.ParseIP(ip).To4()
	if address == nil || address.IsUnspecified() {
		return mesos.MasterInfo{}, libprocess.UPID{}, fmt.Errorf("listening on %s, the master cannot tell at which address others reach it; say so with --advertise_ip", ip)
	}
	hostname := cfg.Hostname
	if hostname == "" {
		hostname = ip
	}
	self := libprocess.UPID{ID: masterActor, Host: ip, Port: port}
	pid, version, port32 := self.String(), MesosVersion, uint32(port)
	info := mesos.MasterInfo{
		ID: uuid.NewString(), IP: binary.LittleEndian.Uint32(address), Port: &port32, PID: &pid, Hostname: &hostname, Version: &version,
		Address: &mesos.Address{Hostname: &hostname, IP: &ip, Port: int32(port)},
		Capabilities: []mesos.MasterInfo_Capability{
			{Type: mesos.MasterInfo_Capability_AGENT_UPDATE},
			{Type: mesos.MasterInfo_Capability_AGENT_DRAINING},
			{Type: codec.MasterQuotaV2},
		},
	}
	return info, self, nil
}
