package api

import (
	"encoding/binary"
	"encoding/json"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/mesos/codec"
)

// render writes a message in the form of c. In JSON lists that readers rely on are there
// even when they are empty; forms.go has those of the larger answers.
func render(c codec.Codec, m proto.Message) ([]byte, error) {
	if e, ok := m.(*master.Event); ok && e.Type == master.Event_AGENT_ADDED {
		return renderAgentAdded(c, e)
	}
	r, ok := m.(*master.Response)
	if c != codec.JSON || !ok || r.Type != master.Response_GET_ROLES {
		return c.Marshal(m)
	}
	roles := make([]json.RawMessage, 0, len(r.GetRoles.Roles))
	for i := range r.GetRoles.Roles {
		roles = append(roles, raw(&r.GetRoles.Roles[i]))
	}
	return json.Marshal(map[string]any{"type": r.Type.String(), "get_roles": map[string]any{"roles": roles}})
}

// renderAgentAdded writes an AGENT_ADDED event with what the vocabulary lacks.
func renderAgentAdded(c codec.Codec, e *master.Event) ([]byte, error) {
	if c == codec.JSON {
		data, err := c.Marshal(e)
		return withCheckpoint(data, `"agent_info":{`), err
	}
	agent := agentBytes(&e.AgentAdded.Agent)
	var inner, t text
	inner.tag(1, len(agent))
	t = binary.AppendUvarint(append(t, 1<<3), uint64(e.Type))
	t.tag(5, len(inner)+len(agent))
	return append(append(t, inner...), agent...), nil
}
