package messages

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	"google.golang.org/protobuf/encoding/protowire"
)

// DriverCall is how drivers since Mesos 0.23 call the master: mesos.scheduler.Call, which is the v1 Call but for
// SUBSCRIBE, where the field `force` moves those behind it.
type DriverCall struct {
	Call scheduler.Call
	// Force says that a SUBSCRIBE may take the framework over from another scheduler.
	Force bool
	// V1 is the call in the form of the v1 API, for fields that Call lacks.
	V1 []byte
}

// Fields of mesos.scheduler.Call and its Subscribe.
const (
	subscribeField  = 3
	forceField      = 2
	suppressedField = 3 // 2 in v1
	constraintField = 4 // 3 in v1
)

// Reset implements proto.Message.
func (c *DriverCall) Reset() { *c = DriverCall{} }

// String implements proto.Message.
func (c *DriverCall) String() string { return c.Call.String() }

// ProtoMessage implements proto.Message.
func (*DriverCall) ProtoMessage() {}

// Unmarshal reads a call from a driver's wire form.
func (c *DriverCall) Unmarshal(body []byte) error {
	c.Reset()
	v1, err := eachField(body, func(number protowire.Number, _ protowire.Type, tag, value []byte) ([]byte, error) {
		if number != subscribeField {
			return append(tag, value...), nil
		}
		inner, n := protowire.ConsumeBytes(value)
		if n < 0 {
			return nil, fmt.Errorf("subscribe: %w", protowire.ParseError(n))
		}
		subscribe, err := c.subscribe(inner)
		if err != nil {
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		return protowire.AppendBytes(tag, subscribe), nil
	})
	if err != nil {
		return err
	}
	c.V1 = v1
	return c.Call.Unmarshal(v1)
}

// subscribe turns a driver's Subscribe into v1's.
func (c *DriverCall) subscribe(body []byte) ([]byte, error) {
	return eachField(body, func(number protowire.Number, kind protowire.Type, tag, value []byte) ([]byte, error) {
		switch {
		case number == forceField && kind == protowire.VarintType:
			force, n := protowire.ConsumeVarint(value)
			if n < 0 {
				return nil, protowire.ParseError(n)
			}
			c.Force = protowire.DecodeBool(force)
			return nil, nil
		case number == suppressedField, number == constraintField:
			tag = protowire.AppendTag(nil, number-1, kind)
		}
		return append(tag, value...), nil
	})
}

// eachField passes every field of a message through change, tag and value apart, and puts together what it returns.
func eachField(body []byte, change func(number protowire.Number, kind protowire.Type, tag, value []byte) ([]byte, error)) ([]byte, error) {
	var out []byte
	for len(body) > 0 {
		number, kind, tagged := protowire.ConsumeTag(body)
		if tagged < 0 {
			return nil, protowire.ParseError(tagged)
		}
		length := protowire.ConsumeFieldValue(number, kind, body[tagged:])
		if length < 0 {
			return nil, protowire.ParseError(length)
		}
		field, err := change(number, kind, body[:tagged:tagged], body[tagged:tagged+length])
		if err != nil {
			return nil, err
		}
		out = append(out, field...)
		body = body[tagged+length:]
	}
	return out, nil
}
