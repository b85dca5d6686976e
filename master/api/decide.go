package api

import (
	"math"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
)

// decision turns a call by which an operator decides something into the event that the
// master judges; nil if the call only reads (reference section 2.2).
func decision(call *master.Call) func(core.RequestID) core.Event {
	var make func(core.RequestID) core.Event
	switch call.Type {
	case master.Call_DRAIN_AGENT, master.Call_DEACTIVATE_AGENT, master.Call_REACTIVATE_AGENT, master.Call_MARK_AGENT_GONE:
		return agentDecision(call)
	case master.Call_TEARDOWN:
		make = func(id core.RequestID) core.Event {
			return core.TornDown{Request: id, Framework: call.Teardown.FrameworkID.Value}
		}
	case master.Call_UPDATE_WEIGHTS:
		make = func(id core.RequestID) core.Event {
			return core.WeightsUpdated{Request: id, Weights: call.UpdateWeights.WeightInfos}
		}
	case master.Call_UPDATE_MAINTENANCE_SCHEDULE:
		make = func(id core.RequestID) core.Event {
			return core.ScheduleWanted{Request: id, Windows: call.UpdateMaintenanceSchedule.Schedule.Windows}
		}
	case master.Call_START_MAINTENANCE:
		make = func(id core.RequestID) core.Event {
			return core.MachinesDownWanted{Request: id, Machines: call.StartMaintenance.Machines}
		}
	case master.Call_STOP_MAINTENANCE:
		make = func(id core.RequestID) core.Event {
			return core.MachinesUpWanted{Request: id, Machines: call.StopMaintenance.Machines}
		}
	case master.Call_UPDATE_QUOTA:
		make = func(id core.RequestID) core.Event {
			return core.QuotaUpdated{Request: id, Configs: call.UpdateQuota.QuotaConfigs, Force: call.UpdateQuota.GetForce()}
		}
	case master.Call_SET_QUOTA:
		make = func(id core.RequestID) core.Event {
			return core.QuotaSet{Request: id, Quota: call.SetQuota.QuotaRequest}
		}
	case master.Call_REMOVE_QUOTA:
		make = func(id core.RequestID) core.Event {
			return core.QuotaRemoved{Request: id, Role: call.RemoveQuota.Role}
		}
	}
	return make
}

// agentDecision is decision for what concerns one agent.
func agentDecision(call *master.Call) func(core.RequestID) core.Event {
	return func(id core.RequestID) core.Event {
		switch call.Type {
		case master.Call_DRAIN_AGENT:
			markGone := call.DrainAgent.GetMarkGone()
			config := mesos.DrainConfig{MarkGone: &markGone}
			if d := call.DrainAgent.MaxGracePeriod; d != nil {
				config.MaxGracePeriod = &mesos.DurationInfo{Nanoseconds: nanoseconds(d.Seconds, d.Nanos)}
			}
			return core.DrainWanted{Request: id, Agent: call.DrainAgent.AgentID.Value, Config: config}
		case master.Call_DEACTIVATE_AGENT:
			return core.DeactivationWanted{Request: id, Agent: call.DeactivateAgent.AgentID.Value}
		case master.Call_REACTIVATE_AGENT:
			return core.ReactivationWanted{Request: id, Agent: call.ReactivateAgent.AgentID.Value}
		default:
			return core.GoneWanted{Request: id, Agent: call.MarkAgentGone.AgentID.Value}
		}
	}
}

// nanoseconds is a duration of whole seconds and a rest, cut to what 64 bits hold.
func nanoseconds(seconds int64, rest int32) int64 {
	const most = math.MaxInt64/int64(1e9) - 2
	return min(max(seconds, -most), most)*1e9 + int64(rest)
}
