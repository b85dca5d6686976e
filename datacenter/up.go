package datacenter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tombolo-project/tombolo/datacenter/cgroups"
	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/kubernetes"
	"github.com/tombolo-project/tombolo/datacenter/network"
	"github.com/tombolo-project/tombolo/datacenter/processes"
	"github.com/tombolo-project/tombolo/datacenter/runtime"
	"github.com/tombolo-project/tombolo/datacenter/state"
)

// Datacenter is one that is being started or is running. Stop ends it.
type Datacenter struct {
	config     Config
	kept       state.Kept
	plan       network.Plan
	tree       cgroups.Tree
	lock       *state.Lock
	super      *processes.Supervisor
	control    *kubernetes.ControlPlane // nil without one of ours
	kubeconfig string                   // the administrator's; "" without Kubernetes
	kubeletCA  string                   // authority of the API server's certificate towards kubelets; "" when unknown
	progress   *progress
}

// Up starts the datacenter of the directory, or takes over what still runs of it, and
// returns when everything in it is ready. After an error nothing is left running.
func Up(ctx context.Context, config Config) (*Datacenter, error) {
	if err := config.Check(ctx); err != nil {
		return nil, err
	}
	if err := config.Dir.Make(); err != nil {
		return nil, err
	}
	lock, err := config.Dir.Lock()
	if err != nil {
		if errors.Is(err, state.ErrRunning) {
			return nil, fmt.Errorf("%w: stop it with tombolo down --dir %s", err, processes.Quote(string(config.Dir)))
		}
		return nil, err
	}
	d := &Datacenter{config: config, lock: lock, progress: &progress{out: config.Out}}
	if err := d.start(ctx); err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted before everything was up")
		}
		d.progress.say("stopping what was started")
		return nil, errors.Join(err, d.Stop())
	}
	return d, nil
}

func (d *Datacenter) start(ctx context.Context) error {
	begin := time.Now()
	if err := d.settle(); err != nil {
		return err
	}
	d.progress.say("datacenter in %s: %d agent%s of %s", d.config.Dir, d.kept.Agents, plural(d.kept.Agents), d.kept.AgentResources)
	if note := overcommitment(d.kept); note != "" {
		d.progress.say("  %s", note)
	}
	if err := d.progress.step("network", d.startNetwork); err != nil {
		return err
	}
	if err := d.checkPorts(); err != nil {
		return err
	}
	group, together := errgroup.WithContext(ctx)
	group.Go(func() error { return d.startMesos(together) })
	if d.config.has(Kubernetes) {
		group.Go(func() error { return d.startRuntimes(together) })
		group.Go(func() error { return d.startControlPlane(together) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if err := d.startFrameworks(ctx); err != nil {
		return err
	}
	d.progress.say("everything is up after %.1f s", time.Since(begin).Seconds())
	return nil
}

// settle decides number and sizes once and keeps them.
func (d *Datacenter) settle() error {
	kept, err := d.config.Dir.Load()
	fresh := errors.Is(err, fs.ErrNotExist)
	if err != nil && !fresh {
		return err
	}
	if kept, err = d.config.keep(kept); err != nil {
		return err
	}
	if fresh {
		plan, err := network.Claim(network.Preferred(string(d.config.Dir)), kept.Agents)
		if err != nil {
			return err
		}
		kept.Number = plan.Number
	}
	d.kept = kept
	if d.plan, err = network.NewPlan(kept.Number, kept.Agents); err != nil {
		return err
	}
	if err := d.config.Dir.Save(kept); err != nil {
		if fresh { // or nobody would find the claim again
			err = errors.Join(err, d.plan.Remove())
		}
		return err
	}
	if d.tree, err = cgroups.Find(treeName(kept.Number)); err != nil {
		return err
	}
	d.super, err = processes.New(d.config.Dir.Run(), d.config.Dir.Logs(), d.config.Log)
	return err
}

// treeName is the cgroup below which everything of a datacenter runs.
func treeName(number int) string { return fmt.Sprintf("tombolo-%d", number) }

// runtimeDir holds what needs short paths and does not outlive a boot.
func runtimeDir(number int) string { return fmt.Sprintf("/run/tombolo-%d", number) }

func (d *Datacenter) startNetwork(detail *string) error {
	if err := d.plan.Ensure(); err != nil {
		return err
	}
	*detail = fmt.Sprintf("bridge %s %s, pods %s", d.plan.Bridge, d.plan.Subnet, d.plan.Pods)
	return d.forward()
}

// controlPlaneLimit is how long Kubernetes may take to be ready: ten seconds on an
// idle machine, minutes on one that is emulated or overloaded.
const controlPlaneLimit = 5 * time.Minute

const forwarding = "/proc/sys/net/ipv4/ip_forward"

// forward has the machine forward the agents' packets to the outside, and keeps what
// was set before for the time it is taken back.
func (d *Datacenter) forward() error {
	data, err := os.ReadFile(forwarding)
	if err != nil {
		return fmt.Errorf("packet forwarding: %w", err)
	}
	if before := strings.TrimSpace(string(data)); before != "1" {
		d.kept.Forwarding = before
		if err := d.config.Dir.Save(d.kept); err != nil {
			return err
		}
		if err := os.WriteFile(forwarding, []byte("1"), 0o644); err != nil {
			return fmt.Errorf("packet forwarding: %w", err)
		}
	}
	return nil
}

// startRuntimes starts the image registry and a containerd per agent.
func (d *Datacenter) startRuntimes(ctx context.Context) error {
	if err := d.progress.step("images", func(detail *string) error {
		*detail = "registry http://" + d.registry()
		return d.super.Start(ctx, d.registrySpec())
	}); err != nil {
		return err
	}
	return d.progress.step("containerd", func(detail *string) error {
		*detail = fmt.Sprintf("%d of them", len(d.plan.Agents))
		group, ctx := errgroup.WithContext(ctx)
		for _, a := range d.plan.Agents {
			r := d.runtime(a)
			group.Go(func() error {
				if err := r.Prepare(); err != nil {
					return err
				}
				return d.super.Start(ctx, r.Spec())
			})
		}
		return group.Wait()
	})
}

func (d *Datacenter) runtime(a network.Agent) runtime.Runtime {
	return runtime.Runtime{
		Agent:    a,
		Tools:    d.config.Tools,
		Root:     d.config.Dir.Path("agents", a.Name, "containerd"),
		State:    filepath.Join(runtimeDir(d.plan.Number), fmt.Sprint(a.Index)),
		Registry: d.registry(),
		Pause:    images.Pause,
		Cgroup:   d.cgroup(fmt.Sprintf("containerd-%d", a.Index)),
	}
}

// cgroup is where a part's process is born.
func (d *Datacenter) cgroup(part string) string { return d.tree.Path("parts", part) }

// startControlPlane starts Kubernetes, or makes sure that the one named is there.
func (d *Datacenter) startControlPlane(ctx context.Context) error {
	if d.config.Kubeconfig != "" {
		return d.useCluster(ctx)
	}
	d.kubeconfig = d.config.Dir.Kubeconfig()
	d.control = &kubernetes.ControlPlane{
		Dir: d.config.Dir.Path("kubernetes"), Address: d.plan.Gateway, Kubeconfig: d.kubeconfig,
		Hyperkube: filepath.Join(d.config.Tools, "hyperkube"), Cgroup: d.cgroup,
	}
	return d.progress.step("kubernetes", func(detail *string) error {
		*detail = d.control.Server()
		if err := d.control.Prepare(); err != nil {
			return err
		}
		for _, spec := range d.control.Specs() {
			if err := d.super.Start(ctx, spec); err != nil {
				return err
			}
		}
		d.kubeletCA = d.control.KubeletCA()
		if err := d.control.AwaitReady(ctx, controlPlaneLimit); err != nil {
			return err
		}
		return d.control.GrantRights(ctx)
	})
}

// useCluster uses a control plane that somebody else runs.
func (d *Datacenter) useCluster(ctx context.Context) error {
	d.kubeconfig = d.config.Kubeconfig
	return d.progress.step("kubernetes", func(detail *string) error {
		version, err := kubernetes.Reach(ctx, d.kubeconfig)
		if err != nil {
			return err
		}
		*detail = fmt.Sprintf("%s of %s", version, d.kubeconfig)
		file := d.config.Dir.Path("kubelet-client-ca.crt")
		found, err := kubernetes.ClientAuthority(ctx, d.kubeconfig, file)
		if found {
			d.kubeletCA = file
		}
		return err
	})
}

// Stop ends everything in order and takes away what the machine was given. What the
// parts keep stays, for the next Up.
func (d *Datacenter) Stop() error {
	if d.super != nil {
		d.super.Stop(func(name string) { d.config.Log.Debug("stopping", "part", name) })
	}
	var err error
	if d.config.Dir.Exists() {
		err = sweep(d.config.Dir)
	}
	return errors.Join(err, d.lock.Release())
}
