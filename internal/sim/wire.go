package sim

import (
	"fmt"

	"github.com/gogo/protobuf/proto"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// wired is a message that can be written to the wire and read back.
type wired interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
	String() string
}

// sealed passes a message over the wire: who opens it gets a copy of its own, so
// that sender and receiver share no memory and what the wire forgets is forgotten.
func sealed[T any, P interface {
	*T
	wired
}](w *world, who, verb string, m P) (open func() P) {
	body, err := m.Marshal()
	if err != nil {
		panic(fmt.Sprintf("sim: encode %T: %v", m, err))
	}
	w.message(who, verb, body, m)
	return func() P {
		back := P(new(T))
		if err := back.Unmarshal(body); err != nil {
			panic(fmt.Sprintf("sim: decode %T: %v", m, err))
		}
		return back
	}
}

// sealedMessage is sealed for the messages between masters and agents.
func sealedMessage(w *world, who, verb string, m proto.Message) (open func() proto.Message) {
	body, err := proto.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("sim: encode %T: %v", m, err))
	}
	name := messages.NameOf(m)
	w.message(who, verb, body, m)
	return func() proto.Message {
		back, err := messages.Decode(name, body)
		if err != nil {
			panic(fmt.Sprintf("sim: decode %T: %v", m, err))
		}
		return back
	}
}
