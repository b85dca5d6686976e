package api

import (
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/quota"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// quota serves the older endpoints for roles' quotas (reference section 2.4).
func (s *Server) quota(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodGet, http.MethodPost, http.MethodDelete) {
		return
	}
	switch r.Method {
	case http.MethodGet:
		if v, ok := s.view(w, r); ok {
			s.json(w, r, quotaJSON(v))
		}
	case http.MethodPost:
		s.postQuota(w, r)
	default:
		s.deleteQuota(w, r)
	}
}

func quotaJSON(v *core.View) any {
	status := quotaStatus(v)
	infos, configs := []json.RawMessage{}, []json.RawMessage{}
	for i := range status.Infos {
		infos, configs = append(infos, raw(&status.Infos[i])), append(configs, raw(&status.Configs[i]))
	}
	return map[string]any{"infos": infos, "configs": configs}
}

func (s *Server) postQuota(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		refuse(w, http.StatusBadRequest, "Failed to parse set quota request JSON '%s': %s", clip(body), jsonFault(err))
		return
	}
	var request quota.QuotaRequest
	if err := codec.JSON.Unmarshal(body, &request); err != nil {
		refuse(w, http.StatusBadRequest, "Failed to validate set quota request JSON '%s': %s", clip(body), err)
		return
	}
	if request.Role == nil { // Mesos reads an absent role as the empty one
		request.Role = new(string)
	}
	s.ask(w, r, func(id core.RequestID) core.Event { return core.QuotaSet{Request: id, Quota: request} })
}

func (s *Server) deleteQuota(w http.ResponseWriter, r *http.Request) {
	path := "/master" + strings.TrimPrefix(r.URL.Path, "/master")
	role := strings.Trim(strings.TrimPrefix(path, "/master/quota"), "/")
	if role == "" {
		refuse(w, http.StatusBadRequest, "Failed to parse remove quota request for path '%s': expected 3 tokens, found 2 tokens", path)
		return
	}
	s.ask(w, r, func(id core.RequestID) core.Event { return core.QuotaRemoved{Request: id, Role: role, Path: path} })
}

// quotaStatus lists the quotas in the present form and, for old readers, the guarantees as resources.
func quotaStatus(v *core.View) quota.QuotaStatus {
	status := quota.QuotaStatus{Configs: v.Quotas}
	for i := range v.Quotas {
		c := &v.Quotas[i]
		info := quota.QuotaInfo{Role: &c.Role}
		for _, name := range sortedNames(c.Guarantees) {
			amount := c.Guarantees[name]
			info.Guarantee = append(info.Guarantee, mesos.Resource{Name: name, Type: mesos.SCALAR.Enum(), Scalar: &amount})
		}
		status.Infos = append(status.Infos, info)
	}
	return status
}

// decodeJSON reads a request body in JSON's form of a message; it answers the request when it can't.
func decodeJSON(w http.ResponseWriter, r *http.Request, m proto.Message) bool {
	body, ok := readBody(w, r)
	if !ok {
		return false
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(body, &object); err != nil || object == nil {
		refuse(w, http.StatusBadRequest, "%s", jsonFault(err))
		return false
	}
	if err := codec.JSON.Unmarshal(body, m); err != nil {
		refuse(w, http.StatusBadRequest, "%s", err)
		return false
	}
	return true
}

// jsonFault says what is wrong with a body that is not the kind of JSON that was expected.
func jsonFault(err error) string {
	if _, syntax := err.(*json.SyntaxError); syntax {
		return err.Error()
	}
	return "Unexpected JSON type parsed"
}

// clip is the part of a body that an error repeats.
func clip(body []byte) string {
	const most = 1024
	if len(body) > most {
		return string(body[:most]) + "..."
	}
	return string(body)
}
