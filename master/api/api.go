// Package api is the master's HTTP face: the v1 scheduler and operator APIs, the
// older endpoints that tools read (/state ...), metrics. It decides nothing: calls
// go to the Backend, and reads are rendered from its View, away from the master's
// one goroutine (design D4). Start reading at New; scheduler.go is the write side.
package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/offers"
)

// maxBody is the largest request body that is read, in bytes.
const maxBody = 32 << 20

// minZipped is the size of the smallest answer, in bytes, that is compressed (Mesos's own limit).
const minZipped = 1024

// Backend is the master behind the API. All methods are safe for concurrent use.
type Backend interface {
	// Subscribe opens a scheduler's stream; what comes of it arrives on the stream.
	Subscribe(s *Stream, e core.SchedulerSubscribed)
	// Unsubscribe says that the stream ended, and why.
	Unsubscribe(id core.StreamID, reason error)
	// Ask has an event that wants a Reply decided; make gets the id to put into it.
	Ask(ctx context.Context, make func(core.RequestID) core.Event) (core.Reply, error)
	// View is a picture of the state that shows at least all that was answered before.
	View(ctx context.Context) (*core.View, error)
	// Watch opens an operator's stream: the view it starts from, and all events after it.
	Watch(ctx context.Context, s *Stream) (*core.View, error)
	// Unwatch ends it.
	Unwatch(s *Stream)
	// Explain says why a framework is offered nothing; false if there is no such framework.
	Explain(ctx context.Context, framework string) ([]offers.Reason, bool, error)
	// Standings are the roles as the allocator sees them, and how many refusals it remembers of each.
	Standings(ctx context.Context) ([]offers.RoleStanding, map[string]int, error)
	// Registry is what outlives the master, as far as it is durable.
	Registry(ctx context.Context) (*core.Registry, error)
	// Watchers is the number of operators' streams, Backlog the number of letters that waited for the master lately.
	Watchers() int
	Backlog() int
}

// Facts are what the API shows of the process itself.
type Facts struct {
	Version   string
	Started   time.Time
	Elected   time.Time // as leader
	Cluster   string
	Flags     map[string]string // by the names of Mesos's
	OwnFlags  map[string]string // those that Mesos does not have
	Build     Build
	Meters    *Meters
	Verbosity *Verbosity
	LogDir    string
	WebUIDir  string            // static files for /; empty: none
	Files     map[string]string // files shown to operators: virtual path to real one
	// PerFrameworkMetrics says whether metrics of each framework are shown.
	PerFrameworkMetrics bool
	// Security is who may do what.
	Security Security
	// Standing tells what this master is among the masters; nil for one that leads for ever.
	Standing func() Standing
}

// Build says from what the binary was made.
type Build struct {
	Time time.Time
	User string
	SHA  string
}

// Server serves the API.
type Server struct {
	backend Backend
	facts   Facts
	log     *slog.Logger
	mux     *mux

	renderer  *renderer
	cacheHits atomic.Uint64 // answers that were shared
}

// mux is a ServeMux that remembers its patterns, so that a test can see that each is guarded.
type mux struct {
	*http.ServeMux
	patterns []string
}

// HandleFunc registers a handler.
func (m *mux) HandleFunc(pattern string, h func(http.ResponseWriter, *http.Request)) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.HandleFunc(pattern, h)
}

// New returns the handler of the master's HTTP API.
func New(b Backend, f Facts, log *slog.Logger) *Server {
	s := &Server{backend: b, facts: f, log: log, mux: &mux{ServeMux: http.NewServeMux()}, renderer: newRenderer(b.View)}
	both := func(path string, h http.HandlerFunc) {
		s.mux.HandleFunc(path, h)
		s.mux.HandleFunc("/master"+path, h)
	}
	both("/api/v1/scheduler", s.scheduler)
	both("/api/v1/scheduler/", s.scheduler)
	both("/api/v1", s.operator)
	both("/api/v1/", s.operator)
	s.routeReads(both)
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r, ok := s.admit(w, r)
	if !ok {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if !s.yield(w, r) {
		s.mux.ServeHTTP(w, r)
	}
}

// refuse answers with a status and one sentence.
func refuse(w http.ResponseWriter, status int, format string, args ...any) {
	http.Error(w, fmt.Sprintf(format, args...), status)
}

// methods refuses all but the given methods (reference row SCH-05).
func methods(w http.ResponseWriter, r *http.Request, allowed ...string) bool {
	for _, m := range allowed {
		if r.Method == m {
			return true
		}
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	refuse(w, http.StatusMethodNotAllowed, "Expecting one of { '%s' }, but received '%s'", strings.Join(allowed, "', '"), r.Method)
	return false
}

// decode reads a call by its Content-Type and returns its bytes too; it answers the request when it cannot
// (reference rows SCH-06 to SCH-08).
func decode(w http.ResponseWriter, r *http.Request, call proto.Message) (codec.Codec, []byte, bool) {
	header := r.Header.Get("Content-Type")
	c, err := codec.ForContentType(header)
	if err == nil && header != c.MediaType() {
		err = fmt.Errorf("%w, not %q", codec.ErrUnsupportedMediaType, header)
	}
	switch {
	case errors.Is(err, codec.ErrNoContentType):
		refuse(w, http.StatusBadRequest, "%s", err)
		return nil, nil, false
	case err != nil:
		refuse(w, http.StatusUnsupportedMediaType, "%s", err)
		return nil, nil, false
	}
	body, ok := readBody(w, r)
	if !ok {
		return nil, nil, false
	}
	if err := c.Unmarshal(body, call); err != nil {
		refuse(w, http.StatusBadRequest, "Failed to parse body into Call: %s", err)
		return nil, nil, false
	}
	return c, body, true
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, "the request body is larger than %d bytes", tooLarge.Limit)
		return nil, false
	case err != nil:
		refuse(w, http.StatusBadRequest, "read the request body: %s", err)
		return nil, false
	}
	return body, true
}

// ask has the backend decide and answers with its reply.
func (s *Server) ask(w http.ResponseWriter, r *http.Request, make func(core.RequestID) core.Event) {
	if !s.mayOrder(w, r, make(0)) {
		return
	}
	reply, err := s.backend.Ask(r.Context(), make)
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	answer(w, reply)
}

func answer(w http.ResponseWriter, reply core.Reply) {
	if reply.Text == "" {
		w.WriteHeader(reply.Status)
		return
	}
	refuse(w, reply.Status, "%s", reply.Text)
}

// view gets a View of what the request's principal may see, or answers 503.
func (s *Server) view(w http.ResponseWriter, r *http.Request) (*core.View, bool) {
	v, err := s.backend.View(r.Context())
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return nil, false
	}
	return v.Filtered(s.approver(r)), true
}

// body sends a rendered answer, compressed if the client accepts that.
func (s *Server) body(w http.ResponseWriter, r *http.Request, media string, data []byte) {
	doc := &document{pieces: []*piece{{text: data}}, size: len(data)}
	if err := doc.send(w, r, media); err != nil {
		s.log.Debug("answer not delivered", "path", r.URL.Path, "error", err)
	}
}

// json renders v, as JSONP when asked to (reference 2.4).
func (s *Server) json(w http.ResponseWriter, r *http.Request, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		s.log.Error("answer not rendered", "path", r.URL.Path, "error", err)
		refuse(w, http.StatusInternalServerError, "the answer could not be rendered: %s", err)
		return
	}
	s.deliver(w, r, codec.MediaTypeJSON, &document{pieces: []*piece{{text: data}}, size: len(data)})
}
