package containers

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Process identifies a process for ever: its pid is reused one day, but not
// together with its start time in the same boot of the machine.
type Process struct {
	PID   int
	Start uint64 // clock ticks since boot, field 22 of /proc/<pid>/stat
	Boot  string // /proc/sys/kernel/random/boot_id
}

// String is the form kept on disk: "pid start boot".
func (p Process) String() string { return fmt.Sprintf("%d %d %s", p.PID, p.Start, p.Boot) }

// ParseProcess reads what String wrote.
func ParseProcess(text string) (Process, error) {
	fields := strings.Fields(text)
	if len(fields) != 3 {
		return Process{}, fmt.Errorf("process %q: want \"pid start boot\"", text)
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil || pid <= 0 {
		return Process{}, fmt.Errorf("process %q: bad pid", text)
	}
	start, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return Process{}, fmt.Errorf("process %q: bad start time", text)
	}
	return Process{PID: pid, Start: start, Boot: fields[2]}, nil
}

// identify reads the identity of a living process.
func identify(pid int) (Process, error) {
	stat, err := readStat(pid)
	if err != nil {
		return Process{}, err
	}
	boot, err := BootID()
	if err != nil {
		return Process{}, err
	}
	return Process{PID: pid, Start: stat.start, Boot: boot}, nil
}

// BootID names the current boot of the machine.
func BootID() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(boot)), err
}

// alive tells whether exactly this process still runs (a zombie does not).
func (p Process) alive() bool {
	now, err := identify(p.PID)
	if err != nil || now != p {
		return false
	}
	stat, err := readStat(p.PID)
	return err == nil && stat.state != 'Z' && stat.state != 'X'
}

// stat is the part of /proc/<pid>/stat that is used here.
type stat struct {
	state        byte
	ppid         int
	session      int
	utime, stime uint64 // clock ticks
	threads      int
	start        uint64
	rss          uint64 // pages
}

func readStat(pid int) (stat, error) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	// The command name may hold spaces and parentheses: fields count from the last ')'.
	end := bytes.LastIndexByte(raw, ')')
	if end < 0 {
		return stat{}, fmt.Errorf("process %d: unreadable stat", pid)
	}
	f := strings.Fields(string(raw[end+1:]))
	if len(f) < 22 {
		return stat{}, fmt.Errorf("process %d: short stat", pid)
	}
	number := func(field int) uint64 { // field as numbered in proc(5)
		n, _ := strconv.ParseUint(f[field-3], 10, 64)
		return n
	}
	return stat{
		state: f[0][0], ppid: int(number(4)), session: int(number(6)),
		utime: number(14), stime: number(15), threads: int(number(20)),
		start: number(22), rss: number(24),
	}, nil
}

// wait blocks until the process has ended. It needs no parenthood: a process file
// descriptor becomes readable at its death, and the runtime's poller waits for that
// without holding a thread.
func (p Process) wait() error {
	if !p.alive() {
		return nil
	}
	fd, err := unix.PidfdOpen(p.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EPERM) {
		p.poll() // a kernel before 5.10, or one that is told not to
		return nil
	}
	if err != nil {
		return fmt.Errorf("watch process %d: %w", p.PID, err)
	}
	f := os.NewFile(uintptr(fd), "pidfd")
	defer f.Close()
	if !p.alive() { // the pid was recycled before the descriptor was opened
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch process %d: %w", p.PID, err)
	}
	return conn.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, 0)
		return err == nil && n > 0
	})
}

// pollInterval is how late an end is noticed without process file descriptors.
const pollInterval = 100 * time.Millisecond

// poll is wait for kernels that don't have process file descriptors.
func (p Process) poll() {
	for p.alive() {
		time.Sleep(pollInterval)
	}
}
