package core

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/quota"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security"
)

// HeartbeatInterval is the time between two HEARTBEAT events of one stream (reference row EV-01).
const HeartbeatInterval = 15 * time.Second

// Config is what a State needs to know from the start. All durations are positive;
// OfferTimeout 0 means that offers never expire.
type Config struct {
	Master                 mesos.MasterInfo
	AllocationInterval     time.Duration
	OfferTimeout           time.Duration
	AgentPingTimeout       time.Duration
	MaxAgentPingTimeouts   int
	AgentReregisterTimeout time.Duration
	Roles                  []string // whitelist; empty allows every role
	RootSubmissions        bool
	FilterGPUs             bool // offer agents that have gpus only to GPU_RESOURCES frameworks
	MinAllocatable         []offers.Quantities
	Region                 string // the master's own
	RoleSorter             offers.Sorter
	FrameworkSorter        offers.Sorter
	ExcludedFromShares     []string // kinds of resources that don't count toward fair shares
	MaxCompletedFrameworks int
	MaxCompletedTasks      int // per framework
	MaxUnreachableTasks    int // per framework
	RegistryMaxAge         time.Duration
	RegistryMaxCount       int
	RegistryGCInterval     time.Duration
	ACLs                   *security.ACLs     // nil allows everything
	AuthenticateAgents     bool               // let in only agents that authenticated
	AuthenticateFrameworks bool               // the same for schedulers of the older driver
	ConstraintLimits       constraints.Limits // of frameworks' offer constraints
}

// State is everything the master knows. It belongs to one goroutine.
type State struct {
	cfg Config
	now time.Time

	frameworks map[string]*framework // by framework id
	streams    map[StreamID]*framework
	completed  []*FrameworkView // removed frameworks, oldest first
	removed    map[string]bool  // ids in completed

	agents    map[string]*agent // registered ones, by agent id
	pids      map[string]*agent
	recovered map[string]mesos.AgentInfo // in the registry, not seen since this master started
	waiting   []mesos.AgentInfo          // the same by id; nil when it is to be made anew

	agentViews     roster[AgentView]
	frameworkViews roster[FrameworkView]

	unreachable map[string]time.Time
	gone        map[string]time.Time
	admitting   map[uint64]*admission // registry writes under way, by token
	busyPID     map[string]uint64     // pid that registers -> token
	busyAgent   map[string]uint64     // agent id in transition -> token

	offers  map[string]*offer
	weights map[string]float64
	// ledger knows what is allocated where and decides who is offered what.
	ledger *offers.State
	seed   uint64 // of the allocation's shuffles

	// reg is what the registry holds, as far as its writes are confirmed.
	reg           *Registry
	quotas        map[string]quota.QuotaConfig // by role, replaced at each change; with those set back to none
	quotaList     []quota.QuotaConfig          // the same, by role, for views
	decisions     decisions
	unsettled     map[string][]func()           // by agent id: what waits until its standing is settled
	upkeeps       map[string]bool               // agents whose machines are in the maintenance schedule
	inverse       map[string]*inverseOffer      // by id
	drains        map[string]bool               // agents that may have drained in this turn
	authenticated map[string]security.Principal // by pid; see authenticate.go

	timers    timers
	recovery  recovery
	allocate  bool            // an allocation run is due at once,
	dirtyAll  bool            // over all agents
	dirty     map[string]bool // or over these
	nextBatch time.Time

	pruning int // changes under way that forget agents

	frameworkCount, offerCount, agentCount uint64
	operationCount, operationSequence      uint64
	operationsHeld                         int // by all agents
	token                                  uint64
	version                                uint64 // counts changes that a View would show

	counts  *Counters
	effects []Effect
}

// New returns the state of a master that starts at now with what the registry holds.
func New(cfg Config, reg *Registry, now time.Time) *State {
	s := &State{
		cfg:           cfg,
		now:           now,
		reg:           reg.Clone(),
		unsettled:     map[string][]func(){},
		drains:        map[string]bool{},
		upkeeps:       map[string]bool{},
		inverse:       map[string]*inverseOffer{},
		frameworks:    map[string]*framework{},
		streams:       map[StreamID]*framework{},
		removed:       map[string]bool{},
		agents:        map[string]*agent{},
		pids:          map[string]*agent{},
		recovered:     map[string]mesos.AgentInfo{},
		unreachable:   map[string]time.Time{},
		gone:          map[string]time.Time{},
		admitting:     map[uint64]*admission{},
		busyPID:       map[string]uint64{},
		busyAgent:     map[string]uint64{},
		offers:        map[string]*offer{},
		weights:       map[string]float64{},
		dirty:         map[string]bool{},
		ledger:        newLedger(cfg),
		nextBatch:     now.Add(cfg.AllocationInterval),
		counts:        newCounters(),
		authenticated: map[string]security.Principal{},
	}
	for id, info := range reg.Admitted {
		s.recovered[id] = info
	}
	for id, at := range reg.Unreachable {
		s.unreachable[id] = at
	}
	for id, at := range reg.Gone {
		s.gone[id] = at
	}
	for role, w := range reg.Weights {
		s.setWeight(role, w)
	}
	for _, c := range sortedConfigs(reg.Quotas) {
		s.applyQuota(c)
	}
	s.recovery = newRecovery(s, now)
	s.recoverFrameworks(reg.Frameworks)
	if len(s.recovered) > 0 {
		s.timers.add(timer{at: now.Add(cfg.AgentReregisterTimeout), kind: recoveredExpire})
	}
	s.timers.add(timer{at: now.Add(cfg.RegistryGCInterval), kind: registryGC})
	return s
}

// Step takes in one event that happened at now and returns what to do about it,
// in order. Times must not go backwards.
func (s *State) Step(now time.Time, e Event) []Effect {
	s.now = now
	s.effects = nil
	switch e := e.(type) {
	case SchedulerSubscribed:
		s.subscribe(e)
	case SchedulerCalled:
		s.call(e)
	case DriverAborted:
		s.driverAborted(e)
	case StreamClosed:
		s.streamClosed(e)
	case AgentMessaged:
		s.agentMessage(e)
	case AgentExited:
		s.agentExited(e.PID)
	case RegistryWritten:
		s.registryWritten(e)
	case TornDown:
		s.tornDown(e)
	case WeightsUpdated:
		s.updateWeights(e)
	case DrainWanted:
		s.drainAgent(e)
	case DeactivationWanted:
		s.deactivateAgent(e)
	case ReactivationWanted:
		s.reactivateAgent(e)
	case ScheduleWanted:
		s.setSchedule(e)
	case MachinesDownWanted:
		s.machinesDown(e)
	case MachinesUpWanted:
		s.machinesUp(e)
	case GoneWanted:
		s.markAgentGone(e)
	case QuotaUpdated:
		s.updateQuota(e)
	case QuotaSet:
		s.setQuota(e)
	case QuotaRemoved:
		s.removeQuota(e)
	case OperationRequested:
		s.operatorOperation(e)
	case AuthenticationBegan:
		delete(s.authenticated, e.PID)
	case Authenticated:
		s.authenticated[e.PID] = e.Principal
	case WhitelistRead:
		s.whitelistRead(e)
	case Ticked:
		s.tick()
	default:
		panic(fmt.Sprintf("core: unknown event %T", e))
	}
	s.checkDrains()
	return s.effects
}

// Deadline returns when the next Ticked event is due. It may lie in the past.
func (s *State) Deadline() time.Time {
	if s.allocate {
		return s.now
	}
	next := s.nextBatch
	if at, ok := s.timers.next(); ok && at.Before(next) {
		next = at
	}
	return next
}

// Version changes whenever a View taken now would differ from one taken before.
func (s *State) Version() uint64 { return s.version }

// tick does everything that is due.
func (s *State) tick() {
	for {
		t, ok := s.timers.pop(s.now)
		if !ok {
			break
		}
		s.fire(t)
	}
	batch := !s.now.Before(s.nextBatch)
	if batch {
		s.nextBatch = s.now.Add(s.cfg.AllocationInterval)
	}
	if batch || s.allocate {
		s.runAllocation(batch)
		s.allocate = false
	}
}

func (s *State) emit(e Effect) { s.effects = append(s.effects, e) }

// changed notes that the visible state is another now.
func (s *State) changed() { s.version++ }

// reply answers a request.
func (s *State) reply(id RequestID, status int, format string, args ...any) {
	s.emit(Reply{Request: id, Status: status, Text: fmt.Sprintf(format, args...)})
}

func (s *State) note(message string, attributes ...any) {
	s.emit(Note{Message: message, Attributes: attributes})
}

// send writes an event to a framework's stream, if it has one.
func (s *State) send(f *framework, e *scheduler.Event) {
	if f.stream == "" {
		return
	}
	f.counts.event(e.Type)
	s.touch(f, nil)
	s.emit(SendEvent{Stream: f.stream, Event: e, Agents: s.agentsFor(f, e)})
}

func (s *State) nextToken() uint64 {
	s.token++
	return s.token
}
