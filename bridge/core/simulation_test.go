package core

import (
	"fmt"
	"sort"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// world is a datacenter and a Kubernetes API around one State: it carries out effects, loses some, restarts the bridge,
// and holds what must never happen.
type world struct {
	t      *rapid.T
	now    time.Time
	state  *State
	events []Event // on their way to the bridge

	api       map[types.UID]*corev1.Pod
	nodes     map[string]virtualnode.View
	framework string

	connected bool
	silent    bool
	offers    map[string]mesos.Offer
	tasks     map[string]*simTask
	next      int
}

type simTask struct {
	info    mesos.TaskInfo
	state   mesos.TaskState
	pending []TaskUpdated // not acknowledged
	kill    bool
	bundle  bool
}

func (task *simTask) over() bool { return len(task.pending) == 0 && !live(task.state) }

var simConfig = Config{
	Executor: virtualnode.Executor{Command: "x", Role: "r", Resources: virtualnode.Amounts{CPU: 100, Memory: 32_000}}, PendingTimeout: 5 * time.Minute, MaxPods: 10, Architecture: "amd64",
}

var simTotal = virtualnode.Amounts{CPU: 2000, Memory: 2000_000}

func newWorld(t *rapid.T) *world {
	w := &world{t: t, now: time.Unix(1000, 0), api: map[types.UID]*corev1.Pod{}, nodes: map[string]virtualnode.View{}, offers: map[string]mesos.Offer{}, tasks: map[string]*simTask{}}
	w.restart()
	w.pump()
	return w
}

// restart is a new process of the bridge: all that it knew is gone but what is in the API.
func (w *world) restart() {
	w.state, w.events = New(simConfig), nil
	w.disconnect()
	known := NodesKnown{}
	for name, view := range w.nodes {
		known.Ours = append(known.Ours, KnownNode{Name: name, AgentID: view.Agent.ID, Endpoint: view.Endpoint})
	}
	w.step(known)
	for _, uid := range w.uids() {
		w.step(PodSeen{Pod: w.api[uid].DeepCopy()})
	}
	w.step(PodsSynced{})
}

func (w *world) disconnect() {
	w.connected, w.offers = false, map[string]mesos.Offer{}
	w.silent = false
}

// subscribe is a new subscription: agents are listed, reconciliation is answered, pending updates come again.
func (w *world) subscribe() {
	w.connected = true
	w.events = append(w.events, Subscribed{Framework: mesos.FrameworkID{Value: "F"}})
	w.pump()
	for _, ask := range w.state.Tasks() {
		state, agent := mesos.TASK_GONE, ask.AgentID
		if task := w.tasks[ask.TaskID.Value]; task != nil && !task.over() {
			state, agent = task.state, &task.info.AgentID
		}
		w.answer(ask.TaskID.Value, state, agent)
	}
	for _, id := range w.taskIDs() {
		if task := w.tasks[id]; live(task.state) {
			w.answer(id, task.state, &task.info.AgentID)
		}
	}
	for _, id := range w.taskIDs() {
		w.events = append(w.events, asEvents(w.tasks[id].pending)...)
	}
	w.list()
	w.offer()
}

func asEvents(updates []TaskUpdated) []Event {
	if len(updates) == 0 {
		return nil
	}
	return []Event{updates[0]} // the next one goes when this is acknowledged
}

func (w *world) answer(id string, state mesos.TaskState, agent *mesos.AgentID) {
	reason := mesos.REASON_RECONCILIATION
	w.events = append(w.events, TaskUpdated{Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: id}, State: &state, Reason: &reason, AgentID: agent}})
}

func (w *world) list() {
	answer := &master.Response_GetAgents{}
	for _, id := range []string{"S0", "S1"} {
		answer.Agents = append(answer.Agents, master.Response_GetAgents_Agent{
			AgentInfo: mesos.AgentInfo{ID: &mesos.AgentID{Value: id}, Hostname: "host-" + id}, Active: true, TotalResources: simTotal.Resources("r"),
		})
	}
	w.events = append(w.events, AgentsListed{Answer: answer})
}

func (w *world) offer() {
	if !w.connected || w.silent {
		return
	}
	for _, id := range []string{"S0", "S1"} {
		free := simTotal
		for _, task := range w.tasks {
			if task.info.AgentID.Value == id && live(task.state) {
				free = free.Minus(virtualnode.Of(task.info.Resources))
			}
		}
		free = free.Minus(simConfig.Executor.Resources) // it runs from the beginning
		for _, o := range w.offers {
			if o.AgentID.Value == id {
				free = free.Minus(virtualnode.Of(o.Resources))
			}
		}
		if free.CPU <= 0 || free.Memory <= 0 {
			continue
		}
		w.next++
		o := mesos.Offer{ID: mesos.OfferID{Value: fmt.Sprint("O", w.next)}, AgentID: mesos.AgentID{Value: id}, Resources: free.Resources("r"), ExecutorIDs: []mesos.ExecutorID{simConfig.Executor.Info().ExecutorID}}
		w.offers[o.ID.Value] = o
		w.events = append(w.events, Offered{Offers: []mesos.Offer{o}})
	}
}

// step feeds one event and carries out the effects.
func (w *world) step(e Event) {
	for _, effect := range w.state.Step(w.now, e) {
		w.carryOut(effect)
	}
}

// pump lets everything on its way arrive.
func (w *world) pump() {
	for range 10_000 {
		if len(w.events) == 0 {
			return
		}
		e := w.events[0]
		w.events = w.events[1:]
		w.step(e)
	}
	w.t.Fatal("bridge and world talk for ever")
}

func (w *world) carryOut(effect Effect) {
	switch e := effect.(type) {
	case KeepFramework:
		w.framework = e.ID.Value
		w.events = append(w.events, FrameworkKept{})
	case Accept:
		w.accept(e)
	case Decline:
		for _, id := range e.Offers {
			delete(w.offers, id.Value)
		}
	case Revive:
		w.silent = false
		w.offer()
	case Suppress:
		w.silent = true
	case Kill:
		if task := w.tasks[e.Task.Value]; task != nil && w.connected {
			task.kill = true
		}
	case Acknowledge:
		w.acknowledge(e.Status)
	case WriteStatus:
		if pod := w.api[e.Pod.UID]; pod != nil {
			pod.Status = *e.Status.DeepCopy()
			w.events = append(w.events, PodSeen{Pod: pod.DeepCopy()})
		}
		if e.Ack != nil {
			w.acknowledge(*e.Ack)
		}
	case Delete:
		w.delete(e.Ref.UID)
	case KeepAttempt:
		if pod := w.api[e.Ref.UID]; pod != nil {
			pod.Annotations = map[string]string{virtualnode.AttemptAnnotation: fmt.Sprint(e.Attempt)}
			w.events = append(w.events, AttemptKept{UID: e.Ref.UID, Attempt: e.Attempt})
		}
	case Deliver:
		if task := w.tasks[e.TaskID]; task != nil {
			task.bundle = true
		}
	case ShowNode:
		w.nodes[e.View.Name] = e.View
	case RemoveNode:
		delete(w.nodes, e.Name)
	}
}

func (w *world) accept(e Accept) {
	if !w.connected {
		return // never reached the master
	}
	drop := rapid.IntRange(0, 9).Draw(w.t, "accept is lost") == 0
	for _, id := range e.Offers {
		if _, ok := w.offers[id.Value]; !ok {
			drop = true // of an earlier subscription (reference row ACC-01)
		}
		delete(w.offers, id.Value)
	}
	for _, info := range e.Tasks {
		if drop {
			state, reason := mesos.TASK_DROPPED, mesos.REASON_INVALID_OFFERS
			w.events = append(w.events, TaskUpdated{Status: mesos.TaskStatus{TaskID: info.TaskID, State: &state, Reason: &reason, AgentID: &info.AgentID}})
			continue
		}
		uid, _, _ := virtualnode.PodOfTask(info.TaskID.Value)
		for id, other := range w.tasks {
			if of, _, _ := virtualnode.PodOfTask(id); of == uid {
				w.t.Fatalf("pod %s is started twice: task %s after %s (%v)", uid, info.TaskID.Value, id, other.state)
			}
		}
		task := &simTask{info: info, state: mesos.TASK_STAGING}
		w.tasks[info.TaskID.Value] = task
	}
	if e.Refuse == 0 {
		w.offer()
	}
}

func (w *world) acknowledge(status mesos.TaskStatus) {
	task := w.tasks[status.TaskID.Value]
	if task == nil || !w.connected || len(task.pending) == 0 || string(task.pending[0].Status.UUID) != string(status.UUID) {
		return
	}
	task.pending = task.pending[1:]
	w.events = append(w.events, asEvents(task.pending)...)
}

func (w *world) delete(uid types.UID) {
	for id, task := range w.tasks {
		if of, _, _ := virtualnode.PodOfTask(id); of == string(uid) && live(task.state) {
			w.t.Fatalf("pod %s is deleted while its task is %v", uid, task.state)
		}
	}
	delete(w.api, uid)
	w.events = append(w.events, PodGone{UID: uid})
}

// run lets a task take its next step, as its executor would.
func (w *world) run(id string) {
	task := w.tasks[id]
	phase := corev1.PodRunning
	switch {
	case !live(task.state):
		return
	case task.kill:
		task.state, phase = mesos.TASK_KILLED, corev1.PodFailed
	case task.state == mesos.TASK_STAGING:
		task.state, phase = mesos.TASK_STARTING, corev1.PodPending
	case task.state == mesos.TASK_STARTING && task.bundle:
		task.state = mesos.TASK_RUNNING
	case task.state == mesos.TASK_RUNNING && rapid.IntRange(0, 3).Draw(w.t, "ends") == 0:
		task.state, phase = mesos.TASK_FINISHED, corev1.PodSucceeded
	default:
		return
	}
	w.next++
	state, source := task.state, mesos.SOURCE_EXECUTOR
	now := metav1.NewTime(w.now)
	update := TaskUpdated{
		Status:   mesos.TaskStatus{TaskID: task.info.TaskID, State: &state, Source: &source, AgentID: &task.info.AgentID, UUID: []byte(fmt.Sprint(w.next))},
		Report:   &corev1.PodStatus{Phase: phase, StartTime: &now},
		Endpoint: "E" + task.info.AgentID.Value,
	}
	task.pending = append(task.pending, update)
	if len(task.pending) == 1 && w.connected {
		w.events = append(w.events, update)
	}
	if !live(state) {
		w.offer()
	}
}

func (w *world) create() {
	w.next++
	uid := types.UID(fmt.Sprint("pod", w.next))
	w.api[uid] = &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: string(uid), Namespace: "d", UID: uid},
		Spec: corev1.PodSpec{NodeName: rapid.SampledFrom([]string{"host-s0", "host-s1"}).Draw(w.t, "node"), Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: virtualnode.Amounts{CPU: rapid.Int64Range(0, 900).Draw(w.t, "cpu")}.List()},
		}}},
	}
	w.events = append(w.events, PodSeen{Pod: w.api[uid].DeepCopy()})
}

func (w *world) uids() []types.UID {
	var uids []types.UID
	for uid := range w.api {
		uids = append(uids, uid)
	}
	sort.Slice(uids, func(i, j int) bool { return uids[i] < uids[j] })
	return uids
}

func (w *world) taskIDs() []string {
	var ids []string
	for id := range w.tasks {
		ids = append(ids, id)
	}
	sort.Strings(ids)
	return ids
}

// settle lets time pass without trouble until nothing changes any more.
func (w *world) settle() {
	if !w.connected {
		w.subscribe()
	}
	for range 60 {
		w.pump()
		w.now = w.now.Add(time.Second)
		w.step(Tick{})
		for _, id := range w.taskIDs() {
			w.events = append(w.events, asEvents(w.tasks[id].pending)...) // the agent sends again
			w.run(id)
		}
	}
	w.pump()
}

func TestD9_NoPodTwiceNoneLostWhateverRestarts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t)
		w.subscribe()
		w.pump()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			w.now = w.now.Add(time.Duration(rapid.Int64Range(0, 3000).Draw(t, "ms")) * time.Millisecond)
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0, 1:
				w.create()
			case 2:
				if uids := w.uids(); len(uids) > 0 {
					pod := w.api[rapid.SampledFrom(uids).Draw(t, "deleted")]
					now, grace := metav1.NewTime(w.now), int64(5)
					pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &now, &grace
					w.events = append(w.events, PodSeen{Pod: pod.DeepCopy()})
				}
			case 3:
				w.restart()
			case 4:
				w.disconnect()
				w.events = append(w.events, Disconnected{})
			case 5:
				if !w.connected {
					w.subscribe()
				}
			case 6, 7:
				if ids := w.taskIDs(); len(ids) > 0 {
					w.run(rapid.SampledFrom(ids).Draw(t, "task"))
				}
			case 8:
				w.step(Tick{})
			case 9:
				w.pump()
			}
		}
		w.settle()
		for _, uid := range w.uids() {
			pod := w.api[uid]
			if pod.DeletionTimestamp != nil {
				t.Fatalf("pod %s is still there (phase %s, state %+v)", uid, pod.Status.Phase, w.state.pods[uid])
			}
			if pod.Status.Phase == "" || pod.Status.Phase == corev1.PodPending {
				if held := w.state.pods[uid]; held == nil || held.stage != waiting {
					t.Fatalf("pod %s is neither running nor waiting: %+v", uid, held)
				}
			}
		}
		for id, task := range w.tasks {
			uid, _, _ := virtualnode.PodOfTask(id)
			if live(task.state) && w.api[types.UID(uid)] == nil {
				t.Fatalf("task %s runs for a pod that does not exist", id)
			}
			if len(task.pending) > 0 {
				t.Fatalf("task %s: %d updates are not acknowledged", id, len(task.pending))
			}
		}
	})
}
