package messages

import (
	"fmt"
	"reflect"

	"github.com/gogo/protobuf/proto"
)

// prefix is the protocol buffer package of all messages here.
const prefix = "mesos.internal."

// kinds holds one value of every message that can travel by itself.
var kinds = index(

	&ExecutorToFrameworkMessage{},
	&FrameworkToExecutorMessage{},
	&RunTaskMessage{},
	&RunTaskGroupMessage{},
	&KillTaskMessage{},
	&StatusUpdateMessage{},
	&StatusUpdateAcknowledgementMessage{},
	&AcknowledgeOperationStatusMessage{},
	&ReconcileTasksMessage{},
	&ReconcileOperationsMessage{},
	&RegisterSlaveMessage{},
	&ReregisterSlaveMessage{},
	&SlaveRegisteredMessage{},
	&SlaveReregisteredMessage{},
	&UnregisterSlaveMessage{},
	&PingSlaveMessage{},
	&PongSlaveMessage{},
	&ShutdownFrameworkMessage{},
	&ShutdownExecutorMessage{},
	&UpdateFrameworkMessage{},
	&CheckpointResourcesMessage{},
	&UpdateSlaveMessage{},
	&UpdateOperationStatusMessage{},
	&ApplyOperationMessage{},
	&ExitedExecutorMessage{},
	&DrainSlaveMessage{},
	&ShutdownMessage{},
	&AuthenticateMessage{},
	&AuthenticationMechanismsMessage{},
	&AuthenticationStartMessage{},
	&AuthenticationStepMessage{},
	&AuthenticationCompletedMessage{},
	&AuthenticationFailedMessage{},
	&AuthenticationErrorMessage{},
	&RegisterFrameworkMessage{},
	&ReregisterFrameworkMessage{},
	&FrameworkRegisteredMessage{},
	&FrameworkReregisteredMessage{},
	&UnregisterFrameworkMessage{},
	&DeactivateFrameworkMessage{},
	&ResourceRequestMessage{},
	&ResourceOffersMessage{},
	&LaunchTasksMessage{},
	&RescindResourceOfferMessage{},
	&ReviveOffersMessage{},
	&LostSlaveMessage{},
	&FrameworkErrorMessage{},
	&RegisterExecutorMessage{},
	&ExecutorRegisteredMessage{},
	&ReconnectExecutorMessage{},
	&ReregisterExecutorMessage{},
	&ExecutorReregisteredMessage{},
)

func index(examples ...proto.Message) map[string]reflect.Type {
	types := make(map[string]reflect.Type, len(examples))
	for _, m := range examples {
		types[NameOf(m)] = reflect.TypeOf(m).Elem()
	}
	return types
}

// NameOf returns the full protocol buffer name of a message of this package, the
// last element of the path that libprocess posts it to (reference row LP-02).
func NameOf(m proto.Message) string {
	return prefix + reflect.TypeOf(m).Elem().Name()
}

// UnknownError is returned by Decode for a name that no message here has.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string { return fmt.Sprintf("no message is called %q", e.Name) }

// schedulerCall is the name that a DriverCall travels by.
const schedulerCall = "mesos.scheduler.Call"

// Decode reads the message of the given full name from its wire form. It returns
// an *UnknownError for a name it does not know, and an error that names the
// message when the body does not parse or lacks a required field.
func Decode(name string, body []byte) (proto.Message, error) {
	kind, ok := kinds[name]
	if name == schedulerCall {
		kind, ok = reflect.TypeFor[DriverCall](), true
	}
	if !ok {
		return nil, &UnknownError{Name: name}
	}
	m := reflect.New(kind).Interface().(proto.Message)
	if err := proto.Unmarshal(body, m); err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	return m, nil
}
