package api

import (
	"net/http"

	"github.com/mesos/mesos-go/api/v1/lib/agent"
)

// operator serves /api/v1; reference section 4.7.
func (s *Server) operator(w http.ResponseWriter, r *http.Request) {
	call := &agent.Call{}
	if !decode(w, r, call, maxCall) {
		return
	}
	refuse(w, http.StatusNotImplemented, "501 Not Implemented.")
}
