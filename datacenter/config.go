// Package datacenter starts a whole datacenter on one machine and takes it away again:
// what `tombolo up` and `tombolo down` do.
//
// Every part is a process of its own that can be killed and started again with the
// command in <dir>/run/<part>.cmd: master, agents (each in its own network namespace
// with its own containerd), a Kubernetes control plane, the bridge and the frameworks.
// The directory is enough to find everything again, so nothing depends on the process
// that started it. Start reading at Up; what each part is started with is in parts.go.
package datacenter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tombolo-project/tombolo/datacenter/kubernetes"
	"github.com/tombolo-project/tombolo/datacenter/network"
	"github.com/tombolo-project/tombolo/datacenter/state"
	"github.com/tombolo-project/tombolo/offers"
)

// Parts that can be left out.
const (
	Kubernetes = "kubernetes" // control plane, containerd and bridge
	Marathon   = "marathon"
	Batch      = "batch"
)

// Optional lists the parts that --without understands.
var Optional = []string{Kubernetes, Marathon, Batch}

// Config is what the user chose. The zero value of a field marked "kept" means what
// the directory was made with, or else the default.
type Config struct {
	Dir            state.Directory
	Agents         int    // kept; default 3
	AgentResources string // kept; default is worked out from the machine
	MasterPort     int    // kept; default 5050
	Without        []string
	Kubeconfig     string // use this cluster instead of starting a control plane
	Tools          string // directory that make tools fills
	Binary         string // tombolo itself
	Out            io.Writer
	Log            *slog.Logger
}

// Defaults for a datacenter that does not exist yet.
const (
	DefaultAgents     = 3
	DefaultMasterPort = 5050
)

func (c Config) has(part string) bool { return !slices.Contains(c.Without, part) }

// Check refuses what can't work, in one sentence each, before anything is touched.
func (c Config) Check(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return errors.New("tombolo up makes network namespaces and cgroups: run it as root")
	}
	for _, part := range c.Without {
		if !slices.Contains(Optional, part) {
			return fmt.Errorf("--without %q: only %s can be left out", part, strings.Join(Optional, ", "))
		}
	}
	if !filepath.IsAbs(string(c.Dir)) {
		return fmt.Errorf("--dir %q is not an absolute path", c.Dir)
	}
	if err := c.Dir.Free(); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	if c.Agents < 0 || c.Agents > network.MaxAgents {
		return fmt.Errorf("--agents %d: choose between 1 and %d", c.Agents, network.MaxAgents)
	}
	if c.MasterPort < 0 || c.MasterPort > 65535 {
		return fmt.Errorf("--master-port %d is not a port", c.MasterPort)
	}
	if c.AgentResources != "" {
		if _, err := offers.ParseText(c.AgentResources, "*"); err != nil {
			return fmt.Errorf("--agent-resources: %w", err)
		}
	}
	if err := c.checkKept(); err != nil {
		return err
	}
	if err := c.checkTools(); err != nil {
		return err
	}
	if c.Kubeconfig == "" {
		return nil
	}
	_, err := kubernetes.Reach(ctx, c.Kubeconfig)
	return err
}

// checkKept refuses what contradicts the choices that the directory was made with.
func (c Config) checkKept() error {
	if !c.Dir.Exists() {
		return nil
	}
	kept, err := c.Dir.Load()
	if err != nil {
		return err
	}
	_, err = c.keep(kept)
	return err
}

// tools that must be there, by what needs them.
func (c Config) checkTools() error {
	needed := []string{}
	if c.has(Kubernetes) {
		needed = append(needed, "containerd", "containerd-shim-runc-v2", "runc", "cni/bridge", "cni/host-local", "cni/loopback",
			"cni/portmap", "images/pause", "images/busybox", "images/web")
		if c.Kubeconfig == "" {
			needed = append(needed, "hyperkube")
		}
	}
	for _, name := range needed {
		if _, err := os.Stat(filepath.Join(c.Tools, name)); err != nil {
			return fmt.Errorf("%s is missing in %s: run make tools, or say with --tools-dir where it is", name, c.Tools)
		}
	}
	for _, path := range []string{c.beside("tombolo-executor"), c.beside("tombolo-pod-executor")} {
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return fmt.Errorf("%s is not there or can't be run: run make build", path)
		}
	}
	return nil
}

// beside is the path of another binary of ours.
func (c Config) beside(name string) string { return filepath.Join(c.launcherDir(), name) }

func (c Config) launcherDir() string { return filepath.Dir(c.Binary) }

// keep merges the choices with what the directory was made with.
func (c Config) keep(kept state.Kept) (state.Kept, error) {
	if c.Agents > 0 {
		kept.Agents = c.Agents
	}
	if c.MasterPort > 0 {
		kept.MasterPort = c.MasterPort
	}
	if kept.Agents == 0 {
		kept.Agents = DefaultAgents
	}
	if kept.MasterPort == 0 {
		kept.MasterPort = DefaultMasterPort
	}
	if c.AgentResources != "" && kept.AgentResources != "" && c.AgentResources != kept.AgentResources {
		return kept, fmt.Errorf("--agent-resources %q: the agents in %s were made with %q, and an agent's resources can't change: "+
			"leave the flag out, choose another --dir, or start anew after tombolo down --purge", c.AgentResources, c.Dir, kept.AgentResources)
	}
	if c.AgentResources != "" {
		kept.AgentResources = c.AgentResources
	}
	if kept.AgentResources == "" {
		resources, err := shareOf(string(c.Dir), kept.Agents)
		if err != nil {
			return kept, err
		}
		kept.AgentResources = resources
	}
	return kept, nil
}

// minimum that each agent offers of what can be over-committed: enough to see several
// kinds of work side by side on a small machine.
const (
	leastCPUs   = 4
	leastMemory = 2048 // MB
)

// shareOf works out what each agent offers: memory and disk are a true share of the
// machine (80 % and 50 % of it over all agents), CPUs are over-committed on a small one.
func shareOf(dir string, agents int) (string, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return "", fmt.Errorf("memory of this machine: %w", err)
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(dir, &disk); err != nil {
		return "", fmt.Errorf("disk of %s: %w", dir, err)
	}
	memory := int(info.Totalram * uint64(info.Unit) >> 20)
	free := int(disk.Bavail * uint64(disk.Bsize) >> 20)
	return fmt.Sprintf("cpus:%d;mem:%d;disk:%d;ports:[31000-32000]",
		max(leastCPUs, runtime.NumCPU()/agents), max(leastMemory, memory*8/10/agents), free/2/agents), nil
}

// overcommitment says by how much the agents offer more CPUs than there are; "" when
// they do not.
func overcommitment(kept state.Kept) string {
	resources, err := offers.ParseText(kept.AgentResources, "*")
	if err != nil {
		return ""
	}
	offered := int64(resources.Scalar("cpus")) / int64(offers.Unit) * int64(kept.Agents)
	have := int64(runtime.NumCPU())
	if offered <= have {
		return ""
	}
	return fmt.Sprintf("CPUs are over-committed on purpose: the agents offer %d, the machine has %d; --agent-resources changes it", offered, have)
}
