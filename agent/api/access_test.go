package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
	"github.com/tombolo-project/tombolo/security/credentials"
)

var key = credentials.NewSecret("key")

// guarded has a server ask everybody; ops may do all, low may see what belongs to user u, no may do nothing.
func guarded(t *testing.T) func(*Server) {
	t.Helper()
	document := `{"permissive": false`
	for list, field := range security.Lists() {
		document += `, "` + list + `": [{"principals": {"values": ["ops"]}, "` + field + `": {"type": "ANY"}}`
		switch list {
		case "view_frameworks", "view_executors", "view_tasks", "view_containers", "access_sandboxes":
			document += `, {"principals": {"values": ["low"]}, "users": {"values": ["u"]}}`
		}
		document += "]"
	}
	acls, err := security.ParseACLs([]byte(document + "}"))
	if err != nil {
		t.Fatal(err)
	}
	var list []credentials.Credential
	for _, name := range []string{"ops", "low", "no"} {
		list = append(list, credentials.Credential{Principal: name, Secret: credentials.NewSecret("s")})
	}
	guards := []authn.Authenticator{authn.Basic{Store: credentials.NewStore(list...)}, authn.NewJWT(key)}
	return func(s *Server) {
		s.ACLs, s.Realms = acls, authn.Realms{authn.AgentReadOnly: guards, authn.AgentReadWrite: guards, authn.AgentExecutor: {authn.NewJWT(key)}}
	}
}

func basic(name, secret string) string {
	r, _ := http.NewRequest(http.MethodGet, "/", nil)
	r.SetBasicAuth(name, secret)
	return r.Header.Get("Authorization")
}

func TestAGT01_EveryRouteAsksEveryKindOfPrincipal(t *testing.T) {
	_, server, run := newServer(t, guarded(t))
	query := map[string]string{"/files/browse": "?path=" + run, "/files/read": "?path=" + run + "/stdout", "/files/download": "?path=" + run + "/stdout"}
	for _, path := range (&Server{}).paths() {
		for _, prefix := range []string{"", "/slave(1)"} {
			url := server.URL + prefix + path + query[strings.TrimSuffix(path, ".json")]
			method := http.MethodGet
			if strings.HasPrefix(path, "/api") {
				method = http.MethodPost
			}
			for _, header := range []string{"", basic("ops", "x"), basic("nobody", "s"), "Bearer x"} {
				status, _, headers := do(t, method, url, "", "Authorization", header)
				if path == "/health" {
					if status != 200 {
						t.Errorf("%s asks: %d", path, status)
					}
				} else if status != 401 || !strings.Contains(headers.Get("WWW-Authenticate"), `realm="mesos-agent-`) {
					t.Errorf("%s %s with %q: %d %s", method, path, header, status, headers.Get("WWW-Authenticate"))
				}
			}
			if path == "/health" || strings.HasPrefix(path, "/api") {
				continue
			}
			if status, text, _ := do(t, method, url, "", "Authorization", basic("ops", "s")); status != 200 {
				t.Errorf("%s by one who may all: %d %s", path, status, text)
			}
			status, text, _ := do(t, method, url, "", "Authorization", basic("no", "s"))
			forbidden := routeAccess[path].action != 0
			if forbidden != (status == 403) || status != 403 && status != 200 || strings.Contains(text, `"f"`) || strings.Contains(text, "hello") {
				t.Errorf("%s by one who may nothing: %d %s", path, status, text)
			}
		}
	}
	if len(routeAccess) != len((&Server{}).paths()) {
		t.Error("a route has no rule")
	}
}

func TestOPR09_CallsShowWhatOneMaySee(t *testing.T) {
	_, server, run := newServer(t, guarded(t))
	for body, want := range map[string]map[string]int{
		`{"type":"GET_FLAGS"}`: {"ops": 200, "low": 403, "no": 403},
		`{"type":"READ_FILE","read_file":{"path":"` + run + `/stdout","offset":0}}`: {"ops": 200, "low": 200, "no": 403},
		`{"type":"LIST_FILES","list_files":{"path":"` + run + `"}}`:                 {"ops": 200, "low": 200, "no": 403},
		`{"type":"GET_STATE"}`:                          {"ops": 200, "low": 200, "no": 200},
		`{"type":"GET_CONTAINERS","get_containers":{}}`: {"ops": 200, "low": 200, "no": 200},
		`{"type":"SET_LOGGING_LEVEL","set_logging_level":{"level":1,"duration":{"nanoseconds":1}}}`: {"low": 403, "no": 403},
	} {
		for principal, status := range want {
			got, text, _ := do(t, http.MethodPost, server.URL+"/api/v1", body, "Authorization", basic(principal, "s"), "Content-Type", "application/json")
			if got != status {
				t.Errorf("%s by %s: %d %s", body, principal, got, text)
			}
			if sees := strings.Contains(text, `"f"`) || strings.Contains(text, "container_id"); principal == "no" && sees || principal == "low" && strings.Contains(body, "GET_STATE") && !sees {
				t.Errorf("%s by %s shows %s", body, principal, text)
			}
		}
	}
}

// A path is authorized as it is served, whatever it looks like.
func TestASandboxIsWhoseItIs(t *testing.T) {
	f, server, run := newServer(t, guarded(t))
	other := "/frameworks/g/executors/y/runs/d"
	user := "root"
	f.view.Frameworks = append(f.view.Frameworks, &core.FrameworkView{
		Info:      mesos.FrameworkInfo{User: "u", ID: &mesos.FrameworkID{Value: "g"}},
		Executors: []*core.ExecutorView{{Info: mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "y"}, Command: &mesos.CommandInfo{User: &user}}, Container: "d", State: "RUNNING"}},
	})
	for path, want := range map[string]int{
		run: 200, "/frameworks/f/executors/x/runs/c": 200, other: 403,
		"/frameworks/f/executors/x/runs/../../../../../frameworks/g/executors/y/runs/d": 403,
		"/frameworks/f/executors/x/runs/c/../../../../../g/executors/y/runs/d":          403,
		strings.Replace(run, "/S0/", "/S9/", 1):                                         403, // an earlier agent's: nobody knows whose
		"/etc":                                                                          403, "": 403, "relative": 403,
	} {
		if status, text, _ := do(t, http.MethodGet, server.URL+"/files/browse?path="+path, "", "Authorization", basic("low", "s")); status != want {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}

func TestExecutorsAreWhoTheySay(t *testing.T) {
	_, server, _ := newServer(t, guarded(t))
	token := func(framework, executor, container string) string {
		text, err := authn.ExecutorToken(key, framework, executor, container)
		if err != nil {
			t.Fatal(err)
		}
		return "Bearer " + text
	}
	operator, err := authn.Sign(map[string]any{"sub": "ops"}, key)
	if err != nil {
		t.Fatal(err)
	}
	const update = `{"type":"UPDATE","framework_id":{"value":"f"},"executor_id":{"value":"x"},"update":{"status":{"task_id":{"value":"t"},"state":"TASK_RUNNING","source":"SOURCE_EXECUTOR","uuid":"AAAAAAAAQACAAAAAAAAAAA=="}}}`
	for header, want := range map[string]int{
		"": 401, basic("ops", "s"): 401, token("f", "x", "c"): 202, token("f", "x", "old"): 403, token("f", "y", "c"): 403, token("g", "x", "c"): 403,
		"Bearer " + operator: 403,
	} {
		if status, text, _ := do(t, http.MethodPost, server.URL+"/api/v1/executor", update, "Authorization", header, "Content-Type", "application/json"); status != want {
			t.Errorf("%.60q: %d %s", header, status, text)
		}
	}
	if status, _, _ := do(t, http.MethodGet, server.URL+"/state", "", "Authorization", token("f", "x", "c")); status != 403 {
		t.Errorf("an executor reads the state: %d", status)
	}
}
