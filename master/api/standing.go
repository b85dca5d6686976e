package api

import (
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Standing is what a master is among the masters at a moment.
type Standing struct {
	Elected   bool
	Recovered bool // has read the registry since it was elected
	// Leader is who leads as far as is known; nil when nobody does.
	Leader *mesos.MasterInfo
}

// servedByAll are the endpoints that every master answers for itself (reference 2.4).
var servedByAll = []string{
	"/health", "/version", "/flags", "/tombolo/flags", "/metrics", "/metrics/snapshot", "/logging/toggle",
	"/system/stats.json", "/__processes__", "/help",
}

// standing returns the present Standing.
func (s *Server) standing() Standing {
	if s.facts.Standing == nil {
		return Standing{Elected: true, Recovered: true}
	}
	return s.facts.Standing()
}

// yield answers what only the leader may answer while this master is not the leader,
// or is one that has not read the registry yet (reference rows SCH-03, SCH-04,
// OPR-03, OPR-04 and 2.4). It reports whether it has.
func (s *Server) yield(w http.ResponseWriter, r *http.Request) bool {
	now := s.standing()
	if now.Elected && now.Recovered {
		return false
	}
	path := strings.TrimPrefix(r.URL.Path, "/master")
	if strings.HasPrefix(path, "/files/") {
		return false
	}
	for _, p := range servedByAll {
		if path == p {
			return false
		}
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		return false // nobody serves it
	}
	switch {
	case now.Elected:
		refuse(w, http.StatusServiceUnavailable, "Master has not finished recovery")
	case now.Leader == nil:
		refuse(w, http.StatusServiceUnavailable, "No leader elected")
	default:
		location := "//" + net.JoinHostPort(hostOf(now.Leader), strconv.Itoa(int(now.Leader.GetPort())))
		if path != "/redirect" {
			location += "/master" + strings.TrimPrefix(r.URL.RequestURI(), "/master")
		}
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}
	return true
}

// hostOf is the name or address at which clients reach a master.
func hostOf(m *mesos.MasterInfo) string {
	if m.GetHostname() != "" {
		return m.GetHostname()
	}
	if h := m.GetAddress().GetHostname(); h != "" {
		return h
	}
	return m.GetAddress().GetIP()
}
