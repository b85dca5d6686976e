// Package harness starts, kills and looks into the real processes of a
// datacenter for the end-to-end tests. Start reading at Process.
package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Process is a program that can be killed and started again by the same command.
// It belongs to the test's goroutine.
type Process struct {
	Name string
	Args []string // the program and its arguments
	Env  []string // beside the test's own
	Log  string   // file that output is appended to

	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	err  error
	once sync.Once
}

// Start starts a program whose output goes to dir/name.log. The test's end kills
// it, if nothing else has.
func Start(t testing.TB, dir, name string, args ...string) *Process {
	t.Helper()
	p := &Process{Name: name, Args: args, Log: filepath.Join(dir, name+".log"), t: t}
	p.Restart()
	return p
}

// Restart starts the program again, by the same command.
func (p *Process) Restart() {
	p.t.Helper()
	log, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		p.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(p.Args[0], p.Args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start %s: %v", p.Name, err)
	}
	done := make(chan struct{})
	p.cmd, p.done = cmd, done
	go func() {
		p.err = cmd.Wait()
		close(done)
	}()
	p.once.Do(func() {
		p.t.Cleanup(func() {
			if p.t.Failed() {
				p.t.Logf("last lines of %s:\n%s", p.Log, p.Tail(40))
			}
			p.Stop()
		})
	})
}

// PID is the process's id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Kill ends the process by SIGKILL and waits for its end.
func (p *Process) Kill() { p.end(syscall.SIGKILL) }

// Stop ends the process by SIGTERM, and by SIGKILL where that does not help, and
// waits for its end.
func (p *Process) Stop() { p.end(syscall.SIGTERM) }

func (p *Process) end(sig syscall.Signal) {
	_ = p.cmd.Process.Signal(sig) // it may have ended by itself
	select {
	case <-p.done:
	case <-time.After(30 * time.Second):
		p.t.Errorf("%s did not end within 30 s of %s", p.Name, sig)
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// Wait waits for the process to end by itself and returns its exit status.
func (p *Process) Wait(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.t.Fatalf("%s still runs after %v; its last lines:\n%s", p.Name, limit, p.Tail(40))
	}
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		return exit.ExitCode()
	}
	if p.err != nil {
		p.t.Fatalf("%s: %v", p.Name, p.err)
	}
	return 0
}

// Output returns all that the process has written.
func (p *Process) Output() string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(data)
}

// Tail returns the last n lines of output.
func (p *Process) Tail(n int) string {
	lines := strings.Split(strings.TrimRight(p.Output(), "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Bin returns the path of one of the project's built programs: "tombolo",
// "tools/hyperkube" ... It fails the test where it is missing.
func Bin(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("TOMBOLO_BIN")
	if dir == "" {
		dir = filepath.Join("..", "bin")
	}
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s is missing: run `make build tools clients` first", path)
	}
	return path
}

// Run runs a program to its end and returns its exit status and both outputs together.
func Run(t testing.TB, limit time.Duration, args ...string) (int, string) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %v: %v", args, err)
	}
	timer := time.AfterFunc(limit, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	err := cmd.Wait()
	if !timer.Stop() {
		t.Fatalf("%v did not end within %v:\n%s", args, limit, out.String())
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), out.String()
	}
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return 0, out.String()
}

// MustRun is Run for what must succeed; it returns the output.
func MustRun(t testing.TB, limit time.Duration, args ...string) string {
	t.Helper()
	status, out := Run(t, limit, args...)
	if status != 0 {
		t.Fatalf("%v ended with %d:\n%s", args, status, out)
	}
	return out
}

// Eventually polls until try returns nil, and fails the test with its last error
// when that takes longer than limit.
func Eventually(t testing.TB, limit time.Duration, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v: %v", what, limit, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// FreePort returns a TCP port of host that nobody listens on now.
func FreePort(t testing.TB, host string) int {
	t.Helper()
	port, err := freePort(host)
	if err != nil {
		t.Fatal(fmt.Errorf("find a free port: %w", err))
	}
	return port
}
