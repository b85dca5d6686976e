package pod

import (
	"bufio"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

func pointer[T any](v T) *T { return &v }

// sh runs a script in container c0 and returns what it writes.
func (r *rig) sh(pod *corev1.Pod, script string) string {
	r.t.Helper()
	out, errs, code := r.exec(pod, podapi.ExecStart{Command: []string{"sh", "-c", script}, Stdout: true, Stderr: true}).finish()
	if code != 0 {
		r.t.Errorf("%s: exit code %d: %s", script, code, errs)
	}
	return strings.TrimSpace(out)
}

// expect compares what scripts write in a pod.
func (r *rig) expect(pod *corev1.Pod, want map[string]string) {
	r.t.Helper()
	for script, text := range want {
		if got := r.sh(pod, script); got != text {
			r.t.Errorf("%s: %q, want %q", script, got, text)
		}
	}
}

func TestVolumesAndEnvironment(t *testing.T) {
	r := newRig(t)
	pod := newPod("vol", forever)
	pod.Labels = map[string]string{"app": "x"}
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: pointer(int64(2000)), RunAsUser: pointer(int64(1000))}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "config", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "conf"}}}},
		{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "s", DefaultMode: pointer(int32(0o400))}}},
		{Name: "memory", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "Memory", SizeLimit: pointer(resource.MustParse("1Mi"))}}},
		{Name: "disk", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
		{Name: "all", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token"}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "labels", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels"}}}}},
		}}}},
	}
	c := &pod.Spec.Containers[0]
	c.VolumeMounts = []corev1.VolumeMount{
		{Name: "config", MountPath: "/config"}, {Name: "config", MountPath: "/one", SubPath: "a"}, {Name: "secret", MountPath: "/secret"},
		{Name: "memory", MountPath: "/memory"}, {Name: "disk", MountPath: "/disk", SubPathExpr: "of/$(NAME)"}, {Name: "all", MountPath: "/all"},
	}
	c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("500m")}
	c.EnvFrom = []corev1.EnvFromSource{{Prefix: "C_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "conf"}}}}
	c.Env = []corev1.EnvVar{
		{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
		{Name: "IP", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "status.podIP"}}},
		{Name: "MEM", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "key"}}},
		{Name: "BOTH", Value: "$(NAME)-$(KEY)-$(NOBODY)-$$(NAME)"},
	}
	token := podapi.TokenKey("all", "token")
	fill := func(b *podapi.Bundle) {
		b.ConfigMaps = map[string]podapi.ConfigMap{"conf": {Data: map[string]string{"a": "1"}}}
		b.Secrets = map[string]podapi.Secret{"s": {Data: map[string][]byte{"key": []byte("hush")}}}
		b.Tokens = map[string]string{token: "t1"}
		b.ServiceEnv = []corev1.EnvVar{{Name: "KUBERNETES_SERVICE_HOST", Value: "10.0.0.1"}}
		b.DNS = podapi.ClusterDNS{Servers: []string{"10.0.0.10"}, Domain: "cluster.local"}
	}
	r.run(pod, fill)
	s := r.awaitReady(pod)
	r.expect(pod, map[string]string{
		"cat /config/a /one":                  "11",
		"cat /secret/key":                     "hush",
		"cat /all/token":                      "t1",
		"cat /all/labels":                     `app="x"`,
		"id -u; id -G":                        "1000\n0 2000",
		"touch /disk/f && stat -c %g /disk/f": "2000",
		"echo x > /config/a 2>/dev/null || echo refused":                 "refused",
		"head -c 2000000 /dev/zero > /memory/f 2>/dev/null || echo full": "full",
		"echo $C_a $IP $MEM $KEY $BOTH $KUBERNETES_SERVICE_HOST":         "1 " + s.PodIP + " 64 hush vol-hush-$(NOBODY)-$(NAME) 10.0.0.1",
		"hostname":                         "vol",
		"grep -c \"^$IP.vol$\" /etc/hosts": "1",
		"cat /etc/resolv.conf":             "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.0.0.10\noptions ndots:5",
		"cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max": strconv.Itoa(64 << 20),
		"cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || cut -d' ' -f1 /sys/fs/cgroup/cpu.max":  "50000",
	})
	for file, want := range unifiedSettings(filepath.Join(unifiedRoot, r.config.Cgroup)) {
		r.expect(pod, map[string]string{"cat /sys/fs/cgroup/" + file: want})
	}
	if found, _ := filepath.Glob(filepath.Join(r.config.Sandbox, "pods", "*", "data", "volumes", "disk", "of", "vol", "f")); len(found) != 1 {
		t.Errorf("file in the emptyDir: %v", found)
	}
	leaks(t, r.config.Sandbox, "hush")

	changed := podapi.Bundle{Pod: pod.DeepCopy(), Node: podapi.Node{Name: "node-1"}}
	fill(&changed)
	changed.Pod.Labels["app"] = "y"
	changed.ConfigMaps["conf"] = podapi.ConfigMap{Data: map[string]string{"a": "2", "b": "3"}}
	changed.Tokens[token] = "t2"
	if _, err := r.client.UpdatePod(t.Context(), &podapi.UpdatePodRequest{TaskID: r.task(pod), Bundle: changed}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "new contents", func() bool {
		return r.sh(pod, "cat /config/a /config/b /all/token /all/labels") == `23t2app="y"`
	})
}

// leaks looks for a secret in files that an operator may read.
func leaks(t *testing.T, dir, secret string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			t.Errorf("the secret is in %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestSecurityContexts(t *testing.T) {
	r := newRig(t)
	pod := newPod("secure", forever)
	pod.Spec.SecurityContext = &corev1.PodSecurityContext{
		RunAsUser: pointer(int64(1234)), RunAsNonRoot: pointer(true), SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	pod.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{
		ReadOnlyRootFilesystem: pointer(true), AllowPrivilegeEscalation: pointer(false), RunAsGroup: pointer(int64(5678)),
		Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
	privileged := newPod("privileged", forever)
	privileged.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: pointer(true)}
	r.run(pod)
	r.run(privileged)
	r.awaitReady(pod)
	r.expect(pod, map[string]string{
		"id -u; id -g":                      "1234\n5678",
		"touch /f 2>/dev/null || echo read": "read",
		"grep -E 'CapBnd|NoNewPrivs|Seccomp:' /proc/1/status | tr -d '\\t'": "CapBnd:0000000000000000\nNoNewPrivs:1\nSeccomp:2",
	})
	r.awaitReady(privileged)
	r.expect(privileged, map[string]string{"mount -t tmpfs x /tmp && echo mounted": "mounted"})
}

func TestNamespacesAndPorts(t *testing.T) {
	r := newRig(t)
	host := newPod("host", forever)
	host.Spec.HostNetwork, host.Spec.HostPID = true, true
	shared := newPod("shared", forever, "sleep 4321")
	shared.Spec.ShareProcessNamespace = pointer(true)
	shared.Spec.Containers[1].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}}}
	port := newPod("port", "while true; do echo from the pod | nc -l -p 9000; done")
	port.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9000, HostPort: 29000}}
	r.run(host)
	r.run(shared)
	r.run(port)
	if s := r.awaitReady(host); s.PodIP != agentIP {
		t.Errorf("pod IP %s on the host's network", s.PodIP)
	}
	r.expect(host, map[string]string{"ip addr show lo | grep -c " + agentIP: "1", "pidof containerd | wc -w": "1"})
	r.awaitReady(shared)
	eventually(t, "the other container's process", func() bool { return r.sh(shared, "pidof sleep | wc -w; true") != "0" })
	r.awaitReady(port)
	eventually(t, "answer at the host's port", func() bool {
		conn, err := net.DialTimeout("tcp", agentIP+":29000", time.Second)
		if err != nil {
			return false
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return line == "from the pod\n"
	})
}

// A sidecar runs before the main container and ends after it; the pod completes without waiting for it. Hooks run.
func TestSidecarsAndHooks(t *testing.T) {
	r := newRig(t)
	pod := newPod("side", "until [ -e /d/started ]; do sleep 0.1; done; cat /d/started; sleep 1; echo main >> /d/order")
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	pod.Spec.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: t.TempDir()}}}}
	sidecar := shell("sidecar", "trap 'echo side >> /d/order; exit 0' TERM; while true; do sleep 0.1; done")
	sidecar.RestartPolicy = pointer(corev1.ContainerRestartPolicyAlways)
	sidecar.Lifecycle = &corev1.Lifecycle{
		PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo -n hook > /d/started"}}},
		PreStop:   &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo stop >> /d/order"}}},
	}
	pod.Spec.InitContainers = []corev1.Container{sidecar}
	pod.Spec.InitContainers[0].VolumeMounts = []corev1.VolumeMount{{Name: "d", MountPath: "/d"}}
	pod.Spec.Containers[0].VolumeMounts = pod.Spec.InitContainers[0].VolumeMounts
	r.run(pod)
	s := r.awaitState(pod, mesos.TASK_FINISHED)
	if s.Phase != corev1.PodSucceeded {
		t.Errorf("phase %s", s.Phase)
	}
	order, err := os.ReadFile(filepath.Join(pod.Spec.Volumes[0].HostPath.Path, "order"))
	if err != nil || string(order) != "main\nstop\nside\n" {
		t.Errorf("order %q, %v", order, err)
	}
	if text, err := r.logs(pod, "c0"); err != nil || text != "hook" && text != "hook\n" {
		t.Errorf("log %q, %v", text, err)
	}
}
