package agent

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
)

// Resources reads the --resources flag and adds what it leaves out and Mesos
// discovers: cpus, mem, disk and ports (reference section 4.9).
func Resources(text, defaultRole, workDir string) ([]mesos.Resource, error) {
	given, err := offers.ParseText(text, defaultRole)
	if err != nil {
		return nil, err
	}
	list := given.Mesos()
	has := map[string]bool{}
	for i := range list {
		has[list[i].Name] = true
	}
	var missing []string
	if !has["cpus"] {
		missing = append(missing, fmt.Sprintf("cpus:%d", runtime.NumCPU()))
	}
	if !has["mem"] {
		missing = append(missing, fmt.Sprintf("mem:%d", leave(memoryMB(), 1024)))
	}
	if !has["disk"] {
		missing = append(missing, fmt.Sprintf("disk:%d", leave(diskMB(workDir), 5*1024)))
	}
	if !has["ports"] {
		missing = append(missing, "ports:[31000-32000]")
	}
	found, err := offers.ParseText(strings.Join(missing, ";"), defaultRole)
	if err != nil {
		return nil, err
	}
	return given.Plus(found).Mesos(), nil
}

// leave keeps something for the machine itself, but never more than half.
func leave(total, keep uint64) uint64 {
	if total < 2*keep {
		return total / 2
	}
	return total - keep
}

// memoryMB is the machine's memory; 1 GB when it can't be read.
func memoryMB() uint64 {
	const fallback = 1024
	f, err := os.Open("/proc/meminfo")
	if err != nil {
		return fallback
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var kb uint64
		if _, err := fmt.Sscanf(lines.Text(), "MemTotal: %d kB", &kb); err == nil {
			return kb / 1024
		}
	}
	return fallback
}

// diskMB is the size of the file system of dir; 10 GB when it can't be read.
func diskMB(dir string) uint64 {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil || st.Bsize <= 0 {
		return 10 * 1024
	}
	return st.Blocks * uint64(st.Bsize) >> 20
}
