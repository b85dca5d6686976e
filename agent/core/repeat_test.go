package core

import (
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// The transport may deliver an order twice. Its second coming must not tell the
// scheduler that the task will not run, because it does (reference row LP-11).
func TestOrderDeliveredTwice(t *testing.T) {
	group := func() *messages.RunTaskGroupMessage {
		one := run("t1")
		value := "x"
		return &messages.RunTaskGroupMessage{
			Framework: one.Framework, TaskGroup: mesos.TaskGroupInfo{Tasks: []mesos.TaskInfo{one.Task, run("t2").Task}},
			Executor: mesos.ExecutorInfo{Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: "x"}, Command: &mesos.CommandInfo{Value: &value}},
		}
	}
	for _, c := range []struct {
		name     string
		executor string
		order    func(*rig) []Effect
	}{
		{"command task", "t1", func(r *rig) []Effect { return r.from(run("t1")) }},
		{"group", "x", func(r *rig) []Effect { return r.from(group()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := registeredRig(t)
			c.order(r)
			for _, when := range []string{"while the executor starts", "while it runs"} {
				for _, e := range c.order(r) {
					if _, quiet := e.(Log); !quiet {
						t.Errorf("%s, the second order causes %T", when, e)
					}
				}
				r.subscribe("f", c.executor)
			}
		})
	}
}

// An order for the agent that had this address before, and whose disk is lost, is
// not for the new one: its master will learn that the old one is no more.
func TestOrderForAnotherAgent(t *testing.T) {
	fresh := newRig(t, Recovered{})
	for name, r := range map[string]*rig{"not registered": fresh, "registered": registeredRig(t)} {
		m := run("t")
		m.Task.AgentID.Value = "S-before"
		for _, e := range r.from(m) {
			if _, quiet := e.(Log); !quiet {
				t.Errorf("%s: the order causes %T", name, e)
			}
		}
	}
}

// What ends on the way to a registration is told once more when that is done: the
// master may have let the agent in by an older report.
func TestEndsWhileRegistering(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_FINISHED, 1)
	r.do(MasterExited{PID: master})
	if n := len(sent[*messages.ReregisterSlaveMessage](r.pass(3 * time.Second))); n == 0 {
		t.Fatal("the agent does not ask to be admitted again")
	}
	r.ack("t", id(1))
	again := sent[*messages.ReregisterSlaveMessage](r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}))
	if len(again) != 1 || len(again[0].Tasks) != 0 {
		t.Errorf("told once more: %v", again)
	}
	if more := sent[*messages.ReregisterSlaveMessage](r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})); len(more) != 0 {
		t.Errorf("and again: %v", more)
	}
}

// An order for an executor that is not here tells the master so, which would count
// with that executor for ever.
func TestExecutorThatIsNotHere(t *testing.T) {
	r := registeredRig(t)
	no := false
	m := group("x", "g1")
	m.LaunchExecutor = &no
	if exited := sent[*messages.ExitedExecutorMessage](r.from(m)); len(exited) != 1 || exited[0].ExecutorID.Value != "x" {
		t.Errorf("told the master: %v", exited)
	}
}

// An order that was sent before the agent registered again is refused: its master
// may have given the task up meanwhile.
func TestOrderOfBeforeTheRegistration(t *testing.T) {
	r := registeredRig(t)
	m := run("t")
	m.ResourceVersionUUIDs = []messages.ResourceVersionUUID{{UUID: mesos.UUID{Value: r.s.resourceVersion}}}
	r.do(MasterExited{PID: master})
	r.pass(3 * time.Second)
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	r.from(m)
	expect(t, "updates", updates(r.effects), "t LOST")
}
