package marathon

import (
	"net"
	"strconv"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// probeKey is one health check of one instance.
type probeKey struct {
	instance string
	check    int
}

// probe is when to make it next; in flight, due is when to give its answer up.
type probe struct {
	due      time.Time
	inFlight bool
}

// probeMargin is how long beyond its timeout the answer of a probe is waited for.
const probeMargin = 30 * time.Second

// dueProbes asks for the checks of an instance whose time has come.
func (c *Core) dueProbes(i *Instance) {
	app := c.spec(i)
	if i.State != running || i.Killing || app == nil {
		return
	}
	for n := range app.HealthChecks {
		h := &app.HealthChecks[n]
		port := h.port(i.Ports)
		if h.byExecutor() || port == 0 {
			continue
		}
		key := probeKey{i.ID, n}
		p := c.probes[key]
		if p == nil {
			p = &probe{due: i.StartedAt.Add(time.Duration(min(h.DelaySeconds, h.IntervalSeconds)) * time.Second)}
			c.probes[key] = p
		}
		if p.due.After(c.now) {
			continue
		}
		timeout := time.Duration(max(h.TimeoutSeconds, 1)) * time.Second
		p.inFlight, p.due = true, c.now.Add(timeout+probeMargin)
		address := i.Address
		if address == "" {
			address = i.Host
		}
		c.effects = append(c.effects, Probe{Instance: i.ID, Check: n, Protocol: h.Protocol, Path: h.Path, Timeout: timeout,
			Address: net.JoinHostPort(address, strconv.Itoa(port))})
	}
}

// dropProbes forgets the checks of instances that are gone.
func (c *Core) dropProbes() {
	for key := range c.probes {
		if c.instances[key.instance] == nil {
			delete(c.probes, key)
		}
	}
}

// probed takes the outcome of a check in.
func (c *Core) probed(e Probed) {
	i, p := c.instances[e.Instance], c.probes[probeKey{e.Instance, e.Check}]
	if i == nil || p == nil || !p.inFlight || i.State != running || i.Killing {
		return
	}
	app := c.spec(i)
	if app == nil || e.Check >= len(app.HealthChecks) {
		return
	}
	h := &app.HealthChecks[e.Check]
	p.inFlight, p.due = false, c.now.Add(time.Duration(max(h.IntervalSeconds, 1))*time.Second)
	next := *i
	before := c.result(&next, app, e.Check, e.Cause)
	after := next.Health[e.Check]
	changed := (before.Alive == nil) != (after.Alive == nil) || before.Alive != nil && *before.Alive != *after.Alive
	if !changed {
		c.index(&next) // counters and times are not worth a write
	} else {
		c.save(&next)
		c.publishHealth(&next, after.Alive)
	}
	if e.Cause != "" && after.Alive != nil {
		c.effects = append(c.effects, Publish{"failed_health_check_event", map[string]any{
			"appId": i.AppID, "instanceId": i.ID, "taskId": i.TaskID, "healthCheck": h}})
		if h.MaxConsecutiveFailures > 0 && after.ConsecutiveFailures >= h.MaxConsecutiveFailures {
			c.effects = append(c.effects, Publish{"unhealthy_instance_kill_event", map[string]any{
				"appId": i.AppID, "taskId": i.TaskID, "instanceId": i.ID, "version": i.Version, "reason": e.Cause, "host": i.Host, "slaveId": i.AgentID}})
			c.kill(&next, "health check failed "+strconv.Itoa(after.ConsecutiveFailures)+" times: "+e.Cause)
		}
	}
	if changed {
		c.settle(i.AppID)
	}
}

// result enters one outcome into the instance's health and returns what was there before. Failures within the grace
// period don't count until the check has passed for the first time.
func (c *Core) result(i *Instance, app *App, check int, cause string) (before Health) {
	all := make([]Health, len(app.HealthChecks))
	copy(all, i.Health)
	i.Health = all
	before = all[check]
	s := &all[check]
	yes, no := true, false
	if cause == "" {
		s.Alive, s.ConsecutiveFailures, s.LastSuccess = &yes, 0, c.now
		if s.FirstSuccess.IsZero() {
			s.FirstSuccess = c.now
		}
		return before
	}
	s.LastFailure, s.LastFailureCause = c.now, cause
	grace := time.Duration(app.HealthChecks[check].GracePeriodSeconds) * time.Second
	if s.FirstSuccess.IsZero() && c.now.Sub(i.StartedAt) < grace {
		return before
	}
	s.Alive = &no
	s.ConsecutiveFailures++
	return before
}

// executorHealth enters what the executor says of its check.
func (c *Core) executorHealth(i *Instance, status mesos.TaskStatus) {
	app := c.spec(i)
	if status.Healthy == nil || app == nil {
		return
	}
	for n := range app.HealthChecks {
		if !app.HealthChecks[n].byExecutor() {
			continue
		}
		cause := ""
		if !*status.Healthy {
			cause = status.GetMessage()
			if cause == "" {
				cause = "the executor says so"
			}
		}
		before := c.result(i, app, n, cause)
		if after := i.Health[n]; after.Alive != nil && (before.Alive == nil || *before.Alive != *after.Alive) {
			c.publishHealth(i, after.Alive)
		}
		return
	}
}

func (c *Core) publishHealth(i *Instance, alive *bool) {
	c.effects = append(c.effects,
		Publish{"health_status_changed_event", map[string]any{"appId": i.AppID, "taskId": i.TaskID, "instanceId": i.ID, "version": i.Version, "alive": *alive}},
		Publish{"instance_health_changed_event", map[string]any{"instanceId": i.ID, "runSpecId": i.AppID, "runSpecVersion": i.Version, "healthy": *alive}})
}
