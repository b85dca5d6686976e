package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// This file is how operators reserve resources and make volumes: the calls of the operator API (reference rows OP1-18 to
// OP1-21), and the endpoints that do the same from before (reference 2.4).

// operation reads a call that is an offer operation, and the agent it is for; ok is false for all other calls.
func operation(c *master.Call) (agent *mesos.AgentID, op *mesos.Offer_Operation, ok bool) {
	switch c.Type {
	case master.Call_RESERVE_RESOURCES:
		m := c.ReserveResources
		return &m.AgentID, reserve(m.Source, m.Resources), true
	case master.Call_UNRESERVE_RESOURCES:
		m := c.UnreserveResources
		return &m.AgentID, unreserve(m.Resources), true
	case master.Call_CREATE_VOLUMES:
		m := c.CreateVolumes
		return &m.AgentID, create(m.Volumes), true
	case master.Call_DESTROY_VOLUMES:
		m := c.DestroyVolumes
		return &m.AgentID, destroy(m.Volumes), true
	case master.Call_GROW_VOLUME:
		m := c.GrowVolume
		return m.AgentID, &mesos.Offer_Operation{Type: mesos.Offer_Operation_GROW_VOLUME,
			GrowVolume: &mesos.Offer_Operation_GrowVolume{Volume: m.Volume, Addition: m.Addition}}, true
	case master.Call_SHRINK_VOLUME:
		m := c.ShrinkVolume
		return m.AgentID, &mesos.Offer_Operation{Type: mesos.Offer_Operation_SHRINK_VOLUME,
			ShrinkVolume: &mesos.Offer_Operation_ShrinkVolume{Volume: m.Volume, Subtract: m.Subtract}}, true
	default:
		return nil, nil, false
	}
}

func reserve(source, list []mesos.Resource) *mesos.Offer_Operation {
	return &mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Source: source, Resources: list}}
}

func unreserve(list []mesos.Resource) *mesos.Offer_Operation {
	return &mesos.Offer_Operation{Type: mesos.Offer_Operation_UNRESERVE, Unreserve: &mesos.Offer_Operation_Unreserve{Resources: list}}
}

func create(list []mesos.Resource) *mesos.Offer_Operation {
	return &mesos.Offer_Operation{Type: mesos.Offer_Operation_CREATE, Create: &mesos.Offer_Operation_Create{Volumes: list}}
}

func destroy(list []mesos.Resource) *mesos.Offer_Operation {
	return &mesos.Offer_Operation{Type: mesos.Offer_Operation_DESTROY, Destroy: &mesos.Offer_Operation_Destroy{Volumes: list}}
}

// operate serves a call that operation has read.
func (s *Server) operate(w http.ResponseWriter, r *http.Request, agent *mesos.AgentID, op *mesos.Offer_Operation) {
	if err := validOperationCall(agent, op); err != nil {
		refuse(w, http.StatusBadRequest, "Failed to validate master::Call: %s", err)
		return
	}
	s.ask(w, r, func(id core.RequestID) core.Event {
		return core.OperationRequested{Request: id, AgentID: agent.GetValue(), Operation: op, Principal: principalName(r)}
	})
}

// validOperationCall checks what Mesos checks before it looks for the agent.
func validOperationCall(agent *mesos.AgentID, op *mesos.Offer_Operation) error {
	switch op.Type {
	case mesos.Offer_Operation_RESERVE, mesos.Offer_Operation_UNRESERVE:
		return operations.Validate(operations.Resources(op))
	case mesos.Offer_Operation_GROW_VOLUME, mesos.Offer_Operation_SHRINK_VOLUME:
		if agent == nil {
			return fmt.Errorf("Expecting 'agent_id' to be present; only agent default resources are supported right now")
		}
	}
	return nil
}

// routeOperations installs the older endpoints.
func (s *Server) routeOperations(both func(string, http.HandlerFunc)) {
	both("/reserve", s.form("resources", "Error parsing", func(list []mesos.Resource, f url.Values) (*mesos.Offer_Operation, error) {
		if !f.Has("source") {
			return reserve(nil, list), nil
		}
		source, err := resourceField(f, "source", "Error parsing")
		return reserve(source, list), err
	}))
	plain := func(make func([]mesos.Resource) *mesos.Offer_Operation) func([]mesos.Resource, url.Values) (*mesos.Offer_Operation, error) {
		return func(list []mesos.Resource, _ url.Values) (*mesos.Offer_Operation, error) { return make(list), nil }
	}
	both("/unreserve", s.form("resources", "Error in parsing", plain(unreserve)))
	both("/create-volumes", s.form("volumes", "Error in parsing", plain(create)))
	both("/destroy-volumes", s.form("volumes", "Error in parsing", plain(destroy)))
}

// form serves an endpoint whose body is a form with slaveId and a JSON array of resources.
func (s *Server) form(field, complaint string, make func([]mesos.Resource, url.Values) (*mesos.Offer_Operation, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !methods(w, r, http.MethodPost) {
			return
		}
		body, ok := readBody(w, r)
		if !ok {
			return
		}
		f, err := url.ParseQuery(string(body)) // whatever the Content-Type, as Mesos
		if err != nil {
			refuse(w, http.StatusBadRequest, "Unable to decode query string: %s", err)
			return
		}
		if !f.Has("slaveId") {
			refuse(w, http.StatusBadRequest, "Missing 'slaveId' query parameter in the request body")
			return
		}
		list, err := resourceField(f, field, complaint)
		var op *mesos.Offer_Operation
		if err == nil {
			op, err = make(list, f)
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, "%s", err)
			return
		}
		s.ask(w, r, func(id core.RequestID) core.Event {
			return core.OperationRequested{Request: id, AgentID: f.Get("slaveId"), Operation: op, Principal: principalName(r)}
		})
	}
}

// resourceField reads a JSON array of resources.
func resourceField(f url.Values, field, complaint string) ([]mesos.Resource, error) {
	if !f.Has(field) {
		return nil, fmt.Errorf("Missing '%s' query parameter in the request body", field)
	}
	var items []json.RawMessage
	if err := json.Unmarshal([]byte(f.Get(field)), &items); err != nil {
		return nil, fmt.Errorf("%s '%s' query parameter in the request body: %w", complaint, field, err)
	}
	list := make([]mesos.Resource, len(items))
	for i, item := range items {
		if err := codec.JSON.Unmarshal(item, &list[i]); err != nil {
			return nil, fmt.Errorf("%s '%s' query parameter in the request body: %w", complaint, field, err)
		}
	}
	return list, nil
}

// operationsMessage is the answer to GET_OPERATIONS (reference row OP1-13).
func operationsMessage(v *core.View) *master.Response_GetOperations {
	m := &master.Response_GetOperations{}
	for _, o := range v.Operations {
		m.Operations = append(m.Operations, *o)
	}
	return m
}
