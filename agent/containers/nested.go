package containers

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/cgroups"
)

// Nested containers run inside another one, within its limits; they end with it at the
// latest. How one ended is remembered until it is removed or its parent is gone
// (reference section 4.7).

// ErrExists is returned for the launch of a container that there is already.
var ErrExists = errors.New("it exists already")

// ErrInvalid is returned for the launch of a container that can't be as it was asked for.
var ErrInvalid = errors.New("it can't be launched like this")

// ErrRunning is returned for the removal of a container that has not ended.
var ErrRunning = errors.New("it has not ended yet")

// parentOf is the id of the container that a nested one is in; "" for others.
func parentOf(id string) string {
	if at := strings.LastIndexByte(id, '.'); at >= 0 {
		return id[:at]
	}
	return ""
}

// rootOf is the id of the outermost container around one, or its own.
func rootOf(id string) string {
	root, _, _ := strings.Cut(id, ".")
	return root
}

// running tells whether a container may still get children. c may be nil.
func (c *container) running() bool {
	if c == nil {
		return false
	}
	select {
	case <-c.over:
		return false
	default:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.destroyed
}

func (m *Manager) childrenOf(id string) []*container {
	m.mu.Lock()
	defer m.mu.Unlock()
	var children []*container
	for _, c := range m.all {
		if parentOf(c.id) == id {
			children = append(children, c)
		}
	}
	return children
}

// forgetTree forgets a container and all that were in it.
func (m *Manager) forgetTree(c *container) {
	for _, child := range m.childrenOf(c.id) {
		<-child.over
		m.forgetTree(child)
	}
	m.forget(c)
}

// Nested names the containers inside another one, at any depth, in order.
func (m *Manager) Nested(root string) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var ids []string
	for id := range m.all {
		if strings.HasPrefix(id, root+".") {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Lookup returns the process of a container; it may have ended.
func (m *Manager) Lookup(id string) (Process, error) {
	c := m.get(id)
	if c == nil {
		return Process{}, fmt.Errorf("container %s: %w", id, ErrUnknown)
	}
	return c.process, nil
}

// Await returns a channel that is closed when nothing of a container is left, and what
// tells then how it ended, also once the container is removed.
func (m *Manager) Await(id string) (result func() Exit, over <-chan struct{}, err error) {
	c := m.get(id)
	if c == nil {
		return nil, nil, fmt.Errorf("container %s: %w", id, ErrUnknown)
	}
	return c.result, c.over, nil
}

func (c *container) result() Exit {
	c.mu.Lock()
	defer c.mu.Unlock()
	exit := c.final
	if exit.Status == nil { // its wrapper was killed with it
		killed := int(syscall.SIGKILL)
		exit.Status = &killed
	}
	return exit
}

// Signal sends a signal to the process of a container that was started with Forward.
// SIGKILL destroys the container.
func (m *Manager) Signal(id string, s syscall.Signal) error {
	c := m.get(id)
	if c == nil || !c.running() {
		return fmt.Errorf("signal container %s: %w", id, ErrUnknown)
	}
	if s == syscall.SIGKILL {
		return m.Destroy(id)
	}
	if !c.process.alive() {
		return fmt.Errorf("signal container %s: %w", id, ErrUnknown)
	}
	return syscall.Kill(c.process.PID, s)
}

// Remove forgets a nested container that has ended.
func (m *Manager) Remove(id string) error {
	c := m.get(id)
	if c == nil {
		return nil // as it was wanted
	}
	select {
	case <-c.over:
		m.forgetTree(c)
		return nil
	default:
		return fmt.Errorf("remove container %s: %w", id, ErrRunning)
	}
}

// nested is the cgroup of a nested container, below its parent's: it has no limits of
// its own, and keeps the processes together.
type nested struct{ *cgroup }

// newNested names it; the layout is Mesos's: <root>/<parent>/mesos/<child>.
func newNested(root, id string) (*nested, error) {
	c, err := newCgroup(root, strings.ReplaceAll(id, ".", "/mesos/"), false, 0)
	if err != nil {
		return nil, err
	}
	return &nested{c}, nil
}

// place does not use the library on a machine with cgroup v2 only: it would hand
// controllers down, which the kernel refuses for a parent that has processes itself.
func (n *nested) place(pid int, _ Resources) error {
	if !cgroups.IsCgroup2UnifiedMode() {
		if err := n.m.Apply(pid); err != nil {
			return fmt.Errorf("place process %d in cgroup %s: %w", pid, n.path, err)
		}
		return nil
	}
	dir := n.m.Path("")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cgroup %s: %w", n.path, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
		return fmt.Errorf("place process %d in cgroup %s: %w", pid, n.path, err)
	}
	return nil
}

func (n *nested) update(Resources) error { return nil }
