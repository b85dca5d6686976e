package e2e

import (
	"path/filepath"
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

// A framework written with the Python library PyMesos.
func TestPyMesos(t *testing.T) {
	m := harness.StartMesos(t, 1)
	p := harness.Start(t, m.Dir, "pymesos", filepath.Join(filepath.Dir(harness.Bin(t, "clients/pymesos/done")), "bin", "python"),
		"../tools/clients/pymesos/framework.py", m.Addr, "6")
	if status := p.Wait(3 * time.Minute); status != 0 || !strings.Contains(p.Output(), "finished: 6") {
		t.Fatalf("ended with %d:\n%s", status, p.Tail(60))
	}
}
