package containers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A directory of files stands in for the unified hierarchy.
func TestRoomForContainersOnTheUnifiedHierarchy(t *testing.T) {
	type files map[string]string
	const all = "cpu memory pids"
	kernelRoot := files{"cgroup.controllers": all, "cgroup.subtree_control": "", "cgroup.procs": "1\n2\n"}
	free := files{"cgroup.type": "domain", "cgroup.controllers": all, "cgroup.subtree_control": "", "cgroup.procs": ""}
	used := files{"cgroup.type": "domain", "cgroup.controllers": all, "cgroup.subtree_control": "", "cgroup.procs": "0\n1\n"}
	for name, c := range map[string]struct {
		groups map[string]files // by path below the mount point
		want   string           // "" is room
	}{
		"the kernel's root":            {map[string]files{"": kernelRoot}, ""},
		"below the kernel's root":      {map[string]files{"": kernelRoot, "mesos": free}, ""},
		"a container with a free root": {map[string]files{"": free}, ""},
		"a container as it is born":    {map[string]files{"": used}, "holds processes itself"},
		"enabled already":              {map[string]files{"": {"cgroup.type": "domain", "cgroup.controllers": all, "cgroup.subtree_control": all, "cgroup.procs": ""}}, ""},
		"a parent in use":              {map[string]files{"": kernelRoot, "mesos": used}, "mesos holds processes"},
		"nothing delegated":            {map[string]files{"": {"cgroup.type": "domain", "cgroup.controllers": "pids"}}, "no memory controller"},
	} {
		t.Run(name, func(t *testing.T) {
			mount := t.TempDir()
			for group, content := range c.groups {
				for file, text := range content {
					path := filepath.Join(mount, group, file)
					if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			switch err := checkRoom(mount, "mesos/agent-1"); {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
