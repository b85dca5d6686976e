package core

import (
	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// live says that a task in this state exists or may come back.
func live(state mesos.TaskState) bool {
	switch state {
	case mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_RUNNING, mesos.TASK_KILLING, mesos.TASK_UNREACHABLE:
		return true
	}
	return false
}

// taskUpdated takes in what the executor, the agent or the master says of a task.
func (s *State) taskUpdated(e TaskUpdated) {
	status := e.Status
	if e.Endpoint != "" && status.AgentID != nil {
		s.executorAt(status.AgentID.Value, e.Endpoint)
	}
	uid, attempt, ok := virtualnode.PodOfTask(status.TaskID.Value)
	if !ok {
		s.acknowledge(&status)
		return
	}
	p := s.pods[types.UID(uid)]
	if p == nil {
		if !live(status.GetState()) {
			s.acknowledge(&status)
			return
		}
		p = &pod{uid: types.UID(uid), attempt: attempt, since: s.now} // a task without a pod
		s.pods[p.uid] = p
	}
	if attempt < p.attempt || p.keeping && attempt == p.attempt { // it has ended, and the next attempt is decided
		if live(status.GetState()) {
			s.do(Kill{Task: status.TaskID, Agent: status.AgentID})
		}
		s.acknowledge(&status)
		return
	}
	if p.stage == ended {
		s.acknowledge(&status)
		if p.pod != nil && live(status.GetState()) {
			s.do(Kill{Task: status.TaskID, Agent: status.AgentID}) // the pod is finished in the API; nothing of it may run
		}
		return
	}
	p.attempt = attempt
	switch {
	case live(status.GetState()):
		s.taskLives(p, &status, e.Report)
	case status.GetState() == mesos.TASK_UNKNOWN:
		// The master does not know the agent (any more): no proof of anything, so nothing is done.
	default:
		s.taskEnded(p, &status, e.Report)
	}
	s.touch(p)
}

func (s *State) taskLives(p *pod, status *mesos.TaskStatus, report *corev1.PodStatus) {
	if p.stage != launched {
		p.stage = launched
		s.plan = true
	}
	if p.state == mesos.TASK_UNREACHABLE && status.GetState() != mesos.TASK_UNREACHABLE {
		p.killing = false // an order to end did not reach it
	}
	p.state = status.GetState()
	if status.AgentID != nil {
		p.agent = status.AgentID.Value
	}
	if p.state != mesos.TASK_STAGING && p.state != mesos.TASK_UNREACHABLE {
		p.seen = true
	}
	if p.deleting() {
		if p.pod != nil || s.synced {
			s.kill(p)
		}
	}
	s.deliver(p)
	if report == nil || p.pod == nil {
		s.acknowledge(status)
		return
	}
	merged := virtualnode.Merge(p.pod, report, s.hostIP(p))
	p.last = merged
	s.do(WriteStatus{Pod: p.pod, Status: merged, Ack: status})
}

// taskEnded handles every state after which the task does not run: it ended, was never started, or the master knows nothing
// of it (reference rows REC-04, REC-06).
func (s *State) taskEnded(p *pod, status *mesos.TaskStatus, report *corev1.PodStatus) {
	asked := status.GetReason() == mesos.REASON_RECONCILIATION
	switch status.GetState() {
	case mesos.TASK_FINISHED, mesos.TASK_FAILED, mesos.TASK_KILLED:
		if asked { // the real update, with the pod's status, is on its way from the agent
			p.stage = launched
			return
		}
	case mesos.TASK_DROPPED:
		s.neverStarted(p, status)
		return
	case mesos.TASK_GONE:
		if asked && !p.seen && (p.pod == nil || !virtualnode.Started(&p.pod.Status)) {
			s.neverStarted(p, status)
			return
		}
	}
	if p.pod == nil {
		s.end(p, nil, status)
		return
	}
	if interrupted(status) && report == nil && s.mayRestart(p) {
		s.restart(p, status)
		return
	}
	s.end(p, s.lastStatus(p, status, report), status)
}

// interrupted says that the pod's executor ended, and the containers with it, as when the machine is switched off.
func interrupted(status *mesos.TaskStatus) bool {
	switch status.GetReason() {
	case mesos.REASON_EXECUTOR_TERMINATED, mesos.REASON_EXECUTOR_REREGISTRATION_TIMEOUT:
		return status.GetState() == mesos.TASK_FAILED
	}
	return false
}

// mayRestart says that a pod whose containers are certainly gone is one that a kubelet would start again. With another
// restart policy the containers that had succeeded would run twice, so those pods fail and their controllers decide.
func (s *State) mayRestart(p *pod) bool {
	return !p.deleting() && p.pod.Spec.RestartPolicy == corev1.RestartPolicyAlways && !virtualnode.Finished(&p.pod.Status)
}

// restart has the pod wait for its next attempt on its node. The attempt is kept before the end of the last one is acknowledged.
func (s *State) restart(p *pod, status *mesos.TaskStatus) {
	s.do(Forget{TaskID: p.taskID()})
	p.killing, p.delivered, p.since = false, false, s.now
	if !s.again(p) {
		s.acknowledge(status)
		return
	}
	reason, message := virtualnode.WhyEnded(status)
	s.do(Tell{Pod: p.pod, Warning: true, Reason: reason, Message: message + "; the pod starts again"})
	p.last = virtualnode.Interrupted(p.base(), metav1.NewTime(s.now))
	s.do(WriteStatus{Pod: p.pod, Status: p.last, Ack: status})
}

// again has a pod wait for its next attempt, after a pause that doubles with each launch in vain; false if it does not wait.
func (s *State) again(p *pod) bool {
	if !p.began.IsZero() && s.now.Sub(p.began) >= steady {
		p.tries = 0
	}
	p.notYet = s.now.Add(min(relaunchFirst<<min(p.tries, 10), relaunchMax))
	p.tries++
	s.wait(p)
	if p.stage != waiting {
		return false
	}
	p.keeping = true
	s.do(KeepAttempt{Ref: RefOf(p.pod), Attempt: p.attempt + 1})
	return true
}

// lastStatus is the pod's status after its task's end; it is always final.
func (s *State) lastStatus(p *pod, status *mesos.TaskStatus, report *corev1.PodStatus) *corev1.PodStatus {
	now := metav1.NewTime(s.now)
	if report == nil {
		reason, message := virtualnode.WhyEnded(status)
		return virtualnode.Ended(p.base(), now, reason, message)
	}
	merged := virtualnode.Merge(p.pod, report, s.hostIP(p))
	if virtualnode.Finished(merged) {
		return merged
	}
	if status.GetState() == mesos.TASK_FINISHED {
		merged.Phase = corev1.PodSucceeded
		return merged
	}
	last := *p.pod
	last.Status = *merged
	reason := merged.Reason
	if reason == "" {
		reason, _ = virtualnode.WhyEnded(status)
	}
	return virtualnode.Ended(&last, now, reason, status.GetMessage())
}

// neverStarted handles a task that was dropped on its way, so that nothing of the pod has run: it waits again, under a new
// task id where the old one has been used.
func (s *State) neverStarted(p *pod, status *mesos.TaskStatus) {
	s.acknowledge(status)
	if p.pod == nil {
		s.drop(p)
		return
	}
	if p.stage == unknown {
		s.wait(p)
		return
	}
	if p.tries >= mostDrops {
		reason, message := virtualnode.WhyEnded(status)
		s.fail(p, reason, message)
		return
	}
	s.again(p)
}

func (s *State) attemptKept(e AttemptKept) {
	p := s.pods[e.UID]
	if p == nil || !p.keeping {
		return
	}
	p.keeping = false
	if p.stage == waiting {
		p.attempt = e.Attempt
		s.plan, s.reviveAt, s.reviveStep = true, s.now, 0
	}
}

// deliver hands the pod's bundle to the executor as soon as the executor has the task and its address is known.
func (s *State) deliver(p *pod) {
	if p.delivered || p.pod == nil || p.pod.DeletionTimestamp != nil || p.stage != launched {
		return
	}
	n := s.agents[p.agent]
	if n == nil || n.endpoint == "" || (p.state != mesos.TASK_STARTING && p.state != mesos.TASK_RUNNING) {
		return
	}
	p.delivered = true
	s.do(Deliver{TaskID: p.taskID(), Pod: p.pod, AgentID: p.agent, Endpoint: n.endpoint})
}

func (s *State) hostIP(p *pod) string {
	if n := s.agents[p.agent]; n != nil {
		return n.agent.IP
	}
	return ""
}
