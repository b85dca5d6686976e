package bridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/virtualnode"
	"github.com/tombolo-project/tombolo/virtualnode/podapi/podspec"
)

// resyncPods is how often every pod is looked at again even if nothing changed.
const resyncPods = 5 * time.Minute

// ownNode says whether a node is of the bridge that keeps its objects in the namespace.
func ownNode(n *corev1.Node, namespace string) bool {
	_, agent := n.Labels[virtualnode.AgentLabel]
	return agent && n.Labels[virtualnode.BridgeLabel] == namespace
}

// knownNodes lists the nodes in the API, ours and others', other bridges' among them.
func knownNodes(ctx context.Context, client kubernetes.Interface, namespace string) (core.NodesKnown, error) {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return core.NodesKnown{}, fmt.Errorf("list the cluster's nodes: %w", err)
	}
	var known core.NodesKnown
	for i := range list.Items {
		n := &list.Items[i]
		if !ownNode(n, namespace) {
			known.Foreign = append(known.Foreign, n.Name)
			continue
		}
		known.Ours = append(known.Ours, core.KnownNode{
			Name: n.Name, AgentID: n.Annotations[virtualnode.AgentAnnotation], Endpoint: n.Annotations[virtualnode.EndpointAnnotation],
			System: virtualnode.SystemOf(n),
		})
	}
	return known, nil
}

// watchPods feeds every pod that is bound to a node to the owner, through one informer for all nodes. It returns when
// all pods that exist have been fed; the informer goes on until ctx ends.
func (b *Bridge) watchPods(ctx context.Context) error {
	pods, bound := b.client.CoreV1().Pods(metav1.NamespaceAll), fields.OneTermNotEqualSelector("spec.nodeName", "").String()
	watch := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = bound
			return pods.List(ctx, options)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (apiwatch.Interface, error) {
			options.FieldSelector = bound
			return pods.Watch(ctx, options)
		},
	}
	informer := cache.NewSharedIndexInformer(cache.ToListWatcherWithWatchListSemantics(watch, b.client), &corev1.Pod{}, resyncPods, cache.Indexers{})
	if err := informer.SetTransform(slim); err != nil {
		return fmt.Errorf("prepare to watch pods: %w", err)
	}
	seen := func(object any) {
		if pod, ok := object.(*corev1.Pod); ok {
			b.post(core.PodSeen{Pod: pod, Refused: refused(pod)})
		}
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    seen,
		UpdateFunc: func(_, object any) { seen(object) },
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if pod, ok := object.(*corev1.Pod); ok {
				b.writer.forget(pod.UID)
				b.post(core.PodGone{UID: pod.UID})
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch pods: %w", err)
	}
	b.group.Go(func() { informer.RunWithContext(ctx) })
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return errors.New("pods not listed before the end")
	}
	b.post(core.PodsSynced{})
	return nil
}

// slim drops what the bridge never reads, so that a hundred thousand pods fit.
func slim(object any) (any, error) {
	if pod, ok := object.(*corev1.Pod); ok {
		pod.ManagedFields = nil
	}
	return object, nil
}

// refused names, in one sentence, what pods here cannot have; empty: nothing.
func refused(pod *corev1.Pod) string {
	if fields := podspec.Unsupported(&pod.Spec); len(fields) > 0 {
		return podspec.Message(fields)
	}
	return ""
}
