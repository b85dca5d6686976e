package core

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// order is a RunTask or RunTaskGroup in one shape.
type order struct {
	framework mesos.FrameworkInfo
	pid       string
	executor  mesos.ExecutorInfo
	generated bool
	tasks     []mesos.TaskInfo
	group     bool
	versions  []messages.ResourceVersionUUID
	mayStart  bool // launch_executor, reference row LCH-03
}

func (s *State) runTask(m *messages.RunTaskMessage) {
	o := order{
		framework: m.Framework, tasks: []mesos.TaskInfo{m.Task}, versions: m.ResourceVersionUUIDs,
		mayStart: m.LaunchExecutor == nil || *m.LaunchExecutor,
	}
	if m.PID != nil {
		o.pid = *m.PID
	}
	if o.framework.ID == nil {
		o.framework.ID = m.FrameworkID
	}
	if m.Task.Executor != nil {
		o.executor = *m.Task.Executor
	} else {
		o.executor, o.generated = s.commandExecutor(&m.Task), true
	}
	s.launch(o)
}

func (s *State) runTaskGroup(m *messages.RunTaskGroupMessage) {
	s.launch(order{
		framework: m.Framework, executor: m.Executor, tasks: m.TaskGroup.Tasks, group: true, versions: m.ResourceVersionUUIDs,
		mayStart: m.LaunchExecutor == nil || *m.LaunchExecutor,
	})
}

// launch takes an order in: it queues the tasks for their executor, which it starts
// when it isn't there, or tells the scheduler why not. All or nothing (row TG-03).
func (s *State) launch(o order) {
	if o.framework.ID == nil || len(o.tasks) == 0 {
		s.log(Warn, "order without framework or tasks, ignored")
		return
	}
	o.executor.FrameworkID = o.framework.ID
	if text := badIDs(&o); text != "" {
		s.log(Warn, "order with an id that can't be a directory, ignored", "reason", text)
		return
	}
	if to := o.tasks[0].AgentID.Value; s.info.ID == nil || to != s.agentID() {
		s.log(Warn, "order for another agent, which had this address before, ignored", "framework_id", o.framework.ID.Value, "to", to)
		return
	}
	if s.repeated(&o) {
		s.log(Info, "order for tasks that are here, ignored", "framework_id", o.framework.ID.Value, "executor_id", o.executor.ExecutorID.Value)
		return
	}
	text := unsupported(&o)
	if text == "" {
		text = s.unmountable(&o)
	}
	if text != "" {
		s.refuse(o, mesos.TASK_FAILED, mesos.REASON_CONTAINER_LAUNCH_FAILED, "Failed to launch container: "+text)
		return
	}
	f := s.frameworks[o.framework.ID.Value]
	aware := (&framework{info: o.framework}).has(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
	switch e := s.executorOf(f, o.executor.ExecutorID.Value); {
	case s.phase == terminating || f != nil && f.terminating:
		s.refuse(o, lost(aware), mesos.REASON_FRAMEWORK_REMOVED, "Framework is being removed from the agent")
	case s.draining != nil:
		s.refuse(o, lost(aware), mesos.REASON_AGENT_DRAINING, "Task was received while agent was already draining")
	case !s.currentVersion(o.versions):
		s.refuse(o, lost(aware), mesos.REASON_INVALID_OFFERS, "The agent's resources have changed since the offer")
	case s.unknownResources(&o):
		s.refuse(o, lost(aware), mesos.REASON_RESOURCES_UNKNOWN, "The checkpointed resources being used by the task or task group are unknown to the agent")
	case e == nil && !o.mayStart:
		s.refuse(o, lost(aware), mesos.REASON_EXECUTOR_TERMINATED, "No executor is expected to launch and there is no executor running")
	case e != nil && o.generated:
		s.refuse(o, lost(aware), mesos.REASON_TASK_INVALID, "Cannot reuse an already existing executor for a command task")
	case e != nil && e.state >= executorTerminating:
		s.refuse(o, lost(aware), mesos.REASON_EXECUTOR_TERMINATED, "Executor is terminating or terminated")
	case e != nil && e.duplicate(o.tasks) != "":
		s.refuse(o, lost(aware), mesos.REASON_TASK_INVALID, "Task id "+e.duplicate(o.tasks)+" is in use on this agent")
	case e != nil && len(e.queue)+len(o.tasks) > maxQueuedTasks:
		s.refuse(o, lost(aware), mesos.REASON_EXECUTOR_TERMINATED, "Too many tasks wait for the executor")
	default:
		s.accept(f, e, o)
	}
}

// repeated says whether an order came before: the transport may deliver a message
// twice. To refuse its second coming would tell the scheduler that its tasks will
// not run, while they do. What was taken in or refused is known here until the
// scheduler has acknowledged its end, and that comes after the repetition.
func (s *State) repeated(o *order) bool {
	for i := range o.tasks {
		f, id := o.framework.ID.Value, o.tasks[i].TaskID.Value
		if s.streams[taskKey{f, id}] == nil && s.findTask(f, id) == nil {
			return false
		}
	}
	return true
}

func (s *State) executorOf(f *framework, id string) *executor {
	if f == nil {
		return nil
	}
	return f.executors[id]
}

// currentVersion compares the version the master had in mind with ours; row LCH-01.
func (s *State) currentVersion(versions []messages.ResourceVersionUUID) bool {
	for _, v := range versions {
		if v.ResourceProviderID == nil && string(v.UUID.Value) != string(s.resourceVersion) {
			return false
		}
	}
	return true
}

func (e *executor) duplicate(tasks []mesos.TaskInfo) string {
	for i := range tasks {
		if e.tasks[tasks[i].TaskID.Value] != nil {
			return tasks[i].TaskID.Value
		}
	}
	return ""
}

// refuse tells the scheduler that none of the order's tasks will run, and the master
// that the executor which it has entered for them has not come to be.
func (s *State) refuse(o order, state mesos.TaskState, reason mesos.TaskStatus_Reason, message string) {
	s.log(Warn, "tasks refused", "framework_id", o.framework.ID.Value, "executor_id", o.executor.ExecutorID.Value, "reason", message)
	for i := range o.tasks {
		id := o.executor.ExecutorID
		s.loose(o.framework.ID.Value, o.tasks[i].TaskID.Value, &id, state, reason, message)
	}
	e := s.executorOf(s.frameworks[o.framework.ID.Value], o.executor.ExecutorID.Value)
	if !o.generated && (e == nil || o.mayStart && e.state >= executorTerminating) {
		// The master counts with an executor that was to start with these tasks, or that it believes to be here.
		s.do(Send{To: s.master, Message: &messages.ExitedExecutorMessage{
			AgentID: *s.info.ID, FrameworkID: *o.framework.ID, ExecutorID: o.executor.ExecutorID, Status: int32(waitStatus(nil)),
		}})
	}
}

// accept queues the tasks.
func (s *State) accept(f *framework, e *executor, o order) {
	if f == nil {
		f = &framework{info: o.framework, pid: o.pid, executors: map[string]*executor{}, done: s.revive(o.framework.ID.Value)}
		s.frameworks[f.id()] = f
		if f.checkpoint() {
			s.do(SaveFramework{Info: f.info, PID: f.pid})
		}
	}
	f.view = nil
	start := e == nil
	if start {
		e = s.newExecutor(f, o.executor, o.generated)
	}
	d := delivery{group: o.group}
	for i := range o.tasks {
		t := &task{info: o.tasks[i], executor: e, state: mesos.TASK_STAGING}
		e.tasks[t.id()] = t
		e.order = append(e.order, t.id())
		d.tasks = append(d.tasks, t)
		if f.checkpoint() {
			s.do(SaveTask{Run: e.run(), Task: newTask(t), Limits: t.info.Limits})
		}
	}
	if start {
		s.startExecutor(e, d)
	} else if e.state == executorRunning && e.conn != 0 {
		s.resize(e)
		s.deliver(e, d)
		return
	}
	e.queue = append(e.queue, d)
}

// revive takes back what is remembered of a framework that had nothing here for a while.
func (s *State) revive(id string) []*ExecutorView {
	for i, v := range s.completed {
		if v.Info.ID.GetValue() == id {
			s.completed = slices.Delete(s.completed, i, i+1)
			return slices.Clone(v.Completed)
		}
	}
	return nil
}

func (s *State) newExecutor(f *framework, info mesos.ExecutorInfo, generated bool) *executor {
	e := &executor{framework: f, info: info, generated: generated, container: s.newContainerID(), tasks: map[string]*task{}}
	e.directory = filepath.Join(s.cfg.WorkDir, "slaves", s.agentID(), "frameworks", f.id(), "executors", e.id(), "runs", e.container)
	f.executors[e.id()] = e
	s.containers[e.container] = e
	if f.checkpoint() {
		s.do(SaveExecutor{Framework: f.id(), Info: info, Generated: generated, Container: e.container})
	}
	return e
}

// startExecutor asks for the container. The time to subscribe runs from here, so it
// includes fetching; reference row EXE-07.
func (s *State) startExecutor(e *executor, d delivery) {
	c := StartContainer{
		Container: e.container, Directory: e.directory, Command: e.info.Command, Limits: e.limits(),
		Env: s.environment(e, d), Volumes: s.volumes(e),
	}
	switch {
	case e.generated:
		c.Args = []string{s.cfg.CommandExecutor, "command"}
	case e.info.Type == mesos.ExecutorInfo_DEFAULT:
		c.Args = []string{s.cfg.CommandExecutor, "default"}
	}
	if container := e.containerInfo(d); container != nil {
		c.Rlimits = container.RlimitInfo
	}
	if s.cfg.SwitchUser {
		c.User = e.info.Command.GetUser()
		if c.User == "" {
			c.User = e.framework.info.User
		}
	}
	s.do(c)
	s.after(s.cfg.RegisterTimeout, timer{kind: timerSubscribe, id: e.container})
}

// containerInfo is the ContainerInfo that applies to the executor's container.
func (e *executor) containerInfo(d delivery) *mesos.ContainerInfo {
	if e.generated {
		return d.tasks[0].info.Container
	}
	return e.info.Container
}

// deliver hands tasks to a subscribed executor.
func (s *State) deliver(e *executor, d delivery) {
	for _, t := range d.tasks {
		t.delivered = true
	}
	e.gotTask = true
	if d.group {
		g := mesos.TaskGroupInfo{}
		for _, t := range d.tasks {
			g.Tasks = append(g.Tasks, t.info)
		}
		s.do(Tell{Conn: e.conn, Event: &api.Event{Type: api.Event_LAUNCH_GROUP, LaunchGroup: &api.Event_LaunchGroup{TaskGroup: g}}})
		return
	}
	for _, t := range d.tasks {
		s.do(Tell{Conn: e.conn, Event: &api.Event{Type: api.Event_LAUNCH, Launch: &api.Event_Launch{Task: t.info}}})
	}
}

// resize fits the container to what its live tasks need.
func (s *State) resize(e *executor) {
	s.do(UpdateContainer{Container: e.container, Directory: e.directory, Limits: e.limits(), Volumes: s.volumes(e)})
}

func (s *State) containerStarted(e ContainerStarted) {
	if x := s.containers[e.Container]; x != nil {
		x.pid = e.PID
		x.touch()
	}
}

// containerFailed ends an executor that never began.
func (s *State) containerFailed(ev ContainerFailed) {
	e := s.containers[ev.Container]
	if e == nil {
		return
	}
	s.counters.LaunchErrors++
	c := cause{mesos.TASK_FAILED, mesos.REASON_CONTAINER_LAUNCH_FAILED, "Failed to launch container: " + ev.Message}
	if ev.NoSandbox {
		aware := e.framework.has(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
		c = cause{lost(aware), mesos.REASON_EXECUTOR_TERMINATED, ev.Message}
	}
	if e.why == nil {
		e.why = &c
	}
	s.log(Warn, "executor could not be started", "framework_id", e.framework.id(), "executor_id", e.id(), "container_id", e.container, "reason", ev.Message)
	s.executorGone(e, nil)
}

func (t *task) id() string { return t.info.TaskID.Value }

func (t *task) key() taskKey { return taskKey{t.executor.framework.id(), t.id()} }

// newTask is the record of a task as it travels to the master and to disk.
func newTask(t *task) mesos.Task {
	state := t.state
	m := mesos.Task{
		Name: t.info.Name, TaskID: t.info.TaskID, FrameworkID: *t.executor.framework.info.ID, AgentID: t.info.AgentID,
		State: &state, Resources: t.info.Resources, Statuses: t.statuses, Labels: t.info.Labels, Discovery: t.info.Discovery,
		Container: t.info.Container, HealthCheck: t.info.HealthCheck, KillPolicy: t.info.KillPolicy,
	}
	if !t.executor.generated {
		id := t.executor.info.ExecutorID
		m.ExecutorID = &id
	}
	for _, c := range []*mesos.CommandInfo{t.info.Command, t.executor.info.Command} {
		if user := c.GetUser(); user != "" {
			m.User = &user
			break
		}
	}
	return m
}

// badIDs names an id that must not become part of a path (row TV-01). The master
// refuses them already; this agent doesn't depend on that.
func badIDs(o *order) string {
	ids := []string{o.framework.ID.Value, o.executor.ExecutorID.Value}
	for i := range o.tasks {
		ids = append(ids, o.tasks[i].TaskID.Value)
	}
	for _, id := range ids {
		bad := func(r rune) bool { return r < 0x20 || r == 0x7f || r == '/' || r == '\\' }
		if id == "" || id == "." || id == ".." || len(id) > 255 || strings.ContainsFunc(id, bad) {
			return fmt.Sprintf("id %q", id)
		}
	}
	return ""
}

// unsupported names what an order asks for that this agent can't do; "" when it can.
func unsupported(o *order) string {
	if o.executor.Command == nil && o.executor.Type != mesos.ExecutorInfo_DEFAULT {
		return fmt.Sprintf("executor %q has no command", o.executor.ExecutorID.Value)
	}
	if text := UnsupportedContainer(o.executor.Container); text != "" {
		return text
	}
	commands := []*mesos.CommandInfo{o.executor.Command}
	for i := range o.tasks {
		t := &o.tasks[i]
		if text := UnsupportedContainer(t.Container); text != "" {
			return text
		}
		commands = append(commands, t.Command)
	}
	for _, c := range commands {
		if c == nil || c.Environment == nil {
			continue
		}
		for _, v := range c.Environment.Variables {
			if v.GetType() == mesos.Environment_Variable_SECRET {
				return fmt.Sprintf("environment variable %s is a secret, which this agent can't resolve yet", v.Name)
			}
		}
	}
	return ""
}

// UnsupportedContainer names what a container asks for that this agent can't do; "" when it can.
func UnsupportedContainer(c *mesos.ContainerInfo) string {
	switch {
	case c == nil:
		return ""
	case c.Type != nil && *c.Type == mesos.ContainerInfo_DOCKER:
		return "containers of type DOCKER are not supported by this agent yet"
	case c.Mesos != nil && c.Mesos.Image != nil:
		return "container images are not supported by this agent yet"
	case len(c.Volumes) > 0:
		return "volumes are not supported by this agent yet"
	case c.LinuxInfo != nil:
		return "linux_info (capabilities, seccomp, shared pid and ipc namespaces) is not supported by this agent yet"
	case c.TTYInfo != nil:
		return "tty_info is not supported by this agent yet"
	}
	for _, n := range c.NetworkInfos {
		if n.GetName() != "" {
			return fmt.Sprintf("network %q: CNI networks are not supported by this agent yet", n.GetName())
		}
	}
	return ""
}
