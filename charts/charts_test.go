package charts

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/action"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "rewrite testdata from what the chart renders now")

// scenario is a file of values and the manifests it must render to: testdata/NAME.values.yaml, testdata/NAME.yaml.
var scenarios = []string{"minimal", "full", "kubeconfig"}

func TestLint(t *testing.T) {
	for _, name := range scenarios {
		linter := lint.AllWithKubeVersion("tombolo", readValues(t, name), "mesos", &chartutil.KubeVersion{Version: "v1.35.4", Major: "1", Minor: "35"})
		for _, m := range linter.Messages {
			// An icon is the one thing the linter would like and we do not have.
			if m.Severity > support.InfoSev || !strings.Contains(m.Err.Error(), "icon") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

func TestGoldenRenders(t *testing.T) {
	for _, name := range scenarios {
		t.Run(name, func(t *testing.T) {
			got := render(t, readValues(t, name))
			golden := filepath.Join("testdata", name+".yaml")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("%s differs from what the chart renders: look at `go test ./charts -update && git diff`\n%s", golden, got)
			}
		})
	}
}

// TestManifestsAreKubernetes decodes what is rendered into the API's own types, unknown fields refused.
func TestManifestsAreKubernetes(t *testing.T) {
	for _, name := range scenarios {
		for _, doc := range documents(render(t, readValues(t, name))) {
			kind := kindOf(t, doc)
			into := map[string]any{
				"Deployment": &appsv1.Deployment{}, "Service": &corev1.Service{}, "ServiceAccount": &corev1.ServiceAccount{},
				"Pod": &corev1.Pod{}, "Role": &rbacv1.Role{}, "ClusterRole": &rbacv1.ClusterRole{},
				"RoleBinding": &rbacv1.RoleBinding{}, "ClusterRoleBinding": &rbacv1.ClusterRoleBinding{},
				"ServiceMonitor": &map[string]any{},
			}[kind]
			if into == nil {
				t.Errorf("%s: unexpected kind %q", name, kind)
				continue
			}
			if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
				t.Errorf("%s: %s: %v", name, kind, err)
			}
		}
	}
}

func TestSchemaRefusals(t *testing.T) {
	cases := []struct{ name, values, want string }{
		{"nothing said", `{}`, "masters"},
		{"no master", `{image: {repository: r}}`, "masters"},
		{"no image", `{mesos: {masters: ["m:5050"]}}`, "repository"},
		{"master without a port", `{mesos: {masters: [m]}, image: {repository: r}}`, "masters"},
		{"master with a scheme", `{mesos: {masters: ["http://m:5050"]}, image: {repository: r}}`, "masters"},
		{"default role", `{mesos: {masters: ["m:5050"], role: "*"}, image: {repository: r}}`, "role"},
		{"role with a space", `{mesos: {masters: ["m:5050"], role: "a b"}, image: {repository: r}}`, "role"},
		{"role ending in a slash", `{mesos: {masters: ["m:5050"], role: "a/"}, image: {repository: r}}`, "role"},
		{"misspelt key", `{mesos: {masters: ["m:5050"], rol: x}, image: {repository: r}}`, "rol"},
		{"misspelt top key", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, resource: {}}`, "resource"},
		{"privileged port", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, metrics: {port: 80}}`, "port"},
		{"bad digest", `{mesos: {masters: ["m:5050"]}, image: {repository: r, digest: abc}}`, "digest"},
		{"tag in the repository", `{mesos: {masters: ["m:5050"]}, image: {repository: "r@sha256:1"}}`, "repository"},
		{"replicas are not a choice", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, replicas: 3}`, "replicas"},
		{"argument without dashes", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, extraArgs: [x]}`, "extraArgs"},
		{"taint without an effect", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, nodes: {taint: a=b}}`, "taint"},
		{"amount that is none", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, nodes: {headroom: {cpus: lots}}}`, "cpus"},
		{"time without a unit", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, nodes: {pendingTimeout: "5"}}`, "pendingTimeout"},
		{"no client CA at all", `{mesos: {masters: ["m:5050"]}, image: {repository: r}, kubelet: {clientCA: {existingConfigMap: ""}}}`, "clientCA"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			values := map[string]any{}
			if err := yaml.Unmarshal([]byte(c.values), &values); err != nil {
				t.Fatal(err)
			}
			_, err := tryRender(t, values)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

// TestBridgeMayDoNoMore holds the whole of the bridge's rights; adding one means changing this list on purpose.
func TestBridgeMayDoNoMore(t *testing.T) {
	want := []string{
		"ClusterRole authentication.k8s.io/tokenreviews: create",
		"ClusterRole authorization.k8s.io/subjectaccessreviews: create",
		"ClusterRole configmaps: get",
		"ClusterRole events: create patch",
		"ClusterRole nodes/status: update",
		"ClusterRole nodes: get list create update delete",
		"ClusterRole pods/status: patch",
		"ClusterRole pods: list watch delete",
		"ClusterRole secrets: get",
		"ClusterRole serviceaccounts/token: create",
		"ClusterRole services: list watch",
		"Role kube-node-lease coordination.k8s.io/leases: get create update",
		"Role mesos configmaps: create",
		"Role mesos configmaps[tombolo-bridge]: update",
		"Role mesos secrets: create",
	}
	var got []string
	for _, doc := range documents(render(t, readValues(t, "minimal"))) {
		var role rbacv1.Role // a ClusterRole has the same rules
		if kind := kindOf(t, doc); kind != "Role" && kind != "ClusterRole" {
			continue
		}
		if err := yaml.Unmarshal([]byte(doc), &role); err != nil {
			t.Fatal(err)
		}
		got = append(got, rights(role)...)
	}
	sort.Strings(got)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the bridge may:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := strings.Join(got, "\n"); strings.Contains(all, "*") {
		t.Error("a right has a wildcard")
	}
}

func rights(role rbacv1.Role) []string {
	var list []string
	for _, rule := range role.Rules {
		for _, resource := range rule.Resources {
			where := role.Kind
			if role.Namespace != "" {
				where += " " + role.Namespace
			}
			if rule.APIGroups[0] != "" {
				resource = rule.APIGroups[0] + "/" + resource
			}
			if len(rule.ResourceNames) > 0 {
				resource += "[" + strings.Join(rule.ResourceNames, " ") + "]"
			}
			list = append(list, where+" "+resource+": "+strings.Join(rule.Verbs, " "))
		}
	}
	return list
}

// TestBridgePodIsRestricted checks the Deployment against what the "restricted" pod security standard asks.
func TestBridgePodIsRestricted(t *testing.T) {
	for _, name := range scenarios {
		d := deployment(t, render(t, readValues(t, name)))
		if *d.Spec.Replicas != 1 || d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
			t.Errorf("%s: two bridges could run at once", name)
		}
		pod, c := d.Spec.Template.Spec, d.Spec.Template.Spec.Containers[0]
		switch {
		case !*pod.SecurityContext.RunAsNonRoot || *pod.SecurityContext.RunAsUser != 65532:
			t.Errorf("%s: the bridge may run as root", name)
		case pod.SecurityContext.SeccompProfile.Type != corev1.SeccompProfileTypeRuntimeDefault:
			t.Errorf("%s: no seccomp profile", name)
		case !*c.SecurityContext.ReadOnlyRootFilesystem, *c.SecurityContext.AllowPrivilegeEscalation:
			t.Errorf("%s: the container may change itself", name)
		case len(c.SecurityContext.Capabilities.Drop) != 1 || c.SecurityContext.Capabilities.Drop[0] != "ALL":
			t.Errorf("%s: capabilities are kept", name)
		}
		for _, p := range []*corev1.Probe{c.StartupProbe, c.LivenessProbe, c.ReadinessProbe} {
			if p == nil || p.HTTPGet == nil || p.HTTPGet.Path != "/healthz" || p.HTTPGet.Port.String() != "metrics" {
				t.Errorf("%s: probe %v does not ask /healthz of the metrics port", name, p)
			}
		}
	}
}

// TestBridgeKnowsTheFlags reads the flags out of the bridge's command, which this package must not import, so that the chart and
// the command cannot drift apart.
func TestBridgeKnowsTheFlags(t *testing.T) {
	known := map[string]bool{}
	for _, file := range []string{"bridge.go", "main.go"} {
		source, err := os.ReadFile(filepath.Join("..", "cmd", "tombolo", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`\.\w+Var\(&[\w.]+, "([a-z-]+)"`).FindAllSubmatch(source, -1) {
			known[string(m[1])] = true
		}
	}
	if len(known) < 10 {
		t.Fatalf("only the flags %v found: the command is written in another way now", known)
	}
	for _, name := range scenarios {
		args := deployment(t, render(t, readValues(t, name))).Spec.Template.Spec.Containers[0].Args
		if args[0] != "bridge" {
			t.Errorf("%s runs %q", name, args[0])
		}
		for _, arg := range args[1:] {
			flag, _, _ := strings.Cut(strings.TrimPrefix(arg, "--"), "=")
			if !known[flag] {
				t.Errorf("%s: the bridge has no flag --%s", name, flag)
			}
		}
	}
}

// TestSelectorsMeet checks that Service, ServiceMonitor and Deployment mean the same pods, and the test pod is not one of them.
func TestSelectorsMeet(t *testing.T) {
	manifests := render(t, readValues(t, "full"))
	d := deployment(t, manifests)
	for _, doc := range documents(manifests) {
		switch kindOf(t, doc) {
		case "Service":
			var s corev1.Service
			if err := yaml.Unmarshal([]byte(doc), &s); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(s.Spec.Selector, d.Spec.Selector.MatchLabels) {
				t.Errorf("the service selects %v, the deployment %v", s.Spec.Selector, d.Spec.Selector.MatchLabels)
			}
		case "Pod":
			var p corev1.Pod
			if err := yaml.Unmarshal([]byte(doc), &p); err != nil {
				t.Fatal(err)
			}
			if p.Labels["app.kubernetes.io/component"] == "bridge" {
				t.Error("the service would send traffic to the test pod")
			}
		}
	}
	for k, v := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[k] != v {
			t.Errorf("pods have %s=%s, the selector wants %s", k, d.Spec.Template.Labels[k], v)
		}
	}
}

// TestInstallSaysWhatIsWrong covers the bad input that never reaches a cluster.
func TestInstallSaysWhatIsWrong(t *testing.T) {
	missing := Cluster{Kubeconfig: filepath.Join(t.TempDir(), "missing"), Namespace: "mesos"}
	if _, err := missing.Install(context.Background(), "tombolo", nil); err == nil || !strings.Contains(err.Error(), "missing: no such file") {
		t.Errorf("missing kubeconfig: %v", err)
	}
	nowhere := Cluster{Kubeconfig: os.DevNull}
	if err := nowhere.Uninstall(context.Background(), "tombolo"); err == nil || !strings.Contains(err.Error(), "namespace") {
		t.Errorf("no namespace: %v", err)
	}
}

// render renders the embedded chart with Helm's own engine, hooks included; no cluster is asked.
func render(t *testing.T, values map[string]any) string {
	t.Helper()
	manifests, err := tryRender(t, values)
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func tryRender(t *testing.T, values map[string]any) (string, error) {
	t.Helper()
	chart, err := Tombolo()
	if err != nil {
		t.Fatal(err)
	}
	install := action.NewInstall(new(action.Configuration))
	install.DryRun, install.ClientOnly, install.IncludeCRDs = true, true, true
	install.ReleaseName, install.Namespace = "tombolo", "mesos"
	install.KubeVersion = &chartutil.KubeVersion{Version: "v1.35.4", Major: "1", Minor: "35"}
	made, err := install.RunWithContext(context.Background(), chart, values)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString(made.Manifest)
	for _, h := range made.Hooks {
		out.WriteString("---\n# Source: " + h.Path + "\n" + strings.TrimSpace(h.Manifest) + "\n")
	}
	return out.String(), nil
}

func readValues(t *testing.T, name string) map[string]any {
	t.Helper()
	values, err := chartutil.ReadValuesFile(filepath.Join("testdata", name+".values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func documents(manifests string) []string {
	var docs []string
	for _, doc := range strings.Split(manifests, "---\n") {
		if strings.TrimSpace(doc) != "" {
			docs = append(docs, doc)
		}
	}
	return docs
}

func kindOf(t *testing.T, doc string) string {
	t.Helper()
	var meta struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(doc), &meta); err != nil {
		t.Fatalf("%v in\n%s", err, doc)
	}
	return meta.Kind
}

func deployment(t *testing.T, manifests string) *appsv1.Deployment {
	t.Helper()
	for _, doc := range documents(manifests) {
		if kindOf(t, doc) == "Deployment" {
			d := new(appsv1.Deployment)
			if err := yaml.UnmarshalStrict([]byte(doc), d); err != nil {
				t.Fatal(err)
			}
			return d
		}
	}
	t.Fatal("no Deployment rendered")
	return nil
}
