package pod

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// driver is the executor's side of the v1 executor API: it keeps a subscription to the agent and sends calls in order.
type driver struct {
	config Config
	log    *slog.Logger
	client *http.Client
	url    string
	calls  chan *executor.Call
}

// driverEvent is an event of the agent or, with lost, the end of all hope for one.
type driverEvent struct {
	event executor.Event
	lost  bool
}

// callQueue bounds the calls that wait to be sent. Updates are at most two a task, and all are sent again with the next
// subscription, so one that finds the queue full is not lost.
const callQueue = 4096

func newDriver(config Config, log *slog.Logger) *driver {
	return &driver{
		config: config, log: log, client: &http.Client{Transport: config.Transport.HTTP()},
		url:   config.Transport.Scheme() + "://" + config.Agent + "/api/v1/executor",
		calls: make(chan *executor.Call, callQueue),
	}
}

// send queues a call. It never blocks.
func (d *driver) send(call *executor.Call) {
	select {
	case d.calls <- call:
	default:
		d.log.Error("too many calls wait for the agent: one is left to the next subscription", "type", call.Type.String())
	}
}

// run subscribes again and again. When the agent has been away for the recovery timeout (reference row EXE-09), or at once
// if the framework does not checkpoint, it reports lost and ends.
func (d *driver) run(ctx context.Context, unacknowledged func() (*executor.Call_Subscribe, bool), events chan<- driverEvent) {
	lastSeen := time.Now()
	patience := d.config.RecoveryTimeout
	for ctx.Err() == nil {
		d.forgetCalls()
		subscribe, ok := unacknowledged()
		if !ok {
			return
		}
		subscribed, err := d.session(ctx, subscribe, events)
		if subscribed {
			lastSeen = time.Now()
			if !d.config.Checkpoint {
				patience = 0
			}
		}
		if ctx.Err() != nil {
			return
		}
		d.log.Warn("not subscribed to the agent", "error", err)
		if time.Since(lastSeen) >= patience {
			deliver(ctx, events, driverEvent{lost: true})
			return
		}
		// The agent gives executors little time after its restart (EXE-08): try often.
		pause := min(d.config.SubscriptionBackoff, 2*time.Second)/4 + rand.N(250*time.Millisecond) //nolint:gosec // spread
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// forgetCalls drops calls that wait: the subscription that follows carries all updates again.
func (d *driver) forgetCalls() {
	for {
		select {
		case <-d.calls:
		default:
			return
		}
	}
}

// session is one subscription, to its end.
func (d *driver) session(ctx context.Context, subscribe *executor.Call_Subscribe, events chan<- driverEvent) (subscribed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call := d.fill(&executor.Call{Type: executor.Call_SUBSCRIBE, Subscribe: subscribe})
	stream, err := client.Subscribe(ctx, d.client, d.url, codec.Protobuf, call, d.options()...)
	if err != nil {
		return false, err
	}
	defer stream.Close()
	for {
		var event executor.Event
		if err := stream.Next(&event); err != nil {
			return subscribed, err
		}
		if event.GetType() == executor.Event_SUBSCRIBED && !subscribed {
			subscribed = true
			ended := make(chan struct{})
			defer func() { cancel(); <-ended }()
			go func() {
				defer close(ended)
				d.sendCalls(ctx)
			}()
		}
		if !deliver(ctx, events, driverEvent{event: event}) {
			return subscribed, ctx.Err()
		}
	}
}

// sendCalls sends queued calls until ctx ends. A call that fails is tried again: the agent may be short of something. One
// that the agent refuses is dropped.
func (d *driver) sendCalls(ctx context.Context) {
	for {
		select {
		case call := <-d.calls:
			d.sendCall(ctx, d.fill(call))
		case <-ctx.Done():
			return
		}
	}
}

func (d *driver) sendCall(ctx context.Context, call *executor.Call) {
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		attempt, cancel := context.WithTimeout(ctx, callTimeout)
		err := client.Call(attempt, d.client, d.url, codec.Protobuf, call, d.options()...)
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		d.log.Warn("call to the agent", "type", call.Type.String(), "error", err)
		var refusal *client.Error
		if errors.As(err, &refusal) && refusal.Status < 500 {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

func (d *driver) fill(call *executor.Call) *executor.Call {
	call.ExecutorID = mesos.ExecutorID{Value: d.config.ExecutorID}
	call.FrameworkID = mesos.FrameworkID{Value: d.config.FrameworkID}
	return call
}

func (d *driver) options() []client.Option {
	if d.config.Token == "" {
		return nil
	}
	return []client.Option{client.WithHeader("Authorization", "Bearer "+d.config.Token)}
}

func deliver(ctx context.Context, events chan<- driverEvent, event driverEvent) bool {
	select {
	case events <- event:
		return true
	case <-ctx.Done():
		return false
	}
}
