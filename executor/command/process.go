package command

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// process is the task's command, in a session of its own.
type process struct {
	cmd *exec.Cmd
}

// newCommand prepares a command as Mesos runs it: by the shell unless shell is
// false, in the sandbox, with the executor's environment and the command's own over it.
func newCommand(c *mesos.CommandInfo, task *mesos.CommandInfo, dir string) (*exec.Cmd, error) {
	if c == nil || c.GetValue() == "" {
		return nil, errors.New("the command has no value")
	}
	env := os.Environ()
	for _, x := range []*mesos.CommandInfo{task, c} {
		if x == nil || x.Environment == nil {
			continue
		}
		for _, v := range x.Environment.Variables {
			env = append(env, v.Name+"="+v.GetValue())
		}
	}
	cmd := &exec.Cmd{Env: env, Dir: dir}
	if c.Shell == nil || *c.Shell {
		cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", c.GetValue()}
		return cmd, nil
	}
	cmd.Path, cmd.Args = c.GetValue(), c.Arguments
	if len(cmd.Args) == 0 {
		cmd.Args = []string{cmd.Path}
	}
	if filepath.Base(cmd.Path) == cmd.Path {
		found, err := exec.LookPath(cmd.Path)
		if err != nil {
			return cmd, fmt.Errorf("%s is not on the PATH", cmd.Path)
		}
		cmd.Path = found
	}
	return cmd, nil
}

// start runs the task's command; done gets its wait status when it has ended.
func start(c *mesos.CommandInfo, dir string, done func(syscall.WaitStatus)) (*process, error) {
	cmd, err := newCommand(c, nil, dir)
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd}
	go func() {
		_ = cmd.Wait() // the state says it all
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok {
			done(ws)
		}
	}()
	return p, nil
}

// signal reaches the command, its process group, and descendants that left the group.
func (p *process) signal(sig syscall.Signal) {
	pid := p.cmd.Process.Pid
	tree := descendants(pid)
	_ = syscall.Kill(-pid, sig) // whoever is gone already is as good
	for _, d := range tree {
		if group, err := syscall.Getpgid(d); err == nil && group != pid {
			_ = syscall.Kill(d, sig)
		}
	}
}

// descendants are all processes below pid.
func descendants(pid int) []int {
	children := map[int][]int{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		raw, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		_, rest, ok := strings.Cut(string(raw[strings.LastIndexByte(string(raw), ')')+1:]), " ")
		fields := strings.Fields(rest) // state ppid ...
		if !ok || len(fields) < 2 {
			continue
		}
		parent, err1 := strconv.Atoi(fields[1])
		child, err2 := strconv.Atoi(filepath.Base(dir))
		if err1 == nil && err2 == nil {
			children[parent] = append(children[parent], child)
		}
	}
	var all []int
	for next := children[pid]; len(next) > 0; {
		all = append(all, next...)
		var deeper []int
		for _, n := range next {
			deeper = append(deeper, children[n]...)
		}
		next = deeper
	}
	return all
}

// describe says how a command ended, in Mesos's words.
func describe(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		name := ws.Signal().String()
		text := "Command terminated with signal " + strings.ToUpper(name[:1]) + name[1:]
		if ws.CoreDump() {
			text += " (core dumped)"
		}
		return text
	}
	return fmt.Sprintf("Command exited with status %d", ws.ExitStatus())
}
