package marathon

import (
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/session"
)

// Timers of an instance's life.
const (
	launchTimeout  = 5 * time.Minute  // without any word of a launched task (Marathon: --task_launch_timeout)
	killRetry      = 30 * time.Second // until a kill is sent again, beyond the grace period
	reconcileEvery = time.Minute      // unreachable tasks are asked about
	defaultGrace   = 3 * time.Second
)

// updated takes a task's status in. Terminal ones end the instance; a task that is not ours (expunged, or of a state
// that was lost) is killed.
func (c *Core) updated(status mesos.TaskStatus) {
	task, state := status.TaskID.Value, status.GetState()
	i := c.instances[instanceID(task)]
	if i == nil || i.TaskID != task {
		if !session.Terminal(state) && state != mesos.TASK_UNREACHABLE && state != mesos.TASK_UNKNOWN {
			c.effects = append(c.effects, orders.Kill{Task: task, Agent: status.GetAgentID().GetValue()})
		}
		return
	}
	next := *i
	switch {
	case session.Terminal(state):
		next.State = state.String()
		c.ended(&next, status)
		return
	case state == mesos.TASK_UNREACHABLE || state == mesos.TASK_UNKNOWN:
		// UNKNOWN means that the master does not know the agent (any more, or yet): the task may well be there.
		next.State = unreachable
		if next.Unreachable.IsZero() {
			next.Unreachable = c.now
		}
	default:
		next.State, next.Unreachable = state.String(), time.Time{}
	}
	if next.State == running && next.StartedAt.IsZero() {
		next.StartedAt = c.now
	}
	if ips := addresses(status.ContainerStatus); len(ips) > 0 {
		next.IPs = ips
	}
	c.executorHealth(&next, status)
	c.save(&next)
	c.publishStatus(&next, status.GetMessage())
	if next.State != i.State {
		c.publishInstance(&next, next.State)
	}
	c.settle(i.AppID)
}

func addresses(status *mesos.ContainerStatus) []string {
	var ips []string
	for _, network := range status.GetNetworkInfos() {
		for _, ip := range network.IPAddresses {
			if ip.IPAddress != nil {
				ips = append(ips, *ip.IPAddress)
			}
		}
	}
	return ips
}

// instanceID is the instance's part of a task id: x.instance-1234._app.1
func instanceID(task string) string {
	id, _, _ := strings.Cut(task, "._app.")
	return id
}

// ended takes leave of an instance and, when it was not us who wanted its end, counts a failure.
func (c *Core) ended(i *Instance, status mesos.TaskStatus) {
	wanted := i.Killing && i.Unwanted == ""
	message := status.GetMessage()
	if i.Unwanted != "" {
		message = i.Unwanted
	}
	c.publishStatus(i, message)
	c.publishInstance(i, i.State)
	c.forget(i)
	if !wanted {
		if c.apps[i.AppID] != nil {
			c.failures[i.AppID] = Failure{AppID: i.AppID, Host: i.Host, Message: message, State: i.State, TaskID: i.TaskID,
				Timestamp: Timestamp(c.now), Version: i.Version, SlaveID: i.AgentID}
		}
		c.backOff(i)
	}
	c.settle(i.AppID)
}

// kill starts to end an instance. A non-empty why makes its end count as a failure (unhealthy).
func (c *Core) kill(i *Instance, why string) {
	next := *i
	next.Killing, next.KillSentAt, next.Unwanted = true, c.now, why
	c.save(&next)
	c.effects = append(c.effects, orders.Kill{Task: i.TaskID, Agent: i.AgentID})
}

// remindKill repeats a kill that has had no effect for its grace period and some more.
func (c *Core) remindKill(i *Instance) {
	if !i.Killing || i.State == unreachable {
		return
	}
	grace := defaultGrace
	if app := c.spec(i); app != nil && app.TaskKillGracePeriodSeconds != nil {
		grace = time.Duration(*app.TaskKillGracePeriodSeconds) * time.Second
	}
	if c.now.Sub(i.KillSentAt) < grace+killRetry {
		return
	}
	next := *i
	next.KillSentAt = c.now
	c.index(&next)
	c.effects = append(c.effects, orders.Kill{Task: i.TaskID, Agent: i.AgentID})
}

// limitStaging asks for the state of tasks that are silent and gives up those of which there is no word at all.
func (c *Core) limitStaging(i *Instance) {
	switch {
	case i.State == staging && !i.Killing && c.now.Sub(i.StagedAt) >= launchTimeout:
		c.kill(i, "no word of the launched task for "+launchTimeout.String())
	case i.State == unreachable && c.appetite.IsConnected() && c.now.Sub(i.KillSentAt) >= reconcileEvery:
		next := *i
		next.KillSentAt = c.now
		c.index(&next)
		c.effects = append(c.effects, orders.Reconcile{Task: i.TaskID, Agent: i.AgentID})
	}
}

func (c *Core) publishStatus(i *Instance, message string) {
	c.effects = append(c.effects, Publish{"status_update_event", map[string]any{
		"slaveId": i.AgentID, "taskId": i.TaskID, "taskStatus": i.State, "message": message, "appId": i.AppID,
		"host": i.Host, "ipAddresses": ipViews(i), "ports": i.Ports, "version": i.Version}})
}

func (c *Core) publishInstance(i *Instance, state string) {
	c.effects = append(c.effects, Publish{"instance_changed_event", map[string]any{
		"instanceId": i.ID, "condition": condition(state), "runSpecId": i.AppID, "agentId": i.AgentID, "host": i.Host,
		"runSpecVersion": i.Version}})
}

// condition is Marathon's name of a task state: TASK_RUNNING is Running, TASK_GONE_BY_OPERATOR GoneByOperator.
func condition(state string) string {
	var b strings.Builder
	for _, word := range strings.Split(strings.TrimPrefix(state, "TASK_"), "_") {
		b.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return b.String()
}
