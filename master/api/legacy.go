package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/offers"
)

// This file, state.go, tasks.go and roles.go are the endpoints of before the v1 API, which most
// tools still read (reference sections 2.4 to 2.6). Mesos serves reads under any
// method, so this does, too.

// routeReads installs every endpoint that is no API call.
func (s *Server) routeReads(both func(string, http.HandlerFunc)) {
	both("/health", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	both("/redirect", s.redirect)
	both("/version", s.version)
	both("/flags", s.flags)
	both("/state", s.shared("state", s.state))
	both("/state-summary", s.shared("state-summary", s.summary))
	both("/slaves", s.selected("slaves", "slave_id", s.slaves))
	both("/frameworks", s.selected("frameworks", "framework_id", s.frameworks))
	both("/tasks", s.tasks)
	both("/roles", s.shared("roles", s.roles))
	both("/weights", s.weights)
	both("/quota", s.quota)
	both("/quota/", s.quota)
	both("/maintenance/schedule", s.maintenanceSchedule)
	both("/maintenance/status", s.maintenanceStatus)
	both("/machine/down", s.machineDown)
	both("/machine/up", s.machineUp)
	both("/teardown", s.teardown)
	s.mux.HandleFunc("/files/browse", s.browse)
	s.mux.HandleFunc("/files/read", s.pail)
	s.mux.HandleFunc("/files/download", s.download)
	s.mux.HandleFunc("/files/debug", s.shownFiles)
	s.mux.HandleFunc("/logging/toggle", s.toggle)
	s.mux.HandleFunc("/system/stats.json", s.systemStats)
	s.mux.HandleFunc("/__processes__", s.processes)
	s.mux.HandleFunc("/help", s.help)
	s.routeWebUI()
	s.mux.HandleFunc("/registrar(1)/registry", s.registry)
	s.mux.HandleFunc("/tombolo/flags", func(w http.ResponseWriter, r *http.Request) { s.json(w, r, s.facts.OwnFlags) })
	s.routeOperations(both)
	s.mux.HandleFunc("/metrics/snapshot", s.metricsSnapshot)
	s.mux.HandleFunc("/metrics", s.prometheus)
	s.mux.HandleFunc("/tombolo/explain", s.explain)
}

// reading serves what render makes of the present view.
func (s *Server) reading(render func(*core.View, *http.Request) any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if v, ok := s.view(w, r); ok {
			s.json(w, r, render(v, r))
		}
	}
}

// redirect names the leading master, which is this one.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request) {
	v, ok := s.view(w, r)
	if !ok {
		return
	}
	host := v.Master.GetAddress().GetHostname()
	if host == "" {
		host = v.Master.GetAddress().GetIP()
	}
	w.Header().Set("Location", "//"+host+":"+strconv.Itoa(int(v.Master.GetPort())))
	w.WriteHeader(http.StatusTemporaryRedirect)
}

func (s *Server) flags(w http.ResponseWriter, r *http.Request) {
	if methods(w, r, http.MethodGet) {
		s.json(w, r, map[string]any{"flags": s.facts.Flags})
	}
}

// explain says why a framework is offered nothing (design D12).
func (s *Server) explain(w http.ResponseWriter, r *http.Request) {
	id := r.URL.Query().Get("framework_id")
	if id == "" {
		refuse(w, http.StatusBadRequest, "say which framework: ?framework_id=...")
		return
	}
	v, ok := s.view(w, r)
	if !ok {
		return
	}
	reasons, known, err := s.backend.Explain(r.Context(), id)
	if !slices.ContainsFunc(v.Frameworks, func(f *core.FrameworkView) bool { return f.ID() == id }) {
		known = false // or not the asker's to see
	}
	switch {
	case err != nil:
		refuse(w, http.StatusServiceUnavailable, "%s", err)
	case !known:
		refuse(w, http.StatusNotFound, "no framework %s is known here", id)
	default:
		list := make([]map[string]string, 0, len(reasons))
		for _, x := range reasons {
			list = append(list, map[string]string{"role": x.Role, "agent_id": x.Agent, "why": string(x.Why), "reason": x.Sentence})
		}
		s.json(w, r, map[string]any{"framework_id": id, "summary": offers.Summarize(reasons), "reasons": list})
	}
}

func (s *Server) teardown(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodPost) {
		return
	}
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "read the form: %s", err)
		return
	}
	id := r.PostForm.Get("frameworkId")
	if id == "" {
		refuse(w, http.StatusBadRequest, "Missing 'frameworkId' query parameter")
		return
	}
	s.ask(w, r, func(request core.RequestID) core.Event { return core.TornDown{Request: request, Framework: id} })
}

// leader is how this master shows itself as the leading one.
func leader(v *core.View) map[string]any {
	m := v.Master
	info := map[string]any{"id": m.ID, "pid": m.GetPID(), "port": m.GetPort(), "hostname": m.GetHostname()}
	addDomain(info, m.Domain)
	return info
}

func addDomain(m map[string]any, d *mesos.DomainInfo) {
	if d != nil {
		m["domain"] = d
	}
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// taskCounts counts tasks by the name of their state.
type taskCounts map[string]int

func (c taskCounts) add(tasks []*mesos.Task) {
	for _, t := range tasks {
		c[t.GetState().String()]++
	}
}

// tally sorts all tasks of the living frameworks by agent.
func tally(v *core.View) (byAgent map[string]taskCounts, agentFrameworks, frameworkAgents map[string]map[string]bool) {
	byAgent, agentFrameworks, frameworkAgents = map[string]taskCounts{}, map[string]map[string]bool{}, map[string]map[string]bool{}
	note := func(m map[string]map[string]bool, a, b string) {
		if m[a] == nil {
			m[a] = map[string]bool{}
		}
		m[a][b] = true
	}
	for _, a := range v.Agents {
		byAgent[a.ID()] = taskCounts{}
	}
	for _, f := range v.Frameworks {
		for _, list := range [][]*mesos.Task{f.Tasks, f.Unreachable, f.Completed} {
			for _, t := range list {
				if c := byAgent[t.AgentID.Value]; c != nil {
					c[t.GetState().String()]++
				}
				note(agentFrameworks, t.AgentID.Value, f.ID())
				note(frameworkAgents, f.ID(), t.AgentID.Value)
			}
		}
	}
	return byAgent, agentFrameworks, frameworkAgents
}
