package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// legacy is a Marathon framework with an app whose instances write their start to
// a file, so that one that ran twice is seen.
type legacy struct {
	*harness.Process
	url    string
	starts string
}

func startLegacy(t *testing.T, m *harness.Mesos, instances int) *legacy {
	t.Helper()
	port := strconv.Itoa(harness.FreePort(t, "127.0.0.1"))
	l := &legacy{url: "http://127.0.0.1:" + port, starts: filepath.Join(m.Dir, "starts")}
	l.Process = harness.Start(t, m.Dir, "marathon", harness.Bin(t, "tombolo"), "marathon", "--master="+m.Addr,
		"--ip=127.0.0.1", "--port="+port, "--state=file://"+filepath.Join(m.Dir, "state-marathon"))
	l.awaitAPI(t)
	app := fmt.Sprintf(`{"id":"/old","cmd":"echo $MESOS_TASK_ID >> %s; exec sleep 100000","cpus":0.1,"mem":32,"instances":%d}`, l.starts, instances)
	status, text, err := harness.Do("POST", l.url+"/v2/apps", app)
	if err != nil || status != 201 {
		t.Fatalf("create the app: %d %s %v", status, text, err)
	}
	return l
}

func (l *legacy) awaitAPI(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 60*time.Second, "Marathon answers", func() error {
		_, err := harness.Get(l.url + "/ping")
		return err
	})
}

// running returns the sorted task ids that master holds for running.
func running(t *testing.T, m *harness.Mesos, n int) []string {
	t.Helper()
	var ids []string
	harness.Eventually(t, 90*time.Second, fmt.Sprintf("%d instances run", n), func() error {
		s, err := harness.StateOf(m.Addr)
		if err != nil {
			return err
		}
		f, err := s.Framework("marathon")
		if err != nil {
			return err
		}
		if ids = f.Running(); len(ids) != n || !f.Connected {
			return fmt.Errorf("running: %v, connected: %v", ids, f.Connected)
		}
		return nil
	})
	slices.Sort(ids)
	return ids
}

// Killing each part with SIGKILL and starting it again by the same command loses
// no instance and starts none twice (design D9).
func TestKill9EachPart(t *testing.T) {
	m := harness.StartMesos(t, 2)
	app := startLegacy(t, m, 4)
	before := running(t, m, 4)
	for _, victim := range []*harness.Process{m.Master, m.Agents[0], app.Process, m.Agents[1], m.Master} {
		victim.Kill()
		victim.Restart()
		m.AwaitMaster(t)
		m.AwaitAgents(t, 2)
		app.awaitAPI(t)
		if after := running(t, m, 4); !slices.Equal(before, after) {
			t.Fatalf("after kill -9 of %s: running %v, were %v", victim.Name, after, before)
		}
	}
	data, err := os.ReadFile(app.starts)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Fields(string(data)); len(lines) != 4 {
		t.Fatalf("4 instances, but these were started: %v", lines)
	}
	// The app still obeys: scaling down works after all that.
	status, text, err := harness.Do("PUT", app.url+"/v2/apps//old", `{"instances":1}`)
	if err != nil || status != 200 {
		t.Fatalf("scale: %d %s %v", status, text, err)
	}
	running(t, m, 1)
}

// All parts at once, as after a power cut of the controlling machine.
func TestKill9EverythingButTheTasks(t *testing.T) {
	m := harness.StartMesos(t, 1)
	app := startLegacy(t, m, 3)
	before := running(t, m, 3)
	parts := []*harness.Process{m.Agents[0], app.Process, m.Master}
	for _, p := range parts {
		p.Kill()
	}
	for _, p := range parts {
		p.Restart()
	}
	m.AwaitMaster(t)
	m.AwaitAgents(t, 1)
	app.awaitAPI(t)
	if after := running(t, m, 3); !slices.Equal(before, after) {
		t.Fatalf("running %v, were %v", after, before)
	}
}
