package master_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/master"
	"github.com/tombolo-project/tombolo/mesos/client"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

// childDir names the environment variable that makes this test binary a master.
const childDir = "TOMBOLO_TEST_MASTER_DIR"

// inMemory is the directory of a child that keeps nothing.
const inMemory = "memory"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		os.Exit(child(dir))
	}
	os.Exit(m.Run())
}

// child runs a master in this process until it is killed; its address is the first line of output.
func child(dir string) int {
	cfg := master.Default()
	cfg.Port, cfg.WorkDir = 0, dir
	if dir == inMemory {
		cfg.Registry, cfg.WorkDir = master.InMemory, ""
	}
	err := master.Run(context.Background(), cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)), func(address string) { fmt.Println(address) })
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// start runs a master in the test and returns its address.
func start(t *testing.T, change func(*master.Config)) string {
	t.Helper()
	cfg := master.Default()
	cfg.Port, cfg.Registry = 0, master.InMemory
	if change != nil {
		change(&cfg)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		done <- master.Run(ctx, cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), func(address string) { ready <- address })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("master: %v", err)
		}
	})
	select {
	case address := <-ready:
		return address
	case err := <-done:
		done <- nil
		t.Fatal(err)
		return ""
	}
}

// fakeAgent is the agent's side of the wire, without anything behind it.
type fakeAgent struct {
	t      *testing.T
	self   libprocess.UPID
	sender *libprocess.Sender
	info   mesos.AgentInfo

	mu   sync.Mutex // protects the fields below
	got  []proto.Message
	from libprocess.UPID // of the last one
}

func newAgent(t *testing.T) *fakeAgent {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r, err := offers.ParseText("cpus:4;mem:4096;disk:1000;ports:[31000-32000]", "*")
	if err != nil {
		t.Fatal(err)
	}
	a := &fakeAgent{
		t:    t,
		self: libprocess.UPID{ID: "slave(1)", Host: "127.0.0.1", Port: listener.Addr().(*net.TCPAddr).Port},
		info: mesos.AgentInfo{Hostname: "localhost", Resources: r.Mesos()},
	}
	a.sender = libprocess.NewSender(a.self, slog.New(slog.NewTextHandler(io.Discard, nil)))
	server := &http.Server{Handler: libprocess.Handler(a.deliver, http.NotFoundHandler())}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close(); a.sender.Close() })
	return a
}

func (a *fakeAgent) deliver(m libprocess.Message) bool {
	message, err := messages.Decode(m.Name, m.Body)
	if err != nil {
		a.t.Errorf("the master sent %s: %v", m.Name, err)
		return true
	}
	if _, ping := message.(*messages.PingSlaveMessage); ping {
		if err := a.sender.Send(m.From, &messages.PongSlaveMessage{}); err != nil {
			a.t.Error(err)
		}
	}
	a.mu.Lock()
	a.got, a.from = append(a.got, message), m.From
	a.mu.Unlock()
	return true
}

func (a *fakeAgent) send(to string, m proto.Message) {
	a.t.Helper()
	host, port, _ := net.SplitHostPort(to)
	upid, err := libprocess.ParseUPID("master@" + net.JoinHostPort(host, port))
	if err != nil {
		a.t.Fatal(err)
	}
	if err := a.sender.Send(upid, m); err != nil {
		a.t.Fatal(err)
	}
}

// await returns the first message of a type that the agent gets.
func await[M proto.Message](a *fakeAgent) M {
	a.t.Helper()
	var found M
	eventually(a.t, fmt.Sprintf("a %T", found), func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		for _, m := range a.got {
			if m, ok := m.(M); ok {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// eventually polls until what is there.
func eventually(t *testing.T, what string, there func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !there(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

var version = "1.11.0"

func (a *fakeAgent) register(address string) {
	a.t.Helper()
	a.send(address, &messages.RegisterSlaveMessage{Agent: a.info, Version: &version})
	id := await[*messages.SlaveRegisteredMessage](a).AgentID
	a.info.ID = &id
}

// session is a scheduler over HTTP.
type session struct {
	t       *testing.T
	address string
	codec   codec.Codec
	stream  *client.Stream
	id      *mesos.FrameworkID
}

func (s *session) url() string { return "http://" + s.address + "/api/v1/scheduler" }

func subscribe(t *testing.T, address string, c codec.Codec, info mesos.FrameworkInfo) *session {
	t.Helper()
	s := &session{t: t, address: address, codec: c}
	call := &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, FrameworkID: info.ID, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}
	var err error
	if s.stream, err = client.Subscribe(t.Context(), http.DefaultClient, s.url(), c, call); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.stream.Close() })
	s.id = s.next(scheduler.Event_SUBSCRIBED).Subscribed.FrameworkID
	return s
}

// next reads events until one of the type comes.
func (s *session) next(want scheduler.Event_Type) *scheduler.Event {
	s.t.Helper()
	for {
		e := &scheduler.Event{}
		if err := s.stream.Next(e); err != nil {
			s.t.Fatalf("waiting for %s: %v", want, err)
		}
		if e.Type == want {
			return e
		}
		if e.Type == scheduler.Event_ERROR {
			s.t.Fatalf("waiting for %s: %s", want, e.Error.Message)
		}
	}
}

func (s *session) call(c *scheduler.Call) {
	s.t.Helper()
	c.FrameworkID = s.id
	if err := client.Call(s.t.Context(), http.DefaultClient, s.url(), s.codec, c, client.WithStreamID(s.stream.StreamID())); err != nil {
		s.t.Fatalf("%s: %v", c.Type, err)
	}
}

func get(t testing.TB, address, path string, into any) {
	t.Helper()
	r, err := http.Get("http://" + address + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", path, r.Status)
	}
	if err := json.NewDecoder(r.Body).Decode(into); err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
}

// state is the part of /state that the tests look at.
type state struct {
	Slaves     []struct{ ID string }
	Frameworks []struct {
		ID    string
		Tasks []struct{ ID, State string }
	}
}

// TestThread follows one task through the whole master, in both encodings: offer,
// launch, update, acknowledgement, and what /state shows.
func TestThread(t *testing.T) {
	for _, c := range []codec.Codec{codec.JSON, codec.Protobuf} {
		t.Run(c.MediaType(), func(t *testing.T) {
			address := start(t, nil)
			a := newAgent(t)
			a.register(address)
			s := subscribe(t, address, c, mesos.FrameworkInfo{User: "root", Name: "thread"})
			o := s.next(scheduler.Event_OFFERS).Offers.Offers[0]
			s.launch(o, "t")
			run := await[*messages.RunTaskMessage](a)
			if run.Task.TaskID.Value != "t" || run.Framework.ID.Value != s.id.Value {
				t.Fatalf("the agent was to run %v", run)
			}
			a.report(address, run, mesos.TASK_RUNNING)
			u := s.next(scheduler.Event_UPDATE).Update.Status
			if u.GetState() != mesos.TASK_RUNNING || string(u.UUID) != uuid {
				t.Fatalf("update %v", u)
			}
			s.call(&scheduler.Call{Type: scheduler.Call_ACKNOWLEDGE, Acknowledge: &scheduler.Call_Acknowledge{AgentID: *a.info.ID, TaskID: u.TaskID, UUID: u.UUID}})
			if ack := await[*messages.StatusUpdateAcknowledgementMessage](a); string(ack.UUID) != uuid {
				t.Fatalf("acknowledged %v", ack)
			}
			var shown state
			get(t, address, "/state", &shown)
			if len(shown.Frameworks) != 1 || len(shown.Frameworks[0].Tasks) != 1 || shown.Frameworks[0].Tasks[0].State != "TASK_RUNNING" {
				t.Errorf("/state shows %+v", shown)
			}
		})
	}
}

// uuid is what a fake agent's updates carry.
const uuid = "0123456789abcdef"

func (s *session) launch(o mesos.Offer, id string) {
	s.t.Helper()
	value := "sleep 1000"
	r, err := offers.ParseText("cpus:1;mem:32", "*")
	if err != nil {
		s.t.Fatal(err)
	}
	task := mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: o.AgentID, Resources: r.Mesos(), Command: &mesos.CommandInfo{Value: &value}}
	s.call(&scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs:   []mesos.OfferID{o.ID},
		Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: []mesos.TaskInfo{task}}}},
	}})
}

func (a *fakeAgent) report(address string, run *messages.RunTaskMessage, to mesos.TaskState) {
	a.t.Helper()
	pid := a.self.String()
	a.send(address, &messages.StatusUpdateMessage{PID: &pid, Update: messages.StatusUpdate{
		FrameworkID: *run.Framework.ID, AgentID: a.info.ID, Timestamp: 1, UUID: []byte(uuid),
		Status: mesos.TaskStatus{TaskID: run.Task.TaskID, State: &to},
	}})
}

// process is a master in a process of its own.
func process(t testing.TB, dir string) (address string, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill = sync.OnceFunc(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait()
	})
	t.Cleanup(kill)
	if _, err := fmt.Fscanln(out, &address); err != nil {
		t.Fatalf("the master did not start: %v", err)
	}
	return address, kill
}

// TestKillMinus9 kills the master while a task runs: the next one on the same
// directory knows the agent and the weights, and agent and framework come back with
// their ids and the task.
func TestKillMinus9(t *testing.T) {
	dir := t.TempDir()
	address, kill := process(t, dir)
	a := newAgent(t)
	a.register(address)
	timeout := 600.0
	info := mesos.FrameworkInfo{User: "root", Name: "survivor", FailoverTimeout: &timeout}
	s := subscribe(t, address, codec.Protobuf, info)
	s.launch(s.next(scheduler.Event_OFFERS).Offers.Offers[0], "t")
	run := await[*messages.RunTaskMessage](a)
	putWeights(t, address, `[{"role": "prod", "weight": 2.5}]`)
	etcd, err := os.ReadFile(filepath.Join(dir, "etcd.endpoint"))
	if err != nil || len(etcd) == 0 {
		t.Errorf("the file that tells where etcd serves: %v", err)
	}
	kill()

	next, _ := process(t, dir)
	if now, err := os.ReadFile(filepath.Join(dir, "etcd.endpoint")); err != nil || string(now) != string(etcd) {
		t.Errorf("etcd serves at %s after the restart, at %s before: %v", now, etcd, err)
	}
	var slaves struct {
		Recovered []struct{ ID string } `json:"recovered_slaves"`
	}
	get(t, next, "/slaves", &slaves)
	if len(slaves.Recovered) != 1 || slaves.Recovered[0].ID != a.info.ID.Value {
		t.Fatalf("recovered agents: %+v", slaves)
	}
	var weights []struct {
		Role   string
		Weight float64
	}
	get(t, next, "/weights", &weights)
	if len(weights) != 1 || weights[0].Role != "prod" || weights[0].Weight != 2.5 {
		t.Errorf("weights: %v", weights)
	}
	running := mesos.TASK_RUNNING
	info.ID = s.id
	a.send(next, &messages.ReregisterSlaveMessage{
		Agent: a.info, Version: &version, Frameworks: []mesos.FrameworkInfo{info},
		Tasks: []mesos.Task{{Name: "t", TaskID: run.Task.TaskID, FrameworkID: *s.id, AgentID: *a.info.ID, State: &running, Resources: run.Task.Resources}},
	})
	if back := await[*messages.SlaveReregisteredMessage](a); back.AgentID != *a.info.ID {
		t.Fatalf("re-registered as %v", back)
	}
	again := subscribe(t, next, codec.Protobuf, info)
	if again.id.Value != s.id.Value {
		t.Fatalf("the framework came back as %s", again.id.Value)
	}
	again.call(&scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: &scheduler.Call_Reconcile{}})
	if u := again.next(scheduler.Event_UPDATE).Update.Status; u.TaskID.Value != "t" || u.GetState() != mesos.TASK_RUNNING {
		t.Errorf("reconciled: %v", u)
	}
}

func putWeights(t *testing.T, address, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/weights", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Fatalf("PUT /weights: %s", answer.Status)
	}
}

// TestLP11_LinkBreak: an agent whose process is gone is held for disconnected at
// once, without waiting for pings.
func TestLP11_LinkBreak(t *testing.T) {
	address := start(t, nil)
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := newAgent(t)
	a.self.Port = listener.Addr().(*net.TCPAddr).Port
	a.sender = libprocess.NewSender(a.self, slog.New(slog.NewTextHandler(io.Discard, nil)))
	server := &http.Server{Handler: libprocess.Handler(a.deliver, http.NotFoundHandler())}
	go server.Serve(listener)
	a.register(address)
	active := func() int {
		var m map[string]float64
		get(t, address, "/metrics/snapshot", &m)
		return int(m["master/slaves_connected"])
	}
	if active() != 1 {
		t.Fatal("not connected")
	}
	a.sender.Close()
	server.Close()
	eventually(t, "the disconnection", func() bool { return active() == 0 })
}

func TestBadInputIsRefusedInOneSentence(t *testing.T) {
	address := start(t, nil)
	for name, c := range map[string]struct {
		method, path, media, accept, body string
		want                              int
	}{
		"method":         {"GET", "/api/v1/scheduler", "", "", "", 405},
		"no media type":  {"POST", "/api/v1/scheduler", "", "", "{}", 400},
		"other media":    {"POST", "/api/v1/scheduler", "text/plain", "", "{}", 415},
		"charset":        {"POST", "/api/v1/scheduler", "application/json; charset=utf-8", "", "{}", 415},
		"malformed JSON": {"POST", "/api/v1/scheduler", "application/json", "", "{", 400},
		"no type":        {"POST", "/api/v1/scheduler", "application/json", "", "{}", 400},
		"no info":        {"POST", "/api/v1/scheduler", "application/json", "", `{"type":"SUBSCRIBE","subscribe":{}}`, 400},
		"accept":         {"POST", "/api/v1/scheduler", "application/json", "text/plain", `{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}`, 406},
		"large body":     {"POST", "/api/v1/scheduler", "application/json", "", strings.Repeat(" ", 33<<20), 413},
		"operator 501":   {"POST", "/api/v1", "application/json", "", `{"type":"UNKNOWN"}`, 501},
		"weights":        {"PUT", "/weights", "", "", "{}", 400},
		"negative":       {"PUT", "/weights", "", "", `[{"role":"a","weight":-1}]`, 400},
		"teardown":       {"POST", "/teardown", "application/x-www-form-urlencoded", "", "frameworkId=nobody", 400},
		"explain":        {"GET", "/tombolo/explain?framework_id=nobody", "", "", "", 404},
		"nothing there":  {"GET", "/nothing", "", "", "", 404},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://"+address+c.path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if c.media != "" {
			r.Header.Set("Content-Type", c.media)
		}
		if c.accept != "" {
			r.Header.Set("Accept", c.accept)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, _ := io.ReadAll(answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.want || len(body) == 0 {
			t.Errorf("%s: %s %q, want %d and a sentence", name, answer.Status, body, c.want)
		}
	}
}

func TestConfigurationIsCheckedBeforeTheStart(t *testing.T) {
	busy, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*master.Config)
		want   string
	}{
		"busy port":         {func(c *master.Config) { c.Port, c.Registry = busy.Addr().(*net.TCPAddr).Port, master.InMemory }, "in use"},
		"no work_dir":       {func(*master.Config) {}, "--work_dir is missing"},
		"missing parent":    {func(c *master.Config) { c.WorkDir = "/does/not/exist" }, "/does/not does not exist"},
		"file":              {func(c *master.Config) { c.WorkDir = file }, "no directory"},
		"registry":          {func(c *master.Config) { c.Registry = "zk" }, `"zk"`},
		"ip":                {func(c *master.Config) { c.IP = "localhost" }, "--ip"},
		"role":              {func(c *master.Config) { c.Roles, c.Registry = []string{"a//b"}, master.InMemory }, "a//b"},
		"weight":            {func(c *master.Config) { c.Weights, c.Registry = map[string]float64{"a": 0}, master.InMemory }, "not above 0"},
		"unusable wildcard": {func(c *master.Config) { c.IP, c.Port, c.Registry = "0.0.0.0", 0, master.InMemory }, "--advertise_ip"},
	} {
		cfg := master.Default()
		c.change(&cfg)
		err := master.Run(t.Context(), cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), nil)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want it to contain %q", name, err, c.want)
		}
	}
}

func TestSCH17_WrongStream(t *testing.T) {
	address := start(t, nil)
	s := subscribe(t, address, codec.JSON, mesos.FrameworkInfo{User: "root", Name: "f"})
	err := client.Call(t.Context(), http.DefaultClient, s.url(), s.codec, &scheduler.Call{Type: scheduler.Call_REVIVE, FrameworkID: s.id}, client.WithStreamID("another"))
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != 400 {
		t.Fatal(err)
	}
}
