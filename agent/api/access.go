package api

import (
	"net/http"
	"slices"

	"github.com/mesos/mesos-go/api/v1/lib/agent"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
)

// access is what a route asks of those who use it.
type access struct {
	realm  authn.Realm
	action security.Action // 0: none at the door; reads are filtered
}

// routeAccess is the one table of the endpoints' realms and of actions that concern an endpoint as a whole (reference
// section 4.1). Whatever is not in it needs what writing needs.
var routeAccess = map[string]access{
	"/health":              {realm: authn.Open},
	"/api/v1":              {realm: authn.AgentReadWrite},
	"/api/v1/executor":     {realm: authn.AgentExecutor},
	"/state":               {realm: authn.AgentReadOnly},
	"/state.json":          {realm: authn.AgentReadOnly},
	"/version":             {realm: authn.AgentReadOnly},
	"/flags":               {realm: authn.AgentReadOnly, action: security.ViewFlags},
	"/containers":          {realm: authn.AgentReadOnly, action: security.GetEndpointWithPath},
	"/monitor/statistics":  {realm: authn.AgentReadOnly, action: security.GetEndpointWithPath},
	"/metrics/snapshot":    {realm: authn.AgentReadOnly, action: security.GetEndpointWithPath},
	"/files/browse":        {realm: authn.AgentReadOnly, action: security.AccessSandbox},
	"/files/browse.json":   {realm: authn.AgentReadOnly, action: security.AccessSandbox},
	"/files/read":          {realm: authn.AgentReadOnly, action: security.AccessSandbox},
	"/files/read.json":     {realm: authn.AgentReadOnly, action: security.AccessSandbox},
	"/files/download":      {realm: authn.AgentReadOnly, action: security.AccessSandbox},
	"/files/download.json": {realm: authn.AgentReadOnly, action: security.AccessSandbox},
}

// admit authenticates a request and checks what its route as a whole demands. It returns the request with its principal;
// where it may not go on it has answered.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, path string) (*http.Request, bool) {
	a, known := routeAccess[path]
	if !known {
		a.realm = authn.AgentReadWrite
	}
	r, ok := s.Realms.Check(w, r, a.realm)
	if !ok {
		return nil, false
	}
	p := authn.PrincipalOf(r.Context())
	if p.Nameless() && a.realm != authn.AgentExecutor {
		authn.ForbidNameless(w)
		return nil, false
	}
	object := security.Object{}
	switch a.action {
	case security.GetEndpointWithPath:
		object = security.Named(path)
	case security.AccessSandbox:
		object = s.sandboxUser(r.URL.Query().Get("path"))
	}
	if a.action != 0 && !s.ACLs.Authorize(p, a.action, object) {
		authn.Forbid(w)
		return nil, false
	}
	return r, true
}

// mayCall checks what a call of the operator API as a whole demands; it answers where that is refused.
func (s *Server) mayCall(w http.ResponseWriter, r *http.Request, call *agent.Call) bool {
	var d security.Demand
	switch call.Type {
	case agent.Call_GET_FLAGS:
		d.Action = security.ViewFlags
	case agent.Call_SET_LOGGING_LEVEL:
		d.Action = security.SetLogLevel
	case agent.Call_LIST_FILES:
		d = security.Demand{Action: security.AccessSandbox, Object: s.sandboxUser(call.ListFiles.Path)}
	case agent.Call_READ_FILE:
		d = security.Demand{Action: security.AccessSandbox, Object: s.sandboxUser(call.ReadFile.Path)}
	default:
		if c := containerCall(call); c != nil {
			return s.mayOrder(w, r, call.Type, c)
		}
		return true
	}
	if !s.ACLs.Authorize(authn.PrincipalOf(r.Context()), d.Action, d.Object) {
		authn.Forbid(w)
		return false
	}
	return true
}

// containerActions are what the calls about nested containers ask for, in their newer and older forms.
var containerActions = map[agent.Call_Type]security.Action{
	agent.Call_LAUNCH_CONTAINER: security.LaunchNestedContainer, agent.Call_LAUNCH_NESTED_CONTAINER: security.LaunchNestedContainer,
	agent.Call_WAIT_CONTAINER: security.WaitNestedContainer, agent.Call_WAIT_NESTED_CONTAINER: security.WaitNestedContainer,
	agent.Call_KILL_CONTAINER: security.KillNestedContainer, agent.Call_KILL_NESTED_CONTAINER: security.KillNestedContainer,
	agent.Call_REMOVE_CONTAINER: security.RemoveNestedContainer, agent.Call_REMOVE_NESTED_CONTAINER: security.RemoveNestedContainer,
}

// mayOrder checks what a call about a container demands: of the user whose executor it is in, and, to launch, of the user
// it is to run as.
func (s *Server) mayOrder(w http.ResponseWriter, r *http.Request, kind agent.Call_Type, c *wanted) bool {
	root := &c.id
	for root.Parent != nil {
		root = root.Parent
	}
	owner := security.Object{} // nobody's: for those who may with everybody's
	for _, f := range s.Agent.View().Frameworks {
		for _, e := range f.Executors {
			if e.Container == root.Value {
				owner = security.Named(core.ExecutorUser(&e.Info, &f.Info))
			}
		}
	}
	demanded := []security.Object{owner}
	if user := c.command.GetUser(); user != "" {
		demanded = append(demanded, security.Named(user))
	}
	for _, object := range demanded {
		if !s.ACLs.Authorize(authn.PrincipalOf(r.Context()), containerActions[kind], object) {
			authn.Forbid(w)
			return false
		}
	}
	return true
}

// view is a picture of what the request's principal may see.
func (s *Server) view(r *http.Request) *core.View {
	return s.Agent.View().Filtered(s.ACLs.For(authn.PrincipalOf(r.Context())))
}

// sandboxUser is the user whose sandbox a path lies in. Nobody's, as that of an executor that is forgotten, is for those
// who may access everybody's.
func (s *Server) sandboxUser(path string) security.Object {
	framework, executor, ok := s.Files.Owner(path)
	if !ok {
		return security.Object{}
	}
	v := s.Agent.View()
	for _, f := range slices.Concat(v.Frameworks, v.Completed) {
		if f.Info.ID.GetValue() != framework {
			continue
		}
		for _, e := range slices.Concat(f.Executors, f.Completed) {
			if e.Info.ExecutorID.Value == executor {
				return security.Named(core.ExecutorUser(&e.Info, &f.Info))
			}
		}
	}
	return security.Object{}
}

// isExecutor says whether one who calls the executor API is the executor that it speaks for: the token names it, and the
// run of it. Where nobody is asked, everybody is.
func (s *Server) isExecutor(p security.Principal, framework, executor string) bool {
	if p.Anonymous() {
		return true
	}
	if p.Claims["fid"] != framework || p.Claims["eid"] != executor {
		return false
	}
	for _, f := range s.Agent.View().Frameworks {
		for _, e := range f.Executors {
			if f.Info.ID.GetValue() == framework && e.Info.ExecutorID.Value == executor && e.State != "TERMINATED" {
				return p.Claims["cid"] == e.Container
			}
		}
	}
	return true // nobody's; the call is refused for that
}
