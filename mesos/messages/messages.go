// Package messages is what master and agent say to each other: the protocol
// buffers of package mesos.internal, with the v1 names of the vocabulary (agent
// for slave) and the field numbers of the wire. Start reading at Decode.
//
// A field that the wire requires is a value; one that it may omit is a pointer.
// Reference section 5.2; Mesos: src/messages/messages.proto.
package messages

import (
	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
)

// StatusUpdate is one task status update on its way from an agent to a scheduler; UUID is absent where no acknowledgement is wanted.
type StatusUpdate struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	ExecutorID  *mesos.ExecutorID `protobuf:"bytes,2,opt,name=executor_id" json:"executor_id,omitempty"`
	AgentID     *mesos.AgentID    `protobuf:"bytes,3,opt,name=slave_id" json:"slave_id,omitempty"`
	Status      mesos.TaskStatus  `protobuf:"bytes,4,req,name=status" json:"status,omitempty"`
	Timestamp   float64           `protobuf:"fixed64,5,req,name=timestamp" json:"timestamp,omitempty"`
	UUID        []byte            `protobuf:"bytes,6,opt,name=uuid" json:"uuid,omitempty"`
	LatestState *mesos.TaskState  `protobuf:"varint,7,opt,name=latest_state,enum=mesos.TaskState" json:"latest_state,omitempty"`
}

func (m *StatusUpdate) Reset()         { *m = StatusUpdate{} }
func (m *StatusUpdate) String() string { return proto.CompactTextString(m) }
func (*StatusUpdate) ProtoMessage()    {}

// ExecutorToFrameworkMessage carries an executor's bytes to its scheduler, agent to master.
type ExecutorToFrameworkMessage struct {
	AgentID     mesos.AgentID     `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	FrameworkID mesos.FrameworkID `protobuf:"bytes,2,req,name=framework_id" json:"framework_id,omitempty"`
	ExecutorID  mesos.ExecutorID  `protobuf:"bytes,3,req,name=executor_id" json:"executor_id,omitempty"`
	Data        []byte            `protobuf:"bytes,4,req,name=data" json:"data,omitempty"`
}

func (m *ExecutorToFrameworkMessage) Reset()         { *m = ExecutorToFrameworkMessage{} }
func (m *ExecutorToFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*ExecutorToFrameworkMessage) ProtoMessage()    {}

// FrameworkToExecutorMessage carries a scheduler's bytes to its executor, master to agent.
type FrameworkToExecutorMessage struct {
	AgentID     mesos.AgentID     `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	FrameworkID mesos.FrameworkID `protobuf:"bytes,2,req,name=framework_id" json:"framework_id,omitempty"`
	ExecutorID  mesos.ExecutorID  `protobuf:"bytes,3,req,name=executor_id" json:"executor_id,omitempty"`
	Data        []byte            `protobuf:"bytes,4,req,name=data" json:"data,omitempty"`
}

func (m *FrameworkToExecutorMessage) Reset()         { *m = FrameworkToExecutorMessage{} }
func (m *FrameworkToExecutorMessage) String() string { return proto.CompactTextString(m) }
func (*FrameworkToExecutorMessage) ProtoMessage()    {}

// RunTaskMessage orders an agent to run a task. LaunchExecutor false means the executor must exist already (reference row LCH-03).
type RunTaskMessage struct {
	FrameworkID          *mesos.FrameworkID    `protobuf:"bytes,1,opt,name=framework_id" json:"framework_id,omitempty"`
	Framework            mesos.FrameworkInfo   `protobuf:"bytes,2,req,name=framework" json:"framework,omitempty"`
	Task                 mesos.TaskInfo        `protobuf:"bytes,4,req,name=task" json:"task,omitempty"`
	ResourceVersionUUIDs []ResourceVersionUUID `protobuf:"bytes,5,rep,name=resource_version_uuids" json:"resource_version_uuids,omitempty"`
	PID                  *string               `protobuf:"bytes,3,opt,name=pid" json:"pid,omitempty"`
	LaunchExecutor       *bool                 `protobuf:"varint,6,opt,name=launch_executor" json:"launch_executor,omitempty"`
}

func (m *RunTaskMessage) Reset()         { *m = RunTaskMessage{} }
func (m *RunTaskMessage) String() string { return proto.CompactTextString(m) }
func (*RunTaskMessage) ProtoMessage()    {}

// RunTaskGroupMessage orders an agent to run a task group, all or nothing.
type RunTaskGroupMessage struct {
	Framework            mesos.FrameworkInfo   `protobuf:"bytes,1,req,name=framework" json:"framework,omitempty"`
	Executor             mesos.ExecutorInfo    `protobuf:"bytes,2,req,name=executor" json:"executor,omitempty"`
	TaskGroup            mesos.TaskGroupInfo   `protobuf:"bytes,3,req,name=task_group" json:"task_group,omitempty"`
	ResourceVersionUUIDs []ResourceVersionUUID `protobuf:"bytes,4,rep,name=resource_version_uuids" json:"resource_version_uuids,omitempty"`
	LaunchExecutor       *bool                 `protobuf:"varint,5,opt,name=launch_executor" json:"launch_executor,omitempty"`
}

func (m *RunTaskGroupMessage) Reset()         { *m = RunTaskGroupMessage{} }
func (m *RunTaskGroupMessage) String() string { return proto.CompactTextString(m) }
func (*RunTaskGroupMessage) ProtoMessage()    {}

// KillTaskMessage orders an agent to kill a task; KillPolicy overrides the task's own.
type KillTaskMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	TaskID      mesos.TaskID      `protobuf:"bytes,2,req,name=task_id" json:"task_id,omitempty"`
	KillPolicy  *mesos.KillPolicy `protobuf:"bytes,3,opt,name=kill_policy" json:"kill_policy,omitempty"`
}

func (m *KillTaskMessage) Reset()         { *m = KillTaskMessage{} }
func (m *KillTaskMessage) String() string { return proto.CompactTextString(m) }
func (*KillTaskMessage) ProtoMessage()    {}

// StatusUpdateMessage carries a status update, agent to master. A non-empty PID asks for an acknowledgement.
type StatusUpdateMessage struct {
	Update StatusUpdate `protobuf:"bytes,1,req,name=update" json:"update,omitempty"`
	PID    *string      `protobuf:"bytes,2,opt,name=pid" json:"pid,omitempty"`
}

func (m *StatusUpdateMessage) Reset()         { *m = StatusUpdateMessage{} }
func (m *StatusUpdateMessage) String() string { return proto.CompactTextString(m) }
func (*StatusUpdateMessage) ProtoMessage()    {}

// StatusUpdateAcknowledgementMessage acknowledges a status update, master to agent.
type StatusUpdateAcknowledgementMessage struct {
	AgentID     mesos.AgentID     `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	FrameworkID mesos.FrameworkID `protobuf:"bytes,2,req,name=framework_id" json:"framework_id,omitempty"`
	TaskID      mesos.TaskID      `protobuf:"bytes,3,req,name=task_id" json:"task_id,omitempty"`
	UUID        []byte            `protobuf:"bytes,4,req,name=uuid" json:"uuid,omitempty"`
}

func (m *StatusUpdateAcknowledgementMessage) Reset()         { *m = StatusUpdateAcknowledgementMessage{} }
func (m *StatusUpdateAcknowledgementMessage) String() string { return proto.CompactTextString(m) }
func (*StatusUpdateAcknowledgementMessage) ProtoMessage()    {}

// AcknowledgeOperationStatusMessage acknowledges an operation's status, master to agent.
type AcknowledgeOperationStatusMessage struct {
	StatusUUID         mesos.UUID                `protobuf:"bytes,1,req,name=status_uuid" json:"status_uuid,omitempty"`
	OperationUUID      mesos.UUID                `protobuf:"bytes,2,req,name=operation_uuid" json:"operation_uuid,omitempty"`
	ResourceProviderID *mesos.ResourceProviderID `protobuf:"bytes,3,opt,name=resource_provider_id" json:"resource_provider_id,omitempty"`
}

func (m *AcknowledgeOperationStatusMessage) Reset()         { *m = AcknowledgeOperationStatusMessage{} }
func (m *AcknowledgeOperationStatusMessage) String() string { return proto.CompactTextString(m) }
func (*AcknowledgeOperationStatusMessage) ProtoMessage()    {}

// ReconcileTasksMessage lists tasks that the master knows and the agent did not report.
type ReconcileTasksMessage struct {
	FrameworkID mesos.FrameworkID    `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	Statuses    []mesos.TaskStatus   `protobuf:"bytes,2,rep,name=statuses" json:"statuses,omitempty"`
	Framework   *mesos.FrameworkInfo `protobuf:"bytes,3,opt,name=framework" json:"framework,omitempty"`
}

func (m *ReconcileTasksMessage) Reset()         { *m = ReconcileTasksMessage{} }
func (m *ReconcileTasksMessage) String() string { return proto.CompactTextString(m) }
func (*ReconcileTasksMessage) ProtoMessage()    {}

// ReconcileOperationsMessage lists operations that the master knows and the agent did not report.
type ReconcileOperationsMessage struct {
	Operations  []ReconcileOperationsMessage_Operation `protobuf:"bytes,1,rep,name=operations" json:"operations,omitempty"`
	FrameworkID *mesos.FrameworkID                     `protobuf:"bytes,2,opt,name=framework_id" json:"framework_id,omitempty"`
}

func (m *ReconcileOperationsMessage) Reset()         { *m = ReconcileOperationsMessage{} }
func (m *ReconcileOperationsMessage) String() string { return proto.CompactTextString(m) }
func (*ReconcileOperationsMessage) ProtoMessage()    {}

// ReconcileOperationsMessage_Operation names one operation.
type ReconcileOperationsMessage_Operation struct {
	OperationUUID      *mesos.UUID               `protobuf:"bytes,1,opt,name=operation_uuid" json:"operation_uuid,omitempty"`
	OperationID        *mesos.OperationID        `protobuf:"bytes,3,opt,name=operation_id" json:"operation_id,omitempty"`
	ResourceProviderID *mesos.ResourceProviderID `protobuf:"bytes,2,opt,name=resource_provider_id" json:"resource_provider_id,omitempty"`
}

func (m *ReconcileOperationsMessage_Operation) Reset()         { *m = ReconcileOperationsMessage_Operation{} }
func (m *ReconcileOperationsMessage_Operation) String() string { return proto.CompactTextString(m) }
func (*ReconcileOperationsMessage_Operation) ProtoMessage()    {}

// RegisterSlaveMessage asks the master to admit an agent that has no id yet.
type RegisterSlaveMessage struct {
	Agent                 mesos.AgentInfo              `protobuf:"bytes,1,req,name=slave" json:"slave,omitempty"`
	CheckpointedResources []mesos.Resource             `protobuf:"bytes,3,rep,name=checkpointed_resources" json:"checkpointed_resources,omitempty"`
	Version               *string                      `protobuf:"bytes,2,opt,name=version" json:"version,omitempty"`
	AgentCapabilities     []mesos.AgentInfo_Capability `protobuf:"bytes,4,rep,name=agent_capabilities" json:"agent_capabilities,omitempty"`
	ResourceVersionUUID   *mesos.UUID                  `protobuf:"bytes,5,opt,name=resource_version_uuid" json:"resource_version_uuid,omitempty"`
}

func (m *RegisterSlaveMessage) Reset()         { *m = RegisterSlaveMessage{} }
func (m *RegisterSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*RegisterSlaveMessage) ProtoMessage()    {}

// ReregisterSlaveMessage brings an agent that has an id, with all it runs, to a master.
type ReregisterSlaveMessage struct {
	Agent                 mesos.AgentInfo              `protobuf:"bytes,2,req,name=slave" json:"slave,omitempty"`
	CheckpointedResources []mesos.Resource             `protobuf:"bytes,7,rep,name=checkpointed_resources" json:"checkpointed_resources,omitempty"`
	ExecutorInfos         []mesos.ExecutorInfo         `protobuf:"bytes,4,rep,name=executor_infos" json:"executor_infos,omitempty"`
	Tasks                 []mesos.Task                 `protobuf:"bytes,3,rep,name=tasks" json:"tasks,omitempty"`
	Frameworks            []mesos.FrameworkInfo        `protobuf:"bytes,8,rep,name=frameworks" json:"frameworks,omitempty"`
	CompletedFrameworks   []Archive_Framework          `protobuf:"bytes,5,rep,name=completed_frameworks" json:"completed_frameworks,omitempty"`
	Version               *string                      `protobuf:"bytes,6,opt,name=version" json:"version,omitempty"`
	AgentCapabilities     []mesos.AgentInfo_Capability `protobuf:"bytes,9,rep,name=agent_capabilities" json:"agent_capabilities,omitempty"`
	ResourceVersionUUID   *mesos.UUID                  `protobuf:"bytes,10,opt,name=resource_version_uuid" json:"resource_version_uuid,omitempty"`
}

func (m *ReregisterSlaveMessage) Reset()         { *m = ReregisterSlaveMessage{} }
func (m *ReregisterSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*ReregisterSlaveMessage) ProtoMessage()    {}

// SlaveRegisteredMessage tells an agent the id under which it was admitted.
type SlaveRegisteredMessage struct {
	AgentID    mesos.AgentID          `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	Connection *MasterSlaveConnection `protobuf:"bytes,2,opt,name=connection" json:"connection,omitempty"`
}

func (m *SlaveRegisteredMessage) Reset()         { *m = SlaveRegisteredMessage{} }
func (m *SlaveRegisteredMessage) String() string { return proto.CompactTextString(m) }
func (*SlaveRegisteredMessage) ProtoMessage()    {}

// SlaveReregisteredMessage tells an agent that it is admitted again.
type SlaveReregisteredMessage struct {
	AgentID         mesos.AgentID           `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	Reconciliations []ReconcileTasksMessage `protobuf:"bytes,2,rep,name=reconciliations" json:"reconciliations,omitempty"`
	Connection      *MasterSlaveConnection  `protobuf:"bytes,3,opt,name=connection" json:"connection,omitempty"`
}

func (m *SlaveReregisteredMessage) Reset()         { *m = SlaveReregisteredMessage{} }
func (m *SlaveReregisteredMessage) String() string { return proto.CompactTextString(m) }
func (*SlaveReregisteredMessage) ProtoMessage()    {}

// UnregisterSlaveMessage tells the master that an agent leaves for good.
type UnregisterSlaveMessage struct {
	AgentID mesos.AgentID `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
}

func (m *UnregisterSlaveMessage) Reset()         { *m = UnregisterSlaveMessage{} }
func (m *UnregisterSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*UnregisterSlaveMessage) ProtoMessage()    {}

// MasterSlaveConnection tells an agent after how many seconds without a ping the master counts it as lost.
type MasterSlaveConnection struct {
	TotalPingTimeoutSeconds *float64 `protobuf:"fixed64,1,opt,name=total_ping_timeout_seconds" json:"total_ping_timeout_seconds,omitempty"`
}

func (m *MasterSlaveConnection) Reset()         { *m = MasterSlaveConnection{} }
func (m *MasterSlaveConnection) String() string { return proto.CompactTextString(m) }
func (*MasterSlaveConnection) ProtoMessage()    {}

// PingSlaveMessage probes an agent; Connected false tells it that the master holds it for disconnected.
type PingSlaveMessage struct {
	Connected bool `protobuf:"varint,1,req,name=connected" json:"connected,omitempty"`
}

func (m *PingSlaveMessage) Reset()         { *m = PingSlaveMessage{} }
func (m *PingSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*PingSlaveMessage) ProtoMessage()    {}

// PongSlaveMessage answers a PingSlaveMessage.
type PongSlaveMessage struct {
}

func (m *PongSlaveMessage) Reset()         { *m = PongSlaveMessage{} }
func (m *PongSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*PongSlaveMessage) ProtoMessage()    {}

// ShutdownFrameworkMessage orders an agent to end all executors of a framework.
type ShutdownFrameworkMessage struct {
	FrameworkID mesos.FrameworkID `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
}

func (m *ShutdownFrameworkMessage) Reset()         { *m = ShutdownFrameworkMessage{} }
func (m *ShutdownFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*ShutdownFrameworkMessage) ProtoMessage()    {}

// ShutdownExecutorMessage orders an agent to end one executor.
type ShutdownExecutorMessage struct {
	ExecutorID  *mesos.ExecutorID  `protobuf:"bytes,1,opt,name=executor_id" json:"executor_id,omitempty"`
	FrameworkID *mesos.FrameworkID `protobuf:"bytes,2,opt,name=framework_id" json:"framework_id,omitempty"`
}

func (m *ShutdownExecutorMessage) Reset()         { *m = ShutdownExecutorMessage{} }
func (m *ShutdownExecutorMessage) String() string { return proto.CompactTextString(m) }
func (*ShutdownExecutorMessage) ProtoMessage()    {}

// UpdateFrameworkMessage tells an agent a framework's present description; PID is empty for HTTP schedulers.
type UpdateFrameworkMessage struct {
	FrameworkID   mesos.FrameworkID    `protobuf:"bytes,1,req,name=framework_id" json:"framework_id,omitempty"`
	PID           *string              `protobuf:"bytes,2,opt,name=pid" json:"pid,omitempty"`
	FrameworkInfo *mesos.FrameworkInfo `protobuf:"bytes,3,opt,name=framework_info" json:"framework_info,omitempty"`
}

func (m *UpdateFrameworkMessage) Reset()         { *m = UpdateFrameworkMessage{} }
func (m *UpdateFrameworkMessage) String() string { return proto.CompactTextString(m) }
func (*UpdateFrameworkMessage) ProtoMessage()    {}

// CheckpointResourcesMessage tells an agent without RESOURCE_PROVIDER its reservations and volumes.
type CheckpointResourcesMessage struct {
	Resources []mesos.Resource `protobuf:"bytes,1,rep,name=resources" json:"resources,omitempty"`
}

func (m *CheckpointResourcesMessage) Reset()         { *m = CheckpointResourcesMessage{} }
func (m *CheckpointResourcesMessage) String() string { return proto.CompactTextString(m) }
func (*CheckpointResourcesMessage) ProtoMessage()    {}

// ResourceVersionUUID names the version of an agent's resources that an order was made for.
type ResourceVersionUUID struct {
	ResourceProviderID *mesos.ResourceProviderID `protobuf:"bytes,1,opt,name=resource_provider_id" json:"resource_provider_id,omitempty"`
	UUID               mesos.UUID                `protobuf:"bytes,2,req,name=uuid" json:"uuid,omitempty"`
}

func (m *ResourceVersionUUID) Reset()         { *m = ResourceVersionUUID{} }
func (m *ResourceVersionUUID) String() string { return proto.CompactTextString(m) }
func (*ResourceVersionUUID) ProtoMessage()    {}

// UpdateSlaveMessage tells the master an agent's oversubscribed resources, operations and resource providers.
type UpdateSlaveMessage struct {
	AgentID                       mesos.AgentID                         `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	UpdateOversubscribedResources *bool                                 `protobuf:"varint,5,opt,name=update_oversubscribed_resources" json:"update_oversubscribed_resources,omitempty"`
	OversubscribedResources       []mesos.Resource                      `protobuf:"bytes,2,rep,name=oversubscribed_resources" json:"oversubscribed_resources,omitempty"`
	Operations                    *UpdateSlaveMessage_Operations        `protobuf:"bytes,6,opt,name=operations" json:"operations,omitempty"`
	ResourceVersionUUID           *mesos.UUID                           `protobuf:"bytes,7,opt,name=resource_version_uuid" json:"resource_version_uuid,omitempty"`
	ResourceProviders             *UpdateSlaveMessage_ResourceProviders `protobuf:"bytes,8,opt,name=resource_providers" json:"resource_providers,omitempty"`
}

func (m *UpdateSlaveMessage) Reset()         { *m = UpdateSlaveMessage{} }
func (m *UpdateSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*UpdateSlaveMessage) ProtoMessage()    {}

// UpdateSlaveMessage_Operations wraps a list of operations so that an empty one can be told from none.
type UpdateSlaveMessage_Operations struct {
	Operations []mesos.Operation `protobuf:"bytes,1,rep,name=operations" json:"operations,omitempty"`
}

func (m *UpdateSlaveMessage_Operations) Reset()         { *m = UpdateSlaveMessage_Operations{} }
func (m *UpdateSlaveMessage_Operations) String() string { return proto.CompactTextString(m) }
func (*UpdateSlaveMessage_Operations) ProtoMessage()    {}

// UpdateSlaveMessage_ResourceProvider describes one resource provider of an agent.
type UpdateSlaveMessage_ResourceProvider struct {
	Info                *mesos.ResourceProviderInfo   `protobuf:"bytes,1,opt,name=info" json:"info,omitempty"`
	TotalResources      []mesos.Resource              `protobuf:"bytes,2,rep,name=total_resources" json:"total_resources,omitempty"`
	Operations          UpdateSlaveMessage_Operations `protobuf:"bytes,3,req,name=operations" json:"operations,omitempty"`
	ResourceVersionUUID mesos.UUID                    `protobuf:"bytes,4,req,name=resource_version_uuid" json:"resource_version_uuid,omitempty"`
}

func (m *UpdateSlaveMessage_ResourceProvider) Reset()         { *m = UpdateSlaveMessage_ResourceProvider{} }
func (m *UpdateSlaveMessage_ResourceProvider) String() string { return proto.CompactTextString(m) }
func (*UpdateSlaveMessage_ResourceProvider) ProtoMessage()    {}

// UpdateSlaveMessage_ResourceProviders wraps a list of resource providers so that an empty one can be told from none.
type UpdateSlaveMessage_ResourceProviders struct {
	Providers []UpdateSlaveMessage_ResourceProvider `protobuf:"bytes,1,rep,name=providers" json:"providers,omitempty"`
}

func (m *UpdateSlaveMessage_ResourceProviders) Reset()         { *m = UpdateSlaveMessage_ResourceProviders{} }
func (m *UpdateSlaveMessage_ResourceProviders) String() string { return proto.CompactTextString(m) }
func (*UpdateSlaveMessage_ResourceProviders) ProtoMessage()    {}

// UpdateOperationStatusMessage carries an operation's status, agent to master.
type UpdateOperationStatusMessage struct {
	FrameworkID   *mesos.FrameworkID     `protobuf:"bytes,1,opt,name=framework_id" json:"framework_id,omitempty"`
	AgentID       *mesos.AgentID         `protobuf:"bytes,2,opt,name=slave_id" json:"slave_id,omitempty"`
	Status        mesos.OperationStatus  `protobuf:"bytes,3,req,name=status" json:"status,omitempty"`
	LatestStatus  *mesos.OperationStatus `protobuf:"bytes,4,opt,name=latest_status" json:"latest_status,omitempty"`
	OperationUUID *mesos.UUID            `protobuf:"bytes,5,opt,name=operation_uuid" json:"operation_uuid,omitempty"`
}

func (m *UpdateOperationStatusMessage) Reset()         { *m = UpdateOperationStatusMessage{} }
func (m *UpdateOperationStatusMessage) String() string { return proto.CompactTextString(m) }
func (*UpdateOperationStatusMessage) ProtoMessage()    {}

// ApplyOperationMessage orders an agent to apply an offer operation.
type ApplyOperationMessage struct {
	FrameworkID         *mesos.FrameworkID    `protobuf:"bytes,1,opt,name=framework_id" json:"framework_id,omitempty"`
	OperationInfo       mesos.Offer_Operation `protobuf:"bytes,2,req,name=operation_info" json:"operation_info,omitempty"`
	OperationUUID       mesos.UUID            `protobuf:"bytes,3,req,name=operation_uuid" json:"operation_uuid,omitempty"`
	ResourceVersionUUID ResourceVersionUUID   `protobuf:"bytes,4,req,name=resource_version_uuid" json:"resource_version_uuid,omitempty"`
}

func (m *ApplyOperationMessage) Reset()         { *m = ApplyOperationMessage{} }
func (m *ApplyOperationMessage) String() string { return proto.CompactTextString(m) }
func (*ApplyOperationMessage) ProtoMessage()    {}

// ExitedExecutorMessage tells the master that an executor ended; Status is its wait status.
type ExitedExecutorMessage struct {
	AgentID     mesos.AgentID     `protobuf:"bytes,1,req,name=slave_id" json:"slave_id,omitempty"`
	FrameworkID mesos.FrameworkID `protobuf:"bytes,2,req,name=framework_id" json:"framework_id,omitempty"`
	ExecutorID  mesos.ExecutorID  `protobuf:"bytes,3,req,name=executor_id" json:"executor_id,omitempty"`
	Status      int32             `protobuf:"varint,4,req,name=status" json:"status,omitempty"`
}

func (m *ExitedExecutorMessage) Reset()         { *m = ExitedExecutorMessage{} }
func (m *ExitedExecutorMessage) String() string { return proto.CompactTextString(m) }
func (*ExitedExecutorMessage) ProtoMessage()    {}

// DrainSlaveMessage orders an agent to drain.
type DrainSlaveMessage struct {
	Config mesos.DrainConfig `protobuf:"bytes,1,req,name=config" json:"config,omitempty"`
}

func (m *DrainSlaveMessage) Reset()         { *m = DrainSlaveMessage{} }
func (m *DrainSlaveMessage) String() string { return proto.CompactTextString(m) }
func (*DrainSlaveMessage) ProtoMessage()    {}

// ShutdownMessage orders an agent to end everything and exit.
type ShutdownMessage struct {
	Message *string `protobuf:"bytes,1,opt,name=message" json:"message,omitempty"`
}

func (m *ShutdownMessage) Reset()         { *m = ShutdownMessage{} }
func (m *ShutdownMessage) String() string { return proto.CompactTextString(m) }
func (*ShutdownMessage) ProtoMessage()    {}

// Archive groups completed frameworks.
type Archive struct {
	Frameworks []Archive_Framework `protobuf:"bytes,1,rep,name=frameworks" json:"frameworks,omitempty"`
}

func (m *Archive) Reset()         { *m = Archive{} }
func (m *Archive) String() string { return proto.CompactTextString(m) }
func (*Archive) ProtoMessage()    {}

// Archive_Framework is a completed framework as an agent remembers it.
type Archive_Framework struct {
	FrameworkInfo mesos.FrameworkInfo `protobuf:"bytes,1,req,name=framework_info" json:"framework_info,omitempty"`
	PID           *string             `protobuf:"bytes,2,opt,name=pid" json:"pid,omitempty"`
	Tasks         []mesos.Task        `protobuf:"bytes,3,rep,name=tasks" json:"tasks,omitempty"`
}

func (m *Archive_Framework) Reset()         { *m = Archive_Framework{} }
func (m *Archive_Framework) String() string { return proto.CompactTextString(m) }
func (*Archive_Framework) ProtoMessage()    {}
