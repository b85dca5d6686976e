package api

import (
	"net/http"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
)

// Security is who may do what. The zero Security asks nobody who they are and lets everybody do everything.
type Security struct {
	Realms authn.Realms
	ACLs   *security.ACLs
}

// access is what a route asks of those who use it.
type access struct {
	realm  authn.Realm
	action security.Action // 0: none at the door; writes are authorized by what they do, reads are filtered
}

// routes is the one table of the endpoints' realms and of actions that concern an endpoint as a whole (reference section
// 2.4). What stands below a path that ends in "/" is meant too. Whatever is not in it needs what writing needs.
var routes = map[string]access{
	"/":         {realm: authn.Open}, // the page itself; what stands below it does not inherit that
	"/app/":     {realm: authn.Open},
	"/assets/":  {realm: authn.Open},
	"/health":   {realm: authn.Open},
	"/redirect": {realm: authn.Open},

	"/api/v1":            {realm: authn.MasterReadWrite},
	"/api/v1/scheduler":  {realm: authn.MasterScheduler},
	"/api/v1/scheduler/": {realm: authn.MasterScheduler},

	"/version": {realm: authn.MasterReadOnly}, "/flags": {realm: authn.MasterReadOnly, action: security.ViewFlags},
	"/state": {realm: authn.MasterReadOnly}, "/state.json": {realm: authn.MasterReadOnly},
	"/state-summary": {realm: authn.MasterReadOnly}, "/slaves": {realm: authn.MasterReadOnly},
	"/frameworks": {realm: authn.MasterReadOnly}, "/tasks": {realm: authn.MasterReadOnly}, "/roles": {realm: authn.MasterReadOnly},
	"/maintenance/status": {realm: authn.MasterReadOnly},
	"/registrar(1)/":      {realm: authn.MasterReadOnly}, "/system/": {realm: authn.MasterReadOnly}, "/__processes__": {realm: authn.MasterReadOnly},
	"/metrics": {realm: authn.MasterReadOnly}, "/tombolo/": {realm: authn.MasterReadOnly},
	"/metrics/snapshot": {realm: authn.MasterReadOnly, action: security.GetEndpointWithPath},

	"/files/":         {realm: authn.MasterReadOnly, action: security.AccessMesosLog}, // the master's log is all there is
	"/files/debug":    {realm: authn.MasterReadOnly, action: security.GetEndpointWithPath},
	"/logging/toggle": {realm: authn.MasterReadWrite, action: security.GetEndpointWithPath},
}

// calls is the same for calls of the operator API that are not the core's business.
var calls = map[master.Call_Type]security.Action{
	master.Call_GET_FLAGS:         security.ViewFlags,
	master.Call_SET_LOGGING_LEVEL: security.SetLogLevel,
	master.Call_LIST_FILES:        security.AccessMesosLog,
	master.Call_READ_FILE:         security.AccessMesosLog,
}

// accessOf looks a path up: itself, then what it stands below.
func accessOf(path string) (access, string) {
	if rest, ok := strings.CutPrefix(path, "/master"); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	if path == "" {
		path = "/"
	}
	if a, ok := routes[path]; ok {
		return a, path
	}
	for above := strings.TrimSuffix(path, "/"); len(above) > 1; above = above[:strings.LastIndexByte(above, '/')] {
		if a, ok := routes[above+"/"]; ok && above != path {
			return a, path
		}
	}
	return access{realm: authn.MasterReadWrite}, path
}

// admit authenticates a request and checks what its route as a whole demands. It returns the request with its principal;
// where it may not go on it has answered.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (*http.Request, bool) {
	a, path := accessOf(r.URL.Path)
	r, ok := s.facts.Security.Realms.Check(w, r, a.realm)
	if !ok {
		return nil, false
	}
	p := authn.PrincipalOf(r.Context())
	if p.Nameless() {
		authn.ForbidNameless(w)
		return nil, false
	}
	object := security.Object{}
	if a.action == security.GetEndpointWithPath {
		object = security.Named(path)
	}
	if a.action != 0 && !s.facts.Security.ACLs.Authorize(p, a.action, object) {
		authn.Forbid(w)
		return nil, false
	}
	return r, true
}

// approver is what a request's principal may do.
func (s *Server) approver(r *http.Request) security.Approver {
	return s.facts.Security.ACLs.For(authn.PrincipalOf(r.Context()))
}

// mayCall checks what a call of the operator API as a whole demands; it answers where that is refused.
func (s *Server) mayCall(w http.ResponseWriter, r *http.Request, t master.Call_Type) bool {
	action, demanded := calls[t]
	if demanded && !s.approver(r).Approved(action, security.Object{}) {
		authn.Forbid(w)
		return false
	}
	return true
}

// mayOrder checks what an event for the core demands, by whichever endpoint it came; it answers where that is refused.
func (s *Server) mayOrder(w http.ResponseWriter, r *http.Request, e core.Event) bool {
	if s.facts.Security.ACLs == nil {
		return true
	}
	var list []security.Demand
	known := true
	if teardown, ok := e.(core.TornDown); ok { // alone needs to know more than it says
		v, err := s.backend.View(r.Context())
		if err != nil {
			refuse(w, http.StatusServiceUnavailable, "%s", err)
			return false
		}
		list = teardownDemands(teardown.Framework, v)
	} else {
		list, known = demands(e)
	}
	if _, denied := s.facts.Security.ACLs.Denied(authn.PrincipalOf(r.Context()), list); denied || !known {
		authn.Forbid(w)
		return false
	}
	return true
}

// demands says what an operator's event needs to be allowed; false for one that no rule knows, which nobody may send.
func demands(e core.Event) ([]security.Demand, bool) {
	switch e := e.(type) {
	case core.SchedulerCalled: // the core compares its principal with the framework's
		return nil, true
	case core.WeightsUpdated:
		var list []security.Demand
		for _, w := range e.Weights {
			list = append(list, security.Demand{Action: security.UpdateWeight, Object: security.Named(w.GetRole())})
		}
		return list, true
	case core.QuotaUpdated:
		var list []security.Demand
		for _, c := range e.Configs {
			list = append(list, security.Demand{Action: security.UpdateQuotaWithConfig, Object: security.Named(c.Role)})
		}
		return list, true
	case core.QuotaSet:
		return []security.Demand{{Action: security.UpdateQuota, Object: security.Named(e.Quota.GetRole())}}, true
	case core.QuotaRemoved:
		return []security.Demand{{Action: security.UpdateQuota, Object: security.Named(e.Role)}}, true
	case core.DrainWanted:
		list := []security.Demand{{Action: security.DrainAgent}}
		if e.Config.GetMarkGone() {
			list = append(list, security.Demand{Action: security.MarkAgentGone})
		}
		return list, true
	case core.DeactivationWanted:
		return []security.Demand{{Action: security.DeactivateAgent}}, true
	case core.ReactivationWanted:
		return []security.Demand{{Action: security.ReactivateAgent}}, true
	case core.GoneWanted:
		return []security.Demand{{Action: security.MarkAgentGone}}, true
	case core.ScheduleWanted:
		return []security.Demand{{Action: security.UpdateMaintenanceSchedule}}, true
	case core.MachinesDownWanted:
		return []security.Demand{{Action: security.StartMaintenance}}, true
	case core.MachinesUpWanted:
		return []security.Demand{{Action: security.StopMaintenance}}, true
	case core.OperationRequested:
		return security.OperationDemands(e.Operation), true
	default:
		return nil, false
	}
}

// principalName is whom a request comes from as the core's events have it; nil for nobody.
func principalName(r *http.Request) *string {
	p := authn.PrincipalOf(r.Context())
	if p.Name == "" {
		return nil
	}
	return &p.Name
}

// teardownDemands names the principal whose framework is to go. One that nobody knows is left to the core to refuse.
func teardownDemands(framework string, v *core.View) []security.Demand {
	for _, f := range v.Frameworks {
		if f.ID() != framework {
			continue
		}
		d := security.Demand{Action: security.TeardownFramework}
		if f.Info.Principal != nil {
			d.Object = security.Named(*f.Info.Principal)
		}
		return []security.Demand{d}
	}
	return nil
}
