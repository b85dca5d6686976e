package core

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// bargain is an ACCEPT under way: what is left of the offers it names.
type bargain struct {
	framework *framework
	agent     *agent
	role      string
	offered   offers.Resources
	left      offers.Resources
	shared    offers.Resources // shared volumes, which every task may use
	resized   offers.Resources // made by GROW_VOLUME and SHRINK_VOLUME: not to be used any more
	launched  bool
}

// accept answers ACCEPT: its operations run one after the other against what is
// left of the offers (reference rows ACC-01 to ACC-05).
func (s *State) accept(f *framework, c *scheduler.Call_Accept) {
	listed, err := s.validOffers(f, c.OfferIDs)
	if err != nil {
		s.acceptInvalid(f, c, err)
		return
	}
	b := &bargain{framework: f, agent: listed[0].agent, role: listed[0].role}
	for _, o := range listed {
		s.takeOffer(o)
		b.offered = b.offered.Plus(o.resources)
		f.counts.OffersAccepted++
	}
	b.left, b.shared = b.offered, b.offered.Shared()
	for _, op := range s.admitOperations(b, c.Operations) {
		switch op.Type {
		case mesos.Offer_Operation_LAUNCH:
			f.counts.Operations[op.Type.String()]++
			s.launch(b, op)
		case mesos.Offer_Operation_LAUNCH_GROUP:
			f.counts.Operations[op.Type.String()]++
			s.launchGroup(b, op)
		default:
			s.operate(b, op)
		}
	}
	s.settle(b, c.Filters)
}

// validOffers returns the offers an ACCEPT names, or why they cannot be used (reference row ACC-01).
func (s *State) validOffers(f *framework, ids []mesos.OfferID) ([]*offer, error) {
	if len(ids) == 0 {
		return nil, fmt.Errorf("No offers specified") //nolint:staticcheck // the texts here are Mesos's own
	}
	seen := map[string]bool{}
	var list []*offer
	for _, id := range ids {
		o := s.offers[id.Value]
		switch {
		case seen[id.Value]:
			return nil, fmt.Errorf("Duplicate offer %s in offer list", id.Value)
		case o == nil:
			return nil, fmt.Errorf("Offer %s is no longer valid", id.Value)
		case o.framework != f:
			return nil, fmt.Errorf("Offer %s has invalid framework %s while framework %s is expected", id.Value, o.framework.id, f.id)
		case len(list) > 0 && o.role != list[0].role:
			return nil, fmt.Errorf("Aggregated offers must be allocated to the same role. Offer %s uses role %s but another is using role %s", id.Value, o.role, list[0].role)
		case len(list) > 0 && o.agent != list[0].agent:
			return nil, fmt.Errorf("Aggregated offers must belong to one single agent. Offer %s uses agent %s and agent %s", id.Value, o.agent.id, list[0].agent.id)
		}
		seen[id.Value] = true
		list = append(list, o)
	}
	return list, nil
}

// acceptInvalid answers an ACCEPT whose offers cannot be used: those that live are
// lost, whoever holds them, and nothing is launched.
func (s *State) acceptInvalid(f *framework, c *scheduler.Call_Accept, reason error) {
	for _, id := range c.OfferIDs {
		if o := s.offers[id.Value]; o != nil {
			s.dropOffer(o)
		}
	}
	state := mesos.TASK_LOST
	if f.partitionAware() {
		state = mesos.TASK_DROPPED
	}
	for i := range c.Operations {
		op := &c.Operations[i]
		tasks := tasksOf(op)
		for j := range tasks {
			s.refuseTask(f, &tasks[j], state, mesos.REASON_INVALID_OFFERS, "Task launched with invalid offers: "+reason.Error())
		}
		if !isLaunch(op) {
			s.dropOperation(f, op, "Operation attempted with invalid offers: "+reason.Error())
		}
	}
}

func isLaunch(op *mesos.Offer_Operation) bool {
	return op.Type == mesos.Offer_Operation_LAUNCH || op.Type == mesos.Offer_Operation_LAUNCH_GROUP
}

func tasksOf(op *mesos.Offer_Operation) []mesos.TaskInfo {
	switch op.Type {
	case mesos.Offer_Operation_LAUNCH:
		return op.Launch.TaskInfos
	case mesos.Offer_Operation_LAUNCH_GROUP:
		return op.LaunchGroup.TaskGroup.Tasks
	default:
		return nil
	}
}

// refuseTask tells a framework that a task was not launched.
func (s *State) refuseTask(f *framework, t *mesos.TaskInfo, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	status := s.masterStatus(t.TaskID.Value, &t.AgentID.Value, state, reason, message)
	s.counts.taskEnded(f, status, state)
	s.forward(f, status)
}

// dropOperation tells a framework, if it gave the operation an id, that it was not done.
func (s *State) dropOperation(f *framework, op *mesos.Offer_Operation, message string) {
	s.note("operation dropped", "framework_id", f.id, "operation", op.Type.String(), "reason", message)
	s.counts.operationState(op.Type, mesos.OPERATION_ERROR, 1)
	if op.ID != nil {
		s.forwardOperation(f, &mesos.OperationStatus{OperationID: op.ID, State: mesos.OPERATION_ERROR, Message: &message})
	}
}

// launch runs a LAUNCH operation: each task stands for itself.
func (s *State) launch(b *bargain, op *mesos.Offer_Operation) {
	f, tasks := b.framework, op.Launch.TaskInfos
	common := wellFormed(tasks, nil)
	if op.ID != nil {
		common = fmt.Errorf("The `id` field cannot be set on LAUNCH operations") //nolint:staticcheck // Mesos's text
	}
	for i := range tasks {
		t := &tasks[i]
		if err := s.mayRun(f, t); err != nil {
			s.refuseTask(f, t, mesos.TASK_ERROR, mesos.REASON_TASK_UNAUTHORIZED, err.Error())
			continue
		}
		err := common
		if err == nil {
			err = s.launchTask(b, t)
		}
		if err != nil {
			s.refuseTask(f, t, mesos.TASK_ERROR, mesos.REASON_TASK_INVALID, err.Error())
		}
	}
}

// launchTask checks one task and orders its agent to run it.
func (s *State) launchTask(b *bargain, t *mesos.TaskInfo) error {
	f, a := b.framework, b.agent
	t.Resources = inRole(t.Resources, b.role)
	if t.Executor != nil {
		t.Executor.Resources = inRole(t.Executor.Resources, b.role)
	}
	if err := s.validTask(b, t); err != nil {
		return err
	}
	launchExecutor := true
	needed := s.allocated(f, t.Resources)
	if t.Executor != nil {
		if t.Executor.FrameworkID == nil {
			t.Executor.FrameworkID = f.info.ID
		}
		if err := s.validExecutor(b, t.Executor); err != nil {
			return err
		}
		launchExecutor = a.executors[f.id][t.Executor.ExecutorID.Value] == nil
		if launchExecutor {
			needed = needed.Plus(s.allocated(f, t.Executor.Resources))
		}
	}
	if available := b.left.Exclusive().Plus(b.shared); !available.Contains(needed) {
		return fmt.Errorf("Total resources %s required by task and its executor is more than available %s", needed, available) //nolint:staticcheck // Mesos's text
	}
	if t.Executor != nil && launchExecutor {
		s.use(a, f, s.enterExecutor(a, f, *t.Executor).resources)
	}
	s.start(b, t, executorIDOf(t))
	s.consume(b, needed)
	pid := f.pid()
	s.sendAgent(a, &messages.RunTaskMessage{
		FrameworkID: f.info.ID, Framework: f.info, Task: *t, PID: &pid, LaunchExecutor: &launchExecutor, ResourceVersionUUIDs: a.resourceVersions(),
	})
	return nil
}

// start enters a task that is about to be sent to its agent.
func (s *State) start(b *bargain, t *mesos.TaskInfo, executor *mesos.ExecutorID) {
	f, a := b.framework, b.agent
	entered := s.enterTask(a, f, taskMessage(f, t, executor))
	entered.booked = true
	s.use(a, f, entered.resources)
	b.launched = true
	t.Resources = entered.info.Resources
	s.announce(&master.Event{Type: master.Event_TASK_ADDED, TaskAdded: &master.Event_TaskAdded{Task: *entered.info}})
}

// launchGroup runs a LAUNCH_GROUP operation: all of its tasks or none (reference row TG-03).
func (s *State) launchGroup(b *bargain, op *mesos.Offer_Operation) {
	f, a := b.framework, b.agent
	x, tasks := &op.LaunchGroup.Executor, op.LaunchGroup.TaskGroup.Tasks
	var needed offers.Resources
	err, reason := s.mayRunAll(f, tasks), mesos.REASON_TASK_GROUP_UNAUTHORIZED
	if err == nil {
		reason = mesos.REASON_TASK_GROUP_INVALID
		needed, err = s.validGroup(b, op)
	}
	if err != nil {
		for i := range tasks {
			s.refuseTask(f, &tasks[i], mesos.TASK_ERROR, reason, err.Error())
		}
		return
	}
	launchExecutor := a.executors[f.id][x.ExecutorID.Value] == nil
	if launchExecutor {
		s.use(a, f, s.enterExecutor(a, f, *x).resources)
	}
	for i := range tasks {
		tasks[i].Executor = x
		s.start(b, &tasks[i], &x.ExecutorID)
		tasks[i].Executor = nil
	}
	b.left = s.minus(b.left, needed)
	s.sendAgent(a, &messages.RunTaskGroupMessage{
		Framework: f.info, Executor: *x, TaskGroup: mesos.TaskGroupInfo{Tasks: tasks}, LaunchExecutor: &launchExecutor, ResourceVersionUUIDs: a.resourceVersions(),
	})
}

// validGroup checks a LAUNCH_GROUP and returns what it needs of the offers.
func (s *State) validGroup(b *bargain, op *mesos.Offer_Operation) (offers.Resources, error) {
	var needed offers.Resources
	f, x, tasks := b.framework, &op.LaunchGroup.Executor, op.LaunchGroup.TaskGroup.Tasks
	if op.ID != nil {
		return needed, fmt.Errorf("The `id` field cannot be set on LAUNCH_GROUP operations") //nolint:staticcheck // Mesos's text
	}
	if err := wellFormed(tasks, x); err != nil {
		return needed, err
	}
	x.Resources = inRole(x.Resources, b.role)
	if x.FrameworkID == nil {
		x.FrameworkID = f.info.ID
	}
	if err := s.validGroupExecutor(b, x); err != nil {
		return needed, err
	}
	if b.agent.executors[f.id][x.ExecutorID.Value] == nil {
		needed = s.allocated(f, x.Resources)
	}
	seen := map[string]bool{}
	for i := range tasks {
		t := &tasks[i]
		t.Resources = inRole(t.Resources, b.role)
		if seen[t.TaskID.Value] {
			return needed, fmt.Errorf("Task '%s' is invalid: Task has duplicate ID: %s", t.TaskID.Value, t.TaskID.Value) //nolint:staticcheck // Mesos's text
		}
		seen[t.TaskID.Value] = true
		if err := s.validGroupTask(b, t, x); err != nil {
			return needed, err
		}
		needed = needed.Plus(s.allocated(f, t.Resources))
	}
	if !b.left.Contains(needed) {
		return needed, fmt.Errorf("Total resources %s required by task group and its executor are more than available %s", needed, b.left) //nolint:staticcheck // Mesos's text
	}
	return needed, nil
}

// inRole marks resources that carry no allocation as allocated to the offers' role
// (reference row ACC-08). It changes a copy.
func inRole(list []mesos.Resource, role string) []mesos.Resource {
	out := make([]mesos.Resource, len(list))
	copy(out, list)
	for i := range out {
		if out[i].AllocationInfo == nil {
			out[i].AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
		}
	}
	return out
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
	command := t.Command
	if command == nil && t.Executor != nil {
		command = t.Executor.Command
	}
	if command != nil && command.User != nil {
		m.User = command.User
	}
	return m
}
