package registry

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tombolo-project/tombolo/master/core"
)

// The layout in etcd, one key per fact:
//
//	/tombolo/registry/admitted/<agent id>     AgentInfo, protobuf
//	/tombolo/registry/unreachable/<agent id>  since when, Unix nanoseconds in decimal
//	/tombolo/registry/gone/<agent id>         likewise
//	/tombolo/registry/weights/<role>          decimal number
const (
	root        = "/tombolo/registry/"
	admitted    = root + "admitted/"
	unreachable = root + "unreachable/"
	gone        = root + "gone/"
	weights     = root + "weights/"
)

// maxOps is how many keys go into one transaction; etcd allows 128 by default.
const maxOps = 120

// Etcd is a Registry in etcd.
type Etcd struct {
	client *clientv3.Client
	close  func() error
}

// NewEtcd returns a registry in the etcd that client talks to. close may be nil;
// it is called after the client is closed.
func NewEtcd(client *clientv3.Client, close func() error) *Etcd {
	return &Etcd{client: client, close: close}
}

// Load implements Registry.
func (e *Etcd) Load(ctx context.Context) (*core.Registry, error) {
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
	return reg, nil
}

func load(reg *core.Registry, key string, value []byte) error {
	kind, name, _ := strings.Cut(strings.TrimPrefix(key, root), "/")
	switch kind + "/" {
	case strings.TrimPrefix(admitted, root):
		var info mesos.AgentInfo
		if err := info.Unmarshal(value); err != nil {
			return err
		}
		reg.Admitted[name] = info
	case strings.TrimPrefix(unreachable, root), strings.TrimPrefix(gone, root):
		nanoseconds, err := strconv.ParseInt(string(value), 10, 64)
		if err != nil {
			return err
		}
		table := reg.Unreachable
		if kind == "gone" {
			table = reg.Gone
		}
		table[name] = time.Unix(0, nanoseconds)
	case strings.TrimPrefix(weights, root):
		w, err := strconv.ParseFloat(string(value), 64)
		if err != nil {
			return err
		}
		reg.Weights[name] = w
	default:
		return fmt.Errorf("it is of no kind this version knows; was the registry written by a newer version?")
	}
	return nil
}

// Apply implements Registry. All changes go into one transaction, so it is for
// the caller to keep them below etcd's limit: a change touches one or two keys per
// agent or role named.
func (e *Etcd) Apply(ctx context.Context, changes []core.RegistryChange) error {
	final := map[string]clientv3.Op{} // a transaction may touch a key only once: the last word counts
	for _, c := range changes {
		ops, err := operations(c)
		if err != nil {
			return err
		}
		for _, op := range ops {
			final[string(op.KeyBytes())] = op
		}
	}
	if len(final) > maxOps {
		return fmt.Errorf("%d registry keys change at once; at most %d can", len(final), maxOps)
	}
	var ops []clientv3.Op
	for _, op := range final {
		ops = append(ops, op)
	}
	if _, err := e.client.Txn(ctx).Then(ops...).Commit(); err != nil {
		return fmt.Errorf("write the registry to etcd: %w", err)
	}
	return nil
}

// operations says what a change means for the keys.
func operations(c core.RegistryChange) ([]clientv3.Op, error) {
	id := c.Agent.GetID().GetValue()
	switch c.Kind {
	case core.AdmitAgent, core.ReachableAgent:
		value, err := c.Agent.Marshal()
		if err != nil {
			return nil, fmt.Errorf("encode agent %s: %w", id, err)
		}
		return []clientv3.Op{clientv3.OpPut(admitted+id, string(value)), clientv3.OpDelete(unreachable + id)}, nil
	case core.UnreachableAgent:
		return []clientv3.Op{clientv3.OpDelete(admitted + id), clientv3.OpPut(unreachable+id, strconv.FormatInt(c.At.UnixNano(), 10))}, nil
	case core.RemoveAgent:
		return []clientv3.Op{clientv3.OpDelete(admitted + id)}, nil
	case core.SetWeights:
		var ops []clientv3.Op
		for _, w := range c.Weights {
			ops = append(ops, clientv3.OpPut(weights+w.GetRole(), strconv.FormatFloat(w.Weight, 'g', -1, 64)))
		}
		return ops, nil
	case core.PruneAgents:
		var ops []clientv3.Op
		for _, id := range c.IDs {
			ops = append(ops, clientv3.OpDelete(unreachable+id), clientv3.OpDelete(gone+id))
		}
		return ops, nil
	default:
		return nil, fmt.Errorf("registry change of unknown kind %d", c.Kind)
	}
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
