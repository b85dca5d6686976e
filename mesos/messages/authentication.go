package messages

import "github.com/gogo/protobuf/proto"

// The messages of authentication (reference section 5.5; Mesos: include/mesos/authentication/authentication.proto).

// AuthenticateMessage asks the master to authenticate the agent or scheduler at PID.
type AuthenticateMessage struct {
	PID string `protobuf:"bytes,1,req,name=pid" json:"pid"`
}

func (m *AuthenticateMessage) Reset()         { *m = AuthenticateMessage{} }
func (m *AuthenticateMessage) String() string { return proto.CompactTextString(m) }
func (*AuthenticateMessage) ProtoMessage()    {}

// AuthenticationMechanismsMessage lists what the master's session can do; further messages go to its sender.
type AuthenticationMechanismsMessage struct {
	Mechanisms []string `protobuf:"bytes,1,rep,name=mechanisms" json:"mechanisms,omitempty"`
}

func (m *AuthenticationMechanismsMessage) Reset()         { *m = AuthenticationMechanismsMessage{} }
func (m *AuthenticationMechanismsMessage) String() string { return proto.CompactTextString(m) }
func (*AuthenticationMechanismsMessage) ProtoMessage()    {}

// AuthenticationStartMessage chooses a mechanism.
type AuthenticationStartMessage struct {
	Mechanism string `protobuf:"bytes,1,req,name=mechanism" json:"mechanism"`
	Data      []byte `protobuf:"bytes,2,opt,name=data" json:"data,omitempty"`
}

func (m *AuthenticationStartMessage) Reset()         { *m = AuthenticationStartMessage{} }
func (m *AuthenticationStartMessage) String() string { return "mechanism: " + m.Mechanism }
func (*AuthenticationStartMessage) ProtoMessage()    {}

// AuthenticationStepMessage carries a challenge, or the answer to one.
type AuthenticationStepMessage struct {
	Data []byte `protobuf:"bytes,1,req,name=data" json:"data"`
}

func (m *AuthenticationStepMessage) Reset()       { *m = AuthenticationStepMessage{} }
func (*AuthenticationStepMessage) String() string { return "(not shown)" } // an answer lets others guess at the secret
func (*AuthenticationStepMessage) ProtoMessage()  {}

// AuthenticationCompletedMessage says that the client is who it says.
type AuthenticationCompletedMessage struct{}

func (m *AuthenticationCompletedMessage) Reset()         { *m = AuthenticationCompletedMessage{} }
func (m *AuthenticationCompletedMessage) String() string { return proto.CompactTextString(m) }
func (*AuthenticationCompletedMessage) ProtoMessage()    {}

// AuthenticationFailedMessage says that it is not; trying again is no use.
type AuthenticationFailedMessage struct{}

func (m *AuthenticationFailedMessage) Reset()         { *m = AuthenticationFailedMessage{} }
func (m *AuthenticationFailedMessage) String() string { return proto.CompactTextString(m) }
func (*AuthenticationFailedMessage) ProtoMessage()    {}

// AuthenticationErrorMessage says that something else went wrong.
type AuthenticationErrorMessage struct {
	Error *string `protobuf:"bytes,1,opt,name=error" json:"error,omitempty"`
}

func (m *AuthenticationErrorMessage) Reset()         { *m = AuthenticationErrorMessage{} }
func (m *AuthenticationErrorMessage) String() string { return proto.CompactTextString(m) }
func (*AuthenticationErrorMessage) ProtoMessage()    {}
