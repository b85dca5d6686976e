package core

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers/operations"
)

// This file is the checks of tasks (reference 1.7). Their texts are Mesos's own,
// as schedulers and people know them; hence the capital letters.

// wellFormed checks the form of all resources of an operation: one malformed
// resource fails the whole operation (reference row TV-06).
func wellFormed(tasks []mesos.TaskInfo, executor *mesos.ExecutorInfo) error {
	if executor != nil {
		if err := operations.Validate(executor.Resources); err != nil {
			return err
		}
	}
	for i := range tasks {
		if err := operations.Validate(tasks[i].Resources); err != nil {
			return err
		}
		if x := tasks[i].Executor; x != nil {
			if err := operations.Validate(x.Resources); err != nil {
				return err
			}
		}
	}
	return nil
}

// validTask checks a task of LAUNCH, whose resources are allocated to the offers' role,
// against what is left of the offers. The order of the checks is Mesos's.
func (s *State) validTask(b *bargain, t *mesos.TaskInfo) error {
	if err := s.validCommonTask(b, t); err != nil {
		return err
	}
	if (t.Executor == nil) == (t.Command == nil) {
		return fmt.Errorf("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
	}
	needed := s.allocated(b.framework, t.Resources)
	if x := t.Executor; x != nil {
		if err := s.validExecutor(b, x); err != nil {
			return err
		}
		own := s.allocated(b.framework, x.Resources)
		if overlap(needed, own) {
			return fmt.Errorf("There are overlapping resources in the task resources %s and executor resources %s", needed, own)
		}
		if err := validTogether("Task and its executor", t.Resources, x.Resources); err != nil {
			return err
		}
		if b.agent.executors[b.framework.id][x.ExecutorID.Value] == nil {
			needed = needed.Plus(own)
		}
	}
	if available := b.available(); !available.Contains(needed) {
		return fmt.Errorf("Total resources %s required by task and its executor is more than available %s", needed, available)
	}
	if share := sharesCgroups(t.Container); share != nil && !*share {
		return fmt.Errorf("Only tasks in a task group may have 'share_cgroups' set to 'false'")
	}
	return nil
}

// validCommonTask checks what holds for tasks in and outside of groups.
func (s *State) validCommonTask(b *bargain, t *mesos.TaskInfo) error {
	id := t.TaskID.Value
	if err := ValidID(id); err != nil {
		return err
	}
	if b.framework.tasks[id] != nil {
		return fmt.Errorf("Task has duplicate ID: %s", id)
	}
	if b.framework.unreachableTask(id) != nil {
		return fmt.Errorf("Task reuses the ID of an unreachable task: %s", id)
	}
	if t.AgentID.Value != b.agent.id {
		return fmt.Errorf("Task uses invalid agent %s while agent %s is expected", t.AgentID.Value, b.agent.id)
	}
	if t.GetKillPolicy().GetGracePeriod().GetNanoseconds() < 0 {
		return fmt.Errorf("Task's 'kill_policy.grace_period' must be non-negative")
	}
	if t.GetMaxCompletionTime().GetNanoseconds() < 0 {
		return fmt.Errorf("Task's `max_completion_time` must be non-negative")
	}
	if err := validCheck(t.Check); err != nil {
		return fmt.Errorf("Task uses invalid check: %w", err)
	}
	if err := validHealthCheck(t.HealthCheck); err != nil {
		return fmt.Errorf("Task uses invalid health check: %w", err)
	}
	if len(t.Resources) == 0 {
		return fmt.Errorf("Task uses no resources")
	}
	if err := validUse("Task", "task", t.Resources); err != nil {
		return err
	}
	if err := validCommand(t.Command); err != nil {
		return fmt.Errorf("Task's `CommandInfo` is invalid: %w", err)
	}
	if err := validContainer(t.Container); err != nil {
		return fmt.Errorf("Task's `ContainerInfo` is invalid: %w", err)
	}
	return validLimits(b.agent, t)
}

// validLimits checks a task's limits (reference row TV-09).
func validLimits(a *agent, t *mesos.TaskInfo) error {
	if len(t.Limits) == 0 {
		return nil
	}
	if !a.can(mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS) {
		return fmt.Errorf("Agent is not capable of handling task resource limits")
	}
	for name := range t.Limits {
		if name != "cpus" && name != "mem" {
			return fmt.Errorf("Only cpus and mem may be included in a task's resource limits")
		}
	}
	asked := parsed(t.Resources...)
	for _, k := range []struct{ name, short, long string }{{"cpus", "cpu", "CPU"}, {"mem", "memory", "memory"}} {
		limit, ok := t.Limits[k.name]
		switch {
		case !ok:
		case asked.Named(k.name).IsZero():
			return fmt.Errorf("When a %s limit is specified, a %s request must also be specified", k.long, k.long)
		case !(limit.Value >= asked.Scalar(k.name).Float()):
			return fmt.Errorf("The %s limit must be greater than or equal to the %s request", k.short, k.short)
		}
	}
	return nil
}

// validCommand checks the environment of a command (reference row TV-07).
func validCommand(c *mesos.CommandInfo) error {
	for _, v := range c.GetEnvironment().GetVariables() {
		switch v.GetType() {
		case mesos.Environment_Variable_VALUE:
			if v.Secret != nil {
				return fmt.Errorf("Environment variable '%s' of type 'VALUE' must not have a secret set", v.Name)
			}
			if v.Value == nil {
				return fmt.Errorf("Environment variable '%s' of type 'VALUE' must have a value set", v.Name)
			}
		case mesos.Environment_Variable_SECRET:
			if err := validSecretVariable(&v); err != nil {
				return err
			}
		default:
			return fmt.Errorf("Environment variable of type 'UNKNOWN' is not allowed")
		}
	}
	return nil
}

func validSecretVariable(v *mesos.Environment_Variable) error {
	switch {
	case v.Secret == nil:
		return fmt.Errorf("Environment variable '%s' of type 'SECRET' must have a secret set", v.Name)
	case v.Value != nil:
		return fmt.Errorf("Environment variable '%s' of type 'SECRET' must not have a value set", v.Name)
	}
	if err := validSecret(v.Secret); err != nil {
		return fmt.Errorf("Environment variable '%s' specifies an invalid secret: %w", v.Name, err)
	}
	if bytes.IndexByte(v.Secret.GetValue().GetData(), 0) >= 0 {
		return fmt.Errorf("Environment variable '%s' specifies a secret containing null bytes, which is not allowed in the environment", v.Name)
	}
	return nil
}

func validSecret(x *mesos.Secret) error {
	switch {
	case x.Type == mesos.Secret_REFERENCE && x.Reference == nil:
		return fmt.Errorf("Secret of type REFERENCE must have the 'reference' field set")
	case x.Type == mesos.Secret_REFERENCE && x.Value != nil:
		return fmt.Errorf("Secret '%s' of type REFERENCE must not have the 'value' field set", x.Reference.Name)
	case x.Type == mesos.Secret_VALUE && x.Value == nil:
		return fmt.Errorf("Secret of type VALUE must have the 'value' field set")
	case x.Type == mesos.Secret_VALUE && x.Reference != nil:
		return fmt.Errorf("Secret of type VALUE must not have the 'reference' field set")
	}
	return nil
}

// validContainer checks a container (reference row TV-08).
func validContainer(c *mesos.ContainerInfo) error {
	if c == nil {
		return nil
	}
	for i := range c.Volumes {
		if err := validVolume(&c.Volumes[i]); err != nil {
			return fmt.Errorf("Invalid volume: %w", err)
		}
	}
	if c.GetType() != mesos.ContainerInfo_DOCKER {
		return nil
	}
	if c.Docker == nil {
		return fmt.Errorf("DockerInfo 'docker' is not set for DOCKER typed ContainerInfo")
	}
	for _, p := range c.Docker.Parameters {
		if p.Key == "name" {
			return fmt.Errorf("Parameter in DockerInfo must not be 'name'")
		}
	}
	return nil
}

func validVolume(v *mesos.Volume) error {
	sources := 0
	for _, there := range []bool{v.HostPath != nil, v.Image != nil, v.Source != nil} {
		if there {
			sources++
		}
	}
	if sources != 1 {
		return fmt.Errorf("Only one of them should be set: 'host_path', 'image' and 'source'")
	}
	if v.Source == nil {
		return nil
	}
	missing := false
	switch v.Source.Type {
	case mesos.Volume_Source_DOCKER_VOLUME:
		missing = v.Source.DockerVolume == nil
	case mesos.Volume_Source_HOST_PATH:
		missing = v.Source.HostPath == nil
	case mesos.Volume_Source_SANDBOX_PATH:
		missing = v.Source.SandboxPath == nil
	case mesos.Volume_Source_SECRET:
		missing = v.Source.Secret == nil
	default:
		return fmt.Errorf("'source.type' is unknown")
	}
	if missing {
		return fmt.Errorf("'source.%s' is not set for %s volume", strings.ToLower(v.Source.Type.String()), v.Source.Type)
	}
	return nil
}

// sharesCgroups is the share_cgroups field of a container, nil when unset.
func sharesCgroups(c *mesos.ContainerInfo) *bool {
	if info := c.GetLinuxInfo(); info != nil {
		return info.ShareCgroups
	}
	return nil
}
