package core

import (
	"fmt"
	"math"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// This file is the checks of tasks (reference 1.7). Their texts are Mesos's own,
// as schedulers and people know them; hence the capital letters.

// wellFormed checks the form of all resources of an operation: one malformed
// resource fails the whole operation (reference row TV-06).
func wellFormed(tasks []mesos.TaskInfo, executor *mesos.ExecutorInfo) error {
	if executor != nil {
		if err := wellFormedList(executor.Resources); err != nil {
			return err
		}
	}
	for i := range tasks {
		if err := wellFormedList(tasks[i].Resources); err != nil {
			return err
		}
		if x := tasks[i].Executor; x != nil {
			if err := wellFormedList(x.Resources); err != nil {
				return err
			}
		}
	}
	return nil
}

func wellFormedList(list []mesos.Resource) error {
	if _, err := offers.Parse(list); err != nil {
		return err
	}
	for i := range list {
		ranges := list[i].GetRanges().GetRange()
		for j := range ranges {
			for k := range j {
				if ranges[j].Begin <= ranges[k].End && ranges[k].Begin <= ranges[j].End {
					return fmt.Errorf("Resource '%s' is invalid: Invalid ranges resource: overlapping ranges", list[i].Name)
				}
			}
		}
	}
	return nil
}

// validTask checks a task of LAUNCH against its offers.
func (s *State) validTask(b *bargain, t *mesos.TaskInfo) error {
	if (t.Executor == nil) == (t.Command == nil) {
		return fmt.Errorf("Task should have at least one (but not both) of CommandInfo or ExecutorInfo present")
	}
	if sharesCgroups(t.Container) != nil && !*sharesCgroups(t.Container) {
		return fmt.Errorf("Only tasks in a task group may have 'share_cgroups' set to 'false'")
	}
	if err := validLimits(b.agent, t); err != nil {
		return err
	}
	return s.validCommonTask(b, t)
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
	for _, u := range b.framework.unreachable.all() {
		if u.TaskID.Value == id {
			return fmt.Errorf("Task reuses the ID of an unreachable task: %s", id)
		}
	}
	if t.AgentID.Value != b.agent.id {
		return fmt.Errorf("Task uses invalid agent %s while agent %s is expected", t.AgentID.Value, b.agent.id)
	}
	if t.GetKillPolicy().GetGracePeriod().GetNanoseconds() < 0 {
		return fmt.Errorf("Task's 'kill_policy.grace_period' must be non-negative")
	}
	if t.GetMaxCompletionTime().GetNanoseconds() < 0 {
		return fmt.Errorf("Task's 'max_completion_time' must be non-negative")
	}
	if err := validCheck(t.Check); err != nil {
		return fmt.Errorf("Task uses invalid check: %w", err)
	}
	if err := validHealthCheck(t.HealthCheck); err != nil {
		return fmt.Errorf("Task uses invalid health check: %w", err)
	}
	if err := validUse(t.Resources); err != nil {
		return err
	}
	if err := validCommand(t.Command); err != nil {
		return fmt.Errorf("Task's `CommandInfo` is invalid: %w", err)
	}
	if err := validContainer(t.Container); err != nil {
		return fmt.Errorf("Task's `ContainerInfo` is invalid: %w", err)
	}
	return nil
}

// validUse checks resources that a task wants to use (reference row TV-06).
func validUse(list []mesos.Resource) error {
	if len(list) == 0 {
		return fmt.Errorf("Task uses no resources")
	}
	plain, revocable, roles := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i := range list {
		r := &list[i]
		if v := r.GetScalar().GetValue(); r.Name == "gpus" && v != math.Trunc(v) {
			return fmt.Errorf("Task uses invalid resources: Invalid 'gpus' resource: The 'gpus' resource must be an unsigned integer")
		}
		if r.Revocable != nil {
			revocable[r.Name] = true
		} else {
			plain[r.Name] = true
		}
		roles[r.GetAllocationInfo().GetRole()] = true
	}
	for name := range revocable {
		if plain[name] {
			return fmt.Errorf("Task mixes revocable and non-revocable resources: Cannot use both revocable and non-revocable '%s' at the same time", name)
		}
	}
	if len(roles) > 1 {
		return fmt.Errorf("Task's resources are allocated to several roles")
	}
	return nil
}

// validLimits checks a task's limits (reference row TV-09).
func validLimits(a *agent, t *mesos.TaskInfo) error {
	if len(t.Limits) == 0 {
		return nil
	}
	if !a.can(mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS) {
		return fmt.Errorf("Agent %s is not capable of task resource limits", a.id)
	}
	for name := range t.Limits {
		if name != "cpus" && name != "mem" {
			return fmt.Errorf("Only cpus and mem may be included in a task's resource limits")
		}
	}
	asked, err := offers.Parse(t.Resources)
	if err != nil {
		return err
	}
	if l, ok := t.Limits["cpus"]; ok && !(l.Value >= asked.Scalar("cpus").Float()) {
		return fmt.Errorf("The cpu limit must be greater than or equal to the cpu request")
	}
	if l, ok := t.Limits["mem"]; ok && !(l.Value >= asked.Scalar("mem").Float()) {
		return fmt.Errorf("The memory limit must be greater than or equal to the memory request")
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
	return nil
}

func validSecret(x *mesos.Secret) error {
	switch {
	case x.Type == mesos.Secret_REFERENCE && x.Reference == nil:
		return fmt.Errorf("Secret of type REFERENCE must have the 'reference' field set")
	case x.Type == mesos.Secret_REFERENCE && x.Value != nil:
		return fmt.Errorf("Secret of type REFERENCE must not have the 'value' field set")
	case x.Type == mesos.Secret_VALUE && x.Value == nil:
		return fmt.Errorf("Secret of type VALUE must have the 'value' field set")
	case x.Type == mesos.Secret_VALUE && x.Reference != nil:
		return fmt.Errorf("Secret of type VALUE must not have the 'reference' field set")
	case x.Type == mesos.Secret_UNKNOWN:
		return fmt.Errorf("Secret of type UNKNOWN is not allowed")
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
		return fmt.Errorf("Only one of 'host_path', 'image' or 'source' should be set")
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
