package podspec

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func pointer[T any](v T) *T { return &v }

// What is refused is named with its place; what only the scheduler or the API server reads passes.
func TestUnsupported(t *testing.T) {
	cases := []struct {
		name   string
		change func(*corev1.PodSpec)
		want   string // "" = supported
	}{
		{"a plain pod", func(*corev1.PodSpec) {}, ""},
		{"scheduling", func(s *corev1.PodSpec) {
			s.NodeSelector = map[string]string{"a": "b"}
			s.Tolerations = []corev1.Toleration{{Operator: corev1.TolerationOpExists}}
			s.PriorityClassName = "high"
			s.EnableServiceLinks = pointer(true)
		}, ""},
		{"claim", func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "d", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{}}}}
		}, "spec.volumes[d].persistentVolumeClaim"},
		{"huge pages", func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "h", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: "HugePages"}}}}
		}, "spec.volumes[h].emptyDir.medium: HugePages"},
		{"exotic volume", func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "g", VolumeSource: corev1.VolumeSource{GitRepo: &corev1.GitRepoVolumeSource{}}}}
		}, "spec.volumes[g] (only "},
		{"projected bundle", func(s *corev1.PodSpec) {
			s.Volumes = []corev1.Volume{{Name: "p", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ClusterTrustBundle: &corev1.ClusterTrustBundleProjection{}}},
			}}}}
		}, "spec.volumes[p].projected.sources[0]"},
		{"user namespace", func(s *corev1.PodSpec) { s.HostUsers = pointer(false) }, "spec.hostUsers"},
		{"runtime class", func(s *corev1.PodSpec) { s.RuntimeClassName = pointer("kata") }, "spec.runtimeClassName"},
		{"readiness gate", func(s *corev1.PodSpec) { s.ReadinessGates = []corev1.PodReadinessGate{{}} }, "spec.readinessGates"},
		{"unsafe sysctl", func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "kernel.msgmax"}}}
		}, "kernel.msgmax"},
		{"safe sysctl", func(s *corev1.PodSpec) {
			s.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.ipv4.tcp_syncookies"}}}
		}, ""},
		{"local seccomp", func(s *corev1.PodSpec) {
			s.Containers[0].SecurityContext = &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeLocalhost}}
		}, "spec.containers[c].securityContext.seccompProfile"},
		{"grpc probe", func(s *corev1.PodSpec) {
			s.Containers[0].LivenessProbe = &corev1.Probe{ProbeHandler: corev1.ProbeHandler{GRPC: &corev1.GRPCAction{}}}
		}, "spec.containers[c].livenessProbe (only exec, httpGet and tcpSocket)"},
		{"device", func(s *corev1.PodSpec) {
			s.Containers[0].Resources.Limits = corev1.ResourceList{"example.com/gpu": {}}
		}, "example.com/gpu"},
		{"sidecar", func(s *corev1.PodSpec) {
			s.InitContainers = []corev1.Container{{Name: "i", RestartPolicy: pointer(corev1.ContainerRestartPolicyAlways)}}
		}, ""},
		{"container restart policy", func(s *corev1.PodSpec) {
			s.Containers[0].RestartPolicy = pointer(corev1.ContainerRestartPolicyNever)
		}, "spec.containers[c].restartPolicy"},
		{"file key", func(s *corev1.PodSpec) {
			s.Containers[0].Env = []corev1.EnvVar{{Name: "E", ValueFrom: &corev1.EnvVarSource{}}}
		}, "spec.containers[c].env[E].valueFrom"},
		{"stop signal", func(s *corev1.PodSpec) {
			s.Containers[0].Lifecycle = &corev1.Lifecycle{StopSignal: pointer(corev1.SIGUSR1)}
		}, "spec.containers[c].lifecycle.stopSignal"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}
			c.change(&spec)
			got := Unsupported(&spec)
			switch {
			case c.want == "" && len(got) > 0:
				t.Errorf("refused: %q", got)
			case c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)):
				t.Errorf("got %q, want one with %q", got, c.want)
			}
		})
	}
}

// All reasons come at once.
func TestMessage(t *testing.T) {
	spec := corev1.PodSpec{HostUsers: pointer(false), RuntimeClassName: pointer("x")}
	want := "this node does not support spec.runtimeClassName; spec.hostUsers: false (user namespaces)"
	if got := Message(Unsupported(&spec)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
