package api

import (
	"github.com/mesos/mesos-go/api/v1/lib/master"

	"github.com/tombolo-project/tombolo/master/core"
)

// decision turns a call by which an operator decides something into the event that the
// master judges; nil if the call only reads (reference section 2.2).
func decision(call *master.Call) func(core.RequestID) core.Event {
	var make func(core.RequestID) core.Event
	switch call.Type {
	case master.Call_TEARDOWN:
		make = func(id core.RequestID) core.Event {
			return core.TornDown{Request: id, Framework: call.Teardown.FrameworkID.Value}
		}
	case master.Call_UPDATE_WEIGHTS:
		make = func(id core.RequestID) core.Event {
			return core.WeightsUpdated{Request: id, Weights: call.UpdateWeights.WeightInfos}
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
