// Package runtime configures a containerd of its own for every agent: private root,
// state and sockets, pods on the agent's own subnet, and images by plain name from the
// datacenter's registry first.
//
// Start reading at Runtime.
package runtime

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"text/template"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/datacenter/network"
	"github.com/tombolo-project/tombolo/datacenter/processes"
)

// Runtime is one agent's container runtime.
type Runtime struct {
	Agent    network.Agent
	Tools    string // directory of containerd, its shim, runc and cni/
	Root     string // lasting: images and snapshots
	State    string // short path under /run: sockets and mounts; unix socket paths are limited to 107 bytes
	Registry string // host:port asked for every image name before the name's own registry
	Pause    string // image of the sandboxes
	Cgroup   string // directory that containerd and the shims are born in
}

// Socket is the CRI endpoint's path.
func (r Runtime) Socket() string { return filepath.Join(r.State, "c.sock") }

// Endpoint is the CRI endpoint as kubelets and executors spell it.
func (r Runtime) Endpoint() string { return "unix://" + r.Socket() }

func (r Runtime) configDir() string { return filepath.Join(r.Root, "config") }

// Prepare writes the configuration.
func (r Runtime) Prepare() error {
	files := map[string]func() ([]byte, error){
		"containerd.toml":             r.containerdConfig,
		"cni/10-tombolo.conflist":     r.cniConfig,
		"certs.d/_default/hosts.toml": r.hostsConfig,
	}
	for name, content := range files {
		path := filepath.Join(r.configDir(), name)
		data, err := content()
		if err != nil {
			return fmt.Errorf("configuration of containerd for %s: %w", r.Agent.Name, err)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return fmt.Errorf("configuration of containerd for %s: %w", r.Agent.Name, err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			return fmt.Errorf("configuration of containerd for %s: %w", r.Agent.Name, err)
		}
	}
	if err := os.MkdirAll(r.State, 0o711); err != nil {
		return fmt.Errorf("state of containerd for %s: %w", r.Agent.Name, err)
	}
	return nil
}

// Spec is containerd as a supervised process in the agent's network namespace. The
// shims, and so the pods, outlive it.
func (r Runtime) Spec() processes.Spec {
	return processes.Spec{
		Name:      "containerd-" + fmt.Sprint(r.Agent.Index),
		Path:      filepath.Join(r.Tools, "containerd"),
		Args:      []string{"--config", filepath.Join(r.configDir(), "containerd.toml")},
		Env:       []string{"PATH=" + r.Tools + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Dir:       r.Root,
		Namespace: r.Agent.NamespacePath(),
		Cgroup:    r.Cgroup,
		Ready:     r.Ready,
	}
}

// Ready asks the runtime whether it and its network are ready.
func (r Runtime) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	conn, err := grpc.NewClient(r.Endpoint(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return fmt.Errorf("runtime of %s: %w", r.Agent.Name, err)
	}
	defer conn.Close()
	status, err := cri.NewRuntimeServiceClient(conn).Status(ctx, &cri.StatusRequest{})
	if err != nil {
		return fmt.Errorf("runtime of %s: %w", r.Agent.Name, err)
	}
	for _, c := range status.Status.Conditions {
		// containerd has further ones that are only advice.
		if (c.Type == cri.RuntimeReady || c.Type == cri.NetworkReady) && !c.Status {
			return fmt.Errorf("runtime of %s: %s is false: %s", r.Agent.Name, c.Type, c.Message)
		}
	}
	return nil
}

var containerdTemplate = template.Must(template.New("containerd.toml").Parse(`version = 4
root = {{printf "%q" .Root}}
state = {{printf "%q" .StateDir}}
disabled_plugins = [{{range .Disabled}}{{printf "%q" .}}, {{end}}]
imports = []

[plugins.'io.containerd.server.v1.grpc']
  address = {{printf "%q" .Socket}}

[plugins.'io.containerd.server.v1.ttrpc']
  address = {{printf "%q" .TTRPC}}

[plugins.'io.containerd.shim.v1.manager']
  socket_dir = {{printf "%q" .Shims}}

[plugins.'io.containerd.internal.v1.opt']
  path = {{printf "%q" .Opt}}

[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = {{printf "%q" .Pause}}

[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = {{printf "%q" .Certs}}

[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = {{.NoAppArmor}}
  restrict_oom_score_adj = {{.RestrictOOM}}
  netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
  runtime_path = {{printf "%q" .Shim}}

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = {{printf "%q" .Runc}}
  Root = {{printf "%q" .RuncRoot}}
  SystemdCgroup = false

[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = [{{printf "%q" .CNIBin}}]
  conf_dir = {{printf "%q" .CNIConf}}
`))

// disabled are the plugins of containerd that nothing here uses.
var disabled = []string{
	"io.containerd.nri.v1.nri",
	"io.containerd.snapshotter.v1.blockfile",
	"io.containerd.snapshotter.v1.btrfs",
	"io.containerd.snapshotter.v1.devmapper",
	"io.containerd.snapshotter.v1.erofs",
	"io.containerd.snapshotter.v1.zfs",
	"io.containerd.tracing.processor.v1.otlp",
	"io.containerd.internal.v1.tracing",
}

func (r Runtime) containerdConfig() ([]byte, error) {
	config := map[string]any{
		"Root": filepath.Join(r.Root, "root"), "StateDir": filepath.Join(r.State, "state"),
		"Socket": r.Socket(), "TTRPC": filepath.Join(r.State, "t.sock"), "Shims": filepath.Join(r.State, "s"),
		"Disabled": disabled, "Pause": r.Pause, "Opt": filepath.Join(r.Root, "opt"), "Certs": filepath.Join(r.configDir(), "certs.d"),
		"NoAppArmor": !exists("/sys/kernel/security/apparmor"), "RestrictOOM": !mayLowerOOMScore(),
		"Shim": filepath.Join(r.Tools, "containerd-shim-runc-v2"), "Runc": filepath.Join(r.Tools, "runc"),
		"RuncRoot": filepath.Join(r.State, "runc"), "CNIBin": filepath.Join(r.Tools, "cni"),
		"CNIConf": filepath.Join(r.configDir(), "cni"),
	}
	var out bytes.Buffer
	err := containerdTemplate.Execute(&out, config)
	return out.Bytes(), err
}

func (r Runtime) cniConfig() ([]byte, error) {
	return json.MarshalIndent(map[string]any{
		"cniVersion": "1.0.0",
		"name":       "tombolo",
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "pods0", "isGateway": true, "hairpinMode": true,
				"ipam": map[string]any{
					"type": "host-local", "dataDir": filepath.Join(r.State, "ipam"),
					"ranges": [][]map[string]any{{{"subnet": r.Agent.Pods.String()}}},
					"routes": []map[string]any{{"dst": "0.0.0.0/0"}},
				},
			},
			map[string]any{"type": "portmap", "backend": "nftables", "snat": true,
				"capabilities": map[string]any{"portMappings": true}},
		},
	}, "", "  ")
}

func (r Runtime) hostsConfig() ([]byte, error) {
	return fmt.Appendf(nil, "[host.%q]\n  capabilities = [\"pull\", \"resolve\"]\n", "http://"+r.Registry), nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
