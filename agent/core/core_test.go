package core

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

const (
	master   = "master@10.0.0.1:5050"
	observer = "slave-observer(1)@10.0.0.1:5050"
)

// rig drives a State by hand: time moves only when told.
type rig struct {
	t       rapid.TB
	s       *State
	now     time.Time
	effects []Effect // of the last event
	conn    uint64
}

func config() Config {
	return Config{
		Info: mesos.AgentInfo{Hostname: "h"}, PID: "slave(1)@10.0.0.2:5051", Address: "10.0.0.2", Version: "1.11.0",
		WorkDir: "/w", CommandExecutor: "/bin/tombolo-executor", SwitchUser: true,
		BackoffFactor: time.Second, RegisterTimeout: time.Minute, ReregisterTimeout: 2 * time.Second, ShutdownGrace: 5 * time.Second,
		RecoveryTimeout: 15 * time.Minute, MaxCompletedExecutors: 150,
	}
}

func newRig(t rapid.TB, recovered Recovered) *rig {
	r := &rig{t: t, s: New(config(), recovered), now: time.Unix(1_000_000, 0)}
	first := r.do(RecoveryStarted{})
	r.effects = append(first, r.do(MasterDetected{PID: master})...)
	return r
}

// registeredRig is an admitted agent "S0".
func registeredRig(t rapid.TB) *rig {
	r := newRig(t, Recovered{})
	r.pass(time.Second)
	r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	return r
}

func (r *rig) do(e Event) []Effect {
	r.effects = r.s.Step(r.now, e)
	return r.effects
}

func (r *rig) from(m proto.Message) []Effect { return r.do(Received{From: master, Message: m}) }

// pass lets time go by, with a Tick at every deadline on the way; effects are those of all of them.
func (r *rig) pass(d time.Duration) []Effect {
	var all []Effect
	for end := r.now.Add(d); ; {
		at, ok := r.s.Deadline()
		if !ok || at.After(end) {
			r.now = end
			r.effects = all
			return all
		}
		if at.After(r.now) {
			r.now = at
		}
		all = append(all, r.do(Tick{})...)
	}
}

func (r *rig) subscribe(framework, executor string) []Effect {
	r.conn++
	return r.do(ExecutorSubscribed{Framework: framework, Executor: executor, Conn: r.conn})
}

func (r *rig) update(task string, state mesos.TaskState, uuid byte) []Effect {
	source := mesos.SOURCE_EXECUTOR
	return r.do(ExecutorUpdate{Framework: "f", Executor: task, Status: mesos.TaskStatus{
		TaskID: mesos.TaskID{Value: task}, State: &state, Source: &source, UUID: id(uuid),
	}})
}

func (r *rig) ack(task string, uuid []byte) []Effect {
	return r.from(&messages.StatusUpdateAcknowledgementMessage{
		AgentID: mesos.AgentID{Value: "S0"}, FrameworkID: mesos.FrameworkID{Value: "f"}, TaskID: mesos.TaskID{Value: task}, UUID: uuid,
	})
}

func id(b byte) []byte { return []byte{b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15} }

func frameworkInfo(capabilities ...mesos.FrameworkInfo_Capability_Type) mesos.FrameworkInfo {
	yes := true
	f := mesos.FrameworkInfo{User: "root", Name: "n", ID: &mesos.FrameworkID{Value: "f"}, Checkpoint: &yes}
	for _, c := range capabilities {
		f.Capabilities = append(f.Capabilities, mesos.FrameworkInfo_Capability{Type: c})
	}
	return f
}

func amount(name string, v float64) mesos.Resource {
	kind := mesos.SCALAR
	return mesos.Resource{Name: name, Type: &kind, Scalar: &mesos.Value_Scalar{Value: v}}
}

func taskInfo(name string) mesos.TaskInfo {
	command := "true"
	return mesos.TaskInfo{Name: name, TaskID: mesos.TaskID{Value: name}, AgentID: mesos.AgentID{Value: "S0"},
		Resources: []mesos.Resource{amount("cpus", 1), amount("mem", 100)}, Command: &mesos.CommandInfo{Value: &command}}
}

func customExecutor(name string) mesos.ExecutorInfo {
	command := "./executor"
	return mesos.ExecutorInfo{Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: name}, Command: &mesos.CommandInfo{Value: &command},
		Resources: []mesos.Resource{amount("cpus", 0.5), amount("mem", 64)}}
}

func run(name string) *messages.RunTaskMessage {
	return &messages.RunTaskMessage{Framework: frameworkInfo(), Task: taskInfo(name)}
}

func group(executor string, tasks ...string) *messages.RunTaskGroupMessage {
	m := &messages.RunTaskGroupMessage{Framework: frameworkInfo(), Executor: customExecutor(executor)}
	for _, t := range tasks {
		info := taskInfo(t)
		info.Command = nil
		m.TaskGroup.Tasks = append(m.TaskGroup.Tasks, info)
	}
	return m
}

// all returns the effects of one type.
func all[T Effect](effects []Effect) []T {
	var list []T
	for _, e := range effects {
		if x, ok := e.(T); ok {
			list = append(list, x)
		}
	}
	return list
}

// one fails unless there is exactly one effect of the type.
func one[T Effect](t rapid.TB, effects []Effect) T {
	t.Helper()
	list := all[T](effects)
	if len(list) != 1 {
		var none T
		t.Fatalf("%d effects of %T, want one, in %+v", len(list), none, effects)
	}
	return list[0]
}

// sent returns the messages of one type that were sent.
func sent[T proto.Message](effects []Effect) []T {
	var list []T
	for _, s := range all[Send](effects) {
		if m, ok := s.Message.(T); ok {
			list = append(list, m)
		}
	}
	return list
}

func told(effects []Effect) (types []string) {
	for _, x := range all[Tell](effects) {
		types = append(types, x.Event.Type.String())
	}
	return types
}

// updates are "task STATE" of what was sent to the master.
func updates(effects []Effect) (list []string) {
	for _, m := range sent[*messages.StatusUpdateMessage](effects) {
		list = append(list, m.Update.Status.TaskID.Value+" "+strings.TrimPrefix(m.Update.Status.State.String(), "TASK_"))
	}
	return list
}

func expect(t rapid.TB, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}

func TestRegistration_BackOffDoublesUpToAMinute(t *testing.T) {
	r := newRig(t, Recovered{})
	var gaps []time.Duration
	var last time.Time
	for len(gaps) < 12 {
		effects := r.pass(time.Second / 10)
		for range sent[*messages.RegisterSlaveMessage](effects) {
			if !last.IsZero() {
				gaps = append(gaps, r.now.Sub(last))
			}
			last = r.now
		}
		if r.now.Sub(time.Unix(1_000_000, 0)) > time.Hour {
			t.Fatal("gave up registering")
		}
	}
	for i, g := range gaps {
		if g > 62*time.Second {
			t.Errorf("gap %d is %v, more than a minute", i, g)
		}
	}
	if slices.Max(gaps) < 5*time.Second {
		t.Errorf("the back-off does not grow: %v", gaps)
	}
}

func TestRegistration_IdIsSavedBeforeAnythingElse(t *testing.T) {
	r := registeredRig(t)
	if s, ok := r.effects[0].(SaveAgent); !ok || s.Info.ID.GetValue() != "S0" {
		t.Errorf("first effect is %+v", r.effects[0])
	}
	if m := sent[*messages.UpdateSlaveMessage](r.effects); len(m) != 1 {
		t.Errorf("%d UpdateSlaveMessages", len(m))
	}
	if r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}); len(all[SaveAgent](r.effects)) > 0 {
		t.Error("a repeated answer is saved again")
	}
}

func TestRegistration_ForeignIdEndsTheAgent(t *testing.T) {
	r := registeredRig(t)
	r.from(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S9"}})
	if x := one[Exit](t, r.effects); !x.Failure {
		t.Error("it ends as if all were well")
	}
}

func TestRegistration_OnlyTheLeadingMasterIsHeard(t *testing.T) {
	r := registeredRig(t)
	r.do(Received{From: "master@10.0.0.9:5050", Message: run("t")})
	if len(all[StartContainer](r.effects)) > 0 {
		t.Error("a stranger's order was carried out")
	}
	r.do(Received{From: "slave-observer(1)@10.0.0.9:5050", Message: &messages.PingSlaveMessage{Connected: true}})
	if len(all[Send](r.effects)) > 0 {
		t.Error("a stranger's ping was answered")
	}
}

func TestPing(t *testing.T) {
	r := registeredRig(t)
	r.do(Received{From: observer, Message: &messages.PingSlaveMessage{Connected: true}})
	if s := one[Send](t, r.effects); s.To != observer {
		t.Errorf("pong went to %s", s.To)
	}
	r.pass(74 * time.Second)
	if len(sent[*messages.ReregisterSlaveMessage](r.effects)) > 0 {
		t.Fatal("registered again though pings are not missing yet")
	}
	if r.pass(3 * time.Second); len(sent[*messages.ReregisterSlaveMessage](r.effects)) == 0 {
		t.Fatal("75 s without a ping and no attempt to register again")
	}
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	r.do(Received{From: observer, Message: &messages.PingSlaveMessage{Connected: false}})
	if r.pass(2 * time.Second); len(sent[*messages.ReregisterSlaveMessage](r.effects)) == 0 {
		t.Fatal("a ping that says disconnected must lead to a registration")
	}
}

func TestMasterExited_RegistersAgainWithAllItRuns(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.from(group("x", "g1", "g2"))
	r.do(MasterExited{PID: master})
	m := sent[*messages.ReregisterSlaveMessage](r.pass(3 * time.Second))
	if len(m) == 0 {
		t.Fatal("no attempt to register again")
	}
	var ids []string
	for _, task := range m[0].Tasks {
		ids = append(ids, task.TaskID.Value)
	}
	expect(t, "tasks", ids, "t", "g1", "g2")
	if len(m[0].ExecutorInfos) != 1 || m[0].ExecutorInfos[0].ExecutorID.Value != "x" { // not the command executor's
		t.Errorf("executors are %+v", m[0].ExecutorInfos)
	}
	if len(m[0].Frameworks) != 1 {
		t.Errorf("%d frameworks", len(m[0].Frameworks))
	}
}

func TestCommandTask_LifeInEffects(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	start := one[StartContainer](t, r.effects)
	if start.User != "root" || !slices.Equal(start.Args, []string{"/bin/tombolo-executor", "command"}) {
		t.Errorf("container is %+v", start)
	}
	if start.Limits.CPUs != 1.1 || start.Limits.MemLimit != 132<<20 { // row 4.4: overhead
		t.Errorf("limits are %+v", start.Limits)
	}
	if len(all[SaveFramework](r.effects)) != 1 || len(all[SaveExecutor](r.effects)) != 1 || len(all[SaveTask](r.effects)) != 1 {
		t.Errorf("not all is checkpointed: %+v", r.effects)
	}
	if _, last := r.effects[len(r.effects)-1].(StartContainer); !last {
		t.Error("the container starts before everything is saved")
	}
	expect(t, "on subscription", told(r.subscribe("f", "t")), "SUBSCRIBED", "LAUNCH")
	r.update("t", mesos.TASK_RUNNING, 1)
	if _, first := r.effects[0].(SaveUpdate); !first {
		t.Errorf("the update is not saved first: %+v", r.effects)
	}
	expect(t, "told", told(r.effects), "ACKNOWLEDGED")
	expect(t, "updates", updates(r.effects), "t RUNNING")
	r.update("t", mesos.TASK_FINISHED, 2)
	expect(t, "second update is held back (UPD-01)", updates(r.effects))
	expect(t, "after the acknowledgement", updates(r.ack("t", id(1))), "t FINISHED")
	r.ack("t", id(2))
	status := 0
	r.do(ContainerExited{Container: start.Container, Status: &status})
	if len(all[SaveDone](r.effects)) != 1 || len(r.s.frameworks) != 0 {
		t.Errorf("the executor is not forgotten: %+v", r.effects)
	}
	if len(sent[*messages.ExitedExecutorMessage](r.effects)) > 0 {
		t.Error("LCH-14: the master must not hear of a command executor's end")
	}
	if v := r.s.View(); len(v.Completed) != 1 || len(v.Completed[0].Completed[0].Completed) != 1 {
		t.Errorf("view does not show the completed task: %+v", v.Completed)
	}
}

func TestUPD01_RetriesDoubleFromTenSecondsToTenMinutes(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_RUNNING, 1)
	var gaps []time.Duration
	for last := r.now; len(gaps) < 9; {
		r.do(Received{From: observer, Message: &messages.PingSlaveMessage{Connected: true}})
		if len(updates(r.pass(time.Second))) > 0 {
			gaps, last = append(gaps, r.now.Sub(last).Round(time.Second)), r.now
		}
	}
	want := []time.Duration{10, 20, 40, 80, 160, 320, 600, 600, 600}
	for i := range want {
		if d := gaps[i] - want[i]*time.Second; d < -time.Second || d > time.Second {
			t.Errorf("gap %d is %v, want %v s", i, gaps[i], int(want[i]))
		}
	}
}

func TestUPD02_ARepeatedUpdateCountsOnce(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_RUNNING, 1)
	r.ack("t", id(1))
	r.update("t", mesos.TASK_RUNNING, 1)
	expect(t, "the executor is still confirmed", told(r.effects), "ACKNOWLEDGED")
	expect(t, "updates", updates(r.effects))
}

func TestUPD04_AcknowledgementsThatMatchNothing(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_RUNNING, 1)
	r.ack("t", id(9))
	r.ack("none", id(1))
	if len(all[SaveAck](r.effects)) > 0 || len(r.s.streams[taskKey{"f", "t"}].pending) != 1 {
		t.Error("a foreign acknowledgement removed the update")
	}
	r.ack("t", id(1))
	r.ack("t", id(1)) // twice
}

func TestUPD06_NothingIsForwardedWhileDisconnected(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.do(MasterExited{PID: master})
	r.update("t", mesos.TASK_RUNNING, 1)
	expect(t, "updates", updates(r.effects))
	expect(t, "retries", updates(r.pass(time.Minute)))
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	expect(t, "after registration", updates(r.effects), "t RUNNING")
}

func TestUPD06_ASchedulerThatIsBackGetsWhatItMissedAtOnce(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_RUNNING, 1)
	r.pass(15 * time.Second) // the next retry is far away
	back := &messages.UpdateFrameworkMessage{FrameworkID: mesos.FrameworkID{Value: "f"}}
	expect(t, "after the subscription", updates(r.from(back)), "t RUNNING")
	expect(t, "before the first retry", updates(r.pass(9*time.Second)))
	expect(t, "the first retry", updates(r.pass(2*time.Second)), "t RUNNING")
	r.ack("t", id(1))
	expect(t, "when nothing is pending", updates(r.from(back)))
	back.FrameworkID.Value = "other"
	expect(t, "an unknown framework", updates(r.from(back)))
}
