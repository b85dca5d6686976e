package containers

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const patience = 60 * time.Second

// TestMain lets this binary stand in for the wrapper.
func TestMain(m *testing.M) {
	if len(os.Args) > 3 && os.Args[1] == "launch" {
		code, err := RunWrapper(os.NewFile(3, "orders"), os.Args[3])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// newManager makes a manager on this machine's real cgroups, and removes its cgroup afterwards.
func newManager(t *testing.T, change func(*Config)) *Manager {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test needs root: it makes cgroups")
	}
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Wrapper: own, RuntimeDir: t.TempDir(), CgroupsRoot: fmt.Sprintf("tombolo-unit-%d-%d", os.Getpid(), time.Now().UnixNano()),
		DestroyTimeout: patience, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&cfg)
	}
	m, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, pattern := range []string{"/sys/fs/cgroup/*/", "/sys/fs/cgroup/"} {
			left, _ := filepath.Glob(pattern + cfg.CgroupsRoot + "/*/cgroup.procs")
			if len(left) > 0 {
				t.Errorf("cgroups left: %v", left)
			}
			dirs, _ := filepath.Glob(pattern + cfg.CgroupsRoot)
			for _, d := range dirs {
				_ = os.Remove(d)
			}
		}
	})
	return m
}

// shell is a container that runs a script.
func shell(t *testing.T, id, script string) Spec {
	dir := t.TempDir()
	return Spec{ID: id, Path: "/bin/sh", Args: []string{"sh", "-c", script}, Dir: dir, Env: []string{"PATH=/usr/bin:/bin"},
		Stdout: filepath.Join(dir, "stdout"), Stderr: filepath.Join(dir, "stderr"), Resources: Resources{CPUs: 0.5, Mem: 64 << 20, MemLimit: 64 << 20}}
}

func launch(t *testing.T, m *Manager, s Spec) (Process, <-chan Exit) {
	t.Helper()
	p, exit, err := m.Launch(s)
	if err != nil {
		t.Fatal(err)
	}
	return p, exit
}

func end(t *testing.T, exit <-chan Exit) Exit {
	t.Helper()
	select {
	case x := <-exit:
		return x
	case <-time.After(patience):
		t.Fatal("the container does not end")
		return Exit{}
	}
}

// until polls; tests assert outcomes, not durations.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited for %s in vain", what)
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestExitStatusAndOutput(t *testing.T) {
	m := newManager(t, nil)
	s := shell(t, "c1", "echo out; echo err >&2; pwd; exit 3")
	_, exit := launch(t, m, s)
	if x := end(t, exit); x.Status == nil || *x.Status != 3<<8 || x.OOM != nil || x.Destroyed {
		t.Errorf("exit is %+v", x)
	}
	if got := read(t, s.Stdout); got != "out\n"+s.Dir+"\n" {
		t.Errorf("stdout is %q", got)
	}
	if got := read(t, s.Stderr); got != "err\n" {
		t.Errorf("stderr is %q", got)
	}
	if _, err := os.Stat(m.dir("c1")); !os.IsNotExist(err) {
		t.Errorf("runtime directory is left: %v", err)
	}
}

func TestMissingBinaryIsAnExit(t *testing.T) {
	m := newManager(t, nil)
	s := shell(t, "c1", "")
	s.Path = "/no/such/file"
	_, exit := launch(t, m, s)
	if x := end(t, exit); x.Status == nil || *x.Status != 127<<8 {
		t.Errorf("exit is %+v", x)
	}
	if got := read(t, s.Stderr); !strings.Contains(got, "/no/such/file") {
		t.Errorf("stderr is %q", got)
	}
}

func TestLimitsReachTheKernel(t *testing.T) {
	m := newManager(t, func(c *Config) { c.PidsMax = 77 })
	s := shell(t, "c1", "sleep 1000")
	s.Resources = Resources{CPUs: 0.5, CPULimit: 1.5, Mem: 64 << 20, MemLimit: 100 << 20}
	_, exit := launch(t, m, s)
	c := m.get("c1").isolation.(*cgroup)
	check := func(what, got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("%s is %q, want %q", what, got, want)
		}
	}
	if c.m.Path("memory") != c.m.Path("cpu") { // v1
		check("shares", c.file("cpu", "cpu.shares"), "512")
		check("quota", c.file("cpu", "cpu.cfs_quota_us"), "150000")
		check("memory", c.file("memory", "memory.limit_in_bytes"), strconv.Itoa(100<<20))
		check("soft limit", c.file("memory", "memory.soft_limit_in_bytes"), strconv.Itoa(64<<20))
	} else {
		check("quota", c.file("cpu", "cpu.max"), "150000 100000")
		check("memory", c.file("memory", "memory.max"), strconv.Itoa(100<<20))
	}
	check("processes", c.file("pids", "pids.max"), "77")
	if err := m.Update("c1", Resources{CPUs: 2, Mem: 200 << 20}); err != nil {
		t.Fatal(err)
	}
	if got := c.number("memory", "memory.limit_in_bytes", "memory.max"); got != 0 && got < 1<<60 {
		t.Errorf("memory limit is still %d", got)
	}
	until(t, "usage", func() bool { // the kernel counts memory in batches
		u, err := m.Usage("c1")
		return err == nil && u.Processes > 0 && u.MemTotal > 0 && u.CPUSoftLimit == 2
	})
	if err := m.Destroy("c1"); err != nil {
		t.Fatal(err)
	}
	if x := end(t, exit); !x.Destroyed {
		t.Errorf("exit is %+v", x)
	}
}

// everything that hides from signals: own sessions, ignored signals, a fork storm.
const escapee = `trap '' TERM HUP INT
setsid sh -c 'trap "" TERM; while :; do sleep 100; done' &
(setsid sh -c 'while :; do setsid sleep 100 & sleep 0.01; done' &)
echo ready; wait; sleep 1000`

func TestDestroyLeavesNothing(t *testing.T) {
	for _, posix := range []bool{false, true} {
		t.Run(fmt.Sprintf("posix=%v", posix), func(t *testing.T) {
			m := newManager(t, func(c *Config) { c.Posix = posix })
			s := shell(t, "c1", escapee)
			_, exit := launch(t, m, s)
			until(t, "the processes", func() bool {
				out, _ := os.ReadFile(s.Stdout)
				u, _ := m.Usage("c1")
				return string(out) == "ready\n" && u.Processes > 6
			})
			if err := m.Destroy("c1"); err != nil {
				t.Fatal(err)
			}
			end(t, exit)
			for _, dir := range must(filepath.Glob("/proc/[0-9]*/cwd")) {
				if at, _ := os.Readlink(dir); at == s.Dir {
					t.Errorf("process left: %s", dir)
				}
			}
		})
	}
}

func must(list []string, _ error) []string { return list }

// The executor ends, its children don't: they are part of the container.
func TestChildrenEndWithTheExecutor(t *testing.T) {
	m := newManager(t, nil)
	s := shell(t, "c1", "setsid sleep 1000 & echo $! >pid; exit 0")
	_, exit := launch(t, m, s)
	if x := end(t, exit); x.Status == nil || *x.Status != 0 {
		t.Errorf("exit is %+v", x)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(read(t, filepath.Join(s.Dir, "pid"))))
	if err != nil {
		t.Fatal(err)
	}
	if st, err := readStat(pid); err == nil && st.state != 'Z' { // init collects it in its own time
		t.Errorf("the child lives on: %+v", st)
	}
}

func TestLCH02_MemoryLimit(t *testing.T) {
	m := newManager(t, nil)
	s := shell(t, "c1", `x=a; while :; do x="$x$x"; done`)
	_, exit := launch(t, m, s)
	x := end(t, exit)
	if x.OOM == nil || x.OOM.Limit != 64<<20 || x.OOM.Usage == 0 {
		t.Errorf("exit is %+v, OOM %+v", x, x.OOM)
	}
}

// A child that dies of memory ends the whole container, although the executor doesn't notice.
func TestLCH02_MemoryLimitOfAChild(t *testing.T) {
	m := newManager(t, nil)
	s := shell(t, "c1", `sh -c 'x=a; while :; do x="$x$x"; done'; sleep 1000`)
	_, exit := launch(t, m, s)
	if x := end(t, exit); x.OOM == nil {
		t.Errorf("exit is %+v", x)
	}
}

// A second manager takes over, as after a restart of the agent.
func TestRCV04_RecoverRunningAndDead(t *testing.T) {
	m := newManager(t, nil)
	running, dead, orphan := shell(t, "running", "while [ ! -e stop ]; do sleep 0.02; done; exit 5"), shell(t, "dead", "exit 6"), shell(t, "orphan", "sleep 1000")
	p := launchDetached(t, m, running)
	launchDetached(t, m, dead)
	launchDetached(t, m, orphan)
	status := filepath.Join(m.dir("dead"), statusFile)
	until(t, "the status of the dead one", func() bool { return readStatus(status) != nil })

	next, err := New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	found, err := next.Recover(map[string]Resources{"running": {}, "dead": {}, "unheard-of": {}})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 2 || found["running"].Process != p {
		t.Fatalf("found %+v", found)
	}
	if x := end(t, found["dead"].Exit); x.Status == nil || *x.Status != 6<<8 {
		t.Errorf("the dead one: %+v", x)
	}
	until(t, "the orphan's end", func() bool { return next.get("orphan") == nil })
	if err := os.WriteFile(filepath.Join(running.Dir, "stop"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if x := end(t, found["running"].Exit); x.Status == nil || *x.Status != 5<<8 {
		t.Errorf("the running one: %+v", x)
	}
}

// launchDetached starts a container that nobody watches, as if the agent died at once.
func launchDetached(t *testing.T, m *Manager, s Spec) Process {
	t.Helper()
	c, err := m.create(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.start(c, s); err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.started.Wait() }()
	return c.process
}

// The wrapper gives up when the agent dies before it has said what to run.
func TestWrapperWithoutOrders(t *testing.T) {
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(own, "launch", "--status", filepath.Join(t.TempDir(), "status"))
	cmd.ExtraFiles = []*os.File{r}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	_, _ = w.WriteString(`{"path":"/bin/touch"`)
	w.Close()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the wrapper ended with %v", err)
	}
}

func TestProcessIdentity(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil || !p.alive() {
		t.Fatalf("%+v, %v", p, err)
	}
	if again, err := ParseProcess(p.String()); err != nil || again != p {
		t.Errorf("round trip: %+v, %v", again, err)
	}
	recycled := p
	recycled.Start--
	if recycled.alive() {
		t.Error("a pid with another start time is another process")
	}
	if err := recycled.wait(); err != nil {
		t.Errorf("waiting for what is gone: %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.wait() }()
	_ = cmd.Process.Signal(syscall.SIGKILL)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-ctx.Done():
		t.Error("the death was not noticed")
	}
	_ = cmd.Wait()
	for _, bad := range []string{"", "1 2", "x 2 b", "1 x b", "0 1 b", "1 2 3 4"} {
		if _, err := ParseProcess(bad); err == nil {
			t.Errorf("%q was parsed", bad)
		}
	}
}

func TestBadSpecs(t *testing.T) {
	m := newManager(t, nil)
	for name, s := range map[string]Spec{
		"id leaves the directory": {ID: "../x", Path: "/bin/true", Args: []string{"true"}, Dir: "/"},
		"no command":              {ID: "x", Dir: "/"},
		"relative sandbox":        {ID: "x", Path: "/bin/true", Args: []string{"true"}, Dir: "x"},
	} {
		if _, _, err := m.Launch(s); err == nil {
			t.Errorf("%s: launched", name)
		}
	}
}

// Before kernel 5.10 there are no process file descriptors to wait on.
func TestProcessIsWatchedWithoutDescriptors(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { p.poll(); close(ended) }()
	select {
	case <-ended:
		t.Error("a living process was given up")
	case <-time.After(2 * pollInterval):
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the death was not noticed")
	}
}

// What a task fetches must not become the agent's way out of the sandbox, nor hold it up.
func TestOutputIsAFileOfItsOwn(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, plant := range map[string]func(string) error{
		"a pipe":      func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"a link":      func(p string) error { return os.Symlink(secret, p) },
		"a hard link": func(p string) error { return os.Link(secret, p) },
	} {
		path := filepath.Join(t.TempDir(), "stdout")
		if err := plant(path); err != nil {
			t.Fatal(err)
		}
		if f, err := openLog(path, &User{UID: 65534, GID: 65534}); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
	if info, err := os.Stat(secret); err != nil || info.Sys().(*syscall.Stat_t).Uid != 0 {
		t.Errorf("the file outside was given away: %v", err)
	}
}
