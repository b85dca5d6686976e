package bridge

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
	"github.com/tombolo-project/tombolo/virtualnode"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// datacenter is a Mesos master with agents and pod executors in this process: enough of the protocol to drive a bridge,
// with every update resent until it is acknowledged.
type datacenter struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex // Protects fields below.
	stream   chan *scheduler.Event
	hangUp   chan struct{}
	silent   bool // offers are suppressed
	agents   map[string]*fakeAgent
	tasks    map[string]*fakeTask
	next     int
	launches map[string]int // by task id
	acked    int
}

type fakeAgent struct {
	id, host string
	total    virtualnode.Amounts
	offer    string // outstanding
	gone     bool
	executor *fakeExecutor
}

type fakeTask struct {
	info    mesos.TaskInfo
	state   mesos.TaskState
	pending []mesos.TaskStatus // not acknowledged
	bundle  *podapi.Bundle
}

func newDatacenter(t *testing.T, hosts ...string) *datacenter {
	d := &datacenter{t: t, agents: map[string]*fakeAgent{}, tasks: map[string]*fakeTask{}, launches: map[string]int{}}
	for i, host := range hosts {
		id := fmt.Sprintf("agents-S%d", i)
		d.agents[id] = &fakeAgent{id: id, host: host, total: virtualnode.Amounts{CPU: 4000, Memory: 4096_000, Disk: 10_000_000}}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/v1/scheduler", d.scheduler)
	mux.HandleFunc("POST /api/v1", d.operator)
	d.server = httptest.NewServer(mux)
	t.Cleanup(func() {
		d.disconnect()
		d.server.Close()
	})
	return d
}

func (d *datacenter) address() string { return d.server.Listener.Addr().String() }

// disconnect breaks the subscription.
func (d *datacenter) disconnect() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.hangUp != nil {
		close(d.hangUp)
		d.hangUp, d.stream = nil, nil
	}
}

func (d *datacenter) operator(w http.ResponseWriter, _ *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	answer := &master.Response{Type: master.Response_GET_AGENTS, GetAgents: &master.Response_GetAgents{}}
	for _, a := range d.agents {
		if a.gone {
			continue
		}
		pid := "slave(1)@10.9.8.7:5051"
		answer.GetAgents.Agents = append(answer.GetAgents.Agents, master.Response_GetAgents_Agent{
			AgentInfo: mesos.AgentInfo{Hostname: a.host, ID: &mesos.AgentID{Value: a.id}},
			Active:    true, Version: "1.11.0", PID: &pid,
			TotalResources: a.total.Resources("kubernetes"),
			Capabilities:   []mesos.AgentInfo_Capability{{Type: mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS}},
		})
	}
	data, _ := codec.Protobuf.Marshal(answer)
	w.Header().Set("Content-Type", codec.Protobuf.MediaType())
	_, _ = w.Write(data)
}

func (d *datacenter) scheduler(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := &scheduler.Call{}
	if err := codec.Protobuf.Unmarshal(body, call); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if call.GetType() == scheduler.Call_SUBSCRIBE {
		d.subscribe(w, r)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.call(call)
	w.WriteHeader(http.StatusAccepted)
}

func (d *datacenter) subscribe(w http.ResponseWriter, r *http.Request) {
	d.disconnect()
	d.mu.Lock()
	stream, hangUp := make(chan *scheduler.Event, 10000), make(chan struct{})
	d.stream, d.hangUp, d.silent = stream, hangUp, false
	seconds := 15.0
	d.send(&scheduler.Event{Type: scheduler.Event_SUBSCRIBED, Subscribed: &scheduler.Event_Subscribed{
		FrameworkID: &mesos.FrameworkID{Value: "F1"}, HeartbeatIntervalSeconds: &seconds}})
	for _, a := range d.agents {
		a.offer = ""
	}
	for _, task := range d.tasks {
		d.resend(task)
	}
	d.offer()
	d.mu.Unlock()
	w.Header().Set("Content-Type", codec.Protobuf.MediaType())
	w.Header().Set("Mesos-Stream-Id", "S")
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	out := recordio.NewWriter(w)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-hangUp:
			return
		case event := <-stream:
			data, _ := codec.Protobuf.Marshal(event)
			if out.Write(data) != nil {
				return
			}
			w.(http.Flusher).Flush()
		}
	}
}

func (d *datacenter) send(event proto.Message) {
	if d.stream != nil {
		d.stream <- event.(*scheduler.Event)
	}
}

func (d *datacenter) resend(task *fakeTask) {
	if len(task.pending) > 0 {
		d.send(&scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: task.pending[0]}})
	}
}

// offer offers what is free on every agent without an outstanding offer.
func (d *datacenter) offer() {
	if d.silent || d.stream == nil {
		return
	}
	for _, a := range d.agents {
		if a.offer != "" || a.gone {
			continue
		}
		free := a.total
		executors := []mesos.ExecutorID(nil)
		for _, task := range d.tasks {
			if task.info.AgentID.Value == a.id && !ended(task.state) {
				free = free.Minus(virtualnode.Of(task.info.Resources))
			}
		}
		if a.executor != nil {
			free = free.Minus(virtualnode.Of(a.executor.info.Resources))
			executors = append(executors, a.executor.info.ExecutorID)
		}
		d.next++
		a.offer = fmt.Sprintf("O%d", d.next)
		d.send(&scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{Offers: []mesos.Offer{{
			ID: mesos.OfferID{Value: a.offer}, FrameworkID: mesos.FrameworkID{Value: "F1"}, AgentID: mesos.AgentID{Value: a.id},
			Hostname: a.host, Resources: free.Resources("kubernetes"), ExecutorIDs: executors,
		}}}})
	}
}

func ended(state mesos.TaskState) bool {
	return state == mesos.TASK_FAILED || state == mesos.TASK_FINISHED || state == mesos.TASK_KILLED
}

func (d *datacenter) call(call *scheduler.Call) {
	switch call.GetType() {
	case scheduler.Call_ACCEPT:
		for _, op := range call.GetAccept().GetOperations() {
			for _, info := range op.GetLaunch().GetTaskInfos() {
				d.launch(info)
			}
		}
		d.take(call.GetAccept().GetOfferIDs())
	case scheduler.Call_DECLINE:
		d.take(call.GetDecline().GetOfferIDs())
	case scheduler.Call_REVIVE:
		d.silent = false
		d.offer()
	case scheduler.Call_SUPPRESS:
		d.silent = true
	case scheduler.Call_KILL:
		if task := d.tasks[call.GetKill().TaskID.Value]; task != nil && !ended(task.state) {
			d.finish(task, mesos.TASK_KILLED)
		}
	case scheduler.Call_ACKNOWLEDGE:
		if task := d.tasks[call.GetAcknowledge().TaskID.Value]; task != nil && len(task.pending) > 0 {
			task.pending = task.pending[1:]
			d.acked++
			d.resend(task)
		}
	case scheduler.Call_RECONCILE:
		d.reconcile(call.GetReconcile().GetTasks())
	}
}

func (d *datacenter) take(ids []mesos.OfferID) {
	for _, id := range ids {
		for _, a := range d.agents {
			if a.offer == id.Value {
				a.offer = ""
			}
		}
	}
}

func (d *datacenter) reconcile(asked []scheduler.Call_Reconcile_Task) {
	reason, source := mesos.REASON_RECONCILIATION, mesos.SOURCE_MASTER
	answer := func(id string, state mesos.TaskState, agent *mesos.AgentID) {
		d.send(&scheduler.Event{Type: scheduler.Event_UPDATE, Update: &scheduler.Event_Update{Status: mesos.TaskStatus{
			TaskID: mesos.TaskID{Value: id}, State: &state, Reason: &reason, Source: &source, AgentID: agent,
		}}})
	}
	for _, ask := range asked {
		if task := d.tasks[ask.TaskID.Value]; task != nil {
			answer(ask.TaskID.Value, task.state, &task.info.AgentID)
		} else {
			answer(ask.TaskID.Value, mesos.TASK_GONE, ask.AgentID)
		}
	}
	if len(asked) > 0 {
		return
	}
	for id, task := range d.tasks {
		if !ended(task.state) {
			answer(id, task.state, &task.info.AgentID)
		}
	}
}

func (d *datacenter) launch(info mesos.TaskInfo) {
	d.launches[info.TaskID.Value]++
	a := d.agents[info.AgentID.Value]
	if a.executor == nil {
		a.executor = newFakeExecutor(d, a, info.Executor)
	}
	task := &fakeTask{info: info}
	d.tasks[info.TaskID.Value] = task
	d.update(task, mesos.TASK_STARTING, corev1.PodStatus{Phase: corev1.PodPending})
}

func (d *datacenter) finish(task *fakeTask, state mesos.TaskState) {
	d.update(task, state, corev1.PodStatus{Phase: corev1.PodFailed})
}

// update is a status update of a task's executor, on its way until it is acknowledged.
func (d *datacenter) update(task *fakeTask, state mesos.TaskState, status corev1.PodStatus) {
	task.state = state
	d.next++
	source := mesos.SOURCE_EXECUTOR
	agent := d.agents[task.info.AgentID.Value]
	sum := sha256.Sum256([]byte(fmt.Sprint(d.next)))
	update := mesos.TaskStatus{
		TaskID: task.info.TaskID, State: &state, Source: &source, AgentID: &task.info.AgentID, UUID: sum[:16],
		Data: podapi.Encode(podapi.StatusData{Status: status, Endpoint: agent.executor.endpoint}),
	}
	task.pending = append(task.pending, update)
	if len(task.pending) == 1 {
		d.resend(task)
	}
}

// fakeExecutor runs pods by saying so.
type fakeExecutor struct {
	d        *datacenter
	info     *mesos.ExecutorInfo
	endpoint podapi.Endpoint
}

func newFakeExecutor(d *datacenter, a *fakeAgent, info *mesos.ExecutorInfo) *fakeExecutor {
	data, err := podapi.Decode[podapi.ExecutorData](info.Data)
	if err != nil {
		d.t.Error(err)
	}
	identity, err := podapi.NewIdentity()
	if err != nil {
		d.t.Error(err)
	}
	e := &fakeExecutor{d: d, info: info}
	server, err := podapi.NewServer(identity, []byte(data.BridgeCA), e)
	if err != nil {
		d.t.Error(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.t.Error(err)
	}
	e.endpoint = podapi.Endpoint{Address: listener.Addr().String(), Fingerprint: podapi.Fingerprint(identity.Certificate[0])}
	go func() { _ = server.Serve(listener) }()
	d.t.Cleanup(server.Stop)
	return e
}

func (e *fakeExecutor) RunPod(_ context.Context, r *podapi.RunPodRequest) (*podapi.RunPodResponse, error) {
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	task := e.d.tasks[r.TaskID]
	if task.bundle != nil {
		return &podapi.RunPodResponse{}, nil
	}
	task.bundle = &r.Bundle
	now := metav1.Now()
	status := corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.1.2.3", PodIPs: []corev1.PodIP{{IP: "10.1.2.3"}}, StartTime: &now,
		Conditions: []corev1.PodCondition{{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	for _, c := range r.Bundle.Pod.Spec.Containers {
		status.ContainerStatuses = append(status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: now}},
		})
	}
	e.d.update(task, mesos.TASK_RUNNING, status)
	return &podapi.RunPodResponse{}, nil
}

func (e *fakeExecutor) UpdatePod(_ context.Context, r *podapi.UpdatePodRequest) (*podapi.UpdatePodResponse, error) {
	e.d.mu.Lock()
	defer e.d.mu.Unlock()
	if task := e.d.tasks[r.TaskID]; task != nil {
		task.bundle = &r.Bundle
	}
	return &podapi.UpdatePodResponse{}, nil
}

func (e *fakeExecutor) ForgetPod(_ context.Context, r *podapi.ForgetPodRequest) (*podapi.ForgetPodResponse, error) {
	return &podapi.ForgetPodResponse{}, nil
}

func (e *fakeExecutor) Pods(context.Context, *podapi.PodsRequest) (*podapi.PodsResponse, error) {
	return &podapi.PodsResponse{}, nil
}

func (e *fakeExecutor) Stats(context.Context, *podapi.StatsRequest) (*podapi.StatsResponse, error) {
	cpu, memory := uint64(2*time.Second), uint64(1<<20)
	now := metav1.Now()
	return &podapi.StatsResponse{Summary: stats.Summary{Pods: []stats.PodStats{{
		PodRef: stats.PodReference{Namespace: "default", Name: "a"},
		CPU:    &stats.CPUStats{Time: now, UsageCoreNanoSeconds: &cpu}, Memory: &stats.MemoryStats{Time: now, WorkingSetBytes: &memory},
	}}}}, nil
}

func (e *fakeExecutor) Logs(r *podapi.LogsRequest, out podapi.LogSender) error {
	return out.Send(&podapi.Chunk{Data: []byte("log of " + r.Container + "\n")})
}

// Exec echoes its input in capitals... and ends with the code that the command names.
func (e *fakeExecutor) Exec(s podapi.ExecServer) error {
	first, err := s.Recv()
	if err != nil {
		return err
	}
	for first.Start.Stdin {
		in, err := s.Recv()
		if err != nil {
			return err
		}
		if in.StdinEOF {
			break
		}
		if err := s.Send(&podapi.ExecOutput{Stdout: append([]byte("heard "), in.Stdin...)}); err != nil {
			return err
		}
	}
	code := 0
	if len(first.Start.Command) > 1 {
		_, _ = fmt.Sscan(first.Start.Command[1], &code)
	}
	return s.Send(&podapi.ExecOutput{Exit: &podapi.ExecExit{Code: code}})
}

func (e *fakeExecutor) Attach(s podapi.ExecServer) error { return e.Exec(s) }

func (e *fakeExecutor) PortForward(s podapi.ForwardServer) error {
	if _, err := s.Recv(); err != nil {
		return err
	}
	for {
		in, err := s.Recv()
		if err != nil {
			return nil //nolint:nilerr // the caller has hung up
		}
		if err := s.Send(&podapi.Chunk{Data: append([]byte("port says "), in.Data...)}); err != nil {
			return err
		}
	}
}
