package sim

// Fault is a kind of misfortune.
type Fault int

// The kinds of faults. Each is counted when it happens, not when it is planned.
const (
	MessageLost          Fault = iota // a message between master and agent is lost; the sender's link breaks
	MessageTwice                      // it arrives twice
	MessageLate                       // it is overtaken by messages of other links
	CallLost                          // a scheduler's call does not arrive
	CallTwice                         // it arrives twice, because the client repeats it
	LinkBroken                        // the link between an agent and the master breaks
	StreamBroken                      // a scheduler's stream breaks
	Partition                         // nothing passes between an agent and the masters
	PartitionOneWay                   // nothing passes in one direction
	SchedulerPartition                // nothing passes between a scheduler and the masters
	MasterCrash                       // kill -9 of the leading master
	MasterCrashMidway                 // between two effects of one step
	MasterFailover                    // another master takes over
	MasterPause                       // SIGSTOP of the leading master
	RegistryWriteLost                 // a change under way is lost when the master dies
	RegistryWriteDone                 // a change is durable although the master died before it was told
	RegistryWriteFailed               // the registry refuses a change
	AgentCrash                        // kill -9 of an agent; its executors go on
	AgentCrashMidway                  // between two effects of one step
	AgentPause                        // SIGSTOP of an agent
	AgentReboot                       // the agent's machine loses power: executors die, unsynced acknowledgements are lost
	AgentReplaced                     // the agent's disk is lost: a new agent starts at the same address
	ContainerFailed                   // a container cannot be started
	ExecutorCrash                     // an executor dies
	ExecutorStreamBroken              // an executor loses its connection to the agent
	SchedulerCrash                    // kill -9 of a scheduler
	SchedulerCrashMidway              // after its decision is stored, before it is sent
	SchedulerPause                    // SIGSTOP of a scheduler
	SchedulerFailover                 // a second instance of a scheduler takes over while the first lives
	ClockStep                         // the clock of a process jumps ahead
	faultKinds
)

var faultNames = [faultKinds]string{
	"message-lost", "message-twice", "message-late", "call-lost", "call-twice", "link-broken", "stream-broken",
	"partition", "partition-one-way", "scheduler-partition",
	"master-crash", "master-crash-midway", "master-failover", "master-pause",
	"registry-write-lost", "registry-write-done", "registry-write-failed",
	"agent-crash", "agent-crash-midway", "agent-pause", "agent-reboot", "agent-replaced",
	"container-failed", "executor-crash", "executor-stream-broken",
	"scheduler-crash", "scheduler-crash-midway", "scheduler-pause", "scheduler-failover", "clock-step",
}

func (f Fault) String() string { return faultNames[f] }

// FaultNamed finds a kind by its name.
func FaultNamed(name string) (Fault, bool) {
	for i, n := range faultNames {
		if n == name {
			return Fault(i), true
		}
	}
	return 0, false
}

// Counts says how often each kind of fault happened.
type Counts [faultKinds]int

// strikes decides whether a fault happens now, with the given chance in a thousand.
func (w *world) strikes(f Fault, perMille int) bool {
	if w.calm || w.options.Without[f] || w.rng.IntN(1000) >= perMille*w.harshness/4 {
		return false
	}
	w.struck(f)
	return true
}

func (w *world) struck(f Fault) { w.faults[f]++ }
