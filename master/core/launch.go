package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// launch runs a LAUNCH operation: each task stands for itself.
func (s *State) launch(b *bargain, op *mesos.Offer_Operation) {
	f, tasks := b.framework, op.Launch.TaskInfos
	common := wellFormed(tasks, nil)
	if common == nil && op.ID != nil {
		common = fmt.Errorf("The `id` field cannot be set on LAUNCH operations") //nolint:staticcheck // Mesos's text
	}
	for i := range tasks {
		t := &tasks[i]
		err, reason := common, mesos.REASON_TASK_INVALID
		if err == nil {
			if err = s.mayRun(f, t); err != nil {
				reason = mesos.REASON_TASK_UNAUTHORIZED
			}
		}
		if err == nil {
			err = s.launchTask(b, t)
		}
		if err != nil {
			s.refuseTask(f, t, mesos.TASK_ERROR, reason, err.Error())
		}
	}
}

// launchTask checks one task and orders its agent to run it.
func (s *State) launchTask(b *bargain, t *mesos.TaskInfo) error {
	f, a := b.framework, b.agent
	t.Resources = normal(t.Resources, b.role)
	if t.Executor != nil {
		t.Executor.Resources = normal(t.Executor.Resources, b.role)
		if t.Executor.FrameworkID == nil {
			t.Executor.FrameworkID = f.info.ID
		}
	}
	t.HealthCheck = typed(t.HealthCheck)
	if err := s.validTask(b, t); err != nil {
		return err
	}
	launchExecutor := true
	var used offers.Resources
	if x := t.Executor; x != nil {
		if launchExecutor = a.executors[f.id][x.ExecutorID.Value] == nil; launchExecutor {
			entered := s.enterExecutor(a, f, *x)
			entered.ordered = true
			used = entered.resources
			s.use(a, f, used)
		}
	}
	used = used.Plus(s.start(b, t, executorIDOf(t)))
	s.consume(b, used)
	pid := f.pid()
	m := &messages.RunTaskMessage{
		FrameworkID: f.info.ID, Framework: f.info, Task: *t, PID: &pid, LaunchExecutor: &launchExecutor, ResourceVersionUUIDs: a.resourceVersions(),
	}
	m.Task.Resources = a.readable(t.Resources)
	if t.Executor != nil {
		x := *t.Executor
		x.Resources = a.readable(x.Resources)
		m.Task.Executor = &x
	}
	s.sendAgent(a, m)
	return nil
}

// start enters a task that is about to be sent to its agent, and returns what it uses.
func (s *State) start(b *bargain, t *mesos.TaskInfo, executor *mesos.ExecutorID) offers.Resources {
	f, a := b.framework, b.agent
	entered := s.enterTask(a, f, taskMessage(f, t, executor))
	entered.booked = true
	s.use(a, f, entered.resources)
	b.launched = true
	s.announceTask(&master.Event{Type: master.Event_TASK_ADDED, TaskAdded: &master.Event_TaskAdded{Task: *entered.info}}, entered)
	return entered.resources
}

// available is what a task may use: what is left, and of each shared volume a copy
// even when others use those that were offered.
func (b *bargain) available() offers.Resources {
	if b.shared.IsZero() {
		return b.left
	}
	return b.left.Exclusive().Plus(b.shared)
}

// launchGroup runs a LAUNCH_GROUP operation: all of its tasks or none (reference row TG-03).
func (s *State) launchGroup(b *bargain, op *mesos.Offer_Operation) {
	f, a := b.framework, b.agent
	x, tasks := &op.LaunchGroup.Executor, op.LaunchGroup.TaskGroup.Tasks
	if len(tasks) == 0 { // an agent would ignore it, and its executor's resources would stay charged
		s.note("task group without tasks ignored", "framework_id", f.id, "executor_id", x.ExecutorID.Value)
		return
	}
	needed, reason, err := s.admitGroup(b, op)
	if err != nil {
		for i := range tasks {
			s.refuseTask(f, &tasks[i], mesos.TASK_ERROR, reason, err.Error())
		}
		return
	}
	launchExecutor := a.executors[f.id][x.ExecutorID.Value] == nil
	if launchExecutor {
		entered := s.enterExecutor(a, f, *x)
		entered.ordered = true
		s.use(a, f, entered.resources)
	}
	s.consume(b, needed)
	sent := *x
	sent.Resources = a.readable(x.Resources)
	for i := range tasks {
		t := &tasks[i]
		t.Executor = x
		s.start(b, t, &x.ExecutorID)
		t.Executor, t.Resources = &sent, a.readable(t.Resources)
	}
	s.sendAgent(a, &messages.RunTaskGroupMessage{
		Framework: f.info, Executor: sent, TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}, LaunchExecutor: &launchExecutor, ResourceVersionUUIDs: a.resourceVersions(),
	})
}

// admitGroup checks a group in the order in which Mesos does, and returns what it needs of the offers.
func (s *State) admitGroup(b *bargain, op *mesos.Offer_Operation) (needed offers.Resources, reason mesos.TaskStatus_Reason, err error) {
	reason = mesos.REASON_TASK_GROUP_INVALID
	x, tasks := &op.LaunchGroup.Executor, op.LaunchGroup.TaskGroup.Tasks
	if err = wellFormed(tasks, x); err != nil {
		return needed, reason, err
	}
	if op.ID != nil {
		return needed, reason, fmt.Errorf("The `id` field cannot be set on LAUNCH_GROUP operations") //nolint:staticcheck // Mesos's text
	}
	if err = s.mayRunAll(b.framework, tasks); err != nil {
		return needed, mesos.REASON_TASK_GROUP_UNAUTHORIZED, err
	}
	x.Resources = normal(x.Resources, b.role)
	for i := range tasks {
		t := &tasks[i]
		t.Resources = normal(t.Resources, b.role)
		if t.Executor != nil {
			own := *t.Executor
			own.Resources = normal(own.Resources, b.role)
			t.Executor = &own
		}
	}
	needed, err = s.validGroup(b, x, tasks)
	return needed, reason, err
}

// normal brings resources into the present format of reservations, and marks those
// that carry no allocation as allocated to the offers' role (reference row ACC-08).
// It changes a copy.
func normal(list []mesos.Resource, role string) []mesos.Resource {
	out := make([]mesos.Resource, len(list))
	copy(out, list)
	for i := range out {
		operations.Upgrade(&out[i])
		if out[i].AllocationInfo == nil {
			out[i].AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
		}
	}
	return out
}

// readable writes resources in the format that an agent understands.
func (a *agent) readable(list []mesos.Resource) []mesos.Resource {
	if a.can(mesos.AgentInfo_Capability_RESERVATION_REFINEMENT) {
		return list
	}
	return parsed(list...).MesosOld()
}

// typed gives a health check the type that old schedulers leave out.
func typed(h *mesos.HealthCheck) *mesos.HealthCheck {
	if h == nil || h.Type != mesos.HealthCheck_UNKNOWN {
		return h
	}
	whole := *h
	switch {
	case h.Command != nil && h.HTTP == nil:
		whole.Type = mesos.HealthCheck_COMMAND
	case h.HTTP != nil && h.Command == nil:
		whole.Type = mesos.HealthCheck_HTTP
	}
	return &whole
}

// resourceVersions says which version of the agent's resources an order was made for.
func (a *agent) resourceVersions() []messages.ResourceVersionUUID {
	if a.resourceVersion == nil {
		return nil
	}
	return []messages.ResourceVersionUUID{{UUID: *a.resourceVersion}}
}

func executorIDOf(t *mesos.TaskInfo) *mesos.ExecutorID {
	if t.Executor == nil {
		return nil
	}
	return &t.Executor.ExecutorID
}

// taskMessage is the record of a task as operators and agents see it.
func taskMessage(f *framework, t *mesos.TaskInfo, executor *mesos.ExecutorID) *mesos.Task {
	state := mesos.TASK_STAGING
	m := &mesos.Task{
		Name: t.Name, TaskID: t.TaskID, FrameworkID: *f.info.ID, ExecutorID: executor, AgentID: t.AgentID,
		State: &state, Resources: t.Resources, Labels: t.Labels, Discovery: t.Discovery, Container: t.Container,
		HealthCheck: t.HealthCheck, KillPolicy: t.KillPolicy,
	}
	for _, c := range []*mesos.CommandInfo{t.Command, t.GetExecutor().GetCommand()} {
		if m.User == nil && c != nil {
			m.User = c.User
		}
	}
	return m
}
