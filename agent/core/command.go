package core

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/duration"
)

// commandExecutor describes the executor that a command task gets from the agent;
// reference section 4.4.
func (s *State) commandExecutor(t *mesos.TaskInfo) mesos.ExecutorInfo {
	name := fmt.Sprintf("Command Executor (Task: %s) (Command: %s)", t.TaskID.Value, brief(t.Command))
	source, id := t.TaskID.Value, t.TaskID.Value
	path, shell := s.cfg.CommandExecutor, false
	command := &mesos.CommandInfo{Value: &path, Shell: &shell, Arguments: []string{path, "command"}}
	if t.Command != nil {
		command.URIs, command.User, command.Environment = t.Command.URIs, t.Command.User, t.Command.Environment
	}
	return mesos.ExecutorInfo{
		ExecutorID: mesos.ExecutorID{Value: id}, Name: &name, Source: &source, Command: command,
		Resources: overhead(t.Resources), Labels: t.Labels, Discovery: t.Discovery,
	}
}

// brief is the start of a command, as Mesos abbreviates it in executor names.
func brief(c *mesos.CommandInfo) string {
	const most, shown = 15, 12
	if c == nil {
		return ""
	}
	text, quote := c.GetValue(), "'"
	prefix := "sh -c "
	if !isShell(c) {
		prefix, quote = "", ""
		text = "[" + strings.Join(append([]string{c.GetValue()}, c.Arguments...), ", ") + "]"
	}
	if len(text) > most {
		return prefix + quote + text[:shown] + "..." + quote
	}
	return prefix + quote + text + quote
}

// isShell: the field defaults to true.
func isShell(c *mesos.CommandInfo) bool { return c.Shell == nil || *c.Shell }

// overhead is what the command executor itself may use, allocated as the task's resources are.
func overhead(of []mesos.Resource) []mesos.Resource {
	scalar := mesos.SCALAR
	make := func(name string, v float64) mesos.Resource {
		r := mesos.Resource{Name: name, Type: &scalar, Scalar: &mesos.Value_Scalar{Value: v}}
		if len(of) > 0 {
			r.AllocationInfo = of[0].AllocationInfo
		}
		return r
	}
	return []mesos.Resource{make("cpus", commandExecutorCPUs), make("mem", commandExecutorMem)}
}

// environment is what an executor finds in its environment; reference section 4.3.
// Later entries win: agent-wide, Mesos's own, then CommandInfo.environment.
func (s *State) environment(e *executor, d delivery) []Variable {
	f := e.framework
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	maps.Copy(env, s.cfg.ExecutorEnv)
	grace := s.cfg.ShutdownGrace
	if p := e.info.ShutdownGracePeriod; p != nil {
		grace = time.Duration(p.Nanoseconds)
	}
	own := map[string]string{
		"MESOS_FRAMEWORK_ID": f.id(), "MESOS_EXECUTOR_ID": e.id(), "MESOS_SLAVE_ID": s.agentID(), "MESOS_SLAVE_PID": s.cfg.PID,
		"MESOS_AGENT_ENDPOINT": address(s.cfg.PID), "MESOS_DIRECTORY": e.directory, "MESOS_SANDBOX": e.directory,
		"MESOS_CHECKPOINT": "0", "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": duration.Format(grace),
		// "0" although our command executor speaks HTTP: the value that Mesos shows by default.
		"MESOS_HTTP_COMMAND_EXECUTOR": "0", "LIBPROCESS_PORT": "0", "LIBPROCESS_IP": s.cfg.Address,
	}
	maps.Copy(env, own)
	if s.cfg.Token != nil {
		env["MESOS_EXECUTOR_AUTHENTICATION_TOKEN"] = s.cfg.Token(f.id(), e.id(), e.container)
	}
	if f.checkpoint() {
		env["MESOS_CHECKPOINT"] = "1"
		env["MESOS_RECOVERY_TIMEOUT"] = duration.Format(s.cfg.RecoveryTimeout)
		env["MESOS_SUBSCRIPTION_BACKOFF_MAX"] = duration.Format(s.cfg.ReregisterTimeout)
	}
	if e.generated || e.info.Type == mesos.ExecutorInfo_DEFAULT {
		env["MESOS_ALLOCATION_ROLE"] = allocationRole(d.tasks[0].info.Resources)
	}
	if c := e.info.Command; c != nil && c.Environment != nil {
		for _, v := range c.Environment.Variables {
			env[v.Name] = v.GetValue()
		}
	}
	var all []Variable
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, Variable{name, env[name]})
	}
	return all
}

func allocationRole(resources []mesos.Resource) string {
	for i := range resources {
		if r := resources[i].AllocationInfo.GetRole(); r != "" {
			return r
		}
	}
	return "*"
}

// limits sizes the executor's container for itself and its live tasks. A cap comes
// from TaskInfo.limits; without any, memory is capped at what is guaranteed and CPU
// isn't. One infinite limit lifts the cap (reference row TV-09).
func (e *executor) limits() Limits {
	const mb = 1 << 20
	own := total(e.info.Resources)
	cpus, mem := own["cpus"], own["mem"]
	capCPUs, capMem, cappedCPUs := cpus, mem, false
	for _, t := range e.live() {
		r := total(t.info.Resources)
		cpus, mem = cpus+r["cpus"], mem+r["mem"]
		if l, ok := t.info.Limits["cpus"]; ok {
			capCPUs, cappedCPUs = capCPUs+l.Value, true
		} else {
			capCPUs += r["cpus"]
		}
		if l, ok := t.info.Limits["mem"]; ok {
			capMem += l.Value
		} else {
			capMem += r["mem"]
		}
	}
	l := Limits{CPUs: cpus, Mem: int64(mem * mb)}
	if cappedCPUs && !math.IsInf(capCPUs, 1) {
		l.CPULimit = capCPUs
	}
	if !math.IsInf(capMem, 1) {
		l.MemLimit = int64(capMem * mb)
	}
	return l
}

// total adds up the scalars by name, in thousandths as Mesos does.
func total(resources []mesos.Resource) map[string]float64 {
	sum := map[string]float64{}
	for i := range resources {
		if r := &resources[i]; r.Scalar != nil {
			sum[r.Name] = math.Round((sum[r.Name]+r.Scalar.Value)*1000) / 1000
		}
	}
	return sum
}
