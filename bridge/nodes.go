package bridge

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/virtualnode"
)

// Heartbeats, as a kubelet's.
const (
	leaseEvery    = 10 * time.Second
	leaseDuration = 40 // seconds
	statusEvery   = 5 * time.Minute
	nodeRetry     = 2 * time.Second
	nodeLimit     = 20 * time.Second
)

// nodes keeps node objects and their leases in line with what the owner shows; each node has one goroutine and one
// kubelet API.
type nodes struct {
	client kubernetes.Interface
	log    *slog.Logger
	post   func(core.Event)
	tell   func(node, reason, message string) // records an event of a node
	serve  func(ctx context.Context, node string) (address string, port int32, err error)
	ctx    context.Context // of Run: node goroutines begin and end with the owner
	group  *sync.WaitGroup

	mu    sync.Mutex // Protects fields below.
	shown map[string]*shownNode
}

// shownNode is one node's goroutine's mailbox, and what others ask about the node.
type shownNode struct {
	name   string
	cancel context.CancelFunc
	wake   chan struct{}

	mu     sync.Mutex // Protects fields below.
	show   core.ShowNode
	object *corev1.Node // as last written
}

// show takes an order; it does not block.
func (n *nodes) show(e core.ShowNode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	shown := n.shown[e.View.Name]
	if shown == nil {
		ctx, cancel := context.WithCancel(n.ctx)
		shown = &shownNode{name: e.View.Name, cancel: cancel, wake: make(chan struct{}, 1)}
		n.shown[e.View.Name] = shown
		n.group.Go(func() { n.keep(ctx, shown) })
	}
	shown.mu.Lock()
	shown.show = e
	shown.mu.Unlock()
	select {
	case shown.wake <- struct{}{}:
	default:
	}
}

// remove ends a node's goroutine and deletes the object.
func (n *nodes) remove(name string) {
	n.drop(name)
	n.group.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, nodeLimit)
		defer cancel()
		if err := n.client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			n.log.Error("node of a removed agent not deleted", "node", name, "error", err)
		}
	})
}

func (n *nodes) drop(name string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if shown := n.shown[name]; shown != nil {
		shown.cancel()
		delete(n.shown, name)
	}
}

// object is a node as last written; nil: not yet.
func (n *nodes) object(name string) *corev1.Node {
	n.mu.Lock()
	shown := n.shown[name]
	n.mu.Unlock()
	if shown == nil {
		return nil
	}
	shown.mu.Lock()
	defer shown.mu.Unlock()
	return shown.object
}

// keep is the goroutine of one node.
func (n *nodes) keep(ctx context.Context, shown *shownNode) {
	address, port, err := n.serve(ctx, shown.name)
	if err != nil {
		n.log.Error("kubelet API of a node not served: logs and exec will not work there", "node", shown.name, "error", err)
	}
	lease := time.NewTicker(leaseEvery)
	defer lease.Stop()
	status := time.NewTicker(statusEvery)
	defer status.Stop()
	retry := time.NewTimer(nodeRetry)
	retry.Stop()
	defer retry.Stop()
	renewed := false
	for {
		due := false
		select {
		case <-ctx.Done():
			return
		case <-lease.C:
			n.renew(ctx, shown)
			continue
		case <-status.C:
			due = true
		case <-shown.wake:
		case <-retry.C:
		}
		shown.mu.Lock()
		e := shown.show
		shown.mu.Unlock()
		e.View.KubeletAddress, e.View.KubeletPort = address, port
		object, err := n.write(ctx, &e.View, due)
		if err != nil {
			if ctx.Err() == nil {
				n.log.Warn("node not written; it is tried again", "node", shown.name, "error", err)
				retry.Reset(nodeRetry)
			}
			continue
		}
		shown.mu.Lock()
		shown.object = object
		shown.mu.Unlock()
		if !renewed {
			n.renew(ctx, shown)
			renewed = true
		}
	}
}

// write creates or updates the node object and answers it.
func (n *nodes) write(ctx context.Context, view *virtualnode.View, heartbeat bool) (*corev1.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, nodeLimit)
	defer cancel()
	api := n.client.CoreV1().Nodes()
	have, err := api.Get(ctx, view.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		n.log.Info("node appears", "node", view.Name, "agent_id", view.Agent.ID)
		return api.Create(ctx, view.Node(time.Now(), nil), metav1.CreateOptions{})
	}
	if err != nil {
		return nil, fmt.Errorf("read node: %w", err)
	}
	if !ownNode(have, view.Bridge) {
		n.post(core.NameTaken{Node: view.Name})
		n.drop(view.Name)
		return nil, fmt.Errorf("a node of that name exists and is not of this bridge; agent %s gets another name", view.Agent.ID)
	}
	want := view.Node(time.Now(), have)
	next := have.DeepCopy()
	mergeNode(next, want)
	if !apiequality.Semantic.DeepEqual(have.ObjectMeta, next.ObjectMeta) || !apiequality.Semantic.DeepEqual(have.Spec, next.Spec) {
		if next, err = api.Update(ctx, next, metav1.UpdateOptions{}); err != nil {
			return nil, fmt.Errorf("update node: %w", err)
		}
	}
	status := mergeStatus(have.Status, want.Status)
	if !heartbeat && sameStatus(have.Status, status) {
		return next, nil
	}
	next.Status = status
	if next, err = api.UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
		return nil, fmt.Errorf("update node status: %w", err)
	}
	if ready := readiness(next); ready != readiness(have) {
		n.tell(view.Name, ready, "Node "+view.Name+" status is now: "+ready)
	}
	return next, nil
}

// readiness is the reason of the event that tells of it.
func readiness(node *corev1.Node) string {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
			return "NodeReady"
		}
	}
	return "NodeNotReady"
}

// mergeNode puts our labels, annotations and taints beside those of others.
func mergeNode(next, want *corev1.Node) {
	for name := range next.Labels {
		if _, wanted := want.Labels[name]; strings.HasPrefix(name, virtualnode.AttributePrefix) && !wanted {
			delete(next.Labels, name)
		}
	}
	maps.Copy(next.Labels, want.Labels)
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	delete(next.Annotations, virtualnode.EndpointAnnotation)
	maps.Copy(next.Annotations, want.Annotations)
	taints := want.Spec.Taints
	for _, t := range next.Spec.Taints {
		ours := t.Key == virtualnode.LeavingTaint
		for _, w := range want.Spec.Taints {
			ours = ours || w.Key == t.Key && w.Effect == t.Effect
		}
		if !ours {
			taints = append(taints, t)
		}
	}
	next.Spec.Taints = taints
}

// mergeStatus keeps the conditions of others and what only they write.
func mergeStatus(have, want corev1.NodeStatus) corev1.NodeStatus {
	next := *have.DeepCopy()
	next.Capacity, next.Allocatable = want.Capacity, want.Allocatable
	next.Addresses, next.DaemonEndpoints, next.NodeInfo = want.Addresses, want.DaemonEndpoints, want.NodeInfo
	for _, c := range want.Conditions {
		found := false
		for i := range next.Conditions {
			if next.Conditions[i].Type == c.Type {
				next.Conditions[i], found = c, true
			}
		}
		if !found {
			next.Conditions = append(next.Conditions, c)
		}
	}
	return next
}

// sameStatus compares but for heartbeats.
func sameStatus(a, b corev1.NodeStatus) bool {
	a, b = *a.DeepCopy(), *b.DeepCopy()
	for _, s := range []*corev1.NodeStatus{&a, &b} {
		for i := range s.Conditions {
			s.Conditions[i].LastHeartbeatTime = metav1.Time{}
		}
	}
	return apiequality.Semantic.DeepEqual(a, b)
}

// renew renews the node's lease, unless its agent is not well.
func (n *nodes) renew(ctx context.Context, shown *shownNode) {
	shown.mu.Lock()
	renew, object := shown.show.Renew, shown.object
	shown.mu.Unlock()
	if !renew || object == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	if err := n.renewLease(ctx, object); err != nil && ctx.Err() == nil {
		n.log.Warn("lease of a node not renewed", "node", shown.name, "error", err)
	}
}

func (n *nodes) renewLease(ctx context.Context, node *corev1.Node) error {
	leases := n.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NowMicro(), int32(leaseDuration)
	lease, err := leases.Get(ctx, node.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
			Name: node.Name, Namespace: corev1.NamespaceNodeLease,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}},
		}}
		lease.Spec = coordinationv1.LeaseSpec{HolderIdentity: &node.Name, LeaseDurationSeconds: &seconds, RenewTime: &now}
		_, err = leases.Create(ctx, lease, metav1.CreateOptions{})
		return err
	}
	if err != nil {
		return err
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &node.Name, &seconds, &now
	_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
	return err
}
