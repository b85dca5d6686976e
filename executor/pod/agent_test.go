package pod

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// patience is how long tests wait for something that must come.
const patience = 60 * time.Second

// fakeAgent is the agent's side of the executor API: it acknowledges every update and remembers it.
type fakeAgent struct {
	t      *testing.T
	server *httptest.Server
	data   []byte // ExecutorInfo.data

	mu         sync.Mutex
	events     chan *executor.Event // of the present subscription
	updates    []mesos.TaskStatus
	subscribes []*executor.Call_Subscribe
	hello      *podapi.Message // the newest greeting
	told       []podapi.Event
	silent     bool // do not acknowledge
	down       bool // refuse everything
}

func newFakeAgent(t *testing.T, bridgeCA []byte) *fakeAgent {
	t.Helper()
	a := &fakeAgent{t: t, data: podapi.Encode(podapi.ExecutorData{BridgeCA: string(bridgeCA)})}
	listener, err := net.Listen("tcp", agentIP+":0")
	if err != nil {
		t.Fatal(err)
	}
	a.server = httptest.NewUnstartedServer(a)
	a.server.Listener = listener
	a.server.Start()
	t.Cleanup(a.server.Close)
	t.Cleanup(a.disconnect)
	return a
}

// ServeHTTP implements /api/v1/executor.
func (a *fakeAgent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var call executor.Call
	if err == nil {
		err = codec.Protobuf.Unmarshal(body, &call)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	if a.down {
		a.mu.Unlock()
		http.Error(w, "agent is recovering", http.StatusServiceUnavailable)
		return
	}
	switch call.Type {
	case executor.Call_SUBSCRIBE:
		a.mu.Unlock()
		a.subscribe(w, r, &call)
		return
	case executor.Call_UPDATE:
		a.updates = append(a.updates, call.Update.Status)
		if !a.silent {
			a.acknowledgeLocked(call.Update.Status)
		}
	case executor.Call_MESSAGE:
		var message podapi.Message
		if err := json.Unmarshal(call.Message.Data, &message); err != nil {
			a.t.Errorf("framework message: %v", err)
		}
		if message.System != nil {
			a.hello = &message
		}
		a.told = append(a.told, message.Events...)
	}
	a.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

func (a *fakeAgent) acknowledgeLocked(s mesos.TaskStatus) {
	if a.events != nil {
		a.events <- &executor.Event{Type: executor.Event_ACKNOWLEDGED, Acknowledged: &executor.Event_Acknowledged{TaskID: s.TaskID, UUID: s.UUID}}
	}
}

func (a *fakeAgent) subscribe(w http.ResponseWriter, r *http.Request, call *executor.Call) {
	events := make(chan *executor.Event, 1000)
	events <- &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
		ExecutorInfo:  mesos.ExecutorInfo{ExecutorID: call.ExecutorID, Data: a.data},
		FrameworkInfo: mesos.FrameworkInfo{ID: &call.FrameworkID, User: "root", Name: "kubernetes"},
		AgentInfo:     mesos.AgentInfo{Hostname: "agent"},
	}}
	a.mu.Lock()
	a.events = events
	a.subscribes = append(a.subscribes, call.Subscribe)
	for _, u := range call.Subscribe.UnacknowledgedUpdates {
		a.updates = append(a.updates, u.Status)
		if !a.silent {
			a.acknowledgeLocked(u.Status)
		}
	}
	a.mu.Unlock()
	w.Header().Set("Content-Type", codec.Protobuf.MediaType())
	w.WriteHeader(http.StatusOK)
	out := recordio.NewWriter(w)
	for {
		select {
		case event, ok := <-events:
			if !ok {
				return
			}
			record, err := codec.Protobuf.Marshal(event)
			if err == nil {
				err = out.Write(record)
			}
			if err != nil {
				return
			}
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// disconnect ends the subscription.
func (a *fakeAgent) disconnect() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.events != nil {
		close(a.events)
		a.events = nil
	}
}

func (a *fakeAgent) send(event *executor.Event) {
	a.t.Helper()
	eventually(a.t, "a subscription", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.events == nil {
			return false
		}
		a.events <- event
		return true
	})
}

// last is the newest update of a task.
func (a *fakeAgent) last(task string) (mesos.TaskStatus, podapi.StatusData) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := len(a.updates) - 1; i >= 0; i-- {
		if u := a.updates[i]; u.TaskID.Value == task {
			data, err := podapi.Decode[podapi.StatusData](u.Data)
			if err != nil {
				a.t.Error(err)
			}
			return u, data
		}
	}
	return mesos.TaskStatus{}, podapi.StatusData{}
}

// states are the states of a task's updates, without repetitions.
func (a *fakeAgent) states(task string) (states []mesos.TaskState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range a.updates {
		if u.TaskID.Value == task && (len(states) == 0 || states[len(states)-1] != *u.State) {
			states = append(states, *u.State)
		}
	}
	return states
}

// rig is an executor with a fake agent and a client in the bridge's place.
type rig struct {
	t        *testing.T
	agent    *fakeAgent
	client   *podapi.Client
	executor *Executor
	config   Config
	ended    chan error
}

// newRig starts an executor; before may change its configuration or the world first.
func newRig(t *testing.T, before ...func(*Config)) *rig {
	t.Helper()
	authority, err := podapi.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	ca, _, err := authority.PEM()
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, agent: newFakeAgent(t, ca)}
	r.config = Config{
		Agent: r.agent.server.Listener.Addr().String(), FrameworkID: "f1", ExecutorID: "pods", AgentID: "a1-" + t.Name(),
		Sandbox: t.TempDir(), RuntimeDir: filepath.Join(t.TempDir(), "run"), CRI: rt.socket, IP: agentIP,
		Cgroup: filepath.Join(rt.cgroup, "executor"), Checkpoint: true,
		RecoveryTimeout: time.Minute, SubscriptionBackoff: time.Second, ShutdownGrace: 5 * time.Second, BundleTimeout: patience,
	}
	for _, f := range before {
		f(&r.config)
	}
	r.start()
	certificate, err := authority.ClientCertificate()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the executor's hello", func() bool {
		r.agent.mu.Lock()
		defer r.agent.mu.Unlock()
		return r.agent.hello != nil
	})
	if r.client, err = podapi.Dial(r.agent.hello.Endpoint, certificate); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.client.Close() })
	return r
}

// start runs the executor; its end is checked when the test ends.
func (r *rig) start() {
	r.t.Helper()
	level := slog.LevelInfo
	if os.Getenv("TOMBOLO_TEST_DEBUG") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(logWriter{r.t}, &slog.HandlerOptions{Level: level}))
	x, err := New(r.t.Context(), r.config, log)
	if err != nil {
		r.t.Fatal(err)
	}
	r.executor, r.ended = x, make(chan error, 1)
	go func() { r.ended <- x.Run(r.t.Context()) }()
	r.t.Cleanup(func() {
		// The test's context ends before its cleanups: the executor stops its pods.
		select {
		case err := <-r.ended:
			if err != nil {
				r.t.Errorf("executor: %v", err)
			}
		case <-time.After(patience):
			r.t.Error("the executor does not end")
		}
		r.nothingLeft()
	})
}

// nothingLeft checks that no sandbox, mount, directory or cgroup of the executor has stayed.
func (r *rig) nothingLeft() {
	r.t.Helper()
	mounts, err := mountsOf(r.config.RuntimeDir)
	if err != nil || len(mounts) > 0 {
		r.t.Errorf("mounts left behind: %v, %v", mounts, err)
	}
	if entries, err := os.ReadDir(r.config.RuntimeDir); err == nil && len(entries) > 0 {
		r.t.Errorf("left in the runtime directory: %v", entries)
	}
	for _, root := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/*"} {
		found, err := filepath.Glob(root + r.config.Cgroup + "/pods/pod*")
		if err != nil || len(found) > 0 {
			r.t.Errorf("cgroups left behind: %v, %v", found, err)
		}
	}
}

func (r *rig) task(pod *corev1.Pod) string { return podapi.TaskID(string(pod.UID), 0) }

// launch does what master and agent do, and waits for TASK_STARTING.
func (r *rig) launch(pod *corev1.Pod) {
	r.t.Helper()
	data := podapi.TaskData{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	r.agent.send(&executor.Event{Type: executor.Event_LAUNCH, Launch: &executor.Event_Launch{Task: mesos.TaskInfo{
		Name: pod.Name, TaskID: mesos.TaskID{Value: r.task(pod)}, AgentID: mesos.AgentID{Value: "a1"}, Data: podapi.Encode(data),
	}}})
	r.awaitState(pod, mesos.TASK_STARTING)
}

// run launches the pod and hands it over.
func (r *rig) run(pod *corev1.Pod, change ...func(*podapi.Bundle)) {
	r.t.Helper()
	r.launch(pod)
	bundle := podapi.Bundle{Pod: pod, Node: podapi.Node{Name: "node-1"}}
	for _, f := range change {
		f(&bundle)
	}
	if _, err := r.client.RunPod(r.t.Context(), &podapi.RunPodRequest{TaskID: r.task(pod), Bundle: bundle}); err != nil {
		r.t.Fatalf("RunPod: %v", err)
	}
}

func (r *rig) kill(pod *corev1.Pod, grace time.Duration) {
	r.t.Helper()
	r.agent.send(&executor.Event{Type: executor.Event_KILL, Kill: &executor.Event_Kill{
		TaskID:     mesos.TaskID{Value: r.task(pod)},
		KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: grace.Nanoseconds()}},
	}})
}

func (r *rig) awaitState(pod *corev1.Pod, want mesos.TaskState) corev1.PodStatus {
	r.t.Helper()
	return r.await(pod, want.String(), func(state mesos.TaskState, _ corev1.PodStatus) bool { return state == want })
}

// awaitReady waits until all containers are ready.
func (r *rig) awaitReady(pod *corev1.Pod) corev1.PodStatus {
	r.t.Helper()
	return r.await(pod, "ready", func(_ mesos.TaskState, s corev1.PodStatus) bool { return isReady(&s) })
}

// await waits for an update of the pod that fits.
func (r *rig) await(pod *corev1.Pod, what string, fits func(mesos.TaskState, corev1.PodStatus) bool) corev1.PodStatus {
	r.t.Helper()
	var status corev1.PodStatus
	deadline := time.Now().Add(patience)
	for {
		update, data := r.agent.last(r.task(pod))
		status = data.Status
		if update.State != nil && fits(*update.State, status) {
			return status
		}
		if time.Now().After(deadline) {
			text, _ := json.MarshalIndent(status, "", " ")
			r.t.Fatalf("pod %s is not %s in time; %s %s: %s", pod.Name, what, update.GetState(), update.GetMessage(), text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// logs reads a container's whole log.
func (r *rig) logs(pod *corev1.Pod, container string, change ...func(*podapi.LogsRequest)) (string, error) {
	request := &podapi.LogsRequest{TaskID: r.task(pod), Container: container}
	for _, f := range change {
		f(request)
	}
	stream, err := r.client.Logs(r.t.Context(), request)
	if err != nil {
		return "", err
	}
	text := ""
	for {
		chunk, err := stream.Recv()
		if err == io.EOF {
			return text, nil
		}
		if err != nil {
			return text, err
		}
		text += string(chunk.Data)
	}
}

var podCount int

// newPod is a pod that runs shell scripts in busybox.
func newPod(name string, scripts ...string) *corev1.Pod {
	podCount++
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: name, Namespace: "default", UID: types.UID(fmt.Sprintf("uid-%s-%d", name, podCount)),
	}}
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	for i, script := range scripts {
		pod.Spec.Containers = append(pod.Spec.Containers, shell(fmt.Sprintf("c%d", i), script))
	}
	return pod
}

func shell(name, script string) corev1.Container {
	return corev1.Container{
		Name: name, Image: "busybox:1.36", Command: []string{"sh", "-c", script}, ImagePullPolicy: corev1.PullIfNotPresent,
	}
}

// forever is a script that runs until it is told to stop.
const forever = `trap 'echo bye; exit 0' TERM; while true; do sleep 0.1; done`

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in time", what)
		}
	}
}

// logWriter sends a log to the test's output.
type logWriter struct{ t *testing.T }

func (w logWriter) Write(line []byte) (int, error) {
	w.t.Logf("%s", line)
	return len(line), nil
}

// awaitEvents waits until these reasons have been told of a pod, in this order; others may lie between them.
func (r *rig) awaitEvents(pod *corev1.Pod, reasons ...string) {
	r.t.Helper()
	eventually(r.t, fmt.Sprintf("events %v", reasons), func() bool {
		r.agent.mu.Lock()
		defer r.agent.mu.Unlock()
		left := reasons
		for _, e := range r.agent.told {
			if e.TaskID == r.task(pod) && len(left) > 0 && e.Reason == left[0] {
				left = left[1:]
			}
		}
		return len(left) == 0
	})
}
