package codec

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
)

func TestYoungerEnumValuesHaveNames(t *testing.T) {
	data, err := JSON.Marshal(&mesos.MasterInfo_Capability{Type: MasterQuotaV2})
	if err != nil || string(data) != `{"type":"QUOTA_V2"}` {
		t.Fatalf("%s, %v", data, err)
	}
	var back mesos.MasterInfo_Capability
	if err := JSON.Unmarshal(data, &back); err != nil || back.Type != MasterQuotaV2 {
		t.Fatalf("%v, %v", back, err)
	}
}
