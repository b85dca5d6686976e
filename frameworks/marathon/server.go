package marathon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/tombolo-project/tombolo/frameworks/owner"
)

// maxBody limits a request's body.
const maxBody = 1 << 20

// Version is the Marathon version whose API this is; clients choose their behaviour by it.
const Version = "1.10.26"

// Handler is the REST API. Paths of apps contain slashes, so they are cut by hand.
func (f *Framework) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/v2/apps", f.route(f.appsRoot))
	mux.HandleFunc("/v2/apps/", f.route(f.appPath))
	mux.HandleFunc("GET /v2/tasks", f.route(f.listTasks))
	mux.HandleFunc("POST /v2/tasks/delete", f.route(f.deleteTasks))
	mux.HandleFunc("GET /v2/deployments", f.route(f.listDeployments))
	mux.HandleFunc("DELETE /v2/deployments/{id}", f.route(f.deleteDeployment))
	mux.HandleFunc("GET /v2/queue", f.route(f.listQueue))
	mux.HandleFunc("DELETE /v2/queue/", f.route(f.deleteDelay))
	mux.HandleFunc("GET /v2/info", f.route(f.showInfo))
	mux.HandleFunc("GET /v2/leader", f.route(f.leader))
	mux.HandleFunc("GET /v2/events", f.hub.serve)
	mux.HandleFunc("GET /ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "pong") //nolint:errcheck // the client has gone
	})
	mux.HandleFunc("GET /metrics", f.metrics)
	mux.HandleFunc("GET /metrics/prometheus", f.metrics)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusNotFound, map[string]string{"message": fmt.Sprintf("%s %s is not part of this API", r.Method, r.URL.Path)})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for strings.Contains(r.URL.Path, "//") { // clients write /v2/apps//product/web; the mux would redirect that
			r.URL.Path = strings.ReplaceAll(r.URL.Path, "//", "/")
		}
		mux.ServeHTTP(w, r)
	})
}

// answer is what a handler gives back: a status and a JSON body, and the deployment for the header.
type answer struct {
	status     int
	body       any
	deployment string
	location   string
}

func ok(body any) (answer, error) { return answer{status: http.StatusOK, body: body}, nil }

// request is one call: the state it sees, its body and its parameters.
type request struct {
	*http.Request
	state *snapshot
	body  []byte
}

// flag is a boolean parameter; present without a value means true.
func (r *request) flag(name string, otherwise bool) bool {
	values, given := r.URL.Query()[name]
	if !given {
		return otherwise
	}
	b, err := strconv.ParseBool(values[0])
	return err == nil && b || values[0] == ""
}

func (r *request) embed() map[string]bool {
	set := map[string]bool{}
	for _, value := range r.URL.Query()["embed"] {
		value = strings.TrimPrefix(strings.TrimPrefix(value, "apps."), "app.")
		set[value] = true
		if value == "failures" { // the older name of both
			set["tasks"], set["lastTaskFailure"] = true, true
		}
	}
	return set
}

// route reads the body, takes a snapshot, calls the handler and writes its answer or error.
func (f *Framework) route(handle func(*request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			writeJSON(w, http.StatusRequestEntityTooLarge, map[string]string{"message": fmt.Sprintf("a body must not be larger than %d bytes", maxBody)})
			return
		}
		req := &request{Request: r, body: body}
		if err := f.Look(r.Context(), func() { req.state = f.core.snapshot(time.Now()) }); err != nil {
			writeError(w, err)
			return
		}
		a, err := handle(req)
		if err != nil {
			writeError(w, err)
			return
		}
		if a.deployment != "" {
			w.Header().Set("Marathon-Deployment-Id", a.deployment)
		}
		if a.location != "" {
			w.Header().Set("Location", a.location)
		}
		writeJSON(w, a.status, a.body)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if body != nil {
		encoder := json.NewEncoder(w)
		encoder.SetEscapeHTML(false)
		encoder.Encode(body) //nolint:errcheck // the client has gone
	}
}

var statuses = map[Kind]int{Malformed: http.StatusBadRequest, NotFound: http.StatusNotFound, Conflict: http.StatusConflict,
	Invalid: http.StatusUnprocessableEntity}

func writeError(w http.ResponseWriter, err error) {
	var refusal *Error
	var away *owner.Unavailable
	switch {
	case errors.As(err, &refusal):
		writeJSON(w, statuses[refusal.Kind], refusal)
	case errors.As(err, &away):
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"message": away.Error() + "; the request may still take effect"})
	case errors.Is(err, owner.ErrStopped), errors.Is(err, context.Canceled):
		writeJSON(w, http.StatusServiceUnavailable, map[string]string{"message": "shutting down"})
	default:
		writeJSON(w, http.StatusInternalServerError, map[string]string{"message": err.Error()})
	}
}

// deployed is Marathon's answer to a change: {"version": ..., "deploymentId": ...}.
func deployed(status int, id string) (answer, error) {
	return answer{status: status, deployment: id, body: map[string]string{"version": Timestamp(time.Now()), "deploymentId": id}}, nil
}

// appsRoot is /v2/apps: GET lists, POST creates one, PUT and PATCH change several at once.
func (f *Framework) appsRoot(r *request) (answer, error) {
	switch r.Method {
	case http.MethodGet:
		return f.listApps(r)
	case http.MethodPost:
		return f.createApp(r)
	case http.MethodPut, http.MethodPatch:
		return f.putApps(r)
	}
	return notAllowed(r)
}

func notAllowed(r *request) (answer, error) {
	return answer{status: http.StatusMethodNotAllowed, body: map[string]string{"message": r.Method + " is not allowed here"}}, nil
}

func (f *Framework) listApps(r *request) (answer, error) {
	query, list := r.URL.Query(), []appView{}
	selector, err := parseSelector(query.Get("label"))
	if err != nil {
		return answer{}, err
	}
	has := func(text, part string) bool { return strings.Contains(strings.ToLower(text), strings.ToLower(part)) }
	for _, id := range slices.Sorted(maps.Keys(r.state.apps)) {
		app := r.state.apps[id]
		if has(app.Cmd, query.Get("cmd")) && has(id, query.Get("id")) && selector.matches(app.Labels) {
			list = append(list, r.state.app(app, r.embed()))
		}
	}
	return ok(map[string]any{"apps": list})
}

func (f *Framework) createApp(r *request) (answer, error) {
	app, err := ParseApp(r.body, "", nil)
	if err != nil {
		return answer{}, err
	}
	id := uuid.NewString()
	err = f.Do(r.Context(), PutApps{Deployment: id, Force: r.flag("force", false), Apps: []AppChange{{app.ID,
		func(present *App, _ map[string]*App) (*App, error) {
			if present != nil {
				return nil, &Error{Kind: Conflict, Message: fmt.Sprintf("An app with id [%s] already exists.", app.ID)}
			}
			return app, nil
		}}}})
	if err != nil {
		return answer{}, err
	}
	if err := f.Look(r.Context(), func() { r.state = f.core.snapshot(time.Now()) }); err != nil {
		return answer{}, err
	}
	if created := r.state.apps[app.ID]; created != nil {
		app = created
	}
	view := r.state.app(app, nil)
	view.Deployments = []Identifiable{{id}}
	return answer{status: http.StatusCreated, body: view, deployment: id, location: "/v2/apps" + app.ID}, nil
}

func (f *Framework) putApps(r *request) (answer, error) {
	var bodies []json.RawMessage
	if err := json.Unmarshal(r.body, &bodies); err != nil {
		return answer{}, invalidJSON(r.body, err)
	}
	id := uuid.NewString()
	put := PutApps{Deployment: id, Force: r.flag("force", false)}
	for _, body := range bodies {
		var named Identifiable
		if err := json.Unmarshal(body, &named); err != nil {
			return answer{}, invalidJSON(body, err)
		}
		if named.ID == "" {
			return answer{}, invalid("/id", "is missing; each app of the list needs one")
		}
		put.Apps = append(put.Apps, change(CanonicalID(named.ID), body, r.Method == http.MethodPut, r.flag("partialUpdate", true)))
	}
	if err := f.Do(r.Context(), put); err != nil {
		return answer{}, err
	}
	return deployed(http.StatusOK, id)
}

// change is an update of one app by a body: partial on top of the present definition, or whole.
func change(id string, body []byte, create, partial bool) AppChange {
	return AppChange{id, func(present *App, versions map[string]*App) (*App, error) {
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(body, &fields); err != nil {
			return nil, invalidJSON(body, err)
		}
		var version string
		if raw, given := fields["version"]; given && partial && present != nil && json.Unmarshal(raw, &version) == nil && version != "" {
			delete(fields, "id")
			if len(fields) > 1 {
				return nil, invalid("/version", "The 'version' field may only be combined with the 'id' field.")
			}
			if old := versions[version]; old != nil {
				return old, nil
			}
			return nil, notFound("App '%s' does not exist in version %s", id, version)
		}
		switch {
		case present == nil && !create:
			return nil, notFound("App '%s' does not exist", id)
		case present == nil || !partial:
			return ParseApp(body, id, nil)
		}
		return ParseApp(body, id, present)
	}}
}

// appPath is /v2/apps/<id>[/restart|/tasks[/<task>]|/versions[/<version>]]; ids have slashes.
func (f *Framework) appPath(r *request) (answer, error) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/apps")
	if group, wild := strings.CutSuffix(path, "/*"); wild && r.Method == http.MethodGet {
		return f.groupApps(r, CanonicalID(group))
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	last := len(parts) - 1
	id := func(n int) string { return CanonicalID(strings.Join(parts[:n], "/")) }
	switch {
	case parts[0] == "":
		return f.appsRoot(r)
	case last >= 1 && parts[last] == "restart":
		return f.restart(r, id(last))
	case last >= 1 && parts[last] == "tasks":
		return f.appTasks(r, id(last))
	case last >= 2 && parts[last-1] == "tasks":
		return f.appTask(r, id(last-1), parts[last])
	case last >= 1 && parts[last] == "versions":
		return f.appVersions(r, id(last), "")
	case last >= 2 && parts[last-1] == "versions":
		return f.appVersions(r, id(last-1), parts[last])
	}
	return f.app(r, id(last+1))
}

func (f *Framework) app(r *request, id string) (answer, error) {
	deployment := uuid.NewString()
	switch r.Method {
	case http.MethodGet:
		app := r.state.apps[id]
		if app == nil {
			return answer{}, notFound("App '%s' does not exist", id)
		}
		return ok(map[string]any{"app": r.state.app(app, map[string]bool{"tasks": true, "lastTaskFailure": true})})
	case http.MethodPut, http.MethodPatch:
		put := r.Method == http.MethodPut
		c := change(id, r.body, put, !put || r.flag("partialUpdate", true))
		if err := f.Do(r.Context(), PutApps{Deployment: deployment, Force: r.flag("force", false), Apps: []AppChange{c}}); err != nil {
			return answer{}, err
		}
		if r.state.apps[id] == nil {
			a, err := deployed(http.StatusCreated, deployment)
			a.location = "/v2/apps" + id
			return a, err
		}
		return deployed(http.StatusOK, deployment)
	case http.MethodDelete:
		if err := f.Do(r.Context(), DeleteApp{App: id, Deployment: deployment, Force: r.flag("force", true)}); err != nil {
			return answer{}, err
		}
		return deployed(http.StatusOK, deployment)
	}
	return notAllowed(r)
}

func (f *Framework) groupApps(r *request, group string) (answer, error) {
	list := []appView{}
	for _, id := range slices.Sorted(maps.Keys(r.state.apps)) {
		if group == "/" || strings.HasPrefix(id, group+"/") {
			list = append(list, r.state.app(r.state.apps[id], r.embed()))
		}
	}
	return ok(map[string]any{"*": list})
}

func (f *Framework) restart(r *request, id string) (answer, error) {
	if r.Method != http.MethodPost {
		return notAllowed(r)
	}
	deployment := uuid.NewString()
	if err := f.Do(r.Context(), RestartApp{App: id, Deployment: deployment, Force: r.flag("force", false)}); err != nil {
		return answer{}, err
	}
	return deployed(http.StatusOK, deployment)
}

func (f *Framework) appVersions(r *request, id, version string) (answer, error) {
	if r.Method != http.MethodGet {
		return notAllowed(r)
	}
	if r.state.apps[id] == nil {
		return answer{}, notFound("App '%s' does not exist", id)
	}
	if version == "" {
		list := slices.Sorted(maps.Keys(r.state.versions[id]))
		slices.Reverse(list)
		return ok(map[string]any{"versions": list})
	}
	if app := r.state.versions[id][version]; app != nil {
		return ok(app)
	}
	return answer{}, notFound("App '%s' does not exist in version %s", id, version)
}
