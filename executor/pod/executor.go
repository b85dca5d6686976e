package pod

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Executor runs the pods of one agent. Its tasks belong to the goroutine of Run; others get there by do.
type Executor struct {
	config   Config
	log      *slog.Logger
	runtime  *containerRuntime
	host     lifecycle.Host
	resolv   criconfig.DNS
	identity tls.Certificate
	endpoint podapi.Endpoint
	system   corev1.NodeSystemInfo
	listener net.Listener
	server   *grpc.Server // nil until the first SUBSCRIBED brings the bridge's CA
	driver   *driver
	stats    *statsKeeper
	claim    *claim

	loop    chan func()
	done    chan struct{} // closed when Run returns
	workers sync.WaitGroup

	tasks    map[string]*task
	finished []string // ids of terminal tasks that are kept, oldest first
	stopping bool
	orphaned bool // there is no agent any more that would take an update
	start    func(*worker)
}

// New connects to the container runtime and opens the port of the pod API. Run does the rest.
func New(ctx context.Context, config Config, log *slog.Logger) (*Executor, error) {
	if err := makeRoom(config.Cgroup); err != nil {
		return nil, err
	}
	runtime, err := connectRuntime(ctx, config.CRI, config.owner())
	if err != nil {
		return nil, err
	}
	identity, err := podapi.NewIdentity()
	if err != nil {
		return nil, err
	}
	claim, err := claimDir(config.RuntimeDir, config.run())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(config.IP, "0"))
	if err != nil {
		return nil, fmt.Errorf("serve the pod API on the agent's address: %w", err)
	}
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("this machine's name resolution: %w", err)
	}
	x := &Executor{
		config: config, log: log, runtime: runtime, identity: identity, listener: listener,
		host:   lifecycle.Host{IP: config.IP, RuntimeName: runtime.name},
		system: systemInfo("/", runtime),
		resolv: criconfig.ParseResolvConf(string(resolv)),
		loop:   make(chan func(), 256), done: make(chan struct{}),
		tasks: map[string]*task{}, stats: newStatsKeeper(), claim: claim,
	}
	x.endpoint = podapi.Endpoint{
		Address:     listener.Addr().String(),
		Fingerprint: podapi.Fingerprint(identity.Certificate[0]),
	}
	x.driver = newDriver(config, log)
	log.Info("container runtime found", "name", runtime.name, "version", runtime.version, "endpoint", config.CRI)
	return x, nil
}

// Run subscribes to the agent and runs pods until the agent orders SHUTDOWN, has been away for too long, or ctx ends. In
// each case it stops all pods first.
func (x *Executor) Run(ctx context.Context) error {
	defer x.close()
	defer x.workers.Wait()
	defer close(x.done) // lets workers go that have something to report
	if err := x.removeLeftovers(ctx); err != nil {
		return err
	}
	// Workers outlive ctx: they have to stop their pods.
	workCtx, stopWorkers := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWorkers()
	x.start = func(w *worker) {
		x.workers.Add(1)
		go func() {
			defer x.workers.Done()
			w.run(workCtx)
		}()
	}
	driverCtx, stopDriver := context.WithCancel(workCtx)
	defer stopDriver()
	events := make(chan driverEvent, 64)
	go x.driver.run(driverCtx, x.unacknowledged, events)
	go x.relist(workCtx)
	go x.follow(workCtx)
	go x.rotateLogs(workCtx)

	var deadline <-chan time.Time
	stop := ctx.Done()
	for {
		select {
		case <-stop:
			stop = nil
			x.log.Info("told to stop")
			deadline = x.stopAll()
		case event := <-events:
			if x.handle(event) {
				deadline = x.stopAll()
			}
		case f := <-x.loop:
			f()
		case <-deadline:
			return errors.New("not all pods could be stopped in the time that the agent gives")
		}
		if x.stopping && x.settled() {
			return nil
		}
	}
}

// do runs f in the goroutine of Run; it reports false if Run has returned.
func (x *Executor) do(f func()) bool {
	finished := make(chan struct{})
	select {
	case x.loop <- func() { defer close(finished); f() }:
	case <-x.done:
		return false
	}
	select {
	case <-finished:
		return true
	case <-x.done:
		return false
	}
}

func (x *Executor) close() {
	if x.server != nil {
		x.server.Stop()
	}
	_ = x.listener.Close()
	_ = x.runtime.close()
	if err := x.claim.release(); err != nil {
		x.log.Error("clean up the runtime directory", "error", err)
	}
}

// handle takes in what the agent says. It returns true when all pods are to be stopped.
func (x *Executor) handle(event driverEvent) (shutdown bool) {
	if event.lost {
		x.orphaned = true
		x.log.Error("the agent has been away for too long: all pods are stopped")
		return true
	}
	e := event.event
	switch e.GetType() {
	case executor.Event_SUBSCRIBED:
		return !x.subscribed(e.GetSubscribed())
	case executor.Event_LAUNCH:
		x.launch(e.GetLaunch().GetTask())
	case executor.Event_LAUNCH_GROUP:
		for _, info := range e.GetLaunchGroup().TaskGroup.Tasks {
			x.refuse(info, "the pod executor runs no task groups: a pod is one task")
		}
	case executor.Event_KILL:
		x.kill(e.GetKill())
	case executor.Event_ACKNOWLEDGED:
		x.acknowledged(e.GetAcknowledged())
	case executor.Event_SHUTDOWN:
		x.log.Info("the agent orders to shut down")
		return true
	case executor.Event_ERROR:
		x.log.Error("the agent reports an error", "error", e.GetError().GetMessage())
	case executor.Event_MESSAGE, executor.Event_HEARTBEAT, executor.Event_UNKNOWN:
	}
	return false
}

// subscribed starts the pod API with the bridge's CA, once, and tells the bridge where it is. It returns false if the
// executor cannot work at all.
func (x *Executor) subscribed(e *executor.Event_Subscribed) bool {
	x.log.Info("subscribed", "agent_id", e.AgentInfo.GetID().GetValue(), "container_id", e.GetContainerID().GetValue())
	if x.server == nil {
		data, err := podapi.Decode[podapi.ExecutorData](e.ExecutorInfo.Data)
		if err == nil {
			x.server, err = podapi.NewServer(x.identity, []byte(data.BridgeCA), &service{x: x})
		}
		if err != nil {
			x.log.Error("ExecutorInfo.data must be JSON with the bridge's CA", "error", err)
			return false
		}
		go func() {
			if err := x.server.Serve(x.listener); err != nil {
				x.log.Error("the pod API has ended", "error", err)
			}
		}()
	}
	x.driver.send(&executor.Call{
		Type:    executor.Call_MESSAGE,
		Message: &executor.Call_Message{Data: podapi.Encode(podapi.Message{Endpoint: x.endpoint, System: &x.system})},
	})
	return true
}

// removeLeftovers removes what an earlier run of this executor left in the container runtime: Mesos has declared its tasks
// dead, so none of it may run on (a pod is never run twice).
func (x *Executor) removeLeftovers(ctx context.Context) error {
	found, err := x.runtime.leftovers(ctx)
	if err != nil {
		return err
	}
	for _, l := range found {
		x.log.Warn("removing a pod of an earlier run of this executor", "task_id", l.task)
		if err := x.runtime.removeSandbox(ctx, l.sandbox); err != nil {
			return err
		}
		if err := removeRemains(l); err != nil {
			return err
		}
	}
	return nil
}

// stopAll ends all pods within the time that the agent gives, less a little to report.
func (x *Executor) stopAll() <-chan time.Time {
	if x.stopping {
		return nil
	}
	x.stopping = true
	grace := max(x.config.ShutdownGrace-2*time.Second, 0)
	for _, t := range x.tasks {
		x.end(t, grace, "the executor is shut down")
	}
	return time.After(max(x.config.ShutdownGrace, 5*time.Second) + 10*time.Second)
}

// settled says that every task has ended and that the agent has all updates.
func (x *Executor) settled() bool {
	for _, t := range x.tasks {
		if !t.terminal() || !x.orphaned && (t.sent != nil || t.next != nil) {
			return false
		}
	}
	return true
}

// unacknowledged is what a subscription must tell the agent (reference row EXE-06).
func (x *Executor) unacknowledged() (*executor.Call_Subscribe, bool) {
	call := &executor.Call_Subscribe{}
	ok := x.do(func() {
		for _, t := range x.tasks {
			if t.sent != nil {
				call.UnacknowledgedUpdates = append(call.UnacknowledgedUpdates, *t.sent)
			}
			if !t.known {
				call.UnacknowledgedTasks = append(call.UnacknowledgedTasks, t.info)
			}
		}
	})
	return call, ok
}

// agentID is the agent's id for status updates.
func (x *Executor) agentID() *mesos.AgentID {
	if x.config.AgentID == "" {
		return nil
	}
	return &mesos.AgentID{Value: x.config.AgentID}
}
