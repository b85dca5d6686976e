package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"syscall"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tombolo-project/tombolo/agent/containers"
)

// maxContainerID is how long a container's id may be with those of its parents (reference row LCH-05).
const maxContainerID = 242

// idOf is a container's id with those of its parents, or what is wrong with it.
func idOf(field string, id *mesos.ContainerID) (string, error) {
	var parts []string
	length := 0
	for ; id != nil; id = id.Parent {
		var problem string
		switch v := id.Value; {
		case v == "":
			problem = "'ContainerID.value' must be non-empty"
		case v == "." || v == "..":
			problem = fmt.Sprintf("'%s' is disallowed", v)
		case strings.ContainsFunc(v, func(r rune) bool { return r < 0x21 || r == 0x7f || strings.ContainsRune(`/\.`, r) }):
			problem = fmt.Sprintf("'ContainerID.value' '%s' contains invalid characters", v)
		}
		if problem != "" {
			return "", fmt.Errorf("'%s' is invalid: %s", field, problem)
		}
		parts = append(parts, id.Value)
		if length += len(id.Value) + 1; length > maxContainerID+1 {
			return "", fmt.Errorf("'%s' is invalid: the id is longer than %d characters", field, maxContainerID)
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, "."), nil
}

// wanted is a call about one container, whichever of its two names it has.
type wanted struct {
	field     string // of the call
	id        mesos.ContainerID
	nested    bool // the older form, for nested containers only
	command   *mesos.CommandInfo
	container *mesos.ContainerInfo
	resources []mesos.Resource
	limits    bool
	signal    *int32
}

// containerCall returns what a call wants of a container; nil for calls that are about none.
func containerCall(call *agent.Call) *wanted {
	switch call.Type {
	case agent.Call_LAUNCH_NESTED_CONTAINER:
		c := call.LaunchNestedContainer
		return &wanted{id: c.ContainerID, nested: true, command: c.Command, container: c.Container}
	case agent.Call_LAUNCH_CONTAINER:
		c := call.LaunchContainer
		return &wanted{id: c.ContainerID, command: c.Command, container: c.Container, resources: c.Resources, limits: len(c.Limits) > 0}
	case agent.Call_WAIT_NESTED_CONTAINER:
		return &wanted{id: call.WaitNestedContainer.ContainerID, nested: true}
	case agent.Call_WAIT_CONTAINER:
		return &wanted{id: call.WaitContainer.ContainerID}
	case agent.Call_KILL_NESTED_CONTAINER:
		return &wanted{id: call.KillNestedContainer.ContainerID, nested: true, signal: call.KillNestedContainer.Signal}
	case agent.Call_KILL_CONTAINER:
		return &wanted{id: call.KillContainer.ContainerID, signal: call.KillContainer.Signal}
	case agent.Call_REMOVE_NESTED_CONTAINER:
		return &wanted{id: call.RemoveNestedContainer.ContainerID, nested: true}
	case agent.Call_REMOVE_CONTAINER:
		return &wanted{id: call.RemoveContainer.ContainerID}
	}
	return nil
}

// containerOrder answers the calls that start, await, kill and forget containers (reference section 4.7).
func (s *Server) containerOrder(w http.ResponseWriter, r *http.Request, call *agent.Call, c *wanted) (*agent.Response, bool) {
	field := strings.ToLower(call.Type.String()) + ".container_id"
	id, err := idOf(field, &c.id)
	if err == nil && c.nested && c.id.Parent == nil {
		err = fmt.Errorf("Expecting '%s.parent' to be present", field) //nolint:staticcheck // Mesos's text
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "Failed to validate agent::Call: "+err.Error())
		return nil, false
	}
	switch call.Type {
	case agent.Call_LAUNCH_NESTED_CONTAINER, agent.Call_LAUNCH_CONTAINER:
		s.launchContainer(w, r, id, c)
	case agent.Call_KILL_NESTED_CONTAINER, agent.Call_KILL_CONTAINER:
		s.killContainer(w, id, c.signal)
	case agent.Call_REMOVE_NESTED_CONTAINER, agent.Call_REMOVE_CONTAINER:
		s.removeContainer(w, id)
	default:
		return s.waitContainer(w, r, id, call.Type)
	}
	return nil, false
}

func (s *Server) launchContainer(w http.ResponseWriter, r *http.Request, id string, c *wanted) {
	switch {
	case c.id.Parent == nil:
		refuse(w, http.StatusNotImplemented, "standalone containers are not implemented by this agent yet")
		return
	case c.command.GetValue() == "":
		refuse(w, http.StatusBadRequest, "Failed to validate agent::Call: Expecting a command with a value")
		return
	case len(c.resources) > 0 || c.limits:
		refuse(w, http.StatusBadRequest, "Resources and limits of a nested container are not supported by this agent: it shares those of its parent")
		return
	}
	// The launch goes on when the caller does not wait for it: half a container helps nobody.
	created, err := s.Agent.LaunchNested(context.WithoutCancel(r.Context()), id, c.command, c.container)
	switch {
	case errors.Is(err, containers.ErrUnknown), errors.Is(err, containers.ErrInvalid):
		refuse(w, http.StatusBadRequest, err.Error())
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
	case created:
		w.WriteHeader(http.StatusOK)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *Server) killContainer(w http.ResponseWriter, id string, number *int32) {
	kill := syscall.SIGKILL
	if number != nil {
		kill = syscall.Signal(*number)
	}
	switch err := s.Agent.KillContainer(id, kill); {
	case errors.Is(err, containers.ErrUnknown):
		refuse(w, http.StatusNotFound, fmt.Sprintf("Container '%s' cannot be found (or is already killed)", id))
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
	default:
		w.WriteHeader(http.StatusOK)
	}
}

func (s *Server) removeContainer(w http.ResponseWriter, id string) {
	root, _, nested := strings.Cut(id, ".")
	if !nested {
		refuse(w, http.StatusBadRequest, "Only nested containers can be removed; others are when they end")
		return
	}
	if _, err := s.Agent.Containers().Lookup(root); err != nil {
		refuse(w, http.StatusInternalServerError, "Unknown root container")
		return
	}
	switch err := s.Agent.RemoveContainer(id); {
	case errors.Is(err, containers.ErrRunning):
		refuse(w, http.StatusInternalServerError, "Nested container has not terminated yet")
	case err != nil:
		refuse(w, http.StatusInternalServerError, err.Error())
	default:
		w.WriteHeader(http.StatusOK)
	}
}

// waitContainer answers when the container has ended.
func (s *Server) waitContainer(w http.ResponseWriter, r *http.Request, id string, kind agent.Call_Type) (*agent.Response, bool) {
	exit, err := s.Agent.WaitContainer(r.Context(), id)
	switch {
	case errors.Is(err, containers.ErrUnknown):
		refuse(w, http.StatusNotFound, fmt.Sprintf("Container %s cannot be found", id))
		return nil, false
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, err.Error())
		return nil, false
	}
	var status *int32
	if exit.Status != nil {
		number := int32(*exit.Status)
		status = &number
	}
	state, reason, limitation, message := limited(exit.OOM)
	if kind == agent.Call_WAIT_NESTED_CONTAINER {
		return &agent.Response{WaitNestedContainer: &agent.Response_WaitNestedContainer{
			ExitStatus: status, State: state, Reason: reason, Limitation: limitation, Message: message,
		}}, true
	}
	return &agent.Response{WaitContainer: &agent.Response_WaitContainer{
		ExitStatus: status, State: state, Reason: reason, Limitation: limitation, Message: message,
	}}, true
}

// limited says that a container was ended for its memory, if it was (reference row LCH-02).
func limited(o *containers.OOM) (*mesos.TaskState, *mesos.TaskStatus_Reason, *mesos.TaskResourceLimitation, *string) {
	if o == nil {
		return nil, nil, nil, nil
	}
	const mb = 1 << 20
	state, reason, scalar := mesos.TASK_FAILED, mesos.REASON_CONTAINER_LIMITATION_MEMORY, mesos.SCALAR
	message := fmt.Sprintf("Memory limit exceeded: Requested: %dMB Maximum Used: %dMB", o.Limit/mb, o.Usage/mb)
	return &state, &reason, &mesos.TaskResourceLimitation{Resources: []mesos.Resource{{
		Name: "mem", Type: &scalar, Scalar: &mesos.Value_Scalar{Value: float64(o.Limit >> 20)},
	}}}, &message
}

// nestedContainers lists those inside an executor's container.
func (s *Server) nestedContainers(root string) []agent.Response_GetContainers_Container {
	var list []agent.Response_GetContainers_Container
	for _, path := range s.Agent.Containers().Nested(root) {
		process, err := s.Agent.Containers().Lookup(path)
		if err != nil {
			continue // it has just been removed
		}
		var whole *mesos.ContainerID
		for part := range strings.SplitSeq(path, ".") {
			whole = &mesos.ContainerID{Value: part, Parent: whole}
		}
		pid := uint32(process.PID)
		c := agent.Response_GetContainers_Container{
			ContainerID: mesos.ContainerID{Value: whole.Value}, ContainerStatus: &mesos.ContainerStatus{ContainerID: whole, ExecutorPID: &pid},
		}
		if u, err := s.Agent.Containers().Usage(path); err == nil {
			c.ResourceStatistics = statistics(u)
		}
		list = append(list, c)
	}
	return list
}

// attached is the container that an ATTACH call is about; nil for other calls.
func attached(call *agent.Call) *mesos.ContainerID {
	switch call.Type {
	case agent.Call_ATTACH_CONTAINER_OUTPUT:
		return &call.AttachContainerOutput.ContainerID
	case agent.Call_ATTACH_CONTAINER_INPUT:
		return call.AttachContainerInput.ContainerID
	}
	return nil
}

// attach refuses to attach: no container of this agent has an input or a terminal yet.
func (s *Server) attach(w http.ResponseWriter, call string, c *mesos.ContainerID) {
	id, err := idOf(strings.ToLower(call)+".container_id", c)
	if err != nil {
		refuse(w, http.StatusBadRequest, "Failed to validate agent::Call: "+err.Error())
		return
	}
	if _, err := s.Agent.Containers().Lookup(id); err != nil {
		refuse(w, http.StatusNotFound, fmt.Sprintf("Container %s cannot be found", id))
		return
	}
	refuse(w, http.StatusBadRequest, fmt.Sprintf("Container %s was started without an input or a terminal to attach to", id))
}
