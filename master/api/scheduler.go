package api

import (
	"fmt"
	"net/http"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/security"
	"github.com/tombolo-project/tombolo/security/authn"
)

const streamIDHeader = "Mesos-Stream-Id"

// scheduler serves the v1 scheduler API: the checks of reference section 1.1 that
// need no knowledge of the datacenter, then the call itself.
func (s *Server) scheduler(w http.ResponseWriter, r *http.Request) {
	if !methods(w, r, http.MethodPost) {
		return
	}
	call := &scheduler.Call{}
	c, body, ok := decode(w, r, call)
	if !ok {
		return
	}
	wanted, err := constraintsIn(c, call, body)
	if err != nil {
		refuse(w, http.StatusBadRequest, "Failed to parse body into Call: %s", err)
		return
	}
	if c == codec.JSON {
		markUnknown(call, body)
	}
	principal := authn.PrincipalOf(r.Context())
	if err = ValidCall(call); err == nil {
		err = samePrincipal(call, principal)
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, "Failed to validate scheduler::Call: %s", err)
		return
	}
	if call.Type == scheduler.Call_SUBSCRIBE {
		s.subscribe(w, r, call, wanted)
		return
	}
	if call.Type == scheduler.Call_RECONCILE_OPERATIONS {
		if _, err := codec.ForAccept(r.Header.Get("Accept")); err != nil {
			refuse(w, http.StatusNotAcceptable, "%s", err)
			return
		}
	}
	s.ask(w, r, func(id core.RequestID) core.Event {
		return core.SchedulerCalled{Request: id, Stream: core.StreamID(r.Header.Get(streamIDHeader)), Call: call, Constraints: wanted, Principal: principal}
	})
}

// subscribe opens a scheduler's event stream (reference rows SCH-10, SCH-11).
func (s *Server) subscribe(w http.ResponseWriter, r *http.Request, call *scheduler.Call, wanted *constraints.OfferConstraints) {
	c, err := codec.ForAccept(r.Header.Get("Accept"))
	if err != nil {
		refuse(w, http.StatusNotAcceptable, "%s", err)
		return
	}
	if r.Header.Get(streamIDHeader) != "" {
		refuse(w, http.StatusBadRequest, "Subscribe calls should not include the '%s' header", streamIDHeader)
		return
	}
	id, stream := core.StreamID(uuid.NewString()), NewSchedulerStream()
	w.Header().Set(streamIDHeader, string(id))
	s.backend.Subscribe(stream, core.SchedulerSubscribed{Stream: id, Call: call, Constraints: wanted, Principal: authn.PrincipalOf(r.Context())})
	err = stream.serve(r.Context(), w, c)
	s.backend.Unsubscribe(id, err)
}

// samePrincipal checks that a framework that names a principal is the one that authenticated (reference row SCH-13).
func samePrincipal(c *scheduler.Call, p security.Principal) error {
	if c.Type != scheduler.Call_SUBSCRIBE || p.Anonymous() {
		return nil
	}
	named := c.Subscribe.FrameworkInfo.Principal
	if named == nil || *named == p.Name {
		return nil
	}
	return fmt.Errorf("Authenticated principal '%s' does not match principal '%s' set in `FrameworkInfo`", p.Name, *named) //nolint:staticcheck // Mesos's text
}

// ValidCall checks that a call has what its type needs (reference section 1.2).
func ValidCall(c *scheduler.Call) error {
	if _, known := scheduler.Call_Type_name[int32(c.Type)]; !known || c.Type == scheduler.Call_UNKNOWN {
		return fmt.Errorf("Expecting 'type' to be present")
	}
	if c.Type == scheduler.Call_SUBSCRIBE {
		return validSubscribe(c)
	}
	if c.FrameworkID == nil {
		return fmt.Errorf("Expecting 'framework_id' to be present")
	}
	if name, there := payload(c); !there {
		return fmt.Errorf("Expecting '%s' to be present", name)
	}
	switch c.Type {
	case scheduler.Call_ACCEPT:
		return validAccept(c.Accept)
	case scheduler.Call_ACKNOWLEDGE:
		return validUUID(c.Acknowledge.UUID)
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		if c.AcknowledgeOperationStatus.AgentID == nil {
			return fmt.Errorf("Expecting 'agent_id' to be present")
		}
		return validUUID(c.AcknowledgeOperationStatus.UUID)
	case scheduler.Call_UPDATE_FRAMEWORK:
		if c.UpdateFramework.FrameworkInfo.GetID().GetValue() != c.FrameworkID.Value {
			return fmt.Errorf("'update_framework.framework_info.id' differs from 'framework_id'")
		}
	}
	return nil
}

func validSubscribe(c *scheduler.Call) error {
	if c.Subscribe == nil {
		return fmt.Errorf("Expecting 'subscribe' to be present")
	}
	info := c.Subscribe.FrameworkInfo
	if info == nil {
		return fmt.Errorf("Expecting 'subscribe.framework_info' to be present")
	}
	if info.GetID().GetValue() != c.GetFrameworkID().GetValue() {
		return fmt.Errorf("'framework_id' differs from 'subscribe.framework_info.id'")
	}
	return nil
}

// validAccept checks that each operation has what its type needs (reference row ACC-09).
func validAccept(a *scheduler.Call_Accept) error {
	for i := range a.Operations {
		op := &a.Operations[i]
		there := true
		switch op.Type {
		case mesos.Offer_Operation_LAUNCH:
			there = op.Launch != nil
		case mesos.Offer_Operation_LAUNCH_GROUP:
			there = op.LaunchGroup != nil
		case mesos.Offer_Operation_UNKNOWN:
			return fmt.Errorf("Expecting 'type' of accept.operations[%d] to be present", i)
		}
		if !there {
			return fmt.Errorf("Expecting the payload of accept.operations[%d] of type %s to be present", i, op.Type)
		}
	}
	return nil
}

// payload says whether the sub-message that a call's type needs is there, and how it is called.
func payload(c *scheduler.Call) (name string, there bool) {
	switch c.Type {
	case scheduler.Call_ACCEPT:
		return "accept", c.Accept != nil
	case scheduler.Call_DECLINE:
		return "decline", c.Decline != nil
	case scheduler.Call_KILL:
		return "kill", c.Kill != nil
	case scheduler.Call_SHUTDOWN:
		return "shutdown", c.Shutdown != nil
	case scheduler.Call_ACKNOWLEDGE:
		return "acknowledge", c.Acknowledge != nil
	case scheduler.Call_RECONCILE:
		return "reconcile", c.Reconcile != nil
	case scheduler.Call_MESSAGE:
		return "message", c.Message != nil
	case scheduler.Call_REQUEST:
		return "request", c.Request != nil
	case scheduler.Call_ACCEPT_INVERSE_OFFERS:
		return "accept_inverse_offers", c.AcceptInverseOffers != nil
	case scheduler.Call_DECLINE_INVERSE_OFFERS:
		return "decline_inverse_offers", c.DeclineInverseOffers != nil
	case scheduler.Call_ACKNOWLEDGE_OPERATION_STATUS:
		return "acknowledge_operation_status", c.AcknowledgeOperationStatus != nil
	case scheduler.Call_RECONCILE_OPERATIONS:
		return "reconcile_operations", c.ReconcileOperations != nil
	case scheduler.Call_UPDATE_FRAMEWORK:
		return "update_framework", c.UpdateFramework != nil
	default: // TEARDOWN, REVIVE and SUPPRESS need none
		return "", true
	}
}

func validUUID(u []byte) error {
	if len(u) != 16 {
		return fmt.Errorf("Not a valid UUID: it has %d bytes instead of 16", len(u))
	}
	if version := u[6] >> 4; version < 1 || version > 5 {
		return fmt.Errorf("Not a valid UUID: its version is %d", version)
	}
	return nil
}

// constraintsIn reads the offer constraints of a SUBSCRIBE or UPDATE_FRAMEWORK, which are
// younger than the vocabulary, from the body that the call came from.
func constraintsIn(c codec.Codec, call *scheduler.Call, body []byte) (*constraints.OfferConstraints, error) {
	if call.Type != scheduler.Call_SUBSCRIBE && call.Type != scheduler.Call_UPDATE_FRAMEWORK {
		return nil, nil
	}
	var carrier constraints.Carrier
	if err := c.Unmarshal(body, &carrier); err != nil {
		return nil, err
	}
	return carrier.Get(), nil
}
