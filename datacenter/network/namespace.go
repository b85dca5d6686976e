package network

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Inside runs f on a thread that is in the network namespace at path ("" is the
// caller's own). The thread is not used again, so nothing of the namespace leaks into
// the rest of the process; a process that f starts is in the namespace from birth.
func Inside(path string, f func() error) error {
	if path == "" {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		ns, err := netns.GetFromPath(path)
		if err != nil {
			done <- fmt.Errorf("open network namespace %s: %w", path, err)
			return
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("enter network namespace %s: %w", path, err)
			return
		}
		done <- f()
	}()
	return <-done
}

// ensureNamespace makes the named namespace unless its file already stands for one.
func ensureNamespace(name string) error {
	path := filepath.Join(NamespaceDir, name)
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err == nil && fs.Type == unix.NSFS_MAGIC {
		return nil
	}
	if err := os.MkdirAll(NamespaceDir, 0o755); err != nil {
		return fmt.Errorf("directory of namespaces: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o444)
	if err != nil {
		return fmt.Errorf("namespace file: %w", err)
	}
	file.Close()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make network namespace %s: %w", name, err)
			return
		}
		self := fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		if err := unix.Mount(self, path, "bind", unix.MS_BIND, ""); err != nil {
			done <- fmt.Errorf("keep network namespace %s: %w", name, err)
			return
		}
		done <- nil
	}()
	return <-done
}
