package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Mesos is a master and agents on loopback, without Kubernetes.
type Mesos struct {
	Dir    string
	Addr   string // of the master, "127.0.0.1:port"
	Master *Process
	Agents []*Process
}

// AgentResources is what every agent of a Mesos has.
const AgentResources = "cpus:4;mem:2048;disk:4096;ports:[31000-32000]"

// StartMesos starts a master and n agents, each of which has AgentResources, and
// waits until all are registered. masterFlags go to the master alone.
func StartMesos(t testing.TB, n int, masterFlags ...string) *Mesos {
	t.Helper()
	m := &Mesos{Dir: shortDir(t)}
	t.Cleanup(func() { endCgroup(t, m.cgroup()) })
	port := FreePort(t, "127.0.0.1")
	m.Addr = "127.0.0.1:" + strconv.Itoa(port)
	args := []string{Bin(t, "tombolo"), "master", "--ip=127.0.0.1", "--port=" + strconv.Itoa(port), "--work_dir=" + filepath.Join(m.Dir, "master")}
	m.Master = Start(t, m.Dir, "master", append(args, masterFlags...)...)
	m.AwaitMaster(t)
	for i := range n {
		m.Agents = append(m.Agents, m.startAgent(t, i))
	}
	m.AwaitAgents(t, n)
	return m
}

func (m *Mesos) startAgent(t testing.TB, i int) *Process {
	name := fmt.Sprintf("agent%d", i)
	dir := filepath.Join(m.Dir, name)
	p := Start(t, m.Dir, name, Bin(t, "tombolo"), "agent", "--master="+m.Addr, "--ip=127.0.0.1",
		"--port="+strconv.Itoa(FreePort(t, "127.0.0.1")), "--hostname="+name, "--work_dir="+dir, "--runtime_dir="+filepath.Join(dir, "run"),
		"--launcher_dir="+filepath.Dir(Bin(t, "tombolo-executor")), "--resources="+AgentResources,
		"--attributes=rack:r"+strconv.Itoa(i), "--cgroups_root="+m.cgroup()+"/"+name)
	return p
}

// cgroup is the root of all containers of this datacenter, in every hierarchy.
func (m *Mesos) cgroup() string { return "tombolo-e2e-" + filepath.Base(m.Dir) }

// AwaitMaster waits until the master answers.
func (m *Mesos) AwaitMaster(t testing.TB) {
	t.Helper()
	Eventually(t, 30*time.Second, "the master answers", func() error {
		_, err := Get("http://" + m.Addr + "/health")
		return err
	})
}

// AwaitAgents waits until n agents are active.
func (m *Mesos) AwaitAgents(t testing.TB, n int) {
	t.Helper()
	Eventually(t, 60*time.Second, fmt.Sprintf("%d agents are active", n), func() error {
		s, err := StateOf(m.Addr)
		if err != nil {
			return err
		}
		active := 0
		for _, a := range s.Slaves {
			if a.Active {
				active++
			}
		}
		if active != n {
			return fmt.Errorf("%d are", active)
		}
		return nil
	})
}

// shortDir makes a directory whose path is short enough for sockets.
func shortDir(t testing.TB) string {
	dir, err := os.MkdirTemp("", "tmb")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

// endCgroup ends what runs below a cgroup, in every hierarchy, and removes it: an
// agent that is stopped leaves its tasks running, as it should.
func endCgroup(t testing.TB, name string) {
	Eventually(t, 30*time.Second, "cgroup "+name+" is gone", func() error {
		for _, pattern := range []string{"/sys/fs/cgroup/" + name, "/sys/fs/cgroup/*/" + name} {
			roots, err := filepath.Glob(pattern)
			if err != nil {
				return err
			}
			for _, root := range roots {
				if err := emptyCgroup(root); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func emptyCgroup(dir string) error {
	children, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, child := range children {
		if child.IsDir() {
			if err := emptyCgroup(filepath.Join(dir, child.Name())); err != nil {
				return err
			}
		}
	}
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, field := range strings.Fields(string(procs)) {
		if pid, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended meanwhile
		}
	}
	return os.Remove(dir)
}
