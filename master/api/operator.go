package api

import (
	"context"
	"encoding/json"
	"net/http"
	"sort"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// operator serves the v1 operator API (reference section 2.1).
func (s *Server) operator(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodPost) {
		return
	}
	call := &master.Call{}
	c, body, ok := decode(w, r, call)
	if !ok {
		return
	}
	if call.Type == master.Call_UNKNOWN {
		s.unknownCall(w, c, body)
		return
	}
	if name, there := operatorPayload(call); !there {
		refuse(w, http.StatusBadRequest, "Failed to validate master::Call: Expecting '%s' to be present", name)
		return
	}
	out, err := codec.ForAccept(r.Header.Get("Accept"))
	if err != nil {
		refuse(w, http.StatusNotAcceptable, "%s", err)
		return
	}
	if !s.mayCall(w, r, call.Type) {
		return
	}
	switch call.Type {
	case master.Call_SUBSCRIBE:
		s.watch(w, r, out)
	case master.Call_SET_LOGGING_LEVEL:
		s.facts.Verbosity.Set(call.SetLoggingLevel.Level, time.Duration(call.SetLoggingLevel.Duration.Nanoseconds))
		w.WriteHeader(http.StatusOK)
	case master.Call_GET_METRICS:
		if m, ok := s.measured(w, r); ok {
			s.respond(w, r, out, &master.Response{Type: master.Response_GET_METRICS, GetMetrics: &master.Response_GetMetrics{Metrics: metricList(m)}}, nil)
		}
	case master.Call_LIST_FILES:
		m, err := s.listFiles(call.ListFiles)
		s.respond(w, r, out, m, err)
	case master.Call_READ_FILE:
		m, err := s.readFileCall(call.ReadFile)
		s.respond(w, r, out, m, err)
	default:
		if event := decision(call); event != nil {
			s.ask(w, r, event)
			return
		}
		if agent, op, ok := operation(call); ok {
			s.operate(w, r, agent, op)
			return
		}
		if lists(call.Type) {
			s.serveShared(w, r, call.Type.String()+" "+out.MediaType(), out.MediaType(), func(v *core.View, f *forms) *document { return f.api(out).answer(v, call.Type) })
			return
		}
		s.read(w, r, call, out)
	}
}

// lists says whether the answer to a call lists much.
func lists(t master.Call_Type) bool {
	switch t {
	case master.Call_GET_STATE, master.Call_GET_AGENTS, master.Call_GET_FRAMEWORKS, master.Call_GET_EXECUTORS, master.Call_GET_TASKS:
		return true
	default:
		return false
	}
}

// respond answers with m, or says why there is no file.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, out codec.Codec, m *master.Response, err error) {
	if err != nil {
		fileFailed(w, err)
		return
	}
	data, err := render(out, m)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "the answer could not be rendered: %s", err)
		return
	}
	s.body(w, r, out.MediaType(), data)
}

// unknownCall tells a call of type UNKNOWN from one without type (reference row OPR-08).
func (s *Server) unknownCall(w http.ResponseWriter, c codec.Codec, body []byte) {
	var named struct{ Type string }
	if c == codec.JSON && json.Unmarshal(body, &named) == nil && named.Type == "UNKNOWN" {
		refuse(w, http.StatusNotImplemented, "call type UNKNOWN is not implemented")
		return
	}
	refuse(w, http.StatusBadRequest, "Failed to validate master::Call: Expecting 'type' to be present")
}

// operatorPayload says whether the sub-message that a call's type needs is there, and how it is called.
func operatorPayload(c *master.Call) (name string, there bool) {
	switch c.Type {
	case master.Call_GET_METRICS:
		return "get_metrics", c.GetMetrics != nil
	case master.Call_SET_LOGGING_LEVEL:
		return "set_logging_level", c.SetLoggingLevel != nil
	case master.Call_LIST_FILES:
		return "list_files", c.ListFiles != nil
	case master.Call_READ_FILE:
		return "read_file", c.ReadFile != nil
	case master.Call_UPDATE_WEIGHTS:
		return "update_weights", c.UpdateWeights != nil
	case master.Call_RESERVE_RESOURCES:
		return "reserve_resources", c.ReserveResources != nil
	case master.Call_UNRESERVE_RESOURCES:
		return "unreserve_resources", c.UnreserveResources != nil
	case master.Call_CREATE_VOLUMES:
		return "create_volumes", c.CreateVolumes != nil
	case master.Call_DESTROY_VOLUMES:
		return "destroy_volumes", c.DestroyVolumes != nil
	case master.Call_GROW_VOLUME:
		return "grow_volume", c.GrowVolume != nil
	case master.Call_SHRINK_VOLUME:
		return "shrink_volume", c.ShrinkVolume != nil
	case master.Call_UPDATE_MAINTENANCE_SCHEDULE:
		return "update_maintenance_schedule", c.UpdateMaintenanceSchedule != nil
	case master.Call_START_MAINTENANCE:
		return "start_maintenance", c.StartMaintenance != nil
	case master.Call_STOP_MAINTENANCE:
		return "stop_maintenance", c.StopMaintenance != nil
	default:
		return operatorPayloadMore(c)
	}
}

func operatorPayloadMore(c *master.Call) (name string, there bool) {
	switch c.Type {
	case master.Call_DRAIN_AGENT:
		return "drain_agent", c.DrainAgent != nil
	case master.Call_DEACTIVATE_AGENT:
		return "deactivate_agent", c.DeactivateAgent != nil
	case master.Call_REACTIVATE_AGENT:
		return "reactivate_agent", c.ReactivateAgent != nil
	case master.Call_UPDATE_QUOTA:
		return "update_quota", c.UpdateQuota != nil
	case master.Call_SET_QUOTA:
		return "set_quota", c.SetQuota != nil
	case master.Call_REMOVE_QUOTA:
		return "remove_quota", c.RemoveQuota != nil
	case master.Call_TEARDOWN:
		return "teardown", c.Teardown != nil
	case master.Call_MARK_AGENT_GONE:
		return "mark_agent_gone", c.MarkAgentGone != nil
	default:
		return "", true
	}
}

// read answers the calls that only read (reference section 2.2). What this master
// does not have yet is refused by name.
func (s *Server) read(w http.ResponseWriter, r *http.Request, call *master.Call, out codec.Codec) {
	v, ok := s.view(w, r)
	if !ok {
		return
	}
	m := s.response(v, call.Type)
	if m == nil {
		refuse(w, http.StatusNotImplemented, "call %s is not supported by this master yet", call.Type)
		return
	}
	data, err := render(out, m)
	if err != nil {
		s.log.Error("answer not rendered", "call", call.Type.String(), "error", err)
		refuse(w, http.StatusInternalServerError, "the answer could not be rendered: %s", err)
		return
	}
	s.body(w, r, out.MediaType(), data)
}

// response builds the answer to a reading call, nil if there is none.
func (s *Server) response(v *core.View, t master.Call_Type) *master.Response {
	switch t {
	case master.Call_GET_HEALTH:
		return &master.Response{Type: master.Response_GET_HEALTH, GetHealth: &master.Response_GetHealth{Healthy: true}}
	case master.Call_GET_FLAGS:
		return &master.Response{Type: master.Response_GET_FLAGS, GetFlags: &master.Response_GetFlags{Flags: s.flagList()}}
	case master.Call_GET_VERSION:
		return &master.Response{Type: master.Response_GET_VERSION, GetVersion: &master.Response_GetVersion{VersionInfo: s.versionInfo()}}
	case master.Call_GET_LOGGING_LEVEL:
		return &master.Response{Type: master.Response_GET_LOGGING_LEVEL, GetLoggingLevel: &master.Response_GetLoggingLevel{Level: s.facts.Verbosity.Level()}}
	case master.Call_GET_OPERATIONS:
		return &master.Response{Type: master.Response_GET_OPERATIONS, GetOperations: operationsMessage(v)}
	case master.Call_GET_ROLES:
		return &master.Response{Type: master.Response_GET_ROLES, GetRoles: &master.Response_GetRoles{Roles: roleMessages(v)}}
	case master.Call_GET_WEIGHTS:
		return &master.Response{Type: master.Response_GET_WEIGHTS, GetWeights: &master.Response_GetWeights{WeightInfos: v.Weights}}
	case master.Call_GET_MAINTENANCE_STATUS:
		return &master.Response{Type: master.Response_GET_MAINTENANCE_STATUS, GetMaintenanceStatus: &master.Response_GetMaintenanceStatus{Status: v.Maintenance}}
	case master.Call_GET_MAINTENANCE_SCHEDULE:
		return &master.Response{Type: master.Response_GET_MAINTENANCE_SCHEDULE, GetMaintenanceSchedule: &master.Response_GetMaintenanceSchedule{
			Schedule: maintenance.Schedule{Windows: v.Schedule},
		}}
	case master.Call_GET_QUOTA:
		return &master.Response{Type: master.Response_GET_QUOTA, GetQuota: &master.Response_GetQuota{Status: quotaStatus(v)}}
	case master.Call_GET_MASTER:
		started, elected := unix(s.facts.Started), unix(s.facts.Elected)
		return &master.Response{Type: master.Response_GET_MASTER, GetMaster: &master.Response_GetMaster{MasterInfo: &v.Master, StartTime: &started, ElectedTime: &elected}}
	default:
		return nil
	}
}

func (s *Server) flagList() []mesos.Flag {
	var list []mesos.Flag
	for _, name := range sortedNames(s.facts.Flags) {
		value := s.facts.Flags[name]
		list = append(list, mesos.Flag{Name: name, Value: &value})
	}
	return list
}

func (s *Server) versionInfo() mesos.VersionInfo {
	b := s.facts.Build
	date, seconds := b.Time.UTC().Format("2006-01-02 15:04:05 UTC"), unix(b.Time)
	info := mesos.VersionInfo{Version: s.facts.Version, BuildDate: &date, BuildTime: &seconds, BuildUser: &b.User}
	if b.SHA != "" {
		info.GitSHA = &b.SHA
	}
	return info
}

// watch serves the operators' event stream (reference section 2.3).
func (s *Server) watch(w http.ResponseWriter, r *http.Request, c codec.Codec) {
	// The stream a watcher reads begins with the state, which is made here, away from
	// the master's goroutine; what happens meanwhile waits in the other stream.
	stream := NewStream(s.approver(r))
	v, err := s.backend.Watch(r.Context(), stream)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	defer s.backend.Unwatch(stream)
	snapshot, err := s.renderer.once(r.Context(), func(f *forms) *document { return f.api(c).subscribed(v.Filtered(s.approver(r))) })
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	stream.first(snapshot, &master.Event{Type: master.Event_HEARTBEAT})
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	go beat(ctx, stream)
	if err := stream.serve(ctx, w, c); err != nil {
		s.log.Debug("operator stream ended", "reason", err)
	}
}

// beat sends heartbeats until ctx ends.
func beat(ctx context.Context, s *Stream) {
	ticker := time.NewTicker(core.HeartbeatInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.Send(&master.Event{Type: master.Event_HEARTBEAT})
		}
	}
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for n := range m {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// unix is a time as Mesos's JSON has it: seconds since 1970 with fraction.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}
