package registry

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tombolo-project/tombolo/master/core"
)

// maxOps is how many keys go into one transaction; etcd allows 128 by default.
const maxOps = 120

// maxBytes is how much goes into one transaction; etcd allows 1.5 MiB by default, and
// in the journal the values are in base64, which makes them a third larger.
const maxBytes = 1 << 20

// Etcd is a Registry in etcd. It belongs to one goroutine, and is the only one that
// writes: it remembers what is stored.
type Etcd struct {
	client *clientv3.Client
	close  func() error
	fence  []clientv3.Cmp
	stored *core.Registry // nil when that is not known
}

// NewEtcd returns a registry in the etcd that client talks to. close may be nil;
// it is called after the client is closed.
func NewEtcd(client *clientv3.Client, close func() error) *Etcd {
	return &Etcd{client: client, close: close}
}

// Client is the client of the etcd that holds the registry; the election is held there too.
func (e *Etcd) Client() *clientv3.Client { return e.client }

// Fence makes every write from now on conditional; one whose condition does not hold
// fails with ErrDeposed.
func (e *Etcd) Fence(conditions []clientv3.Cmp) { e.fence = conditions }

// Load implements Registry.
func (e *Etcd) Load(ctx context.Context) (*core.Registry, error) {
	if err := e.finishJournal(ctx); err != nil {
		return nil, err
	}
	reg := core.NewRegistry()
	answer, err := e.client.Get(ctx, root, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read the registry from etcd: %w", err)
	}
	for _, kv := range answer.Kvs {
		if err := load(reg, string(kv.Key), kv.Value); err != nil {
			return nil, fmt.Errorf("registry key %q: %w", kv.Key, err)
		}
	}
	e.stored = reg.Clone()
	return reg, nil
}

// Apply implements Registry. What fits goes into one transaction; the rest through a
// journal, so that it is all or nothing whatever its size.
func (e *Etcd) Apply(ctx context.Context, changes []core.RegistryChange) error {
	if e.stored == nil {
		if _, err := e.Load(ctx); err != nil {
			return err
		}
	}
	writes, err := e.difference(changes)
	if err == nil {
		err = e.write(ctx, writes)
	}
	if err != nil {
		e.stored = nil
	}
	return err
}

// write is one key to be put or, if it is gone, to be deleted.
type write struct {
	Key   string `json:"key"`
	Value []byte `json:"value,omitempty"`
	Gone  bool   `json:"gone,omitempty"`
}

// difference makes changes on what is stored and returns the keys that become others, in order.
func (e *Etcd) difference(changes []core.RegistryChange) ([]write, error) {
	before, after := facts{}, facts{}
	for _, c := range changes {
		if err := before.about(e.stored, c); err != nil {
			return nil, err
		}
	}
	for _, c := range changes {
		e.stored.Apply(c)
	}
	for _, c := range changes {
		if err := after.about(e.stored, c); err != nil {
			return nil, err
		}
	}
	var writes []write
	for _, key := range slices.Sorted(maps.Keys(after)) {
		if old, ok := before[key]; !ok || old != after[key] {
			writes = append(writes, write{Key: key, Value: []byte(after[key])})
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, ok := after[key]; !ok {
			writes = append(writes, write{Key: key, Gone: true})
		}
	}
	return writes, nil
}

func (e *Etcd) write(ctx context.Context, writes []write) error {
	batches := split(writes)
	switch len(batches) {
	case 0:
		return nil
	case 1:
		return e.commit(ctx, operations(batches[0])...)
	default:
		return e.writeJournal(ctx, batches)
	}
}

// split cuts writes into transactions.
func split(writes []write) [][]write {
	var batches [][]write
	from, size := 0, 0
	for i, w := range writes {
		size += len(w.Key) + len(w.Value)
		if i > from && (size > maxBytes || i-from == maxOps) {
			batches = append(batches, writes[from:i])
			from, size = i, len(w.Key)+len(w.Value)
		}
	}
	if from < len(writes) {
		batches = append(batches, writes[from:])
	}
	return batches
}

func operations(writes []write) []clientv3.Op {
	var ops []clientv3.Op
	for _, w := range writes {
		if w.Gone {
			ops = append(ops, clientv3.OpDelete(w.Key))
		} else {
			ops = append(ops, clientv3.OpPut(w.Key, string(w.Value)))
		}
	}
	return ops
}

// ErrDeposed says that another master leads by now; nothing was written.
var ErrDeposed = errors.New("another master leads by now")

// commit makes one transaction.
func (e *Etcd) commit(ctx context.Context, ops ...clientv3.Op) error {
	answer, err := e.client.Txn(ctx).If(e.fence...).Then(ops...).Commit()
	if err != nil {
		return fmt.Errorf("write the registry to etcd: %w", err)
	}
	if !answer.Succeeded {
		return ErrDeposed
	}
	return nil
}

// Close implements Registry.
func (e *Etcd) Close() error {
	err := e.client.Close()
	if errors.Is(err, context.Canceled) { // how an in-process client says that it is closed
		err = nil
	}
	if e.close != nil {
		if closeErr := e.close(); err == nil {
			err = closeErr
		}
	}
	return err
}
