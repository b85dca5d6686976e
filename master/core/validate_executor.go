package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// The least a DEFAULT executor must have (reference row TG-01).
const (
	minExecutorCPUs = 0.01
	minExecutorMem  = 32.0 // MB
)

// validExecutor checks the executor of a LAUNCH (reference row TV-11).
func (s *State) validExecutor(b *bargain, x *mesos.ExecutorInfo) error {
	if err := ValidID(x.ExecutorID.Value); err != nil {
		return err
	}
	switch x.Type {
	case mesos.ExecutorInfo_UNKNOWN: // unset
		if x.Command == nil {
			return fmt.Errorf("'ExecutorInfo.command' must be set")
		}
	case mesos.ExecutorInfo_CUSTOM:
		if x.Command == nil {
			return fmt.Errorf("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
		}
	default:
		return fmt.Errorf("'ExecutorInfo.type' must be 'CUSTOM'")
	}
	return s.validCommonExecutor(b, x)
}

// validCommonExecutor checks what holds for every executor.
func (s *State) validCommonExecutor(b *bargain, x *mesos.ExecutorInfo) error {
	f := b.framework
	if x.FrameworkID.Value != f.id {
		return fmt.Errorf("ExecutorInfo has an invalid FrameworkID (Actual: %s vs Expected: %s)", x.FrameworkID.Value, f.id)
	}
	if x.GetShutdownGracePeriod().GetNanoseconds() < 0 {
		return fmt.Errorf("ExecutorInfo's 'shutdown_grace_period' must be non-negative")
	}
	for i := range x.Resources {
		if x.Resources[i].Shared != nil {
			return fmt.Errorf("Executor resources must not be shared")
		}
	}
	if err := validCommand(x.Command); err != nil {
		return fmt.Errorf("Executor's `CommandInfo` is invalid: %w", err)
	}
	if err := validContainer(x.Container); err != nil {
		return fmt.Errorf("Executor's `ContainerInfo` is invalid: %w", err)
	}
	if running := b.agent.executors[f.id][x.ExecutorID.Value]; running != nil && !s.sameExecutor(f, &running.info, x) {
		return fmt.Errorf("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID '%s'", x.ExecutorID.Value)
	}
	return nil
}

// sameExecutor compares two descriptions, however their resources are spelled.
func (s *State) sameExecutor(f *framework, x, y *mesos.ExecutorInfo) bool {
	a, b := *x, *y
	if !s.allocated(f, a.Resources).Equal(s.allocated(f, b.Resources)) {
		return false
	}
	a.Resources, b.Resources = nil, nil
	return a.Equal(&b)
}

// validGroupExecutor checks the executor of a LAUNCH_GROUP (reference row TG-01).
func (s *State) validGroupExecutor(b *bargain, x *mesos.ExecutorInfo) error {
	if err := ValidID(x.ExecutorID.Value); err != nil {
		return err
	}
	switch x.Type {
	case mesos.ExecutorInfo_UNKNOWN:
		return fmt.Errorf("'ExecutorInfo.type' must be set")
	case mesos.ExecutorInfo_CUSTOM:
		if x.Command == nil {
			return fmt.Errorf("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
		}
	case mesos.ExecutorInfo_DEFAULT:
		if err := validDefaultExecutor(x); err != nil {
			return err
		}
	}
	if share := sharesCgroups(x.Container); share != nil && *share {
		return fmt.Errorf("The 'share_cgroups' field cannot be set to 'true' on executor containers")
	}
	if err := s.validCommonExecutor(b, x); err != nil {
		return err
	}
	return validExecutorAmounts(x)
}

func validDefaultExecutor(x *mesos.ExecutorInfo) error {
	switch {
	case x.Command != nil:
		return fmt.Errorf("'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
	case x.Container == nil:
		return nil
	case x.Container.GetType() != mesos.ContainerInfo_MESOS:
		return fmt.Errorf("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor")
	case x.Container.GetMesos().GetImage() != nil:
		return fmt.Errorf("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor")
	}
	return nil
}

func validExecutorAmounts(x *mesos.ExecutorInfo) error {
	r, err := offers.Parse(x.Resources)
	if err != nil {
		return err
	}
	id := x.ExecutorID.Value
	if c := r.Scalar("cpus").Float(); c < minExecutorCPUs {
		return fmt.Errorf("Executor '%s' uses less CPUs (%g) than the minimum required (%g)", id, c, minExecutorCPUs)
	}
	if m := r.Scalar("mem").Float(); m < minExecutorMem {
		return fmt.Errorf("Executor '%s' uses less memory (%gMB) than the minimum required (%gMB)", id, m, minExecutorMem)
	}
	if r.Scalar("disk") == 0 {
		return fmt.Errorf("Executor '%s' uses no disk", id)
	}
	return nil
}

// validGroupTask checks a task of a group (reference row TG-02).
func (s *State) validGroupTask(b *bargain, t *mesos.TaskInfo, x *mesos.ExecutorInfo) error {
	id := t.TaskID.Value
	if t.Executor != nil {
		own := *t.Executor
		own.Resources = inRole(own.Resources, b.role)
		if own.FrameworkID == nil {
			own.FrameworkID = x.FrameworkID
		}
		if !s.sameExecutor(b.framework, &own, x) {
			return fmt.Errorf("The `ExecutorInfo` of task '%s' is different from executor '%s'", id, x.ExecutorID.Value)
		}
		t.Executor = nil
	}
	if err := s.validCommonTask(b, t); err != nil {
		return fmt.Errorf("Task '%s' is invalid: %w", id, err)
	}
	if t.GetContainer().GetType() == mesos.ContainerInfo_DOCKER && t.Container != nil {
		return fmt.Errorf("Task '%s' is invalid: Docker ContainerInfo is not supported on the task", id)
	}
	if h := t.HealthCheck; h != nil && (h.HTTP != nil || h.TCP != nil) && len(t.GetContainer().GetNetworkInfos()) > 0 {
		return fmt.Errorf("Task '%s' is invalid: HTTP and TCP health checks are not supported for nested containers not joining parent's network", id)
	}
	share := sharesCgroups(t.Container)
	if len(t.Limits) > 0 && (share == nil || *share) {
		return fmt.Errorf("Task '%s' is invalid: Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.", id)
	}
	if err := validLimits(b.agent, t); err != nil {
		return fmt.Errorf("Task '%s' is invalid: %w", id, err)
	}
	return nil
}
