package messages

import (
	"reflect"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protowire"
)

// driverSubscribe is what libmesos sends: framework_info 1, force 2, suppressed_roles 3, offer_constraints 4.
func driverSubscribe(t testing.TB, info *mesos.FrameworkInfo) []byte {
	encoded, err := info.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	subscribe := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), encoded)
	subscribe = protowire.AppendVarint(protowire.AppendTag(subscribe, 2, protowire.VarintType), 1)
	subscribe = protowire.AppendString(protowire.AppendTag(subscribe, 3, protowire.BytesType), "quiet")
	subscribe = protowire.AppendBytes(protowire.AppendTag(subscribe, 4, protowire.BytesType), []byte{10, 0})
	call := protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), uint64(scheduler.Call_SUBSCRIBE))
	return protowire.AppendBytes(protowire.AppendTag(call, 3, protowire.BytesType), subscribe)
}

func TestADriversSubscribe(t *testing.T) {
	info := &mesos.FrameworkInfo{User: "u", Name: "n", Roles: []string{"quiet", "loud"}}
	m, err := Decode("mesos.scheduler.Call", driverSubscribe(t, info))
	if err != nil {
		t.Fatal(err)
	}
	c := m.(*DriverCall)
	if !c.Force || c.Call.Type != scheduler.Call_SUBSCRIBE || !c.Call.Subscribe.FrameworkInfo.Equal(info) ||
		!reflect.DeepEqual(c.Call.Subscribe.SuppressedRoles, []string{"quiet"}) {
		t.Errorf("got %+v", c)
	}
}

// Any other call is the v1 one, byte for byte.
func TestADriversOtherCalls(t *testing.T) {
	call := scheduler.Call{Type: scheduler.Call_KILL, FrameworkID: &mesos.FrameworkID{Value: "f"}, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: "t"}}}
	body, err := call.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m, err := Decode("mesos.scheduler.Call", body)
	if err != nil {
		t.Fatal(err)
	}
	if c := m.(*DriverCall); !c.Call.Equal(call) || string(c.V1) != string(body) {
		t.Errorf("got %+v", c)
	}
}

func FuzzDriverCall(f *testing.F) {
	f.Add(driverSubscribe(f, &mesos.FrameworkInfo{User: "u", Name: "n"}))
	f.Add([]byte{0x1a, 0xff})
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := Decode("mesos.scheduler.Call", body)
		if err != nil {
			return
		}
		var again scheduler.Call
		if err := again.Unmarshal(m.(*DriverCall).V1); err != nil {
			t.Errorf("its v1 form does not parse: %v", err)
		}
	})
}
