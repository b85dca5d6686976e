package datacenter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/tombolo-project/tombolo/datacenter/cgroups"
	"github.com/tombolo-project/tombolo/datacenter/kubernetes"
	"github.com/tombolo-project/tombolo/datacenter/network"
	"github.com/tombolo-project/tombolo/datacenter/state"
)

// built is a Config of what make build tools leaves in bin, for a new directory.
func built(t *testing.T) Config {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("this test starts a datacenter: run it as root")
	}
	bin, err := filepath.Abs("../bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tombolo", "tombolo-executor", "tombolo-pod-executor", "tools/hyperkube", "tools/containerd", "tools/images/web"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			t.Fatalf("bin/%s is missing: run make build tools first", name)
		}
	}
	return Config{
		Dir: state.Directory(filepath.Join(t.TempDir(), "dc")), Agents: 2, Binary: filepath.Join(bin, "tombolo"), Tools: filepath.Join(bin, "tools"),
		Without: []string{Marathon, Batch}, Out: &bytes.Buffer{}, Log: slog.New(slog.DiscardHandler),
	}
}

// The control plane comes up, comes back part by part, and goes with all it had on the
// machine; its directory brings it up again.
func TestUpKillDownUp(t *testing.T) {
	config := built(t)
	t.Cleanup(func() {
		if err := Down(config.Dir, true); err != nil && config.Dir.Exists() {
			t.Error(err)
		}
	})
	d, err := Up(t.Context(), config)
	if err != nil {
		t.Fatalf("%v\n%s", err, config.Out)
	}
	t.Logf("%s", config.Out)
	awaitNodes(t, d, 2)
	if _, err := Up(t.Context(), config); !errors.Is(err, state.ErrRunning) {
		t.Errorf("a second up on the directory: %v", err)
	}
	for _, part := range []string{"kube-scheduler", "etcd", "containerd-1"} {
		kill(t, config.Dir, part)
	}
	awaitNodes(t, d, 2)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	leftNothing(t, d)

	again, err := Up(t.Context(), config)
	if err != nil {
		t.Fatalf("again: %v\n%s", err, config.Out)
	}
	if again.kept.Number != d.kept.Number {
		t.Errorf("number %d, before %d", again.kept.Number, d.kept.Number)
	}
	awaitNodes(t, again, 2)
	// As good as killed: the lock goes with the process that held it.
	if err := again.lock.Release(); err != nil {
		t.Fatal(err)
	}
	again.super.Abandon()
	if err := Down(config.Dir, true); err != nil {
		t.Fatal(err)
	}
	leftNothing(t, d)
	if _, err := os.Stat(string(config.Dir)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the directory is left (%v)", err)
	}
}

// awaitNodes waits until the API server counts so many ready nodes.
func awaitNodes(t *testing.T, d *Datacenter, want int) {
	t.Helper()
	client, err := kubernetes.Client(d.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	var state string
	for deadline := time.Now().Add(90 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		nodes, err := client.CoreV1().Nodes().List(context.Background(), metav1.ListOptions{})
		if err != nil {
			state = err.Error()
			continue
		}
		ready := 0
		for _, n := range nodes.Items {
			for _, c := range n.Status.Conditions {
				if c.Type == "Ready" && c.Status == "True" {
					ready++
				}
			}
		}
		if ready == want {
			return
		}
		state = fmt.Sprintf("%d of %d nodes are ready", ready, want)
	}
	t.Fatal(state)
}

// kill ends a part with SIGKILL and waits for its next life.
func kill(t *testing.T, dir state.Directory, part string) {
	t.Helper()
	file := filepath.Join(dir.Run(), part+".pid")
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Sscanf(string(before), `{"pid":%d`, &pid); err != nil {
		t.Fatalf("%s: %v", before, err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if now, err := os.ReadFile(file); err == nil && !bytes.Equal(now, before) {
			return
		}
	}
	t.Fatalf("%s was not started again", part)
}

// leftNothing checks the machine for what the datacenter may have left.
func leftNothing(t *testing.T, d *Datacenter) {
	t.Helper()
	tree, err := cgroups.Find(treeName(d.kept.Number))
	if err != nil {
		t.Fatal(err)
	}
	if pids, err := tree.Processes(""); err != nil || len(pids) > 0 {
		t.Errorf("processes are left: %v (%v)", pids, err)
	}
	if _, err := os.Stat(tree.Path()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("cgroup %s is left", tree.Path())
	}
	if points, err := mountsBelow([]string{runtimeDir(d.kept.Number), string(d.config.Dir)}); err != nil || len(points) > 0 {
		t.Errorf("mounts are left: %v (%v)", points, err)
	}
	if left, _ := filepath.Glob(filepath.Join(network.NamespaceDir, treeName(d.kept.Number)+"-*")); len(left) > 0 {
		t.Errorf("network namespaces are left: %v", left)
	}
	if _, err := net.InterfaceByName(d.plan.Bridge); err == nil {
		t.Errorf("bridge %s is left", d.plan.Bridge)
	}
	if _, err := os.Stat(runtimeDir(d.kept.Number)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left", runtimeDir(d.kept.Number))
	}
}

// What can't work is refused in a sentence that says what to do, before anything of the
// machine is touched.
func TestRefusals(t *testing.T) {
	stale := filepath.Join(t.TempDir(), "stale")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: a, cluster: {server: 'http://127.0.0.1:1'}}]\n" +
		"contexts: [{name: a, context: {cluster: a, user: a}}]\nusers: [{name: a}]\ncurrent-context: a\n"
	if err := os.WriteFile(stale, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*Config)
		says   string
	}{
		"part":               {func(c *Config) { c.Without = []string{"yarn"} }, "only kubernetes, marathon, batch"},
		"relative directory": {func(c *Config) { c.Dir = "dc" }, "not an absolute path"},
		"too many agents":    {func(c *Config) { c.Agents = 1000 }, "between 1 and 200"},
		"no port":            {func(c *Config) { c.MasterPort = 70000 }, "is not a port"},
		"unreadable amounts": {func(c *Config) { c.AgentResources = "cpus=4" }, "--agent-resources"},
		"missing tools":      {func(c *Config) { c.Tools = "/nowhere" }, "run make tools"},
		"missing executor":   {func(c *Config) { c.Binary = "/nowhere/tombolo" }, "run make build"},
		"missing kubeconfig": {func(c *Config) { c.Kubeconfig = "/nowhere/kubeconfig" }, "can't be read"},
		"stale kubeconfig":   {func(c *Config) { c.Kubeconfig = stale }, "is it stale?"},
		"resources of others": {func(c *Config) {
			c.AgentResources = "cpus:9"
			keepChoices(t, c.Dir, state.Kept{Number: 250, Agents: 1, AgentResources: "cpus:4", MasterPort: 5050})
		}, "an agent's resources can't change"},
		"others' files":       {func(c *Config) { c.Dir = state.Directory(filepath.Dir(stale)) }, "choose an empty or a new directory"},
		"the root":            {func(c *Config) { c.Dir = "/" }, "choose an empty or a new directory"},
		"directory is a file": {func(c *Config) { c.Dir = state.Directory(filepath.Join(stale, "dc")) }, "not a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			config := built(t)
			c.change(&config)
			_, err := Up(t.Context(), config)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := Down(state.Directory(t.TempDir()), false); err == nil || !strings.Contains(err.Error(), "there is no datacenter") {
		t.Errorf("down of nothing: %v", err)
	}
}

// keepChoices makes the directory one that a datacenter has been in.
func keepChoices(t *testing.T, dir state.Directory, kept state.Kept) {
	t.Helper()
	if err := errors.Join(dir.Make(), dir.Save(kept)); err != nil {
		t.Fatal(err)
	}
}

// The notes that libcni kept of our pods go, everybody else's stay.
func TestNotesOfNetworksAreForgotten(t *testing.T) {
	cache := filepath.Join(t.TempDir(), "cni")
	results := filepath.Join(cache, "results")
	if err := forgetNetworks(cache, "/run/tombolo-7"); err != nil {
		t.Errorf("without a cache: %v", err)
	}
	if err := os.MkdirAll(results, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"ours": `{"netns":"/run/tombolo-7/1/state/netns/a"}`, "other": `{"netns":"/run/tombolo-77/1/state/netns/a"}`, "odd": "odd",
	} {
		if err := os.WriteFile(filepath.Join(results, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := forgetNetworks(cache, "/run/tombolo-7"); err != nil {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(results, "*")); len(left) != 2 {
		t.Errorf("left %v", left)
	}
	if err := errors.Join(os.Remove(filepath.Join(results, "odd")), forgetNetworks(cache, "/run/tombolo-77")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(cache); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an empty cache is left (%v)", err)
	}
}

// A busy port is refused by name, and what was started by then goes away again.
func TestBusyPort(t *testing.T) {
	config := built(t)
	listener, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	config.MasterPort = listener.Addr().(*net.TCPAddr).Port
	d, err := Up(t.Context(), config)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("master needs port %d", config.MasterPort)) {
		t.Errorf("got %v", err)
	}
	if d != nil {
		t.Fatal("it is up")
	}
	kept, err := config.Dir.Load()
	if err != nil {
		t.Fatal(err)
	}
	plan, err := network.NewPlan(kept.Number, kept.Agents)
	if err != nil {
		t.Fatal(err)
	}
	leftNothing(t, &Datacenter{config: config, kept: kept, plan: plan})
	if err := Down(config.Dir, true); err != nil {
		t.Error(err)
	}
}

// A detached up passes on its progress, and its error as one.
func TestReportOfADetachedUp(t *testing.T) {
	for report, want := range map[string]struct {
		up          bool
		reason, out string
	}{
		"  master\n@up\n":                     {true, "", "  master\n"},
		"  master\n@failed \"no\\nport\"\n":   {false, "no\nport", "  master\n"},
		"  master\n":                          {false, "", "  master\n"},
		"@failed half of a quoted reason\"\n": {false, "half of a quoted reason\"", ""},
	} {
		var out strings.Builder
		up, reason := relay(strings.NewReader(report), &out)
		if up != want.up || reason != want.reason || out.String() != want.out {
			t.Errorf("%q: %v %q %q", report, up, reason, out.String())
		}
	}
}

func TestChoicesAreKept(t *testing.T) {
	dir := t.TempDir()
	first, err := Config{Dir: state.Directory(dir), Agents: 2}.keep(state.Kept{})
	if err != nil {
		t.Fatal(err)
	}
	if first.Agents != 2 || first.MasterPort != DefaultMasterPort || first.AgentResources == "" {
		t.Errorf("%+v", first)
	}
	if second, err := (Config{Dir: state.Directory(dir)}).keep(first); err != nil || second != first {
		t.Errorf("%+v became %+v (%v)", first, second, err)
	}
	if third, err := (Config{Dir: state.Directory(dir), MasterPort: 6000}).keep(first); err != nil || third.MasterPort != 6000 {
		t.Errorf("%+v (%v)", third, err)
	}
	if overcommitment(state.Kept{Agents: 1, AgentResources: "cpus:0.5"}) != "" || overcommitment(state.Kept{Agents: 9, AgentResources: "cpus:1000"}) == "" {
		t.Error("over-commitment is misjudged")
	}
}
