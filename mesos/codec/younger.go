package codec

import "github.com/mesos/mesos-go/api/v1/lib"

// Names of enum values that are younger than the vocabulary's module. The maps are
// those that the generated code reads, so the JSON form knows the names, too.
func init() {
	mesos.MasterInfo_Capability_Type_name[int32(MasterQuotaV2)] = "QUOTA_V2"
	mesos.MasterInfo_Capability_Type_value["QUOTA_V2"] = int32(MasterQuotaV2)
}

// MasterQuotaV2 is the capability of masters that know quota limits (Mesos 1.9).
const MasterQuotaV2 mesos.MasterInfo_Capability_Type = 3
