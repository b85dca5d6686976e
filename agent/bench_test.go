package agent_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
)

// BenchmarkCommandTask launches tasks that stay, one after the other, on a real agent
// in real cgroups, and reports the time from RunTask to TASK_RUNNING at the master,
// and what the agent and the processes of one task occupy in the end. Run it with
// -benchtime=200x.
func BenchmarkCommandTask(b *testing.B) {
	m := newFakeMaster(b)
	a := startAgent(b, m)
	m.await("registration", registered)
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		id := "t" + strconv.Itoa(i)
		begin := time.Now()
		m.order(commandTask(id, "exec sleep 1000"))
		m.await("running", func(all []proto.Message) bool { return slices.Contains(states(all, id), "RUNNING") })
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1e3, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1e3, "p99-ms")
	b.ReportMetric(kilobytes(b, a.cmd.Process.Pid, "Rss")/1024, "agent-MB")
	var wrapper, executor float64
	n := 0.0
	procs, _ := filepath.Glob("/sys/fs/cgroup/memory/" + a.root + "/*/cgroup.procs")
	if len(procs) == 0 {
		procs, _ = filepath.Glob("/sys/fs/cgroup/" + a.root + "/*/cgroup.procs")
	}
	for _, path := range procs {
		n++
		text, _ := os.ReadFile(path)
		for _, field := range strings.Fields(string(text)) {
			pid, _ := strconv.Atoi(field)
			args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
			switch {
			case bytes.Contains(args, []byte("\x00launch\x00")):
				wrapper += kilobytes(b, pid, "Pss")
			case bytes.Contains(args, []byte("\x00command\x00")):
				executor += kilobytes(b, pid, "Pss")
			}
		}
	}
	b.ReportMetric(wrapper/1024/n, "wrapper-MB")
	b.ReportMetric(executor/1024/n, "executor-MB")
}

func kilobytes(b *testing.B, pid int, what string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == what+":" {
			n, _ := strconv.ParseFloat(f[1], 64)
			return n
		}
	}
	return 0
}
