package bridge

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"sync"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/virtualnode"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

const (
	// refreshEvery is how often a running pod's configuration is read again, as a kubelet does.
	refreshEvery = time.Minute
	// missingEvery is the same while something without which the pod cannot start does not exist.
	missingEvery = 3 * time.Second
	deliverFirst = 50 * time.Millisecond
	deliverMax   = 5 * time.Second
	deliverLimit = 30 * time.Second
)

// bundles hands pods with their configuration to the executors and keeps both up to date. Each delivered pod has one
// goroutine; the newest order for it counts.
type bundles struct {
	resolver *resolver
	dial     *executors
	log      *slog.Logger
	recorder record.EventRecorder
	ctx      context.Context // of Run: deliveries begin and end with the owner
	group    *sync.WaitGroup

	mu    sync.Mutex // Protects fields below.
	going map[string]*delivery
}

type delivery struct {
	cancel context.CancelFunc
	wake   chan struct{}

	mu    sync.Mutex // Protects fields below.
	order core.Deliver
}

// deliver takes an order; it does not block.
func (b *bundles) deliver(e core.Deliver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.going[e.TaskID]
	if d == nil {
		ctx, cancel := context.WithCancel(b.ctx)
		d = &delivery{cancel: cancel, wake: make(chan struct{}, 1), order: e}
		b.going[e.TaskID] = d
		b.group.Go(func() { b.keep(ctx, d) })
		return
	}
	d.mu.Lock()
	d.order = e
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

func (b *bundles) forget(taskID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.going[taskID]; d != nil {
		d.cancel()
		delete(b.going, taskID)
	}
}

// discard tells the executor, once: what it keeps of ended pods is bounded anyway.
func (b *bundles) discard(e core.Discard) {
	b.group.Go(func() {
		err := func() error {
			endpoint, err := podapi.Decode[podapi.Endpoint]([]byte(e.Endpoint))
			if err != nil {
				return err
			}
			client, err := b.dial.client(endpoint)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(b.ctx, deliverLimit)
			defer cancel()
			_, err = client.ForgetPod(ctx, &podapi.ForgetPodRequest{TaskID: e.TaskID})
			return err
		}()
		if err != nil && b.ctx.Err() == nil {
			b.log.Debug("executor keeps an ended pod", "task_id", e.TaskID, "error", err)
		}
	})
}

// keep is the goroutine of one delivery: RunPod until the executor has taken the pod over, then UpdatePod with every
// change, until the task is forgotten.
func (b *bundles) keep(ctx context.Context, d *delivery) {
	var (
		sent   [sha256.Size]byte
		runsAt podapi.Endpoint // the executor that has the pod
		pause  time.Duration
		tokens = tokenCache{}
	)
	for ctx.Err() == nil {
		d.mu.Lock()
		order := d.order
		d.mu.Unlock()
		wait, err := func() (time.Duration, error) {
			endpoint, err := podapi.Decode[podapi.Endpoint]([]byte(order.Endpoint))
			if err != nil {
				return 0, err
			}
			bundle, missing, err := b.resolver.resolve(ctx, order.Pod, tokens)
			if err != nil {
				return 0, err
			}
			digest := digestOf(bundle)
			if digest != sent || endpoint != runsAt {
				known := endpoint == runsAt || virtualnode.Started(&order.Pod.Status)
				if err := b.send(ctx, endpoint, order.TaskID, bundle, endpoint != runsAt, known); err != nil {
					return 0, err
				}
				sent, runsAt = digest, endpoint
			}
			if missing {
				return missingEvery, nil
			}
			return refreshEvery, nil
		}()
		switch {
		case ctx.Err() != nil:
			return
		case status.Code(err) == codes.InvalidArgument:
			// The executor names what it does not support and fails the task; nothing to repeat.
			b.recorder.Eventf(order.Pod, corev1.EventTypeWarning, "UnsupportedPodSpec", "%s", status.Convert(err).Message())
			wait, pause = refreshEvery, 0
		case err != nil:
			pause = min(max(2*pause, deliverFirst), deliverMax)
			wait = pause
			if pause == deliverMax {
				b.log.Warn("pod not handed to its executor; it is tried again", "task_id", order.TaskID, "error", err)
				b.recorder.Eventf(order.Pod, corev1.EventTypeWarning, "FailedDelivery", "the pod could not be handed to its executor: %v", err)
			}
		default:
			pause = 0
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-d.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// send hands a bundle over: RunPod if the executor may not have the pod yet, UpdatePod if it may have an older bundle.
func (b *bundles) send(ctx context.Context, endpoint podapi.Endpoint, taskID string, bundle podapi.Bundle, run, update bool) error {
	client, err := b.dial.client(endpoint)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, deliverLimit)
	defer cancel()
	if run {
		if _, err := client.RunPod(ctx, &podapi.RunPodRequest{TaskID: taskID, Bundle: bundle}); err != nil {
			return err
		}
	}
	if update {
		if _, err := client.UpdatePod(ctx, &podapi.UpdatePodRequest{TaskID: taskID, Bundle: bundle}); err != nil {
			return err
		}
	}
	return nil
}

func digestOf(bundle podapi.Bundle) [sha256.Size]byte {
	pod := *bundle.Pod
	pod.Status, pod.ResourceVersion, pod.ManagedFields = corev1.PodStatus{}, "", nil
	bundle.Pod = &pod
	data, err := json.Marshal(bundle) // maps are written in the order of their keys
	if err != nil {
		panic("bridge: a bundle does not marshal: " + err.Error())
	}
	return sha256.Sum256(data)
}

// executors keeps one connection per pod executor.
type executors struct {
	certificate tls.Certificate

	mu      sync.Mutex // Protects fields below.
	clients map[podapi.Endpoint]*podapi.Client
}

// client is the connection to an executor; it connects with the first call. An executor that is started anew at another
// address, or with another key, gets a new one; the old one is closed.
func (e *executors) client(endpoint podapi.Endpoint) (*podapi.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c := e.clients[endpoint]; c != nil {
		return c, nil
	}
	c, err := podapi.Dial(endpoint, e.certificate)
	if err != nil {
		return nil, err
	}
	e.clients[endpoint] = c
	return c, nil
}

// retain closes the connections of all executors but the given.
func (e *executors) retain(live map[podapi.Endpoint]bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for endpoint, c := range e.clients {
		if !live[endpoint] {
			_ = c.Close() // nothing can be done about a connection that does not close
			delete(e.clients, endpoint)
		}
	}
}
