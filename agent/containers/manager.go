package containers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config is fixed for the life of a Manager.
type Config struct {
	Wrapper        string        // tombolo-executor, started as "<Wrapper> launch"
	RuntimeDir     string        // --runtime_dir; containers live in <RuntimeDir>/containers/<id>
	CgroupsRoot    string        // --cgroups_root, "mesos"
	EnableCFS      bool          // --cgroups_enable_cfs
	PidsMax        int64         // processes a container may have; 0: no limit
	DestroyTimeout time.Duration // --cgroups_destroy_timeout, 1 min
	Posix          bool          // degraded: no cgroups
	Log            *slog.Logger
}

// Manager owns the containers of one agent. Its methods are safe for any goroutine.
type Manager struct {
	cfg Config

	mu  sync.Mutex
	all map[string]*container
}

type container struct {
	id        string
	dir       string // runtime directory
	process   Process
	isolation isolation
	started   *exec.Cmd // nil after an agent restart: not our child any more

	exit chan Exit     // holds the one result; closed after it
	over chan struct{} // closed when nothing of it is left and final is set

	mu        sync.Mutex
	final     Exit
	destroyed bool // Destroy was asked for
	oomSeen   *OOM
	resources Resources
}

// New makes a manager; call Recover before anything else.
func New(cfg Config) (*Manager, error) {
	if cfg.DestroyTimeout <= 0 {
		cfg.DestroyTimeout = time.Minute
	}
	if err := os.MkdirAll(filepath.Join(cfg.RuntimeDir, "containers"), 0o700); err != nil {
		return nil, fmt.Errorf("runtime directory: %w", err)
	}
	return &Manager{cfg: cfg, all: map[string]*container{}}, nil
}

// Launch starts a container and returns its process and a channel that yields how it
// ended, after nothing of it is left. When it returns, the wrapper sits in its cgroup
// under its limits, and the executor is about to start.
func (m *Manager) Launch(spec Spec) (Process, <-chan Exit, error) {
	if err := spec.validate(); err != nil {
		return Process{}, nil, err
	}
	c, err := m.create(spec)
	if err != nil {
		return Process{}, nil, err
	}
	if err := m.start(c, spec); err != nil {
		m.abandon(c)
		return Process{}, nil, fmt.Errorf("container %s: %w", spec.ID, err)
	}
	go m.watch(c)
	return c.process, c.exit, nil
}

// create registers the container and makes its runtime directory.
func (m *Manager) create(spec Spec) (*container, error) {
	iso, err := m.isolate(spec.ID)
	if err != nil {
		return nil, err
	}
	c := &container{
		id: spec.ID, dir: m.dir(spec.ID), isolation: iso,
		exit: make(chan Exit, 1), over: make(chan struct{}), resources: spec.Resources,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all[spec.ID] != nil {
		return nil, fmt.Errorf("container %s: %w", spec.ID, ErrExists)
	}
	if parent := parentOf(spec.ID); parent != "" && !m.all[parent].running() {
		return nil, fmt.Errorf("container %s: parent %s: %w", spec.ID, parent, ErrUnknown)
	}
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("container %s: %w", spec.ID, err)
	}
	m.all[spec.ID] = c
	return c, nil
}

func (m *Manager) dir(id string) string { return filepath.Join(m.cfg.RuntimeDir, "containers", id) }

func (m *Manager) isolate(id string) (isolation, error) {
	if m.cfg.Posix {
		return &posix{id: id}, nil
	}
	if parentOf(id) != "" {
		return newNested(m.cfg.CgroupsRoot, id)
	}
	return newCgroup(m.cfg.CgroupsRoot, id, m.cfg.EnableCFS, m.cfg.PidsMax)
}

// start runs the wrapper, confines it, writes its identity down, and only then gives
// it the orders: an agent that dies in between leaves a wrapper that gives up.
func (m *Manager) start(c *container, spec Spec) error {
	stdout, err := openLog(spec.Stdout, spec.User)
	if err != nil {
		return err
	}
	defer stdout.Close()
	stderr, err := openLog(spec.Stderr, spec.User)
	if err != nil {
		return err
	}
	defer stderr.Close()
	orders, writer, err := os.Pipe()
	if err != nil {
		return err
	}
	defer writer.Close()

	cmd := exec.Command(m.cfg.Wrapper, "launch", "--status", filepath.Join(c.dir, statusFile))
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if m.cfg.Posix {
		mark := containerEnv + "=" + c.id
		cmd.Env, spec.Env = append(cmd.Env, mark), append(spec.Env, mark)
	}
	cmd.ExtraFiles = []*os.File{orders} // file descriptor 3
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	err = cmd.Start()
	orders.Close()
	if err != nil {
		return fmt.Errorf("start the wrapper: %w", err)
	}
	c.started = cmd
	if c.process, err = identify(cmd.Process.Pid); err != nil {
		return err
	}
	if err := c.isolation.place(cmd.Process.Pid, spec.Resources); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(c.dir, processFile), c.process.String()); err != nil {
		return err
	}
	if err := json.NewEncoder(writer).Encode(spec); err != nil {
		return fmt.Errorf("give the wrapper its orders: %w", err)
	}
	return nil
}

// abandon clears away a container that could not be started.
func (m *Manager) abandon(c *container) {
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.DestroyTimeout)
	defer cancel()
	if c.started != nil {
		_ = c.started.Process.Kill()
		_ = c.started.Wait()
	}
	if err := c.isolation.destroy(ctx); err != nil {
		m.cfg.Log.Error("container left behind", "container_id", c.id, "error", err)
	}
	m.forget(c)
}

func (m *Manager) forget(c *container) {
	m.mu.Lock()
	delete(m.all, c.id)
	m.mu.Unlock()
	if err := os.RemoveAll(c.dir); err != nil {
		m.cfg.Log.Error("runtime directory left behind", "container_id", c.id, "error", err)
	}
}

// watch follows a container to its end and beyond: whatever the executor left
// running is killed before the exit is reported.
func (m *Manager) watch(c *container) {
	done := make(chan struct{})
	go m.watchMemory(c, done)
	if err := c.process.wait(); err != nil {
		m.cfg.Log.Error("container can't be watched, destroying it", "container_id", c.id, "error", err)
	}
	close(done)
	c.checkOOM()
	if err := m.destroy(c); err != nil {
		m.cfg.Log.Error("container left behind", "container_id", c.id, "error", err)
	}
	if c.started != nil {
		_ = c.started.Wait() // collects the zombie; the status file tells more than the wrapper's own end
	}
	c.mu.Lock()
	exit := Exit{Status: readStatus(filepath.Join(c.dir, statusFile)), OOM: c.oomSeen, Destroyed: c.destroyed}
	c.final = exit
	c.mu.Unlock()
	if parentOf(c.id) == "" {
		m.forgetTree(c)
	}
	close(c.over)
	c.exit <- exit
	close(c.exit)
}

// memoryCheck is how often a container is looked at for kills by the kernel.
// Terminal updates are checked at once (see OOM), so this only bounds how long a
// container lives on after losing a process that its executor doesn't report.
const memoryCheck = time.Second

func (m *Manager) watchMemory(c *container, done <-chan struct{}) {
	tick := time.NewTicker(memoryCheck)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
			if c.checkOOM() != nil {
				m.cfg.Log.Info("container exceeded its memory", "container_id", c.id)
				if err := m.destroy(c); err != nil {
					m.cfg.Log.Error("container can't be destroyed", "container_id", c.id, "error", err)
				}
				return
			}
		}
	}
}

// checkOOM remembers the first kill, and what it was about.
func (c *container) checkOOM() *OOM {
	kills, detail := c.isolation.oom()
	c.mu.Lock()
	defer c.mu.Unlock()
	if kills > 0 && c.oomSeen == nil {
		c.oomSeen = &detail
	}
	return c.oomSeen
}

// OOM tells whether the kernel has killed a process of the container for its memory limit.
func (m *Manager) OOM(id string) *OOM {
	if c := m.get(id); c != nil {
		return c.checkOOM()
	}
	return nil
}

// Destroy kills everything in the container. The result comes through the channel
// that Launch or Recover gave.
func (m *Manager) Destroy(id string) error {
	c := m.get(id)
	if c == nil {
		return fmt.Errorf("destroy container %s: %w", id, ErrUnknown)
	}
	c.mu.Lock()
	c.destroyed = true
	c.mu.Unlock()
	return m.destroy(c)
}

func (m *Manager) destroy(c *container) error {
	for _, child := range m.childrenOf(c.id) {
		child.mu.Lock()
		child.destroyed = true
		child.mu.Unlock()
		if err := m.destroy(child); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), m.cfg.DestroyTimeout)
	defer cancel()
	return c.isolation.destroy(ctx)
}

// Update changes the limits of a running container.
func (m *Manager) Update(id string, r Resources) error {
	c := m.get(id)
	if c == nil {
		return fmt.Errorf("update container %s: %w", id, ErrUnknown)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.resources = r
	return c.isolation.update(r)
}

// Usage reports what the container uses now.
func (m *Manager) Usage(id string) (Usage, error) {
	c := m.get(id)
	if c == nil {
		return Usage{}, fmt.Errorf("usage of container %s: %w", id, ErrUnknown)
	}
	c.mu.Lock()
	r := c.resources
	c.mu.Unlock()
	u := Usage{Timestamp: time.Now(), CPUSoftLimit: r.CPUs, CPULimit: r.CPULimit, MemSoftLimit: uint64(r.Mem), MemLimit: uint64(r.MemLimit)}
	if u.CPULimit == 0 && m.cfg.EnableCFS {
		u.CPULimit = r.CPUs
	}
	err := c.isolation.usage(&u)
	return u, err
}

func (m *Manager) get(id string) *container {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.all[id]
}

// Names of the files in a container's runtime directory.
const (
	processFile = "pid"
	statusFile  = "status"
)

// Recovered is a container of an earlier run of the agent.
type Recovered struct {
	Process Process
	Exit    <-chan Exit // already filled when the executor has died meanwhile
}

// Recover takes over the containers in the runtime directory. Those not in known
// are orphans: they are destroyed. Known ones without a directory (such as after a
// reboot) are not in the answer.
func (m *Manager) Recover(known map[string]Resources) (map[string]Recovered, error) {
	entries, err := os.ReadDir(filepath.Join(m.cfg.RuntimeDir, "containers"))
	if err != nil {
		return nil, fmt.Errorf("recover containers: %w", err)
	}
	found := map[string]Recovered{}
	for _, e := range entries { // in order of names: parents before their children
		if !validID(e.Name()) {
			continue
		}
		iso, err := m.isolate(e.Name())
		if err != nil {
			return nil, err
		}
		r, wanted := known[rootOf(e.Name())]
		c := &container{
			id: e.Name(), dir: m.dir(e.Name()), isolation: iso, exit: make(chan Exit, 1), over: make(chan struct{}), resources: r,
		}
		c.process = readProcess(filepath.Join(c.dir, processFile))
		if p, ok := iso.(*posix); ok {
			p.leader = c.process
		}
		m.mu.Lock()
		m.all[c.id] = c
		m.mu.Unlock()
		if !wanted {
			m.cfg.Log.Info("destroying orphan container", "container_id", c.id)
			c.destroyed = true
			if err := m.destroy(c); err != nil {
				return nil, err
			}
		}
		go m.watch(c)
		if wanted && parentOf(c.id) == "" {
			found[c.id] = Recovered{Process: c.process, Exit: c.exit}
		}
	}
	return found, nil
}

// readProcess returns the zero Process, which is not alive, when nothing readable is there.
func readProcess(path string) Process {
	text, err := os.ReadFile(path)
	if err != nil {
		return Process{}
	}
	p, err := ParseProcess(string(text))
	if err != nil {
		return Process{}
	}
	return p
}

func readStatus(path string) *int {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	status, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil
	}
	return &status
}

// writeFile replaces a small file atomically.
func writeFile(path, text string) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// openLog opens a sandbox file for appending and gives it to the task's user. What was
// fetched may already be there: a link would lead elsewhere, a pipe would never open.
func openLog(path string, user *User) (*os.File, error) {
	if path == "" {
		return nil, errors.New("no file for the output")
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o644)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); !info.Mode().IsRegular() || !ok || st.Nlink != 1 {
			err = fmt.Errorf("%s is not a file of its own", path)
		}
	}
	if err == nil {
		err = syscall.SetNonblock(int(f.Fd()), false) // only for the opening; the task inherits it
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if user != nil {
		if err := f.Chown(int(user.UID), int(user.GID)); err != nil {
			f.Close()
			return nil, err
		}
	}
	return f, nil
}
