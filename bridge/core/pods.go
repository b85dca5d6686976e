package core

import (
	"fmt"
	"reflect"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// stage is where a pod is; the package comment draws the way through them.
type stage int

const (
	unknown  stage = iota // the master has not yet told whether its task exists
	waiting               // it has no task and wants one
	launched              // its task was asked for and has not ended
	ended                 // its task ended, or it will never have one
)

type pod struct {
	uid     types.UID
	pod     *corev1.Pod // nil when the object is gone but the task is not
	node    string
	refused string
	// requests is what the pod requests, at the launch if it is launched.
	requests virtualnode.Amounts
	stage    stage
	attempt  int
	keeping  bool // the attempt is being written; not to be launched yet

	agent string          // id of the agent that the task was sent to
	state mesos.TaskState // last known
	seen  bool            // the agent or executor has said something of this attempt
	last  *corev1.PodStatus

	delivered bool // a Deliver is under way
	removed   bool // Delete has been asked for
	killing   bool
	killGrace time.Duration
	killAt    time.Time // when to ask again

	since    time.Time // when the wait began
	tries    int       // launches in vain, one after the other
	notYet   time.Time // when to launch again
	began    time.Time // of the last launch
	short    virtualnode.Shortage
	toldAt   time.Time
	toldText string
}

func (p *pod) taskID() string { return virtualnode.TaskID(string(p.uid), p.attempt) }

// needs is what the pod's task takes.
func (p *pod) needs() virtualnode.Amounts { return p.requests.Max(virtualnode.Least) }

func (p *pod) deleting() bool { return p.pod == nil || p.pod.DeletionTimestamp != nil }

// base is the pod with the newest status that is known: the executor's before the API's, but for the conditions of others.
func (p *pod) base() *corev1.Pod {
	if p.last == nil {
		return p.pod
	}
	newest := *p.pod
	newest.Status = *virtualnode.Merge(p.pod, p.last, p.last.HostIP)
	return &newest
}

// agentOf is the agent that has the pod's task or would get it.
func (s *State) agentOf(p *pod) string {
	if p.agent != "" {
		return p.agent
	}
	if n := s.nodes[p.node]; n != nil {
		return n.agentID
	}
	return ""
}

func (s *State) podSeen(e PodSeen) {
	p := s.pods[e.Pod.UID]
	if p == nil {
		if s.nodes[e.Pod.Spec.NodeName] == nil {
			return // another node's
		}
		p = &pod{uid: e.Pod.UID, attempt: virtualnode.Attempt(e.Pod), since: s.now}
		s.pods[p.uid] = p
		s.bind(p, e)
		s.newPod(p)
		return
	}
	before := p.pod
	s.bind(p, e)
	switch {
	case p.deleting():
		s.deletePod(p)
	case virtualnode.Finished(&p.pod.Status) && p.stage == waiting:
		p.stage = ended
	case virtualnode.Finished(&p.pod.Status) && p.stage == launched:
		s.kill(p) // somebody else has ended the pod
	case p.delivered && before != nil && changed(before, p.pod):
		p.delivered = false
		s.deliver(p)
	}
	s.touch(p)
}

// bind takes in a pod's object; drop forgets the pod.
func (s *State) bind(p *pod, e PodSeen) {
	p.pod, p.node, p.refused = e.Pod, e.Pod.Spec.NodeName, e.Refused
	if p.stage != launched { // a task keeps what it was given
		p.requests = virtualnode.Requests(&e.Pod.Spec)
	}
	if n := s.nodes[p.node]; n != nil {
		n.pods[p.uid] = p
	}
}

func (s *State) drop(p *pod) {
	if n := s.agents[p.agent]; n != nil && n.endpoint != "" {
		s.do(Discard{TaskID: p.taskID(), Endpoint: n.endpoint})
	}
	delete(s.pods, p.uid)
	if n := s.nodes[p.node]; n != nil {
		delete(n.pods, p.uid)
	}
}

// newPod finds where a pod stands that is seen for the first time.
func (s *State) newPod(p *pod) {
	switch {
	case virtualnode.Finished(&p.pod.Status):
		p.stage = ended
	case s.synced:
		s.wait(p)
	}
	if p.deleting() {
		s.deletePod(p)
	}
	s.touch(p)
}

func changed(before, after *corev1.Pod) bool {
	return !reflect.DeepEqual(before.Labels, after.Labels) || !reflect.DeepEqual(before.Annotations, after.Annotations) ||
		!reflect.DeepEqual(before.Spec, after.Spec)
}

// wait lets a pod that certainly has no task ask for one.
func (s *State) wait(p *pod) {
	p.stage, p.agent, p.seen, p.state = waiting, "", false, mesos.TASK_STAGING
	switch {
	case p.deleting():
		s.deletePod(p)
	case p.refused != "":
		s.fail(p, "UnsupportedPodSpec", p.refused)
	default:
		s.plan, s.reviveAt, s.reviveStep = true, s.now, 0
	}
}

// fail ends a pod that has no task, as a kubelet does that does not admit a pod.
func (s *State) fail(p *pod, reason, message string) {
	s.do(Tell{Pod: p.pod, Warning: true, Reason: reason, Message: message})
	s.end(p, virtualnode.Ended(p.base(), metav1.NewTime(s.now), reason, message), nil)
}

// end is the end of a pod's task, with the pod's last status.
func (s *State) end(p *pod, status *corev1.PodStatus, ack *mesos.TaskStatus) {
	s.do(Forget{TaskID: p.taskID()})
	p.stage, p.killing, p.delivered = ended, false, false
	s.plan = true
	s.touch(p)
	if p.pod == nil {
		s.acknowledge(ack)
		s.drop(p)
		return
	}
	p.last = status
	s.do(WriteStatus{Pod: p.pod, Status: status, Ack: ack})
	if p.deleting() {
		s.deletePod(p)
	}
}

// acknowledge takes in an update that changes nothing in the API; those without a uuid want no answer.
func (s *State) acknowledge(status *mesos.TaskStatus) {
	if status != nil && len(status.UUID) > 0 {
		s.do(Acknowledge{Status: *status})
	}
}

// deletePod brings a pod to its end that someone wants deleted: the object goes when nothing runs any more.
func (s *State) deletePod(p *pod) {
	switch p.stage {
	case unknown: // until the master has answered
	case launched:
		s.kill(p)
	case waiting, ended:
		p.stage = ended
		if p.pod == nil {
			s.drop(p)
		} else if !p.removed {
			p.removed = true
			s.do(Delete{Ref: RefOf(p.pod)})
		}
	}
}

func (s *State) podGone(uid types.UID) {
	p := s.pods[uid]
	if p == nil {
		return
	}
	p.pod = nil
	s.deletePod(p)
	s.touch(p)
}

// kill asks for the end of a pod's task, again if the grace has become shorter.
func (s *State) kill(p *pod) {
	var grace *time.Duration
	length := virtualnode.DefaultGrace
	if p.pod != nil && p.pod.DeletionTimestamp != nil {
		length = virtualnode.Grace(p.pod)
		grace = &length
	}
	if p.killing && length >= p.killGrace && s.now.Before(p.killAt) {
		return
	}
	p.killing, p.killGrace, p.killAt = true, length, s.now.Add(length+killAgain)
	kill := Kill{Task: mesos.TaskID{Value: p.taskID()}, Grace: grace}
	if p.agent != "" {
		kill.Agent = &mesos.AgentID{Value: p.agent}
	}
	s.do(kill)
}

func (s *State) killOrphans() {
	for _, p := range s.pods {
		if p.pod == nil && p.stage == launched {
			s.kill(p)
		}
	}
}

func (s *State) tickPod(p *pod) {
	switch p.stage {
	case waiting:
		s.tickWaiting(p)
	case launched:
		if p.killing && !s.now.Before(p.killAt) {
			s.kill(p)
		}
		s.deliver(p)
	case unknown, ended:
	}
}

// tickWaiting makes a wait visible, and ends it when it has lasted too long.
func (s *State) tickWaiting(p *pod) {
	n := s.nodes[p.node]
	if n == nil || p.keeping || s.now.Before(p.notYet) || s.now.Sub(p.since) < tellAfter {
		return
	}
	if n.health != virtualnode.Healthy {
		return // Kubernetes deals with the pods of a node that is not ready
	}
	needs := p.needs()
	if s.now.Sub(p.since) >= s.config.PendingTimeout && s.ready {
		reason, message := virtualnode.OutOf(needs, p.short, p.node)
		s.fail(p, reason, message)
		return
	}
	text := fmt.Sprintf("waiting for Mesos to offer what the pod needs on agent %s: needs %s; offered now: %s", n.agentID, needs, p.short.Held)
	if len(p.short.Ports) > 0 {
		text += fmt.Sprintf("; without host ports %d", p.short.Ports)
	}
	if !s.ready {
		text = "waiting for the Mesos master: the bridge is not subscribed"
	}
	if text == p.toldText || (!p.toldAt.IsZero() && s.now.Sub(p.toldAt) < tellAgain) {
		return
	}
	p.toldText, p.toldAt = text, s.now
	s.do(Tell{Pod: p.pod, Warning: true, Reason: "WaitingForOffer", Message: text})
	status := p.pod.Status.DeepCopy()
	status.Conditions = virtualnode.SetCondition(status.Conditions, corev1.PodCondition{
		Type: virtualnode.OfferCondition, Status: corev1.ConditionFalse, Reason: "WaitingForOffer", Message: text,
		LastTransitionTime: metav1.NewTime(s.now), LastProbeTime: metav1.NewTime(s.now), ObservedGeneration: p.pod.Generation,
	})
	s.do(WriteStatus{Pod: p.pod, Status: status})
}
