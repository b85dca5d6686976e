package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// mesos-go's example scheduler and its custom executor, unmodified, which the
// agent fetches over HTTP from the scheduler. They speak protobuf, their default:
// mesos-go knows no JSON name for a capability that Mesos's masters announce since 1.9.
func TestMesosGoExample(t *testing.T) {
	m := harness.StartMesos(t, 1)
	p := harness.Start(t, m.Dir, "example-scheduler", harness.Bin(t, "clients/example-scheduler"),
		"-url=http://"+m.Addr+"/api/v1/scheduler", "-codec=protobuf", "-executor="+harness.Bin(t, "clients/example-executor"),
		"-tasks=8", "-cpu=0.5", "-verbose", "-server.address=127.0.0.1", "-metrics.port=0")
	// Once all is done it cancels its own subscription and exits with 1.
	if p.Wait(3 * time.Minute); !strings.Contains(p.Output(), "mission accomplished") {
		t.Fatalf("it did not come to its end:\n%s", p.Tail(60))
	}
	harness.Eventually(t, 20*time.Second, "all tasks finished in the master's view", func() error {
		return finished(m.Addr, "example", 8)
	})
}

// mesos-go's example for the API before HTTP: a scheduler and an executor that speak
// libprocess through drivers, as frameworks built on libmesos do; once with CRAM-MD5.
func TestMesosGoDriverExample(t *testing.T) {
	t.Run("open", func(t *testing.T) { driverExample(t, harness.StartMesos(t, 1)) })
	t.Run("authenticated", func(t *testing.T) {
		dir := t.TempDir()
		credentials, secret := filepath.Join(dir, "credentials"), filepath.Join(dir, "secret")
		for path, text := range map[string]string{
			credentials: `{"credentials": [{"principal": "example", "secret": "from the old days"}]}`, secret: "from the old days",
		} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		m := harness.StartMesos(t, 1, "--authenticate_frameworks=true", "--credentials="+credentials)
		driverExample(t, m, "-mesos_authentication_principal=example", "-mesos_authentication_secret_file="+secret)
	})
}

func driverExample(t *testing.T, m *harness.Mesos, flags ...string) {
	flags = append(flags, "-master="+m.Addr, "-address=127.0.0.1", "-artifactPort="+strconv.Itoa(harness.FreePort(t, "127.0.0.1")),
		"-executor="+harness.Bin(t, "clients/v0/executor"), "-logtostderr", "-task-count=5")
	p := harness.Start(t, m.Dir, "v0-scheduler", append([]string{harness.Bin(t, "clients/v0/scheduler")}, flags...)...)
	if status := p.Wait(2 * time.Minute); status != 0 || !strings.Contains(p.Output(), "Total tasks completed") {
		t.Fatalf("ended with %d:\n%s", status, p.Tail(60))
	}
}

// A framework written with the Python library PyMesos.
func TestPyMesos(t *testing.T) {
	m := harness.StartMesos(t, 1)
	p := harness.Start(t, m.Dir, "pymesos", filepath.Join(filepath.Dir(harness.Bin(t, "clients/pymesos/done")), "bin", "python"),
		"../tools/clients/pymesos/framework.py", m.Addr, "6")
	if status := p.Wait(3 * time.Minute); status != 0 || !strings.Contains(p.Output(), "finished: 6") {
		t.Fatalf("ended with %d:\n%s", status, p.Tail(60))
	}
}
