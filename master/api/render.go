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
