package batch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"golang.org/x/sync/errgroup"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/owner"
	"github.com/tombolo-project/tombolo/frameworks/session"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Config is how the batch framework runs.
type Config struct {
	Master   string // host:port[,host:port...]
	Role     string
	Name     string // FrameworkInfo.name
	User     string // whom tasks run as that don't say
	Listener net.Listener
	Host     string // the name or address that others reach Listener's port at
	State    string // see store.Open
	Failover time.Duration
	Log      *slog.Logger
}

// Framework joins the core with the master and the API. It is the session's Handler.
type Framework struct {
	config Config
	core   *Core
	loop   *owner.Loop[any, any]
	mesos  orders.Mesos
	agents *http.Client
	log    *slog.Logger
	ctx    context.Context // ends with Serve; for what the handlers start
}

// Run runs the framework until ctx ends or it can't go on.
func Run(ctx context.Context, config Config) error {
	s, err := store.Open(ctx, config.State, config.Log)
	if err != nil {
		return err
	}
	defer s.Close()
	f, err := New(ctx, config, s)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(config.Listener.Addr().String())
	info := orders.Info(config.Name, config.User, config.Role, config.Host, "http://"+net.JoinHostPort(config.Host, port),
		f.core.FrameworkID(), config.Failover)
	link, err := session.New(session.Config{Master: config.Master, Framework: info, Handler: f, Log: config.Log})
	if err != nil {
		return err
	}
	return f.Serve(ctx, link, link.Run)
}

// New loads the state. Tests use it with a session of their own; Run is for everyone else.
func New(ctx context.Context, config Config, s store.Store) (*Framework, error) {
	docs, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	core, err := NewCore(docs)
	if err != nil {
		return nil, err
	}
	f := &Framework{config: config, core: core, log: config.Log, agents: &http.Client{Timeout: agentTimeout}}
	f.loop = owner.New[any, any](core, s, f.perform, Tick{}, config.Log)
	return f, nil
}

// Serve runs the owner, the API and the session until ctx ends or one of them fails.
func (f *Framework) Serve(ctx context.Context, link orders.Mesos, run func(context.Context) error) error {
	f.mesos = link
	g, ctx := errgroup.WithContext(ctx)
	f.ctx = ctx
	server := &http.Server{Handler: f.Handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	g.Go(func() error { return f.loop.Run(ctx) })
	g.Go(func() error { return run(ctx) })
	g.Go(func() error {
		if err := server.Serve(f.config.Listener); !errors.Is(err, http.ErrServerClosed) {
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

func (f *Framework) perform(effect any) {
	if a, ok := effect.(orders.Accept); ok {
		f.log.Info("launch", "tasks", len(a.Tasks), "agent_id", a.Tasks[0].AgentID.Value)
	}
	if !orders.Perform(f.mesos, effect) {
		f.log.Error("unknown effect", "effect", fmt.Sprintf("%T", effect))
	}
}

// do hands an event to the owner; trouble with the store is logged by the loop and mended by its next write.
func (f *Framework) do(event any) {
	var away *owner.Unavailable
	if err := f.loop.Do(f.ctx, event); err != nil && !errors.As(err, &away) && f.ctx.Err() == nil {
		f.log.Error("event was not taken in", "event", fmt.Sprintf("%T", event), "error", err)
	}
}

// The methods of session.Handler.

// Subscribed notes the framework id.
func (f *Framework) Subscribed(id mesos.FrameworkID) { f.do(Subscribed{id}) }

// Disconnected stops asking for offers until the next subscription.
func (f *Framework) Disconnected(error) { f.do(Disconnected{}) }

// Offers has offers used or declined.
func (f *Framework) Offers(offers []mesos.Offer) { f.do(Offered{offers}) }

// Rescind needs nothing: offers are answered at once.
func (f *Framework) Rescind(mesos.OfferID) {}

// Update takes a status in; it is acknowledged once what followed from it is durable.
func (f *Framework) Update(status mesos.TaskStatus) error {
	f.log.Debug("status", "task_id", status.TaskID.Value, "state", status.GetState().String(), "message", status.GetMessage())
	return f.loop.Do(f.ctx, Updated{status})
}

// Message has no use: command executors send none.
func (f *Framework) Message(mesos.AgentID, mesos.ExecutorID, []byte) {}

// Failure is no base for task states; status updates are.
func (f *Framework) Failure(*mesos.AgentID, *mesos.ExecutorID, *int32) {}

// Tasks are the active tasks.
func (f *Framework) Tasks() []scheduler.Call_Reconcile_Task {
	var tasks []scheduler.Call_Reconcile_Task
	err := f.loop.Look(f.ctx, func() {
		for id, t := range f.core.tasks {
			tasks = append(tasks, orders.Task(id, t.AgentID))
		}
	})
	if err != nil {
		f.log.Warn("nothing is reconciled", "error", err)
	}
	return tasks
}

// Error is the master's last word. A framework that was removed starts anew under another id, once restarted.
func (f *Framework) Error(message string) {
	f.log.Error("the master refuses the framework", "message", message)
	if strings.Contains(message, orders.RemovedMessage) {
		f.do(Removed{})
	}
}
