package criconfig

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

func pointer[T any](v T) *T { return &v }

func TestExpand(t *testing.T) {
	lookup := func(name string) (string, bool) {
		value, ok := map[string]string{"A": "1", "B": "$(A)", "": "empty"}[name]
		return value, ok
	}
	for text, want := range map[string]string{
		"$(A)": "1", "x$(A)y$(B)": "x1y$(A)", "$$(A)": "$(A)", "$(C)": "$(C)", "$(A": "$(A", "$A": "$A", "$": "$", "a$$b": "a$b",
		"$$$(A)": "$1", "$()": "empty",
	} {
		if got := Expand(text, lookup); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// Text without a dollar stays as it is, whatever the variables are.
func TestExpandKeepsPlainText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.ReplaceAll(rapid.String().Draw(t, "text"), "$", "")
		if got := Expand(text, func(string) (string, bool) { return "x", true }); got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func env(t *testing.T, bundle *podapi.Bundle, container corev1.Container) (string, error) {
	t.Helper()
	if bundle.Pod == nil {
		bundle.Pod = &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container}}}
	}
	pairs, err := Env(bundle, &container, Addresses{HostIP: "192.0.2.1", PodIPs: []string{"10.0.0.2", "fd00::2"}})
	var out []string
	for _, p := range pairs {
		out = append(out, p.Key+"="+p.Value)
	}
	return strings.Join(out, " "), err
}

func TestEnvPrecedence(t *testing.T) {
	bundle := &podapi.Bundle{
		ConfigMaps: map[string]podapi.ConfigMap{"c": {Data: map[string]string{"X": "config", "Y": "y", "bad=name": "z"}}},
		Secrets:    map[string]podapi.Secret{"s": {Data: map[string][]byte{"X": []byte("secret")}}},
		ServiceEnv: []corev1.EnvVar{{Name: "SVC", Value: "10.0.0.1"}, {Name: "Y", Value: "service"}},
	}
	container := corev1.Container{
		EnvFrom: []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "gone"}, Optional: pointer(true)}},
		},
		Env: []corev1.EnvVar{{Name: "URL", Value: "http://$(SVC)/$(X)/$(LATER)"}, {Name: "LATER", Value: "l"}, {Name: "X", Value: "own"}},
	}
	got, err := env(t, bundle, container)
	if want := "X=own Y=y URL=http://10.0.0.1/secret/$(LATER) LATER=l SVC=10.0.0.1"; got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestEnvSources(t *testing.T) {
	container := corev1.Container{Name: "m", Resources: corev1.ResourceRequirements{
		Limits:   corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1500m")},
		Requests: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("100M")},
	}}
	bundle := &podapi.Bundle{
		Pod:  &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container}}},
		Node: podapi.Node{Name: "n1", Allocatable: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("2Gi")}},
	}
	bundle.Pod.Annotations = map[string]string{"k": "v"}
	for path, want := range map[string]string{
		"status.podIP": "10.0.0.2", "status.podIPs": "10.0.0.2,fd00::2", "status.hostIP": "192.0.2.1", "spec.nodeName": "n1",
		"metadata.annotations['k']": "v", "metadata.annotations": `k="v"`,
	} {
		got, err := Field(bundle, path, Addresses{HostIP: "192.0.2.1", PodIPs: []string{"10.0.0.2", "fd00::2"}})
		if got != want || err != nil {
			t.Errorf("%s: %q, %v", path, got, err)
		}
	}
	for ref, want := range map[string]string{"limits.cpu": "2", "limits.memory": "2147483648", "requests.memory": "100000000", "requests.cpu": "0"} {
		got, err := Resource(bundle, &corev1.ResourceFieldSelector{Resource: ref}, "m")
		if got != want || err != nil {
			t.Errorf("%s: %q, %v", ref, got, err)
		}
	}
	got, err := Resource(bundle, &corev1.ResourceFieldSelector{Resource: "limits.cpu", Divisor: resource.MustParse("1m")}, "m")
	if got != "1500" || err != nil {
		t.Errorf("limits.cpu in thousandths: %q, %v", got, err)
	}
	if _, err := Field(bundle, "spec.secrets", Addresses{}); err == nil {
		t.Error("an unknown field has a value")
	}
}

func TestMissingReferences(t *testing.T) {
	ref := corev1.LocalObjectReference{Name: "x"}
	for want, from := range map[string]*corev1.EnvVarSource{
		`configmap "x" not found`: {ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref, Key: "k"}},
		`secret "x" not found`:    {SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref, Key: "k"}},
	} {
		_, err := env(t, &podapi.Bundle{}, corev1.Container{Env: []corev1.EnvVar{{Name: "V", ValueFrom: from}}})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "V") {
			t.Errorf("%v, want %s", err, want)
		}
	}
	optional := &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref, Key: "k", Optional: pointer(true)}}
	if got, err := env(t, &podapi.Bundle{}, corev1.Container{Env: []corev1.EnvVar{{Name: "V", ValueFrom: optional}}}); got != "" || err != nil {
		t.Errorf("optional: %q, %v", got, err)
	}
}

func TestResources(t *testing.T) {
	list := func(cpu, memory string) corev1.ResourceList {
		out := corev1.ResourceList{}
		if cpu != "" {
			out[corev1.ResourceCPU] = resource.MustParse(cpu)
		}
		if memory != "" {
			out[corev1.ResourceMemory] = resource.MustParse(memory)
		}
		return out
	}
	cases := []struct {
		name             string
		requests, limits corev1.ResourceList
		want             *cri.LinuxContainerResources
	}{
		{"nothing", nil, nil, &cri.LinuxContainerResources{CpuShares: 2, OomScoreAdj: 1000}},
		{"requests", list("500m", "1Gi"), nil, &cri.LinuxContainerResources{CpuShares: 512, OomScoreAdj: 750}},
		{"limits only", nil, list("2", "1Gi"), &cri.LinuxContainerResources{
			CpuShares: 2048, CpuPeriod: 100_000, CpuQuota: 200_000, MemoryLimitInBytes: 1 << 30, OomScoreAdj: -997,
		}},
		{"tiny", list("1m", ""), list("1m", ""), &cri.LinuxContainerResources{CpuShares: 2, CpuPeriod: 100_000, CpuQuota: 1000, OomScoreAdj: 999}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			container := corev1.Container{Resources: corev1.ResourceRequirements{Requests: c.requests, Limits: c.limits}}
			bundle := &podapi.Bundle{
				Pod:  &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{container}}},
				Node: podapi.Node{Allocatable: list("4", "4Gi")},
			}
			if got := Resources(bundle, &container); got.String() != c.want.String() {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestNonRoot(t *testing.T) {
	cases := []struct {
		name  string
		user  *int64
		image Image
		want  string
	}{
		{"user of the spec", pointer(int64(5)), Image{}, ""},
		{"root of the spec", pointer(int64(0)), Image{UID: pointer(int64(5))}, "breaks non-root"},
		{"user of the image", nil, Image{UID: pointer(int64(5))}, ""},
		{"root of the image", nil, Image{UID: pointer(int64(0))}, "will run as root"},
		{"image says nothing", nil, Image{}, "will run as root"},
		{"image names a user", nil, Image{Username: "nobody"}, "non-numeric user"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			container := &corev1.Container{SecurityContext: &corev1.SecurityContext{RunAsNonRoot: pointer(true), RunAsUser: c.user}}
			_, err := containerSecurity(&corev1.Pod{}, container, c.image)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestDNS(t *testing.T) {
	host := DNS{Servers: []string{"192.0.2.53"}, Searches: []string{"corp"}}
	cluster := podapi.ClusterDNS{Servers: []string{"10.0.0.10"}, Domain: "cluster.local"}
	cases := []struct {
		name    string
		spec    corev1.PodSpec
		cluster podapi.ClusterDNS
		want    DNS
	}{
		{"default", corev1.PodSpec{DNSPolicy: corev1.DNSDefault}, cluster, host},
		{"cluster first", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, cluster, DNS{
			[]string{"10.0.0.10"}, []string{"ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp"}, []string{"ndots:5"},
		}},
		{"cluster first on the host's network", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, HostNetwork: true}, cluster, host},
		{"cluster without DNS", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst}, podapi.ClusterDNS{}, host},
		{"none", corev1.PodSpec{DNSPolicy: corev1.DNSNone, DNSConfig: &corev1.PodDNSConfig{
			Nameservers: []string{"1.1.1.1"}, Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: pointer("2")}, {Name: "edns0"}},
		}}, cluster, DNS{[]string{"1.1.1.1"}, nil, []string{"ndots:2", "edns0"}}},
		{"option replaced", corev1.PodSpec{DNSPolicy: corev1.DNSClusterFirst, DNSConfig: &corev1.PodDNSConfig{
			Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: pointer("1")}},
		}}, podapi.ClusterDNS{Servers: []string{"10.0.0.10"}}, DNS{[]string{"10.0.0.10"}, []string{"corp"}, []string{"ndots:1"}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			bundle := &podapi.Bundle{Pod: &corev1.Pod{Spec: c.spec}, DNS: c.cluster}
			bundle.Pod.Namespace = "ns"
			got := dnsConfig(bundle, Facts{ResolvConf: host})
			if !slices.Equal(got.Servers, c.want.Servers) || !slices.Equal(got.Searches, c.want.Searches) || !slices.Equal(got.Options, c.want.Options) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	parsed := ParseResolvConf("# x\nnameserver 192.0.2.53\nsearch corp\nnonsense\noptions a b:1\n")
	if len(parsed.Servers) != 1 || parsed.Searches[0] != "corp" || len(parsed.Options) != 2 {
		t.Errorf("parsed %+v", parsed)
	}
}

func TestSandboxOfPrivilegedPod(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{
		HostNetwork: true,
		Containers: []corev1.Container{{
			SecurityContext: &corev1.SecurityContext{Privileged: pointer(true)}, Ports: []corev1.ContainerPort{{ContainerPort: 80, HostPort: 80}},
		}},
	}}
	pod.Name = strings.Repeat("a", 62) + "-b"
	config := Sandbox(&podapi.Bundle{Pod: pod}, Facts{}, 3)
	if !config.Linux.SecurityContext.Privileged || config.Hostname != "" || len(config.PortMappings) != 0 || config.Metadata.Attempt != 3 {
		t.Errorf("%v", config)
	}
	if got := Hostname(pod); got != strings.Repeat("a", 62) {
		t.Errorf("host name %q", got)
	}
}
