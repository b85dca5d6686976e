package api

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
)

// Agent is what the API needs of one.
type Agent interface {
	View() *core.View
	Containers() *containers.Manager
	Subscribe(framework, id string, s *executor.Call_Subscribe) (events <-chan *executor.Event, leave func())
	Update(ctx context.Context, framework, id string, status mesos.TaskStatus) (core.Answer, error)
	Message(ctx context.Context, framework, id string, data []byte) (core.Answer, error)
	LaunchNested(ctx context.Context, id string, command *mesos.CommandInfo, container *mesos.ContainerInfo) (bool, error)
	WaitContainer(ctx context.Context, id string) (containers.Exit, error)
	KillContainer(id string, s syscall.Signal) error
	RemoveContainer(id string) error
}

// Server answers HTTP for one agent. All fields are set before Handler.
type Server struct {
	Agent        Agent
	PID          string // slave(1)@ip:port
	Version      string // of Mesos, that we speak for
	Build        string // ours
	Flags        map[string]string
	Capabilities []string
	Started      time.Time
	Files        *sandbox.Files
	Log          *slog.Logger
	Realms       authn.Realms   // whom to ask for credentials
	ACLs         *security.ACLs // nil: everything is allowed
}

// routes are the handlers by path.
func (s *Server) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"/api/v1/executor":     post(s.executor),
		"/api/v1":              post(s.operator),
		"/state":               get(s.state),
		"/state.json":          get(s.state),
		"/containers":          get(s.containers),
		"/monitor/statistics":  get(s.statistics),
		"/health":              get(s.health),
		"/flags":               get(s.flags),
		"/version":             get(s.version),
		"/metrics/snapshot":    get(s.metrics),
		"/files/browse":        get(s.browse),
		"/files/browse.json":   get(s.browse),
		"/files/read":          get(s.read),
		"/files/read.json":     get(s.read),
		"/files/download":      get(s.download),
		"/files/download.json": get(s.download),
	}
}

// paths lists what is served, for a test that sees that each path is guarded.
func (s *Server) paths() []string { return slices.Sorted(maps.Keys(s.routes())) }

// Handler routes by exact path; each also answers below the agent's actor, /slave(1).
func (s *Server) Handler() http.Handler {
	routes := s.routes()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if rest, ok := strings.CutPrefix(path, "/slave(1)"); ok {
			path = rest
		}
		path = strings.TrimSuffix(path, "/")
		r, ok := s.admit(w, r, path)
		if !ok {
			return
		}
		if h := routes[path]; h != nil {
			h(w, r)
			return
		}
		http.NotFound(w, r)
	})
}

func post(h http.HandlerFunc) http.HandlerFunc { return method(h, http.MethodPost) }
func get(h http.HandlerFunc) http.HandlerFunc  { return method(h, http.MethodGet, http.MethodHead) }

func method(h http.HandlerFunc, allowed ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, m := range allowed {
			if r.Method == m {
				h(w, r)
				return
			}
		}
		w.Header().Set("Allow", allowed[0])
		refuse(w, http.StatusMethodNotAllowed, "405 Method Not Allowed. Expecting one of { '"+allowed[0]+"' }, but received '"+r.Method+"'.")
	}
}

// decode reads a call in the form its Content-Type names and returns its bytes too;
// it answers by itself when it can't.
func decode(w http.ResponseWriter, r *http.Request, call proto.Message, limit int64) ([]byte, bool) {
	c, err := codec.ForContentType(r.Header.Get("Content-Type"))
	switch {
	case errors.Is(err, codec.ErrNoContentType):
		refuse(w, http.StatusBadRequest, "Expecting 'Content-Type' to be present")
		return nil, false
	case err != nil:
		refuse(w, http.StatusUnsupportedMediaType, "Expecting 'Content-Type' of application/json or application/x-protobuf")
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		if _, tooLong := errors.AsType[*http.MaxBytesError](err); tooLong {
			refuse(w, http.StatusRequestEntityTooLarge, "The call is too long")
		} else {
			refuse(w, http.StatusBadRequest, "The call was cut off")
		}
		return nil, false
	}
	if err := c.Unmarshal(body, call); err != nil {
		refuse(w, http.StatusBadRequest, "Failed to parse body: "+err.Error())
		return nil, false
	}
	return body, true
}

// writeJSON answers a page; ?jsonp= wraps it as Mesos does.
func writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err.Error())
		return
	}
	if f := r.URL.Query().Get("jsonp"); f != "" {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = io.WriteString(w, url.QueryEscape(f)+"("+string(data)+");")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(data)
}

func (s *Server) health(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, r, map[string]any{"version": s.Version, "build_date": "", "build_time": 0.0, "build_user": "", "git_tag": s.Build})
}

func (s *Server) flags(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, r, map[string]any{"flags": s.Flags})
}
