package api

import (
	"html"
	"net/http"
	"strings"

	"github.com/tombolo-project/tombolo/mesos/duration"
)

// This file serves what any libprocess program shows of itself.

// systemStats serves /system/stats.json: the machine's load and memory.
func (s *Server) systemStats(w http.ResponseWriter, r *http.Request) {
	m := map[string]float64{}
	systemMetrics(m)
	out := map[string]float64{}
	for name, value := range m {
		name = strings.TrimPrefix(name, "system/")
		if strings.HasPrefix(name, "load_") {
			name = "avg_" + name
		}
		out[name] = value
	}
	s.json(w, r, out)
}

// processes serves /__processes__: the actors of this process that others can name. What waits for the master is
// not shown.
func (s *Server) processes(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for _, id := range []string{"files", "logging", "master", "metrics", "system"} {
		list = append(list, map[string]any{"id": id, "events": []any{}})
	}
	s.json(w, r, list)
}

// helpText is what /help says.
const helpText = `This is a Mesos-compatible master.

Operator API: POST /api/v1        Scheduler API: POST /api/v1/scheduler
Reads:        /state /state-summary /slaves /frameworks /tasks /roles /weights /quota
              /maintenance/schedule /maintenance/status /flags /version /health /redirect
              /metrics/snapshot /metrics /files/browse /files/read /files/download /files/debug
              /logging/toggle /system/stats.json /tombolo/explain /tombolo/flags
`

// help serves /help.
func (s *Server) help(w http.ResponseWriter, r *http.Request) {
	s.body(w, r, "text/html", []byte("<!DOCTYPE html><title>Help</title><pre>"+html.EscapeString(helpText)+"</pre>\n"))
}

// metricsTimeout reads how long the asker of metrics would wait. They are there at once here, so it is only checked.
func metricsTimeout(w http.ResponseWriter, r *http.Request) bool {
	q := r.URL.Query()
	if !q.Has("timeout") {
		return true
	}
	if _, err := duration.Parse(q.Get("timeout")); err != nil {
		refuse(w, http.StatusBadRequest, "Invalid timeout '%s': %s.", q.Get("timeout"), err)
		return false
	}
	return true
}

// routeWebUI shows the files of a web interface, as Mesos does with its own: index.html at / and what it loads.
func (s *Server) routeWebUI() {
	if s.facts.WebUIDir == "" {
		return
	}
	files := http.FileServer(http.Dir(s.facts.WebUIDir))
	s.mux.Handle("/{$}", files)
	for _, below := range []string{"/app/", "/assets/"} {
		s.mux.Handle(below, files)
	}
}
