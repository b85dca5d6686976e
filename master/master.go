package master

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/election"
	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/zookeeper"
	"github.com/tombolo-project/tombolo/security/guard"
	"github.com/tombolo-project/tombolo/security/transport"
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

// Run runs a master until ctx ends. ready, if not nil, is called with the address it
// listens on: as soon as it leads or, if others may lead before it, as soon as it
// tells who does. A master that leads no more, or cannot write its registry, returns an
// error; like Mesos's it is to be started again by who watches over it.
func Run(ctx context.Context, cfg Config, log *slog.Logger, ready func(address string)) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	log, shown, err := openLogs(&cfg, log)
	if err != nil {
		return err
	}
	defer shown.close()
	guarded, err := cfg.Security.load(log)
	if err != nil {
		return err
	}
	listener, err := listen(cfg, log)
	if err != nil {
		return err
	}
	defer listener.Close()
	info, self, err := identity(cfg, listener.Addr().(*net.TCPAddr))
	if err != nil {
		return err
	}
	st, err := openStore(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() {
		if err := st.Close(); err != nil {
			log.Error("registry not closed cleanly", "error", err)
		}
	}()
	p := &process{cfg: cfg, guarded: guarded, log: log, info: info, self: self, store: st, meters: &api.Meters{}, ready: func() {}}
	if ready != nil {
		p.ready = func() { ready(listener.Addr().String()) }
	}
	flags, own := shownFlags(&cfg, info.GetHostname())
	p.facts = api.Facts{
		Version: MesosVersion, Started: time.Now(), Cluster: cfg.Cluster, Flags: flags, OwnFlags: own, Build: buildFacts(), Meters: p.meters,
		Verbosity: api.NewVerbosity(cfg.LogLevel), LogDir: cfg.LogDir, Files: shown.files(), WebUIDir: cfg.WebUIDir, PerFrameworkMetrics: cfg.PerFrameworkMetrics,
		Standing: p.front.standing, Security: api.Security{Realms: guarded.Realms, ACLs: guarded.ACLs},
	}
	return p.run(ctx, listener)
}

// process is one master from its start to its end.
type process struct {
	cfg     Config
	guarded *guard.Guard
	log     *slog.Logger
	info    mesos.MasterInfo
	self    libprocess.UPID
	store   *store
	meters  *api.Meters
	facts   api.Facts
	front   front
	ready   func()
}

// run serves the port, stands for election, leads, and ends with ctx or with the reign.
func (p *process) run(ctx context.Context, listener net.Listener) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	// What every master answers, and who leads, is shown from the view of a master without anything.
	empty := newOwner(core.New(p.cfg.core(p.info, p.guarded.ACLs), core.NewRegistry(), p.facts.Started), p.meters, p.log)
	empty.writer = newWriter(registry.NewMemory(), p.meters, func(core.RegistryWritten) {})
	parts.Go(func() { empty.run(ctx) })
	p.front.standby = api.New(empty, p.facts, p.log)
	if p.store.shared {
		parts.Go(func() { p.store.follow(ctx, p.info.ID, &p.front, p.log) })
	}
	handler := libprocess.Handler(p.front.deliver, &p.front)
	if p.cfg.Security.RequirePeerIP {
		handler = libprocess.RequirePeerIP(handler)
	}
	server := transport.Server(handler, p.log)
	parts.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			cancel(fmt.Errorf("serve HTTP: %w", err))
		}
	})
	if p.store.shared {
		p.ready()
	}
	err := p.lead(ctx)
	if err == nil && ctx.Err() != nil && !errors.Is(context.Cause(ctx), context.Canceled) {
		err = context.Cause(ctx)
	}
	cancel(nil)
	if err != nil || !shutDown(server) {
		server.Close() // nothing is left to say
	}
	parts.Wait()
	return err
}

// shutDown lets requests under way end; it reports whether they did in time.
func shutDown(server *http.Server) bool {
	stop, done := context.WithTimeout(context.Background(), shutdownTimeout)
	defer done()
	return server.Shutdown(stop) == nil
}

// lead waits to be elected and leads until ctx ends, which returns nil, or something
// makes that impossible.
func (p *process) lead(ctx context.Context) error {
	leadership, err := p.store.lead(ctx, p.info, p.cfg.EtcdSessionTimeout, p.log)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	defer p.resign(leadership)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if leadership != nil {
		defer context.AfterFunc(leadership.Context(), func() { cancel(leadership.Err()) })()
	}
	if p.cfg.ZK != "" {
		shown, err := p.publish(ctx, leadership)
		if err != nil {
			return because(ctx, err)
		}
		defer shown.Close()
		defer context.AfterFunc(shown.Context(), func() { cancel(shown.Err()) })()
	}
	p.front.elected.Store(true)
	loaded, err := loadRegistry(ctx, p.store, p.cfg.Weights, p.meters)
	if err != nil {
		return because(ctx, err)
	}
	o := newOwner(core.New(p.cfg.core(p.info, p.guarded.ACLs), loaded, time.Now()), p.meters, p.log)
	o.maxWatchers = p.cfg.MaxSubscribers
	o.agents = newAgents(p.cfg.Security.Transport.Dial, p.self, p.log)
	o.agents.authenticator = newAuthenticator(p.guarded.Store, p.cfg.Security.AuthenticationTimeout, o.agents, p.self, func(e core.Event) { o.post(letter{event: e}) })
	o.drivers = newDrivers(o.agents.sender, p.log)
	o.fail = cancel
	if leadership != nil {
		o.valid = leadership.Valid
		o.agents.sender.SetEpoch(leadership.Epoch)
	}
	o.writer = newWriter(p.store, p.meters, func(w core.RegistryWritten) { o.post(letter{event: w}) })
	p.log.Info("master leads", "id", p.info.ID, "pid", p.info.GetPID(), "recovered_agents", len(loaded.Admitted),
		"unreachable_agents", len(loaded.Unreachable), "recovered_frameworks", len(loaded.Frameworks))
	var parts sync.WaitGroup
	parts.Go(func() { o.run(ctx) })
	if path := p.cfg.Allocator.Whitelist; path != "" {
		parts.Go(func() { watchWhitelist(ctx, path, func(e core.Event) { o.post(letter{event: e}) }, p.log) })
	}
	parts.Go(func() {
		if err := o.writer.run(ctx); err != nil {
			cancel(err)
		}
	})
	facts := p.facts
	facts.Elected = time.Now()
	p.front.leading.Store(&reign{owner: o, api: api.New(o, facts, p.log)})
	if !p.store.shared {
		p.ready()
	}
	<-ctx.Done()
	o.agents.sender.Close()
	parts.Wait()
	return because(ctx, nil)
}

// publish shows this master in ZooKeeper. While one that is not of ours leads there,
// clients are led to it.
func (p *process) publish(ctx context.Context, l *election.Leadership) (*zookeeper.Publication, error) {
	u, err := zookeeper.ParseURL(p.cfg.ZK)
	if err != nil { // Validate looked at it
		return nil, err
	}
	reign := epoch.Epoch{}
	if l != nil {
		reign = l.Epoch
	}
	shown, err := zookeeper.Publish(ctx, u, p.cfg.ZKSessionTimeout, p.log, p.info, reign, p.front.leader.Store)
	if err != nil {
		return nil, fmt.Errorf("show this master in ZooKeeper: %w", err)
	}
	return shown, nil
}

// because returns why ctx ended, unless it was ended from outside; err if it did not.
func because(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// resign lets the next master lead at once.
func (p *process) resign(l *election.Leadership) {
	if l == nil {
		return
	}
	ctx, done := context.WithTimeout(context.Background(), shutdownTimeout)
	defer done()
	if err := l.Resign(ctx); err != nil {
		p.log.Warn("the next leader has to wait", "error", err)
	}
}

func listen(cfg Config, log *slog.Logger) (net.Listener, error) {
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
	return cfg.Security.Transport.Listen(listener, log)
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
	domain, err := cfg.Allocator.domain()
	if err != nil {
		return mesos.MasterInfo{}, libprocess.UPID{}, fmt.Errorf("--domain: %w", err)
	}
	info.Domain = domain
	return info, self, nil
}
