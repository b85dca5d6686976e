// Package service runs a framework of ours as a process: it joins the framework's pure core with the master, the store
// and the HTTP API. A framework adds its core, its routes and the effects that are its own.
//
// Start reading at Run.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"golang.org/x/sync/errgroup"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/owner"
	"github.com/tombolo-project/tombolo/frameworks/session"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Config is how a framework runs.
type Config struct {
	Master   string // host:port[,host:port...]
	Role     string // "*" is the default one
	Name     string // FrameworkInfo.name
	User     string // whom tasks run as that don't say
	Listener net.Listener
	Host     string // the name or address that others reach Listener's port at
	State    string // see store.Open
	Failover time.Duration
	Log      *slog.Logger
	// Principal is whom the framework acts as; empty for nobody. HTTP shows what proves it; nil for nothing.
	Principal string
	HTTP      *http.Client
	TLS       bool // the masters speak TLS
}

// Address is host:port of the API, as others reach it.
func (c Config) Address() string {
	_, port, _ := net.SplitHostPort(c.Listener.Addr().String())
	return net.JoinHostPort(c.Host, port)
}

// The events that every core takes in, beside its own.
type (
	// Tick is the passing of time, twice a second.
	Tick struct{}
	// Subscribed is a new subscription to a master.
	Subscribed struct{ ID mesos.FrameworkID }
	// Disconnected is its end.
	Disconnected struct{}
	// Removed is the master's word that the framework is gone for good.
	Removed struct{}
	// Offered is a batch of offers; all are used or declined at once, none is held.
	Offered struct{ Offers []mesos.Offer }
	// Updated is a task's status.
	Updated struct{ Status mesos.TaskStatus }
)

// Core is a framework's pure state machine. Its effects are orders (package orders) and the framework's own.
type Core interface {
	owner.Core[any, any]
	// FrameworkID is the id that the master gave, "" before the first time.
	FrameworkID() string
	// Tasks are those that may run, to be reconciled.
	Tasks() []scheduler.Call_Reconcile_Task
}

// Service is the process around a core. It is the session's Handler (handler.go).
type Service struct {
	Config
	core   Core
	loop   *owner.Loop[any, any]
	own    func(effect any) bool
	routes http.Handler
	mesos  orders.Mesos
	ctx    context.Context // ends with Serve; for what handlers and effects start
}

// New makes a service. own carries out the effects that are no orders and tells whether it knew the effect; it is called
// by the owner goroutine and must not block. routes is the API.
func New(config Config, core Core, s store.Store, own func(effect any) bool, routes http.Handler) *Service {
	f := &Service{Config: config, core: core, own: own, routes: routes}
	f.loop = owner.New[any, any](core, s, f.perform, Tick{}, config.Log)
	return f
}

// Run opens the store, has open make the service of what is in it, and serves until ctx ends or it can't go on.
func Run(ctx context.Context, config Config, open func(context.Context, store.Store) (*Service, error)) error {
	s, err := store.Open(ctx, config.State, config.Log)
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := open(ctx, s)
	if err != nil {
		return err
	}
	info := orders.Info(config.Name, config.User, config.Role, config.Host, "http://"+config.Address(), f.core.FrameworkID(), config.Failover)
	if config.Principal != "" {
		info.Principal = &config.Principal
	}
	link, err := session.New(session.Config{Master: config.Master, Framework: info, Handler: f, Log: config.Log, HTTP: config.HTTP, TLS: config.TLS})
	if err != nil {
		return err
	}
	return f.Serve(ctx, link, link.Run)
}

// Serve runs the owner, the API and the session until ctx ends or one of them fails.
func (f *Service) Serve(ctx context.Context, link orders.Mesos, run func(context.Context) error) error {
	f.mesos = link
	g, ctx := errgroup.WithContext(ctx)
	f.ctx = ctx
	server := &http.Server{Handler: f.routes, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	g.Go(func() error { return f.loop.Run(ctx) })
	g.Go(func() error { return run(ctx) })
	g.Go(func() error {
		if err := server.Serve(f.Listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve the API: %w", err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		if server.Shutdown(closing) != nil {
			return server.Close()
		}
		return nil
	})
	return g.Wait()
}

// Context ends with Serve. Effects of the framework's own may use it for what they start.
func (f *Service) Context() context.Context { return f.ctx }

// Do hands an event to the owner and waits until its consequences are durable. The error is the core's refusal, or an
// *owner.Unavailable.
func (f *Service) Do(ctx context.Context, event any) error { return f.loop.Do(ctx, event) }

// Look runs see in the owner goroutine, where it may read the core; it must be quick and keep only immutable values.
func (f *Service) Look(ctx context.Context, see func()) error { return f.loop.Look(ctx, see) }

// Post hands over an event that nobody waits for; trouble with the store is logged by the loop and mended by its next write.
func (f *Service) Post(event any) {
	var away *owner.Unavailable
	if err := f.loop.Do(f.ctx, event); err != nil && !errors.As(err, &away) && f.ctx.Err() == nil {
		f.Log.Error("event was not taken in", "event", fmt.Sprintf("%T", event), "error", err)
	}
}

func (f *Service) perform(effect any) {
	if a, ok := effect.(orders.Accept); ok {
		f.Log.Info("launch", "tasks", len(a.Tasks), "agent_id", a.Tasks[0].AgentID.Value)
	}
	if !orders.Perform(f.mesos, effect) && !f.own(effect) {
		f.Log.Error("unknown effect", "effect", fmt.Sprintf("%T", effect))
	}
}
