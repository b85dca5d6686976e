package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// This file is the checks of LAUNCH_GROUP (reference rows TG-01 to TG-03). The texts
// are Mesos's own.

// validGroup checks a group, whose resources are allocated to the offers' role, and
// returns what it needs of the offers. The order of the checks is Mesos's.
func (s *State) validGroup(b *bargain, x *mesos.ExecutorInfo, tasks []mesos.TaskInfo) (offers.Resources, error) {
	f := b.framework
	var needed offers.Resources
	seen := map[string]bool{}
	for i := range tasks {
		t := &tasks[i]
		id := t.TaskID.Value
		if err := s.validGroupTask(b, t); err != nil {
			return needed, fmt.Errorf("Task '%s' is invalid: %w", id, err)
		}
		if seen[id] {
			return needed, fmt.Errorf("Task '%s' is invalid: Task has duplicate ID: %s", id, id)
		}
		seen[id] = true
	}
	if err := s.validGroupExecutor(b, x); err != nil {
		return needed, err
	}
	for i := range tasks {
		if own := tasks[i].Executor; own != nil && !s.sameExecutor(f, own, x) {
			return needed, fmt.Errorf("The `ExecutorInfo` of task '%s' is different from executor '%s'", tasks[i].TaskID.Value, x.ExecutorID.Value)
		}
	}
	if err := validExecutorAmounts(x); err != nil {
		return needed, err
	}
	own := s.allocated(f, x.Resources)
	bundles, lists := []offers.Resources{own}, [][]mesos.Resource{x.Resources}
	for i := range tasks {
		r := s.allocated(f, tasks[i].Resources)
		bundles, lists = append(bundles, r), append(lists, tasks[i].Resources)
		needed = needed.Plus(r)
	}
	if err := validTogether("Task group and executor", lists...); err != nil {
		return needed, err
	}
	if overlap(bundles...) {
		return needed, fmt.Errorf("There are overlapping resources in the task group's task resources %s and/or executor resources %s", needed, own)
	}
	if b.agent.executors[f.id][x.ExecutorID.Value] == nil {
		needed = needed.Plus(own)
	}
	if !b.left.Contains(needed) {
		return needed, fmt.Errorf("Total resources %s required by task group and its executor are more than available %s", needed, b.left)
	}
	return needed, b.validSharing(x, tasks)
}

// validGroupTask checks a task of a group (reference row TG-02).
func (s *State) validGroupTask(b *bargain, t *mesos.TaskInfo) error {
	if err := s.validCommonTask(b, t); err != nil {
		return err
	}
	if h := t.HealthCheck; h != nil && (h.Type == mesos.HealthCheck_HTTP || h.Type == mesos.HealthCheck_TCP) && len(t.GetContainer().GetNetworkInfos()) > 0 {
		return fmt.Errorf("HTTP and TCP health checks are not supported for nested containers not joining parent's network")
	}
	if t.Container != nil && t.Container.GetType() == mesos.ContainerInfo_DOCKER {
		return fmt.Errorf("Docker ContainerInfo is not supported on the task")
	}
	if share := sharesCgroups(t.Container); len(t.Limits) > 0 && (share == nil || *share) {
		return fmt.Errorf("Resource limits may only be set for tasks within a task group when the 'share_cgroups' field is set to 'false'.")
	}
	return nil
}

// validGroupExecutor checks the executor of a group but for its amounts (reference row TG-01).
func (s *State) validGroupExecutor(b *bargain, x *mesos.ExecutorInfo) error {
	if err := s.validCommonExecutor(b, x); err != nil {
		return err
	}
	switch x.Type {
	case mesos.ExecutorInfo_DEFAULT, mesos.ExecutorInfo_CUSTOM:
	case mesos.ExecutorInfo_UNKNOWN: // unset
		return fmt.Errorf("'ExecutorInfo.type' must be set")
	default:
		return fmt.Errorf("Unknown executor type")
	}
	if x.Container != nil && x.Container.GetType() == mesos.ContainerInfo_DOCKER {
		return fmt.Errorf("Docker ContainerInfo is not supported on the executor")
	}
	return nil
}

// validSharing checks that all tasks below an executor agree on whether they share
// its cgroups (reference row TV-13).
func (b *bargain) validSharing(x *mesos.ExecutorInfo, tasks []mesos.TaskInfo) error {
	if share := sharesCgroups(x.Container); share != nil && *share {
		return fmt.Errorf("The 'share_cgroups' field cannot be set to 'true' on executor containers")
	}
	shares := func(c *mesos.ContainerInfo) bool {
		share := sharesCgroups(c)
		return share == nil || *share
	}
	same := func(c *mesos.ContainerInfo) bool { return len(tasks) == 0 || shares(c) == shares(tasks[0].Container) }
	below := func(t *mesos.Task) bool {
		return t.AgentID.Value == b.agent.id && t.ExecutorID != nil && t.ExecutorID.Value == x.ExecutorID.Value
	}
	agree := true
	for i := range tasks {
		agree = agree && same(tasks[i].Container)
	}
	if b.agent.executors[b.framework.id][x.ExecutorID.Value] != nil {
		for key, t := range b.agent.tasks {
			agree = agree && (key.framework != b.framework.id || !below(t.info) || same(t.info.Container))
		}
		for _, t := range b.framework.unreachable.all() {
			agree = agree && (!below(t) || same(t.Container))
		}
	}
	if !agree {
		return fmt.Errorf("If set, the value of 'share_cgroups' must be the same for all tasks in each task group and under a single executor")
	}
	return nil
}
