// Package sandbox makes the directories that tasks run in, and lets others look
// into them without ever getting out. The layout is Mesos's (reference section 4.5):
//
//	<work_dir>/slaves/<agent>/frameworks/<framework>/executors/<executor>/runs/<container>/
//
// Start reading at: Create (for the agent) and Files (for the HTTP API).
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/tombolo-project/tombolo/agent/containers"
)

// Mode of a sandbox: others have no business in it (Mesos since 1.6).
const Mode = 0o750

// Create makes the sandbox and the "latest" link beside it, and gives it to the
// user; nil leaves it to the agent's own. The error is one sentence for the scheduler.
func Create(dir string, owner *containers.User) error {
	if err := makeDirectory(dir); err != nil {
		return fmt.Errorf("Failed to create executor directory '%s': %w", dir, err)
	}
	if err := os.Chmod(dir, Mode); err != nil { // whatever the umask
		return fmt.Errorf("Failed to create executor directory '%s': %w", dir, err)
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.UID), int(owner.GID)); err != nil {
			return fmt.Errorf("Failed to create executor directory '%s': %w", dir, err)
		}
	}
	latest := filepath.Join(filepath.Dir(dir), "latest")
	tmp := latest + ".tmp"
	_ = os.Remove(tmp)
	if err := os.Symlink(dir, tmp); err != nil {
		return fmt.Errorf("link to the latest run: %w", err)
	}
	return os.Rename(tmp, latest)
}

// CreateNested makes the sandbox of a nested container, below that of its executor, whose user may put anything there
// at any moment: nothing outside of the executor's sandbox is touched.
func CreateNested(executor, below string, owner *containers.User) error {
	root, err := os.OpenRoot(executor)
	if err != nil {
		return fmt.Errorf("Failed to create directory '%s': %w", below, err)
	}
	defer root.Close()
	if err = root.MkdirAll(filepath.Dir(below), 0o755); err == nil {
		err = root.Mkdir(below, Mode)
	}
	if err == nil {
		err = root.Chmod(below, Mode) // whatever the umask
	}
	if err == nil && owner != nil {
		err = root.Chown(below, int(owner.UID), int(owner.GID))
	}
	if err != nil {
		return fmt.Errorf("Failed to create directory '%s': %w", below, err)
	}
	return nil
}

// LinkTask lets people find a task's files below its executor's sandbox: tasks/<task> leads to containers/<container>,
// the layout of Mesos's default executor.
func LinkTask(executor, task, container string) error {
	root, err := os.OpenRoot(executor)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.MkdirAll("tasks", 0o755); err != nil {
		return err
	}
	err = root.Symlink(filepath.Join("..", "containers", container), filepath.Join("tasks", task))
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	return err
}

// makeDirectory makes dir, which must be new. The collector may remove an empty parent
// just before.
func makeDirectory(dir string) error {
	for attempt := 0; ; attempt++ {
		err := os.MkdirAll(filepath.Dir(dir), 0o755)
		if err == nil {
			err = os.Mkdir(dir, Mode)
		}
		if !errors.Is(err, os.ErrNotExist) || attempt == 3 {
			return err
		}
	}
}

// Lookup resolves a user by name, with the groups it is in. Numbers are refused as
// Mesos does: a name has to exist.
func Lookup(name string) (*containers.User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
			return nil, fmt.Errorf("No such user '%s'", name)
		}
		return nil, fmt.Errorf("user '%s': %w", name, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user '%s' has the id %q", name, u.Uid)
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("user '%s' has the group id %q", name, u.Gid)
	}
	found := &containers.User{Name: name, UID: uint32(uid), GID: uint32(gid)}
	groups, err := u.GroupIds()
	if err != nil {
		return nil, fmt.Errorf("groups of user '%s': %w", name, err)
	}
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			found.Groups = append(found.Groups, uint32(n))
		}
	}
	return found, nil
}
