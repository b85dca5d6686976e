package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// TestReadsAgree lives random lives and checks after many events that all ways to read the state say the same, and what
// is put together of kept parts is what a rendering from nothing is.
func TestReadsAgree(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		h := newHistory(r)
		b := &orders{}
		s := New(b, Facts{Meters: &Meters{}, Verbosity: NewVerbosity(new(slog.LevelVar)), Flags: map[string]string{"a": "b"}}, slog.New(slog.DiscardHandler))
		for _, f := range []*forms{s.renderer.forms} { // short runs, so that many borders are crossed
			f.legacy.tasks.most, f.json.tasks.most, f.proto.tasks.most = 3, 3, 3
			f.legacy.agents.most, f.legacy.offers.most, f.json.offers.most = 2, 2, 1
		}
		check := func(r *rapid.T) {
			b.view = h.s.View()
			switch rapid.IntRange(0, 3).Draw(r, "look") {
			case 0:
				agree(r, s, b.view)
			case 1, 2:
				kept(r, s, b.view)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"agent": h.register, "subscribe": h.subscribe, "launch": h.launch, "update": h.update, "exit": h.exit, "teardown": h.teardown, "time": h.pass, "": check,
		})
	})
}

// kept compares renderings with what was kept to renderings from nothing.
func kept(r *rapid.T, s *Server, v *core.View) {
	fresh := newForms()
	s.renderer.forms.next()
	for name, build := range map[string]func(f *forms) *document{
		"state":      func(f *forms) *document { return s.state(v, f) },
		"frameworks": func(f *forms) *document { return s.frameworks(v, f, "") },
		"slaves":     func(f *forms) *document { return s.slaves(v, f, "") },
		"GET_STATE":  func(f *forms) *document { return f.json.answer(v, master.Call_GET_STATE) },
		"protobuf":   func(f *forms) *document { return f.proto.answer(v, master.Call_GET_STATE) },
	} {
		doc := build(s.renderer.forms)
		if got, want := doc.bytes(), build(fresh).bytes(); !bytes.Equal(got, want) {
			r.Fatalf("%s with what was kept:\n%s\nfrom nothing:\n%s", name, got, want)
		}
		var zipped bytes.Buffer
		if doc.gzipped(); doc.writeZipped(&zipped) != nil || zipped.Len() != doc.small {
			r.Fatalf("%s: %d bytes compressed, said %d", name, zipped.Len(), doc.small)
		}
		reader, err := gzip.NewReader(&zipped)
		if err != nil {
			r.Fatal(err)
		}
		if back, err := io.ReadAll(reader); err != nil || !bytes.Equal(back, doc.bytes()) {
			r.Fatalf("%s does not come back from gzip: %v", name, err)
		}
	}
}

// simple is what is compared of a task.
type simple struct {
	ID, Framework, Agent, State, List string
	Statuses                          int
}

func sorted(list []simple) []simple {
	sort.Slice(list, func(i, j int) bool { return fmt.Sprint(list[i]) < fmt.Sprint(list[j]) })
	return list
}

// agree compares /state, /tasks, GET_STATE and GET_TASKS in both forms, and the view they are made of.
func agree(r *rapid.T, s *Server, v *core.View) {
	var want []simple
	for _, views := range [][]*core.FrameworkView{v.Frameworks, v.Completed} {
		for _, f := range views {
			want = append(want, simplified(f.Tasks, "tasks")...)
			want = append(want, simplified(f.Unreachable, "unreachable")...)
			want = append(want, simplified(f.Completed, "completed")...)
		}
	}
	sorted(want)
	for name, got := range map[string][]simple{
		"/state": ofState(r, ask(r, s, "/state")), "/frameworks": ofState(r, ask(r, s, "/frameworks")),
		"GET_STATE": ofMessage(r, s, "GET_STATE", codec.JSON), "GET_TASKS": ofMessage(r, s, "GET_TASKS", codec.JSON),
		"GET_STATE in protobuf": ofMessage(r, s, "GET_STATE", codec.Protobuf), "GET_TASKS in protobuf": ofMessage(r, s, "GET_TASKS", codec.Protobuf),
	} {
		if !slices.Equal(sorted(got), want) {
			r.Fatalf("%s shows\n%v\nwant\n%v", name, got, want)
		}
	}
	var tasks struct{ Tasks []stateTask }
	decode1(r, ask(r, s, "/tasks?limit=100000"), &tasks)
	if len(tasks.Tasks) != len(want) {
		r.Fatalf("/tasks shows %d, want %d", len(tasks.Tasks), len(want))
	}
	agentsAgree(r, s, v)
}

func simplified(tasks []*mesos.Task, list string) (out []simple) {
	for _, t := range tasks {
		out = append(out, simple{t.TaskID.Value, t.FrameworkID.Value, t.AgentID.Value, t.GetState().String(), list, len(t.Statuses)})
	}
	return out
}

type stateTask struct {
	ID          string
	FrameworkID string `json:"framework_id"`
	AgentID     string `json:"slave_id"`
	State       string
	Statuses    []struct{ State string }
}

func decode1(r *rapid.T, data []byte, into any) {
	if err := json.Unmarshal(data, into); err != nil {
		r.Fatalf("%v in %s", err, data)
	}
}

func ask(r *rapid.T, s *Server, path string) []byte {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	if w.Code != http.StatusOK {
		r.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.Bytes()
}

func ofState(r *rapid.T, data []byte) (out []simple) {
	type framework struct {
		Tasks       []stateTask
		Unreachable []stateTask `json:"unreachable_tasks"`
		Completed   []stateTask `json:"completed_tasks"`
	}
	var state struct {
		Frameworks []framework
		Completed  []framework `json:"completed_frameworks"`
	}
	decode1(r, data, &state)
	for _, f := range append(state.Frameworks, state.Completed...) {
		for list, tasks := range map[string][]stateTask{"tasks": f.Tasks, "unreachable": f.Unreachable, "completed": f.Completed} {
			for _, t := range tasks {
				out = append(out, simple{t.ID, t.FrameworkID, t.AgentID, t.State, list, len(t.Statuses)})
			}
		}
	}
	return out
}

func message(r *rapid.T, s *Server, call string, c codec.Codec) *master.Response {
	w := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodPost, "/api/v1", bytes.NewReader([]byte(`{"type":"`+call+`"}`)))
	request.Header.Set("Content-Type", codec.MediaTypeJSON)
	request.Header.Set("Accept", c.MediaType())
	s.ServeHTTP(w, request)
	m := &master.Response{}
	if err := c.Unmarshal(w.Body.Bytes(), m); err != nil || w.Code != http.StatusOK {
		r.Fatalf("%s as %s: %d, %v", call, c.MediaType(), w.Code, err)
	}
	return m
}

func ofMessage(r *rapid.T, s *Server, call string, c codec.Codec) (out []simple) {
	m := message(r, s, call, c)
	tasks := m.GetTasks
	if call == "GET_STATE" {
		tasks = m.GetState.GetTasks
	}
	for list, tasks := range map[string][]mesos.Task{"tasks": tasks.Tasks, "unreachable": tasks.UnreachableTasks, "completed": tasks.CompletedTasks} {
		for i := range tasks {
			out = append(out, simplified([]*mesos.Task{&tasks[i]}, list)...)
		}
	}
	return out
}

// agentsAgree compares agents, executors and frameworks of GET_STATE with the messages that the core makes of them.
func agentsAgree(r *rapid.T, s *Server, v *core.View) {
	for _, c := range []codec.Codec{codec.JSON, codec.Protobuf} {
		m := message(r, s, "GET_STATE", c).GetState
		if len(m.GetAgents.Agents) != len(v.Agents) || len(m.GetFrameworks.Frameworks) != len(v.Frameworks) || len(m.GetFrameworks.CompletedFrameworks) != len(v.Completed) {
			r.Fatalf("%d agents, %d and %d frameworks", len(m.GetAgents.Agents), len(m.GetFrameworks.Frameworks), len(m.GetFrameworks.CompletedFrameworks))
		}
		for i, a := range v.Agents {
			if want := core.AgentMessage(a); !same(&m.GetAgents.Agents[i], want) {
				r.Fatalf("agent %v, want %v", m.GetAgents.Agents[i], want)
			}
		}
		executors := 0
		for i, f := range v.Frameworks {
			want := core.FrameworkMessage(f)
			if !same(&m.GetFrameworks.Frameworks[i], &want) {
				r.Fatalf("framework %v, want %v", m.GetFrameworks.Frameworks[i], want)
			}
			executors += len(f.Executors)
		}
		if len(m.GetExecutors.Executors) != executors {
			r.Fatalf("%d executors, want %d", len(m.GetExecutors.Executors), executors)
		}
	}
}

// same compares messages by their JSON, which shows defaults that one of them may not have.
func same(a, b proto.Message) bool { return bytes.Equal(raw(a), raw(b)) }

// EVT-03: the event of a new agent is complete in both forms.
func TestAgentAddedIsComplete(t *testing.T) {
	id := mesos.AgentID{Value: "a"}
	e := &master.Event{Type: master.Event_AGENT_ADDED, AgentAdded: &master.Event_AgentAdded{Agent: *core.AgentMessage(&core.AgentView{Info: mesos.AgentInfo{ID: &id, Hostname: "h"}, Version: "1.11.0"})}}
	for _, c := range []codec.Codec{codec.JSON, codec.Protobuf} {
		data, err := render(c, e)
		if err != nil {
			t.Fatal(err)
		}
		back := &master.Event{}
		if err := c.Unmarshal(data, back); err != nil || !same(back, e) {
			t.Errorf("%q: %v, %v", data, back, err)
		}
		if c == codec.JSON && !bytes.Contains(data, []byte(`"agent_info":{"checkpoint":true,`)) {
			t.Errorf("%s", data)
		}
	}
}
