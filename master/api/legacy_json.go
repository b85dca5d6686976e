package api

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/offers"
)

// This file is the objects within /state and its relatives, with the keys of reference section 2.5.

func (s *Server) versionJSON() map[string]any {
	v := s.versionInfo()
	m := map[string]any{"version": v.Version, "build_date": v.GetBuildDate(), "build_time": v.GetBuildTime(), "build_user": v.GetBuildUser()}
	if sha := v.GetGitSHA(); sha != "" {
		m["git_sha"] = sha
	}
	return m
}

func agentJSON(a *core.AgentView) map[string]any {
	reserved := map[string]any{}
	for role, res := range a.Total.Reserved() {
		reserved[role] = res.Summary()
	}
	capabilities := []string{}
	for _, c := range a.Capabilities {
		capabilities = append(capabilities, c.Type.String())
	}
	m := map[string]any{
		"id": a.ID(), "hostname": a.Info.Hostname, "port": a.Info.GetPort(), "attributes": attributes(a.Info.Attributes),
		"pid": a.PID, "registered_time": unix(a.Registered),
		"resources": a.Total.Summary(), "used_resources": a.Used.Summary(), "offered_resources": a.Offered.Summary(),
		"reserved_resources": reserved, "unreserved_resources": a.Total.Unreserved().Summary(),
		"active": a.Active, "deactivated": a.Deactivated, "version": a.Version, "capabilities": capabilities,
	}
	if !a.Reregistered.IsZero() {
		m["reregistered_time"] = unix(a.Reregistered)
	}
	if a.Drain != nil {
		m["drain_info"] = raw(a.Drain)
	}
	if a.DrainStarted != nil {
		m["estimated_drain_start_time_seconds"] = unix(*a.DrainStarted)
	}
	addDomain(m, a.Info.Domain)
	return m
}

// attributes shows scalars as numbers, texts as strings and ranges as text.
func attributes(list []mesos.Attribute) map[string]any {
	m := map[string]any{}
	for _, a := range list {
		switch a.Type {
		case mesos.SCALAR:
			m[a.Name] = a.GetScalar().GetValue()
		case mesos.TEXT:
			m[a.Name] = a.GetText().GetValue()
		case mesos.RANGES:
			m[a.Name] = ranges(a.GetRanges().GetRange())
		case mesos.SET:
			m[a.Name] = "{" + strings.Join(a.GetSet().GetItem(), ", ") + "}"
		}
	}
	return m
}

func ranges(list []mesos.Value_Range) string {
	var parts []string
	for _, r := range list {
		parts = append(parts, fmt.Sprintf("%d-%d", r.Begin, r.End))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// full lists resources as messages, in the form that old and new readers understand.
func full(r offers.Resources) []json.RawMessage {
	list := []json.RawMessage{}
	for _, x := range core.ForOperators(r) {
		if data, err := codec.JSON.Marshal(&x); err == nil {
			list = append(list, data)
		}
	}
	return list
}

// frameworkSummary is what /state-summary and /state have in common.
func frameworkSummary(f *core.FrameworkView) map[string]any {
	x := newFrameworkHead(f)
	return map[string]any{
		"id": x.ID, "name": x.Name, "used_resources": x.Used, "offered_resources": x.Offered, "capabilities": x.Capabilities,
		"hostname": x.Hostname, "webui_url": x.WebUI, "active": x.Active, "connected": x.Connected, "recovered": x.Recovered,
	}
}

// frameworkHead is the part of a framework that every endpoint shows.
type frameworkHead struct {
	ID           string         `json:"id"`
	Name         string         `json:"name"`
	Used         map[string]any `json:"used_resources"`
	Offered      map[string]any `json:"offered_resources"`
	Capabilities []string       `json:"capabilities"`
	Hostname     string         `json:"hostname"`
	WebUI        string         `json:"webui_url"`
	Active       bool           `json:"active"`
	Connected    bool           `json:"connected"`
	Recovered    bool           `json:"recovered"`
}

func newFrameworkHead(f *core.FrameworkView) frameworkHead {
	h := frameworkHead{
		ID: f.ID(), Name: f.Info.Name, Used: f.Used.Summary(), Offered: f.Offered.Summary(), Capabilities: []string{},
		Hostname: f.Info.GetHostname(), WebUI: f.Info.GetWebUiURL(), Active: f.Active, Connected: f.Connected, Recovered: f.Recovered,
	}
	for _, c := range f.Info.Capabilities {
		h.Capabilities = append(h.Capabilities, c.Type.String())
	}
	return h
}

// frameworkJSON is a framework in /state and /frameworks.
type frameworkJSON struct {
	frameworkHead
	User            string         `json:"user"`
	FailoverTimeout float64        `json:"failover_timeout"`
	Checkpoint      bool           `json:"checkpoint"`
	Registered      float64        `json:"registered_time"`
	Reregistered    float64        `json:"reregistered_time,omitempty"`
	Unregistered    float64        `json:"unregistered_time"`
	Principal       string         `json:"principal,omitempty"`
	Resources       map[string]any `json:"resources"`
	Role            *string        `json:"role,omitempty"`
	Roles           []string       `json:"roles,omitempty"`
	Labels          []labelJSON    `json:"labels,omitempty"`
	Tasks           []*taskJSON    `json:"tasks"`
	Unreachable     []*taskJSON    `json:"unreachable_tasks"`
	Completed       []*taskJSON    `json:"completed_tasks"`
	Offers          []any          `json:"offers"`
	Executors       []any          `json:"executors"`
	Constraints     any            `json:"offer_constraints"`
}

func newFrameworkJSON(f *core.FrameworkView) *frameworkJSON {
	x := &frameworkJSON{
		frameworkHead: newFrameworkHead(f), User: f.Info.User, FailoverTimeout: f.Info.GetFailoverTimeout(), Checkpoint: f.Info.GetCheckpoint(),
		Registered: unix(f.Registered), Reregistered: unix(f.Reregistered), Unregistered: unix(f.Unregistered),
		Principal: f.Info.GetPrincipal(), Resources: f.Used.Plus(f.Offered).Summary(), Labels: labels(f.Info.Labels),
		Tasks: taskList(f.Tasks), Unreachable: taskList(f.Unreachable), Completed: taskList(f.Completed),
		Offers: []any{}, Executors: []any{}, Constraints: struct{}{},
	}
	if f.Constraints != nil {
		x.Constraints = raw(f.Constraints)
	}
	if multiRole(&f.Info) {
		x.Roles = f.Info.Roles
	} else {
		role := f.Info.GetRole()
		x.Role = &role
	}
	for _, o := range f.Offers {
		x.Offers = append(x.Offers, offerJSON(o))
	}
	for _, e := range f.Executors {
		x.Executors = append(x.Executors, executorJSON(e))
	}
	return x
}

func multiRole(info *mesos.FrameworkInfo) bool {
	for _, c := range info.Capabilities {
		if c.Type == mesos.FrameworkInfo_Capability_MULTI_ROLE {
			return true
		}
	}
	return false
}

func offerJSON(o *mesos.Offer) map[string]any {
	role := allocation(o.Resources)
	if o.AllocationInfo != nil {
		role = o.AllocationInfo.GetRole()
	}
	return map[string]any{
		"id": o.ID.Value, "framework_id": o.FrameworkID.Value, "allocation_info": map[string]string{"role": role},
		"slave_id": o.AgentID.Value, "resources": summary(o.Resources),
	}
}

// summary shows resources of a message; they come from us and so are well formed.
func summary(list []mesos.Resource) map[string]any {
	r, err := offers.Parse(list)
	if err != nil {
		return map[string]any{}
	}
	return r.Summary()
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

func executorJSON(e core.ExecutorView) map[string]any {
	x := &e.Info
	m := map[string]any{
		"executor_id": x.ExecutorID.Value, "name": x.GetName(), "framework_id": x.GetFrameworkID().GetValue(),
		"command": commandJSON(x.Command), "resources": summary(x.Resources), "role": allocation(x.Resources), "slave_id": e.AgentID,
	}
	if x.Type != mesos.ExecutorInfo_UNKNOWN {
		m["type"] = x.Type.String()
	}
	if l := labels(x.Labels); l != nil {
		m["labels"] = l
	}
	return m
}

func commandJSON(c *mesos.CommandInfo) map[string]any {
	m := map[string]any{"argv": []string{}, "uris": []any{}}
	if c == nil {
		return m
	}
	m["shell"] = c.GetShell()
	if c.Value != nil {
		m["value"] = *c.Value
	}
	if len(c.Arguments) > 0 {
		m["argv"] = c.Arguments
	}
	uris := []any{}
	for _, u := range c.URIs {
		uris = append(uris, map[string]any{"value": u.Value, "executable": u.GetExecutable()})
	}
	m["uris"] = uris
	return m
}

// taskJSON is a task in /state and /tasks.
type taskJSON struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	FrameworkID string             `json:"framework_id"`
	ExecutorID  string             `json:"executor_id"`
	AgentID     string             `json:"slave_id"`
	State       string             `json:"state"`
	Resources   map[string]any     `json:"resources"`
	Role        string             `json:"role"`
	Statuses    []statusJSON       `json:"statuses"`
	User        string             `json:"user,omitempty"`
	Labels      []labelJSON        `json:"labels,omitempty"`
	Discovery   json.RawMessage    `json:"discovery,omitempty"`
	Container   json.RawMessage    `json:"container,omitempty"`
	HealthCheck json.RawMessage    `json:"health_check,omitempty"`
	Limits      map[string]float64 `json:"limits,omitempty"`
}

// statusJSON is one status of a task.
type statusJSON struct {
	State     string          `json:"state"`
	Timestamp float64         `json:"timestamp"`
	Labels    []labelJSON     `json:"labels,omitempty"`
	Container json.RawMessage `json:"container_status,omitempty"`
	Healthy   *bool           `json:"healthy,omitempty"`
}

type labelJSON struct {
	Key   string  `json:"key"`
	Value *string `json:"value,omitempty"`
}

func labels(l *mesos.Labels) []labelJSON {
	var list []labelJSON
	for _, x := range l.GetLabels() {
		list = append(list, labelJSON{Key: x.Key, Value: x.Value})
	}
	return list
}

func taskList(tasks []*mesos.Task) []*taskJSON {
	list := make([]*taskJSON, 0, len(tasks))
	for _, t := range tasks {
		list = append(list, newTaskJSON(t))
	}
	return list
}

func newTaskJSON(t *mesos.Task) *taskJSON {
	x := &taskJSON{
		ID: t.TaskID.Value, Name: t.Name, FrameworkID: t.FrameworkID.Value, ExecutorID: t.GetExecutorID().GetValue(),
		AgentID: t.AgentID.Value, State: t.GetState().String(), Resources: summary(t.Resources), Role: allocation(t.Resources),
		Statuses: make([]statusJSON, 0, len(t.Statuses)), User: t.GetUser(), Labels: labels(t.Labels),
	}
	for i := range t.Statuses {
		st := &t.Statuses[i]
		y := statusJSON{State: st.GetState().String(), Timestamp: st.GetTimestamp(), Labels: labels(st.Labels), Healthy: st.Healthy}
		if c := st.ContainerStatus; c != nil {
			shown := *c
			shown.ExecutorPID = nil // as in Mesos, this is not for everybody
			y.Container = raw(&shown)
		}
		x.Statuses = append(x.Statuses, y)
	}
	if t.Discovery != nil {
		x.Discovery = raw(t.Discovery)
	}
	if t.Container != nil {
		x.Container = raw(t.Container)
	}
	if t.HealthCheck != nil {
		x.HealthCheck = raw(t.HealthCheck)
	}
	return x
}

// sortTasks orders tasks by the time of their first status, newest first unless ascending.
func sortTasks(tasks []*mesos.Task, ascending bool) {
	first := func(t *mesos.Task) float64 {
		if len(t.Statuses) == 0 {
			return 0
		}
		return t.Statuses[0].GetTimestamp()
	}
	sort.SliceStable(tasks, func(i, j int) bool {
		if ascending {
			return first(tasks[i]) < first(tasks[j])
		}
		return first(tasks[i]) > first(tasks[j])
	})
}
