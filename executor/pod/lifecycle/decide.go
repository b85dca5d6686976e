package lifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// minGrace is the least time that a container gets to stop on its own, as in a kubelet.
const minGrace = 2 * time.Second

// decision collects what to do now and when to look again.
type decision struct {
	now     time.Time
	actions []Action
	wake    time.Time
}

func (d *decision) do(a Action) { d.actions = append(d.actions, a) }

// at asks to be woken at t at the latest.
func (d *decision) at(t time.Time) {
	if t.After(d.now) && (d.wake.IsZero() || t.Before(d.wake)) {
		d.wake = t
	}
}

// Decide says what to do now, given all that the machine knows, and when to ask again if nothing else happens (zero: not
// before something happens). The only thing it changes is to note that a pod has ended by itself.
func (m *Machine) Decide(now time.Time) (actions []Action, wake time.Time) {
	d := &decision{now: now}
	m.checkEnd(d)
	m.tidy(d)
	switch {
	case m.ending != nil:
		m.decideEnd(d)
	case m.sandbox == nil:
		m.decideSandbox(d)
	case !m.sandbox.Ready:
		// The sandbox has died under the pod: what still runs in it goes with it, and all begins again in a new one.
		if !m.sandboxBusy && !m.anyStarting() {
			d.do(Action{Kind: RemoveSandbox, Sandbox: m.sandbox.ID})
		}
	default:
		m.decideContainers(d)
	}
	return d.actions, d.wake
}

// checkEnd notes an end that nobody ordered: the deadline has passed, or the containers are done.
func (m *Machine) checkEnd(d *decision) {
	if m.ending != nil {
		return
	}
	if seconds := m.pod.Spec.ActiveDeadlineSeconds; seconds != nil {
		deadline := m.since.Add(time.Duration(*seconds) * time.Second)
		if !d.now.Before(deadline) {
			m.End(d.now, Ending{
				Grace: Grace(m.pod), Cause: DeadlineExceeded, Reason: "DeadlineExceeded",
				Message: "Pod was active on the node longer than the specified deadline",
			})
			return
		}
		d.at(deadline)
	}
	if m.done() {
		m.End(d.now, Ending{Grace: Grace(m.pod), Cause: Completed})
	}
}

// Grace is the time that a pod's spec gives its containers to stop.
func Grace(pod *corev1.Pod) time.Duration {
	if seconds := pod.Spec.TerminationGracePeriodSeconds; seconds != nil {
		return time.Duration(*seconds) * time.Second
	}
	return 30 * time.Second
}

// tidy removes what is left of earlier runs.
func (m *Machine) tidy(d *decision) {
	for _, c := range m.containers {
		for _, id := range c.extra {
			d.do(Action{Kind: RemoveInstance, Container: c.spec.Name, Instance: id})
		}
	}
	if len(m.stale) > 0 && !m.sandboxBusy {
		d.do(Action{Kind: RemoveSandbox, Sandbox: m.stale[0]})
	}
}

// done says that no container will run again, by the pod's own will.
func (m *Machine) done() bool {
	if c := m.failedInit(); c != nil {
		return true
	}
	for _, c := range m.containers {
		if c.init {
			continue
		}
		if c.current == nil || c.current.State != Exited || c.starting || m.restarts(c) {
			return false
		}
	}
	return len(m.pod.Spec.Containers) > 0
}

// failedInit is the init container that has failed for good.
func (m *Machine) failedInit() *container {
	if m.pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		return nil
	}
	for _, c := range m.containers {
		if c.init && !c.sidecar && c.current != nil && c.current.State == Exited && c.current.ExitCode != 0 {
			return c
		}
	}
	return nil
}

// restarts says whether an exited container is to run again.
func (m *Machine) restarts(c *container) bool {
	switch {
	case c.sidecar:
		return true
	case c.init:
		return c.current.ExitCode != 0 && m.pod.Spec.RestartPolicy != corev1.RestartPolicyNever
	}
	switch m.pod.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return c.current.ExitCode != 0
	default:
		return true
	}
}

func (m *Machine) decideSandbox(d *decision) {
	switch {
	case m.sandboxBusy || m.anyStarting() || len(m.stale) > 0:
	case d.now.Before(m.sandboxReadyAt):
		d.at(m.sandboxReadyAt)
	default:
		d.do(Action{Kind: CreateSandbox, Attempt: m.sandboxAttempts})
	}
}

// decideContainers starts what is to run now and kills what a probe has condemned.
func (m *Machine) decideContainers(d *decision) {
	skipInit := m.mainBegan()
	for _, c := range m.containers {
		if c.init && !c.sidecar && skipInit {
			continue
		}
		m.decideContainer(d, c)
		if c.init && !skipInit && !m.passed(c) {
			return // the next one waits for this
		}
	}
}

// mainBegan says that a main container has been started in the present sandbox: the init containers are behind us.
func (m *Machine) mainBegan() bool {
	for _, c := range m.containers {
		if !c.init && c.current != nil && m.sandbox != nil && c.current.SandboxID == m.sandbox.ID {
			return true
		}
	}
	return false
}

// passed says that an init container lets the next one start: it has completed or, as a sidecar, has started.
func (m *Machine) passed(c *container) bool {
	if c.current == nil || m.sandbox == nil || c.current.SandboxID != m.sandbox.ID || c.starting {
		return false
	}
	if c.sidecar {
		return c.current.State == Running && c.probes.started
	}
	return c.current.State == Exited && c.current.ExitCode == 0
}

func (m *Machine) decideContainer(d *decision, c *container) {
	if c.starting || !c.killing.IsZero() {
		return
	}
	if c.current != nil && c.current.SandboxID == m.sandbox.ID {
		switch c.current.State {
		case Running:
			if c.probes.kill != nil {
				d.do(m.condemn(c))
			}
			return
		case Exited:
			if !m.restarts(c) {
				return
			}
		case Created, Unknown:
			// Created but never started, e.g. a start was interrupted: it goes, and counts as a failed attempt.
			d.do(Action{Kind: KillContainer, Container: c.spec.Name, Instance: c.current.ID, Grace: minGrace, Reason: "it never started"})
			return
		}
	} else if c.current != nil && !c.init && c.current.State == Exited && !m.restarts(c) {
		return // it had completed in the sandbox before
	}
	if d.now.Before(c.readyAt) {
		d.at(c.readyAt)
		d.at(c.failedAt.Add(errorShown))
		return
	}
	attempt := uint32(0)
	if c.current != nil {
		attempt = c.current.Attempt + 1
	}
	d.do(Action{Kind: StartContainer, Sandbox: m.sandbox.ID, Container: c.spec.Name, Attempt: attempt})
}

// condemn is the kill of a container that failed its startup or liveness probe.
func (m *Machine) condemn(c *container) Action {
	grace := Grace(m.pod)
	if seconds := c.probes.kill.Probe(c.spec).TerminationGracePeriodSeconds; seconds != nil {
		grace = time.Duration(*seconds) * time.Second
	}
	return Action{
		Kind: KillContainer, Container: c.spec.Name, Instance: c.current.ID, Grace: max(grace, minGrace),
		Reason: c.probes.kill.String() + " probe failed", Probe: c.probes.kill,
	}
}

// decideEnd stops the main (and init) containers together, then the sidecars from the last to the first, then removes the
// sandbox.
func (m *Machine) decideEnd(d *decision) {
	left := false
	for _, c := range m.containers {
		if !c.sidecar {
			left = m.kill(d, c) || left
		}
	}
	for i := len(m.containers) - 1; i >= 0 && !left; i-- {
		if c := m.containers[i]; c.sidecar {
			left = m.kill(d, c)
		}
	}
	if left || m.sandbox == nil || m.sandboxBusy {
		return
	}
	if d.now.Before(m.sandboxReadyAt) {
		d.at(m.sandboxReadyAt)
		return
	}
	d.do(Action{Kind: RemoveSandbox, Sandbox: m.sandbox.ID})
}

// kill orders a container to be stopped and says whether it is still there.
func (m *Machine) kill(d *decision, c *container) (left bool) {
	if c.starting {
		return true // the owner cancels it
	}
	if c.current == nil || c.current.State == Exited {
		return false
	}
	if !c.killing.IsZero() && !m.ending.Deadline.Before(c.killing) {
		return true
	}
	grace := max(m.ending.Deadline.Sub(d.now), minGrace)
	if !c.killing.IsZero() && !d.now.Add(grace).Before(c.killing) {
		return true
	}
	d.do(Action{Kind: KillContainer, Container: c.spec.Name, Instance: c.current.ID, Grace: grace, Reason: "the pod ends"})
	return true
}
