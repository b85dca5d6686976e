package core

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// world is a master, executors and a disk around a rig, driven at random.
type world struct {
	*rapid.T
	r       *rig
	d       *disk
	seq     byte
	next    int
	crashes byte

	waiting  map[string][]byte            // task: uuid of the update that the master has and has not acknowledged
	got      map[string][]mesos.TaskState // acknowledged or waiting, without repeats
	running  map[string]string            // container: task
	conns    map[string]bool              // task: its executor is subscribed
	executor map[string]mesos.TaskState   // task: what its executor said last
}

// absorb looks at effects as master, executors and disk would.
func (w *world) absorb(effects []Effect) {
	w.d.save(effects)
	for _, e := range effects {
		switch e := e.(type) {
		case Send:
			if m, ok := e.Message.(*messages.StatusUpdateMessage); ok {
				w.received(m)
			}
		case StartContainer:
			w.running[e.Container] = e.Env[indexOf(e.Env, "MESOS_EXECUTOR_ID")].Value
		case Exit:
			w.Fatalf("the agent ends: %s", e.Reason)
		}
	}
}

func indexOf(env []Variable, name string) int {
	for i := range env {
		if env[i].Name == name {
			return i
		}
	}
	return -1
}

// received checks order: one update of a task at a time, none after the last (UPD-01, UPD-02).
func (w *world) received(m *messages.StatusUpdateMessage) {
	id := m.Update.Status.TaskID.Value
	if was := w.waiting[id]; was != nil {
		if string(was) != string(m.Update.UUID) {
			w.Fatalf("%s: a second update before the first was acknowledged", id)
		}
		return
	}
	states := w.got[id]
	if n := len(states); n > 0 && terminal(states[n-1]) {
		w.Fatalf("%s: %v after its end %v", id, m.Update.Status.GetState(), states)
	}
	w.waiting[id] = m.Update.UUID
	w.got[id] = append(states, m.Update.Status.GetState())
}

func (w *world) step(e Event) { w.absorb(w.r.do(e)) }

func (w *world) launch() {
	w.next++
	w.step(Received{From: master, Message: run(fmt.Sprintf("t%d", w.next))})
}

func (w *world) subscribeOne(task string) {
	if w.conns[task] {
		return
	}
	w.absorb(w.r.subscribe("f", task))
	w.conns[task] = true
}

func (w *world) say(task string, state mesos.TaskState) {
	if !w.conns[task] || terminal(w.executor[task]) {
		return
	}
	w.seq++
	w.executor[task] = state
	w.absorb(w.r.update(task, state, w.seq))
}

func (w *world) acknowledge(task string) {
	if uuid := w.waiting[task]; uuid != nil && w.r.s.phase == running {
		delete(w.waiting, task)
		w.absorb(w.r.ack(task, uuid))
	}
}

func (w *world) exit(container string) {
	status := 0
	delete(w.conns, w.running[container])
	delete(w.running, container)
	w.step(ContainerExited{Container: container, Status: &status})
}

// crash starts the agent anew from its disk; executors find out and come back later.
func (w *world) crash() {
	for i := range w.d.r.Frameworks {
		for j := range w.d.r.Frameworks[i].Executors {
			x := &w.d.r.Frameworks[i].Executors[j]
			_, x.Alive = w.running[x.Container]
		}
	}
	w.crashes++
	cfg := config()
	cfg.Seed[0] = w.crashes
	w.r = &rig{t: w.T, s: New(cfg, w.d.r), now: w.r.now, conn: w.r.conn}
	w.conns = map[string]bool{}
	w.step(RecoveryStarted{})
	w.step(MasterDetected{PID: master})
}

func (w *world) admit() {
	w.absorb(w.r.pass(3 * time.Second))
	w.step(Received{From: master, Message: &messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}})
}

// Whatever happens, in whatever order, crashes included: each task's updates come one
// at a time and in order, and each task that was taken in gets exactly one end.
func TestEveryTaskEndsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{T: t, d: &disk{}, waiting: map[string][]byte{}, got: map[string][]mesos.TaskState{}, running: map[string]string{},
			conns: map[string]bool{}, executor: map[string]mesos.TaskState{}}
		w.r = newRig(t, Recovered{})
		w.absorb(w.r.pass(time.Second))
		w.step(Received{From: master, Message: &messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: "S0"}}})
		task := func() string { return fmt.Sprintf("t%d", rapid.IntRange(1, max(1, w.next)).Draw(t, "task")) }
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 11).Draw(t, "action") {
			case 0, 1:
				if w.r.s.phase == running {
					w.launch()
				}
			case 2, 3:
				if id := task(); w.container(id) != "" {
					w.subscribeOne(id)
				}
			case 4, 5:
				states := []mesos.TaskState{mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_FINISHED, mesos.TASK_FAILED}
				w.say(task(), rapid.SampledFrom(states).Draw(t, "state"))
			case 6, 7:
				w.acknowledge(task())
			case 8:
				if c := w.container(task()); c != "" {
					w.exit(c)
				}
			case 9:
				w.crash()
				w.admit()
			case 10:
				w.step(MasterExited{PID: master})
				w.admit()
			case 11:
				if id := task(); w.r.s.phase == running && !w.ended(id) {
					w.step(Received{From: master, Message: &messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f"}, TaskID: mesos.TaskID{Value: id}}})
				}
			}
		}
		w.drain()
	})
}

// ended: the master knows of the task's end, so it sends no more orders for it.
func (w *world) ended(task string) bool {
	states := w.got[task]
	return len(states) > 0 && terminal(states[len(states)-1])
}

func (w *world) container(task string) string {
	for c, t := range w.running {
		if t == task {
			return c
		}
	}
	return ""
}

// drain lets everything end and checks that it did.
func (w *world) drain() {
	w.admit()
	for len(w.running) > 0 {
		for c := range w.running {
			w.exit(c)
			break
		}
	}
	for range 200 {
		for id := range w.waiting {
			w.acknowledge(id)
		}
	}
	for i := 1; i <= w.next; i++ {
		id := fmt.Sprintf("t%d", i)
		if states := w.got[id]; len(states) == 0 || !terminal(states[len(states)-1]) {
			w.Fatalf("%s has not ended: %v", id, states)
		}
	}
	if n := len(w.r.s.frameworks); n > 0 {
		w.Fatalf("%d frameworks are left over", n)
	}
}
