package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/e2e/harness"
)

// TestDatacenter is the whole thing: `tombolo up` with three agents, a real control
// plane and real containerd, the three kinds of work on it, and then `tombolo down`,
// which must leave nothing behind. Its parts run in order on one datacenter.
func TestDatacenter(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("this test makes network namespaces, cgroups and mounts: run it as root")
	}
	d := harness.Up(t)
	for _, step := range []struct {
		name string
		run  func(*testing.T, *harness.Datacenter)
	}{
		{"nodes", nodesAreAgents},
		{"deployment", deploymentSpreads},
		{"legacy", legacyAnswersHTTP},
		{"batch", batchFinishes},
		{"sharing", stateListsAllThree},
		{"pod features", podFeatures},
		{"pod lifecycle", podLifecycle},
		{"kubelet API", kubeletAPI},
		{"refusals", refusals},
		{"chart", chartInstalls},
		{"kill -9", killEachPart},
	} {
		if !t.Run(step.name, func(t *testing.T) { step.run(t, d) }) && step.name == "nodes" {
			t.Fatal("without nodes there is nothing to try")
		}
	}
	t.Run("second up", func(t *testing.T) { secondUp(t, d) })
	if len(d.Leftovers(t)) == 0 {
		t.Error("nothing of a running datacenter is seen: the check below would prove nothing")
	}
	d.Down(t)
	if left := d.Leftovers(t); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func nodesAreAgents(t *testing.T, d *harness.Datacenter) {
	s, err := harness.StateOf(d.Master)
	if err != nil {
		t.Fatal(err)
	}
	nodes := d.Nodes(t)
	if len(nodes) != len(s.Slaves) || len(nodes) != 3 {
		t.Fatalf("%d agents, %d nodes", len(s.Slaves), len(nodes))
	}
	for _, n := range nodes {
		if n.Status.Capacity.Cpu().IsZero() || n.Status.Allocatable.Memory().IsZero() {
			t.Errorf("node %s: capacity %v, allocatable %v", n.Name, n.Status.Capacity, n.Status.Allocatable)
		}
	}
}

// deploymentSpreads: 6 replicas on 3 nodes, two each, with logs and exec.
func deploymentSpreads(t *testing.T, d *harness.Datacenter) {
	d.Apply(t, webDeployment)
	d.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=120s")
	perNode := map[string]int{}
	for _, p := range d.Pods(t, "app=web") {
		perNode[p.Spec.NodeName]++
		if p.Status.PodIP == "" || p.Status.HostIP == "" {
			t.Errorf("pod %s has addresses %q, %q", p.Name, p.Status.PodIP, p.Status.HostIP)
		}
		if out := d.Kubectl(t, "logs", p.Name); !strings.Contains(out, "hello from "+p.Name) {
			t.Errorf("logs of %s: %q", p.Name, out)
		}
		if out := d.Kubectl(t, "exec", p.Name, "--", "hostname"); strings.TrimSpace(out) != p.Name {
			t.Errorf("exec in %s: %q", p.Name, out)
		}
	}
	if len(perNode) != 3 {
		t.Errorf("replicas per node: %v", perNode)
	}
	for node, n := range perNode {
		if n != 2 {
			t.Errorf("%d replicas on %s, want 2: %v", n, node, perNode)
		}
	}
}

// legacyAnswersHTTP: a Marathon app of 3 plain processes on the ports they were given.
func legacyAnswersHTTP(t *testing.T, d *harness.Datacenter) {
	app := `{"id":"/legacy","cmd":"echo I am $MESOS_TASK_ID > index.html; exec busybox httpd -f -p $PORT0","cpus":0.1,"mem":32,"instances":3,
	"portDefinitions":[{"port":0,"name":"http"}],"healthChecks":[{"protocol":"HTTP","path":"/","portIndex":0,"gracePeriodSeconds":30,"intervalSeconds":2}]}`
	status, text, err := harness.Do(http.MethodPost, d.Marathon+"/v2/apps", app)
	if err != nil || status != http.StatusCreated {
		t.Fatalf("create: %d %s %v", status, text, err)
	}
	harness.Eventually(t, 90*time.Second, "3 instances answer", func() error {
		var list struct {
			Tasks []struct {
				ID    string `json:"id"`
				Host  string `json:"host"`
				Ports []int  `json:"ports"`
				State string `json:"state"`
			} `json:"tasks"`
		}
		if err := harness.GetJSON(d.Marathon+"/v2/apps//legacy/tasks", &list); err != nil {
			return err
		}
		if len(list.Tasks) != 3 {
			return fmt.Errorf("%d tasks", len(list.Tasks))
		}
		for _, task := range list.Tasks {
			if len(task.Ports) != 1 {
				return fmt.Errorf("task %s has ports %v", task.ID, task.Ports)
			}
			if err := contains(fmt.Sprintf("http://%s:%d/", task.Host, task.Ports[0]), "I am "+task.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

func batchFinishes(t *testing.T, d *harness.Datacenter) {
	out := harness.MustRun(t, 4*time.Minute, d.Tombolo, "batch", "run", "--server="+d.Batch, "--name=fifty", "--tasks=50", "--cpus=0.1", "--mem=16",
		"--", "sh", "-c", "echo task $TASK_INDEX; sleep 0.2")
	if !strings.Contains(out, "50") {
		t.Errorf("the job's report does not count its tasks:\n%s", out)
	}
	status, out := harness.Run(t, 2*time.Minute, d.Tombolo, "batch", "run", "--server="+d.Batch, "--tasks=2", "--retries=1", "--cpus=0.1", "--mem=16", "--", "false")
	if status != 1 {
		t.Errorf("a job that fails ends with %d:\n%s", status, out)
	}
}

// stateListsAllThree: one master knows the tasks of all three frameworks, and some
// agent runs pods and plain processes at the same time.
func stateListsAllThree(t *testing.T, d *harness.Datacenter) {
	job := harness.Start(t, d.Dir, "shared-job", d.Tombolo, "batch", "run", "--server="+d.Batch, "--name=shared", "--tasks=6", "--cpus=0.1", "--mem=16", "--", "sleep", "20")
	harness.Eventually(t, time.Minute, "an agent runs tasks of three frameworks", func() error {
		s, err := harness.StateOf(d.Master)
		if err != nil {
			return err
		}
		kinds := map[string]map[string]bool{}
		for _, f := range s.Frameworks {
			for _, task := range f.Tasks {
				if task.State != "TASK_RUNNING" {
					continue
				}
				if kinds[task.SlaveID] == nil {
					kinds[task.SlaveID] = map[string]bool{}
				}
				kinds[task.SlaveID][f.Name] = true
			}
		}
		for _, names := range kinds {
			if len(names) == 3 {
				return nil
			}
		}
		return fmt.Errorf("frameworks per agent: %v", kinds)
	})
	if status := job.Wait(2 * time.Minute); status != 0 {
		t.Errorf("the job ended with %d", status)
	}
}

func podFeatures(t *testing.T, d *harness.Datacenter) {
	d.Apply(t, featuresManifest)
	d.Kubectl(t, "wait", "--for=condition=Ready", "pod/features", "--timeout=120s")
	out := d.Kubectl(t, "logs", "features", "-c", "main")
	for _, want := range []string{
		"plain=value", "from-config=blue", "from-secret=s3cret", "name=features", "expanded=value-and-more",
		"config-file=blue", "secret-file=s3cret", "init-left=ready", "cpu-limit=1", "uid=1234",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("%q is not in the log:\n%s", want, out)
		}
	}
	if contains("http://"+d.Master+"/state", "s3cret") == nil {
		t.Error("the secret shows in /state")
	}
	d.Kubectl(t, "delete", "pod", "features", "--timeout=60s")
}

// podLifecycle: restarts with their counts and reasons, completion, failing init,
// probes, deletion with grace.
func podLifecycle(t *testing.T, d *harness.Datacenter) {
	d.Apply(t, lifecycleManifest)
	await(t, d, "completes", func(p corev1.Pod) error {
		return expect(p.Status.Phase == "Succeeded" && ended(p).Reason == "Completed", p)
	})
	await(t, d, "fails", func(p corev1.Pod) error {
		return expect(p.Status.Phase == "Failed" && ended(p).ExitCode == 3, p)
	})
	await(t, d, "crashes", func(p corev1.Pod) error {
		c := p.Status.ContainerStatuses[0]
		return expect(c.RestartCount >= 2 && c.LastTerminationState.Terminated != nil && c.LastTerminationState.Terminated.ExitCode == 1, p)
	})
	await(t, d, "oom", func(p corev1.Pod) error {
		return expect(p.Status.Phase == "Failed" && ended(p).Reason == "OOMKilled", p)
	})
	await(t, d, "bad-init", func(p corev1.Pod) error { return expect(p.Status.Phase == "Failed", p) })
	await(t, d, "unready", func(p corev1.Pod) error {
		return expect(p.Status.Phase == "Running" && !p.Status.ContainerStatuses[0].Ready, p)
	})
	await(t, d, "unhealthy", func(p corev1.Pod) error { return expect(p.Status.ContainerStatuses[0].RestartCount >= 1, p) })
	start := time.Now()
	d.Kubectl(t, "delete", "pod", "-l", "test=lifecycle", "--timeout=90s")
	t.Logf("all were deleted in %v", time.Since(start).Round(time.Second))
}

func kubeletAPI(t *testing.T, d *harness.Datacenter) {
	pods := d.Pods(t, "app=web")
	// Pods reach each other across agents.
	a, b := pods[0], pods[0]
	for _, p := range pods {
		if p.Spec.NodeName != a.Spec.NodeName {
			b = p
		}
	}
	if out := d.Kubectl(t, "exec", a.Name, "--", "sh", "-c", `printf 'GET / HTTP/1.0\r\n\r\n' | nc `+b.Status.PodIP+" 8080"); !strings.Contains(out, b.Name) {
		t.Errorf("%s on %s asked %s on %s and heard %q", a.Name, a.Spec.NodeName, b.Name, b.Spec.NodeName, out)
	}
	if out := d.PortForward(t, a.Name, 8080); !strings.Contains(out, a.Name) {
		t.Errorf("through port-forward: %q", out)
	}
	if out := d.KubectlTTY(t, "exec", "-it", a.Name, "--", "sh", "-c", "test -t 0 && echo a terminal"); !strings.Contains(out, "a terminal") {
		t.Errorf("exec -it: %q", out)
	}
	if out := d.Kubectl(t, "logs", a.Name, "--tail=0"); out != "" {
		t.Errorf("logs --tail=0: %q", out)
	}
	for _, n := range d.Nodes(t) {
		if info := n.Status.NodeInfo; !strings.HasPrefix(info.ContainerRuntimeVersion, "containerd://") || info.KernelVersion == "" || info.OSImage == "" {
			t.Errorf("node %s tells of itself: %+v", n.Name, info)
		}
		summary := d.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+n.Name+"/proxy/stats/summary")
		var stats struct {
			Node struct {
				CPU struct {
					UsageCoreNanoSeconds *uint64 `json:"usageCoreNanoSeconds"`
				} `json:"cpu"`
				Memory struct {
					WorkingSetBytes *uint64 `json:"workingSetBytes"`
				} `json:"memory"`
			} `json:"node"`
			Pods []any `json:"pods"`
		}
		if err := json.Unmarshal([]byte(summary), &stats); err != nil {
			t.Fatal(err)
		}
		if stats.Node.CPU.UsageCoreNanoSeconds == nil || stats.Node.Memory.WorkingSetBytes == nil || len(stats.Pods) < 2 {
			t.Errorf("stats of %s: %.400s", n.Name, summary)
		}
		if out := d.Kubectl(t, "get", "--raw", "/api/v1/nodes/"+n.Name+"/proxy/metrics/resource"); !strings.Contains(out, "pod_cpu_usage_seconds_total") {
			t.Errorf("metrics/resource of %s: %.400s", n.Name, out)
		}
	}
}

// refusals: what can't be done is said, and nothing dies of it.
func refusals(t *testing.T, d *harness.Datacenter) {
	d.Apply(t, refusalsManifest)
	harness.Eventually(t, 60*time.Second, "the huge pod is told why it waits", func() error {
		out := d.Kubectl(t, "get", "events", "--field-selector=involvedObject.name=huge", "-o", "custom-columns=M:.message")
		if !strings.Contains(out, "nsufficient cpu") {
			return fmt.Errorf("its events: %s", out)
		}
		return nil
	})
	harness.Eventually(t, 60*time.Second, "the unsupported field is named", func() error {
		out := d.Kubectl(t, "get", "pod", "unsupported", "-o", "json")
		if !strings.Contains(out, "volumeDevices") && !strings.Contains(out, "nfs") {
			return fmt.Errorf("its status: %.600s", out)
		}
		return nil
	})
	d.Kubectl(t, "delete", "pod", "huge", "unsupported", "--timeout=60s")
}

// killEachPart ends each part by SIGKILL in the middle of the work; the supervisor
// starts it again by the same command. No pod or instance is lost or runs twice.
func killEachPart(t *testing.T, d *harness.Datacenter) {
	identity := func() []string {
		var ids []string
		for _, p := range d.Pods(t, "app=web") {
			ids = append(ids, fmt.Sprintf("%s %s %d %v", p.UID, p.Status.ContainerStatuses[0].ContainerID, p.Status.ContainerStatuses[0].RestartCount, p.Status.ContainerStatuses[0].Ready))
		}
		slices.Sort(ids)
		return ids
	}
	instances := func() []string {
		s, err := harness.StateOf(d.Master)
		if err != nil {
			return nil
		}
		f, err := s.Framework("marathon")
		if err != nil {
			return nil
		}
		ids := f.Running()
		slices.Sort(ids)
		return ids
	}
	pods, apps := identity(), instances()
	if len(pods) != 6 || len(apps) != 3 {
		t.Fatalf("before: pods %v, instances %v", pods, apps)
	}
	for _, part := range []string{"master", "bridge", "agent-1", "marathon", "batch", "agent-2"} {
		d.Kill9(t, part)
		harness.Eventually(t, 90*time.Second, "after kill -9 of "+part+" all is as before", func() error {
			if now := identity(); !slices.Equal(now, pods) {
				return fmt.Errorf("pods %v, were %v", now, pods)
			}
			if now := instances(); !slices.Equal(now, apps) {
				return fmt.Errorf("instances %v, were %v", now, apps)
			}
			return nil
		})
	}
	// All still obey.
	d.Kubectl(t, "scale", "deployment/web", "--replicas=3")
	harness.Eventually(t, 90*time.Second, "3 pods are left", func() error {
		if n := len(d.Pods(t, "app=web")); n != 3 {
			return fmt.Errorf("%d are there", n)
		}
		return nil
	})
}

// secondUp: after down, up on the same directory finds pods, apps and jobs again.
func secondUp(t *testing.T, d *harness.Datacenter) {
	names := func() []string {
		ids := []string{string(d.Pod(t, "bare").UID)}
		for _, p := range d.Pods(t, "app=web") {
			ids = append(ids, string(p.UID))
		}
		slices.Sort(ids)
		return ids
	}
	d.Apply(t, bareManifest)
	d.Kubectl(t, "wait", "--for=condition=Ready", "pod/bare", "--timeout=60s")
	before := names()
	d.DownKeeping(t)
	d.UpAgain(t)
	await(t, d, "bare", func(p corev1.Pod) error {
		c := p.Status.ContainerStatuses[0]
		return expect(c.Ready && c.State.Running != nil && p.Annotations["tombolo.io/attempt"] != "", p)
	})
	d.Kubectl(t, "rollout", "status", "deployment/web", "--timeout=180s")
	harness.Eventually(t, 90*time.Second, "the app runs again", func() error {
		s, err := harness.StateOf(d.Master)
		if err != nil {
			return err
		}
		f, err := s.Framework("marathon")
		if err != nil {
			return err
		}
		if n := len(f.Running()); n != 3 {
			return fmt.Errorf("%d instances run", n)
		}
		return nil
	})
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("pods %v, were %v", after, before)
	}
	if out := harness.MustRun(t, time.Minute, d.Tombolo, "batch", "list", "--server="+d.Batch); !strings.Contains(out, "fifty") {
		t.Errorf("the job is forgotten:\n%s", out)
	}
}
