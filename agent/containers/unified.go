package containers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// unifiedMount is where cgroup v2 is mounted when it is the only hierarchy.
const unifiedMount = "/sys/fs/cgroup"

// checkRoom tells why no container below root can get limits on a machine with cgroup v2
// only: a cgroup that holds processes itself has none to hand out, but for the kernel's
// own root. A container's /sys/fs/cgroup is the usual case: its processes are in it.
// Trying it out would leave that cgroup changed.
func checkRoom(mount, root string) error {
	dir := mount
	for _, name := range append([]string{""}, strings.Split(filepath.Clean(root), "/")...) {
		dir = filepath.Join(dir, name)
		if err := checkCgroup(dir); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it will be made, and have no processes
			}
			return err
		}
	}
	return nil
}

func checkCgroup(dir string) error {
	has := func(file string) ([]string, error) {
		text, err := os.ReadFile(filepath.Join(dir, file))
		return strings.Fields(string(text)), err
	}
	there, err := has("cgroup.controllers")
	if err != nil {
		return fmt.Errorf("controllers of a cgroup: %w", err)
	}
	if !slices.Contains(there, "memory") {
		return fmt.Errorf("cgroup %s has no memory controller: the one above it must enable it in its cgroup.subtree_control", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, "cgroup.type")); errors.Is(err, fs.ErrNotExist) {
		return nil // the kernel's root may hold processes
	}
	if enabled, err := has("cgroup.subtree_control"); err != nil || slices.Contains(enabled, "memory") {
		return err
	}
	procs, err := has("cgroup.procs")
	if err != nil || len(procs) == 0 {
		return err
	}
	return fmt.Errorf("cgroup %[1]s holds processes itself and so can't limit what is below it; move them down first: "+
		"mkdir %[1]s/init; for p in $(cat %[1]s/cgroup.procs); do echo $p >%[1]s/init/cgroup.procs; done", dir)
}
