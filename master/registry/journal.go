package registry

import (
	"context"
	"encoding/json"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// Changes that are too many for one transaction are first written down as a journal,
// one key per transaction to come, and then committed by one more key. From then on
// they count: whoever loads the registry next carries them out if the writer did not.
//
//	/tombolo/journal/entries/<8 digits>   JSON list of writes
//	/tombolo/journal/committed            how many entries there are
const (
	journal   = "/tombolo/journal/"
	entries   = journal + "entries/"
	committed = journal + "committed"
)

// writeJournal makes the writes of all batches durable, all or none.
func (e *Etcd) writeJournal(ctx context.Context, batches [][]write) error {
	if err := e.commit(ctx, clientv3.OpDelete(journal, clientv3.WithPrefix())); err != nil {
		return err
	}
	for i, batch := range batches {
		value, err := json.Marshal(batch)
		if err != nil {
			return fmt.Errorf("encode the registry's journal: %w", err)
		}
		if err := e.commit(ctx, clientv3.OpPut(fmt.Sprintf("%s%08d", entries, i), string(value))); err != nil {
			return err
		}
	}
	if err := e.commit(ctx, clientv3.OpPut(committed, fmt.Sprint(len(batches)))); err != nil {
		return err
	}
	return e.replay(ctx, batches)
}

// replay carries out a committed journal. Doing so twice does no harm.
func (e *Etcd) replay(ctx context.Context, batches [][]write) error {
	for _, batch := range batches {
		if err := e.commit(ctx, operations(batch)...); err != nil {
			return err
		}
	}
	return e.commit(ctx, clientv3.OpDelete(journal, clientv3.WithPrefix()))
}

// finishJournal carries out what a writer before committed and did not finish.
func (e *Etcd) finishJournal(ctx context.Context) error {
	answer, err := e.client.Get(ctx, journal, clientv3.WithPrefix())
	if err != nil {
		return fmt.Errorf("read the registry's journal from etcd: %w", err)
	}
	var batches [][]write
	done := false
	for _, kv := range answer.Kvs {
		if string(kv.Key) == committed {
			done = true
			continue
		}
		var batch []write
		if err := json.Unmarshal(kv.Value, &batch); err != nil {
			return fmt.Errorf("registry key %q: %w", kv.Key, err)
		}
		batches = append(batches, batch)
	}
	if !done {
		return nil // never committed; the next journal replaces it
	}
	return e.replay(ctx, batches)
}
