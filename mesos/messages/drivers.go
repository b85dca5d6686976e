package messages

import (
	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
)

// The messages of libmesos's drivers, the API of schedulers and executors before HTTP:
// scheduler driver and master, executor driver and agent.

// RegisterFrameworkMessage is an old driver's first subscription.
type RegisterFrameworkMessage struct {
	Framework mesos.FrameworkInfo `protobuf:"bytes,1,req,name=framework" json:"framework,omitempty"`
}

func (m *RegisterFrameworkMessage) Reset()         { *m = RegisterFrameworkMessage{} }
func (m *RegisterFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*RegisterFrameworkMessage) ProtoMessage()    {}

// ReregisterFrameworkMessage is an old driver's subscription under an id; Failover says that the scheduler was started anew, so that it takes over from another driver.
type ReregisterFrameworkMessage struct {
	Framework mesos.FrameworkInfo `protobuf:"bytes,2,req,name=framework" json:"framework,omitempty"`
	Failover  bool                `protobuf:"varint,3,req,name=failover" json:"failover,omitempty"`
}

func (m *ReregisterFrameworkMessage) Reset()         { *m = ReregisterFrameworkMessage{} }
func (m *ReregisterFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*ReregisterFrameworkMessage) ProtoMessage()    {}

// FrameworkRegisteredMessage answers a subscription, master to driver.
type FrameworkRegisteredMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	MasterInfo  mesos.MasterInfo  `protobuf:"bytes,2,req,name=master_info" json:"master_info,omitempty"`
}

func (m *FrameworkRegisteredMessage) Reset()         { *m = FrameworkRegisteredMessage{} }
func (m *FrameworkRegisteredMessage) String() string { return proto.CompactTextString(m) }
func (*FrameworkRegisteredMessage) ProtoMessage()    {}

// FrameworkReregisteredMessage answers the subscription of a driver that this master knows under the same address.
type FrameworkReregisteredMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	MasterInfo  mesos.MasterInfo  `protobuf:"bytes,2,req,name=master_info" json:"master_info,omitempty"`
}

func (m *FrameworkReregisteredMessage) Reset()         { *m = FrameworkReregisteredMessage{} }
func (m *FrameworkReregisteredMessage) String() string { return proto.CompactTextString(m) }
func (*FrameworkReregisteredMessage) ProtoMessage()    {}

// UnregisterFrameworkMessage tears a framework down.
type UnregisterFrameworkMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
}

func (m *UnregisterFrameworkMessage) Reset()         { *m = UnregisterFrameworkMessage{} }
func (m *UnregisterFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*UnregisterFrameworkMessage) ProtoMessage()    {}

// DeactivateFrameworkMessage says that a driver was aborted: its framework wants no more offers.
type DeactivateFrameworkMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
}

func (m *DeactivateFrameworkMessage) Reset()         { *m = DeactivateFrameworkMessage{} }
func (m *DeactivateFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*DeactivateFrameworkMessage) ProtoMessage()    {}

// ResourceRequestMessage is an old driver's REQUEST.
type ResourceRequestMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	Requests    []mesos.Request   `protobuf:"bytes,2,rep,name=requests" json:"requests,omitempty"`
}

func (m *ResourceRequestMessage) Reset()         { *m = ResourceRequestMessage{} }
func (m *ResourceRequestMessage) String() string { return proto.CompactTextString(m) }
func (*ResourceRequestMessage) ProtoMessage()    {}

// ResourceOffersMessage brings offers to a driver; PIDs are the addresses of their agents, in the same order.
type ResourceOffersMessage struct {
	Offers []mesos.Offer `protobuf:"bytes,1,rep,name=offers" json:"offers,omitempty"`
	PIDs   []string      `protobuf:"bytes,2,rep,name=pids" json:"pids,omitempty"`
}

func (m *ResourceOffersMessage) Reset()         { *m = ResourceOffersMessage{} }
func (m *ResourceOffersMessage) String() string { return proto.CompactTextString(m) }
func (*ResourceOffersMessage) ProtoMessage()    {}

// LaunchTasksMessage is an old driver's ACCEPT; without tasks it declines.
type LaunchTasksMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	Tasks       []mesos.TaskInfo  `protobuf:"bytes,3,rep,name=tasks" json:"tasks,omitempty"`
	Filters     mesos.Filters     `protobuf:"bytes,5,req,name=filters" json:"filters,omitempty"`
	OfferIDs    []mesos.OfferID   `protobuf:"bytes,6,rep,name=offer_ids" json:"offer_ids,omitempty"`
}

func (m *LaunchTasksMessage) Reset()         { *m = LaunchTasksMessage{} }
func (m *LaunchTasksMessage) String() string { return proto.CompactTextString(m) }
func (*LaunchTasksMessage) ProtoMessage()    {}

// RescindResourceOfferMessage takes an offer back.
type RescindResourceOfferMessage struct {
	OfferID mesos.OfferID `protobuf:"bytes,1,req,name=offer_id" json:"offer_id,omitempty"`
}

func (m *RescindResourceOfferMessage) Reset()         { *m = RescindResourceOfferMessage{} }
func (m *RescindResourceOfferMessage) String() string { return proto.CompactTextString(m) }
func (*RescindResourceOfferMessage) ProtoMessage()    {}

// ReviveOffersMessage is an old driver's REVIVE.
type ReviveOffersMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	Roles       []string          `protobuf:"bytes,2,rep,name=roles" json:"roles,omitempty"`
}

func (m *ReviveOffersMessage) Reset()         { *m = ReviveOffersMessage{} }
func (m *ReviveOffersMessage) String() string { return proto.CompactTextString(m) }
func (*ReviveOffersMessage) ProtoMessage()    {}

// LostSlaveMessage tells a driver that an agent was removed.
type LostSlaveMessage struct {
	AgentID mesos.AgentID `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
}

func (m *LostSlaveMessage) Reset()         { *m = LostSlaveMessage{} }
func (m *LostSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*LostSlaveMessage) ProtoMessage()    {}

// FrameworkErrorMessage ends a driver.
type FrameworkErrorMessage struct {
	Message string `protobuf:"bytes,2,req,name=message" json:"message,omitempty"`
}

func (m *FrameworkErrorMessage) Reset()         { *m = FrameworkErrorMessage{} }
func (m *FrameworkErrorMessage) String() string { return proto.CompactTextString(m) }
func (*FrameworkErrorMessage) ProtoMessage()    {}

// RegisterExecutorMessage is an executor driver's first word to its agent.
type RegisterExecutorMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	ExecutorID  mesos.ExecutorID  `protobuf:"bytes,2,req,name=executor_id" json:"executor_id,omitempty"`
}

func (m *RegisterExecutorMessage) Reset()         { *m = RegisterExecutorMessage{} }
func (m *RegisterExecutorMessage) String() string { return proto.CompactTextString(m) }
func (*RegisterExecutorMessage) ProtoMessage()    {}

// ExecutorRegisteredMessage answers it.
type ExecutorRegisteredMessage struct {
	ExecutorInfo  mesos.ExecutorInfo  `protobuf:"bytes,2,req,name=executor_info" json:"executor_info,omitempty"`
	FrameworkID   mesos.FrameworkID   `protobuf:"bytes,3,req,name=framework_id" json:"framework_id,omitempty"`
	FrameworkInfo mesos.FrameworkInfo `protobuf:"bytes,4,req,name=framework_info" json:"framework_info,omitempty"`
	AgentID       mesos.AgentID       `protobuf:"bytes,5,req,name=slave_id" json:"slave_id,omitempty"`
	AgentInfo     mesos.AgentInfo     `protobuf:"bytes,6,req,name=slave_info" json:"slave_info,omitempty"`
}

func (m *ExecutorRegisteredMessage) Reset()         { *m = ExecutorRegisteredMessage{} }
func (m *ExecutorRegisteredMessage) String() string { return proto.CompactTextString(m) }
func (*ExecutorRegisteredMessage) ProtoMessage()    {}

// ReconnectExecutorMessage asks an executor driver to register again, with an agent that was restarted.
type ReconnectExecutorMessage struct {
	AgentID mesos.AgentID `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
}

func (m *ReconnectExecutorMessage) Reset()         { *m = ReconnectExecutorMessage{} }
func (m *ReconnectExecutorMessage) String() string { return proto.CompactTextString(m) }
func (*ReconnectExecutorMessage) ProtoMessage()    {}

// ReregisterExecutorMessage is its answer, with the tasks and updates that were not acknowledged.
type ReregisterExecutorMessage struct {
	ExecutorID  mesos.ExecutorID  `protobuf:"bytes,1,req,name=executor_id" json:"executor_id,omitempty"`
	FrameworkID mesos.FrameworkID `protobuf:"bytes,2,req,name=framework_id" json:"framework_id,omitempty"`
	Tasks       []mesos.TaskInfo  `protobuf:"bytes,3,rep,name=tasks" json:"tasks,omitempty"`
	Updates     []StatusUpdate    `protobuf:"bytes,4,rep,name=updates" json:"updates,omitempty"`
}

func (m *ReregisterExecutorMessage) Reset()         { *m = ReregisterExecutorMessage{} }
func (m *ReregisterExecutorMessage) String() string { return proto.CompactTextString(m) }
func (*ReregisterExecutorMessage) ProtoMessage()    {}

// ExecutorReregisteredMessage answers that.
type ExecutorReregisteredMessage struct {
	AgentID   mesos.AgentID   `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	AgentInfo mesos.AgentInfo `protobuf:"bytes,2,req,name=slave_info" json:"slave_info,omitempty"`
}

func (m *ExecutorReregisteredMessage) Reset()         { *m = ExecutorReregisteredMessage{} }
func (m *ExecutorReregisteredMessage) String() string { return proto.CompactTextString(m) }
func (*ExecutorReregisteredMessage) ProtoMessage()    {}
