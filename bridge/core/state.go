package core

import (
	"encoding/json"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// Times of the machine. Each can be argued from a kubelet's or Mesos's own.
const (
	// patience is how long a disconnected agent's node stays ready: as long as Kubernetes waits for a kubelet.
	patience = 40 * time.Second
	// tellAfter is how long a pod waits before the wait becomes visible in its status; tellAgain how often at most it changes.
	tellAfter = 2 * time.Second
	tellAgain = 10 * time.Second
	// refuse is the filter of declined offers: REVIVE lifts it, so it may be long (reference row VK-15).
	refuse = 5 * time.Minute
	// reviveFirst doubles up to reviveMax while pods wait for offers.
	reviveFirst = time.Second
	reviveMax   = 15 * time.Second
	// killAgain is when a kill whose effect is not seen is asked for again, beyond the pod's grace period.
	killAgain = 15 * time.Second
	// mostDrops bounds how often in a row a pod's task that was dropped before it started is launched anew.
	mostDrops = 10
	// relaunchFirst doubles up to relaunchMax with each launch in vain, as a kubelet's back-off for containers; a pod that
	// ran for steady starts over.
	relaunchFirst = time.Second
	relaunchMax   = 5 * time.Minute
	steady        = 10 * time.Minute
	// forgetNode is how long the node of a removed agent stays when no pod is left on it.
	forgetNode = 10 * time.Minute
)

// Config is what the operator wants.
type Config struct {
	Executor       virtualnode.Executor
	Headroom       virtualnode.Amounts
	PendingTimeout time.Duration // how long a bound pod may wait for an offer
	NodePrefix     string
	Bridge         string // which bridge this is: virtualnode.BridgeLabel
	MaxPods        int
	Architecture   string
	Taint          *corev1.Taint
}

// State is all that the bridge knows. One goroutine owns it.
type State struct {
	config   Config
	executor *mesos.ExecutorInfo

	ready  bool // subscribed, and the framework's id is kept
	synced bool // every pod of the API has been seen

	nodes   map[string]*node // by node name
	agents  map[string]*node // by agent id: the node that shows it
	foreign map[string]bool
	pods    map[types.UID]*pod
	offers  map[string]*offer

	plan       bool // offers or waiting pods changed: decide anew
	suppressed bool
	reviveAt   time.Time
	reviveStep time.Duration
	dirty      map[string]bool // nodes to show anew

	now     time.Time
	effects []Effect
}

type offer struct {
	virtualnode.Offer
	executor bool // our executor runs on the agent
}

// New is a bridge that knows nothing yet. Feed it NodesKnown, then pods, then PodsSynced, then the rest.
func New(config Config) *State {
	return &State{
		config:   config,
		executor: config.Executor.Info(),
		nodes:    map[string]*node{},
		agents:   map[string]*node{},
		foreign:  map[string]bool{},
		pods:     map[types.UID]*pod{},
		offers:   map[string]*offer{},
		dirty:    map[string]bool{},
	}
}

// Step takes in an event and answers what to do about it, in order. now never goes back.
func (s *State) Step(now time.Time, event Event) []Effect {
	s.now, s.effects = now, nil
	s.apply(event)
	if s.plan {
		s.decide()
	}
	s.showNodes()
	return s.effects
}

func (s *State) apply(event Event) {
	switch e := event.(type) {
	case NodesKnown:
		s.nodesKnown(e)
	case PodSeen:
		s.podSeen(e)
	case PodGone:
		s.podGone(e.UID)
	case PodsSynced:
		s.synced = true
		s.killOrphans()
	case Subscribed:
		// Neither suppressed nor revived: the master forgets both with a new subscription (a new subscription starts unsuppressed).
		s.voidOffers()
		s.suppressed, s.ready = false, false
		s.do(KeepFramework{ID: e.Framework})
	case FrameworkKept:
		s.ready, s.plan = true, true
	case Disconnected:
		s.ready = false
		s.voidOffers()
	case Offered:
		s.offered(e.Offers)
	case Rescinded:
		s.dropOffer(e.ID.Value)
	case TaskUpdated:
		s.taskUpdated(e)
	case ExecutorSaid:
		s.executorSaid(e)
	case ExecutorEnded:
		s.executorEnded(e)
	case AgentsListed:
		s.agentsListed(e.Answer)
	case AttemptKept:
		s.attemptKept(e)
	case NameTaken:
		s.nameTaken(e.Node)
	case Tick:
		s.tick()
	}
}

func (s *State) do(e Effect) { s.effects = append(s.effects, e) }

// tick looks at everything that time alone changes.
func (s *State) tick() {
	s.plan = true
	for _, p := range s.pods {
		s.tickPod(p)
	}
	for _, n := range s.nodes {
		s.tickNode(n)
	}
}

// Tasks names what to reconcile explicitly after a subscription: every task that may exist, those of pods that were there
// when the bridge started included.
func (s *State) Tasks() []scheduler.Call_Reconcile_Task {
	var tasks []scheduler.Call_Reconcile_Task
	for _, p := range s.pods {
		if p.stage != unknown && p.stage != launched {
			continue
		}
		task := scheduler.Call_Reconcile_Task{TaskID: mesos.TaskID{Value: p.taskID()}}
		if agent := s.agentOf(p); agent != "" {
			task.AgentID = &mesos.AgentID{Value: agent}
		}
		tasks = append(tasks, task)
	}
	return tasks
}

// Endpoint is where the executor of a node's agent listens, as JSON; empty: not known.
func (s *State) Endpoint(node string) string {
	if n := s.nodes[node]; n != nil {
		return n.endpoint
	}
	return ""
}

// Counts are figures for metrics.
type Counts struct {
	Nodes, Waiting, Unknown, Launched, Ended, Offers int
}

// Count counts.
func (s *State) Count() Counts {
	c := Counts{Nodes: len(s.nodes), Offers: len(s.offers)}
	for _, p := range s.pods {
		switch p.stage {
		case unknown:
			c.Unknown++
		case waiting:
			c.Waiting++
		case launched:
			c.Launched++
		case ended:
			c.Ended++
		}
	}
	return c
}

// Located is where a pod's task runs.
type Located struct {
	TaskID   string
	Endpoint string // as JSON; empty: the executor has not reported
	Pod      *corev1.Pod
}

// Locate finds the live task of a pod by its node and name.
func (s *State) Locate(node, namespace, name string) (Located, bool) {
	n := s.nodes[node]
	if n == nil {
		return Located{}, false
	}
	for _, p := range n.pods {
		if p.pod == nil || p.pod.Name != name || p.pod.Namespace != namespace {
			continue
		}
		if p.stage != launched && p.stage != ended {
			return Located{}, false
		}
		return Located{TaskID: p.taskID(), Pod: p.pod, Endpoint: n.endpoint}, true
	}
	return Located{}, false
}

// PodsOn lists the pods bound to a node.
func (s *State) PodsOn(node string) []*corev1.Pod {
	var pods []*corev1.Pod
	if n := s.nodes[node]; n != nil {
		for _, p := range n.pods {
			if p.pod != nil {
				pods = append(pods, p.pod)
			}
		}
	}
	return pods
}

// NodeNames are the nodes shown.
func (s *State) NodeNames() []string {
	names := make([]string, 0, len(s.nodes))
	for name := range s.nodes {
		names = append(names, name)
	}
	return names
}

func taskData(pod *corev1.Pod) []byte {
	data, err := json.Marshal(map[string]string{"namespace": pod.Namespace, "name": pod.Name, "uid": string(pod.UID)})
	if err != nil {
		panic("core: strings do not marshal: " + err.Error())
	}
	return data
}
