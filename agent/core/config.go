package core

import (
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Config is fixed for the life of the State.
type Config struct {
	Info         mesos.AgentInfo              // without ID; Recovered brings that
	PID          string                       // own UPID, "slave(1)@10.0.0.1:5051"
	Address      string                       // own ip, told to executors and put in container statuses
	Version      string                       // Mesos version we speak for
	Capabilities []mesos.AgentInfo_Capability // announced at registration
	WorkDir      string                       // absolute --work_dir

	CommandExecutor string            // path of tombolo-executor
	ExecutorEnv     map[string]string // --executor_environment_variables
	SwitchUser      bool              // --switch_user
	// Token makes what an executor proves itself by to this agent; nil: executors are not asked. It must be pure.
	Token func(framework, executor, container string) string

	BackoffFactor         time.Duration // --registration_backoff_factor
	RegisterTimeout       time.Duration // --executor_registration_timeout
	ReregisterTimeout     time.Duration // --executor_reregistration_timeout
	ShutdownGrace         time.Duration // --executor_shutdown_grace_period
	RecoveryTimeout       time.Duration // --recovery_timeout
	MaxCompletedExecutors int           // --max_completed_executors_per_framework

	// Authenticates says that the agent has a credential, and registers only after it has proved who it is.
	Authenticates            bool
	AuthenticationTimeout    time.Duration // --authentication_timeout_min
	AuthenticationTimeoutMax time.Duration // --authentication_timeout_max
	AuthenticationBackoff    time.Duration // --authentication_backoff_factor

	// Seed feeds the generator of container ids, update uuids and back-off jitter.
	// It must be unpredictable and new for each run of the agent.
	Seed [32]byte
}

// Limits that Mesos has built in; reference rows UPD-01, 5.4.
const (
	updateRetryMin     = 10 * time.Second
	updateRetryMax     = 10 * time.Minute
	registerBackoffMax = time.Minute
	defaultPingTimeout = 75 * time.Second
	// relinkDelay paces attempts at a master that refuses connections: cheap, and no
	// running master is loaded by it, so the long back-off would only delay recovery.
	relinkDelay = 500 * time.Millisecond

	maxCompletedFrameworks = 50
	maxCompletedTasks      = 200
	maxQueuedTasks         = 10_000 // tasks waiting for one executor
	maxStreamLength        = 10_000 // updates waiting for one task's acknowledgement
)

// Overhead that the agent adds for the executor of a command task; reference section 4.4.
const (
	commandExecutorCPUs = 0.1
	commandExecutorMem  = 32
)
