package master

import (
	"context"
	"sync"
	"time"

	"github.com/tombolo-project/tombolo/master/api"
	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
)

// Limits of writing to the registry.
const (
	maxChanges   = 32 // that go into one write
	writeTimeout = 20 * time.Second
)

// writer makes changes of the registry durable, in order, as many at once as wait
// (reference 6.2: operations are batched).
type writer struct {
	registry registry.Registry
	meters   *api.Meters
	written  func(core.RegistryWritten)

	mu    sync.Mutex // protects queue
	queue []core.RegistryChange
	wake  chan struct{}
}

func newWriter(r registry.Registry, meters *api.Meters, written func(core.RegistryWritten)) *writer {
	return &writer{registry: r, meters: meters, written: written, wake: make(chan struct{}, 1)}
}

// write queues a change. The queue is bounded by the core: it has at most one
// change under way per agent and per framework.
func (w *writer) write(c core.RegistryChange) {
	w.mu.Lock()
	w.queue = append(w.queue, c)
	w.meters.QueuedWrites.Store(int64(len(w.queue)))
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx ends or a write fails. What is stored is then not known for
// sure: like Mesos's, the master ends, and the next one reads it.
func (w *writer) run(ctx context.Context) error {
	for {
		batch := w.take()
		if len(batch) == 0 {
			select {
			case <-ctx.Done():
				return nil
			case <-w.wake:
			}
			continue
		}
		limited, cancel := context.WithTimeout(ctx, writeTimeout)
		begin := time.Now()
		err := w.registry.Apply(limited, batch)
		cancel()
		w.meters.RegistryStore.Observe(time.Since(begin))
		if err != nil {
			return err
		}
		for _, c := range batch {
			w.written(core.RegistryWritten{Change: c})
		}
	}
}

// big says whether a change may touch so many keys that it goes alone.
func big(c core.RegistryChange) bool {
	return len(c.IDs)+len(c.Weights)+len(c.Quotas)+len(c.Machines) > 1 || c.Kind == core.SetSchedule
}

// take returns the next changes to write together. Those that touch many keys go alone.
func (w *writer) take() []core.RegistryChange {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for n < len(w.queue) && n < maxChanges {
		if big(w.queue[n]) {
			if n == 0 {
				n = 1
			}
			break
		}
		n++
	}
	batch := w.queue[:n:n]
	w.queue = w.queue[n:]
	w.meters.QueuedWrites.Store(int64(len(w.queue)))
	return batch
}
