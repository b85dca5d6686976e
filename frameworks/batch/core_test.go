package batch

import (
	"fmt"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/service"
)

// world runs a core against a crude master: it offers, loses, repeats and reorders as rapid likes.
type world struct {
	*rapid.T
	core   *Core
	stored map[string][]byte
	now    time.Time
	serial int
	live   map[string]bool // launched tasks that have not ended
	starts map[string]int
}

func (w *world) step(event any) {
	effects, err := w.core.Step(w.now, event)
	if err != nil {
		w.Fatalf("%T: %v", event, err)
	}
	for _, change := range w.core.Changes() {
		if change.Value == nil {
			delete(w.stored, change.Key)
		} else {
			w.stored[change.Key] = change.Value
		}
	}
	for _, effect := range effects {
		switch e := effect.(type) {
		case orders.Accept:
			for _, task := range e.Tasks {
				w.starts[task.TaskID.Value]++
				w.live[task.TaskID.Value] = true
			}
		case orders.Kill:
			w.end(e.Task, mesos.TASK_KILLED)
		}
	}
	w.check()
}

// check holds after every step.
func (w *world) check() {
	for id, n := range w.starts {
		if n > 1 {
			w.Fatalf("%s was started %d times", id, n)
		}
	}
	for _, j := range w.core.jobs {
		c := j.Counts
		if sum := c.Pending + c.Active + c.Finished + c.Failed + c.Canceled; sum != j.Tasks {
			w.Fatalf("%+v is not %d tasks", c, j.Tasks)
		}
		if j.Parallelism > 0 && c.Active > j.Parallelism {
			w.Fatalf("%d active, parallelism %d", c.Active, j.Parallelism)
		}
		for _, t := range j.tasks {
			if t.Failures > j.Retries+1 {
				w.Fatalf("task %d failed %d times, retries %d", t.Index, t.Failures, j.Retries)
			}
		}
	}
}

func (w *world) end(id string, state mesos.TaskState) {
	delete(w.live, id)
	w.step(service.Updated{Status: status(id, state)})
}

func status(id string, state mesos.TaskState) mesos.TaskStatus {
	return mesos.TaskStatus{TaskID: mesos.TaskID{Value: id}, State: &state, AgentID: &mesos.AgentID{Value: "a"}}
}

func (w *world) offer(cpus float64) {
	w.serial++
	kind := mesos.SCALAR
	w.step(service.Offered{Offers: []mesos.Offer{{ID: mesos.OfferID{Value: fmt.Sprint(w.serial)}, AgentID: mesos.AgentID{Value: "a"}, Hostname: "h",
		Resources: []mesos.Resource{{Name: "cpus", Type: &kind, Scalar: &mesos.Value_Scalar{Value: cpus}},
			{Name: "mem", Type: &kind, Scalar: &mesos.Value_Scalar{Value: 1000 * cpus}}}}}})
}

func (w *world) any() string {
	var ids []string
	for id := range w.live {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return ""
	}
	return rapid.SampledFrom(ids).Draw(w.T, "task")
}

// Whatever happens, every task counts once, retries are bounded, parallelism holds, restarts change nothing, and in the
// end every job ends.
func TestEveryTaskCountsOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		core, _ := NewCore(nil)
		w := &world{T: t, core: core, stored: map[string][]byte{}, now: time.Unix(1e9, 0), live: map[string]bool{}, starts: map[string]int{}}
		w.step(service.Subscribed{ID: mesos.FrameworkID{Value: "f"}})
		spec := Spec{Name: "j", Command: []string{"x"}, Cpus: 1, Mem: 10, Tasks: rapid.IntRange(1, 12).Draw(t, "tasks"),
			Retries: rapid.IntRange(0, 3).Draw(t, "retries"), Parallelism: rapid.IntRange(0, 4).Draw(t, "parallelism")}
		w.step(Submit{"j-1", spec})
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "seconds")) * time.Second)
			switch rapid.SampledFrom([]string{"offer", "run", "finish", "fail", "lose", "part", "repeat", "restart", "tick", "cancel"}).Draw(t, "what") {
			case "offer":
				w.offer(float64(rapid.IntRange(0, 4).Draw(t, "cpus")))
			case "run":
				if id := w.any(); id != "" {
					w.step(service.Updated{Status: status(id, mesos.TASK_RUNNING)})
				}
			case "finish":
				w.end(w.any(), mesos.TASK_FINISHED)
			case "fail":
				w.end(w.any(), mesos.TASK_FAILED)
			case "lose":
				w.end(w.any(), mesos.TASK_GONE)
			case "part": // and the task lives on, unseen
				if id := w.any(); id != "" {
					w.step(service.Updated{Status: status(id, mesos.TASK_UNREACHABLE)})
				}
			case "repeat":
				for id := range w.starts {
					if !w.live[id] {
						w.step(service.Updated{Status: status(id, mesos.TASK_FINISHED)})
						break
					}
				}
			case "restart":
				before := w.core.jobs["j-1"].Job
				core, err := NewCore(w.stored)
				if err != nil {
					t.Fatal(err)
				}
				w.core = core
				if after := w.core.jobs["j-1"].Job; fmt.Sprint(after.Counts, after.State, after.Canceling) != fmt.Sprint(before.Counts, before.State, before.Canceling) {
					t.Fatalf("after a restart %+v %s, before %+v %s", after.Counts, after.State, before.Counts, before.State)
				}
				w.step(service.Subscribed{ID: mesos.FrameworkID{Value: "f"}})
			case "tick":
				w.step(service.Tick{})
			case "cancel":
				if rapid.IntRange(0, 20).Draw(t, "really") == 0 && w.core.jobs["j-1"].State == JobRunning {
					w.step(Cancel{"j-1"})
				}
			}
		}
		for range 300 { // from here on everything goes well
			if w.core.jobs["j-1"].State != JobRunning {
				return
			}
			w.now = w.now.Add(time.Minute)
			w.step(service.Tick{})
			w.offer(4)
			for id := range w.live {
				w.end(id, mesos.TASK_FINISHED)
			}
		}
		t.Fatalf("the job does not end: %+v", w.core.jobs["j-1"].Counts)
	})
}

func TestTimeoutRetriesAndErrors(t *testing.T) {
	core, _ := NewCore(nil)
	now := time.Unix(1e9, 0)
	step := func(event any) []any {
		t.Helper()
		effects, err := core.Step(now, event)
		if err != nil {
			t.Fatal(err)
		}
		return effects
	}
	step(service.Subscribed{ID: mesos.FrameworkID{Value: "f"}})
	step(Submit{"j", Spec{Name: "j", Command: []string{"x"}, Cpus: 1, Mem: 1, Tasks: 2, Retries: 1, TimeoutSeconds: 10}})
	kind := mesos.SCALAR
	offered := service.Offered{Offers: []mesos.Offer{{ID: mesos.OfferID{Value: "o"}, AgentID: mesos.AgentID{Value: "a"}, Resources: []mesos.Resource{
		{Name: "cpus", Type: &kind, Scalar: &mesos.Value_Scalar{Value: 4}}, {Name: "mem", Type: &kind, Scalar: &mesos.Value_Scalar{Value: 4}}}}}}
	step(offered)
	step(service.Updated{Status: status("j.0.1", mesos.TASK_RUNNING)})
	step(service.Updated{Status: status("j.1.1", mesos.TASK_ERROR)}) // is not tried again
	if c := core.jobs["j"].Counts; c.Failed != 1 || c.Active != 1 {
		t.Fatalf("after TASK_ERROR: %+v", c)
	}
	now = now.Add(10 * time.Second)
	if effects := step(service.Tick{}); len(effects) != 1 || effects[0] != (orders.Kill{Task: "j.0.1", Agent: "a"}) {
		t.Fatalf("at the timeout: %+v", effects)
	}
	step(service.Updated{Status: status("j.0.1", mesos.TASK_KILLED)})
	if task := core.jobs["j"].tasks[0]; task.State != TaskPending || task.Failures != 1 || task.Message != "killed after 10 seconds, the job's timeout" {
		t.Fatalf("after the timeout: %+v", task)
	}
	now = now.Add(time.Minute)
	step(offered)
	agentFailed, reason := status("j.0.2", mesos.TASK_FAILED), mesos.REASON_EXECUTOR_TERMINATED
	agentFailed.Reason = &reason
	step(service.Updated{Status: agentFailed}) // is no failure of the command
	if task := core.jobs["j"].tasks[0]; task.State != TaskPending || task.Failures != 1 || task.Lost != 1 {
		t.Fatalf("after the executor's end: %+v", task)
	}
	now = now.Add(time.Minute)
	step(offered)
	step(service.Updated{Status: status("j.0.3", mesos.TASK_FAILED)})
	if j := core.jobs["j"]; j.State != JobFailed || j.Counts.Failed != 2 {
		t.Fatalf("in the end: %+v", j.Job)
	}
}
