package processes

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// record is a pid file: a process and what tells it from a later one with its pid.
type record struct {
	PID     int    `json:"pid"`
	Start   string `json:"start"`   // kernel's start time, in ticks since boot
	Boot    string `json:"boot"`    // id of the boot that Start counts from
	Command string `json:"command"` // digest of the Spec it was started from
}

func (s Spec) digest() string {
	sum := sha256.Sum256([]byte(s.Command() + "\n" + s.Dir))
	return hex.EncodeToString(sum[:8])
}

func recordOf(pid int, digest string) (record, error) {
	start, err := startTime(pid)
	if err != nil {
		return record{}, err
	}
	boot, err := bootID()
	if err != nil {
		return record{}, err
	}
	return record{PID: pid, Start: start, Boot: boot, Command: digest}, nil
}

func (r record) write(path string) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	temporary := path + ".new"
	if err := os.WriteFile(temporary, data, 0o600); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return os.Rename(temporary, path)
}

// readRecord returns the zero record when there is no file.
func readRecord(path string) (record, error) {
	var r record
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read pid file: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("pid file %s: %w", path, err)
	}
	return r, nil
}

// open returns a pidfd of the recorded process, or -1 when it is gone.
func (r record) open() (int, error) {
	if r.PID <= 0 {
		return -1, nil
	}
	boot, err := bootID()
	if err != nil {
		return -1, err
	}
	if boot != r.Boot {
		return -1, nil
	}
	fd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) || errors.Is(err, unix.EINVAL) {
		return -1, nil
	}
	if err != nil {
		return -1, fmt.Errorf("open process %d: %w", r.PID, err)
	}
	// The pidfd holds the pid, so this look is at the same process.
	if start, err := startTime(r.PID); err != nil || start != r.Start {
		unix.Close(fd)
		return -1, nil
	}
	return fd, nil
}

// startTime is field 22 of /proc/<pid>/stat, or os.ErrProcessDone; a zombie counts as done.
func startTime(pid int) (string, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) { // reaped before or while it was read
		err = os.ErrProcessDone
	}
	if err != nil {
		return "", fmt.Errorf("process %d: %w", pid, err)
	}
	_, rest, found := strings.Cut(string(data[bytes.LastIndexByte(data, ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !found || len(fields) < 20 {
		return "", fmt.Errorf("process %d: unreadable stat", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("process %d: %w", pid, os.ErrProcessDone)
	}
	return fields[19], nil
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("boot id: %w", err)
	}
	return string(bytes.TrimSpace(data)), nil
}

// terminate asks the process to end, and makes it end after the grace period.
func terminate(fd int, grace time.Duration) error {
	if err := signal(fd, unix.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	if gone(ctx, fd) == nil {
		return nil
	}
	if err := signal(fd, unix.SIGKILL); err != nil {
		return err
	}
	return gone(context.Background(), fd)
}

func signal(fd int, s syscall.Signal) error {
	if err := unix.PidfdSendSignal(fd, s, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("signal %s: %w", s, err)
	}
	return nil
}

// gone waits until the process behind the pidfd has ended.
func gone(ctx context.Context, fd int) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 100) // milliseconds: how late an ended ctx is noticed
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for process: %w", err)
		}
		if n > 0 {
			return nil
		}
	}
}

// EndRecorded ends every process recorded in the directory of pid files, the most
// recently started first, and removes their files. It needs no supervisor: it is how
// a datacenter whose supervisor was killed is stopped.
func EndRecorded(dir string, grace time.Duration) error {
	paths, err := filepath.Glob(filepath.Join(dir, "*.pid"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range newestFirst(paths) {
		if err := endRecorded(path, grace); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, os.Remove(path))
	}
	return errors.Join(errs...)
}

func endRecorded(path string, grace time.Duration) error {
	r, err := readRecord(path)
	if err != nil {
		return err
	}
	fd, err := r.open()
	if err != nil || fd < 0 {
		return err
	}
	defer unix.Close(fd)
	if err := terminate(fd, grace); err != nil {
		return fmt.Errorf("end %s: %w", strings.TrimSuffix(filepath.Base(path), ".pid"), err)
	}
	return nil
}

func newestFirst(paths []string) []string {
	times := map[string]time.Time{}
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			times[p] = info.ModTime()
		}
	}
	slices.SortStableFunc(paths, func(a, b string) int { return times[b].Compare(times[a]) })
	return paths
}
