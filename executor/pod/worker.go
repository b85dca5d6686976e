package pod

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/executor/pod/volumes"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// observeAgain is how long a worker waits after the container runtime did not answer.
const observeAgain = time.Second

// report is what a worker tells the executor about its pod.
type report struct {
	status  corev1.PodStatus
	running bool // the sandbox runs or has run
	ending  *lifecycle.Ending
	// finished says that nothing is left of the pod but its logs; it is the worker's last report.
	finished bool
}

// worker owns one pod: its machine, its volumes, its cgroup. All state below belongs to the goroutine of run; others send
// events. Actions run in goroutines of their own and come back as events.
type worker struct {
	runtime *containerRuntime
	host    lifecycle.Host
	facts   criconfig.Facts // Addresses are set when the sandbox runs
	volumes *volumes.Pod
	cgroup  podCgroup
	log     *slog.Logger
	report  func(report)
	tell    *teller
	events  chan any

	// bundle is read by actions while the owner may replace it.
	bundle atomic.Pointer[podapi.Bundle]
	// files guards the volumes against two actions of one pod at a time.
	files sync.Mutex

	machine  *lifecycle.Machine
	inflight map[string]func() // by container: cancels a start under way
	actions  int               // under way
	probers  map[proberKey]func()
	last     report
}

// Events of a worker.
type (
	evPoke   struct{}                          // look at the container runtime
	evEnd    struct{ ending lifecycle.Ending } // stop the pod
	evUpdate struct{ bundle *podapi.Bundle }   // the pod or its configuration changed
	evDone   struct {                          // an action has ended
		action  lifecycle.Action
		failure *lifecycle.Failure
	}
	evProbed struct {
		key     proberKey
		success bool
		output  string
	}
)

// send hands an event to the worker, unless it has ended.
func (w *worker) send(ctx context.Context, event any) {
	select {
	case w.events <- event:
	case <-ctx.Done():
	}
}

// poke makes the worker look at the container runtime; one poke that waits is enough.
func (w *worker) poke() {
	select {
	case w.events <- evPoke{}:
	default:
	}
}

// run is the life of the pod. It returns when nothing is left of the pod, or with ctx (which leaves the pod as it is).
func (w *worker) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		wake := w.step(ctx)
		if w.last.finished {
			return
		}
		timer := time.NewTimer(time.Until(wake))
		select {
		case event := <-w.events:
			w.handle(event)
			w.drain()
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		timer.Stop()
	}
}

// drain takes in what has come meanwhile, so that one look at the runtime serves for all of it.
func (w *worker) drain() {
	for {
		select {
		case event := <-w.events:
			w.handle(event)
		default:
			return
		}
	}
}

func (w *worker) handle(event any) {
	now := time.Now()
	switch e := event.(type) {
	case evPoke:
	case evEnd:
		w.machine.End(now, e.ending)
	case evUpdate:
		if len(e.bundle.Pod.Spec.EphemeralContainers) > len(w.bundle.Load().Pod.Spec.EphemeralContainers) {
			w.tell.warning(nil, e.bundle.Pod, "Failed", lifecycle.NoEphemeral)
		}
		w.bundle.Store(e.bundle)
		w.machine.Update(e.bundle.Pod)
		w.refreshVolumes()
	case evProbed:
		w.machine.Probed(e.key.container, e.key.instance, e.key.kind, e.success)
		if !e.success {
			w.log.Debug("probe failed", "container", e.key.container, "probe", e.key.kind.String(), "output", e.output)
			pod := w.bundle.Load().Pod
			w.tell.warning(findContainer(pod, e.key.container), pod, "Unhealthy", "%s probe failed: %s", e.key.kind, e.output)
		}
	case evDone:
		w.actions--
		w.machine.Done(e.action, now, e.failure)
		if e.action.Kind == lifecycle.StartContainer {
			delete(w.inflight, e.action.Container)
		}
		if e.failure != nil {
			w.log.Warn("action failed", "container", e.action.Container, "reason", e.failure.Reason, "error", e.failure.Message)
			if w.machine.Ending() == nil || e.action.Kind == lifecycle.RemoveSandbox { // else a start was given up on purpose
				w.tellFailure(e.action, e.failure)
			}
		}
	}
}

// step looks, decides, starts what is decided and reports. It returns when to look again at the latest.
func (w *worker) step(ctx context.Context) time.Time {
	seen, err := w.runtime.observe(ctx, w.facts.TaskID)
	if err != nil {
		if ctx.Err() == nil {
			w.log.Warn("container runtime does not answer", "error", err)
		}
		return time.Now().Add(observeAgain)
	}
	now := time.Now()
	for i := range seen.Instances {
		w.addMessage(&seen.Instances[i])
	}
	w.machine.Observe(now, seen)
	if seen.Sandbox != nil && seen.Sandbox.Ready {
		w.facts.Addresses = criconfig.Addresses{HostIP: w.host.IP, PodIPs: w.podIPs(seen.Sandbox)}
	}
	actions, wake := w.machine.Decide(now)
	if w.machine.Ending() != nil {
		for _, cancel := range w.inflight {
			cancel()
		}
	}
	for _, action := range actions {
		w.start(ctx, action, now)
	}
	w.syncProbers(ctx)
	w.publish(now)
	if wake.IsZero() {
		wake = now.Add(time.Minute)
	}
	return wake
}

func (w *worker) podIPs(sandbox *lifecycle.Sandbox) []string {
	if w.bundle.Load().Pod.Spec.HostNetwork {
		return []string{w.host.IP}
	}
	return sandbox.IPs
}

// start carries an action out in a goroutine of its own.
func (w *worker) start(ctx context.Context, action lifecycle.Action, now time.Time) {
	w.machine.Began(action, now)
	w.actions++
	actionCtx, cancel := context.WithCancel(ctx)
	if action.Kind == lifecycle.StartContainer {
		w.inflight[action.Container] = cancel
	}
	facts := w.facts
	go func() {
		defer cancel()
		failure := w.perform(actionCtx, action, facts)
		w.send(ctx, evDone{action: action, failure: failure})
	}()
}

// publish reports the status if it has changed, and cleans up behind a pod that has finished.
func (w *worker) publish(now time.Time) {
	current := report{
		status:  w.machine.Status(now, w.host),
		running: w.machine.Running(),
		ending:  w.machine.Ending(),
	}
	if w.machine.Finished() && w.actions == 0 {
		if err := w.cleanUp(); err != nil {
			w.log.Error("clean up behind the pod", "error", err)
		}
		current.finished = true
	}
	if equalReports(w.last, current) {
		return
	}
	w.tellWaits(&w.last.status, &current.status)
	w.last = current
	w.report(current)
}

func (w *worker) refreshVolumes() {
	w.files.Lock()
	defer w.files.Unlock()
	if err := w.volumes.Update(w.bundle.Load()); err != nil {
		w.log.Warn("volumes could not be updated", "error", err)
	}
}

// cleanUp removes volumes and cgroup. Logs stay until the pod is forgotten.
func (w *worker) cleanUp() error {
	for _, cancel := range w.probers {
		cancel()
	}
	w.files.Lock()
	defer w.files.Unlock()
	if err := w.volumes.Remove(); err != nil {
		return err
	}
	return w.cgroup.remove()
}
