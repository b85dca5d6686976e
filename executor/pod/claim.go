package pod

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tombolo-project/tombolo/executor/pod/volumes"
)

// claim is an executor's own directory below the runtime directory. It is held by a lock that ends with the process, so that
// the next executor on the machine can tell which ones are of executors that were killed, and clean up behind them.
type claim struct {
	dir  string
	lock *os.File
}

// claimDir takes dir/name. What executors that are gone have left in dir is unmounted and removed.
func claimDir(dir, name string) (*claim, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the runtime directory: %w", err)
	}
	if err := sweep(dir); err != nil {
		return nil, fmt.Errorf("clean up behind executors that are gone: %w", err)
	}
	c := &claim{dir: filepath.Join(dir, name)}
	for c.lock == nil {
		lock, err := os.OpenFile(c.dir+".lock", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return nil, fmt.Errorf("claim %s: %w", c.dir, err)
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			return nil, errors.Join(fmt.Errorf("claim %s: another executor has it: %w", c.dir, err), lock.Close())
		}
		if !stillAt(lock) { // swept away between the two calls
			_ = lock.Close()
			continue
		}
		c.lock = lock
	}
	return c, os.MkdirAll(c.dir, 0o700)
}

// release removes the directory and gives the claim up.
func (c *claim) release() error {
	return errors.Join(volumes.Remove(c.dir), os.Remove(c.lock.Name()), c.lock.Close())
}

// sweep removes the directories whose lock nobody holds.
func sweep(dir string) error {
	locks, err := filepath.Glob(filepath.Join(dir, "*.lock"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range locks {
		lock, err := os.OpenFile(path, os.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // released meanwhile
		}
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil && stillAt(lock) {
			gone := &claim{dir: strings.TrimSuffix(path, ".lock"), lock: lock}
			errs = append(errs, gone.release())
			continue
		}
		_ = lock.Close()
	}
	return errors.Join(errs...)
}

// stillAt says that the open file is the one that its name leads to.
func stillAt(file *os.File) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(file.Name())
	return err == nil && os.SameFile(open, named)
}
