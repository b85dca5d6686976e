package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/codec"
)

// Labels of the nodes; the older one has protobuf in it (reference rows ZK-02, ZK-05).
const (
	label    = "json.info_"
	oldLabel = "info_"
)

// retryPause is how long Watch and Publish wait before a new session.
const retryPause = 500 * time.Millisecond

// candidate is a node of the group.
type candidate struct {
	name     string
	sequence int64
}

// candidates picks the masters' nodes, smallest sequence first.
func candidates(children []string) []candidate {
	var list []candidate
	for _, name := range children {
		digits, ok := strings.CutPrefix(name, label)
		if !ok {
			if digits, ok = strings.CutPrefix(name, oldLabel); !ok {
				continue // the replicated log's members and the like
			}
		}
		if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
			list = append(list, candidate{name, n})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].sequence < list[j].sequence })
	return list
}

// decode reads a node.
func decode(name string, data []byte) (*mesos.MasterInfo, error) {
	info, form := &mesos.MasterInfo{}, codec.JSON
	if !strings.HasPrefix(name, label) {
		form = codec.Protobuf
	}
	if err := form.Unmarshal(data, info); err != nil {
		return nil, fmt.Errorf("the node %s is not a master's: %w", name, err)
	}
	return info, nil
}

// Watch calls leads with the leading master, at first and whenever that changes; nil
// when there is none, or when ZooKeeper cannot tell (reference row ZK-08). It returns
// when ctx ends.
func Watch(ctx context.Context, u URL, timeout time.Duration, log *slog.Logger, leads func(*mesos.MasterInfo)) {
	last, said := "", false
	say := func(key string, info *mesos.MasterInfo) {
		if !said || key != last {
			last, said = key, true
			leads(info)
		}
	}
	for ctx.Err() == nil {
		err := follow(ctx, u, timeout, log, say)
		if ctx.Err() != nil {
			return
		}
		log.Warn("ZooKeeper does not tell who leads", "address", u.String(), "error", err)
		say("", nil)
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

var errSession = errors.New("the session ended")

// follow watches the group for the life of one session.
func follow(ctx context.Context, u URL, timeout time.Duration, log *slog.Logger, say func(string, *mesos.MasterInfo)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := open(ctx, u, timeout, log)
	if err != nil {
		return err
	}
	for {
		children, changed, err := s.group(u.Path)
		if err != nil {
			return err
		}
		list := candidates(children)
		if len(list) == 0 {
			say("", nil)
		} else {
			data, _, err := s.Get(u.Path + "/" + list[0].name)
			switch {
			case errors.Is(err, zk.ErrNoNode):
				continue
			case err != nil:
				return err
			}
			info, err := decode(list[0].name, data)
			if err != nil {
				log.Error("the leader's node cannot be read", "error", err)
			}
			say(list[0].name, info)
		}
		select {
		case <-s.ended.Done():
			return errSession
		case <-changed:
		}
	}
}

// group returns the children of the path and a channel that tells of a change; a path
// that does not exist has no children.
func (s *session) group(path string) ([]string, <-chan zk.Event, error) {
	for {
		children, _, changed, err := s.ChildrenW(path)
		if !errors.Is(err, zk.ErrNoNode) {
			return children, changed, err
		}
		there, _, made, err := s.ExistsW(path)
		if err != nil {
			return nil, nil, err
		}
		if !there {
			return nil, made, nil
		}
	}
}
