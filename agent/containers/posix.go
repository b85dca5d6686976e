package containers

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// posix is the degraded isolation for machines without usable cgroups: usage is
// added up and processes are killed by what /proc shows, limits are not enforced.
type posix struct {
	id     string
	leader Process
}

func (p *posix) place(pid int, _ Resources) (err error) {
	p.leader, err = identify(pid)
	return err
}

func (p *posix) update(Resources) error { return nil }

func (p *posix) oom() (uint64, OOM) { return 0, OOM{} }

// ticks per second of the times in /proc; fixed by the kernel's interface on Linux.
const userHZ = 100

func (p *posix) usage(u *Usage) error {
	for pid, st := range p.members() {
		u.CPUUser += float64(st.utime) / userHZ
		u.CPUSystem += float64(st.stime) / userHZ
		u.MemRSS += st.rss * uint64(os.Getpagesize())
		u.Threads += uint32(st.threads)
		u.Processes++
		_ = pid
	}
	u.MemTotal = u.MemRSS
	return nil
}

// members are the processes of the wrapper's session, and those that left it but
// still carry the container's mark in their environment.
func (p *posix) members() map[int]stat {
	mark := []byte(containerEnv + "=" + p.id + "\x00")
	found := map[int]stat{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		st, err := readStat(pid)
		if err != nil || st.state == 'Z' || st.state == 'X' {
			continue
		}
		env, _ := os.ReadFile(filepath.Join(dir, "environ"))
		sameSession := st.session == p.leader.PID && st.start >= p.leader.Start && p.sameBoot()
		if sameSession || bytes.HasPrefix(env, mark) || bytes.Contains(env, append([]byte{0}, mark...)) {
			found[pid] = st
		}
	}
	return found
}

func (p *posix) sameBoot() bool {
	boot, err := BootID()
	return err == nil && boot == p.leader.Boot
}

func (p *posix) destroy(ctx context.Context) error {
	for {
		left := p.members()
		if len(left) == 0 {
			return nil
		}
		for pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("container %s: %d processes left: %w", p.id, len(left), ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
