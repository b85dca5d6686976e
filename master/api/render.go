package api

import (
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

// agentAdded is Event.agent_added.agent.agent_info.checkpoint; see checkpointing.
var agentAdded = []byte{5<<3 | 2, 6, 1<<3 | 2, 4, 1<<3 | 2, 2, 7 << 3, 1}

// renderAgentAdded writes an AGENT_ADDED event with what the vocabulary lacks.
func renderAgentAdded(c codec.Codec, e *master.Event) ([]byte, error) {
	data, err := c.Marshal(e)
	if err != nil {
		return nil, err
	}
	if c == codec.JSON {
		return withCheckpoint(data, `"agent_info":{`), nil
	}
	return append(data, agentAdded...), nil
}
