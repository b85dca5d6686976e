// Package state knows the one directory that a datacenter on one machine lives in:
// where each part keeps its files, what was chosen when it was first made, and who is
// running it now.
//
// The directory alone is enough to stop and to take away everything, also after
// `tombolo up` itself was killed. Start reading at Directory.
package state

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Directory is the state directory of one datacenter.
type Directory string

// Default is the directory used when none is named: under the user's state home, or
// /var/lib/tombolo where there is no home.
func Default() string {
	if home := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, "tombolo")
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "tombolo")
	}
	return "/var/lib/tombolo"
}

// Path joins names to the directory.
func (d Directory) Path(names ...string) string {
	return filepath.Join(append([]string{string(d)}, names...)...)
}

// Run holds pid and command files.
func (d Directory) Run() string { return d.Path("run") }

// Logs holds one file per part.
func (d Directory) Logs() string { return d.Path(logDir) }

// Kubeconfig is the administrator's, of the control plane started here.
func (d Directory) Kubeconfig() string { return d.Path("kubeconfig") }

// Kept is what was chosen when the datacenter was made and holds until it is purged.
type Kept struct {
	Number         int    `json:"number"` // of the network plan
	Agents         int    `json:"agents"`
	AgentResources string `json:"agent_resources"` // Mesos's --resources of each agent
	MasterPort     int    `json:"master_port"`
	// Forwarding is what /proc/sys/net/ipv4/ip_forward was before; "" when unchanged.
	Forwarding string `json:"forwarding,omitempty"`
}

const (
	keptFile = "datacenter.json"
	lockFile = "lock"
	logDir   = "log"
)

// Exists tells whether the directory is a datacenter's.
func (d Directory) Exists() bool {
	_, err := os.Stat(d.Path(keptFile))
	return err == nil
}

// Free refuses a directory that has files of somebody else's in it: a datacenter's
// is removed as a whole one day. One that does not exist is free.
func (d Directory) Free() error {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("state directory: %w", err)
	}
	if d.Exists() {
		return nil
	}
	for _, e := range entries {
		// What a start that failed early leaves is ours.
		if name := e.Name(); name != lockFile && name != logDir && name != keptFile+".new" {
			return fmt.Errorf("%s has files in it that are no datacenter's (%s): choose an empty or a new directory", d, name)
		}
	}
	return nil
}

// Make creates the directory with a mode that lets tasks of other users reach their
// sandboxes, and nothing else.
func (d Directory) Make() error {
	if err := os.MkdirAll(string(d), 0o711); err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	return nil
}

// Load reads what was kept. The error matches fs.ErrNotExist for a new directory.
func (d Directory) Load() (Kept, error) {
	var kept Kept
	data, err := os.ReadFile(d.Path(keptFile))
	if err != nil {
		return kept, err
	}
	if err := json.Unmarshal(data, &kept); err != nil {
		return kept, fmt.Errorf("%s: %w: it was made by something else; choose another --dir", d.Path(keptFile), err)
	}
	return kept, nil
}

// Save replaces what was kept.
func (d Directory) Save(kept Kept) error {
	data, err := json.MarshalIndent(kept, "", "  ")
	if err != nil {
		return err
	}
	temporary := d.Path(keptFile + ".new")
	if err := os.WriteFile(temporary, append(data, '\n'), 0o600); err != nil {
		return fmt.Errorf("keep choices: %w", err)
	}
	return os.Rename(temporary, d.Path(keptFile))
}

// ErrRunning says that a supervisor is running on the directory.
var ErrRunning = errors.New("is running already")

// Lock is the right to run, or to take away, the datacenter in a directory. It ends
// with the process that holds it.
type Lock struct{ file *os.File }

// Lock takes the lock, or returns an error that matches ErrRunning and names the
// holder.
func (d Directory) Lock() (*Lock, error) {
	file, err := os.OpenFile(d.Path(lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		file.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the datacenter in %s %w (pid %d)", d, ErrRunning, d.Holder())
		}
		return nil, fmt.Errorf("lock %s: %w", d, err)
	}
	if err := file.Truncate(0); err != nil {
		return nil, fmt.Errorf("lock %s: %w", d, err)
	}
	if _, err := file.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0); err != nil {
		return nil, fmt.Errorf("lock %s: %w", d, err)
	}
	return &Lock{file}, nil
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.file.Close() }

// Holder is the pid that took the lock last; 0 when nobody ever did.
func (d Directory) Holder() int {
	data, err := os.ReadFile(d.Path(lockFile))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil {
		return 0
	}
	return pid
}

// AwaitLock takes the lock as soon as its holder has ended.
func (d Directory) AwaitLock(limit time.Duration) (*Lock, error) {
	deadline := time.Now().Add(limit)
	for {
		lock, err := d.Lock()
		if !errors.Is(err, ErrRunning) || time.Now().After(deadline) {
			return lock, err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Purge removes the directory if it is a datacenter's.
func (d Directory) Purge() error {
	if _, err := d.Load(); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is not the directory of a datacenter: not removed", d)
	} else if err != nil {
		return err
	}
	return os.RemoveAll(string(d))
}
