package core

import (
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	api "github.com/mesos/mesos-go/api/v1/lib/executor"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

func drainOrder(grace time.Duration, markGone bool) *messages.DrainSlaveMessage {
	m := &messages.DrainSlaveMessage{Config: mesos.DrainConfig{MarkGone: &markGone}}
	if grace > 0 {
		m.Config.MaxGracePeriod = &mesos.DurationInfo{Nanoseconds: int64(grace)}
	}
	return m
}

// runningTask is an admitted agent where t runs, with the updates so far acknowledged.
func runningTask(t *testing.T, change func(*messages.RunTaskMessage)) *rig {
	r := registeredRig(t)
	order := run("t")
	if change != nil {
		change(order)
	}
	r.from(order)
	r.subscribe("f", "t")
	r.update("t", mesos.TASK_RUNNING, 1)
	r.ack("t", id(1))
	return r
}

func lastReason(effects []Effect) mesos.TaskStatus_Reason {
	list := sent[*messages.StatusUpdateMessage](effects)
	return list[len(list)-1].Update.Status.GetReason()
}

func TestOP1_30_DrainKillsWithTheShorterGracePeriod(t *testing.T) {
	for _, c := range []struct{ own, bound, want time.Duration }{
		{0, 0, 0}, {0, 2 * time.Second, 2 * time.Second}, {time.Second, 2 * time.Second, 0}, {time.Minute, 2 * time.Second, 2 * time.Second}, {time.Minute, 0, 0},
	} {
		r := runningTask(t, func(m *messages.RunTaskMessage) {
			if c.own > 0 {
				m.Task.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(c.own)}}
			}
		})
		r.from(drainOrder(c.bound, false))
		if _, first := r.effects[0].(SaveDrain); !first {
			t.Fatal("the order is not on disk before it is acted on")
		}
		tell := one[Tell](t, r.effects)
		if tell.Event.Type != api.Event_KILL {
			t.Fatalf("told %v", tell.Event)
		}
		if got := tell.Event.Kill.GetKillPolicy().GetGracePeriod().GetNanoseconds(); got != int64(c.want) {
			t.Errorf("own %v, bound %v: killed with %v", c.own, c.bound, time.Duration(got))
		}
	}
}

func TestOP1_30_DrainToTheEndAndUpdates(t *testing.T) {
	r := runningTask(t, nil)
	r.from(drainOrder(0, false))
	r.update("t", mesos.TASK_KILLING, 2)
	if got := lastReason(r.effects); got != mesos.REASON_AGENT_DRAINING {
		t.Errorf("TASK_KILLING has %v", got)
	}
	r.ack("t", id(2))
	r.update("t", mesos.TASK_KILLED, 3)
	if got := lastReason(r.effects); got != mesos.REASON_AGENT_DRAINING {
		t.Errorf("TASK_KILLED has %v", got)
	}
	r.from(run("late"))
	expect(t, "a task that comes while draining", updates(r.effects), "late LOST")
	if got := lastReason(r.effects); got != mesos.REASON_AGENT_DRAINING {
		t.Errorf("it has %v", got)
	}
	r.ack("t", id(3))
	if len(all[SaveDrain](r.effects)) != 0 {
		t.Fatal("drained while the executor runs")
	}
	for container := range r.s.containers {
		r.do(ContainerExited{Container: container})
	}
	if x := one[SaveDrain](t, r.effects); x.Config != nil {
		t.Error("the order is not taken off the disk")
	}
	if r.s.View().Drain != nil {
		t.Error("it still drains")
	}
	r.from(drainOrder(0, false)) // repeated by the master at each registration
	if len(all[SaveDrain](r.effects)) != 0 {
		t.Error("an idle agent drains")
	}
	r.from(run("next"))
	if len(all[StartContainer](r.effects)) != 1 {
		t.Error("no tasks after the drain")
	}
}

func TestOP1_30_MarkGone(t *testing.T) {
	for _, aware := range []bool{false, true} {
		r := runningTask(t, func(m *messages.RunTaskMessage) {
			if aware {
				m.Framework = frameworkInfo(mesos.FrameworkInfo_Capability_PARTITION_AWARE)
			}
		})
		r.from(drainOrder(0, true))
		r.update("t", mesos.TASK_KILLING, 2)
		expect(t, "being killed", updates(r.effects), "t KILLING")
		r.ack("t", id(2))
		r.update("t", mesos.TASK_KILLED, 3)
		want := "t KILLED"
		if aware {
			want = "t GONE_BY_OPERATOR"
		}
		expect(t, "killed", updates(r.effects), want)
		if got := lastReason(r.effects); got != mesos.REASON_AGENT_DRAINING {
			t.Errorf("it has %v", got)
		}
	}
}

func TestOP1_30_QueuedTasksEndUnseen(t *testing.T) {
	r := registeredRig(t)
	r.from(run("t"))
	r.from(drainOrder(0, false))
	expect(t, "a task whose executor has not come", updates(r.effects), "t KILLED")
	if got := lastReason(r.effects); got != mesos.REASON_AGENT_DRAINING {
		t.Errorf("it has %v", got)
	}
}

func TestOP1_30_RefusedExecutorIsReported(t *testing.T) {
	r := runningTask(t, nil)
	r.from(drainOrder(0, false))
	r.from(group("custom", "a", "b"))
	if m := sent[*messages.ExitedExecutorMessage](r.effects); len(m) != 1 || m[0].ExecutorID.Value != "custom" {
		t.Errorf("the master still counts with the executor: %v", m)
	}
}

func TestOP1_30_DrainGoesOnAfterARestart(t *testing.T) {
	d := crashed(t)
	r := d.restart(t, true)
	r.subscribe("f", "t")
	r.pass(time.Second)
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	d.save(r.from(drainOrder(3*time.Second, false)))
	r = d.restart(t, true)
	if r.s.View().Drain == nil {
		t.Fatal("the order to drain is lost")
	}
	expect(t, "told", told(r.subscribe("f", "t")), "SUBSCRIBED", "KILL")
	d.save(r.update("t", mesos.TASK_KILLED, 9))
	r = d.restart(t, false)
	r.pass(time.Second)
	r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}})
	r.ack("t", id(2))
	d.save(r.ack("t", id(9)))
	if d.r.Drain != nil {
		t.Error("it does not end")
	}
}

// TestOP1_30_DrainEndsWheneverTheAgentDies kills the agent at any point of a drain: it always goes on to the
// end, and no task starts meanwhile.
func TestOP1_30_DrainEndsWheneverTheAgentDies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := &disk{}
		r := registeredRig(t)
		d.save([]Effect{SaveAgent{Info: r.s.info}})
		step := func(e []Effect) { d.save(e) }
		step(r.from(run("t")))
		step(r.subscribe("f", "t"))
		step(r.update("t", mesos.TASK_RUNNING, 1))
		step(r.from(drainOrder(time.Second, false)))
		ended, exited := false, false
		for range rapid.IntRange(0, 8).Draw(t, "events") {
			switch rapid.SampledFrom([]string{"die", "killed", "ack", "exit", "order", "repeat"}).Draw(t, "event") {
			case "die":
				r = d.restart(t, !exited)
				step(r.effects)
				if !exited {
					step(r.subscribe("f", "t"))
				}
				step(r.pass(3 * time.Second))
				step(r.from(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}))
			case "killed":
				if !ended && !exited {
					ended = true
					step(r.update("t", mesos.TASK_KILLED, 2))
				}
			case "ack":
				ackAll(r, step)
			case "exit":
				for container := range r.s.containers {
					exited = true
					step(r.do(ContainerExited{Container: container}))
				}
			case "order":
				if r.s.draining != nil {
					step(r.from(run("late")))
					if len(all[StartContainer](r.effects)) > 0 {
						t.Fatal("a task starts on a draining agent")
					}
				}
			case "repeat":
				step(r.from(drainOrder(time.Second, false)))
			}
		}
		for range 4 {
			for container := range r.s.containers {
				step(r.do(ContainerExited{Container: container}))
			}
			ackAll(r, step)
		}
		if r.s.draining != nil || d.r.Drain != nil || len(r.s.frameworks) > 0 {
			t.Fatal("the drain does not end")
		}
	})
}

// ackAll acknowledges the first update of each task.
func ackAll(r *rig, step func([]Effect)) {
	for _, key := range r.s.streamsInOrder() {
		if st := r.s.streams[key]; len(st.pending) > 0 {
			step(r.ack(key.task, st.pending[0].UUID))
		}
	}
}
