package messages

import (
	"reflect"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
)

func ptr[T any](v T) *T { return &v }

func TestMessagesSurviveTheWire(t *testing.T) {
	uuid := []byte("0123456789abcdef")
	for _, m := range []proto.Message{
		&RegisterSlaveMessage{
			Agent: mesos.AgentInfo{Hostname: "h", Port: ptr(int32(5051)), Resources: []mesos.Resource{
				{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 1.5}},
			}},
			Version:             ptr("1.11.0"),
			AgentCapabilities:   []mesos.AgentInfo_Capability{{Type: mesos.AgentInfo_Capability_MULTI_ROLE}},
			ResourceVersionUUID: &mesos.UUID{Value: uuid},
		},
		&ReregisterSlaveMessage{
			Agent: mesos.AgentInfo{Hostname: "h"},
			Tasks: []mesos.Task{{Name: "t", TaskID: mesos.TaskID{Value: "1"}, State: mesos.TASK_RUNNING.Enum()}},
		},
		&StatusUpdateMessage{
			Update: StatusUpdate{
				FrameworkID: mesos.FrameworkID{Value: "f"},
				Status:      mesos.TaskStatus{TaskID: mesos.TaskID{Value: "1"}, State: mesos.TASK_LOST.Enum()},
				Timestamp:   1.25,
				UUID:        uuid,
				LatestState: mesos.TASK_FINISHED.Enum(),
			},
			PID: ptr("slave(1)@127.0.0.1:5051"),
		},
		&PingSlaveMessage{Connected: true},
		&PongSlaveMessage{},
		&SlaveReregisteredMessage{
			AgentID:         mesos.AgentID{Value: "S0"},
			Reconciliations: []ReconcileTasksMessage{{FrameworkID: mesos.FrameworkID{Value: "f"}}},
			Connection:      &MasterSlaveConnection{TotalPingTimeoutSeconds: ptr(75.0)},
		},
		&UpdateSlaveMessage{AgentID: mesos.AgentID{Value: "S0"}, ResourceProviders: &UpdateSlaveMessage_ResourceProviders{}},
	} {
		wire, err := proto.Marshal(m)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		got, err := Decode(NameOf(m), wire)
		if err != nil {
			t.Fatalf("%T: %v", m, err)
		}
		if !reflect.DeepEqual(got, m) {
			t.Errorf("%T: got %v, want %v", m, got, m)
		}
	}
}

// The bytes that libprocess itself would send: field 1, length-delimited, true.
func TestPingIsBytewiseMesos(t *testing.T) {
	wire, err := proto.Marshal(&PingSlaveMessage{Connected: true})
	if err != nil || string(wire) != "\x08\x01" {
		t.Fatalf("got %x, %v", wire, err)
	}
}

func TestDecodeRefusesWhatIsNoMessage(t *testing.T) {
	if _, err := Decode("mesos.internal.NoSuchMessage", nil); err == nil {
		t.Error("an unknown name was taken")
	}
	if _, err := Decode("mesos.internal.SlaveRegisteredMessage", []byte{}); err == nil {
		t.Error("a missing required field was taken")
	}
	if _, err := Decode("mesos.internal.RunTaskMessage", []byte("\xff\xff")); err == nil {
		t.Error("rubbish was taken")
	}
}

func FuzzDecode(f *testing.F) {
	for name := range kinds {
		f.Add(name, []byte{0x0a, 0x00})
	}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		m, err := Decode(name, body)
		if err != nil {
			return
		}
		if _, err := proto.Marshal(m); err != nil {
			t.Fatalf("%s: decoded but does not encode: %v", name, err)
		}
	})
}
