package api

import (
	"encoding/json"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
	"github.com/tombolo-project/tombolo/mesos/constraints"
)

// This file writes the answers with lists of tasks, frameworks, executors and
// agents as Mesos does in JSON: a list is there even when it is empty, which
// readers rely on, and a framework has offer_constraints.

// response is a Response together with what its frameworks' messages have no field for.
type response struct {
	*master.Response
	constraints map[string]*constraints.OfferConstraints // by framework id
}

// constraintsOf collects the offer constraints of all frameworks.
func constraintsOf(v *core.View) map[string]*constraints.OfferConstraints {
	found := map[string]*constraints.OfferConstraints{}
	for _, list := range [][]*core.FrameworkView{v.Frameworks, v.Completed} {
		for _, f := range list {
			if f.Constraints != nil {
				found[f.ID()] = f.Constraints
			}
		}
	}
	return found
}

// render writes a message in the form of c.
func render(c codec.Codec, m proto.Message) ([]byte, error) {
	if c == codec.JSON {
		if shown := shape(m); shown != nil {
			return json.Marshal(shown)
		}
	}
	if a, ok := m.(response); ok {
		m = a.Response
	}
	return c.Marshal(m)
}

// shape is the JSON object for the messages that need one of their own, else nil.
func shape(m proto.Message) any {
	switch m := m.(type) {
	case response:
		return shapeResponse(m.Response, m.constraints)
	case *master.Response:
		return shapeResponse(m, nil)
	case *master.Event:
		if m.Type != master.Event_SUBSCRIBED {
			return nil
		}
		return map[string]any{"type": "SUBSCRIBED", "subscribed": map[string]any{
			"get_state": shapeState(m.Subscribed.GetState, nil), "heartbeat_interval_seconds": m.Subscribed.HeartbeatIntervalSeconds,
		}}
	}
	return nil
}

func shapeResponse(m *master.Response, wants map[string]*constraints.OfferConstraints) any {
	answer := map[string]any{"type": m.Type.String()}
	switch m.Type {
	case master.Response_GET_STATE:
		answer["get_state"] = shapeState(m.GetState, wants)
	case master.Response_GET_TASKS:
		answer["get_tasks"] = shapeTasks(m.GetTasks)
	case master.Response_GET_FRAMEWORKS:
		answer["get_frameworks"] = shapeFrameworks(m.GetFrameworks, wants)
	case master.Response_GET_EXECUTORS:
		answer["get_executors"] = shapeExecutors(m.GetExecutors)
	case master.Response_GET_AGENTS:
		answer["get_agents"] = shapeAgents(m.GetAgents)
	case master.Response_GET_ROLES:
		answer["get_roles"] = map[string]any{"roles": items(m.GetRoles.Roles, func(x *mesos.Role) proto.Message { return x })}
	default:
		return nil
	}
	return answer
}

func shapeState(m *master.Response_GetState, wants map[string]*constraints.OfferConstraints) any {
	return map[string]any{
		"get_tasks": shapeTasks(m.GetTasks), "get_executors": shapeExecutors(m.GetExecutors),
		"get_frameworks": shapeFrameworks(m.GetFrameworks, wants), "get_agents": shapeAgents(m.GetAgents),
	}
}

func shapeTasks(m *master.Response_GetTasks) any {
	task := func(x *mesos.Task) proto.Message { return x }
	return map[string]any{
		"tasks": items(m.Tasks, task), "unreachable_tasks": items(m.UnreachableTasks, task), "completed_tasks": items(m.CompletedTasks, task),
	}
}

func shapeExecutors(m *master.Response_GetExecutors) any {
	return map[string]any{"executors": items(m.Executors, func(x *master.Response_GetExecutors_Executor) proto.Message { return x })}
}

func shapeAgents(m *master.Response_GetAgents) any {
	return map[string]any{
		"agents":           items(m.Agents, func(x *master.Response_GetAgents_Agent) proto.Message { return x }),
		"recovered_agents": items(m.RecoveredAgents, func(x *mesos.AgentInfo) proto.Message { return x }),
	}
}

func shapeFrameworks(m *master.Response_GetFrameworks, wants map[string]*constraints.OfferConstraints) any {
	list := func(frameworks []master.Response_GetFrameworks_Framework) []json.RawMessage {
		out := items(frameworks, func(x *master.Response_GetFrameworks_Framework) proto.Message { return x })
		for i, f := range out {
			c := json.RawMessage("{}")
			if want := wants[frameworks[i].FrameworkInfo.GetID().GetValue()]; want != nil {
				c = raw(want)
			}
			out[i] = append(append(append(f[:len(f)-1:len(f)-1], `,"offer_constraints":`...), c...), '}')
		}
		return out
	}
	return map[string]any{"frameworks": list(m.Frameworks), "completed_frameworks": list(m.CompletedFrameworks)}
}

// items renders each element of a list.
func items[T any](list []T, message func(*T) proto.Message) []json.RawMessage {
	out := make([]json.RawMessage, 0, len(list))
	for i := range list {
		out = append(out, raw(message(&list[i])))
	}
	return out
}
