package cgroups

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The tree's processes end, those that ignore SIGTERM and those in hierarchies that we
// did not put them in too, and nothing of the tree is left.
func TestEndAndRemove(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes cgroups: run it as root")
	}
	tree, err := Find(fmt.Sprintf("tombolo-test-%d", os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Remove()
	var started []*exec.Cmd
	for i, root := range tree.roots {
		if filepath.Base(root) == "cpuset" {
			continue // wants cpus and memory nodes first
		}
		dir := filepath.Join(root, tree.name, "a", fmt.Sprint(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/bin/sh", "-c", "trap '' TERM; echo deaf; sleep 1000 & wait; sleep 1000")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 5)); err != nil {
			t.Fatal(err)
		}
		started = append(started, cmd)
		if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), fmt.Appendf(nil, "%d", cmd.Process.Pid), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ended := make(chan error)
	go func() { ended <- tree.End("a", 100*time.Millisecond) }()
	for _, cmd := range started {
		cmd.Wait()
		if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL {
			t.Errorf("ended by %v", cmd.ProcessState)
		}
	}
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if pids, err := tree.Processes(""); err != nil || len(pids) > 0 {
		t.Errorf("processes %v are left (%v)", pids, err)
	}
	if err := tree.Remove(); err != nil {
		t.Fatal(err)
	}
	if left := tree.directories(""); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
