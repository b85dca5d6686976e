package command

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/executor/agentlink"
	"github.com/tombolo-project/tombolo/executor/checks"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/recordio"
)

const patience = 60 * time.Second

// fakeAgent serves the v1 executor API to one executor: it launches a task, confirms
// updates and keeps them.
type fakeAgent struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	changed  *sync.Cond
	stream   chan *executor.Event // of the connected executor
	hangup   chan struct{}
	updates  []mesos.TaskStatus // without repeats
	seen     map[string]bool
	subs     []*executor.Call_Subscribe
	ackless  bool
	refusing bool // answer 503, as a restarting agent
}

func newFakeAgent(t *testing.T) *fakeAgent {
	a := &fakeAgent{t: t, seen: map[string]bool{}}
	a.changed = sync.NewCond(&a.mu)
	a.server = httptest.NewServer(http.HandlerFunc(a.serve))
	t.Cleanup(func() {
		a.breakStream()
		a.server.CloseClientConnections()
		a.server.Close()
	})
	return a
}

func (a *fakeAgent) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	call := &executor.Call{}
	if err := codec.Protobuf.Unmarshal(body, call); err != nil {
		a.t.Errorf("call: %v", err)
		return
	}
	a.mu.Lock()
	if a.refusing {
		a.mu.Unlock()
		http.Error(w, "recovering", http.StatusServiceUnavailable)
		return
	}
	switch call.Type {
	case executor.Call_SUBSCRIBE:
		stream, hangup := make(chan *executor.Event, 64), make(chan struct{})
		a.stream, a.hangup = stream, hangup
		a.subs = append(a.subs, call.Subscribe)
		stream <- &executor.Event{Type: executor.Event_SUBSCRIBED, Subscribed: &executor.Event_Subscribed{
			FrameworkInfo: mesos.FrameworkInfo{Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_TASK_KILLING_STATE}}}}}
		for _, u := range call.Subscribe.UnacknowledgedUpdates {
			a.take(u.Status)
		}
		a.changed.Broadcast()
		a.mu.Unlock()
		a.write(w, r, stream, hangup)
		return
	case executor.Call_UPDATE:
		a.take(call.Update.Status)
		a.changed.Broadcast()
	}
	a.mu.Unlock()
	w.WriteHeader(http.StatusAccepted)
}

func (a *fakeAgent) write(w http.ResponseWriter, r *http.Request, stream chan *executor.Event, hangup chan struct{}) {
	out := recordio.NewWriter(w)
	for {
		select {
		case e := <-stream:
			data, err := codec.Protobuf.Marshal(e)
			if err != nil || out.Write(data) != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
		case <-hangup:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (a *fakeAgent) take(s mesos.TaskStatus) {
	if !a.seen[string(s.UUID)] {
		a.seen[string(s.UUID)] = true
		a.updates = append(a.updates, s)
	}
	if !a.ackless && a.stream != nil {
		a.stream <- &executor.Event{Type: executor.Event_ACKNOWLEDGED, Acknowledged: &executor.Event_Acknowledged{TaskID: s.TaskID, UUID: s.UUID}}
	}
}

func (a *fakeAgent) breakStream() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.hangup != nil {
		close(a.hangup)
		a.hangup, a.stream = nil, nil
	}
}

func (a *fakeAgent) await(what string, done func() bool) {
	a.t.Helper()
	wake := time.AfterFunc(patience, a.changed.Broadcast)
	defer wake.Stop()
	deadline := time.Now().Add(patience)
	a.mu.Lock()
	defer a.mu.Unlock()
	for !done() {
		if time.Now().After(deadline) {
			a.t.Fatalf("no %s; updates: %s", what, a.statesLocked())
		}
		a.changed.Wait()
	}
}

func (a *fakeAgent) statesLocked() string {
	var list []string
	for _, u := range a.updates {
		list = append(list, strings.TrimPrefix(u.State.String(), "TASK_"))
	}
	return strings.Join(list, " ")
}

func (a *fakeAgent) awaitStates(want string) {
	a.t.Helper()
	a.await(want, func() bool { return a.statesLocked() == want })
}

func (a *fakeAgent) last() *mesos.TaskStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	last := a.updates[len(a.updates)-1]
	return &last
}

func (a *fakeAgent) tell(e *executor.Event) {
	a.t.Helper()
	a.await("subscription", func() bool { return a.stream != nil })
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stream <- e
}

// start runs an executor with a task; the channel yields what Run returned.
func (a *fakeAgent) start(task mesos.TaskInfo, change func(*agentlink.Config)) <-chan error {
	a.t.Helper()
	cfg := a.config(change)
	result := make(chan error, 1)
	go func() { result <- Run(context.Background(), cfg) }()
	a.tell(&executor.Event{Type: executor.Event_LAUNCH, Launch: &executor.Event_Launch{Task: task}})
	return result
}

func (a *fakeAgent) config(change func(*agentlink.Config)) agentlink.Config {
	cfg := agentlink.Config{Endpoint: a.server.URL, Framework: "f", Executor: "t", Sandbox: a.t.TempDir(), Checkpoint: true,
		RecoveryTimeout: patience, BackoffMax: 100 * time.Millisecond, ShutdownGrace: 5 * time.Second, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	return cfg
}

func (a *fakeAgent) kill(grace time.Duration) {
	a.tell(&executor.Event{Type: executor.Event_KILL, Kill: &executor.Event_Kill{TaskID: mesos.TaskID{Value: "t"},
		KillPolicy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(grace)}}}})
}

func ended(t *testing.T, result <-chan error) error {
	t.Helper()
	select {
	case err := <-result:
		return err
	case <-time.After(patience):
		t.Fatal("the executor does not end")
		return nil
	}
}

func shell(command string) mesos.TaskInfo {
	return mesos.TaskInfo{TaskID: mesos.TaskID{Value: "t"}, Command: &mesos.CommandInfo{Value: &command}}
}

func TestExitStatusBecomesState(t *testing.T) {
	for command, want := range map[string]string{
		"exit 0": "FINISHED Command exited with status 0", "exit 7": "FAILED Command exited with status 7",
		"kill -9 $$": "FAILED Command terminated with signal Killed", "kill -SEGV $$": "FAILED Command terminated with signal Segmentation fault",
	} {
		a := newFakeAgent(t)
		result := a.start(shell(command), nil)
		state, text, _ := strings.Cut(want, " ")
		a.awaitStates("STARTING RUNNING " + state)
		if got := a.last().GetMessage(); !strings.HasPrefix(got, text) {
			t.Errorf("%s: message %q, want %q", command, got, text)
		}
		if err := ended(t, result); err != nil {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func TestLCH13_ArgvAndEnvironment(t *testing.T) {
	a := newFakeAgent(t)
	no, sh, value, dir := false, "/bin/sh", "x y", ""
	task := mesos.TaskInfo{TaskID: mesos.TaskID{Value: "t"}, Command: &mesos.CommandInfo{
		Shell: &no, Value: &sh, Arguments: []string{"sh", "-c", `echo "$MY_VAR $0 $1" > out`, "zero", "one"},
		Environment: &mesos.Environment{Variables: []mesos.Environment_Variable{{Name: "MY_VAR", Value: &value}}},
	}}
	result := a.start(task, func(c *agentlink.Config) { dir = c.Sandbox })
	a.awaitStates("STARTING RUNNING FINISHED")
	if got, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(got) != "x y zero one\n" {
		t.Errorf("output is %q, %v", got, err)
	}
	_ = ended(t, result)
	missing := "/no/such/file"
	b := newFakeAgent(t)
	result = b.start(mesos.TaskInfo{TaskID: mesos.TaskID{Value: "t"}, Command: &mesos.CommandInfo{Shell: &no, Value: &missing}}, nil)
	b.awaitStates("STARTING RUNNING FAILED")
	_ = ended(t, result)
}

func TestKIL06_GraceAndItsShortening(t *testing.T) {
	a := newFakeAgent(t)
	dir := ""
	result := a.start(shell("trap '' TERM; touch deaf; while :; do sleep 0.05; done"), func(c *agentlink.Config) { dir = c.Sandbox })
	a.awaitStates("STARTING RUNNING")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "deaf")); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the command did not get to ignoring SIGTERM")
		}
	}
	a.kill(time.Hour)
	a.awaitStates("STARTING RUNNING KILLING")
	a.kill(2 * time.Hour) // can't make it longer
	a.kill(10 * time.Millisecond)
	a.awaitStates("STARTING RUNNING KILLING KILLED")
	if got := a.last().GetMessage(); got != "Command terminated with signal Killed" {
		t.Errorf("message is %q", got)
	}
	_ = ended(t, result)
}

func TestShutdown(t *testing.T) {
	a := newFakeAgent(t)
	result := a.start(shell("sleep 1000"), nil)
	a.awaitStates("STARTING RUNNING")
	a.tell(&executor.Event{Type: executor.Event_SHUTDOWN})
	a.awaitStates("STARTING RUNNING KILLING KILLED")
	if err := ended(t, result); err != nil {
		t.Error(err)
	}
}

func TestMaxCompletionTime(t *testing.T) {
	a := newFakeAgent(t)
	task := shell("sleep 1000")
	task.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: int64(50 * time.Millisecond)}
	result := a.start(task, nil)
	a.awaitStates("STARTING RUNNING FAILED")
	if got := a.last().GetReason(); got != mesos.REASON_MAX_COMPLETION_TIME_REACHED {
		t.Errorf("reason is %v", got)
	}
	_ = ended(t, result)
}

// EXE-06: what the agent has not confirmed is told again after it comes back.
func TestEXE06_AgentRestart(t *testing.T) {
	a := newFakeAgent(t)
	a.ackless = true
	var dir string
	result := a.start(shell("while [ ! -e stop ]; do sleep 0.02; done; exit 3"), func(c *agentlink.Config) { dir = c.Sandbox })
	a.awaitStates("STARTING RUNNING")
	a.mu.Lock()
	a.refusing, a.ackless = true, false
	a.mu.Unlock()
	a.breakStream()
	if err := os.WriteFile(filepath.Join(dir, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.refusing = false
	a.mu.Unlock()
	a.awaitStates("STARTING RUNNING FAILED")
	if err := ended(t, result); err != nil {
		t.Error(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if again := a.subs[len(a.subs)-1]; len(again.UnacknowledgedTasks) != 1 || len(again.UnacknowledgedUpdates) < 2 {
		t.Errorf("subscription after the restart is %+v", again)
	}
}

// EXE-09: without checkpointing an executor does not outlive its agent.
func TestEXE09_WithoutCheckpointing(t *testing.T) {
	a := newFakeAgent(t)
	result := a.start(shell("sleep 1000"), func(c *agentlink.Config) { c.Checkpoint = false })
	a.awaitStates("STARTING RUNNING")
	a.breakStream()
	if err := ended(t, result); err == nil {
		t.Error("it ended as if all were well")
	}
}

// checked is a task with a health check that looks every few milliseconds.
func checked(h mesos.HealthCheck) mesos.TaskInfo {
	task := shell("sleep 1000")
	zero, short, failures := 0.0, 0.02, uint32(2)
	h.DelaySeconds, h.IntervalSeconds, h.ConsecutiveFailures = &zero, &short, &failures
	if h.GracePeriodSeconds == nil {
		h.GracePeriodSeconds = &zero
	}
	task.HealthCheck = &h
	return task
}

func TestHC02_CommandHealthCheckKills(t *testing.T) {
	a := newFakeAgent(t)
	fail := "exit 1"
	result := a.start(checked(mesos.HealthCheck{Type: mesos.HealthCheck_COMMAND, Command: &mesos.CommandInfo{Value: &fail}}), nil)
	a.awaitStates("STARTING RUNNING RUNNING RUNNING KILLING KILLED")
	last := a.last()
	if last.Healthy == nil || *last.Healthy {
		t.Errorf("healthy is %v", last.Healthy)
	}
	a.mu.Lock()
	if got := a.updates[2].GetReason(); got != mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED {
		t.Errorf("reason is %v", got)
	}
	a.mu.Unlock()
	_ = ended(t, result)
}

func TestHealthChecksOverTheNetwork(t *testing.T) {
	var mu sync.Mutex
	status := http.StatusServiceUnavailable
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/ping" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
	}))
	defer web.Close()
	_, text, _ := net.SplitHostPort(web.Listener.Addr().String())
	number, _ := strconv.ParseUint(text, 10, 32)
	port, path, grace := uint32(number), "/ping", 1000.0
	a := newFakeAgent(t)
	// Within the grace period failures don't count until the first success.
	result := a.start(checked(mesos.HealthCheck{Type: mesos.HealthCheck_HTTP, HTTP: &mesos.HealthCheck_HTTPCheckInfo{Port: port, Path: &path}, GracePeriodSeconds: &grace}), nil)
	a.awaitStates("STARTING RUNNING")
	mu.Lock()
	status = http.StatusNoContent
	mu.Unlock()
	a.awaitStates("STARTING RUNNING RUNNING")
	if last := a.last(); last.Healthy == nil || !*last.Healthy {
		t.Errorf("healthy is %v", last.Healthy)
	}
	mu.Lock()
	status = http.StatusInternalServerError
	mu.Unlock()
	a.awaitStates("STARTING RUNNING RUNNING RUNNING RUNNING KILLING KILLED")
	_ = ended(t, result)

	b := newFakeAgent(t)
	result = b.start(checked(mesos.HealthCheck{Type: mesos.HealthCheck_TCP, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: port}}), nil)
	b.awaitStates("STARTING RUNNING RUNNING")
	if last := b.last(); last.Healthy == nil || !*last.Healthy {
		t.Errorf("tcp: healthy is %v", last.Healthy)
	}
	b.kill(0)
	_ = ended(t, result)
}

func TestHC03_CheckReportsOutcome(t *testing.T) {
	a := newFakeAgent(t)
	code, zero, long := "exit 5", 0.0, 1000.0
	task := shell("sleep 1000")
	task.Check = &mesos.CheckInfo{Type: mesos.CheckInfo_COMMAND, DelaySeconds: &zero, IntervalSeconds: &long,
		Command: &mesos.CheckInfo_Command{Command: mesos.CommandInfo{Value: &code}}}
	result := a.start(task, nil)
	a.awaitStates("STARTING RUNNING RUNNING")
	last := a.last()
	if last.GetReason() != mesos.REASON_TASK_CHECK_STATUS_UPDATED || last.CheckStatus.Command.GetExitCode() != 5 {
		t.Errorf("status is %+v", last)
	}
	a.kill(0)
	_ = ended(t, result)
}

// A signal to the executor, as from a machine that goes down, ends the task and is told.
func TestSignalEndsTheTask(t *testing.T) {
	a := newFakeAgent(t)
	ctx, signal := context.WithCancel(context.Background())
	defer signal()
	result := make(chan error, 1)
	go func() { result <- Run(ctx, a.config(nil)) }()
	a.tell(&executor.Event{Type: executor.Event_LAUNCH, Launch: &executor.Event_Launch{Task: shell("sleep 1000")}})
	a.awaitStates("STARTING RUNNING")
	signal()
	a.awaitStates("STARTING RUNNING KILLING KILLED")
	if err := ended(t, result); err != nil {
		t.Error(err)
	}
}

func TestSignalWithoutAnAgent(t *testing.T) {
	a := newFakeAgent(t)
	a.refusing = true
	ctx, signal := context.WithCancel(context.Background())
	signal()
	if err := Run(ctx, a.config(nil)); err != nil {
		t.Error(err)
	}
}

// An agent that forgot its executor before the first word leaves no orphan behind.
func TestEXE09_NeverHeardOfTheAgent(t *testing.T) {
	a := newFakeAgent(t)
	a.refusing = true
	result := make(chan error, 1)
	go func() {
		result <- Run(context.Background(), a.config(func(c *agentlink.Config) { c.Checkpoint, c.RecoveryTimeout = false, 50*time.Millisecond }))
	}()
	if err := ended(t, result); err == nil || !strings.Contains(err.Error(), "away for longer") {
		t.Errorf("ended with %v", err)
	}
}

// A LAUNCH that came in just before the stream broke is not forgotten in the next subscription.
func TestEXE06_LaunchBeforeTheBreak(t *testing.T) {
	x := &Executor{cfg: agentlink.Config{Sandbox: t.TempDir(), Checkpoint: true, RecoveryTimeout: patience, Log: slog.New(slog.DiscardHandler)},
		exited: make(chan syscall.WaitStatus, 1), checks: make(chan checks.Result, 64)}
	x.link = agentlink.New(x.cfg)
	x.link.Events <- &executor.Event{Type: executor.Event_LAUNCH, Launch: &executor.Event_Launch{Task: shell("true")}}
	x.link.Events <- agentlink.Disconnected{}
	if err := x.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := x.subscription().Subscribe; len(s.UnacknowledgedTasks) != 1 || len(s.UnacknowledgedUpdates) == 0 {
		t.Errorf("subscription is %+v", s)
	}
	<-x.exited
}
