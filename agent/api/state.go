package api

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/offers/operations"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
)

// object is a JSON object.
type object = map[string]any

// state serves /state with the keys of reference section 4.1; rows AGT-02a to c.
func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	v := s.view(r)
	total := v.Resources
	var reservedOnes, unreserved, allocated []mesos.Resource
	for i := range total {
		if role(&total[i]) == "*" {
			unreserved = append(unreserved, total[i])
		} else {
			reservedOnes = append(reservedOnes, total[i])
		}
	}
	for _, f := range v.Frameworks {
		for _, e := range f.Executors {
			allocated = append(allocated, e.Resources...)
		}
	}
	page := object{
		"version": s.Version, "git_sha": s.Build, "build_date": "", "build_time": 0.0, "build_user": "",
		"start_time": float64(s.Started.UnixMicro()) / 1e6, "id": v.Info.ID.GetValue(), "pid": s.PID, "hostname": v.Info.Hostname,
		"capabilities": s.Capabilities, "resources": sum(total),
		"reserved_resources": byRole(reservedOnes), "unreserved_resources": sum(unreserved),
		"reserved_resources_full": fullByRole(reservedOnes), "unreserved_resources_full": full(unreserved),
		"reserved_resources_allocated": byRole(only(allocated, false)), "unreserved_resources_allocated": sum(only(allocated, true)),
		"resource_providers": []any{}, "attributes": attributes(v.Info.Attributes), "flags": s.Flags,
		"log_dir": s.Flags["log_dir"], "frameworks": frameworks(v.Frameworks), "completed_frameworks": frameworks(v.Completed),
	}
	if !s.ACLs.Authorize(authn.PrincipalOf(r.Context()), security.ViewFlags, security.Object{}) {
		delete(page, "flags")
	}
	if _, addr, ok := strings.Cut(v.Master, "@"); ok {
		host, _, _ := strings.Cut(addr, ":")
		page["master_hostname"] = host
	}
	if v.Drain != nil {
		page["drain_config"] = message(v.Drain)
		page["estimated_drain_start_time_seconds"] = float64(v.DrainSince.UnixMicro()) / 1e6
	}
	if v.Info.Domain != nil {
		page["domain"] = message(v.Info.Domain)
	}
	writeJSON(w, r, page)
}

func frameworks(all []*core.FrameworkView) []object {
	list := []object{}
	for _, f := range all {
		o := object{
			"id": f.Info.ID.GetValue(), "name": f.Info.Name, "user": f.Info.User, "failover_timeout": f.Info.GetFailoverTimeout(),
			"checkpoint": f.Info.GetCheckpoint(), "hostname": f.Info.GetHostname(),
			"executors": executors(f.Executors), "completed_executors": executors(f.Completed),
		}
		if f.Info.Principal != nil {
			o["principal"] = f.Info.GetPrincipal()
		}
		multi := slices.ContainsFunc(f.Info.Capabilities, func(c mesos.FrameworkInfo_Capability) bool {
			return c.Type == mesos.FrameworkInfo_Capability_MULTI_ROLE
		})
		if multi {
			o["roles"] = append([]string{}, f.Info.Roles...)
		} else if o["role"] = f.Info.GetRole(); o["role"] == "" {
			o["role"] = "*"
		}
		list = append(list, o)
	}
	return list
}

func executors(all []*core.ExecutorView) []object {
	list := []object{}
	for _, e := range all {
		o := object{
			"id": e.Info.ExecutorID.Value, "name": e.Info.GetName(), "source": e.Info.GetSource(), "container": e.Container,
			"directory": e.Directory, "resources": sum(e.Resources), "tasks": tasks(e.Launched), "queued_tasks": queued(e.Queued),
			"completed_tasks": tasks(append(slices.Clone(e.Completed), e.Terminated...)),
		}
		if len(e.Resources) > 0 {
			o["role"] = allocation(e.Resources)
		}
		if e.Info.Labels != nil {
			o["labels"] = labels(e.Info.Labels)
		}
		if e.Info.Type != mesos.ExecutorInfo_UNKNOWN {
			o["type"] = e.Info.Type.String()
		}
		list = append(list, o)
	}
	return list
}

func tasks(all []*core.TaskView) []object {
	list := []object{}
	for _, t := range all {
		m := &t.Task
		statuses := []object{}
		for i := range m.Statuses {
			statuses = append(statuses, status(&m.Statuses[i]))
		}
		o := object{
			"id": m.TaskID.Value, "name": m.Name, "framework_id": m.FrameworkID.Value, "executor_id": "", "slave_id": m.AgentID.Value,
			"state": m.State.String(), "resources": sum(m.Resources), "role": allocation(m.Resources), "statuses": statuses,
		}
		if m.ExecutorID != nil {
			o["executor_id"] = m.ExecutorID.Value
		}
		if m.Labels != nil {
			o["labels"] = labels(m.Labels)
		}
		if m.Discovery != nil {
			o["discovery"] = message(m.Discovery)
		}
		if m.Container != nil {
			o["container"] = message(m.Container)
		}
		if m.HealthCheck != nil {
			o["health_check"] = message(m.HealthCheck)
		}
		list = append(list, o)
	}
	return list
}

// queued tasks are shown as the TaskInfo they came as.
func queued(all []*core.TaskView) []object {
	list := []object{}
	for _, t := range all {
		list = append(list, object{
			"id": t.Info.TaskID.Value, "name": t.Info.Name, "slave_id": t.Info.AgentID.Value,
			"resources": sum(t.Info.Resources), "role": allocation(t.Info.Resources),
		})
	}
	return list
}

func status(s *mesos.TaskStatus) object {
	o := object{"state": s.State.String(), "timestamp": s.GetTimestamp()}
	if s.Labels != nil {
		o["labels"] = labels(s.Labels)
	}
	if s.ContainerStatus != nil {
		c := *s.ContainerStatus
		c.ExecutorPID = nil // not shown by this page
		o["container_status"] = message(&c)
	}
	if s.Healthy != nil {
		o["healthy"] = *s.Healthy
	}
	return o
}

func labels(l *mesos.Labels) []object {
	list := []object{}
	for _, x := range l.Labels {
		o := object{"key": x.Key}
		if x.Value != nil {
			o["value"] = *x.Value
		}
		list = append(list, o)
	}
	return list
}

// message renders a protocol buffer in Mesos's JSON mapping.
func message(m proto.Message) json.RawMessage {
	data, err := codec.JSON.Marshal(m)
	if err != nil {
		return json.RawMessage("null")
	}
	return data
}

func attributes(all []mesos.Attribute) object {
	o := object{}
	for _, a := range all {
		switch {
		case a.Text != nil:
			o[a.Name] = a.Text.Value
		case a.Scalar != nil:
			o[a.Name] = a.Scalar.Value
		case a.Ranges != nil:
			o[a.Name] = ranges(a.Ranges)
		case a.Set != nil:
			o[a.Name] = "{" + strings.Join(a.Set.Item, ", ") + "}"
		}
	}
	return o
}

// role is whom a resource is reserved for.
func role(r *mesos.Resource) string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].GetRole()
	}
	if x := r.GetRole(); x != "" {
		return x
	}
	return "*"
}

func allocation(all []mesos.Resource) string {
	for i := range all {
		if x := all[i].AllocationInfo.GetRole(); x != "" {
			return x
		}
	}
	return "*"
}

func only(all []mesos.Resource, unreserved bool) []mesos.Resource {
	var some []mesos.Resource
	for _, r := range all {
		if (role(&r) == "*") == unreserved {
			some = append(some, r)
		}
	}
	return some
}

// sum is the short form of resources: the four scalars always, the rest when there.
func sum(all []mesos.Resource) object {
	o := object{"cpus": 0.0, "gpus": 0.0, "mem": 0.0, "disk": 0.0}
	for i := range all {
		switch r := &all[i]; {
		case r.Scalar != nil:
			was, _ := o[r.Name].(float64)
			o[r.Name] = math.Round((was+r.Scalar.Value)*1000) / 1000
		case r.Ranges != nil:
			o[r.Name] = ranges(r.Ranges)
		case r.Set != nil:
			o[r.Name] = "{" + strings.Join(r.Set.Item, ", ") + "}"
		}
	}
	return o
}

func ranges(v *mesos.Value_Ranges) string {
	var parts []string
	for _, x := range v.Range {
		parts = append(parts, fmt.Sprintf("%d-%d", x.Begin, x.End))
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

func byRole(all []mesos.Resource) object {
	split := map[string][]mesos.Resource{}
	for i := range all {
		split[role(&all[i])] = append(split[role(&all[i])], all[i])
	}
	o := object{}
	for name, some := range split {
		o[name] = sum(some)
	}
	return o
}

// full is the long form: Mesos's JSON of each resource with its role spelled out.
func full(all []mesos.Resource) []json.RawMessage {
	list := []json.RawMessage{}
	for _, r := range all {
		operations.ForReaders(&r)
		list = append(list, message(&r))
	}
	return list
}

func fullByRole(all []mesos.Resource) object {
	split := map[string][]mesos.Resource{}
	for i := range all {
		split[role(&all[i])] = append(split[role(&all[i])], all[i])
	}
	o := object{}
	for name, some := range split {
		o[name] = full(some)
	}
	return o
}
