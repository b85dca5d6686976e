package lifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// State is where an instance of a container is.
type State int

// The states of CRI.
const (
	Created State = iota
	Running
	Exited
	Unknown
)

// Instance is one run of a container, as the container runtime shows it.
type Instance struct {
	ID        string
	Container string // name in the pod's spec
	SandboxID string
	Attempt   uint32 // 0, 1, 2 ...: the restart count
	State     State

	StartedAt  time.Time
	FinishedAt time.Time
	ExitCode   int32
	Reason     string // Completed, Error, OOMKilled, StartError ...
	Message    string // termination message
	ImageID    string
}

// Sandbox is the pod's sandbox as the container runtime shows it.
type Sandbox struct {
	ID      string
	Attempt uint32
	Ready   bool
	IPs     []string
}

// Observed is what the container runtime shows of one pod at one moment.
type Observed struct {
	Sandbox   *Sandbox // the newest; nil: none
	Instances []Instance
	// Stale are the ids of older sandboxes of the pod; they are to be removed.
	Stale []string
}

// Kind is what an action does.
type Kind int

// The actions. Each is carried out by the owner of the machine, which reports back with Done.
const (
	CreateSandbox  Kind = iota
	RemoveSandbox       // stop and remove Sandbox; releases the pod's address
	StartContainer      // make sure of the image, create, start, run the postStart hook
	KillContainer       // run the preStop hook, stop within Grace
	RemoveInstance      // forget an old instance
)

// Action is an order to the owner of the machine.
type Action struct {
	Kind      Kind
	Sandbox   string // RemoveSandbox, StartContainer
	Container string // name, of container actions
	Instance  string // id, of KillContainer and RemoveInstance
	Attempt   uint32 // of the new sandbox or instance
	Grace     time.Duration
	Reason    string     // of KillContainer, for the event log
	Probe     *ProbeKind // of KillContainer: the probe that failed; nil: another reason
}

// Failure is why a sandbox or container could not be started: a reason in Kubernetes's words and a sentence.
type Failure struct {
	Reason  string
	Message string
}

// Ending is why and until when a pod is being stopped.
type Ending struct {
	// Deadline is when the last container must have been killed.
	Deadline time.Time
	Grace    time.Duration
	Cause    Cause
	Reason   string // PodStatus.reason, e.g. DeadlineExceeded
	Message  string
}

// Cause is why a pod ends.
type Cause int

// The causes. A pod that has ended by itself is Completed, whether it succeeded or failed.
const (
	Completed Cause = iota
	Killed          // on order
	DeadlineExceeded
	Refused // it could never be started, e.g. no bundle came
)

// Back-off of restarts and pulls, as a kubelet's: 10 s doubling to 5 min, forgotten after 10 min of peace.
const (
	backOffFirst = 10 * time.Second
	backOffMost  = 5 * time.Minute
	backOffReset = 10 * time.Minute
)

// container is what the machine remembers of one container of the pod.
type container struct {
	spec    *corev1.Container
	init    bool
	sidecar bool // init container with restartPolicy Always

	current *Instance // the newest instance ever seen
	last    *Instance // the terminated one before it
	extra   []string  // ids of older instances that the runtime still has

	starting bool      // a StartContainer is under way
	killing  time.Time // deadline of the KillContainer under way; zero: none
	delay    time.Duration
	readyAt  time.Time // no start before
	failure  *Failure  // of the last start
	failedAt time.Time

	probes probes
}

// Machine is one pod's state. It belongs to one goroutine.
type Machine struct {
	pod        *corev1.Pod
	containers []*container // init containers first, in the spec's order
	byName     map[string]*container
	since      time.Time // the pod's startTime

	sandbox         *Sandbox
	ips             []string // of the last sandbox that was ready
	everReady       bool     // a sandbox has been ready
	sandboxBusy     bool
	sandboxAttempts uint32
	sandboxDelay    time.Duration
	sandboxReadyAt  time.Time
	sandboxFailure  *Failure
	stale           []string

	ending     *Ending
	conditions map[corev1.PodConditionType]corev1.PodCondition
	resize     bool // other resources are wanted than the containers have
}

// New is the machine of a pod that was accepted at now.
func New(pod *corev1.Pod, now time.Time) *Machine {
	m := &Machine{
		pod: pod, since: now,
		byName:     map[string]*container{},
		conditions: map[corev1.PodConditionType]corev1.PodCondition{},
	}
	add := func(spec *corev1.Container, init bool) {
		c := &container{spec: spec, init: init}
		c.sidecar = init && spec.RestartPolicy != nil && *spec.RestartPolicy == corev1.ContainerRestartPolicyAlways
		c.probes.reset(spec)
		m.containers = append(m.containers, c)
		m.byName[spec.Name] = c
	}
	for i := range pod.Spec.InitContainers {
		add(&pod.Spec.InitContainers[i], true)
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i], false)
	}
	return m
}

// Observe takes in what the container runtime shows. It returns the names of containers whose instance is new or has
// changed state, so that the owner can start or stop probes.
func (m *Machine) Observe(now time.Time, seen Observed) (changed []string) {
	m.sandbox, m.stale = seen.Sandbox, seen.Stale
	if m.sandbox != nil {
		m.sandboxAttempts = max(m.sandboxAttempts, m.sandbox.Attempt+1)
		if m.sandbox.Ready {
			m.everReady, m.sandboxFailure, m.ips = true, nil, m.sandbox.IPs
		}
	}
	newest := map[string]*Instance{}
	for _, c := range m.containers {
		c.extra = c.extra[:0]
	}
	for i := range seen.Instances {
		instance := &seen.Instances[i]
		c := m.byName[instance.Container]
		if c == nil {
			continue
		}
		if other := newest[instance.Container]; other == nil || instance.Attempt > other.Attempt {
			newest[instance.Container] = instance
		}
	}
	for i := range seen.Instances {
		instance := &seen.Instances[i]
		// The newest and the one before it stay, for kubectl logs --previous and lastState.
		if top := newest[instance.Container]; top != nil && instance.Attempt+1 < top.Attempt {
			c := m.byName[instance.Container]
			c.extra = append(c.extra, instance.ID)
		}
	}
	for _, c := range m.containers {
		if c.observe(now, newest[c.spec.Name]) {
			changed = append(changed, c.spec.Name)
		}
	}
	return changed
}

// observe takes in the newest instance that the runtime shows, nil if it shows none.
func (c *container) observe(now time.Time, seen *Instance) (changed bool) {
	before := c.current
	switch {
	case seen == nil && before != nil && before.State != Exited:
		// It has vanished: its sandbox was removed under it, or the runtime lost its state.
		gone := *before
		gone.State, gone.FinishedAt, gone.ExitCode = Exited, now, 137
		gone.Reason, gone.Message = "ContainerStatusUnknown", "the container could not be found in the container runtime"
		c.current = &gone
	case seen == nil:
		return false
	case before == nil || seen.Attempt > before.Attempt:
		if before != nil {
			c.last = before
		}
		c.current = seen
		c.failure = nil
		c.probes.reset(c.spec)
	case seen.Attempt == before.Attempt:
		c.current = seen
	default:
		return false // an older one: the newest was removed already
	}
	if c.current.State == Exited && (before == nil || before.State != Exited || before.Attempt != c.current.Attempt) {
		c.exited()
	}
	return before == nil || before.ID != c.current.ID || before.State != c.current.State
}

// exited sets when the container may start again.
func (c *container) exited() {
	c.killing = time.Time{}
	c.probes.stop()
	instance := c.current
	switch {
	case instance.Attempt == 0, !instance.StartedAt.IsZero() && instance.FinishedAt.Sub(instance.StartedAt) >= backOffReset:
		// The first restart does not wait; the next will.
		c.delay = 0
	case c.delay == 0:
		c.delay = backOffFirst
	default:
		c.delay = min(2*c.delay, backOffMost)
	}
	c.readyAt = instance.FinishedAt.Add(c.delay)
}

// Began notes that the owner has started an action; Decide does not order it again until Done.
func (m *Machine) Began(a Action, now time.Time) {
	switch a.Kind {
	case CreateSandbox, RemoveSandbox:
		m.sandboxBusy = true
	case StartContainer:
		m.byName[a.Container].starting = true
	case KillContainer:
		m.byName[a.Container].killing = now.Add(a.Grace)
	case RemoveInstance:
	}
}

// Done notes the end of an action: failure is nil if it was carried out. The owner observes the runtime before it asks
// Decide again.
func (m *Machine) Done(a Action, now time.Time, failure *Failure) {
	switch a.Kind {
	case CreateSandbox, RemoveSandbox:
		m.sandboxBusy = false
		if failure == nil {
			m.sandboxDelay, m.sandboxFailure = 0, nil
			return
		}
		if a.Kind == CreateSandbox {
			m.sandboxFailure = failure
			m.sandboxAttempts = max(m.sandboxAttempts, a.Attempt+1)
		}
		m.sandboxDelay = min(max(2*m.sandboxDelay, time.Second), time.Minute)
		m.sandboxReadyAt = now.Add(m.sandboxDelay)
	case StartContainer:
		m.byName[a.Container].startDone(now, failure)
	case KillContainer:
		m.byName[a.Container].killing = time.Time{} // if it still runs, it is killed again
	case RemoveInstance:
	}
}

func (c *container) startDone(now time.Time, failure *Failure) {
	c.starting = false
	if failure == nil {
		c.failure = nil
		return
	}
	if c.failure == nil || c.delay == 0 {
		c.delay = backOffFirst
	} else {
		c.delay = min(2*c.delay, backOffMost)
	}
	c.failure, c.failedAt = failure, now
	c.readyAt = now.Add(c.delay)
}

// End orders the pod to stop: the containers get grace, counted from now. A later, shorter grace shortens it (reference row
// KIL-06); a longer one changes nothing. The first cause stays.
func (m *Machine) End(now time.Time, ending Ending) {
	ending.Deadline = now.Add(ending.Grace)
	if m.ending == nil {
		m.ending = &ending
		return
	}
	if ending.Deadline.Before(m.ending.Deadline) {
		m.ending.Deadline, m.ending.Grace = ending.Deadline, ending.Grace
	}
}

// Ending is why the pod is being stopped; nil if it is not.
func (m *Machine) Ending() *Ending { return m.ending }

// Finished says that the pod has ended and that nothing of it is left in the container runtime.
func (m *Machine) Finished() bool {
	return m.ending != nil && m.sandbox == nil && len(m.stale) == 0 && !m.sandboxBusy && !m.anyStarting()
}

// Running says that the pod has, or had, a running sandbox (TASK_RUNNING may be sent).
func (m *Machine) Running() bool { return m.everReady }

// Update replaces the pod's metadata and deadline; containers stay as they were started. What could not be started is
// tried again at once: what it lacked may be there now.
func (m *Machine) Update(pod *corev1.Pod) {
	m.sandboxReadyAt = time.Time{}
	for _, c := range m.containers {
		if c.failure != nil {
			c.readyAt = time.Time{}
		}
	}
	updated := m.pod.DeepCopy()
	updated.ObjectMeta = pod.ObjectMeta
	updated.Spec.ActiveDeadlineSeconds = pod.Spec.ActiveDeadlineSeconds
	updated.Spec.EphemeralContainers = pod.Spec.EphemeralContainers
	m.resize = m.resized(pod)
	m.pod = updated
}

// resized says whether a pod's present form wants other resources for its containers than they were started with.
func (m *Machine) resized(pod *corev1.Pod) bool {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if c := m.byName[list[i].Name]; c != nil && !equality.Semantic.DeepEqual(c.spec.Resources, list[i].Resources) {
				return true
			}
		}
	}
	return false
}

// Pod is the pod that the machine runs.
func (m *Machine) Pod() *corev1.Pod { return m.pod }

// Current is the newest instance of a container, nil if there was none.
func (m *Machine) Current(name string) *Instance {
	if c := m.byName[name]; c != nil {
		return c.current
	}
	return nil
}

func (m *Machine) anyStarting() bool {
	for _, c := range m.containers {
		if c.starting {
			return true
		}
	}
	return false
}
