package marathon

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/service"
)

// world runs a core against a crude master that offers, loses, repeats and reorders as rapid likes, and forgets
// nothing that the core has stored.
type world struct {
	*rapid.T
	core   *Core
	stored map[string][]byte
	now    time.Time
	serial int
	live   map[string]string // tasks that run on some agent, reachable or not, by id: the state they'd report
	starts map[string]int
}

func newWorld(t *rapid.T) *world {
	w := &world{T: t, stored: map[string][]byte{}, now: noon, live: map[string]string{}, starts: map[string]int{}}
	w.restart()
	return w
}

func (w *world) id() string { w.serial++; return fmt.Sprintf("%04d", w.serial) }

func (w *world) restart() {
	core, err := NewCore(w.stored, "*", w.id)
	if err != nil {
		w.Fatal(err)
	}
	w.core = core
	w.step(service.Subscribed{ID: mesos.FrameworkID{Value: "f"}})
	w.reconcile()
}

// reconcile answers for every instance, as the session asks for after each subscription.
func (w *world) reconcile() {
	var ids []string
	for _, i := range w.core.instances {
		ids = append(ids, i.TaskID)
	}
	slices.Sort(ids)
	for _, id := range ids {
		state := mesos.TASK_GONE
		if now, lives := w.live[id]; lives {
			state = mesos.TaskState(mesos.TaskState_value[now])
		}
		w.status(id, state)
	}
}

func (w *world) step(event Event) error {
	effects, err := w.core.Step(w.now, event)
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
				w.live[task.TaskID.Value] = staging
			}
		case orders.Kill:
			if _, lives := w.live[e.Task]; lives && w.live[e.Task] != unreachable {
				w.live[e.Task] = killing
			}
		}
	}
	for id, n := range w.starts {
		if n > 1 {
			w.Fatalf("%s was started %d times", id, n)
		}
	}
	return err
}

func (w *world) status(task string, state mesos.TaskState) {
	if task == "" {
		return
	}
	switch state {
	case mesos.TASK_FAILED, mesos.TASK_KILLED, mesos.TASK_GONE:
		delete(w.live, task)
	default:
		if w.live[task] != killing {
			w.live[task] = state.String()
		}
	}
	if err := w.step(service.Updated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: task}, State: &state, AgentID: &mesos.AgentID{Value: "a"}}}); err != nil {
		w.Fatal(err)
	}
}

func (w *world) offer(cpus float64) {
	kind, ranges := mesos.SCALAR, mesos.RANGES
	w.serial++
	err := w.step(service.Offered{Offers: []mesos.Offer{{ID: mesos.OfferID{Value: fmt.Sprint(w.serial)}, AgentID: mesos.AgentID{Value: "a"}, Hostname: "h",
		Resources: []mesos.Resource{{Name: "cpus", Type: &kind, Scalar: &mesos.Value_Scalar{Value: cpus}},
			{Name: "mem", Type: &kind, Scalar: &mesos.Value_Scalar{Value: 1000 * cpus}},
			{Name: "ports", Type: &ranges, Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: 31000, End: 31999}}}}}}}})
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) any(states ...string) string {
	var ids []string
	for id, state := range w.live {
		if len(states) == 0 || slices.Contains(states, state) {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return ""
	}
	slices.Sort(ids)
	return rapid.SampledFrom(ids).Draw(w.T, "task")
}

func (w *world) put(body string) {
	change := change("/app", []byte(body), true, true)
	if err := w.step(PutApps{Deployment: "d-" + w.id(), Force: true, Apps: []AppChange{change}}); err != nil {
		w.Fatal(err)
	}
}

// Whatever happens to an app - changes, scaling, crashes, partitions, lost agents, restarts of Marathon at any moment -
// no task is launched twice, nothing that runs is unknown for good, and when calm returns exactly the instances that
// were asked for run, in the newest version, and no deployment is left.
func TestAnAppBecomesWhatWasAsked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.put(`{"cmd":"v0","instances":2,"cpus":0.1,"mem":1}`)
		for n := range rapid.IntRange(0, 60).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "seconds")) * time.Second)
			switch rapid.SampledFrom([]string{"offer", "run", "run", "fail", "end", "lose", "part", "heal", "restart", "tick", "scale", "change", "kill"}).Draw(t, "what") {
			case "offer":
				w.offer(float64(rapid.IntRange(0, 4).Draw(t, "tenths")) / 10)
			case "run":
				w.status(w.any(staging), mesos.TASK_RUNNING)
			case "fail":
				w.status(w.any(staging, running), mesos.TASK_FAILED)
			case "end":
				w.status(w.any(killing), mesos.TASK_KILLED)
			case "lose":
				w.status(w.any(), mesos.TASK_GONE)
			case "part":
				w.status(w.any(running), mesos.TASK_UNREACHABLE)
			case "heal":
				w.status(w.any(unreachable), mesos.TASK_RUNNING)
			case "restart":
				w.restart()
			case "tick":
				if err := w.step(service.Tick{}); err != nil {
					t.Fatal(err)
				}
			case "scale":
				w.put(fmt.Sprintf(`{"instances":%d}`, rapid.IntRange(0, 5).Draw(t, "instances")))
			case "change":
				w.put(fmt.Sprintf(`{"cmd":"v%d"}`, n+1))
			case "kill":
				var chosen []*Instance
				task := w.any()
				if err := w.step(KillInstances{Choose: func(i *Instance) bool { return i.TaskID == task }, Chosen: &chosen}); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.calm()
		app := w.core.apps["/app"]
		if len(w.live) != app.Instances || len(w.core.instances) != app.Instances || len(w.core.deployments) != 0 {
			t.Fatalf("%d wanted; live %v, %d instances, %d deployments", app.Instances, w.live, len(w.core.instances), len(w.core.deployments))
		}
		for _, i := range w.core.instances {
			if w.live[i.TaskID] != running || i.State != running || i.Config != app.VersionInfo.LastConfigChangeAt {
				t.Fatalf("%+v is %s", i, w.live[i.TaskID])
			}
		}
	})
}

// calm lets everything go well for a while: partitions heal, tasks run, kills succeed.
func (w *world) calm() {
	for range 100 {
		w.now = w.now.Add(time.Minute)
		for _, id := range sortedKeys(w.live) {
			switch w.live[id] {
			case unreachable, staging:
				w.status(id, mesos.TASK_RUNNING)
			case killing:
				w.status(id, mesos.TASK_KILLED)
			}
		}
		if err := w.step(service.Tick{}); err != nil {
			w.Fatal(err)
		}
		w.offer(4)
	}
	for _, id := range sortedKeys(w.live) {
		if w.live[id] == staging {
			w.status(id, mesos.TASK_RUNNING)
		}
	}
	if err := w.step(service.Tick{}); err != nil {
		w.Fatal(err)
	}
}

func sortedKeys(m map[string]string) []string {
	var keys []string
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
