package containers

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// containerEnv marks every process of a container, so that the posix isolation can
// find those that left its session.
const containerEnv = "TOMBOLO_CONTAINER_ID"

// maxSpec bounds what the wrapper reads: an environment can't be larger than the kernel takes.
const maxSpec = 4 << 20

// RunWrapper is the body of "tombolo-executor launch": it waits for the orders on
// orders, runs the executor to its end and writes its wait status to the file. It
// returns the exit code for the wrapper itself. Only the agent calls it.
func RunWrapper(orders io.Reader, status string) (int, error) {
	var spec Spec
	if err := json.NewDecoder(io.LimitReader(orders, maxSpec)).Decode(&spec); err != nil {
		return 1, errors.New("the agent went away before it said what to run")
	}
	for _, l := range spec.Rlimits {
		if err := unix.Setrlimit(l.Type, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}); err != nil {
			return 1, fmt.Errorf("set resource limit %d to %d:%d: %w", l.Type, l.Soft, l.Hard, err)
		}
	}
	cmd := exec.Cmd{
		Path: spec.Path, Args: spec.Args, Env: spec.Env, Dir: spec.Dir,
		Stdout: os.Stdout, Stderr: os.Stderr, SysProcAttr: &syscall.SysProcAttr{},
	}
	if u := spec.User; u != nil && os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID, Groups: u.Groups}
	}
	// Caught, not ignored: the process would inherit that. Without Forward it decides about its
	// end by itself, and the wrapper only waits.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals)
	if err := cmd.Start(); err != nil {
		_ = writeFile(status, strconv.Itoa(127<<8))
		return 127, fmt.Errorf("start %s: %w", spec.Path, err)
	}
	// When memory runs out the kernel should rather take the executor or its tasks:
	// they have been started already and don't inherit this. Not critical: may be refused.
	_ = os.WriteFile("/proc/self/oom_score_adj", []byte("-500"), 0)

	if spec.Forward {
		go forward(signals, cmd.Process)
	}
	err := cmd.Wait()
	if cmd.ProcessState == nil {
		return 1, fmt.Errorf("wait for the executor: %w", err)
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok {
		return 1, fmt.Errorf("unexpected process state %v", cmd.ProcessState)
	}
	if err := writeFile(status, strconv.Itoa(int(ws))); err != nil {
		return 1, fmt.Errorf("write the exit status: %w", err)
	}
	return ws.ExitStatus() & 0xff, nil
}

// forward passes signals on, but for those that are the wrapper's own business.
func forward(signals <-chan os.Signal, to *os.Process) {
	for s := range signals {
		switch s {
		case syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
		default:
			_ = to.Signal(s) // gone already is as good
		}
	}
}
