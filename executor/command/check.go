package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/executor/checks"
)

// checkCommand runs a check's command beside the task, with the task's environment.
func checkCommand(task *mesos.CommandInfo, dir string) checks.Command {
	return func(ctx context.Context, c *mesos.CommandInfo) (int, error) {
		cmd, err := newCommand(c, task, dir)
		if err != nil {
			return 0, err
		}
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		stop := context.AfterFunc(ctx, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
		defer stop()
		err = cmd.Wait()
		if ctx.Err() != nil {
			return 0, errors.New("timed out")
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() < 0 {
			return 0, fmt.Errorf("%v", exit)
		} else if err != nil && !ok {
			return 0, err
		}
		return cmd.ProcessState.ExitCode(), nil
	}
}

// checked turns a result into an update, and ends a task that failed too often.
func (x *Executor) checked(r checks.Result) {
	if x.process == nil || x.ended || x.killed || x.overtime {
		return
	}
	s := x.status(mesos.TASK_RUNNING, "")
	reason := mesos.REASON_TASK_CHECK_STATUS_UPDATED
	if r.Check != nil {
		s.CheckStatus = r.Check
	} else {
		reason = mesos.REASON_TASK_HEALTH_CHECK_STATUS_UPDATED
		s.Healthy = &r.Health.Healthy
		if r.Health.Text != "" {
			fmt.Fprintln(os.Stderr, r.Health.Text)
		}
	}
	s.Reason = &reason
	x.send(s)
	if r.Health != nil && r.Health.Kill {
		x.unhealthy = true
		x.kill(x.grace(nil))
	}
}
