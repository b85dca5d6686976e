package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// The least a DEFAULT executor must have (reference row TG-01).
const (
	minExecutorCPUs = 0.01
	minExecutorMem  = 32.0 // MB
)

// validExecutor checks the executor of a LAUNCH (reference row TV-11).
func (s *State) validExecutor(b *bargain, x *mesos.ExecutorInfo) error {
	if err := s.validCommonExecutor(b, x); err != nil {
		return err
	}
	switch {
	case x.Type != mesos.ExecutorInfo_UNKNOWN && x.Type != mesos.ExecutorInfo_CUSTOM: // UNKNOWN is unset
		return fmt.Errorf("'ExecutorInfo.type' must be 'CUSTOM'")
	case x.Command == nil:
		return fmt.Errorf("'ExecutorInfo.command' must be set")
	}
	for i := range x.Resources {
		if x.Resources[i].Shared != nil {
			return fmt.Errorf("Executor resources %s should not contain any shared resources", s.allocated(b.framework, x.Resources))
		}
	}
	if share := sharesCgroups(x.Container); share != nil && *share {
		return fmt.Errorf("The 'share_cgroups' field cannot be set to 'true' on executor containers")
	}
	if err := validExecutorAmounts(x); err != nil { // Mesos warns of it, too
		s.note("executor with little", "framework_id", b.framework.id, "executor_id", x.ExecutorID.Value, "warning", err.Error())
	}
	return nil
}

// validCommonExecutor checks what holds for every executor.
func (s *State) validCommonExecutor(b *bargain, x *mesos.ExecutorInfo) error {
	f := b.framework
	if err := validExecutorType(x); err != nil {
		return err
	}
	if err := ValidID(x.ExecutorID.Value); err != nil {
		return err
	}
	if x.GetShutdownGracePeriod().GetNanoseconds() < 0 {
		return fmt.Errorf("ExecutorInfo's 'shutdown_grace_period' must be non-negative")
	}
	if err := validCommand(x.Command); err != nil {
		return fmt.Errorf("Executor's `CommandInfo` is invalid: %w", err)
	}
	if err := validContainer(x.Container); err != nil {
		return fmt.Errorf("Executor's `ContainerInfo` is invalid: %w", err)
	}
	if x.FrameworkID == nil {
		return fmt.Errorf("'ExecutorInfo.framework_id' must be set")
	}
	if x.FrameworkID.Value != f.id {
		return fmt.Errorf("ExecutorInfo has an invalid FrameworkID (Actual: %s vs Expected: %s)", x.FrameworkID.Value, f.id)
	}
	if err := validUse("Executor", "executor", x.Resources); err != nil {
		return err
	}
	if running := b.agent.executors[f.id][x.ExecutorID.Value]; running != nil && !s.sameExecutor(f, &running.info, x) {
		return fmt.Errorf("ExecutorInfo is not compatible with existing ExecutorInfo with same ExecutorID '%s'", x.ExecutorID.Value)
	}
	return nil
}

// validExecutorType checks what each type of executor has to have, and not to have.
func validExecutorType(x *mesos.ExecutorInfo) error {
	switch x.Type {
	case mesos.ExecutorInfo_CUSTOM:
		if x.Command == nil {
			return fmt.Errorf("'ExecutorInfo.command' must be set for 'CUSTOM' executor")
		}
	case mesos.ExecutorInfo_DEFAULT:
		switch {
		case x.Command != nil:
			return fmt.Errorf("'ExecutorInfo.command' must not be set for 'DEFAULT' executor")
		case x.Container == nil:
		case x.Container.GetType() != mesos.ContainerInfo_MESOS:
			return fmt.Errorf("'ExecutorInfo.container.type' must be 'MESOS' for 'DEFAULT' executor")
		case x.Container.GetMesos().GetImage() != nil:
			return fmt.Errorf("'ExecutorInfo.container.mesos.image' must not be set for 'DEFAULT' executor")
		}
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

// validExecutorAmounts checks that an executor has what it needs to live.
func validExecutorAmounts(x *mesos.ExecutorInfo) error {
	id, r := x.ExecutorID.Value, parsed(x.Resources...)
	amount := func(name string) string {
		if r.Named(name).IsZero() {
			return "None"
		}
		return r.Scalar(name).String()
	}
	if r.Scalar("cpus").Float() < minExecutorCPUs {
		return fmt.Errorf("Executor '%s' uses less CPUs (%s) than the minimum required (%g)", id, amount("cpus"), minExecutorCPUs)
	}
	if r.Scalar("mem").Float() < minExecutorMem {
		return fmt.Errorf("Executor '%s' uses less memory (%sMB) than the minimum required (%gMB)", id, amount("mem"), minExecutorMem)
	}
	if r.Scalar("disk") == 0 {
		return fmt.Errorf("Executor '%s' uses no disk", id)
	}
	return nil
}
