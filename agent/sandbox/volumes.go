package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Link is a persistent volume to appear in a sandbox.
type Link struct {
	Path  string // of the volume on the machine
	Name  string // below the sandbox
	Owner bool   // the volume is given to the sandbox's owner
}

// LinkVolumes makes the symbolic links by which a container finds its volumes, and removes those named in gone. The
// sandbox belongs to its user, who may have put anything there: nothing outside of it is touched. The error is one
// sentence for the scheduler.
func LinkVolumes(sandbox string, links []Link, gone []string) error {
	root, err := os.OpenRoot(sandbox)
	if err != nil {
		return err
	}
	defer root.Close()
	for _, name := range gone {
		if info, err := root.Lstat(name); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if err := root.Remove(name); err != nil {
				return fmt.Errorf("Failed to remove the symlink for the unneeded persistent volume at '%s': %w", name, err)
			}
		}
	}
	for _, l := range links {
		if err := link(root, sandbox, l); err != nil {
			return fmt.Errorf("Failed to symlink persistent volume from '%s' to '%s': %w", l.Path, filepath.Join(sandbox, l.Name), err)
		}
	}
	return nil
}

func link(root *os.Root, sandbox string, l Link) error {
	if info, err := os.Stat(l.Path); err != nil {
		return err
	} else if !info.IsDir() {
		return errors.New("the volume is no directory")
	}
	if l.Owner {
		if err := give(sandbox, l.Path); err != nil {
			return err
		}
	}
	if parent := filepath.Dir(l.Name); parent != "." {
		if err := root.MkdirAll(parent, 0o755); err != nil {
			return err
		}
	}
	err := root.Symlink(l.Path, l.Name)
	if errors.Is(err, fs.ErrExist) {
		if there, readErr := root.Readlink(l.Name); readErr == nil && there == l.Path {
			return nil // from before the agent's restart
		}
	}
	return err
}

// give lets the owner of the sandbox own the volume.
func give(sandbox, volume string) error {
	uid, gid, err := owner(sandbox)
	if err != nil || os.Geteuid() != 0 {
		return err
	}
	return os.Lchown(volume, uid, gid)
}

func owner(dir string) (uid, gid int, err error) {
	info, err := os.Stat(dir)
	if err != nil {
		return 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, fmt.Errorf("the owner of %s can't be told", dir)
	}
	return int(st.Uid), int(st.Gid), nil
}
