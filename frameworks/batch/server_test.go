package batch

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/frameworks/frameworktest"
	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// start runs a framework in a simulated datacenter, with its real API on loopback.
func start(t *testing.T, d *frameworktest.Datacenter, s store.Store) (client *Client, stop func()) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := New(ctx, service.Config{Role: "*", Name: "batch", Listener: listener, Host: "127.0.0.1", Log: slog.New(slog.DiscardHandler)}, s)
	if err != nil {
		t.Fatal(err)
	}
	d.Handler = f
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, d, d.Run) }()
	var once atomic.Bool
	stop = func() {
		if once.Swap(true) {
			return
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	client, err = NewClient("http://" + listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return client, stop
}

func small(tasks int) Spec {
	return Spec{Name: "test", Command: []string{"sh", "-c", "true"}, Tasks: tasks, Cpus: 0.5, Mem: 16}
}

func TestAJobFinishes(t *testing.T) {
	d := frameworktest.New(2)
	d.Script = func(mesos.TaskInfo) []mesos.TaskState {
		return []mesos.TaskState{mesos.TASK_RUNNING, mesos.TASK_FINISHED}
	}
	client, _ := start(t, d, &store.Memory{})
	j, err := client.Submit(t.Context(), small(50))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	progress := &Progress{Out: &out}
	j, err = client.Wait(t.Context(), j.ID, progress.Show)
	if err != nil || j.State != JobFinished || j.Counts.Finished != 50 {
		t.Fatalf("%+v, %v", j, err)
	}
	if !strings.Contains(out.String(), "50/50 finished") {
		t.Errorf("progress: %s", out.String())
	}
	if n := len(d.Launches()); n != 50 {
		t.Errorf("%d tasks launched", n)
	}
	if jobs, err := client.Jobs(t.Context()); err != nil || len(jobs) != 1 {
		t.Errorf("list: %v, %v", jobs, err)
	}
	if err := client.Cancel(t.Context(), j.ID); err != nil { // forget it
		t.Error(err)
	}
	if _, err := client.Job(t.Context(), j.ID); err == nil || err.Error() != "there is no job "+j.ID {
		t.Errorf("a forgotten job: %v", err)
	}
}

func TestAFailingTaskIsTriedAsOftenAsAsked(t *testing.T) {
	d := frameworktest.New(1)
	d.Script = func(info mesos.TaskInfo) []mesos.TaskState {
		if strings.HasPrefix(info.Name, "test.1") {
			return []mesos.TaskState{mesos.TASK_FAILED}
		}
		return []mesos.TaskState{mesos.TASK_FINISHED}
	}
	client, _ := start(t, d, &store.Memory{})
	spec := small(3)
	spec.Retries = 2
	j, err := client.Submit(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	j, err = client.Wait(t.Context(), j.ID, func(Job) {})
	if err != nil || j.State != JobFailed || j.Counts != (Counts{Finished: 2, Failed: 1}) || !strings.Contains(j.Reason, "task 1: TASK_FAILED") {
		t.Fatalf("%+v, %v", j, err)
	}
	if n := len(d.Launches()); n != 5 {
		t.Errorf("%d launches, want 2 + 3", n)
	}
}

func TestRestartLosesNothing(t *testing.T) {
	d, s := frameworktest.New(2), &store.Memory{}
	client, stop := start(t, d, s)
	j, err := client.Submit(t.Context(), small(20))
	if err != nil {
		t.Fatal(err)
	}
	frameworktest.Eventually(t, "16 of 20 fit", func() error {
		if n := len(d.Tasks()); n != 16 {
			return fmt.Errorf("%d run", n)
		}
		return nil
	})
	stop()
	client, _ = start(t, d, s)
	frameworktest.Eventually(t, "all finish", func() error {
		for _, task := range d.Tasks() {
			d.Change(task.Info.TaskID.Value, mesos.TASK_FINISHED)
		}
		now, err := client.Job(t.Context(), j.ID)
		if err != nil || now.State != JobFinished {
			return fmt.Errorf("%+v, %v", now.Counts, err)
		}
		return nil
	})
	if n := len(d.Launches()); n != 20 {
		t.Errorf("%d launches", n)
	}
}

func TestCancelEndsAll(t *testing.T) {
	d := frameworktest.New(1)
	client, _ := start(t, d, &store.Memory{})
	j, err := client.Submit(t.Context(), small(30))
	if err != nil {
		t.Fatal(err)
	}
	frameworktest.Eventually(t, "some run", func() error {
		if len(d.Tasks()) == 0 {
			return fmt.Errorf("none yet")
		}
		return nil
	})
	if err := client.Cancel(t.Context(), j.ID); err != nil {
		t.Fatal(err)
	}
	j, err = client.Wait(t.Context(), j.ID, func(Job) {})
	if err != nil || j.State != JobCanceled || j.Counts != (Counts{Canceled: 30}) || len(d.Tasks()) != 0 {
		t.Fatalf("%+v, %v, %d live", j, err, len(d.Tasks()))
	}
}

func TestTheQueueSaysWhy(t *testing.T) {
	client, _ := start(t, frameworktest.New(2), &store.Memory{})
	spec := small(1)
	spec.Cpus = 64
	j, err := client.Submit(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	frameworktest.Eventually(t, "a reason", func() error {
		if j, err = client.Job(t.Context(), j.ID); err != nil || j.Reason != "waiting: of 2 machines offered, 2 have too few cpus" {
			return fmt.Errorf("%q, %v", j.Reason, err)
		}
		return nil
	})
}

func TestRefusals(t *testing.T) {
	client, _ := start(t, frameworktest.New(1), &store.Memory{})
	for body, want := range map[string]string{
		`{`:                                    "400 the body is not a job in JSON: unexpected EOF",
		``:                                     "400 the body is not a job in JSON: EOF",
		`{"command":"x"}`:                      `400 field "command" must be []string, not string`,
		`{"comand":["x"]}`:                     `400 a job has no field "comand"`,
		`{}`:                                   "422 a job needs a command",
		`{"command":["x"],"tasks":0}`:          "422 tasks must be from 1 to 10000, not 0",
		`{"command":["x"],"cpus":-1}`:          "422 cpus must be at least 0.001, not -1",
		`{"command":["x"],"retries":-1}`:       "422 retries must be from 0 to 1000, not -1",
		`{"command":["x"],"name":"a b"}`:       `422 name "a b" must be up to 63 letters, digits, dashes and underscores`,
		`{"command":["x"],"env":{"":"x"}}`:     `422 "" can't be the name of an environment variable`,
		`{"command":["x"],"constraints":[[]]}`: "400 the body is not a job in JSON: a constraint is a list of two or three texts, [field, operator, value], not []",
	} {
		response, err := http.Post(client.Server+"/v1/jobs", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		got := fmt.Sprint(response.StatusCode, " ", strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(string(text)), `{"message":"`), `"}`))
		if strings.ReplaceAll(got, `\"`, `"`) != want {
			t.Errorf("%s: got %s, want %s", body, got, want)
		}
	}
	if err := client.Log(t.Context(), "none", 0, "stdout", io.Discard); err == nil || err.Error() != "there is no job none" {
		t.Errorf("log: %v", err)
	}
}

func TestLogsComeFromTheAgent(t *testing.T) {
	agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/state":
			fmt.Fprintf(w, `{"frameworks":[{"executors":[],"completed_executors":[{"id":%q,"directory":"/box"}]}]}`, r.Header.Get("X-Task"))
		case r.URL.Path == "/files/download" && r.URL.Query().Get("path") == "/box/stdout":
			io.WriteString(w, "hello\n")
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	defer agent.Close()
	f := &Framework{agents: &http.Client{Transport: named{"j.0.1"}}, Service: &service.Service{Config: service.Config{Log: slog.New(slog.DiscardHandler)}}}
	w := httptest.NewRecorder()
	task := &Task{TaskID: "j.0.1", Host: "h", Address: strings.TrimPrefix(agent.URL, "http://")}
	if err := f.copyLog(t.Context(), w, task, "stdout"); err != nil || w.Body.String() != "hello\n" {
		t.Errorf("%q, %v", w.Body, err)
	}
	if err := f.copyLog(t.Context(), httptest.NewRecorder(), task, "stderr"); err == nil || !strings.Contains(err.Error(), "ask agent h for the log: it answers 404") {
		t.Errorf("%v", err)
	}
	other := *task
	other.TaskID = "j.1.1"
	if err := f.copyLog(t.Context(), httptest.NewRecorder(), &other, "stdout"); err == nil || !strings.Contains(err.Error(), "does not know the sandbox") {
		t.Errorf("%v", err)
	}
}

// named tells the agent above which task is asked about.
type named struct{ task string }

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-Task", n.task)
	return http.DefaultTransport.RoundTrip(r)
}
