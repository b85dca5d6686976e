package zookeeper

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/epoch"
)

// epochKey is a member of the JSON in a node of ours that others ignore.
const epochKey = "tombolo_epoch"

// ErrUnpublished says that ZooKeeper does not show this master as leader any more.
var ErrUnpublished = errors.New("ZooKeeper does not show this master any more")

// Publication is the node of a leading master. It is there until ctx of Publish ends
// or Lost is closed.
type Publication struct {
	lost context.Context
	lose context.CancelCauseFunc
	end  func() // of the session
}

// Close takes the node away.
func (p *Publication) Close() {
	p.lose(fmt.Errorf("%w: it was taken away", ErrUnpublished))
	p.end()
}

// Context ends when the node is gone; Err then says why.
func (p *Publication) Context() context.Context { return p.lost }

// Err is nil while the node is there.
func (p *Publication) Err() error {
	if p.lost.Err() == nil {
		return nil
	}
	return context.Cause(p.lost)
}

// Publish shows a master that was elected as the leader, and returns when it is the
// first of its group. Nodes that leaders of earlier epochs left behind are removed, so
// that nobody has to wait for their sessions to end; those of other masters, such as
// Mesos's, are waited for, and ahead is told who is first.
func Publish(ctx context.Context, u URL, timeout time.Duration, log *slog.Logger, info mesos.MasterInfo, reign epoch.Epoch, ahead func(*mesos.MasterInfo)) (*Publication, error) {
	data, err := describe(info, reign)
	if err != nil {
		return nil, err
	}
	for {
		p, err := publish(ctx, u, timeout, log, data, reign, ahead)
		if err == nil {
			return p, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		log.Warn("not shown as leader in ZooKeeper; trying again", "address", u.String(), "error", err)
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(retryPause):
		}
	}
}

// describe is the content of the node.
func describe(info mesos.MasterInfo, reign epoch.Epoch) ([]byte, error) {
	data, err := codec.JSON.Marshal(&info)
	if err != nil {
		return nil, fmt.Errorf("describe this master: %w", err)
	}
	if reign == (epoch.Epoch{}) {
		return data, nil
	}
	members := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, fmt.Errorf("describe this master: %w", err)
	}
	if members[epochKey], err = json.Marshal(reign.String()); err != nil {
		return nil, fmt.Errorf("describe this master: %w", err)
	}
	return json.Marshal(members)
}

// publish tries with one session.
func publish(ctx context.Context, u URL, timeout time.Duration, log *slog.Logger, data []byte, reign epoch.Epoch, ahead func(*mesos.MasterInfo)) (*Publication, error) {
	lost, lose := context.WithCancelCause(ctx)
	s, err := open(lost, u, timeout, log)
	if err != nil {
		lose(err)
		return nil, err
	}
	context.AfterFunc(s.ended, func() { lose(fmt.Errorf("%w: its session ended", ErrUnpublished)) })
	fail := func(err error) (*Publication, error) {
		lose(err)
		return nil, err
	}
	if err := s.makePath(u); err != nil {
		return fail(err)
	}
	node, err := s.Create(u.Path+"/"+label, data, zk.FlagEphemeral|zk.FlagSequence, u.acl())
	if err != nil {
		return fail(fmt.Errorf("make a node in %s: %w", u, err))
	}
	name := strings.TrimPrefix(node, u.Path+"/")
	if err := s.waitFirst(u, name, reign, log, ahead); err != nil {
		return fail(err)
	}
	there, _, gone, err := s.ExistsW(node)
	if err != nil || !there {
		return fail(fmt.Errorf("look at the node %s: %w", node, errors.Join(err, ErrUnpublished)))
	}
	log.Info("shown as leader in ZooKeeper", "address", u.String(), "node", name)
	go s.guard(node, gone, lose)
	return &Publication{lost: lost, lose: lose, end: s.Close}, nil
}

// makePath makes the group's path, open to whoever may write there (reference row ZK-01).
func (s *session) makePath(u URL) error {
	path := ""
	for _, part := range strings.Split(strings.TrimPrefix(u.Path, "/"), "/") {
		path += "/" + part
		if there, _, err := s.Exists(path); err != nil {
			return fmt.Errorf("look for %s in ZooKeeper: %w", path, err)
		} else if there {
			continue
		}
		if _, err := s.Create(path, nil, 0, u.acl()); err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return fmt.Errorf("make %s in ZooKeeper: %w", path, err)
		}
	}
	return nil
}

// waitFirst returns when no node stands before ours.
func (s *session) waitFirst(u URL, name string, reign epoch.Epoch, log *slog.Logger, ahead func(*mesos.MasterInfo)) error {
	told := ""
	for {
		children, changed, err := s.group(u.Path)
		if err != nil {
			return fmt.Errorf("read the group %s: %w", u, err)
		}
		list := candidates(children)
		if len(list) == 0 {
			return fmt.Errorf("the node %s has gone: %w", name, ErrUnpublished)
		}
		first := list[0]
		if first.name == name {
			return nil
		}
		info, old, err := s.look(u, first.name, reign)
		switch {
		case err != nil:
			return err
		case old:
			log.Info("removing the node of a leader before", "node", first.name)
			if err := s.Delete(u.Path+"/"+first.name, -1); err != nil && !errors.Is(err, zk.ErrNoNode) {
				return fmt.Errorf("remove the node %s of a leader before: %w", first.name, err)
			}
			continue
		case told != first.name:
			told = first.name
			log.Warn("another master leads by ZooKeeper; waiting for it to end", "node", first.name, "leader", info.GetPID())
			ahead(info)
		}
		select {
		case <-s.ended.Done():
			return errSession
		case <-changed:
		}
	}
}

// look reads another master's node; old says that it is one of ours of an earlier epoch.
func (s *session) look(u URL, name string, reign epoch.Epoch) (info *mesos.MasterInfo, old bool, err error) {
	data, _, err := s.Get(u.Path + "/" + name)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("read the node %s: %w", name, err)
	}
	var marked map[string]json.RawMessage
	var text string
	if json.Unmarshal(data, &marked) == nil && json.Unmarshal(marked[epochKey], &text) == nil {
		if theirs, err := epoch.Parse(text); err == nil && theirs.Before(reign) {
			return nil, true, nil
		}
	}
	info, err = decode(name, data)
	if err != nil {
		return nil, false, nil //nolint:nilerr // whoever it is stands before us
	}
	return info, false, nil
}

// guard ends the publication when its node is gone.
func (s *session) guard(node string, gone <-chan zk.Event, lose context.CancelCauseFunc) {
	for {
		select {
		case <-s.ended.Done():
			return
		case <-gone:
		}
		there, _, next, err := s.ExistsW(node)
		if err == nil && !there {
			lose(fmt.Errorf("%w: its node was removed", ErrUnpublished))
			return
		}
		if err != nil {
			lose(fmt.Errorf("%w: %w", ErrUnpublished, err))
			return
		}
		gone = next
	}
}
