package api

import (
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/offers"
)

// This file writes the objects within /state and its relatives, with the keys of reference section 2.5.

// agent writes an agent; full adds what only /slaves shows.
func (t *text) agent(a *core.AgentView, full bool) {
	t.open('{')
	t.stringField("id", a.ID())
	t.stringField("hostname", a.Info.Hostname)
	t.numberField("port", float64(a.Info.GetPort()))
	t.field("attributes")
	t.attributes(a.Info.Attributes)
	t.domain(a.Info.Domain)
	t.stringField("pid", a.PID)
	t.timeField("registered_time", a.Registered)
	if !a.Reregistered.IsZero() {
		t.timeField("reregistered_time", a.Reregistered)
	}
	t.bundleField("resources", a.Total)
	t.bundleField("used_resources", a.Used)
	t.bundleField("offered_resources", a.Offered)
	reserved := a.Total.Reserved()
	t.field("reserved_resources")
	t.open('{')
	for _, role := range sortedNames(reserved) {
		t.named(role)
		*t = reserved[role].AppendSummary(*t)
	}
	t.close('}')
	t.bundleField("unreserved_resources", a.Total.Unreserved())
	t.boolField("active", a.Active)
	t.boolField("deactivated", a.Deactivated)
	t.stringField("version", a.Version)
	t.field("capabilities")
	t.open('[')
	for _, c := range a.Capabilities {
		t.string(c.Type.String())
	}
	t.close(']')
	if a.Drain != nil {
		t.rawField("drain_info", raw(a.Drain))
	}
	if a.DrainStarted != nil {
		t.timeField("estimated_drain_start_time_seconds", *a.DrainStarted)
	}
	if full {
		t.agentFull(a, reserved)
	}
	t.close('}')
}

// agentFull writes the resources of an agent as messages.
func (t *text) agentFull(a *core.AgentView, reserved map[string]offers.Resources) {
	t.field("reserved_resources_full")
	t.open('{')
	for _, role := range sortedNames(reserved) {
		t.named(role)
		t.full(reserved[role])
	}
	t.close('}')
	for _, x := range []struct {
		name string
		r    offers.Resources
	}{{"unreserved_resources_full", a.Total.Unreserved()}, {"used_resources_full", a.Used}, {"offered_resources_full", a.Offered}} {
		t.field(x.name)
		t.full(x.r)
	}
}

// recovered writes an agent of the registry that has not come back yet.
func (t *text) recovered(info *mesos.AgentInfo) {
	t.open('{')
	t.stringField("id", info.GetID().GetValue())
	t.stringField("hostname", info.Hostname)
	t.numberField("port", float64(info.GetPort()))
	t.field("attributes")
	t.attributes(info.Attributes)
	t.domain(info.Domain)
	t.close('}')
}

// attributes shows scalars as numbers, texts as strings and ranges as text; of several with one name the last is shown.
func (t *text) attributes(list []mesos.Attribute) {
	last := map[string]int{}
	for i := range list {
		last[list[i].Name] = i
	}
	t.open('{')
	for i := range list {
		a := &list[i]
		if last[a.Name] != i {
			continue
		}
		t.named(a.Name)
		switch a.Type {
		case mesos.SCALAR:
			t.number(a.GetScalar().GetValue())
		case mesos.RANGES:
			t.string(ranges(a.GetRanges().GetRange()))
		case mesos.SET:
			t.string("{" + strings.Join(a.GetSet().GetItem(), ", ") + "}")
		default:
			t.string(a.GetText().GetValue())
		}
	}
	t.close('}')
}

func ranges(list []mesos.Value_Range) string {
	var parts []string
	for _, r := range list {
		parts = append(parts, fmt.Sprintf("%d-%d", r.Begin, r.End))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func (t *text) domain(d *mesos.DomainInfo) {
	if d != nil {
		t.rawField("domain", raw(d))
	}
}

func (t *text) bundleField(name string, r offers.Resources) {
	t.field(name)
	*t = r.AppendSummary(*t)
}

// full lists resources as messages, in the form that old and new readers understand.
func (t *text) full(r offers.Resources) {
	t.open('[')
	for _, x := range core.ForOperators(r) {
		if data, err := codec.JSON.Marshal(&x); err == nil {
			t.comma()
			*t = append(*t, data...)
		}
	}
	t.close(']')
}

// summary writes resources of a message; they come from us and so are well formed.
func (t *text) summary(list []mesos.Resource) {
	if r, err := offers.Parse(list); err == nil {
		*t = r.AppendSummary(*t)
		return
	}
	*t = append(*t, "{}"...)
}

// frameworkHead writes what every endpoint shows of a framework.
func (t *text) frameworkHead(f *core.FrameworkView) {
	t.stringField("id", f.ID())
	t.stringField("name", f.Info.Name)
	t.bundleField("used_resources", f.Used)
	t.bundleField("offered_resources", f.Offered)
	t.field("capabilities")
	t.open('[')
	for _, c := range f.Info.Capabilities {
		t.string(c.Type.String())
	}
	t.close(']')
	t.stringField("hostname", f.Info.GetHostname())
	t.stringField("webui_url", f.Info.GetWebUiURL())
	t.boolField("active", f.Active)
	t.boolField("connected", f.Connected)
	t.boolField("recovered", f.Recovered)
}

// frameworkMore writes what /state and /frameworks show of a framework besides, but for its lists.
func (t *text) frameworkMore(f *core.FrameworkView) {
	t.stringField("user", f.Info.User)
	t.numberField("failover_timeout", f.Info.GetFailoverTimeout())
	t.boolField("checkpoint", f.Info.GetCheckpoint())
	t.timeField("registered_time", f.Registered)
	t.timeField("unregistered_time", f.Unregistered)
	if f.Info.Principal != nil {
		t.stringField("principal", *f.Info.Principal)
	}
	if !f.Reregistered.IsZero() {
		t.timeField("reregistered_time", f.Reregistered)
	}
	t.bundleField("resources", f.Used.Plus(f.Offered))
	if multiRole(&f.Info) {
		t.strings("roles", f.Info.Roles)
	} else {
		t.stringField("role", f.Info.GetRole())
	}
	if f.Info.Labels != nil {
		t.field("labels")
		t.labels(f.Info.Labels)
	}
	t.rawField("offer_constraints", constraintsJSON(f))
}

// constraintsJSON is what a framework wants of its offers; an empty object when it wants nothing.
func constraintsJSON(f *core.FrameworkView) []byte {
	if f.Constraints == nil {
		return []byte("{}")
	}
	return raw(f.Constraints)
}

func multiRole(info *mesos.FrameworkInfo) bool {
	for _, c := range info.Capabilities {
		if c.Type == mesos.FrameworkInfo_Capability_MULTI_ROLE {
			return true
		}
	}
	return false
}

// offer writes an offer.
func (t *text) offer(o *mesos.Offer) {
	role := allocation(o.Resources)
	if o.AllocationInfo != nil {
		role = o.AllocationInfo.GetRole()
	}
	t.open('{')
	t.stringField("id", o.ID.Value)
	t.stringField("framework_id", o.FrameworkID.Value)
	t.field("allocation_info")
	t.open('{')
	t.stringField("role", role)
	t.close('}')
	t.stringField("slave_id", o.AgentID.Value)
	t.field("resources")
	t.summary(o.Resources)
	t.close('}')
}

// allocation is the role that resources are allocated to, "*" if they do not say.
func allocation(list []mesos.Resource) string {
	for _, r := range list {
		if r.AllocationInfo != nil {
			return r.AllocationInfo.GetRole()
		}
	}
	return "*"
}

// executor writes an executor.
func (t *text) executor(e *core.ExecutorView) {
	x := &e.Info
	t.open('{')
	t.stringField("executor_id", x.ExecutorID.Value)
	t.stringField("name", x.GetName())
	t.stringField("framework_id", x.GetFrameworkID().GetValue())
	t.field("command")
	t.command(x.Command)
	t.field("resources")
	t.summary(x.Resources)
	t.stringField("role", allocation(x.Resources))
	if x.Labels != nil {
		t.field("labels")
		t.labels(x.Labels)
	}
	if x.Type != mesos.ExecutorInfo_UNKNOWN {
		t.stringField("type", x.Type.String())
	}
	t.stringField("slave_id", e.AgentID)
	t.close('}')
}

func (t *text) command(c *mesos.CommandInfo) {
	t.open('{')
	if c != nil {
		t.boolField("shell", c.GetShell())
		if c.Value != nil {
			t.stringField("value", *c.Value)
		}
	}
	t.strings("argv", c.GetArguments())
	if c != nil && c.Environment != nil {
		t.rawField("environment", raw(shownEnvironment(c.Environment)))
	}
	t.field("uris")
	t.open('[')
	for _, u := range c.GetURIs() {
		t.open('{')
		t.stringField("value", u.Value)
		t.boolField("executable", u.GetExecutable())
		t.close('}')
	}
	t.close(']')
	t.close('}')
}

// task writes a task.
func (t *text) task(x *mesos.Task) {
	t.open('{')
	t.stringField("id", x.TaskID.Value)
	t.stringField("name", x.Name)
	t.stringField("framework_id", x.FrameworkID.Value)
	t.stringField("executor_id", x.GetExecutorID().GetValue())
	t.stringField("slave_id", x.AgentID.Value)
	t.stringField("state", x.GetState().String())
	t.field("resources")
	t.summary(x.Resources)
	t.stringField("role", allocation(x.Resources))
	t.field("statuses")
	t.open('[')
	for i := range x.Statuses {
		t.status(&x.Statuses[i])
	}
	t.close(']')
	if x.User != nil {
		t.stringField("user", *x.User)
	}
	if x.Labels != nil {
		t.field("labels")
		t.labels(x.Labels)
	}
	if x.Discovery != nil {
		t.rawField("discovery", raw(x.Discovery))
	}
	if x.Container != nil {
		t.rawField("container", raw(x.Container))
	}
	if x.HealthCheck != nil {
		t.rawField("health_check", raw(x.HealthCheck))
	}
	t.close('}')
}

func (t *text) status(x *mesos.TaskStatus) {
	t.open('{')
	t.stringField("state", x.GetState().String())
	t.numberField("timestamp", x.GetTimestamp())
	if x.Labels != nil {
		t.field("labels")
		t.labels(x.Labels)
	}
	if c := x.ContainerStatus; c != nil {
		shown := *c
		shown.ExecutorPID = nil // as in Mesos, this is not for everybody
		t.rawField("container_status", raw(&shown))
	}
	if x.Healthy != nil {
		t.boolField("healthy", *x.Healthy)
	}
	t.close('}')
}
