package api

import (
	"net/http"
	"regexp"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// legacyForm shows lists as the endpoints of before the v1 API do (reference section 2.5).
type legacyForm struct {
	tasks      *memo[*mesos.Task]
	executors  *memo[*core.ExecutorView]
	agents     *memo[*core.AgentView]
	fullAgents *memo[*core.AgentView]
	recovered  *memo[*mesos.AgentInfo]
	offers     *memo[*mesos.Offer]
	frameworks *memo[*core.FrameworkView] // those with few tasks and offers
}

func newLegacyForm() *legacyForm {
	f := &legacyForm{
		tasks:      newMemo(tasksOfRun, true, func(t *text, x *mesos.Task) { t.task(x) }),
		executors:  newMemo(smallOfRun, true, func(t *text, x *core.ExecutorView) { t.executor(x) }),
		agents:     newMemo(smallOfRun, true, func(t *text, x *core.AgentView) { t.agent(x, false) }),
		fullAgents: newMemo(smallOfRun, true, func(t *text, x *core.AgentView) { t.agent(x, true) }),
		recovered:  newMemo(smallOfRun, true, func(t *text, x *mesos.AgentInfo) { t.recovered(x) }),
		offers:     newMemo(smallOfRun, true, func(t *text, x *mesos.Offer) { t.offer(x) }),
	}
	f.frameworks = newMemo(1, true, func(t *text, x *core.FrameworkView) {
		var b builder
		f.framework(&b, x)
		*t = append(*t, b.done().bytes()...)
	})
	return f
}

func (f *legacyForm) next() {
	f.tasks.next()
	f.executors.next()
	f.agents.next()
	f.fullAgents.next()
	f.recovered.next()
	f.offers.next()
	f.frameworks.next()
}

// framework writes a framework with all its lists.
func (f *legacyForm) framework(b *builder, x *core.FrameworkView) {
	b.open('{')
	b.frameworkHead(x)
	b.frameworkMore(x)
	list(b, "tasks", f.tasks, x.Tasks)
	list(b, "unreachable_tasks", f.tasks, x.Unreachable)
	list(b, "completed_tasks", f.tasks, x.Completed)
	list(b, "offers", f.offers, x.Offers)
	list(b, "executors", f.executors, executorPointers(x))
	b.close('}')
}

// list writes a field that is a list.
func list[K comparable](b *builder, name string, m *memo[K], elements []K) {
	b.field(name)
	b.open('[')
	b.add(m.render(elements))
	b.close(']')
}

// frameworkList writes a field that is a list of frameworks.
func (f *legacyForm) frameworkList(b *builder, name string, views []*core.FrameworkView) {
	b.field(name)
	b.open('[')
	for i, x := range views {
		if i > 0 {
			b.text = append(b.text, ',')
		}
		if len(x.Tasks)+len(x.Unreachable)+len(x.Completed)+len(x.Offers)+len(x.Executors) > tasksOfRun {
			f.framework(b, x)
			continue
		}
		b.add(f.frameworks.render(views[i : i+1]))
	}
	b.close(']')
}

func (f *legacyForm) recoveredList(b *builder, v *core.View) {
	recovered := make([]*mesos.AgentInfo, len(v.Recovered))
	for i := range v.Recovered {
		recovered[i] = &v.Recovered[i]
	}
	list(b, "recovered_slaves", f.recovered, recovered)
}

// state is /state.
func (s *Server) state(v *core.View, f *forms) *document {
	var b builder
	b.open('{')
	b.version(s)
	b.timeField("start_time", s.facts.Started)
	b.timeField("elected_time", s.facts.Elected)
	b.stringField("id", v.Master.ID)
	b.stringField("pid", v.Master.GetPID())
	b.stringField("hostname", v.Master.GetHostname())
	b.field("capabilities")
	b.open('[')
	for _, c := range v.Master.Capabilities {
		b.string(c.Type.String())
	}
	b.close(']')
	active := 0
	for _, a := range v.Agents {
		if a.Active {
			active++
		}
	}
	b.numberField("activated_slaves", float64(active))
	b.numberField("deactivated_slaves", float64(len(v.Agents)-active))
	b.numberField("unreachable_slaves", float64(v.Unreachable))
	b.domain(v.Master.Domain)
	b.stringField("leader", v.Master.GetPID())
	b.anyField("leader_info", leader(v))
	if s.facts.Cluster != "" {
		b.stringField("cluster", s.facts.Cluster)
	}
	if s.facts.LogDir != "" {
		b.stringField("log_dir", s.facts.LogDir)
	}
	if v.SeesFlags() {
		b.anyField("flags", s.facts.Flags)
	}
	list(&b, "slaves", f.legacy.agents, v.Agents)
	f.legacy.recoveredList(&b, v)
	f.legacy.frameworkList(&b, "frameworks", v.Frameworks)
	f.legacy.frameworkList(&b, "completed_frameworks", v.Completed)
	b.strings("orphan_tasks", nil)
	b.strings("unregistered_frameworks", nil)
	b.close('}')
	return b.done()
}

// frameworks is /frameworks; only, unless empty, is the one framework to show.
func (s *Server) frameworks(v *core.View, f *forms, only string) *document {
	var b builder
	b.open('{')
	f.legacy.frameworkList(&b, "frameworks", selectedFrameworks(v.Frameworks, only))
	f.legacy.frameworkList(&b, "completed_frameworks", selectedFrameworks(v.Completed, only))
	b.strings("unregistered_frameworks", nil)
	b.close('}')
	return b.done()
}

func selectedFrameworks(views []*core.FrameworkView, only string) []*core.FrameworkView {
	if only == "" {
		return views
	}
	var found []*core.FrameworkView
	for _, x := range views {
		if x.ID() == only {
			found = append(found, x)
		}
	}
	return found
}

// slaves is /slaves; only, unless empty, is the one agent to show.
func (s *Server) slaves(v *core.View, f *forms, only string) *document {
	agents := v.Agents
	if only != "" {
		agents = nil
		for _, a := range v.Agents {
			if a.ID() == only {
				agents = append(agents, a)
			}
		}
	}
	var b builder
	b.open('{')
	list(&b, "slaves", f.legacy.fullAgents, agents)
	if only == "" {
		f.legacy.recoveredList(&b, v)
	} else {
		b.strings("recovered_slaves", nil)
	}
	b.close('}')
	return b.done()
}

// summary is /state-summary.
func (s *Server) summary(v *core.View, _ *forms) *document {
	byAgent, agentFrameworks, frameworkAgents := tally(v)
	var b builder
	b.open('{')
	b.stringField("hostname", v.Master.GetHostname())
	if s.facts.Cluster != "" {
		b.stringField("cluster", s.facts.Cluster)
	}
	b.field("slaves")
	b.open('[')
	for _, a := range v.Agents {
		b.agent(a, false)
		b.reopen()
		b.counts(byAgent[a.ID()])
		b.strings("framework_ids", sortedNames(agentFrameworks[a.ID()]))
		b.close('}')
	}
	b.close(']')
	b.field("frameworks")
	b.open('[')
	for _, f := range v.Frameworks {
		counts := taskCounts{}
		for _, list := range [][]*mesos.Task{f.Tasks, f.Unreachable, f.Completed} {
			counts.add(list)
		}
		b.open('{')
		b.frameworkHead(f)
		b.counts(counts)
		b.strings("slave_ids", sortedNames(frameworkAgents[f.ID()]))
		b.close('}')
	}
	b.close(']')
	b.close('}')
	return b.done()
}

// counts writes the counters that /state-summary shows.
func (t *text) counts(c taskCounts) {
	for _, state := range []string{
		"TASK_STAGING", "TASK_STARTING", "TASK_RUNNING", "TASK_KILLING", "TASK_FINISHED", "TASK_KILLED",
		"TASK_FAILED", "TASK_LOST", "TASK_ERROR", "TASK_UNREACHABLE",
	} {
		t.numberField(state, float64(c[state]))
	}
}

// version serves /version.
func (s *Server) version(w http.ResponseWriter, r *http.Request) {
	var b builder
	b.open('{')
	b.version(s)
	b.close('}')
	s.deliver(w, r, codec.MediaTypeJSON, b.done())
}

// version writes what /version shows.
func (b *builder) version(s *Server) {
	v := s.versionInfo()
	b.stringField("version", v.Version)
	if sha := v.GetGitSHA(); sha != "" {
		b.stringField("git_sha", sha)
	}
	b.stringField("build_date", v.GetBuildDate())
	b.numberField("build_time", v.GetBuildTime())
	b.stringField("build_user", v.GetBuildUser())
}

// shared serves a document that is the same for all who ask, as JSONP when asked to.
func (s *Server) shared(name string, build func(*core.View, *forms) *document) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { s.serveShared(w, r, name, codec.MediaTypeJSON, build) }
}

// selected is shared, but for who wants only one element.
func (s *Server) selected(name, parameter string, build func(v *core.View, f *forms, only string) *document) http.HandlerFunc {
	all := s.shared(name, func(v *core.View, f *forms) *document { return build(v, f, "") })
	return func(w http.ResponseWriter, r *http.Request) {
		only := r.URL.Query().Get(parameter)
		if only == "" {
			all(w, r)
			return
		}
		v, ok := s.view(w, r)
		if !ok {
			return
		}
		doc, err := s.renderer.once(r.Context(), func(f *forms) *document { return build(v, f, only) })
		if err != nil {
			refuse(w, http.StatusServiceUnavailable, "%s", err)
			return
		}
		s.deliver(w, r, codec.MediaTypeJSON, doc)
	}
}

func (s *Server) serveShared(w http.ResponseWriter, r *http.Request, name, media string, build func(*core.View, *forms) *document) {
	var doc *document
	var err error
	if approver := s.approver(r); core.SeesAll(approver) {
		var joined bool
		if doc, joined, err = s.renderer.get(r.Context(), name, build); joined {
			s.cacheHits.Add(1)
		}
	} else {
		v, ok := s.view(w, r)
		if !ok {
			return
		}
		doc, err = s.renderer.once(r.Context(), func(f *forms) *document { return build(v, f) })
	}
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	s.deliver(w, r, media, doc)
}

// isCallback are the names that JSONP may call, so that a link to the master cannot carry a script of its own.
var isCallback = regexp.MustCompile(`^[A-Za-z_$][A-Za-z0-9_$.\[\]]{0,255}$`)

// deliver sends a document, as JSONP when asked to (reference section 2.4).
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, media string, doc *document) {
	if callback := r.URL.Query().Get("jsonp"); callback != "" {
		if !isCallback.MatchString(callback) {
			refuse(w, http.StatusBadRequest, "'%s' is no name of a function to call back", callback)
			return
		}
		var b builder
		b.text = append(b.text, callback...)
		b.text = append(b.text, '(')
		b.include(doc)
		b.text = append(b.text, ')')
		media, doc = "text/javascript", b.done()
	}
	if err := doc.send(w, r, media); err != nil {
		s.log.Debug("answer not delivered", "path", r.URL.Path, "error", err)
	}
}
