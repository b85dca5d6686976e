package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/charts"
	"github.com/tombolo-project/tombolo/e2e/harness"
	"github.com/tombolo-project/tombolo/internal/image"
)

// Where the chart's bridge lives, and the label by which its nodes are known.
const (
	chartNamespace = "mesos"
	chartNodes     = "tombolo.io/bridge=" + chartNamespace
)

// chartInstalls installs the chart into the datacenter's own cluster, with the image made without a container engine: a second bridge,
// of another role, that runs as a pod with no rights but the chart's and shows the same agents as further nodes. A pod runs there,
// an upgrade replaces the bridge under it, and nothing is left in the end.
func chartInstalls(t *testing.T, d *harness.Datacenter) {
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	tag := pushImage(ctx, t, d)
	values := chartValues(t, d, tag)
	cluster := charts.Cluster{Kubeconfig: d.Kubeconfig, Namespace: chartNamespace}
	if _, err := cluster.Install(ctx, "tombolo", values); err != nil {
		t.Fatalf("%v\n%s", err, bridgeLogs(t, d))
	}
	defer removeChart(ctx, t, d, cluster)

	harness.Eventually(t, time.Minute, "the chart's bridge shows the agents", func() error { return ownNodesReady(t, d) })
	health := d.Kubectl(t, "get", "--raw", "/api/v1/namespaces/"+chartNamespace+"/services/tombolo-bridge:metrics/proxy/healthz")
	if !strings.Contains(health, "ok") {
		t.Errorf("/healthz through the service: %q", health)
	}

	d.Apply(t, chartPod)
	d.Kubectl(t, "wait", "--for=condition=Ready", "pod/on-chart", "--timeout=90s")
	before := d.Pod(t, "on-chart")
	if out := d.Kubectl(t, "logs", "on-chart"); !strings.Contains(out, "the word is tombolo") {
		t.Errorf("log %q: the pod did not get its secret, or the log is not the pod's", out)
	}
	if out := d.Kubectl(t, "exec", "on-chart", "--", "hostname"); strings.TrimSpace(out) != "on-chart" {
		t.Errorf("exec: %q", out)
	}

	// Another bridge takes over the framework, the channel and the pod.
	values["podLabels"] = map[string]any{"round": "second"}
	if _, err := cluster.Upgrade(ctx, "tombolo", values); err != nil {
		t.Fatalf("%v\n%s", err, bridgeLogs(t, d))
	}
	harness.Eventually(t, time.Minute, "the second bridge shows the agents", func() error { return ownNodesReady(t, d) })
	if out := d.Kubectl(t, "exec", "on-chart", "--", "hostname"); strings.TrimSpace(out) != "on-chart" {
		t.Errorf("exec through the second bridge: %q", out)
	}
	after := d.Pod(t, "on-chart")
	if before.UID != after.UID || before.Status.ContainerStatuses[0].ContainerID != after.Status.ContainerStatuses[0].ContainerID {
		t.Errorf("the upgrade restarted the pod: %v, then %v", before.Status.ContainerStatuses, after.Status.ContainerStatuses)
	}
	d.Kubectl(t, "delete", "pod", "on-chart", "--timeout=60s")
	if logs := bridgeLogs(t, d); strings.Contains(logs, "forbidden") {
		t.Errorf("the bridge lacks a right:\n%s", logs)
	}
}

// pushImage makes the image out of the binaries that are tested and pushes it to the datacenter's registry.
func pushImage(ctx context.Context, t *testing.T, d *harness.Datacenter) string {
	t.Helper()
	img, err := image.Build(image.Options{Binaries: []string{harness.Bin(t, "tombolo"), harness.Bin(t, "tombolo-executor"), harness.Bin(t, "tombolo-pod-executor")}, Version: "e2e"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	tag := "e2e-" + digest.Hex[:12]
	ref, err := name.NewTag(net.JoinHostPort(d.Gateway, "5000")+"/tombolo/tombolo:"+tag, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if err := image.Push(ctx, img, ref); err != nil {
		t.Fatal(err)
	}
	return tag
}

func chartValues(t *testing.T, d *harness.Datacenter, tag string) map[string]any {
	return map[string]any{
		"mesos":    map[string]any{"masters": []any{d.Master}, "role": "chart"},
		"image":    map[string]any{"repository": "tombolo/tombolo", "tag": tag},
		"executor": map[string]any{"command": harness.Bin(t, "tombolo-pod-executor")},
		"nodes":    map[string]any{"prefix": "chart-"}, // and the chart's own taint
		// No kube-proxy: the API server's service address leads nowhere.
		"extraEnv": []any{
			map[string]any{"name": "KUBERNETES_SERVICE_HOST", "value": d.Gateway},
			map[string]any{"name": "KUBERNETES_SERVICE_PORT", "value": "6443"},
		},
	}
}

// ownNodesReady wants as many ready nodes of the chart's bridge as of the datacenter's, all of them tainted.
func ownNodesReady(t *testing.T, d *harness.Datacenter) error {
	ready, others := 0, 0
	for _, n := range d.Nodes(t) {
		if n.Labels["tombolo.io/bridge"] != chartNamespace {
			others++
			continue
		}
		if !strings.HasPrefix(n.Name, "chart-") || len(n.Spec.Taints) == 0 {
			return fmt.Errorf("node %s has taints %v", n.Name, n.Spec.Taints)
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				ready++
			}
		}
	}
	if ready == 0 || ready != others {
		return fmt.Errorf("%d nodes are ready, the datacenter's bridge has %d", ready, others)
	}
	return nil
}

// bridgeLogs is what the chart's bridge says, as far as it can be had.
func bridgeLogs(t *testing.T, d *harness.Datacenter) string {
	t.Helper()
	_, out := harness.Run(t, 30*time.Second, harness.Bin(t, "tools/hyperkube"), "kubectl", "--kubeconfig", d.Kubeconfig, "-n", chartNamespace,
		"logs", "deployment/tombolo-bridge", "--tail=60")
	_, events := harness.Run(t, 30*time.Second, harness.Bin(t, "tools/hyperkube"), "kubectl", "--kubeconfig", d.Kubeconfig, "-n", chartNamespace,
		"get", "pods,events", "-o", "wide")
	return out + "\n" + events
}

// removeChart uninstalls the chart, as its documentation says: release, nodes, namespace.
func removeChart(ctx context.Context, t *testing.T, d *harness.Datacenter, cluster charts.Cluster) {
	if t.Failed() {
		t.Log(bridgeLogs(t, d))
	}
	framework := d.Kubectl(t, "-n", chartNamespace, "get", "configmap", "tombolo-bridge", "-o", "jsonpath={.data.framework-id}")
	if err := cluster.Uninstall(ctx, "tombolo"); err != nil {
		t.Error(err)
	}
	response, err := http.PostForm("http://"+d.Master+"/teardown", url.Values{"frameworkId": {framework}})
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("teardown of framework %q: %s", framework, response.Status)
	}
	d.Kubectl(t, "delete", "nodes", "-l", chartNodes)
	d.Kubectl(t, "delete", "namespace", chartNamespace, "--timeout=60s")
	harness.Eventually(t, time.Minute, "nothing of the chart is left", func() error {
		left := d.Kubectl(t, "get", "clusterroles,clusterrolebindings", "-A", "-l", "app.kubernetes.io/part-of=tombolo", "-o", "name")
		if left != "" && !strings.Contains(left, "No resources found") {
			return errors.New(left)
		}
		return nil
	})
}

// chartPod runs on the chart's nodes only, and reads a secret.
const chartPod = `
apiVersion: v1
kind: Secret
metadata: {name: chart-word}
stringData: {word: tombolo}
---
apiVersion: v1
kind: Pod
metadata: {name: on-chart}
spec:
  nodeSelector: {tombolo.io/bridge: mesos}
  tolerations: [{key: tombolo.io/mesos, operator: Exists}]
  terminationGracePeriodSeconds: 1
  containers:
  - name: main
    image: busybox:1.36
    command: [sh, -c, 'echo the word is $WORD; exec sleep 3600']
    env: [{name: WORD, valueFrom: {secretKeyRef: {name: chart-word, key: word}}}]
    resources: {requests: {cpu: 50m, memory: 32Mi}}
`
