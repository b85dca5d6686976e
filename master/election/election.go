// Package election decides in etcd which of several masters leads. Each candidate puts
// a key that lives as long as its lease; the oldest key leads, and the revision at
// which it was made is the epoch: it is larger for every later leader.
//
// A leader keeps three promises, each of which alone would not do: it acts only while
// its lease cannot have run out (Leadership.Valid), every write to the registry is
// made on condition that its key is still there (Leadership.Fence), and every order
// to an agent carries the epoch. So one that was stopped and wakes does no harm.
//
// Start reading at Campaign.
package election

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/tombolo-project/tombolo/mesos/epoch"
)

// The keys, beside those of the registry:
//
//	/tombolo/registry_id                  names this registry for ever
//	/tombolo/election/candidates/<lease>  what the candidate says about itself; deleted with its lease
//	/tombolo/election/single              the only master of an embedded etcd; no lease
const (
	registryKey = "/tombolo/registry_id"
	candidates  = "/tombolo/election/candidates/"
	single      = "/tombolo/election/single"
)

// ErrLost says that this master does not lead any more.
var ErrLost = errors.New("lost leadership")

// Leadership is the reign of this process. Its methods are safe for concurrent use.
type Leadership struct {
	Epoch epoch.Epoch

	client *clientv3.Client
	key    string
	lease  clientv3.LeaseID // 0 when there is none
	ttl    time.Duration
	until  atomic.Int64 // nanoseconds after start up to which the lease holds for sure
	start  time.Time
	lost   context.Context
	lose   context.CancelCauseFunc
}

// Seize makes this process the leader of an etcd that nobody else can be using.
func Seize(ctx context.Context, client *clientv3.Client, self []byte) (*Leadership, error) {
	registry, err := registryID(ctx, client)
	if err != nil {
		return nil, err
	}
	if _, err := client.Delete(ctx, single); err != nil {
		return nil, fmt.Errorf("take over the registry: %w", err)
	}
	answer, err := client.Put(ctx, single, string(self))
	if err != nil {
		return nil, fmt.Errorf("take over the registry: %w", err)
	}
	l := &Leadership{client: client, key: single, Epoch: epoch.Epoch{Registry: registry, Number: answer.Header.Revision}}
	l.lost, l.lose = context.WithCancelCause(context.Background())
	return l, nil
}

// Campaign waits until this process leads. self is what the others learn of it (see
// Watch); ttl is how long after its last sign of life a leader is replaced. When ctx
// ends while it waits it returns the cause.
func Campaign(ctx context.Context, client *clientv3.Client, self []byte, ttl time.Duration) (*Leadership, error) {
	registry, err := registryID(ctx, client)
	if err != nil {
		return nil, err
	}
	l := &Leadership{client: client, ttl: ttl, start: time.Now()}
	l.lost, l.lose = context.WithCancelCause(context.Background())
	asked := time.Now()
	lease, err := client.Grant(ctx, int64((ttl+time.Second-1)/time.Second))
	if err != nil {
		return nil, fmt.Errorf("stand for election: %w", err)
	}
	l.lease, l.key = lease.ID, candidates+strconv.FormatInt(int64(lease.ID), 16)
	l.extend(asked)
	go l.keepAlive()
	answer, err := client.Put(ctx, l.key, string(self), clientv3.WithLease(l.lease))
	if err != nil {
		l.lose(err)
		return nil, fmt.Errorf("stand for election: %w", err)
	}
	l.Epoch = epoch.Epoch{Registry: registry, Number: answer.Header.Revision}
	if err := l.wait(ctx); err != nil {
		// Nobody should have to wait for the lease of one who does not stand any more.
		bye, done := context.WithTimeout(context.WithoutCancel(ctx), ttl/2)
		defer done()
		return nil, errors.Join(err, l.Resign(bye))
	}
	return l, nil
}

// registryID names the registry; whoever asks first makes the name.
func registryID(ctx context.Context, client *clientv3.Client) (string, error) {
	id := uuid.NewString()
	answer, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(registryKey), "=", 0)).
		Then(clientv3.OpPut(registryKey, id)).
		Else(clientv3.OpGet(registryKey)).Commit()
	if err != nil {
		return "", fmt.Errorf("read the name of the registry: %w", err)
	}
	if !answer.Succeeded {
		id = string(answer.Responses[0].GetResponseRange().Kvs[0].Value)
	}
	return id, nil
}

// wait returns nil when no candidate is older.
func (l *Leadership) wait(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.lost, func() { cancel(context.Cause(l.lost)) })()
	for {
		older, err := l.client.Get(ctx, candidates, append(clientv3.WithLastCreate(), clientv3.WithMaxCreateRev(l.Epoch.Number-1))...)
		if err != nil {
			return because(ctx, fmt.Errorf("wait to be elected: %w", err))
		}
		if len(older.Kvs) == 0 {
			return nil
		}
		// Each waits for the one before it only, so that a death wakes one and not all.
		watching, stop := context.WithCancel(ctx)
		changes := l.client.Watch(watching, string(older.Kvs[0].Key), clientv3.WithRev(older.Header.Revision+1), clientv3.WithFilterPut())
		_, open := <-changes
		stop()
		if !open && ctx.Err() != nil {
			return because(ctx, ctx.Err())
		}
	}
}

// because names the cause if ctx ended.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// keepAlive renews the lease three times per ttl until the leadership is lost.
func (l *Leadership) keepAlive() {
	timer := time.NewTimer(l.ttl / 3)
	defer timer.Stop()
	for {
		select {
		case <-l.lost.Done():
			return
		case <-timer.C:
		}
		asked := time.Now()
		if !l.Valid(asked) {
			l.lose(fmt.Errorf("%w: the lease ran out", ErrLost))
			return
		}
		limited, cancel := context.WithTimeout(l.lost, l.ttl/3)
		_, err := l.client.KeepAliveOnce(limited, l.lease)
		cancel()
		switch {
		case err == nil:
			l.extend(asked)
			timer.Reset(l.ttl / 3)
		case isGone(err):
			l.lose(fmt.Errorf("%w: %w", ErrLost, err))
			return
		default:
			timer.Reset(l.ttl / 20) // etcd may be back in time
		}
	}
}

// extend notes that the lease was renewed by a request sent at asked.
func (l *Leadership) extend(asked time.Time) { l.until.Store(int64(asked.Add(l.ttl).Sub(l.start))) }

// Valid says that nobody else can lead at now: the lease, as this process knows it,
// has not run out. Between this and whatever follows the process may be stopped, so it
// is not the only guard.
func (l *Leadership) Valid(now time.Time) bool {
	if l.lost.Err() != nil {
		return false
	}
	return l.lease == 0 || now.Sub(l.start) < time.Duration(l.until.Load())
}

// Context ends when this process does not lead any more; Err then says why.
func (l *Leadership) Context() context.Context { return l.lost }

// Err is nil while this process leads.
func (l *Leadership) Err() error {
	if l.lost.Err() == nil {
		return nil
	}
	return context.Cause(l.lost)
}

// Fence is the condition under which this process may write: it still leads.
func (l *Leadership) Fence() []clientv3.Cmp {
	return []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(l.key), "=", l.Epoch.Number)}
}

// Resign ends the leadership, so that the next candidate need not wait for the lease
// to run out.
func (l *Leadership) Resign(ctx context.Context) error {
	l.lose(fmt.Errorf("%w: resigned", ErrLost))
	if l.lease == 0 {
		return nil
	}
	if _, err := l.client.Revoke(ctx, l.lease); err != nil && !isGone(err) {
		return fmt.Errorf("resign as leader: %w", err)
	}
	return nil
}
