package api

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
	"github.com/tombolo-project/tombolo/mesos/recordio"
)

// fakeAgent answers as an owner would.
type fakeAgent struct {
	view    core.View
	manager *containers.Manager
	events  chan *executor.Event
	left    chan struct{}
	answer  core.Answer
}

func (f *fakeAgent) View() *core.View                { return &f.view }
func (f *fakeAgent) Containers() *containers.Manager { return f.manager }
func (f *fakeAgent) Subscribe(string, string, *executor.Call_Subscribe) (<-chan *executor.Event, func()) {
	return f.events, func() { close(f.left) }
}

func (f *fakeAgent) Update(context.Context, string, string, mesos.TaskStatus) (core.Answer, error) {
	return f.answer, nil
}

func (f *fakeAgent) LaunchNested(context.Context, string, *mesos.CommandInfo, *mesos.ContainerInfo) (bool, error) {
	return false, containers.ErrUnknown
}

func (f *fakeAgent) WaitContainer(context.Context, string) (containers.Exit, error) {
	return containers.Exit{}, containers.ErrUnknown
}

func (f *fakeAgent) KillContainer(string, syscall.Signal) error { return containers.ErrUnknown }

func (f *fakeAgent) RemoveContainer(string) error { return nil }

func (f *fakeAgent) Message(context.Context, string, string, []byte) (core.Answer, error) {
	return f.answer, nil
}

// newServer is an agent S0 with framework f, whose executor x has a sandbox and a running task.
func newServer(t *testing.T, change ...func(*Server)) (*fakeAgent, *httptest.Server, string) {
	t.Helper()
	work := t.TempDir()
	run := filepath.Join(work, "slaves/S0/frameworks/f/executors/x/runs/c")
	if err := sandbox.Create(run, nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(run, "stdout"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	manager, err := containers.New(containers.Config{RuntimeDir: t.TempDir(), Posix: true, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	state := mesos.TASK_RUNNING
	task := &core.TaskView{Task: mesos.Task{Name: "t", TaskID: mesos.TaskID{Value: "t"}, FrameworkID: mesos.FrameworkID{Value: "f"}, AgentID: mesos.AgentID{Value: "S0"}, State: &state}}
	f := &fakeAgent{manager: manager, events: make(chan *executor.Event, 4), left: make(chan struct{}), answer: core.Answer{Status: 202}}
	f.view = core.View{Info: mesos.AgentInfo{Hostname: "h", ID: &mesos.AgentID{Value: "S0"}}, Master: "master@10.0.0.1:5050", Frameworks: []*core.FrameworkView{{
		Info: mesos.FrameworkInfo{User: "u", Name: "n", ID: &mesos.FrameworkID{Value: "f"}},
		Executors: []*core.ExecutorView{{Info: mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "x"}}, Container: "c", Directory: run,
			State: "RUNNING", Launched: []*core.TaskView{task}}},
	}}}
	s := &Server{Agent: f, PID: "slave(1)@127.0.0.1:5051", Version: "1.11.0", Flags: map[string]string{"work_dir": work}, Started: time.Now(), Log: log,
		Files: &sandbox.Files{WorkDir: work, Agent: func() string { return "S0" }}}
	for _, c := range change {
		c(s)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(server.Close)
	return f, server, run
}

func do(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text), response.Header
}

const jsonType = "application/json"

func TestEXE04_StatusOfBadCalls(t *testing.T) {
	_, server, _ := newServer(t)
	ids := `"framework_id":{"value":"f"},"executor_id":{"value":"x"}`
	for _, c := range []struct {
		name, method, body string
		headers            []string
		status             int
		text               string
	}{
		{"method", "GET", "", nil, 405, "405"},
		{"no content type", "POST", "{}", nil, 400, "Content-Type"},
		{"content type", "POST", "{}", []string{"Content-Type", "text/plain"}, 415, "Content-Type"},
		{"not JSON", "POST", "{", []string{"Content-Type", jsonType}, 400, "parse"},
		{"no type", "POST", "{" + ids + "}", []string{"Content-Type", jsonType}, 400, "type"},
		{"no update", "POST", `{"type":"UPDATE",` + ids + "}", []string{"Content-Type", jsonType}, 400, "update"},
		{"unknown framework", "POST", `{"type":"SUBSCRIBE","subscribe":{},"framework_id":{"value":"g"},"executor_id":{"value":"x"}}`, []string{"Content-Type", jsonType}, 400, "Framework"},
		{"unknown executor", "POST", `{"type":"SUBSCRIBE","subscribe":{},"framework_id":{"value":"f"},"executor_id":{"value":"y"}}`, []string{"Content-Type", jsonType}, 400, "Executor"},
		{"not acceptable", "POST", `{"type":"SUBSCRIBE","subscribe":{},` + ids + "}", []string{"Content-Type", jsonType, "Accept", "text/plain"}, 406, "Accept"},
		{"heartbeat", "POST", `{"type":"HEARTBEAT",` + ids + "}", []string{"Content-Type", jsonType}, 202, ""},
		{"message", "POST", `{"type":"MESSAGE","message":{"data":"YQ=="},` + ids + "}", []string{"Content-Type", jsonType}, 202, ""},
	} {
		for _, path := range []string{"/api/v1/executor", "/slave(1)/api/v1/executor"} {
			if status, text, _ := do(t, c.method, server.URL+path, c.body, c.headers...); status != c.status || !strings.Contains(text, c.text) {
				t.Errorf("%s: %d %q, want %d and %q in it", c.name, status, text, c.status, c.text)
			}
		}
	}
}

func TestEXE02_Stream(t *testing.T) {
	f, server, _ := newServer(t)
	f.events <- &executor.Event{Type: executor.Event_SHUTDOWN}
	close(f.events) // the agent hangs up
	status, body, header := do(t, "POST", server.URL+"/api/v1/executor",
		`{"type":"SUBSCRIBE","subscribe":{},"framework_id":{"value":"f"},"executor_id":{"value":"x"}}`, "Content-Type", jsonType)
	if status != 200 || header.Get("Content-Type") != jsonType {
		t.Fatalf("%d %v", status, header)
	}
	record, err := recordio.NewReader(bytes.NewReader([]byte(body))).Next()
	if err != nil || string(record) != `{"type":"SHUTDOWN"}` {
		t.Errorf("record is %q, %v", record, err)
	}
	<-f.left
}

func TestAGT10_Reads(t *testing.T) {
	_, server, run := newServer(t)
	for call, want := range map[string]string{
		`{"type":"GET_HEALTH"}`:                                     `"healthy":true`,
		`{"type":"GET_VERSION"}`:                                    `"version":"1.11.0"`,
		`{"type":"GET_FLAGS"}`:                                      `"name":"work_dir"`,
		`{"type":"GET_TASKS"}`:                                      `"queued_tasks":[]`,
		`{"type":"GET_STATE"}`:                                      `"completed_frameworks":[]`,
		`{"type":"GET_AGENT"}`:                                      `"hostname":"h"`,
		`{"type":"GET_METRICS","get_metrics":{}}`:                   `slave/tasks_running`,
		`{"type":"GET_CONTAINERS","get_containers":{}}`:             `"container_id":{"value":"c"}`,
		`{"type":"LIST_FILES","list_files":{"path":"` + run + `"}}`: `/stdout"`,
		`{"type":"READ_FILE","read_file":{"path":"` + run + `/stdout","offset":1}}`: `"data":"ZWxsbw=="`,
	} {
		if status, text, _ := do(t, "POST", server.URL+"/api/v1", call, "Content-Type", jsonType); status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s in it", call, status, text, want)
		}
	}
	status, text, _ := do(t, "POST", server.URL+"/api/v1", `{"type":"PRUNE_IMAGES"}`, "Content-Type", jsonType)
	if status != 501 || !strings.Contains(text, "PRUNE_IMAGES") {
		t.Errorf("what is not implemented: %d %s", status, text)
	}
	if status, _, _ := do(t, "POST", server.URL+"/api/v1", `{"type":"LIST_FILES"}`, "Content-Type", jsonType); status != 400 {
		t.Errorf("a call without its message: %d", status)
	}
}

func TestAGT02_Pages(t *testing.T) {
	_, server, run := newServer(t)
	for path, want := range map[string]string{
		"/state": `"directory":"` + run + `"`, "/slave(1)/state": `"master_hostname":"10.0.0.1"`, "/flags": `"work_dir"`, "/version": "1.11.0",
		"/metrics/snapshot": `"slave/executors_running":1`, "/containers": `"container_id":"c"`, "/monitor/statistics": "[]", "/health": "",
		"/files/read?offset=0&path=" + run + "/stdout": `{"data":"hello","offset":0}`, "/files/browse?path=" + run: `"mode":"-rw-r--r--"`,
	} {
		status, text, _ := do(t, "GET", server.URL+path, "")
		if status != 200 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s, want %s in it", path, status, text, want)
		}
		if strings.HasSuffix(path, "state") && !json.Valid([]byte(text)) {
			t.Errorf("%s is not JSON", path)
		}
	}
	for path, want := range map[string]int{"/none": 404, "/files/read?path=/etc/passwd": 404, "/files/read?offset=0": 400, "/files/browse?path=" + run + "/../../..": 400, "/files/read?offset=x&path=/": 400} {
		if status, text, _ := do(t, "GET", server.URL+path, ""); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, text, want)
		}
	}
}
