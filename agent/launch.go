package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/mesos/mesos-go/api/v1/lib"
	"golang.org/x/sys/unix"

	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/fetcher"
	"github.com/tombolo-project/tombolo/agent/sandbox"
)

// launches are the containers on their way, so that they can be stopped while they
// fetch. Only cancel is guarded; a launch that is over is not in it.
type launches struct {
	mu     sync.Mutex
	cancel map[string]context.CancelFunc
}

func (l *launches) add(id string) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cancel[id] = cancel
	return ctx
}

// over ends a launch and tells whether it was stopped: whoever calls stop before this
// is heard here, whoever calls it later is told that nothing is on its way.
func (l *launches) over(ctx context.Context, id string) (stopped bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	stopped = ctx.Err() != nil
	if cancel := l.cancel[id]; cancel != nil {
		cancel()
	}
	delete(l.cancel, id)
	return stopped
}

// stop tells whether the container was on its way.
func (l *launches) stop(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	cancel := l.cancel[id]
	if cancel != nil {
		cancel()
	}
	return cancel != nil
}

// start brings a container up beside the owner and reports how it went.
func (a *Agent) start(e core.StartContainer) {
	ctx := a.launches.add(e.Container)
	a.limits[e.Container] = e.Limits
	a.mounted[e.Container] = e.Volumes
	links := a.links(e.Container, e.Volumes)
	go func() {
		exit, pid, failed := a.launch(ctx, e, links)
		stopped := a.launches.over(ctx, e.Container)
		if failed != nil {
			a.post(*failed)
			return
		}
		a.post(core.ContainerStarted{Container: e.Container, PID: pid})
		if stopped {
			a.destroy(e.Container)
		}
		a.await(e.Container, exit)
	}()
}

// await reports a container's end.
func (a *Agent) await(id string, exit <-chan containers.Exit) {
	x := <-exit
	ended := core.ContainerExited{Container: id, Status: x.Status}
	if x.OOM != nil {
		ended.OOM = &core.OOM{Limit: x.OOM.Limit, Usage: x.OOM.Usage}
	}
	a.post(ended)
}

func (a *Agent) launch(ctx context.Context, e core.StartContainer, links []sandbox.Link) (<-chan containers.Exit, int, *core.ContainerFailed) {
	fail := func(err error, noSandbox bool) *core.ContainerFailed {
		return &core.ContainerFailed{Container: e.Container, Message: err.Error(), NoSandbox: noSandbox}
	}
	var user *containers.User
	if e.User != "" {
		var err error
		if user, err = sandbox.Lookup(e.User); err != nil {
			return nil, 0, fail(fmt.Errorf("Failed to create executor directory '%s': Failed to chown directory to '%s': %w", e.Directory, e.User, err), true)
		}
		if os.Geteuid() != 0 && int(user.UID) != os.Geteuid() {
			return nil, 0, fail(fmt.Errorf("the agent doesn't run as root and can't become user '%s'", e.User), true)
		}
	}
	if err := sandbox.Create(e.Directory, user); err != nil {
		return nil, 0, fail(err, true)
	}
	if err := sandbox.LinkVolumes(e.Directory, links, nil); err != nil {
		return nil, 0, fail(err, false)
	}
	spec, err := a.spec(e, user)
	if err != nil {
		return nil, 0, fail(err, false)
	}
	if err := a.fetch(ctx, e, user, spec.Stderr); err != nil {
		return nil, 0, fail(fmt.Errorf("Failed to fetch all URIs for container '%s': %w", e.Container, err), false)
	}
	if ctx.Err() != nil {
		return nil, 0, fail(errors.New("stopped before it started"), false)
	}
	process, exit, err := a.containers.Launch(spec)
	if err != nil {
		return nil, 0, fail(err, false)
	}
	return exit, process.PID, nil
}

// spec translates the core's order into the kernel's terms.
func (a *Agent) spec(e core.StartContainer, user *containers.User) (containers.Spec, error) {
	s := containers.Spec{
		ID: e.Container, Dir: e.Directory, User: user, Resources: resources(e.Limits),
		Stdout: filepath.Join(e.Directory, "stdout"), Stderr: filepath.Join(e.Directory, "stderr"),
	}
	for _, v := range e.Env {
		s.Env = append(s.Env, v.Name+"="+v.Value)
	}
	switch c := e.Command; {
	case len(e.Args) > 0:
		s.Path, s.Args = e.Args[0], e.Args
	case c.Shell == nil || *c.Shell:
		s.Path, s.Args = "/bin/sh", []string{"sh", "-c", c.GetValue()}
	default:
		s.Path, s.Args = c.GetValue(), c.Arguments
		if len(s.Args) == 0 {
			s.Args = []string{s.Path}
		}
		if !filepath.IsAbs(s.Path) {
			s.Path = resolve(s.Path, e)
		}
	}
	if e.Rlimits != nil {
		for _, l := range e.Rlimits.Rlimits {
			number, ok := rlimits[l.Type]
			if !ok {
				return s, fmt.Errorf("resource limit %s is not supported", l.Type)
			}
			r := containers.Rlimit{Type: number, Soft: unix.RLIM_INFINITY, Hard: unix.RLIM_INFINITY}
			if l.Soft != nil && l.Hard != nil {
				r.Soft, r.Hard = *l.Soft, *l.Hard
			}
			s.Rlimits = append(s.Rlimits, r)
		}
	}
	return s, nil
}

// resolve finds a relative binary: below the sandbox when it has a slash, else on the executor's PATH.
func resolve(name string, e core.StartContainer) string {
	if filepath.Base(name) != name {
		return filepath.Join(e.Directory, name)
	}
	for _, v := range e.Env {
		if v.Name != "PATH" {
			continue
		}
		for _, dir := range filepath.SplitList(v.Value) {
			p := filepath.Join(dir, name)
			if info, err := os.Stat(p); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return p
			}
		}
	}
	return name // the wrapper says that it is not there
}

// rlimits are the numbers of the kernel (asm-generic/resource.h).
var rlimits = map[mesos.RLimitInfo_RLimit_Type]int{
	mesos.RLimitInfo_RLimit_RLMT_CPU:        0,
	mesos.RLimitInfo_RLimit_RLMT_FSIZE:      1,
	mesos.RLimitInfo_RLimit_RLMT_DATA:       2,
	mesos.RLimitInfo_RLimit_RLMT_STACK:      3,
	mesos.RLimitInfo_RLimit_RLMT_CORE:       4,
	mesos.RLimitInfo_RLimit_RLMT_RSS:        5,
	mesos.RLimitInfo_RLimit_RLMT_NPROC:      6,
	mesos.RLimitInfo_RLimit_RLMT_NOFILE:     7,
	mesos.RLimitInfo_RLimit_RLMT_MEMLOCK:    8,
	mesos.RLimitInfo_RLimit_RLMT_AS:         9,
	mesos.RLimitInfo_RLimit_RLMT_LOCKS:      10,
	mesos.RLimitInfo_RLimit_RLMT_SIGPENDING: 11,
	mesos.RLimitInfo_RLimit_RLMT_MSGQUEUE:   12,
	mesos.RLimitInfo_RLimit_RLMT_NICE:       13,
	mesos.RLimitInfo_RLimit_RLMT_RTPRIO:     14,
	mesos.RLimitInfo_RLimit_RLMT_RTTIME:     15,
}

// fetch runs the fetcher as the task's user.
func (a *Agent) fetch(ctx context.Context, e core.StartContainer, user *containers.User, log string) error {
	if e.Command == nil || len(e.Command.URIs) == 0 {
		return nil
	}
	var uris []fetcher.URI
	for _, u := range e.Command.URIs {
		f := fetcher.URI{Value: u.Value, Executable: u.GetExecutable(), Extract: u.Extract == nil || *u.Extract, Output: u.GetOutputFile()}
		if err := fetcher.Check(f); err != nil {
			return err
		}
		uris = append(uris, f)
	}
	orders, err := json.Marshal(uris)
	if err != nil {
		return err
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	cmd := exec.CommandContext(ctx, a.cfg.Containers.Wrapper, "fetch", "--directory", e.Directory)
	cmd.Dir, cmd.Env = e.Directory, []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(orders), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if user != nil {
		if err := out.Chown(int(user.UID), int(user.GID)); err != nil {
			return err
		}
		if os.Geteuid() == 0 {
			cmd.SysProcAttr.Credential = &syscall.Credential{Uid: user.UID, Gid: user.GID, Groups: user.Groups}
		}
	}
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("exited with status %d", exit.ExitCode())
		}
		return err
	}
	return nil
}

// resize applies new limits when they differ from the last ones. A container that is
// on its way gets them when its executor subscribes.
func (a *Agent) resize(e core.UpdateContainer) {
	if a.limits[e.Container] == e.Limits {
		return
	}
	err := a.containers.Update(e.Container, resources(e.Limits))
	if err != nil {
		a.log.Warn("container can't be resized", "container_id", e.Container, "error", err)
		return
	}
	a.limits[e.Container] = e.Limits
}

// destroy ends a container beside the owner; its end is reported by await.
func (a *Agent) destroy(id string) {
	if a.launches.stop(id) {
		return // reports by itself
	}
	go func() {
		if err := a.containers.Destroy(id); err != nil && !errors.Is(err, containers.ErrUnknown) {
			a.log.Error("container can't be destroyed", "container_id", id, "error", err)
		}
	}()
}

func resources(l core.Limits) containers.Resources {
	return containers.Resources{CPUs: l.CPUs, CPULimit: l.CPULimit, Mem: l.Mem, MemLimit: l.MemLimit}
}
