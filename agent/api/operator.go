package api

import (
	"encoding/json"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// operator serves /api/v1: the reads of reference section 4.7. Other calls are
// refused by name.
func (s *Server) operator(w http.ResponseWriter, r *http.Request) {
	call := &agent.Call{}
	body, ok := decode(w, r, call, maxCall)
	if !ok {
		return
	}
	name := call.Type.String()
	if call.Type == agent.Call_UNKNOWN {
		var named struct{ Type string }
		if json.Unmarshal(body, &named) == nil && named.Type == name {
			refuse(w, http.StatusNotImplemented, "501 Not Implemented.")
			return
		}
		refuse(w, http.StatusBadRequest, "Failed to validate agent::Call: Expecting 'type' to be present")
		return
	}
	if field := strings.ToLower(name); lacks(call, field) {
		refuse(w, http.StatusBadRequest, "Failed to validate agent::Call: Expecting '"+field+"' to be present")
		return
	}
	accept, err := codec.ForAccept(r.Header.Get("Accept"))
	if err != nil {
		refuse(w, http.StatusNotAcceptable, "Expecting 'Accept' to allow application/json or application/x-protobuf or application/recordio")
		return
	}
	if !s.mayCall(w, r, call) {
		return
	}
	var response *agent.Response
	if id := attached(call); id != nil {
		s.attach(w, call.Type.String(), id)
		return
	}
	if c := containerCall(call); c != nil {
		if response, ok = s.containerOrder(w, r, call, c); !ok {
			return
		}
	} else {
		response, err = s.answer(r, call)
	}
	switch {
	case err != nil:
		fileError(w, err)
		return
	case response == nil:
		refuse(w, http.StatusNotImplemented, name+" is not implemented by this agent yet")
		return
	}
	response.Type = agent.Response_Type(agent.Response_Type_value[name])
	data, err := accept.Marshal(response)
	if err == nil && accept == codec.JSON {
		data, err = withEmptyLists(data)
	}
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", accept.MediaType())
	_, _ = w.Write(data)
}

// lacks tells whether a call's own message is missing; those of GET_CONTAINERS and
// PRUNE_IMAGES may be.
func lacks(call *agent.Call, field string) bool {
	if call.Type == agent.Call_GET_CONTAINERS || call.Type == agent.Call_PRUNE_IMAGES {
		return false
	}
	v := reflect.ValueOf(call).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag.Get("protobuf")
		if slices.Contains(strings.Split(tag, ","), "name="+field) && v.Field(i).Kind() == reflect.Pointer {
			return v.Field(i).IsNil()
		}
	}
	return false
}

// answer is nil for calls that are not implemented.
func (s *Server) answer(r *http.Request, call *agent.Call) (*agent.Response, error) {
	v := s.view(r)
	switch call.Type {
	case agent.Call_GET_HEALTH:
		return &agent.Response{GetHealth: &agent.Response_GetHealth{Healthy: true}}, nil
	case agent.Call_GET_VERSION:
		build := s.Build
		return &agent.Response{GetVersion: &agent.Response_GetVersion{VersionInfo: mesos.VersionInfo{Version: s.Version, GitTag: &build}}}, nil
	case agent.Call_GET_FLAGS:
		return &agent.Response{GetFlags: &agent.Response_GetFlags{Flags: s.flagList()}}, nil
	case agent.Call_GET_METRICS:
		return &agent.Response{GetMetrics: &agent.Response_GetMetrics{Metrics: s.metricList()}}, nil
	case agent.Call_GET_LOGGING_LEVEL:
		return &agent.Response{GetLoggingLevel: &agent.Response_GetLoggingLevel{}}, nil
	case agent.Call_LIST_FILES:
		return s.listFiles(call.ListFiles)
	case agent.Call_READ_FILE:
		return s.readFile(call.ReadFile)
	case agent.Call_GET_STATE:
		return &agent.Response{GetState: &agent.Response_GetState{GetTasks: getTasks(v), GetExecutors: getExecutors(v), GetFrameworks: getFrameworks(v)}}, nil
	case agent.Call_GET_TASKS:
		return &agent.Response{GetTasks: getTasks(v)}, nil
	case agent.Call_GET_EXECUTORS:
		return &agent.Response{GetExecutors: getExecutors(v)}, nil
	case agent.Call_GET_FRAMEWORKS:
		return &agent.Response{GetFrameworks: getFrameworks(v)}, nil
	case agent.Call_GET_CONTAINERS:
		return &agent.Response{GetContainers: s.getContainers(r, call.GetContainers.GetShowNested())}, nil
	case agent.Call_GET_AGENT:
		m := &agent.Response_GetAgent{AgentInfo: &v.Info, DrainConfig: v.Drain}
		if v.Drain != nil {
			m.EstimatedDrainStartTime = &mesos.TimeInfo{Nanoseconds: v.DrainSince.UnixNano()}
		}
		return &agent.Response{GetAgent: m}, nil
	case agent.Call_GET_OPERATIONS:
		return &agent.Response{GetOperations: &agent.Response_GetOperations{Operations: s.Agent.View().Operations}}, nil
	case agent.Call_GET_RESOURCE_PROVIDERS:
		return &agent.Response{GetResourceProviders: &agent.Response_GetResourceProviders{}}, nil
	}
	return nil, nil
}

func (s *Server) flagList() []mesos.Flag {
	var list []mesos.Flag
	for _, name := range slices.Sorted(maps.Keys(s.Flags)) {
		value := s.Flags[name]
		list = append(list, mesos.Flag{Name: name, Value: &value})
	}
	return list
}

func (s *Server) metricList() []mesos.Metric {
	var list []mesos.Metric
	all := s.snapshot()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		value := all[name]
		list = append(list, mesos.Metric{Name: name, Value: &value})
	}
	return list
}

func (s *Server) listFiles(c *agent.Call_ListFiles) (*agent.Response, error) {
	infos, err := s.Files.Browse(c.Path)
	if err != nil {
		return nil, err
	}
	answer := &agent.Response_ListFiles{}
	for _, i := range infos {
		links, size, mode := int32(i.Links), uint64(i.Size), unixMode(i.Mode)
		answer.FileInfos = append(answer.FileInfos, mesos.FileInfo{
			Path: i.Path, Nlink: &links, Size_: &size, Mtime: &mesos.TimeInfo{Nanoseconds: i.Modified.UnixNano()},
			Mode: &mode, UID: &i.Owner, GID: &i.Group,
		})
	}
	return &agent.Response{ListFiles: answer}, nil
}

func (s *Server) readFile(c *agent.Call_ReadFile) (*agent.Response, error) {
	length := int64(-1)
	if c.Length != nil {
		length = int64(min(*c.Length, 1<<40))
	}
	data, size, err := s.Files.Read(c.Path, int64(min(c.Offset, 1<<62)), length)
	if err != nil {
		return nil, err
	}
	if data == nil {
		data = []byte{} // present, though empty
	}
	return &agent.Response{ReadFile: &agent.Response_ReadFile{Size_: uint64(size), Data: data}}, nil
}

func getTasks(v *core.View) *agent.Response_GetTasks {
	a := &agent.Response_GetTasks{}
	add := func(to *[]mesos.Task, from []*core.TaskView) {
		for _, t := range from {
			*to = append(*to, t.Task)
		}
	}
	for _, f := range slices.Concat(v.Frameworks, v.Completed) {
		for _, e := range slices.Concat(f.Executors, f.Completed) {
			add(&a.QueuedTasks, e.Queued)
			add(&a.LaunchedTasks, e.Launched)
			add(&a.TerminatedTasks, e.Terminated)
			add(&a.CompletedTasks, e.Completed)
		}
	}
	return a
}

func getExecutors(v *core.View) *agent.Response_GetExecutors {
	a := &agent.Response_GetExecutors{}
	for _, f := range slices.Concat(v.Frameworks, v.Completed) {
		for _, e := range f.Executors {
			a.Executors = append(a.Executors, agent.Response_GetExecutors_Executor{ExecutorInfo: e.Info})
		}
		for _, e := range f.Completed {
			a.CompletedExecutors = append(a.CompletedExecutors, agent.Response_GetExecutors_Executor{ExecutorInfo: e.Info})
		}
	}
	return a
}

func getFrameworks(v *core.View) *agent.Response_GetFrameworks {
	a := &agent.Response_GetFrameworks{}
	for _, f := range v.Frameworks {
		a.Frameworks = append(a.Frameworks, agent.Response_GetFrameworks_Framework{FrameworkInfo: f.Info})
	}
	for _, f := range v.Completed {
		a.CompletedFrameworks = append(a.CompletedFrameworks, agent.Response_GetFrameworks_Framework{FrameworkInfo: f.Info})
	}
	return a
}

func (s *Server) getContainers(r *http.Request, nested bool) *agent.Response_GetContainers {
	a := &agent.Response_GetContainers{}
	s.each(r, func(f *core.FrameworkView, e *core.ExecutorView) {
		name, id := e.Info.GetName(), e.Info.ExecutorID
		c := agent.Response_GetContainers_Container{
			FrameworkID: f.Info.ID, ExecutorID: &id, ExecutorName: &name,
			ContainerID: mesos.ContainerID{Value: e.Container}, ContainerStatus: containerStatus(e),
		}
		if u, err := s.Agent.Containers().Usage(e.Container); err == nil {
			c.ResourceStatistics = statistics(u)
		}
		a.Containers = append(a.Containers, c)
		if nested {
			a.Containers = append(a.Containers, s.nestedContainers(e.Container)...)
		}
	})
	return a
}

// listsOf are the lists that Mesos writes even when they are empty.
var listsOf = map[string][]string{
	"get_tasks":      {"pending_tasks", "queued_tasks", "launched_tasks", "terminated_tasks", "completed_tasks"},
	"get_executors":  {"executors", "completed_executors"},
	"get_frameworks": {"frameworks", "completed_frameworks"},
}

// withEmptyLists puts them into an answer, also inside get_state.
func withEmptyLists(data []byte) ([]byte, error) {
	var answer map[string]json.RawMessage
	if err := json.Unmarshal(data, &answer); err != nil {
		return nil, err
	}
	changed := false
	for name, inner := range answer {
		var err error
		if name == "get_state" {
			inner, err = withEmptyLists(inner)
		} else if lists := listsOf[name]; lists != nil {
			inner, err = fill(inner, lists)
		} else {
			continue
		}
		if err != nil {
			return nil, err
		}
		answer[name], changed = inner, true
	}
	if !changed {
		return data, nil
	}
	return json.Marshal(answer)
}

func fill(data json.RawMessage, lists []string) (json.RawMessage, error) {
	var o map[string]json.RawMessage
	if err := json.Unmarshal(data, &o); err != nil {
		return nil, err
	}
	for _, name := range lists {
		if o[name] == nil {
			o[name] = json.RawMessage("[]")
		}
	}
	return json.Marshal(o)
}
