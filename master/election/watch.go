package election

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// isGone says that a lease is no more.
func isGone(err error) bool { return errors.Is(err, rpctypes.ErrLeaseNotFound) }

// watchPause is how long Watch waits after a failure.
const watchPause = time.Second

// Watch calls leads with what the leader says about itself, at first and whenever
// another leads; nil when there is none. It returns when ctx ends.
func Watch(ctx context.Context, client *clientv3.Client, leads func(self []byte)) {
	last, known := int64(0), false
	for ctx.Err() == nil {
		answer, err := client.Get(ctx, candidates, clientv3.WithFirstCreate()...)
		if err != nil {
			pause(ctx, watchPause)
			continue
		}
		revision, self := int64(0), []byte(nil)
		if len(answer.Kvs) > 0 {
			revision, self = answer.Kvs[0].CreateRevision, answer.Kvs[0].Value
		}
		if !known || revision != last {
			last, known = revision, true
			leads(self)
		}
		watching, stop := context.WithCancel(ctx)
		_, open := <-client.Watch(watching, candidates, clientv3.WithPrefix(), clientv3.WithRev(answer.Header.Revision+1))
		stop()
		if !open {
			pause(ctx, watchPause)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
