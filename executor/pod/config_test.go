package pod

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Everything that is wrong comes in one answer, with what to do.
func TestConfigNamesAllProblems(t *testing.T) {
	_, err := ConfigFromEnvironment(func(name string) string {
		return map[string]string{"MESOS_AGENT_ENDPOINT": "nowhere", "MESOS_RECOVERY_TIMEOUT": "soon"}[name]
	})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		`MESOS_AGENT_ENDPOINT="nowhere" is not ip:port`, "MESOS_FRAMEWORK_ID is not set", "MESOS_SANDBOX is not set",
		"--executor_environment_variables=", `MESOS_RECOVERY_TIMEOUT: duration "soon"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

// Reference section 4.3: the durations as Mesos writes them; the pod directory lies beside the runtime's socket.
func TestConfigFromEnvironment(t *testing.T) {
	env := map[string]string{
		"MESOS_AGENT_ENDPOINT": "192.0.2.1:5051", "MESOS_FRAMEWORK_ID": "f", "MESOS_EXECUTOR_ID": "e", "MESOS_SLAVE_ID": "a",
		"MESOS_SANDBOX": "/agent/runs/c1", "CONTAINER_RUNTIME_ENDPOINT": "unix:///run/x/c.sock", "LIBPROCESS_IP": "0.0.0.0",
		"MESOS_RECOVERY_TIMEOUT": "15mins", "MESOS_SUBSCRIPTION_BACKOFF_MAX": "2secs", "MESOS_CHECKPOINT": "1",
	}
	c, err := ConfigFromEnvironment(func(name string) string { return env[name] })
	if err != nil && !strings.Contains(err.Error(), "cgroup") { // where the tests run may be no place for pods
		t.Fatal(err)
	}
	if c.IP != "192.0.2.1" || c.RecoveryTimeout != 15*time.Minute || c.SubscriptionBackoff != 2*time.Second || !c.Checkpoint {
		t.Errorf("%+v", c)
	}
	if private, data, logs := c.podDirs("u.0"); private != "/run/x/tombolo-pods/c1/u.0" || data != "/agent/runs/c1/pods/u.0/data" || logs != "/agent/runs/c1/pods/u.0/logs" {
		t.Errorf("%s, %s, %s", private, data, logs)
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"5secs": 5 * time.Second, "1.5mins": 90 * time.Second, "2weeks": 14 * 24 * time.Hour, "10ms": 10 * time.Millisecond,
	} {
		if got, err := parseDuration(text); err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "5", "secs", "5m", "five secs"} {
		if _, err := parseDuration(text); err == nil {
			t.Errorf("%q was read as a duration", text)
		}
	}
}

func TestParseCgroup(t *testing.T) {
	cases := map[string]struct{ text, want, problem string }{
		"v1":        {"4:memory:/mesos/c\n3:cpu,cpuacct:/mesos/c\n0::/", "/mesos/c", ""},
		"v1 apart":  {"4:memory:/a\n3:cpu:/b\n", "", "in all hierarchies"},
		"v2":        {"0::/mesos/c\n", "/mesos/c", ""},
		"v2 leaf":   {"0::/mesos/c/leaf\n", "/mesos/c", ""},
		"no cgroup": {"", "", "no cgroup"},
	}
	for name, c := range cases {
		got, err := parseCgroup(c.text)
		if got != c.want || c.problem == "" && err != nil || c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// On the unified hierarchy the executor's processes make room for those of its pods.
func TestMoveToLeaf(t *testing.T) {
	root := ""
	for _, dir := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(dir + "/cgroup.procs"); err == nil {
			root = dir
			break
		}
	}
	if root == "" {
		t.Fatal("this machine has no unified hierarchy: the tests want Linux 5.x or later with cgroup2 mounted")
	}
	dir := root + rt.cgroup + "-leaf"
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		eventually(t, "removed cgroup", func() bool { return os.Remove(dir+"/leaf") == nil && os.Remove(dir) == nil })
	})
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := os.WriteFile(dir+"/cgroup.procs", []byte(pid), 0); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := moveToLeaf(dir); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(dir + "/leaf/cgroup.procs"); err != nil || strings.TrimSpace(string(text)) != pid {
		t.Errorf("leaf has %q, %v", text, err)
	}
}

func TestUnifiedSettingsAreThoseThatTheKernelHas(t *testing.T) {
	dir := t.TempDir()
	if got := unifiedSettings(dir); len(got) > 0 {
		t.Errorf("on the older hierarchies: %v", got)
	}
	if err := os.WriteFile(dir+"/memory.oom.group", []byte("0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := unifiedSettings(dir); len(got) != 1 || got["memory.oom.group"] != "1" {
		t.Errorf("without swap accounting: %v", got)
	}
}

func TestPullPolicyAndCredentials(t *testing.T) {
	for image, want := range map[string]corev1.PullPolicy{
		"busybox": corev1.PullAlways, "busybox:latest": corev1.PullAlways, "busybox:1": corev1.PullIfNotPresent,
		"host:5000/a/b": corev1.PullAlways, "host:5000/a/b:1": corev1.PullIfNotPresent, "a@sha256:00": corev1.PullIfNotPresent,
	} {
		if got := pullPolicy(&corev1.Container{Image: image}); got != want {
			t.Errorf("%s: %s", image, got)
		}
	}
	bundle := &podapi.Bundle{
		Pod: &corev1.Pod{Spec: corev1.PodSpec{ImagePullSecrets: []corev1.LocalObjectReference{{Name: "s"}, {Name: "absent"}}}},
		Secrets: map[string]podapi.Secret{"s": {Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(
			`{"auths":{"https://host:5000/v2/":{"username":"u","password":"p"},"https://index.docker.io/v1/":{"auth":"aHViOnB3"}}}`)}}},
	}
	for image, want := range map[string]string{"host:5000/a:1": "u", "busybox": "hub", "library/busybox": "hub", "other.io/a": ""} {
		got := ""
		for _, c := range credentials(bundle, image) {
			got += c.Username
		}
		if got != want {
			t.Errorf("%s: %q, want %q", image, got, want)
		}
	}
}
