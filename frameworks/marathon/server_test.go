package marathon

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/frameworks/frameworktest"
	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// marathonUnderTest is a framework in a simulated datacenter, with its real API on loopback.
type marathonUnderTest struct {
	*testing.T
	url        string
	datacenter *frameworktest.Datacenter
	store      *store.Memory
	stop       func()
}

func startMarathon(t *testing.T, agents int) *marathonUnderTest {
	m := &marathonUnderTest{T: t, datacenter: frameworktest.New(agents), store: &store.Memory{}}
	m.start()
	return m
}

func (m *marathonUnderTest) start() {
	m.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		m.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f, err := New(ctx, service.Config{Role: "*", Name: "marathon", Listener: listener, Host: "127.0.0.1", Log: slog.New(slog.DiscardHandler)}, m.store)
	if err != nil {
		m.Fatal(err)
	}
	m.datacenter.Handler = f
	m.url = "http://" + listener.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- f.Serve(ctx, m.datacenter, m.datacenter.Run) }()
	stopped := false
	m.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			m.Error(err)
		}
	}
	m.Cleanup(m.stop)
}

func (m *marathonUnderTest) do(method, path, body string, want int) map[string]any {
	m.Helper()
	status, text := m.raw(method, path, body)
	if status != want {
		m.Fatalf("%s %s: got %d, want %d: %s", method, path, status, want, text)
	}
	answer := map[string]any{}
	if len(text) > 0 && text[0] == '{' {
		if err := json.Unmarshal(text, &answer); err != nil {
			m.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return answer
}

func (m *marathonUnderTest) raw(method, path, body string) (int, []byte) {
	m.Helper()
	request, err := http.NewRequest(method, m.url+path, strings.NewReader(body))
	if err != nil {
		m.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		m.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		m.Fatal(err)
	}
	return response.StatusCode, bytes.TrimSpace(text)
}

func (m *marathonUnderTest) running(app string, n int) []string {
	m.Helper()
	var ids []string
	frameworktest.Eventually(m, fmt.Sprintf("%d of %s run and no deployment is left", n, app), func() error {
		_, deployments := m.raw("GET", "/v2/deployments", "")
		ids = nil
		for _, t := range m.do("GET", "/v2/apps"+app+"/tasks", "", 200)["tasks"].([]any) {
			if task := t.(map[string]any); task["state"] == running {
				ids = append(ids, task["id"].(string))
			}
		}
		if len(ids) != n || string(deployments) != "[]" {
			return fmt.Errorf("%d run, deployments %s", len(ids), deployments)
		}
		return nil
	})
	slices.Sort(ids)
	return ids
}

func TestAnAppsLife(t *testing.T) {
	m := startMarathon(t, 3)
	created := m.do("POST", "/v2/apps", `{"id":"product/web","cmd":"run $PORT0","instances":3,"cpus":0.5,"mem":64}`, 201)
	if created["id"] != "/product/web" || created["version"] == "" || created["tasksRunning"] != 0.0 || created["cpus"] != 0.5 {
		t.Fatalf("created: %v", created)
	}
	first := m.running("/product/web", 3)
	hosts := map[string]bool{}
	for _, task := range m.datacenter.Tasks() {
		hosts[task.Agent] = true
	}
	if len(hosts) != 3 {
		t.Errorf("3 instances on %d of 3 machines", len(hosts))
	}
	if !strings.HasPrefix(first[0], "product_web.instance-") || !strings.HasSuffix(first[0], "._app.1") {
		t.Errorf("task id %s", first[0])
	}
	app := m.do("GET", "/v2/apps//product/web", "", 200)["app"].(map[string]any)
	if app["tasksRunning"] != 3.0 || len(app["tasks"].([]any)) != 3 {
		t.Errorf("shown: %v", app)
	}

	// Scaling keeps the instances that are there.
	answer := m.do("PUT", "/v2/apps/product/web", `{"instances":5}`, 200)
	if answer["deploymentId"] == nil || answer["version"] == nil {
		t.Errorf("scaled: %v", answer)
	}
	scaled := m.running("/product/web", 5)
	for _, id := range first {
		if !slices.Contains(scaled, id) {
			t.Errorf("%s was lost while scaling up", id)
		}
	}
	// A changed definition replaces all of them.
	m.do("PATCH", "/v2/apps/product/web", `{"env":{"COLOUR":"blue"}}`, 200)
	changed := m.running("/product/web", 5)
	for _, id := range scaled {
		if slices.Contains(changed, id) {
			t.Errorf("%s outlived the upgrade", id)
		}
	}
	// The same definition again replaces none.
	m.do("PUT", "/v2/apps/product/web", `{"env":{"COLOUR":"blue"}}`, 200)
	if same := m.running("/product/web", 5); !slices.Equal(same, changed) {
		t.Errorf("an update that changes nothing replaced instances")
	}
	m.do("POST", "/v2/apps/product/web/restart", "", 200)
	restarted := m.running("/product/web", 5)
	if slices.Contains(restarted, changed[0]) {
		t.Errorf("%s outlived the restart", changed[0])
	}
	// A killed one is replaced, unless scaled.
	killed := m.do("DELETE", "/v2/apps/product/web/tasks/"+restarted[0], "", 200)["task"].(map[string]any)
	if killed["id"] != restarted[0] {
		t.Errorf("killed: %v", killed)
	}
	left := m.running("/product/web", 5)
	m.do("DELETE", "/v2/apps/product/web/tasks/"+left[0]+"?scale=true", "", 200)
	m.running("/product/web", 4)
	versions := m.do("GET", "/v2/apps/product/web/versions", "", 200)["versions"].([]any)
	if len(versions) < 5 {
		t.Errorf("versions: %v", versions)
	}
	m.do("DELETE", "/v2/apps/product/web", "", 200)
	m.do("GET", "/v2/apps/product/web", "", 404)
	frameworktest.Eventually(t, "all instances end", func() error {
		if n := len(m.datacenter.Tasks()); n > 0 {
			return fmt.Errorf("%d tasks live", n)
		}
		return nil
	})
}

func TestRestartLosesAndDoublesNothing(t *testing.T) {
	m := startMarathon(t, 2)
	m.do("POST", "/v2/apps", `{"id":"/a","cmd":"x","instances":4,"cpus":0.1,"mem":1}`, 201)
	before := m.running("/a", 4)
	m.stop()
	m.datacenter.Change(before[0], mesos.TASK_FAILED) // while nobody listens
	m.start()
	after := m.running("/a", 4)
	for n, id := range before {
		if kept := slices.Contains(after, id); kept != (n > 0) {
			t.Errorf("%s: running %v", id, kept)
		}
	}
	if n := len(m.datacenter.Tasks()); n != 4 {
		t.Errorf("%d tasks live", n)
	}
	for id, n := range m.datacenter.Launches() {
		if n != 1 {
			t.Errorf("%s was launched %d times", id, n)
		}
	}
}

func TestRefusals(t *testing.T) {
	m := startMarathon(t, 1)
	m.do("POST", "/v2/apps", `{"id":"/a","cmd":"x","cpus":0.1}`, 201)
	m.running("/a", 1)
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/v2/apps", `{"id":"/a"`, 400, "line 1: unexpected end of JSON input"},
		{"POST", "/v2/apps", `[]`, 400, "Invalid JSON"},
		{"POST", "/v2/apps", ``, 400, "Invalid JSON"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","cpus":"much"}`, 422, "/cpus"},
		{"POST", "/v2/apps", `{"id":"/b"}`, 422, "'cmd' or 'args'"},
		{"POST", "/v2/apps", `{"id":"/B!","cmd":"x"}`, 422, "lower-case"},
		{"POST", "/v2/apps", `{"cmd":"x"}`, 422, "/id"},
		{"POST", "/v2/apps", `{"id":"/b/tasks","cmd":"x"}`, 422, `must not end in`},
		{"POST", "/v2/apps", `{"id":"/a","cmd":"x"}`, 409, "already exists"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","container":{"type":"DOCKER"}}`, 422, "/container"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","residency":{"a":1}}`, 422, "/residency"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","networks":[{"mode":"container"}]}`, 422, "host network"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","env":{"A":{"secret":"s"}}}`, 422, "secrets are not supported"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","constraints":[["rack"]]}`, 422, "two or three"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","constraints":[["rack","NEAR"]]}`, 422, "is not one of UNIQUE"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","instances":-1}`, 422, "/instances"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","cpus":0}`, 422, "/cpus"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","upgradeStrategy":{"minimumHealthCapacity":2}}`, 422, "minimumHealthCapacity"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","role":"dev"}`, 422, "/role"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","healthChecks":[{"protocol":"UDP"}]}`, 422, "/healthChecks(0)/protocol"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","healthChecks":[{"protocol":"COMMAND"}]}`, 422, "/healthChecks(0)/command"},
		{"POST", "/v2/apps", `{"id":"/b","cmd":"x","ports":[],"healthChecks":[{"protocol":"TCP"}]}`, 422, "needs a port"},
		{"PATCH", "/v2/apps/none", `{"instances":1}`, 404, "App '/none' does not exist"},
		{"PUT", "/v2/apps/a", `{"instances":1,"version":"2020-01-01T00:00:00.000Z"}`, 422, "may only be combined"},
		{"PUT", "/v2/apps/a", `{"version":"2020-01-01T00:00:00.000Z"}`, 404, "in version"},
		{"DELETE", "/v2/apps/none", "", 404, "does not exist"},
		{"POST", "/v2/apps/none/restart", "", 404, "does not exist"},
		{"DELETE", "/v2/apps/a/tasks/none", "", 404, "Task 'none' does not exist"},
		{"DELETE", "/v2/apps/a/tasks?scale=true&wipe=true", "", 400, "scale and wipe"},
		{"POST", "/v2/tasks/delete", `{"ids":["x"]}`, 400, "Invalid task id 'x'"},
		{"DELETE", "/v2/deployments/none", "", 404, "DeploymentPlan none does not exist"},
		{"DELETE", "/v2/queue/none/delay", "", 404, "Application /none not found in tasks queue."},
		{"GET", "/v2/apps?label=(", "", 400, "label selector"},
		{"GET", "/v2/pods", "", 404, "not part of this API"},
		{"DELETE", "/v2/apps", "", 405, "not allowed"},
	} {
		status, text := m.raw(c.method, c.path, c.body)
		if status != c.status || !strings.Contains(string(text), c.says) {
			t.Errorf("%s %s %s: got %d %s, want %d and %q", c.method, c.path, c.body, status, text, c.status, c.says)
		}
	}
	m.running("/a", 1)
}

func TestAnImpossibleAppWaitsAndSaysWhy(t *testing.T) {
	m := startMarathon(t, 3)
	m.do("POST", "/v2/apps", `{"id":"/rack","cmd":"x","constraints":[["rack","LIKE","r9"]]}`, 201)
	m.do("POST", "/v2/apps", `{"id":"/unique","cmd":"x","cpus":0.1,"instances":5,"constraints":[["hostname","UNIQUE"]]}`, 201)
	m.do("POST", "/v2/apps", `{"id":"/big","cmd":"x","cpus":64}`, 201)
	frameworktest.Eventually(t, "the queue gives reasons", func() error {
		reasons := map[string]string{}
		for _, item := range m.do("GET", "/v2/queue", "", 200)["queue"].([]any) {
			q := item.(map[string]any)
			reasons[q["app"].(map[string]any)["id"].(string)] = fmt.Sprint(q["count"], " ", q["reason"])
		}
		want := map[string]string{
			"/rack":   "1 of 3 machines offered, 3 do not satisfy the constraints",
			"/unique": "2 of 3 machines offered, 3 do not satisfy the constraints",
			"/big":    "1 of 3 machines offered, 3 have too few cpus",
		}
		if fmt.Sprint(reasons) != fmt.Sprint(want) {
			return fmt.Errorf("got %v", reasons)
		}
		return nil
	})
	// A locked app says so; forced, it changes.
	locked := m.do("PUT", "/v2/apps/big", `{"cpus":1}`, 409)
	if !strings.Contains(locked["message"].(string), "App is locked by one or more deployments. Override with the option '?force=true'") ||
		len(locked["deployments"].([]any)) != 1 {
		t.Errorf("locked: %v", locked)
	}
	m.do("PUT", "/v2/apps/big?force=true", `{"cpus":1}`, 200)
	frameworktest.Eventually(t, "the smaller one runs", func() error {
		if app := m.do("GET", "/v2/apps/big", "", 200)["app"].(map[string]any); app["tasksRunning"] != 1.0 {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	// Cancelling the deployment of a new app takes it away.
	app := m.do("GET", "/v2/apps/rack", "", 200)["app"].(map[string]any)
	id := app["deployments"].([]any)[0].(map[string]any)["id"].(string)
	m.do("DELETE", "/v2/deployments/"+id, "", 200)
	m.do("GET", "/v2/apps/rack", "", 404)
}

func TestRollbackKeepsTheOldInstances(t *testing.T) {
	m := startMarathon(t, 2)
	m.do("POST", "/v2/apps", `{"id":"/a","cmd":"good","cpus":0.1,"mem":1,"instances":2}`, 201)
	before := m.running("/a", 2)
	m.datacenter.Script = func(info mesos.TaskInfo) []mesos.TaskState {
		if *info.Command.Value == "bad" {
			return []mesos.TaskState{mesos.TASK_FAILED}
		}
		return []mesos.TaskState{mesos.TASK_RUNNING}
	}
	answer := m.do("PUT", "/v2/apps/a", `{"cmd":"bad"}`, 200)
	frameworktest.Eventually(t, "the failure is seen", func() error {
		if m.do("GET", "/v2/apps/a", "", 200)["app"].(map[string]any)["lastTaskFailure"] == nil {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	m.do("DELETE", "/v2/deployments/"+answer["deploymentId"].(string), "", 200)
	if after := m.running("/a", 2); !slices.Equal(before, after) {
		t.Errorf("after the rollback %v, before %v", after, before)
	}
	if app := m.do("GET", "/v2/apps/a", "", 200)["app"].(map[string]any); app["cmd"] != "good" {
		t.Errorf("after the rollback: %v", app["cmd"])
	}
}

func TestHealthChecksGateTheUpgradeAndKillTheIll(t *testing.T) {
	var ill atomic.Bool
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ill.Load() || r.URL.Path != "/health" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer server.Close()
	u, _ := url.Parse(server.URL)
	port, _ := strconv.ParseUint(u.Port(), 10, 16)
	m := startMarathon(t, 1)
	m.datacenter.Agents[0].Ports = [2]uint64{port, port}
	m.do("POST", "/v2/apps", `{"id":"/a","cmd":"x","cpus":0.1,"mem":1,"healthChecks":[{"path":"/health","gracePeriodSeconds":0,
		"intervalSeconds":1,"delaySeconds":0,"timeoutSeconds":1,"maxConsecutiveFailures":1}]}`, 201)
	first := m.running("/a", 1)
	app := m.do("GET", "/v2/apps/a", "", 200)["app"].(map[string]any)
	if app["tasksHealthy"] != 1.0 {
		t.Fatalf("healthy: %v", app)
	}
	ill.Store(true)
	frameworktest.Eventually(t, "the ill one is killed", func() error {
		if failure, ok := m.do("GET", "/v2/apps/a", "", 200)["app"].(map[string]any)["lastTaskFailure"].(map[string]any); !ok ||
			failure["taskId"] != first[0] || !strings.Contains(failure["message"].(string), "500") {
			return fmt.Errorf("failure: %v", failure)
		}
		return nil
	})
}

func TestEvents(t *testing.T) {
	m := startMarathon(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	request, _ := http.NewRequestWithContext(ctx, "GET", m.url+"/v2/events?event_type=status_update_event&event_type=deployment_success", nil)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	m.do("POST", "/v2/apps", `{"id":"/a","cmd":"x","cpus":0.1}`, 201)
	var seen strings.Builder
	buffer := make([]byte, 4096)
	for !strings.Contains(seen.String(), "event: deployment_success") {
		n, err := response.Body.Read(buffer)
		if err != nil {
			t.Fatalf("%v after %s", err, seen.String())
		}
		seen.Write(buffer[:n])
	}
	for _, want := range []string{`"taskStatus":"TASK_RUNNING"`, `"eventType":"status_update_event"`, `"appId":"/a"`} {
		if !strings.Contains(seen.String(), want) {
			t.Errorf("no %s in %s", want, seen.String())
		}
	}
}

func TestInfoAndTheRest(t *testing.T) {
	m := startMarathon(t, 1)
	frameworktest.Eventually(t, "there is a framework id", func() error {
		if m.do("GET", "/v2/info", "", 200)["frameworkId"] != "framework-1" {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	if m.do("GET", "/v2/leader", "", 200)["leader"] != strings.TrimPrefix(m.url, "http://") {
		t.Error("leader")
	}
	if _, text := m.raw("GET", "/ping", ""); string(text) != "pong" {
		t.Errorf("ping: %s", text)
	}
	if _, text := m.raw("GET", "/metrics", ""); !strings.Contains(string(text), "marathon_mesos_connected_gauge 1") {
		t.Errorf("metrics: %s", text)
	}
	m.do("PUT", "/v2/apps", `[{"id":"/g/a","cmd":"x","cpus":0.1,"labels":{"tier":"web"}},{"id":"/g/b","cmd":"yy","cpus":0.1}]`, 200)
	for query, want := range map[string]int{"": 2, "?id=g/a": 1, "?cmd=Y": 1, "?label=tier==web": 1, "?label=tier+notin+(web,db)": 0, "?label=tier": 1} {
		if got := len(m.do("GET", "/v2/apps"+query, "", 200)["apps"].([]any)); got != want {
			t.Errorf("%s: %d apps, want %d", query, got, want)
		}
	}
	m.running("/g/a", 1)
}
