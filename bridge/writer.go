package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/kubernetes"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/virtualnode"
)

const (
	writers    = 16 // pods whose status is written at the same time
	writeLimit = 30 * time.Second
	retryFirst = 200 * time.Millisecond
	retryMax   = 30 * time.Second
)

// writer brings pods' statuses, attempts and final deletions to the API, in order for each pod, the newest status only,
// again and again until the API has it or the pod is gone. Only then are the updates acknowledged that they came from.
type writer struct {
	client      kubernetes.Interface
	log         *slog.Logger
	acknowledge func(mesos.TaskStatus)
	post        func(core.Event)

	mu    sync.Mutex // Protects fields below.
	jobs  map[types.UID]*job
	bases map[types.UID]*corev1.PodStatus // as the API last answered: newer than what the informer has seen
	queue chan types.UID
}

// job is what is to be done for one pod.
type job struct {
	ref     core.Ref
	pod     *corev1.Pod // as last seen, the base of the patch
	status  *corev1.PodStatus
	acks    []mesos.TaskStatus
	attempt *int
	remove  bool
	busy    bool // in the queue or with a worker
	backoff time.Duration
}

func newWriter(client kubernetes.Interface, log *slog.Logger, acknowledge func(mesos.TaskStatus), post func(core.Event)) *writer {
	return &writer{client: client, log: log, acknowledge: acknowledge, post: post, jobs: map[types.UID]*job{}, bases: map[types.UID]*corev1.PodStatus{}, queue: make(chan types.UID, 1<<17)}
}

// forget drops what is kept for a pod object that no longer exists.
func (w *writer) forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.bases, uid)
}

// status, attempt and remove take orders; they do not block.
func (w *writer) status(e core.WriteStatus) {
	w.order(core.RefOf(e.Pod), func(j *job) {
		j.pod, j.status = e.Pod, e.Status
		if e.Ack != nil {
			j.acks = append(j.acks, *e.Ack)
		}
	})
}

func (w *writer) attempt(e core.KeepAttempt) {
	w.order(e.Ref, func(j *job) { j.attempt = &e.Attempt })
}

func (w *writer) remove(e core.Delete) {
	w.order(e.Ref, func(j *job) { j.remove = true })
}

func (w *writer) order(ref core.Ref, change func(*job)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	j := w.jobs[ref.UID]
	if j == nil {
		j = &job{ref: ref}
		w.jobs[ref.UID] = j
	}
	change(j)
	w.wakeLocked(j)
}

func (w *writer) wakeLocked(j *job) {
	if !j.busy {
		j.busy = true
		w.queue <- j.ref.UID // one entry per pod: the queue is larger than Kubernetes allows pods
	}
}

// run works until ctx ends.
func (w *writer) run(ctx context.Context) {
	var group sync.WaitGroup
	for range writers {
		group.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case uid := <-w.queue:
					w.work(ctx, uid)
				}
			}
		})
	}
	group.Wait()
}

func (w *writer) work(ctx context.Context, uid types.UID) {
	w.mu.Lock()
	j := w.jobs[uid]
	order := *j
	j.status, j.acks, j.attempt, j.remove = nil, nil, nil, false
	w.mu.Unlock()

	err := w.carryOut(ctx, &order)

	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && ctx.Err() == nil {
		w.log.Warn("pod not written; it is tried again", "namespace", order.ref.Namespace, "pod", order.ref.Name, "error", err, "retry_in", j.backoff)
		restore(j, &order)
		j.backoff = min(max(2*j.backoff, retryFirst), retryMax)
		time.AfterFunc(j.backoff, func() {
			select {
			case w.queue <- uid:
			case <-ctx.Done():
			}
		})
		return
	}
	j.busy, j.backoff = false, 0
	if j.status != nil || j.attempt != nil || j.remove || len(j.acks) > 0 {
		w.wakeLocked(j)
		return
	}
	delete(w.jobs, uid)
}

// restore puts back what was not done, unless something newer has come.
func restore(j, order *job) {
	if j.status == nil {
		j.pod, j.status = order.pod, order.status
	}
	if j.attempt == nil {
		j.attempt = order.attempt
	}
	j.remove = j.remove || order.remove
	j.acks = append(order.acks, j.acks...)
}

func (w *writer) carryOut(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, writeLimit)
	defer cancel()
	if j.attempt != nil {
		if err := w.writeAttempt(ctx, j.ref, *j.attempt); err != nil {
			return err
		}
		w.post(core.AttemptKept{UID: j.ref.UID, Attempt: *j.attempt})
		j.attempt = nil
	}
	if j.status != nil {
		if err := w.writeStatus(ctx, j); err != nil {
			return err
		}
		j.status = nil
	}
	for _, ack := range j.acks {
		w.acknowledge(ack)
	}
	j.acks = nil
	if j.remove {
		if err := w.delete(ctx, j.ref); err != nil {
			return err
		}
		j.remove = false
	}
	return nil
}

// gone says that the pod that was meant no longer exists; one of the same name with another UID does not count.
func gone(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }

func (w *writer) writeStatus(ctx context.Context, j *job) error {
	base := &j.pod.Status
	w.mu.Lock()
	if newer := w.bases[j.ref.UID]; newer != nil {
		base = newer
	}
	w.mu.Unlock()
	before, err := json.Marshal(corev1.Pod{Status: *base})
	if err != nil {
		return fmt.Errorf("encode pod status: %w", err)
	}
	next := *j.status
	next.Conditions = virtualnode.WithForeign(base.Conditions, next.Conditions)
	// The UID in the patch makes the API refuse it for another pod of the same name.
	after, err := json.Marshal(corev1.Pod{ObjectMeta: metav1.ObjectMeta{UID: j.ref.UID}, Status: next})
	if err != nil {
		return fmt.Errorf("encode pod status: %w", err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, corev1.Pod{})
	if err != nil {
		return fmt.Errorf("make a status patch: %w", err)
	}
	return w.patchStatus(ctx, j.ref, patch)
}

func (w *writer) writeAttempt(ctx context.Context, ref core.Ref, attempt int) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": ref.UID, "annotations": map[string]string{virtualnode.AttemptAnnotation: strconv.Itoa(attempt)},
	}})
	if err != nil {
		return fmt.Errorf("encode attempt: %w", err)
	}
	return w.patchStatus(ctx, ref, patch)
}

func (w *writer) patchStatus(ctx context.Context, ref core.Ref, patch []byte) error {
	pod, err := w.client.CoreV1().Pods(ref.Namespace).Patch(ctx, ref.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	switch {
	case err == nil:
		w.mu.Lock()
		w.bases[ref.UID] = &pod.Status
		w.mu.Unlock()
	case !gone(err):
		return fmt.Errorf("patch status of pod %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return nil
}

func (w *writer) delete(ctx context.Context, ref core.Ref) error {
	now, uid := int64(0), ref.UID
	err := w.client.CoreV1().Pods(ref.Namespace).Delete(ctx, ref.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil && !gone(err) {
		return fmt.Errorf("delete pod %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return nil
}
