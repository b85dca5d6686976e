package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// Every part refuses what it can't work with in one clear line, and does not hang.
func TestBadCommandLines(t *testing.T) {
	m := harness.StartMesos(t, 0)
	tombolo := harness.Bin(t, "tombolo")
	_, port, _ := strings.Cut(m.Addr, ":")
	stale := filepath.Join(m.Dir, "stale.kubeconfig")
	text := "apiVersion: v1\nkind: Config\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: x, user: x}}]\nclusters: [{name: x, cluster: {server: \"https://127.0.0.1:1\"}}]\nusers: [{name: x, user: {}}]\n"
	if err := os.WriteFile(stale, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		want []string // all in the message
	}{
		"busy port":         {[]string{"master", "--ip=127.0.0.1", "--port=" + port, "--work_dir=" + filepath.Join(m.Dir, "m2")}, []string{port, "in use"}},
		"no work_dir":       {[]string{"agent", "--master=" + m.Addr, "--ip=127.0.0.1"}, []string{"work_dir"}},
		"bad resources":     {[]string{"agent", "--master=" + m.Addr, "--ip=127.0.0.1", "--work_dir=" + m.Dir + "/a", "--resources=cpus:many"}, []string{"cpus", "many"}},
		"master's address":  {[]string{"agent", "--master=nonsense", "--ip=127.0.0.1", "--work_dir=" + m.Dir + "/a"}, []string{"nonsense", "HOST:PORT"}},
		"unknown flag":      {[]string{"master", "--no-such-flag"}, []string{"no-such-flag"}},
		"missing file":      {[]string{"bridge", "--master=" + m.Addr, "--kubeconfig=/no/such/file"}, []string{"/no/such/file"}},
		"stale kubeconfig":  {[]string{"bridge", "--master=" + m.Addr, "--kubeconfig=" + stale}, []string{"127.0.0.1:1"}},
		"unreachable batch": {[]string{"batch", "list", "--server=http://127.0.0.1:1"}, []string{"127.0.0.1:1"}},
	} {
		t.Run(name, func(t *testing.T) {
			status, out := harness.Run(t, 60*time.Second, append([]string{tombolo}, tc.args...)...)
			if status == 0 {
				t.Fatalf("%v succeeded:\n%s", tc.args, out)
			}
			for _, want := range tc.want {
				if !strings.Contains(out, want) {
					t.Errorf("%v says\n%s\nwhich does not name %q", tc.args, out, want)
				}
			}
			if strings.Contains(out, "goroutine ") || strings.Count(strings.TrimSpace(out), "\n") > 12 {
				t.Errorf("%v is not brief:\n%s", tc.args, out)
			}
		})
	}
}

// The HTTP sides answer rubbish with a 4xx and one sentence, and live on.
func TestBadRequests(t *testing.T) {
	m := harness.StartMesos(t, 1)
	app := startLegacy(t, m, 1)
	for name, tc := range map[string]struct {
		method, url, text string
		status            int
	}{
		"scheduler: malformed":      {"POST", "http://" + m.Addr + "/api/v1/scheduler", `{"type":`, 400},
		"scheduler: no such stream": {"POST", "http://" + m.Addr + "/api/v1/scheduler", `{"type":"REVIVE","framework_id":{"value":"nobody"}}`, 400},
		"operator: malformed":       {"POST", "http://" + m.Addr + "/api/v1", `[]`, 400},
		"operator: unknown":         {"POST", "http://" + m.Addr + "/api/v1", `{"type":"NO_SUCH"}`, 400},
		"weights: negative":         {"PUT", "http://" + m.Addr + "/weights", `[{"role":"a","weight":-1}]`, 400},
		"app: malformed":            {"POST", app.url + "/v2/apps", `{"id":`, 400},
		"app: no command":           {"POST", app.url + "/v2/apps", `{"id":"/x"}`, 422},
		"app: unsupported":          {"POST", app.url + "/v2/apps", `{"id":"/x","cmd":"true","container":{"type":"DOCKER","docker":{"image":"x"}}}`, 422},
		"app: unknown":              {"GET", app.url + "/v2/apps//nobody", ``, 404},
	} {
		t.Run(name, func(t *testing.T) {
			status, text, err := harness.Do(tc.method, tc.url, tc.text)
			if err != nil || status != tc.status {
				t.Fatalf("got %d %s %v, want %d", status, text, err, tc.status)
			}
			if strings.TrimSpace(text) == "" {
				t.Error("the refusal says nothing")
			}
		})
	}
	t.Run("app: a constraint that no agent meets", func(t *testing.T) {
		status, text, err := harness.Do("POST", app.url+"/v2/apps", `{"id":"/nowhere","cmd":"sleep 1000","cpus":0.1,"mem":32,"constraints":[["rack","LIKE","no-such-rack"]]}`)
		if err != nil || status != 201 {
			t.Fatalf("got %d %s %v", status, text, err)
		}
		harness.Eventually(t, 60*time.Second, "the queue says why", func() error {
			return contains(app.url+"/v2/queue", "rack")
		})
	})
	running(t, m, 1)
}
