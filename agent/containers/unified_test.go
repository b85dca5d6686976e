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

// A container may have groups of its own below, as a pod executor makes for its pods; on
// the unified hierarchy it leaves its own group for a leaf first. Limits still change,
// usage counts all, a new manager finds it, and its end leaves nothing.
const delegating = `set -e
below() { # hierarchy, own path
  mkdir -p "$1$2/leaf" "$1$2/pods/pod1/c0"
  if [ -e "$1$2/cgroup.subtree_control" ]; then
    for p in $(cat "$1$2/cgroup.procs"); do echo $p >"$1$2/leaf/cgroup.procs" || :; done
    for d in "$1$2" "$1$2/pods" "$1$2/pods/pod1"; do echo "+cpu +memory +pids" >"$d/cgroup.subtree_control"; done
    echo 40000000 >"$1$2/pods/pod1/memory.max"
  fi
  sh -c 'echo $$ >"$0/cgroup.procs"; exec sleep 1000' "$1$2/pods/pod1/c0" &
}
if [ -e /sys/fs/cgroup/cgroup.controllers ]
then below /sys/fs/cgroup "$(sed -n 's/^0:://p' /proc/self/cgroup)"
else for c in memory pids; do below /sys/fs/cgroup/$c "$(sed -n "s/^[0-9]*:$c://p" /proc/self/cgroup)"; done
fi
echo ready
wait`

func TestContainerWithGroupsBelow(t *testing.T) {
	m := newManager(t, nil)
	s := shell(t, "c1", delegating)
	s.Resources.MemLimit = 0
	launchDetached(t, m, s)
	processes := func(m *Manager) uint32 {
		u, err := m.Usage("c1")
		if err != nil {
			t.Fatal(err)
		}
		return u.Processes
	}
	until(t, "the groups below", func() bool {
		out, _ := os.ReadFile(s.Stdout)
		return string(out) == "ready\n" && processes(m) >= 3 // the wrapper, the shell, what it started
	})
	next, err := New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	found, err := next.Recover(map[string]Resources{"c1": s.Resources})
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	if err := next.Update("c1", Resources{CPUs: 1, Mem: 128 << 20, MemLimit: 256 << 20}); err != nil {
		t.Fatal(err)
	}
	c := next.get("c1").isolation.(*cgroup)
	if got := c.number("memory", "memory.limit_in_bytes", "memory.max"); got != 256<<20 {
		t.Errorf("memory limit is %d", got)
	}
	if n := processes(next); n < 3 {
		t.Errorf("%d processes", n)
	}
	if err := next.Destroy("c1"); err != nil {
		t.Fatal(err)
	}
	if x := end(t, found["c1"].Exit); !x.Destroyed {
		t.Errorf("exit is %+v", x)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + m.cfg.CgroupsRoot + "/c1/pods"); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
