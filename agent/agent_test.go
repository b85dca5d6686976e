package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// patience bounds every wait of these tests; none of them asserts a duration.
const patience = 60 * time.Second

// binaries are built once for all tests.
var binaries = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "tombolo-agent-test-")
	if err != nil {
		return "", err
	}
	for _, name := range []string{"tombolo-executor", "testagent"} {
		pkg := "github.com/tombolo-project/tombolo/cmd/" + name
		if name == "testagent" {
			pkg = "github.com/tombolo-project/tombolo/agent/internal/testagent"
		}
		build := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, name), pkg)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return "", fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := binaries(); err == nil {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// fakeMaster speaks libprocess on loopback: it admits agents, acknowledges updates and keeps them.
type fakeMaster struct {
	t      testing.TB
	self   libprocess.UPID
	sender *libprocess.Sender
	server *httptest.Server

	mu       sync.Mutex
	changed  *sync.Cond
	agent    libprocess.UPID
	agentID  string
	ackless  bool // keep updates unacknowledged
	received []proto.Message
}

func newFakeMaster(t testing.TB) *fakeMaster {
	m := &fakeMaster{t: t, agentID: "m-S0"}
	m.changed = sync.NewCond(&m.mu)
	m.server = httptest.NewServer(libprocess.Handler(m.deliver, http.NotFoundHandler()))
	addr := m.server.Listener.Addr().(*net.TCPAddr)
	m.self = libprocess.UPID{ID: "master", Host: "127.0.0.1", Port: addr.Port}
	m.sender = libprocess.NewSender(m.self, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		m.sender.Close()
		m.server.CloseClientConnections()
		m.server.Close()
	})
	return m
}

func (m *fakeMaster) deliver(msg libprocess.Message) bool {
	decoded, err := messages.Decode(msg.Name, msg.Body)
	if err != nil {
		m.t.Errorf("message %s: %v", msg.Name, err)
		return true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agent = msg.From
	m.received = append(m.received, decoded)
	switch d := decoded.(type) {
	case *messages.RegisterSlaveMessage:
		m.send(&messages.SlaveRegisteredMessage{AgentID: mesos.AgentID{Value: m.agentID}})
	case *messages.ReregisterSlaveMessage:
		m.send(&messages.SlaveReregisteredMessage{AgentID: mesos.AgentID{Value: m.agentID}})
	case *messages.StatusUpdateMessage:
		if !m.ackless {
			m.send(&messages.StatusUpdateAcknowledgementMessage{AgentID: mesos.AgentID{Value: m.agentID},
				FrameworkID: d.Update.FrameworkID, TaskID: d.Update.Status.TaskID, UUID: d.Update.UUID})
		}
	}
	m.changed.Broadcast()
	return true
}

func (m *fakeMaster) send(msg proto.Message) {
	if err := m.sender.Send(m.agent, msg); err != nil {
		m.t.Errorf("send: %v", err)
	}
}

func (m *fakeMaster) order(msg proto.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.send(msg)
}

// await waits until done is satisfied with what has been received.
func (m *fakeMaster) await(what string, done func(all []proto.Message) bool) {
	m.t.Helper()
	timeout := time.AfterFunc(patience, func() { m.changed.Broadcast() })
	defer timeout.Stop()
	deadline := time.Now().Add(patience)
	m.mu.Lock()
	defer m.mu.Unlock()
	for !done(m.received) {
		if time.Now().After(deadline) {
			m.t.Fatalf("no %s within %v; updates: %v", what, patience, states(m.received, ""))
		}
		m.changed.Wait()
	}
}

// states are the states of a task's updates without repeats; all tasks' for "".
func states(all []proto.Message, task string) []string {
	var list []string
	seen := map[string]bool{}
	for _, m := range all {
		u, ok := m.(*messages.StatusUpdateMessage)
		if !ok || task != "" && u.Update.Status.TaskID.Value != task || seen[string(u.Update.UUID)] {
			continue
		}
		seen[string(u.Update.UUID)] = true
		list = append(list, strings.TrimPrefix(u.Update.Status.State.String(), "TASK_"))
	}
	return list
}

func (m *fakeMaster) awaitStates(task string, want ...string) {
	m.t.Helper()
	m.await(fmt.Sprintf("%v of %s", want, task), func(all []proto.Message) bool {
		got := states(all, task)
		if len(got) > len(want) {
			m.t.Fatalf("updates of %s are %v, want %v", task, got, want)
		}
		return strings.Join(got, " ") == strings.Join(want, " ")
	})
}

func (m *fakeMaster) last(task string) mesos.TaskStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := len(m.received) - 1; i >= 0; i-- {
		if u, ok := m.received[i].(*messages.StatusUpdateMessage); ok && u.Update.Status.TaskID.Value == task {
			return u.Update.Status
		}
	}
	return mesos.TaskStatus{}
}

func count[T proto.Message](all []proto.Message) int {
	n := 0
	for _, m := range all {
		if _, ok := m.(T); ok {
			n++
		}
	}
	return n
}

// agentProcess is a real agent in a process of its own, so that it can be killed.
type agentProcess struct {
	t      testing.TB
	master *fakeMaster
	dir    string
	root   string // cgroups
	port   int
	cmd    *exec.Cmd
	log    bytes.Buffer
}

func startAgent(t testing.TB, m *fakeMaster) *agentProcess {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it makes cgroups")
	}
	a := &agentProcess{t: t, master: m, dir: t.TempDir(), root: fmt.Sprintf("tombolo-test-%d-%d", os.Getpid(), time.Now().UnixNano()%1e9)}
	if err := os.Chmod(filepath.Dir(a.dir), 0o755); err != nil {
		t.Fatal(err)
	}
	a.start()
	t.Cleanup(func() {
		a.kill()
		a.cleanup()
		if t.Failed() {
			t.Logf("agent's log:\n%s", a.log.String())
		}
	})
	return a
}

func (a *agentProcess) start() {
	a.t.Helper()
	dir, err := binaries()
	if err != nil {
		a.t.Fatal(err)
	}
	a.cmd = exec.Command(filepath.Join(dir, "testagent"), a.master.self.Address(), filepath.Join(a.dir, "work"), filepath.Join(a.dir, "run"),
		a.root, filepath.Join(dir, "tombolo-executor"), strconv.Itoa(a.port), "reconnect")
	a.cmd.Stderr = &a.log
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	if _, err := fmt.Fscanln(out, &a.port); err != nil {
		a.t.Fatalf("the agent does not say its port: %v\n%s", err, a.log.String())
	}
}

// kill -9.
func (a *agentProcess) kill() {
	_ = a.cmd.Process.Kill()
	_ = a.cmd.Wait()
}

// cleanup destroys what the test's agent left, and checks that nothing remains.
func (a *agentProcess) cleanup() {
	dir, err := binaries()
	if err != nil {
		return
	}
	cmd := exec.Command(filepath.Join(dir, "testagent"), a.master.self.Address(), filepath.Join(a.dir, "work"), filepath.Join(a.dir, "run"),
		a.root, filepath.Join(dir, "tombolo-executor"), "0", "cleanup")
	if out, err := cmd.CombinedOutput(); err != nil {
		a.t.Errorf("clean up: %v\n%s", err, out)
	}
	for _, pattern := range a.cgroups() {
		if left, _ := filepath.Glob(pattern); len(left) > 0 {
			a.t.Errorf("cgroups left: %v", left)
		}
	}
	dirs, _ := filepath.Glob("/sys/fs/cgroup/*/" + a.root)
	for _, d := range append(dirs, "/sys/fs/cgroup/"+a.root) {
		_ = os.Remove(d)
	}
}

func (a *agentProcess) get(path string) string {
	a.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d%s", a.port, path), nil)
	if err != nil {
		a.t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(response.Body); err != nil {
		a.t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		a.t.Fatalf("GET %s: %s %s", path, response.Status, b.String())
	}
	return b.String()
}

func scalar(name string, v float64) mesos.Resource {
	kind := mesos.SCALAR
	return mesos.Resource{Name: name, Type: &kind, Scalar: &mesos.Value_Scalar{Value: v}}
}

func framework(id string) mesos.FrameworkInfo {
	checkpoint := true
	return mesos.FrameworkInfo{User: "root", Name: "test", ID: &mesos.FrameworkID{Value: id}, Checkpoint: &checkpoint,
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}, {Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE}}}
}

func commandTask(id, command string) *messages.RunTaskMessage {
	return &messages.RunTaskMessage{Framework: framework("f1"), Task: mesos.TaskInfo{
		Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: mesos.AgentID{Value: "m-S0"},
		Resources: []mesos.Resource{scalar("cpus", 0.1), scalar("mem", 32)}, Command: &mesos.CommandInfo{Value: &command},
	}}
}

func registered(all []proto.Message) bool { return count[*messages.UpdateSlaveMessage](all) > 0 }

// cgroups matches the member lists of the agent's containers, in the older hierarchies and in the unified one.
func (a *agentProcess) cgroups() []string {
	return []string{"/sys/fs/cgroup/*/" + a.root + "/*/cgroup.procs", "/sys/fs/cgroup/" + a.root + "/*/cgroup.procs"}
}

// ended waits until no container of the agent is left.
func (a *agentProcess) ended() {
	a.t.Helper()
	a.gone("containers", append(a.cgroups(), filepath.Join(a.dir, "run", "containers", "*"))...)
}

// gone waits until nothing matches the patterns.
func (a *agentProcess) gone(what string, patterns ...string) {
	a.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var left []string
		for _, p := range patterns {
			found, _ := filepath.Glob(p)
			left = append(left, found...)
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			a.t.Fatalf("%s left: %v", what, left)
		}
	}
}

func (a *agentProcess) sandbox(task string) string {
	return filepath.Join(a.dir, "work/slaves/m-S0/frameworks/f1/executors", task, "runs/latest")
}

func TestCommandTaskRunsToTheEnd(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(commandTask("t1", "echo hello; echo oops >&2; pwd; exit 3"))
	m.awaitStates("t1", "STARTING", "RUNNING", "FAILED")
	if s := m.last("t1"); s.GetMessage() != "Command exited with status 3" {
		t.Errorf("message is %q", s.GetMessage())
	}
	a.ended()
	real, err := filepath.EvalSymlinks(a.sandbox("t1"))
	if err != nil {
		t.Fatal(err)
	}
	if got := a.get("/files/download?path=" + real + "/stdout"); got != "hello\n"+real+"\n" {
		t.Errorf("stdout is %q", got)
	}
	if got := a.get("/files/read?offset=0&path=/frameworks/f1/executors/t1/runs/latest/stderr"); !strings.Contains(got, "oops") {
		t.Errorf("stderr is %q", got)
	}
	if st, err := os.Stat(real); err != nil || st.Mode().Perm() != 0o750 {
		t.Errorf("mode of the sandbox is %v, %v; want 0750", st.Mode(), err)
	}
	a.gone("checkpoints of a finished framework", filepath.Join(a.dir, "work/meta/slaves/m-S0/frameworks/*"))
}

func TestRCV04_TasksOutliveAKilledAgent(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(commandTask("stays", "echo $$ > pid; sleep 1000"))
	m.order(commandTask("ends", "while [ ! -e stop ]; do sleep 0.05; done; exit 4"))
	m.awaitStates("stays", "STARTING", "RUNNING")
	m.awaitStates("ends", "STARTING", "RUNNING")
	a.kill()
	if err := os.WriteFile(filepath.Join(a.sandbox("ends"), "stop"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.start()
	m.await("re-registration", func(all []proto.Message) bool { return count[*messages.ReregisterSlaveMessage](all) > 0 })
	m.awaitStates("ends", "STARTING", "RUNNING", "FAILED")
	if s := m.last("ends"); s.GetMessage() != "Command exited with status 4" {
		t.Errorf("message is %q", s.GetMessage())
	}
	pid, err := os.ReadFile(filepath.Join(a.sandbox("stays"), "pid"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); err != nil {
		t.Errorf("the task died with the agent: %v", err)
	}
	m.order(&messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f1"}, TaskID: mesos.TaskID{Value: "stays"}})
	m.awaitStates("stays", "STARTING", "RUNNING", "KILLING", "KILLED")
	a.ended()
}

// A group of the default executor: its tasks' files are found by their ids, it outlives a killed agent, and one bad end
// ends all of it.
func TestTG11_AGroupOutlivesAKilledAgent(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	order := &messages.RunTaskGroupMessage{Framework: framework("f1"), Executor: mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "e"}, FrameworkID: &mesos.FrameworkID{Value: "f1"},
		Resources: []mesos.Resource{scalar("cpus", 0.1), scalar("mem", 32)},
	}}
	for id, command := range map[string]string{"stays": "echo hello; sleep 1000", "ends": "while [ ! -e stop ]; do sleep 0.05; done; exit 4"} {
		task := commandTask(id, command).Task
		order.TaskGroup.Tasks = append(order.TaskGroup.Tasks, task)
	}
	m.order(order)
	m.awaitStates("stays", "STARTING", "RUNNING")
	m.awaitStates("ends", "STARTING", "RUNNING")
	files, err := filepath.EvalSymlinks(filepath.Join(a.sandbox("e"), "tasks"))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		out, err := os.ReadFile(filepath.Join(files, "stays", "stdout"))
		if err == nil && string(out) == "hello\n" {
			break
		}
		if err != nil || time.Now().After(deadline) {
			t.Fatalf("stdout is %q, %v", out, err)
		}
	}
	a.kill()
	if err := os.WriteFile(filepath.Join(files, "ends", "stop"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	a.start()
	m.awaitStates("ends", "STARTING", "RUNNING", "FAILED")
	m.awaitStates("stays", "STARTING", "RUNNING", "KILLING", "KILLED")
	if s := m.last("ends"); s.GetMessage() != "Command exited with status 4" {
		t.Errorf("message is %q", s.GetMessage())
	}
	a.ended()
}

func TestEXE11_ExecutorsThatDiedWhileTheAgentWasAwayAreReported(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(commandTask("t1", "echo $$ > pid; sleep 1000"))
	m.awaitStates("t1", "STARTING", "RUNNING")
	a.kill()
	for _, file := range mustGlob(t, a.cgroups()...) {
		pids, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range strings.Fields(string(pids)) {
			pid, _ := strconv.Atoi(p)
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	a.start()
	m.awaitStates("t1", "STARTING", "RUNNING", "FAILED")
	if s := m.last("t1"); s.GetReason() != mesos.REASON_COMMAND_EXECUTOR_FAILED || s.GetSource() != mesos.SOURCE_AGENT {
		t.Errorf("reason is %v from %v", s.GetReason(), s.GetSource())
	}
	a.ended()
}

func mustGlob(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) == 0 {
		t.Fatalf("nothing matches %q", patterns)
	}
	return all
}

func TestUPD06_UnacknowledgedUpdatesComeAgainAfterARestart(t *testing.T) {
	m := newFakeMaster(t)
	m.ackless = true
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(commandTask("t1", "true"))
	m.awaitStates("t1", "STARTING") // UPD-01: the next is held back
	a.kill()
	m.mu.Lock()
	m.ackless = false
	m.mu.Unlock()
	a.start()
	m.awaitStates("t1", "STARTING", "RUNNING", "FINISHED")
	a.ended()
}

func TestLCH02_MemoryLimit(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(commandTask("t1", `x=a; while :; do x="$x$x"; done`))
	m.awaitStates("t1", "STARTING", "RUNNING", "FAILED")
	if s := m.last("t1"); s.GetReason() != mesos.REASON_CONTAINER_LIMITATION_MEMORY {
		t.Errorf("reason is %v: %s", s.GetReason(), s.GetMessage())
	}
	a.ended()
}

func TestKIL06_StubbornTaskIsKilledWithItsChildren(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	m.order(commandTask("t1", `trap '' TERM; setsid sh -c 'trap "" TERM; sleep 1000' & sh -c 'trap "" TERM; sleep 1000' & touch up; wait; wait; sleep 1000`))
	m.awaitStates("t1", "STARTING", "RUNNING")
	m.order(&messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f1"}, TaskID: mesos.TaskID{Value: "t1"},
		KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(200 * time.Millisecond)}}})
	m.awaitStates("t1", "STARTING", "RUNNING", "KILLING", "KILLED")
	if s := m.last("t1"); s.GetMessage() != "Command terminated with signal Killed" {
		t.Errorf("message is %q", s.GetMessage())
	}
	a.ended()
}

// BenchmarkLaunch is the time from RunTask at the agent to TASK_RUNNING at the master.
func BenchmarkLaunch(b *testing.B) {
	m := newFakeMaster(b)
	a := startAgent(b, m)
	m.await("registration", registered)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("t%d", i)
		began := time.Now()
		m.order(commandTask(id, "sleep 1000"))
		m.awaitStates(id, "STARTING", "RUNNING")
		took = append(took, time.Since(began))
		b.StopTimer()
		m.order(&messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f1"}, TaskID: mesos.TaskID{Value: id}})
		m.awaitStates(id, "STARTING", "RUNNING", "KILLING", "KILLED")
		a.ended()
		b.StartTimer()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
