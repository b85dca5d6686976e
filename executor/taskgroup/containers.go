package taskgroup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tombolo-project/tombolo/executor/agentlink"
	"github.com/tombolo-project/tombolo/executor/checks"
	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// retry is the pause before an agent that does not answer is asked again: it may be about to come back.
const retry = time.Second

// containers asks the agent for nested containers. Its methods may be called from any goroutine.
type containers struct {
	url     string // of the agent's operator API
	http    *http.Client
	options []client.Option
	address string // of the agent, for the tasks
}

func newContainers(cfg agentlink.Config, address string) *containers {
	transport := cfg.Transport
	if transport == nil {
		transport = &http.Transport{}
	}
	c := &containers{url: strings.TrimSuffix(cfg.Endpoint, "/executor"), http: &http.Client{Transport: transport.Clone()}, address: address}
	if cfg.Token != "" {
		c.options = append(c.options, client.WithHeader("Authorization", "Bearer "+cfg.Token))
	}
	return c
}

// id is a container's id as the agent's API has it.
func id(path string) mesos.ContainerID {
	var whole *mesos.ContainerID
	for _, part := range strings.Split(path, ".") {
		whole = &mesos.ContainerID{Value: part, Parent: whole}
	}
	return *whole
}

// start starts a task's command, and tries again while the agent is away: a container that is there already is as good.
func (c *containers) start(ctx context.Context, container string, t *mesos.TaskInfo) error {
	command := c.commandOf(t)
	return c.persist(ctx, &agent.Call{Type: agent.Call_LAUNCH_NESTED_CONTAINER, LaunchNestedContainer: &agent.Call_LaunchNestedContainer{
		ContainerID: id(container), Command: command, Container: t.Container,
	}}, nil)
}

// commandOf is a task's command with the environment that Mesos gives the tasks of its default executor.
func (c *containers) commandOf(t *mesos.TaskInfo) *mesos.CommandInfo {
	command := mesos.CommandInfo{}
	if t.Command != nil {
		command = *t.Command
	}
	env := mesos.Environment{}
	add := func(name, value string) {
		env.Variables = append(env.Variables, mesos.Environment_Variable{Name: name, Value: &value})
	}
	add("MESOS_CONTAINER_IP", c.address)
	for i := range t.Resources {
		if a := t.Resources[i].AllocationInfo; a != nil {
			add("MESOS_ALLOCATION_ROLE", a.GetRole())
			break
		}
	}
	if command.Environment != nil {
		env.Variables = append(env.Variables, command.Environment.Variables...)
	}
	command.Environment = &env
	return &command
}

// wait waits for a container's end, over restarts of the agent.
func (c *containers) wait(ctx context.Context, container string) Exit {
	var answer agent.Response
	err := c.persist(ctx, &agent.Call{Type: agent.Call_WAIT_NESTED_CONTAINER,
		WaitNestedContainer: &agent.Call_WaitNestedContainer{ContainerID: id(container)}}, &answer)
	if err != nil {
		return Exit{Message: "The task's container cannot be found any more: " + err.Error()}
	}
	w := answer.WaitNestedContainer
	return Exit{Status: w.ExitStatus, Reason: w.Reason, Limitation: w.Limitation, Message: w.GetMessage()}
}

// signal sends a signal; a container that is gone needs none.
func (c *containers) signal(ctx context.Context, container string, s syscall.Signal) error {
	number := int32(s)
	err := c.persist(ctx, &agent.Call{Type: agent.Call_KILL_NESTED_CONTAINER,
		KillNestedContainer: &agent.Call_KillNestedContainer{ContainerID: id(container), Signal: &number}}, nil)
	if refused, ok := errors.AsType[*client.Error](err); ok && refused.Status == http.StatusNotFound {
		return nil
	}
	return err
}

// persist makes a call until the agent answers it, whatever the answer.
func (c *containers) persist(ctx context.Context, call *agent.Call, answer *agent.Response) error {
	for {
		var err error
		if answer == nil {
			err = client.Call(ctx, c.http, c.url, codec.Protobuf, call, c.options...)
		} else {
			err = client.Request(ctx, c.http, c.url, codec.Protobuf, call, answer, c.options...)
		}
		refused, ok := errors.AsType[*client.Error](err)
		if err == nil || ok && refused.Status != http.StatusServiceUnavailable {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(retry):
		}
	}
}

// check runs a check's command beside a task, in a container inside the task's.
func (c *containers) check(container string, t *mesos.TaskInfo) checks.Command {
	return func(ctx context.Context, command *mesos.CommandInfo) (int, error) {
		beside := *t
		own := *command
		if t.Command != nil && t.Command.Environment != nil {
			env := mesos.Environment{Variables: append([]mesos.Environment_Variable{}, t.Command.Environment.Variables...)}
			if command.Environment != nil {
				env.Variables = append(env.Variables, command.Environment.Variables...)
			}
			own.Environment = &env
		}
		beside.Command, beside.Container = &own, nil
		inside := container + ".check-" + uuid.NewString()
		defer c.forget(inside)
		if err := c.start(ctx, inside, &beside); err != nil {
			return 0, err
		}
		exit := c.wait(ctx, inside)
		if ctx.Err() != nil {
			return 0, errors.New("timed out")
		}
		if exit.Status == nil {
			return 0, errors.New(exit.Message)
		}
		ws := syscall.WaitStatus(*exit.Status)
		if ws.Signaled() {
			return 0, fmt.Errorf("%s", describe(exit))
		}
		return ws.ExitStatus(), nil
	}
}

// forget ends and removes a check's container.
func (c *containers) forget(container string) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if c.signal(ctx, container, syscall.SIGKILL) != nil {
		return // the agent removes it with the task's
	}
	c.wait(ctx, container)
	// What is left is removed with the task's container.
	_ = c.persist(ctx, &agent.Call{Type: agent.Call_REMOVE_NESTED_CONTAINER,
		RemoveNestedContainer: &agent.Call_RemoveNestedContainer{ContainerID: id(container)}}, nil)
}
