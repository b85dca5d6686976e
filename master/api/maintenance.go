package api

import (
	"encoding/json"
	"net/http"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/maintenance"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// maintenanceSchedule serves the older endpoint for the maintenance schedule (reference section 2.4).
func (s *Server) maintenanceSchedule(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodGet, http.MethodPost) {
		return
	}
	if r.Method == http.MethodGet {
		if v, ok := s.view(w, r); ok {
			s.json(w, r, raw(&maintenance.Schedule{Windows: v.Schedule}))
		}
		return
	}
	var schedule maintenance.Schedule
	if decodeJSON(w, r, &schedule) {
		s.ask(w, r, func(id core.RequestID) core.Event { return core.ScheduleWanted{Request: id, Windows: schedule.Windows} })
	}
}

// maintenanceStatus serves the older endpoint for what is under maintenance.
func (s *Server) maintenanceStatus(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodGet) {
		return
	}
	if v, ok := s.view(w, r); ok {
		s.json(w, r, raw(&v.Maintenance))
	}
}

func (s *Server) machineDown(w http.ResponseWriter, r *http.Request) {
	if list, ok := machineList(w, r); ok {
		s.ask(w, r, func(id core.RequestID) core.Event { return core.MachinesDownWanted{Request: id, Machines: list} })
	}
}

func (s *Server) machineUp(w http.ResponseWriter, r *http.Request) {
	if list, ok := machineList(w, r); ok {
		s.ask(w, r, func(id core.RequestID) core.Event { return core.MachinesUpWanted{Request: id, Machines: list} })
	}
}

// machineList reads a JSON array of machines; it answers the request when it can't.
func machineList(w http.ResponseWriter, r *http.Request) ([]mesos.MachineID, bool) {
	if !methods(w, r, http.MethodPost) {
		return nil, false
	}
	body, ok := readBody(w, r)
	if !ok {
		return nil, false
	}
	var items []json.RawMessage
	if err := json.Unmarshal(body, &items); err != nil || items == nil {
		refuse(w, http.StatusBadRequest, "%s", jsonFault(err))
		return nil, false
	}
	list := make([]mesos.MachineID, len(items))
	for i, item := range items {
		if err := codec.JSON.Unmarshal(item, &list[i]); err != nil {
			refuse(w, http.StatusBadRequest, "%s", err)
			return nil, false
		}
	}
	return list, true
}
