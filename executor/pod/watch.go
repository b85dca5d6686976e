package pod

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
)

// How changes in the container runtime are noticed: by its events at once, and by a look at the list in any case, since
// events may be lost and older runtimes have none.
const (
	relistInterval = time.Second
	followAgain    = 5 * time.Second
)

// Logs are rotated when they exceed logLimit; one older file is kept.
const (
	rotateInterval = 10 * time.Second
	logLimit       = 10 << 20
)

// poke makes the workers of these tasks look at the container runtime.
func (x *Executor) poke(tasks ...string) {
	if len(tasks) == 0 {
		return
	}
	x.do(func() {
		for _, id := range tasks {
			if t := x.tasks[id]; t != nil && t.worker != nil {
				t.worker.poke()
			}
		}
	})
}

// relist pokes the workers whose containers have changed.
func (x *Executor) relist(ctx context.Context) {
	ticker := time.NewTicker(relistInterval)
	defer ticker.Stop()
	before := map[string]string{}
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now, err := x.runtime.fingerprints(ctx)
		if err != nil {
			if ctx.Err() == nil {
				x.log.Warn("container runtime does not answer", "error", err)
			}
			continue
		}
		var changed []string
		for id, print := range now {
			if before[id] != print {
				changed = append(changed, id)
			}
		}
		for id := range before {
			if _, ok := now[id]; !ok {
				changed = append(changed, id)
			}
		}
		before = now
		x.poke(changed...)
	}
}

// follow pokes workers by the runtime's events, as long as it has them.
func (x *Executor) follow(ctx context.Context) {
	for ctx.Err() == nil {
		stream, err := x.runtime.runtime.GetContainerEvents(ctx, &cri.GetEventsRequest{})
		for err == nil {
			var event *cri.ContainerEventResponse
			if event, err = stream.Recv(); err == nil {
				x.poke(event.GetPodSandboxStatus().GetLabels()[criconfig.LabelTask])
			}
		}
		select {
		case <-time.After(followAgain): // a runtime without events says so each time: the list has to do
		case <-ctx.Done():
		}
	}
}

// rotateLogs keeps the logs of running containers within bounds.
func (x *Executor) rotateLogs(ctx context.Context) {
	ticker := time.NewTicker(rotateInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := x.rotateAll(ctx, logLimit); err != nil && ctx.Err() == nil {
				x.log.Warn("logs could not be rotated", "error", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// rotateAll puts logs that are longer than limit aside and has the runtime begin new ones.
func (x *Executor) rotateAll(ctx context.Context, limit int64) error {
	list, err := x.runtime.runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: &cri.ContainerFilter{
		State:         &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING},
		LabelSelector: map[string]string{criconfig.LabelOwner: x.runtime.owner},
	}})
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range list.Containers {
		_, _, logs := x.config.podDirs(c.Labels[criconfig.LabelTask])
		path := filepath.Join(logs, criconfig.LogPath(c.Labels[criconfig.LabelContainer], c.Metadata.Attempt))
		info, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() <= limit {
			continue
		}
		if err == nil {
			err = os.Rename(path, path+".1")
		}
		if err == nil {
			_, err = x.runtime.runtime.ReopenContainerLog(ctx, &cri.ReopenContainerLogRequest{ContainerId: c.Id})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
