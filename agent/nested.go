package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
)

// This file runs containers inside those of executors, on the operator API's orders. They are none of the state's
// business, as in Mesos: what is remembered of them lies in the runtime directory, and ends with the executor's
// container (reference section 4.7).

// LaunchNested starts a container inside another one, whose id id begins with ("parent.child"); false if it is there
// already. It returns when the command is about to run. What cannot be launched as asked is a containers.ErrInvalid.
func (a *Agent) LaunchNested(ctx context.Context, id string, command *mesos.CommandInfo, container *mesos.ContainerInfo) (bool, error) {
	root, parents, _ := strings.Cut(id, ".")
	f, e := a.executorIn(root)
	if e == nil {
		return false, fmt.Errorf("Unable to locate executor with container %s: %w", root, containers.ErrUnknown) //nolint:staticcheck // like Mesos's text
	}
	if _, err := a.containers.Lookup(id); err == nil {
		return false, nil
	}
	if text := core.UnsupportedContainer(container); text != "" {
		return false, fmt.Errorf("%s: %w", text, containers.ErrInvalid)
	}
	below := filepath.Join("containers", strings.ReplaceAll(parents, ".", "/containers/"))
	order := core.StartContainer{Container: id, Command: command, User: a.userIn(f, e, command), Directory: filepath.Join(e.Directory, below)}
	order.Env = environmentIn(order.Directory, command)
	if container != nil {
		order.Rlimits = container.RlimitInfo
	}
	switch err := a.launchNested(ctx, order, e.Directory, below); {
	case errors.Is(err, containers.ErrExists):
		return false, nil
	case err != nil:
		return false, err
	}
	return true, nil
}

func (a *Agent) launchNested(ctx context.Context, e core.StartContainer, executor, below string) error {
	var user *containers.User
	if e.User != "" {
		var err error
		if user, err = sandbox.Lookup(e.User); err != nil {
			return fmt.Errorf("%w: %w", err, containers.ErrInvalid)
		}
	}
	if err := sandbox.CreateNested(executor, below, user); err != nil {
		return err
	}
	spec, err := a.spec(e, user)
	if err != nil {
		return err
	}
	spec.Forward = true
	if err := a.fetch(ctx, e, user, spec.Stderr); err != nil {
		return fmt.Errorf("Failed to fetch all URIs for container '%s': %w", e.Container, err) //nolint:staticcheck // Mesos's text
	}
	_, _, err = a.containers.Launch(spec)
	return err
}

// showTask makes the files of a task of the default executor found by the task's id, with its first update.
func (a *Agent) showTask(framework, executor string, status *mesos.TaskStatus) {
	c := status.GetContainerStatus().GetContainerID()
	if status.GetState() != mesos.TASK_STARTING || c == nil || c.Parent == nil || strings.ContainsAny(c.Value, "/.") {
		return
	}
	f, e := a.executorIn(c.Parent.Value)
	if e == nil || f.Info.ID.GetValue() != framework || e.Info.ExecutorID.Value != executor {
		return
	}
	if err := sandbox.LinkTask(e.Directory, status.TaskID.Value, c.Value); err != nil {
		a.log.Warn("task's files not linked", "framework_id", framework, "executor_id", executor, "task_id", status.TaskID.Value, "error", err)
	}
}

// executorIn finds the executor that a container was started for.
func (a *Agent) executorIn(container string) (*core.FrameworkView, *core.ExecutorView) {
	for _, f := range a.View().Frameworks {
		for _, e := range f.Executors {
			if e.Container == container && e.State != "TERMINATED" {
				return f, e
			}
		}
	}
	return nil, nil
}

// userIn is whom a command inside an executor's container runs as: who it says, else the executor's.
func (a *Agent) userIn(f *core.FrameworkView, e *core.ExecutorView, c *mesos.CommandInfo) string {
	if !a.cfg.Core.SwitchUser {
		return ""
	}
	for _, name := range []string{c.GetUser(), e.Info.Command.GetUser()} {
		if name != "" {
			return name
		}
	}
	return f.Info.User
}

// environmentIn is what a nested container's command finds: nothing of the agent's but a PATH.
func environmentIn(dir string, c *mesos.CommandInfo) []core.Variable {
	env := []core.Variable{{Name: "PATH", Value: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {Name: "MESOS_SANDBOX", Value: dir}}
	if c == nil || c.Environment == nil {
		return env
	}
	for _, v := range c.Environment.Variables {
		env = append(env, core.Variable{Name: v.Name, Value: v.GetValue()})
	}
	return env
}

// WaitContainer waits for a container's end and tells how it was.
func (a *Agent) WaitContainer(ctx context.Context, id string) (containers.Exit, error) {
	result, over, err := a.containers.Await(id)
	if err != nil {
		return containers.Exit{}, err
	}
	select {
	case <-over:
		return result(), nil
	case <-ctx.Done():
		return containers.Exit{}, ctx.Err()
	case <-a.done:
		return containers.Exit{}, errGone
	}
}

// KillContainer sends a signal to a container's command; SIGKILL ends the whole container.
func (a *Agent) KillContainer(id string, s syscall.Signal) error { return a.containers.Signal(id, s) }

// RemoveContainer forgets a nested container that has ended; its sandbox stays with its parent's.
func (a *Agent) RemoveContainer(id string) error { return a.containers.Remove(id) }
