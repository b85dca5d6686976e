package core

import (
	"testing"

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
