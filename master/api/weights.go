package api

import (
	"encoding/json"
	"net/http"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// weights serves the older endpoint for roles' weights (reference 2.4).
func (s *Server) weights(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodGet, http.MethodPut) {
		return
	}
	if r.Method == http.MethodGet {
		if v, ok := s.view(w, r); ok {
			list := []json.RawMessage{}
			for i := range v.Weights {
				list = append(list, raw(&v.Weights[i]))
			}
			s.json(w, r, list)
		}
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	var list []json.RawMessage
	if err := json.Unmarshal(body, &list); err != nil || list == nil {
		refuse(w, http.StatusBadRequest, "Failed to parse update weights request: a JSON array of {\"role\", \"weight\"} is expected")
		return
	}
	weights := make([]mesos.WeightInfo, len(list))
	for i, item := range list {
		if err := codec.JSON.Unmarshal(item, &weights[i]); err != nil {
			refuse(w, http.StatusBadRequest, "Failed to convert element %d of the weights: %s", i, err)
			return
		}
	}
	s.ask(w, r, func(id core.RequestID) core.Event { return core.WeightsUpdated{Request: id, Weights: weights} })
}
