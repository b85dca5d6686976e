package api

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
	"github.com/tombolo-project/tombolo/security/credentials"
)

// orders is a Backend that says yes to all it is asked.
type orders struct {
	view  *core.View
	asked []core.Event
}

func (o *orders) Subscribe(s *Stream, _ core.SchedulerSubscribed) { s.Finish() }
func (o *orders) Unsubscribe(core.StreamID, error)                {}
func (o *orders) Ask(_ context.Context, make func(core.RequestID) core.Event) (core.Reply, error) {
	o.asked = append(o.asked, make(1))
	return core.Reply{Status: http.StatusOK}, nil
}
func (o *orders) View(context.Context) (*core.View, error) { return o.view, nil }
func (o *orders) Watch(_ context.Context, s *Stream) (*core.View, error) {
	s.Finish()
	return o.view, nil
}
func (o *orders) Unwatch(*Stream) {}
func (o *orders) Explain(context.Context, string) ([]offers.Reason, bool, error) {
	return nil, true, nil
}
func (o *orders) Standings(context.Context) ([]offers.RoleStanding, map[string]int, error) {
	return nil, nil, nil
}
func (o *orders) Registry(context.Context) (*core.Registry, error) { return core.NewRegistry(), nil }
func (o *orders) Watchers() int                                    { return 0 }
func (o *orders) Backlog() int                                     { return 0 }

// aView shows one framework of each of two users, with a task, an executor and reserved resources.
func aView(t *testing.T) *core.View {
	t.Helper()
	total, err := offers.ParseText("cpus(eng):1;cpus(ads):2;cpus:4", "*")
	if err != nil {
		t.Fatal(err)
	}
	role := func(r string) *string { return &r }
	v := &core.View{
		Master:  mesos.MasterInfo{ID: "m"},
		Agents:  []*core.AgentView{{Info: mesos.AgentInfo{ID: &mesos.AgentID{Value: "a"}, Hostname: "h"}, PID: "slave(1)@127.0.0.1:1", Total: total}},
		Weights: []mesos.WeightInfo{{Role: role("eng"), Weight: 2}, {Role: role("ads"), Weight: 3}},
	}
	for _, user := range []string{"alice", "bob"} {
		id, state, principal := mesos.FrameworkID{Value: "f-" + user}, mesos.TASK_RUNNING, "p-"+user
		v.Frameworks = append(v.Frameworks, &core.FrameworkView{
			Info:  mesos.FrameworkInfo{ID: &id, User: user, Name: "name-" + user, Principal: &principal, Role: role("*")},
			Tasks: []*mesos.Task{{Name: "task-" + user, TaskID: mesos.TaskID{Value: "t"}, FrameworkID: id, AgentID: mesos.AgentID{Value: "a"}, State: &state}},
			Executors: []core.ExecutorView{{AgentID: "a", Info: mesos.ExecutorInfo{
				ExecutorID: mesos.ExecutorID{Value: "x-" + user}, FrameworkID: &id, Command: &mesos.CommandInfo{}}}},
		})
	}
	return v
}

// The kinds of principal: nobody, one with a wrong password, one that may nothing, one that may all, and a token's.
type who struct{ name, header string }

func basic(name, secret string) string {
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, secret)
	return r.Header.Get("Authorization")
}

var key = credentials.NewSecret("key")

func token(t *testing.T, claims map[string]any) string {
	t.Helper()
	text, err := authn.Sign(claims, key)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

func guarded(t *testing.T, acls string) (*Server, *orders) {
	t.Helper()
	parsed, err := security.ParseACLs([]byte(acls))
	if err != nil {
		t.Fatal(err)
	}
	store := credentials.NewStore(
		credentials.Credential{Principal: "low", Secret: credentials.NewSecret("l")}, credentials.Credential{Principal: "ops", Secret: credentials.NewSecret("o")})
	guards := []authn.Authenticator{authn.Basic{Store: store}, authn.NewJWT(key)}
	b := &orders{view: aView(t)}
	s := New(b, Facts{
		Started: time.Now(), Meters: &Meters{}, Verbosity: NewVerbosity(new(slog.LevelVar)), Flags: map[string]string{"cluster": "a-flag"},
		Standing: func() Standing { return Standing{Elected: true, Recovered: true} },
		Security: Security{ACLs: parsed, Realms: authn.Realms{
			authn.MasterReadOnly: guards, authn.MasterReadWrite: guards, authn.MasterScheduler: guards,
		}},
	}, slog.New(slog.DiscardHandler))
	return s, b
}

// everything is a document that lets ops do all and others nothing.
func everything(t *testing.T) string {
	t.Helper()
	document := map[string]any{"permissive": false}
	for list, field := range security.Lists() {
		document[list] = []any{map[string]any{"principals": map[string]any{"values": []string{"ops"}}, field: map[string]any{"type": "ANY"}}}
	}
	text, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *Server) request(t *testing.T, method, path, header, media, body string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	if media != "" {
		r.Header.Set("Content-Type", media)
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

// open are the routes that anybody may use; forbidden those that one who may nothing gets 403 at by GET. All others
// show that one less.
var open = map[string]bool{"/health": true, "/redirect": true, "/": true}
var forbidden = map[string]bool{
	"/flags": true, "/metrics/snapshot": true, "/logging/toggle": true,
	"/files/browse": true, "/files/read": true, "/files/download": true, "/files/debug": true,
}

func TestOPR01_EveryRouteAsksEveryKindOfPrincipal(t *testing.T) {
	s, _ := guarded(t, everything(t))
	if len(s.mux.patterns) < 50 {
		t.Fatalf("only %d routes", len(s.mux.patterns))
	}
	bad := []who{{"nobody", ""}, {"wrong password", basic("ops", "x")}, {"unknown", basic("x", "o")}, {"no base64", "Basic %%"}, {"wrong scheme", "Digest a"},
		{"bad token", "Bearer a.b.c"}, {"expired", token(t, map[string]any{"sub": "ops", "exp": 1})}}
	for _, pattern := range s.mux.patterns {
		path := strings.TrimPrefix(pattern, "/master")
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
			for _, p := range bad {
				w := s.request(t, method, pattern, p.header, "", "")
				if open[path] {
					if w.Code == http.StatusUnauthorized {
						t.Errorf("%s %s is not open", method, pattern)
					}
					continue
				}
				challenge := w.Header().Get("WWW-Authenticate")
				if w.Code != http.StatusUnauthorized || !strings.Contains(challenge, `Basic realm="mesos-master-`) || !strings.Contains(challenge, `Bearer realm="mesos-master-`) {
					t.Errorf("%s %s by %s: %d, %s", method, pattern, p.name, w.Code, challenge)
				}
			}
			if open[path] {
				continue
			}
			if w := s.request(t, method, pattern, token(t, map[string]any{"cid": "x"}), "", ""); w.Code != http.StatusForbidden {
				t.Errorf("%s %s by one with claims alone: %d", method, pattern, w.Code)
			}
			for _, p := range []who{{"ops", basic("ops", "o")}, {"ops by token", token(t, map[string]any{"sub": "ops"})}} {
				if w := s.request(t, method, pattern, p.header, "", ""); w.Code == http.StatusUnauthorized || w.Code == http.StatusForbidden {
					t.Errorf("%s %s by %s: %d %s", method, pattern, p.name, w.Code, w.Body)
				}
			}
			w := s.request(t, method, pattern, basic("low", "l"), "", "")
			if (w.Code == http.StatusForbidden) != forbidden[path] && method == http.MethodGet || w.Code == http.StatusUnauthorized {
				t.Errorf("%s %s by one who may nothing: %d", method, pattern, w.Code)
			}
		}
	}
}

// examples holds a call of every type, as JSON without the type.
var examples = map[master.Call_Type]string{
	master.Call_GET_HEALTH: `{}`, master.Call_GET_FLAGS: `{}`, master.Call_GET_VERSION: `{}`, master.Call_GET_METRICS: `{"get_metrics":{}}`,
	master.Call_GET_LOGGING_LEVEL: `{}`, master.Call_SET_LOGGING_LEVEL: `{"set_logging_level":{"level":1,"duration":{"nanoseconds":1000}}}`,
	master.Call_LIST_FILES: `{"list_files":{"path":"/master/log"}}`, master.Call_READ_FILE: `{"read_file":{"path":"/master/log","offset":0}}`,
	master.Call_GET_STATE: `{}`, master.Call_GET_AGENTS: `{}`, master.Call_GET_FRAMEWORKS: `{}`, master.Call_GET_EXECUTORS: `{}`, master.Call_GET_TASKS: `{}`,
	master.Call_GET_ROLES: `{}`, master.Call_GET_WEIGHTS: `{}`, master.Call_UPDATE_WEIGHTS: `{"update_weights":{"weight_infos":[{"role":"eng","weight":2.0}]}}`,
	master.Call_GET_MASTER: `{}`, master.Call_SUBSCRIBE: `{}`, master.Call_GET_OPERATIONS: `{}`,
	master.Call_RESERVE_RESOURCES:      `{"reserve_resources":{"agent_id":{"value":"a"},"resources":[` + reserved + `]}}`,
	master.Call_UNRESERVE_RESOURCES:    `{"unreserve_resources":{"agent_id":{"value":"a"},"resources":[` + reserved + `]}}`,
	master.Call_CREATE_VOLUMES:         `{"create_volumes":{"agent_id":{"value":"a"},"volumes":[` + volume + `]}}`,
	master.Call_DESTROY_VOLUMES:        `{"destroy_volumes":{"agent_id":{"value":"a"},"volumes":[` + volume + `]}}`,
	master.Call_GROW_VOLUME:            `{"grow_volume":{"agent_id":{"value":"a"},"volume":` + volume + `,"addition":` + reserved + `}}`,
	master.Call_SHRINK_VOLUME:          `{"shrink_volume":{"agent_id":{"value":"a"},"volume":` + volume + `,"subtract":{"value":1.0}}}`,
	master.Call_GET_MAINTENANCE_STATUS: `{}`, master.Call_GET_MAINTENANCE_SCHEDULE: `{}`,
	master.Call_UPDATE_MAINTENANCE_SCHEDULE: `{"update_maintenance_schedule":{"schedule":{"windows":[]}}}`,
	master.Call_START_MAINTENANCE:           `{"start_maintenance":{"machines":[{"hostname":"h"}]}}`,
	master.Call_STOP_MAINTENANCE:            `{"stop_maintenance":{"machines":[{"hostname":"h"}]}}`,
	master.Call_GET_QUOTA:                   `{}`, master.Call_UPDATE_QUOTA: `{"update_quota":{"quota_configs":[{"role":"eng","limits":{"cpus":{"value":1.0}}}]}}`,
	master.Call_SET_QUOTA:        `{"set_quota":{"quota_request":{"role":"eng","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":1.0}}]}}}`,
	master.Call_REMOVE_QUOTA:     `{"remove_quota":{"role":"eng"}}`,
	master.Call_TEARDOWN:         `{"teardown":{"framework_id":{"value":"f-alice"}}}`,
	master.Call_MARK_AGENT_GONE:  `{"mark_agent_gone":{"agent_id":{"value":"a"}}}`,
	master.Call_DRAIN_AGENT:      `{"drain_agent":{"agent_id":{"value":"a"},"mark_gone":true}}`,
	master.Call_DEACTIVATE_AGENT: `{"deactivate_agent":{"agent_id":{"value":"a"}}}`,
	master.Call_REACTIVATE_AGENT: `{"reactivate_agent":{"agent_id":{"value":"a"}}}`,
}

const reserved = `{"name":"disk","type":"SCALAR","scalar":{"value":1.0},"reservations":[{"type":"DYNAMIC","role":"eng","principal":"low"}]}`
const volume = `{"name":"disk","type":"SCALAR","scalar":{"value":1.0},"reservations":[{"type":"DYNAMIC","role":"eng","principal":"low"}],` +
	`"disk":{"persistence":{"id":"v","principal":"low"},"volume":{"container_path":"p","mode":"RW"}}}`

// reading are the calls that only show things, and show less to those who may see less.
func reading(t master.Call_Type) bool {
	return t == master.Call_SUBSCRIBE || strings.HasPrefix(t.String(), "GET_") && t != master.Call_GET_FLAGS
}

func TestOPR09_EveryCallAsksEveryKindOfPrincipal(t *testing.T) {
	for number, name := range master.Call_Type_name {
		kind := master.Call_Type(number)
		if kind == master.Call_UNKNOWN {
			continue
		}
		example, ok := examples[kind]
		if !ok {
			t.Errorf("no example of %s", name)
			continue
		}
		body := strings.Replace(example, "{", `{"type":"`+name+`",`, 1)
		body = strings.Replace(body, ",}", "}", 1)
		for _, path := range []string{"/api/v1", "/master/api/v1", "/api/v1/"} {
			s, b := guarded(t, everything(t))
			for _, p := range []who{{"nobody", ""}, {"wrong password", basic("ops", "x")}} {
				if w := s.request(t, http.MethodPost, path, p.header, "application/json", body); w.Code != http.StatusUnauthorized {
					t.Errorf("%s by %s: %d", name, p.name, w.Code)
				}
			}
			low := s.request(t, http.MethodPost, path, basic("low", "l"), "application/json", body)
			if reading(kind) && low.Code != http.StatusOK || !reading(kind) && low.Code != http.StatusForbidden {
				t.Errorf("%s by one who may nothing: %d %s", name, low.Code, low.Body)
			}
			if len(b.asked) > 0 {
				t.Errorf("%s by one who may nothing reached the core: %#v", name, b.asked)
			}
			if w := s.request(t, http.MethodPost, path, basic("ops", "o"), "application/json", body); w.Code == http.StatusForbidden || w.Code == http.StatusBadRequest {
				t.Errorf("%s by one who may all: %d %s", name, w.Code, w.Body)
			}
			if !reading(kind) && calls[kind] == 0 && len(b.asked) != 1 {
				t.Errorf("%s by one who may all: the core was asked %d times", name, len(b.asked))
			}
		}
	}
}

func TestOldWritesAskEveryKindOfPrincipal(t *testing.T) {
	form := func(pairs ...string) string {
		f := url.Values{}
		for i := 0; i < len(pairs); i += 2 {
			f.Set(pairs[i], pairs[i+1])
		}
		return f.Encode()
	}
	const urlencoded = "application/x-www-form-urlencoded"
	for _, c := range []struct{ method, path, media, body string }{
		{"POST", "/reserve", urlencoded, form("slaveId", "a", "resources", "["+reserved+"]")},
		{"POST", "/unreserve", urlencoded, form("slaveId", "a", "resources", "["+reserved+"]")},
		{"POST", "/create-volumes", urlencoded, form("slaveId", "a", "volumes", "["+volume+"]")},
		{"POST", "/destroy-volumes", urlencoded, form("slaveId", "a", "volumes", "["+volume+"]")},
		{"POST", "/teardown", urlencoded, form("frameworkId", "f-alice")},
		{"PUT", "/weights", "", `[{"role":"eng","weight":2}]`},
		{"POST", "/quota", "", `{"role":"eng","guarantee":[{"name":"cpus","type":"SCALAR","scalar":{"value":1}}]}`},
		{"DELETE", "/quota/eng", "", ""},
		{"POST", "/maintenance/schedule", "", `{"windows":[]}`},
		{"POST", "/machine/down", "", `[{"hostname":"h"}]`},
		{"POST", "/machine/up", "", `[{"hostname":"h"}]`},
	} {
		s, b := guarded(t, everything(t))
		for want, header := range map[int]string{401: "", 403: basic("low", "l"), 200: basic("ops", "o")} {
			w := s.request(t, c.method, c.path, header, c.media, c.body)
			if w.Code != want {
				t.Errorf("%s %s with %q: %d %s", c.method, c.path, header, w.Code, w.Body)
			}
		}
		if len(b.asked) != 1 {
			t.Errorf("%s %s: the core was asked %d times", c.method, c.path, len(b.asked))
		}
	}
}

func TestOPR09_ReadsShowWhatOneMaySee(t *testing.T) {
	s, _ := guarded(t, `{"permissive": false,
		"view_frameworks": [{"principals": {"values": ["low"]}, "users": {"values": ["alice"]}}],
		"view_tasks": [{"principals": {"values": ["low"]}, "users": {"values": ["alice"]}}],
		"view_executors": [{"principals": {"values": ["low"]}, "users": {"values": ["alice"]}}],
		"view_roles": [{"principals": {"values": ["low"]}, "roles": {"values": ["eng"]}}]}`)
	check := func(what string, w *httptest.ResponseRecorder, shows ...string) {
		t.Helper()
		text := w.Body.String()
		for _, hidden := range []string{"bob", "ads", "a-flag"} {
			if strings.Contains(text, hidden) {
				t.Errorf("%s shows %q: %s", what, hidden, text)
			}
		}
		for _, shown := range shows {
			if !strings.Contains(text, shown) {
				t.Errorf("%s does not show %q: %s", what, shown, text)
			}
		}
	}
	for path, shows := range map[string][]string{
		"/state": {"f-alice", "task-alice", "x-alice", "eng"}, "/state-summary": {"f-alice"}, "/frameworks": {"task-alice"}, "/tasks": {"task-alice"},
		"/slaves": {"eng"}, "/roles": {"eng"}, "/weights": {"eng"}, "/frameworks?framework_id=f-bob": nil, "/tombolo/explain?framework_id=f-bob": nil,
		"/tasks?framework_id=f-bob": nil, "/tasks?task_id=t": {"task-alice"},
	} {
		w := s.request(t, http.MethodGet, path, basic("low", "l"), "", "")
		if path == "/tombolo/explain?framework_id=f-bob" {
			if w.Code != http.StatusNotFound {
				t.Errorf("%s: %d", path, w.Code)
			}
			continue
		}
		check(path, w, shows...)
	}
	for kind, shows := range map[string][]string{
		"GET_STATE": {"f-alice", "task-alice"}, "GET_TASKS": {"task-alice"}, "GET_FRAMEWORKS": {"f-alice"}, "GET_EXECUTORS": {"x-alice"},
		"GET_AGENTS": {"eng"}, "GET_ROLES": {"eng"}, "GET_WEIGHTS": {"eng"},
	} {
		check(kind, s.request(t, http.MethodPost, "/api/v1", basic("low", "l"), "application/json", `{"type":"`+kind+`"}`), shows...)
	}
	server := httptest.NewServer(s)
	defer server.Close()
	r, err := http.NewRequest(http.MethodPost, server.URL+"/api/v1", strings.NewReader(`{"type":"SUBSCRIBE"}`))
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth("low", "l")
	r.Header.Set("Content-Type", "application/json")
	answer, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	stream := httptest.NewRecorder()
	if _, err := io.Copy(stream.Body, answer.Body); err != nil {
		t.Fatal(err)
	}
	check("SUBSCRIBE", stream, "f-alice", "task-alice")
}
