// Package processes runs the parts of a datacenter as child processes: each with a
// log file, a file with its exact command, and a pid file that is enough to find it
// again after its supervisor was killed.
//
// Spec says what a process is; Supervisor (supervisor.go) keeps a set of them running
// and stops them in reverse order; Recorded processes (record.go) can be ended by
// anybody who has the directory. Start reading at Supervisor.
package processes

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tombolo-project/tombolo/datacenter/network"
)

// Spec is one process to keep running. Name is also the name of its files.
type Spec struct {
	Name      string
	Path      string        // the program
	Args      []string      // without the program
	Env       []string      // the whole environment
	Dir       string        // working directory
	Namespace string        // path of a network namespace; "" is the supervisor's
	Cgroup    string        // directory of the cgroup it is born in; "" is the supervisor's
	Grace     time.Duration // from SIGTERM to SIGKILL; 10 s when zero

	// Ready, when set, is asked again and again after a start until it returns nil.
	Ready func(context.Context) error
	// Within limits the wait for Ready; 60 s when zero.
	Within time.Duration
}

// Command is the line that starts the same process from a shell.
func (s Spec) Command() string {
	words := []string{}
	if len(s.Env) > 0 {
		words = append(words, "env", "-i")
		words = append(words, s.Env...)
	}
	if s.Namespace != "" {
		words = append(words, "nsenter", "--net="+s.Namespace)
	}
	words = append(words, s.Path)
	words = append(words, s.Args...)
	for i, w := range words {
		words[i] = Quote(w)
	}
	return strings.Join(words, " ")
}

// Quote protects a word from the shell.
func Quote(word string) string {
	plain := word != "" && strings.IndexFunc(word, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@+%", r))
	}) < 0
	if plain {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// maxLog is the size at which a log is set aside (to .1, replacing an older one) when
// its process starts anew.
const maxLog = 16 << 20

// launch starts the process in a session of its own, so that a terminal's signals
// and its end do not reach it, with its output appended to the log, whose size before
// is returned.
func launch(s Spec, logPath string) (*exec.Cmd, int64, error) {
	if info, err := os.Stat(logPath); err == nil && info.Size() > maxLog {
		if err := os.Rename(logPath, logPath+".1"); err != nil {
			return nil, 0, fmt.Errorf("set log aside: %w", err)
		}
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	defer log.Close()
	begin, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, 0, fmt.Errorf("open log: %w", err)
	}
	cmd := exec.Command(s.Path, s.Args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.Env, s.Dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	born, err := placement(s.Cgroup, cmd.SysProcAttr)
	if err != nil {
		return nil, 0, err
	}
	defer born.Close()
	if err := network.Inside(s.Namespace, cmd.Start); err != nil {
		return nil, 0, fmt.Errorf("start %s: %w", s.Name, err)
	}
	if s.Cgroup != "" && !cmd.SysProcAttr.UseCgroupFD {
		if err := join(s.Cgroup, cmd.Process.Pid); err != nil {
			return nil, 0, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
		}
	}
	return cmd, begin, nil
}

// placement has the process born in its cgroup where the kernel can do so: in a
// cgroup2 hierarchy. The file must stay open until the start.
func placement(cgroup string, attr *syscall.SysProcAttr) (*os.File, error) {
	if cgroup == "" {
		return nil, nil
	}
	if err := os.MkdirAll(cgroup, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(cgroup, &fs); err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", cgroup, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC {
		return nil, nil
	}
	dir, err := os.Open(cgroup)
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(dir.Fd())
	return dir, nil
}

func join(cgroup string, pid int) error {
	path := filepath.Join(cgroup, "cgroup.procs")
	if err := os.WriteFile(path, fmt.Appendf(nil, "%d", pid), 0o644); err != nil {
		return fmt.Errorf("join cgroup: %w", err)
	}
	return nil
}
