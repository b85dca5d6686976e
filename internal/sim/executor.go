package sim

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"

	agentcore "github.com/tombolo-project/tombolo/agent/core"
)

// executor is an executor in its container: our command executor, which has one
// task, or one of a framework's own, which takes tasks and groups until it has been
// idle for a while.
type executor struct {
	process
	a                    *agent
	container            string
	framework, id        string
	command              bool // made for one command task
	checkpoint, stubborn bool
	killing              bool // the framework can hear of TASK_KILLING
	shuttingDown         bool

	conn    uint64 // 0: not connected
	tasks   []*running
	updates []mesos.TaskStatus // not acknowledged
	idle    int                // counts looks at an empty executor
}

// running is a task in an executor.
type running struct {
	info    mesos.TaskInfo
	state   mesos.TaskState
	unacked bool // no update of it has been acknowledged
	ended   bool
}

func newExecutor(a *agent, c agentcore.StartContainer) *executor {
	env := map[string]string{}
	for _, v := range c.Env {
		env[v.Name] = v.Value
	}
	return &executor{
		process: process{w: a.w, name: "x-" + c.Container[:8]}, a: a, container: c.Container,
		framework: env["MESOS_FRAMEWORK_ID"], id: env["MESOS_EXECUTOR_ID"], command: len(c.Args) > 0,
		checkpoint: env["MESOS_CHECKPOINT"] == "1", stubborn: a.w.chance(10),
	}
}

func (x *executor) run() {
	x.start()
	x.w.note(x.name, "runs", x.framework, x.id, "on", x.a.name)
	x.after(x.w.upTo(200*time.Millisecond), x.connect)
	if !x.command {
		x.after(30*time.Second, x.lookIdle)
	}
}

// die ends the process without a word.
func (x *executor) die(why string) {
	x.w.note(x.name, "dies:", why)
	x.process.die()
	x.w.check.executorDied(x)
}

// exit ends the process; its agent, if there is one, learns of it.
func (x *executor) exit(status *int, why string) {
	if !x.up {
		return
	}
	x.die(why)
	x.a.containerEnded(x.container, status)
}

// connect subscribes with what is not acknowledged.
func (x *executor) connect() {
	if x.conn != 0 {
		return
	}
	a := x.a
	if !a.up {
		x.after(x.w.between(100*time.Millisecond, time.Second), x.connect)
		return
	}
	a.conn++
	conn := a.conn
	x.conn = conn
	e := agentcore.ExecutorSubscribed{Framework: x.framework, Executor: x.id, Conn: conn}
	for _, t := range x.tasks {
		if t.unacked {
			e.Tasks = append(e.Tasks, *clone(&t.info))
		}
	}
	for i := range x.updates {
		e.Updates = append(e.Updates, *clone(&x.updates[i]))
	}
	x.send(func() {
		a.conns[conn] = x
		a.feed(e)
	})
}

// send has something happen at the agent, unless it is another process by then.
func (x *executor) send(f func()) {
	a, life := x.a, x.a.life
	x.w.net.send(x.name, a.name, carriage{}, func() {
		if a.life == life {
			a.take(f)
		}
	})
}

// hungUp is the end of a connection.
func (x *executor) hungUp(conn uint64) {
	x.take(func() {
		if x.conn != conn {
			return
		}
		x.conn = 0
		if !x.checkpoint && !x.a.up {
			status := 1
			x.exit(&status, "its agent died")
			return
		}
		x.after(x.w.between(50*time.Millisecond, time.Second), x.connect)
	})
}

// event takes in what the agent says on a connection.
func (x *executor) event(conn uint64, e *api.Event) {
	x.take(func() {
		if x.conn != conn {
			return
		}
		switch e.Type {
		case api.Event_SUBSCRIBED:
			info := e.Subscribed.FrameworkInfo
			x.killing = capable(&info, mesos.FrameworkInfo_Capability_TASK_KILLING_STATE)
		case api.Event_LAUNCH:
			x.launch(e.Launch.Task)
		case api.Event_LAUNCH_GROUP:
			for _, t := range e.LaunchGroup.TaskGroup.Tasks {
				x.launch(t)
			}
		case api.Event_KILL:
			x.kill(e.Kill.TaskID.Value)
		case api.Event_ACKNOWLEDGED:
			x.acknowledged(e.Acknowledged)
		case api.Event_SHUTDOWN:
			x.shutdown()
		}
	})
}

// answered looks at the agent's answer to an update.
func (x *executor) answered(r agentcore.Answer) {
	x.take(func() {
		if r.Status >= 400 && x.conn != 0 {
			conn := x.conn
			x.breakStream()
			x.hungUp(conn)
		}
	})
}

// breakStream ends the connection on the agent's side.
func (x *executor) breakStream() {
	conn, a := x.conn, x.a
	x.send(func() {
		if a.conns[conn] == x {
			delete(a.conns, conn)
			a.feed(agentcore.ExecutorDisconnected{Conn: conn})
		}
	})
}

func (x *executor) launch(info mesos.TaskInfo) {
	t := &running{info: info, state: mesos.TASK_STAGING, unacked: true}
	x.tasks = append(x.tasks, t)
	x.idle = 0
	x.w.check.taskStarted(x, t)
	if x.shuttingDown {
		return
	}
	d := x.w.upTo(500 * time.Millisecond)
	if x.w.chance(30) {
		x.after(d/2, func() { x.say(t, mesos.TASK_STARTING) })
	}
	x.after(d, func() { x.say(t, mesos.TASK_RUNNING) })
	x.after(d+x.lifetime(), func() {
		end := mesos.TASK_FINISHED
		if x.w.chance(10) {
			end = mesos.TASK_FAILED
		}
		x.say(t, end)
	})
}

// lifetime is how long a task runs by itself.
func (x *executor) lifetime() time.Duration {
	if x.w.calm || x.w.chance(40) {
		return x.w.upTo(10 * time.Second)
	}
	return x.w.upTo(4 * time.Minute)
}

// say reports a state, unless the task has ended or is being killed.
func (x *executor) say(t *running, state mesos.TaskState) {
	if t.ended || t.state == mesos.TASK_KILLING && !ended(state) {
		return
	}
	t.state, t.ended = state, ended(state)
	source, at := mesos.SOURCE_EXECUTOR, float64(x.clock().UnixMicro())/1e6
	uuid := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, x.w.rng.Uint64()), x.w.rng.Uint64())
	status := mesos.TaskStatus{
		TaskID: t.info.TaskID, State: &state, Source: &source, UUID: uuid, Timestamp: &at, ExecutorID: &mesos.ExecutorID{Value: x.id},
	}
	x.updates = append(x.updates, status)
	x.w.note(x.name, "says", t.info.TaskID.Value, state.String())
	x.w.check.said(x, t, uuid)
	if x.conn != 0 {
		x.post(status)
	}
}

func (x *executor) post(status mesos.TaskStatus) {
	a := x.a
	back := clone(&status)
	x.send(func() {
		a.call++
		a.calls[a.call] = x
		a.feed(agentcore.ExecutorUpdate{Framework: x.framework, Executor: x.id, Status: *back, Call: a.call})
	})
}

func (x *executor) acknowledged(e *api.Event_Acknowledged) {
	for i := range x.updates {
		if string(x.updates[i].UUID) == string(e.UUID) {
			x.updates = append(x.updates[:i:i], x.updates[i+1:]...)
			break
		}
	}
	for _, t := range x.tasks {
		if t.info.TaskID.Value == e.TaskID.Value {
			t.unacked = false
		}
	}
	if x.command && len(x.updates) == 0 && x.live() == 0 && len(x.tasks) > 0 {
		status := 0
		x.after(x.w.upTo(time.Second), func() { x.exit(&status, "done") })
	}
}

func (x *executor) live() int {
	n := 0
	for _, t := range x.tasks {
		if !t.ended {
			n++
		}
	}
	return n
}

func (x *executor) kill(task string) {
	for _, t := range x.tasks {
		if t.info.TaskID.Value != task || t.ended || t.state == mesos.TASK_KILLING {
			continue
		}
		if x.killing {
			x.say(t, mesos.TASK_KILLING)
		}
		x.after(x.w.upTo(3*time.Second), func() { x.say(t, mesos.TASK_KILLED) })
	}
}

// shutdown ends all tasks and then the process; a stubborn one waits to be killed.
func (x *executor) shutdown() {
	if x.shuttingDown {
		return
	}
	x.shuttingDown = true
	for _, t := range x.tasks {
		x.say(t, mesos.TASK_KILLED)
	}
	if !x.stubborn {
		status := 0
		x.after(x.w.upTo(2*time.Second), func() { x.exit(&status, "shut down") })
	}
}

// lookIdle ends an executor that has had nothing to do for a while.
func (x *executor) lookIdle() {
	x.idle++
	if x.live() > 0 || len(x.updates) > 0 {
		x.idle = 0
	}
	if x.idle >= 3 {
		status := 0
		x.exit(&status, "idle")
		return
	}
	x.after(30*time.Second, x.lookIdle)
}

func capable(info *mesos.FrameworkInfo, c mesos.FrameworkInfo_Capability_Type) bool {
	for i := range info.Capabilities {
		if info.Capabilities[i].Type == c {
			return true
		}
	}
	return false
}

// ended says whether a task in this state is over (reference appendix A).
func ended(s mesos.TaskState) bool {
	switch s {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_LOST, mesos.TASK_ERROR,
		mesos.TASK_DROPPED, mesos.TASK_GONE, mesos.TASK_GONE_BY_OPERATOR:
		return true
	default:
		return false
	}
}

// String names the executor in violations.
func (x *executor) String() string {
	return fmt.Sprintf("executor %s of framework %s on %s", x.id, x.framework, x.a.name)
}
