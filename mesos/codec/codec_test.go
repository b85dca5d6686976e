package codec

import (
	"errors"
	"math"
	"math/rand"
	"reflect"
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
)

// Every message that mesos-go can make at random comes back the same through both
// codecs, and JSON says what protocol buffers say.
func TestRandomMessagesSurvive(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	makers := []func() proto.Message{
		func() proto.Message { return scheduler.NewPopulatedCall(random, true) },
		func() proto.Message { return scheduler.NewPopulatedEvent(random, true) },
		func() proto.Message { return master.NewPopulatedResponse(random, true) },
		func() proto.Message { return mesos.NewPopulatedTaskInfo(random, true) },
	}
	for i := range 60 {
		m := makers[i%len(makers)]()
		wire, err := Protobuf.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		text, err := JSON.Marshal(m)
		if err != nil {
			if strings.Contains(err.Error(), "NaN") {
				continue
			}
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(m).Elem()).Interface().(proto.Message)
		if err := JSON.Unmarshal(text, back); err != nil {
			t.Fatalf("%T: %v\n%s", m, err, text)
		}
		again, err := JSON.Marshal(back)
		if err != nil || string(again) != string(text) {
			t.Fatalf("%T: changed on the way:\n%s\n%s (%v)", m, text, again, err)
		}
		binary := reflect.New(reflect.TypeOf(m).Elem()).Interface().(proto.Message)
		if err := Protobuf.Unmarshal(wire, binary); err != nil {
			t.Fatal(err)
		}
		if third, _ := JSON.Marshal(binary); string(third) != string(text) {
			t.Fatalf("%T: the codecs disagree:\n%s\n%s", m, text, third)
		}
	}
}

func TestMesosJSON(t *testing.T) {
	grace := 1.5
	call := &scheduler.Call{
		Type:        scheduler.Call_DECLINE,
		FrameworkID: &mesos.FrameworkID{Value: "a/b\"\n"},
		Decline:     &scheduler.Call_Decline{OfferIDs: []mesos.OfferID{{Value: "O1"}}, Filters: &mesos.Filters{RefuseSeconds: &grace}},
	}
	text, err := JSON.Marshal(call)
	want := `{"framework_id":{"value":"a/b\"\n"},"type":"DECLINE","decline":{"offer_ids":[{"value":"O1"}],"filters":{"refuse_seconds":1.5}}}`
	if err != nil || string(text) != want {
		t.Fatalf("got  %s, %v\nwant %s", text, err, want)
	}
	text, _ = JSON.Marshal(&mesos.Value_Scalar{Value: 4})
	if string(text) != `{"value":4.0}` {
		t.Errorf("whole double: %s", text)
	}
	text, _ = JSON.Marshal(&mesos.TaskInfo{Limits: map[string]mesos.Value_Scalar{"mem": {Value: math.Inf(1)}}})
	if !strings.Contains(string(text), `"limits":{"mem":{"value":"Infinity"}}`) {
		t.Errorf("infinite limit: %s", text)
	}
}

func TestUnmarshalIsAsStrictAsMesos(t *testing.T) {
	for _, tc := range []struct{ text, err string }{
		{`{"type":"KILL","kill":{"task_id":{"value":"1"}}}`, ""},
		{`{"type":"REVIVE","unknown":[1,2]}`, ""},
		{`{"type":"NO_SUCH_CALL"}`, ""}, // an unknown name of an optional enum is dropped
		{`{"type":"REVIVE","revive":null}`, ""},
		{`{"type":"ACCEPT","accept":{"filters":{"refuse_seconds":"Infinity"}}}`, ""},
		{`{"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"AAAA"}}`, ""},
		{`{"type":"KILL","kill":{}}`, `kill: missing required field "task_id"`},
		{`{"type":"KILL","kill":[]}`, "kill: expecting an object, not an array"},
		{`{"type":"REVIVE"} x`, "more after the first value"},
		{`{"type":`, "too early"},
		{`{"type":11}`, "type: expecting the name of an enum value, not a number"},
		{`[]`, "expecting an object, not an array"},
		{`{"framework_id":{"value":1}}`, "framework_id: value: expecting a string, not a number"},
		{`{"type":"ACKNOWLEDGE","acknowledge":{"agent_id":{"value":"a"},"task_id":{"value":"t"},"uuid":"%"}}`, "uuid: expecting base64"},
		{`{"type":"DECLINE","decline":{"offer_ids":{},"filters":{}}}`, "offer_ids: expecting an array"},
		{`{"type":"DECLINE","decline":{"offer_ids":[],"filters":{"refuse_seconds":"12"}}}`, "refuse_seconds: expecting a number"},
	} {
		err := JSON.Unmarshal([]byte(tc.text), new(scheduler.Call))
		if tc.err == "" && err != nil || tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: got %v, want %q", tc.text, err, tc.err)
		}
	}
}

func TestSCH06to08_ContentType(t *testing.T) {
	for header, want := range map[string]error{
		"":                                ErrNoContentType,
		"application/json":                nil,
		"application/json; charset=utf-8": nil,
		"application/x-protobuf":          nil,
		"text/plain":                      ErrUnsupportedMediaType,
		";;":                              ErrUnsupportedMediaType,
	} {
		if _, err := ForContentType(header); !errors.Is(err, want) {
			t.Errorf("%q: got %v, want %v", header, err, want)
		}
	}
}

func TestSCH10_Accept(t *testing.T) {
	for header, want := range map[string]Codec{
		"":                       JSON,
		"*/*":                    JSON,
		"application/*":          JSON,
		"application/json":       JSON,
		"application/x-protobuf": Protobuf,
		"application/x-protobuf, application/json": JSON,
		"application/json;q=0, */*;q=0.1":          JSON,
		"text/html":                                nil,
	} {
		got, err := ForAccept(header)
		if got != want || (want == nil) != (err != nil) {
			t.Errorf("%q: got %v, %v", header, got, err)
		}
	}
}

func FuzzUnmarshalJSON(f *testing.F) {
	f.Add([]byte(`{"type":"SUBSCRIBE","subscribe":{"framework_info":{"user":"u","name":"n"}}}`))
	f.Add([]byte(`{"type":"ACCEPT","accept":{"offer_ids":[{"value":"x"}],"operations":[{"type":"LAUNCH","launch":{"task_infos":[]}}]}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		call := new(scheduler.Call)
		if JSON.Unmarshal(text, call) != nil {
			return
		}
		once, err := JSON.Marshal(call)
		if err != nil {
			t.Fatal(err)
		}
		back := new(scheduler.Call)
		if err := JSON.Unmarshal(once, back); err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
	})
}

func BenchmarkMarshalOffers(b *testing.B) {
	event := offersEvent()
	b.Run("json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = JSON.Marshal(event)
		}
	})
	b.Run("protobuf", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Protobuf.Marshal(event)
		}
	})
}

func offersEvent() *scheduler.Event {
	offer := mesos.Offer{ID: mesos.OfferID{Value: "O1"}, Hostname: "h", Resources: []mesos.Resource{
		{Name: "cpus", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 4}},
		{Name: "mem", Type: mesos.SCALAR.Enum(), Scalar: &mesos.Value_Scalar{Value: 4096}},
	}}
	event := &scheduler.Event{Type: scheduler.Event_OFFERS, Offers: &scheduler.Event_Offers{}}
	for range 100 {
		event.Offers.Offers = append(event.Offers.Offers, offer)
	}
	return event
}

// Mesos writes declared defaults of unset fields, but not those of deprecated ones.
func TestDefaultsAreWritten(t *testing.T) {
	value := "true"
	for want, m := range map[string]proto.Message{
		`{"user":"u","name":"n","failover_timeout":0.0,"checkpoint":false}`: &mesos.FrameworkInfo{User: "u", Name: "n"},
		`{"shell":true,"value":"true"}`:                                     &mesos.CommandInfo{Value: &value},
	} {
		if got, err := JSON.Marshal(m); err != nil || string(got) != want {
			t.Errorf("got %s, %v; want %s", got, err, want)
		}
	}
}
