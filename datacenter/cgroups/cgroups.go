// Package cgroups finds, empties and removes the control groups of a datacenter by
// name, in every hierarchy the machine has mounted (cgroup v1, v2 or both). Every
// process of a datacenter is born below one name, so its group is the complete list of
// what must end.
//
// Start reading at Tree.
package cgroups

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Tree is the group of this name, and all below, in all hierarchies.
type Tree struct {
	name  string
	roots []string // mount points; the one to track processes by comes first
}

// Find returns the tree of this name. It need not exist yet.
func Find(name string) (Tree, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Tree{}, fmt.Errorf("cgroups: %w", err)
	}
	var v1, v2 []string
	for line := range strings.Lines(string(data)) {
		before, after, found := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if !found || len(fields) < 5 {
			continue
		}
		switch kind, _, _ := strings.Cut(after, " "); kind {
		case "cgroup":
			v1 = append(v1, fields[4])
		case "cgroup2":
			v2 = append(v2, fields[4])
		}
	}
	// Any v1 hierarchy lists all processes; the one of this controller is always there.
	isPids := func(root string) bool { return filepath.Base(root) == "pids" }
	if i := slices.IndexFunc(v1, isPids); i > 0 {
		v1[0], v1[i] = v1[i], v1[0]
	}
	roots := append(v2, v1...)
	if len(roots) == 0 {
		return Tree{}, errors.New("cgroups: no hierarchy is mounted on this machine (see mount -t cgroup2)")
	}
	return Tree{name: name, roots: roots}, nil
}

// Path is the directory of a group below the tree in the hierarchy that tracks
// processes.
func (t Tree) Path(below ...string) string {
	return filepath.Join(append([]string{t.roots[0], t.name}, below...)...)
}

// Processes lists all members of the tree's groups below (of the whole tree when below
// is empty), in any hierarchy.
func (t Tree) Processes(below string) ([]int, error) {
	seen := map[int]bool{}
	for _, dir := range t.directories(below) {
		data, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.EOPNOTSUPP) {
			continue // removed meanwhile, or a threaded group, whose processes its parent lists
		}
		if err != nil {
			return nil, fmt.Errorf("cgroups: %w", err)
		}
		for _, field := range strings.Fields(string(data)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				seen[pid] = true
			}
		}
	}
	pids := make([]int, 0, len(seen))
	for pid := range seen {
		pids = append(pids, pid)
	}
	slices.Sort(pids)
	return pids, nil
}

// directories lists the groups below in all hierarchies, children after parents.
func (t Tree) directories(below string) []string {
	var dirs []string
	for _, root := range t.roots {
		top := filepath.Join(root, t.name, below)
		// Groups come and go while we look: what has gone is not an error.
		_ = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
	}
	return dirs
}

// End asks the members of the groups below to end, waits for the grace period and then
// kills whatever is left, including what was born meanwhile.
func (t Tree) End(below string, grace time.Duration) error {
	deadline := time.Now().Add(grace)
	if grace > 0 {
		if err := t.signal(below, syscall.SIGTERM); err != nil {
			return err
		}
	}
	limit := deadline.Add(20 * time.Second)
	for {
		pids, err := t.Processes(below)
		if err != nil || len(pids) == 0 {
			return err
		}
		switch now := time.Now(); {
		case now.After(limit):
			return fmt.Errorf("cgroups: processes %v of %s do not end", pids, filepath.Join(t.name, below))
		case now.After(deadline):
			t.thaw(below)
			if err := t.signal(below, syscall.SIGKILL); err != nil {
				return err
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (t Tree) signal(below string, s syscall.Signal) error {
	pids, err := t.Processes(below)
	if err != nil {
		return err
	}
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cgroups: signal process %d: %w", pid, err)
		}
	}
	return nil
}

// thaw lets frozen groups take their signals; there may be none to thaw.
func (t Tree) thaw(below string) {
	for _, dir := range t.directories(below) {
		_ = os.WriteFile(filepath.Join(dir, "freezer.state"), []byte("THAWED"), 0)
		_ = os.WriteFile(filepath.Join(dir, "cgroup.freeze"), []byte("0"), 0)
	}
}

// Remove removes the whole tree, which must have no processes left.
func (t Tree) Remove() error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		var errs []error
		for _, dir := range slices.Backward(t.directories("")) {
			if err := syscall.Rmdir(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, fmt.Errorf("cgroups: remove %s: %w", dir, err))
			}
		}
		if len(errs) == 0 || time.Now().After(deadline) {
			return errors.Join(errs...)
		}
		time.Sleep(20 * time.Millisecond) // a group stays busy for a moment after its last process
	}
}
