package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/tombolo-project/tombolo/virtualnode"
)

// eventually polls until ok answers nil, or fails with its last word.
func eventually(t *testing.T, ok func() error) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := ok()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// start runs a bridge until stop is called or the test ends.
func start(t *testing.T, client kubernetes.Interface, d *datacenter, change func(*Config)) (stop func()) {
	t.Helper()
	config := DefaultConfig()
	config.Master, config.Client, config.Address = d.address(), client, hostAddress(t)
	config.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	if change != nil {
		change(&config)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Run(ctx, config) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func bound(name, node string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: types.UID("uid-" + name)},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{
			Name: "main", Image: "busybox",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("100Mi")}},
		}}},
	}
}

func running(client kubernetes.Interface, name string) func() error {
	return func() error {
		pod, err := client.CoreV1().Pods("default").Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodRunning {
			return fmt.Errorf("pod %s is %q %s", name, pod.Status.Phase, pod.Status.Message)
		}
		return nil
	}
}

func nodeReady(client kubernetes.Interface, name string) func() error {
	return func() error {
		node, err := client.CoreV1().Nodes().Get(context.Background(), name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return nil
			}
		}
		return fmt.Errorf("node %s is not ready: %v", name, node.Status.Conditions)
	}
}

func TestNodesAppearPodsRunAndGo(t *testing.T) {
	client := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings", Namespace: "default"}, Data: map[string]string{"k": "v"}})
	d := newDatacenter(t, "Host_A.example", "host-b")
	start(t, client, d, nil)
	eventually(t, nodeReady(client, "host-a.example"))
	eventually(t, nodeReady(client, "host-b"))

	ctx := context.Background()
	pod := bound("a", "host-b")
	pod.Spec.Volumes = []corev1.Volume{{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}}}}}
	if _, err := client.CoreV1().Pods("default").Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, running(client, "a"))
	d.mu.Lock()
	task := d.tasks["uid-a.0"]
	if got := task.bundle.ConfigMaps["settings"].Data["k"]; got != "v" {
		t.Errorf("the executor got %q of the ConfigMap", got)
	}
	if got := virtualnode.Of(task.info.Resources); got.CPU != 500 || got.Memory != 100_000 {
		t.Errorf("the task takes %v", got)
	}
	d.mu.Unlock()
	eventually(t, func() error {
		node, err := client.CoreV1().Nodes().Get(ctx, "host-b", metav1.GetOptions{})
		if err != nil {
			return err
		}
		// The whole machine but for the executor: nobody else takes anything.
		if got := node.Status.Allocatable.Cpu().MilliValue(); got != 3900 {
			return fmt.Errorf("allocatable is %dm", got)
		}
		return nil
	})

	// Deletion with grace: the API server sets the timestamp, the object goes when the task has ended.
	live, err := client.CoreV1().Pods("default").Get(ctx, "a", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	now, seconds := metav1.Now(), int64(7)
	live.DeletionTimestamp, live.DeletionGracePeriodSeconds = &now, &seconds
	if err := client.Tracker().Update(corev1.SchemeGroupVersion.WithResource("pods"), live, "default"); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		if _, err := client.CoreV1().Pods("default").Get(ctx, "a", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("pod still there: %w", errors.Join(err))
		}
		return nil
	})
	eventually(t, func() error { // the acknowledgement follows the deletion
		d.mu.Lock()
		defer d.mu.Unlock()
		if task.state != mesos.TASK_KILLED || len(task.pending) != 0 {
			return fmt.Errorf("task is %v with %d updates not acknowledged", task.state, len(task.pending))
		}
		return nil
	})
}

func TestBridgesLeaveEachOthersNodesAlone(t *testing.T) {
	node := func(name string, labels map[string]string) *corev1.Node {
		return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	}
	client := fake.NewClientset(
		node("mine", map[string]string{virtualnode.AgentLabel: "S0", virtualnode.BridgeLabel: "here"}),
		node("other", map[string]string{virtualnode.AgentLabel: "S0", virtualnode.BridgeLabel: "there"}),
		node("real", nil),
	)
	known, err := knownNodes(t.Context(), client, "here")
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(known.Foreign)
	if len(known.Ours) != 1 || known.Ours[0].Name != "mine" || !slices.Equal(known.Foreign, []string{"other", "real"}) {
		t.Errorf("known nodes are %+v", known)
	}
}

func TestRestartsLoseNoPodAndStartNoneTwice(t *testing.T) {
	client := fake.NewClientset()
	d := newDatacenter(t, "one", "two")
	stop := start(t, client, d, nil)
	eventually(t, nodeReady(client, "one"))
	eventually(t, nodeReady(client, "two"))
	const count = 12
	name := func(i int) string { return fmt.Sprintf("p%d", i) }
	create := func(i int) {
		if _, err := client.CoreV1().Pods("default").Create(context.Background(), bound(name(i), []string{"one", "two"}[i%2]), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range count / 3 {
		create(i)
	}
	for i := range count / 3 {
		eventually(t, running(client, name(i)))
	}
	stop() // the bridge restarts while pods come
	for i := count / 3; i < 2*count/3; i++ {
		create(i)
	}
	stop = start(t, client, d, nil)
	for i := range 2 * count / 3 {
		eventually(t, running(client, name(i)))
	}
	d.disconnect() // the master restarts
	for i := 2 * count / 3; i < count; i++ {
		create(i)
	}
	for i := range count {
		eventually(t, running(client, name(i)))
	}
	stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, times := range d.launches {
		if times != 1 {
			t.Errorf("task %s was launched %d times", id, times)
		}
	}
	if len(d.launches) != count {
		t.Errorf("%d tasks for %d pods", len(d.launches), count)
	}
}

func TestPodThatNeverFitsFailsLikeAdmission(t *testing.T) {
	client := fake.NewClientset()
	d := newDatacenter(t, "one")
	start(t, client, d, func(c *Config) { c.PendingTimeout = 3 * time.Second })
	eventually(t, nodeReady(client, "one"))
	pod := bound("big", "one")
	pod.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse("64")
	if _, err := client.CoreV1().Pods("default").Create(context.Background(), pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		pod, err := client.CoreV1().Pods("default").Get(context.Background(), "big", metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.Status.Phase != corev1.PodFailed || pod.Status.Reason != "OutOfcpu" {
			return fmt.Errorf("pod is %s %s", pod.Status.Phase, pod.Status.Reason)
		}
		return nil
	})
}
