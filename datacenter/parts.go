package datacenter

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tombolo-project/tombolo/datacenter/images"
	"github.com/tombolo-project/tombolo/datacenter/network"
	"github.com/tombolo-project/tombolo/datacenter/processes"
)

// Ports on the gateway, and the agents' on their own addresses.
const (
	agentPort         = 5051
	marathonPort      = 8080
	batchPort         = 8090
	bridgeMetricsPort = 9090
)

// systemPath is what every part and task finds programs on.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// part is the Spec of one of our own subcommands.
func (d *Datacenter) part(name string, ready func(context.Context) error, args ...string) processes.Spec {
	return processes.Spec{
		Name: name, Path: d.config.Binary, Args: args, Dir: string(d.config.Dir), Cgroup: d.cgroup(name), Ready: ready,
		Env: []string{"PATH=" + systemPath},
	}
}

// on is an address of the gateway.
func (d *Datacenter) on(port int) string {
	return net.JoinHostPort(d.plan.Gateway.String(), strconv.Itoa(port))
}

func (d *Datacenter) registry() string    { return d.on(images.Port) }
func (d *Datacenter) master() string      { return d.on(d.kept.MasterPort) }
func (d *Datacenter) marathonURL() string { return "http://" + d.on(marathonPort) }
func (d *Datacenter) batchURL() string    { return "http://" + d.on(batchPort) }

func (d *Datacenter) registrySpec() processes.Spec {
	return d.part("images", answers("http://"+d.registry()+"/v2/library/busybox/manifests/latest"),
		"up", "serve-images", "--listen="+d.registry(), "--tools-dir="+d.config.Tools)
}

func (d *Datacenter) masterSpec() processes.Spec {
	return d.part("master", answers("http://"+d.master()+"/health"),
		"master", "--ip="+d.plan.Gateway.String(), "--port="+strconv.Itoa(d.kept.MasterPort), "--cluster=tombolo",
		"--work_dir="+d.config.Dir.Path("master"))
}

func (d *Datacenter) agentSpec(a network.Agent) (processes.Spec, error) {
	args := []string{
		"agent", "--master=" + d.master(), "--ip=" + a.Address.String(), "--port=" + strconv.Itoa(agentPort),
		"--hostname=" + a.Address.String(), // there is no name service; this is what others reach its tasks at
		"--work_dir=" + d.config.Dir.Path("agents", a.Name, "work"),
		"--runtime_dir=" + filepath.Join(runtimeDir(d.plan.Number), fmt.Sprint(a.Index), "mesos"),
		"--launcher_dir=" + d.config.launcherDir(),
		"--isolation=cgroups/cpu,cgroups/mem,cgroups/pids", // without them nothing would hold a task to what it asked for
		"--cgroups_root=" + filepath.Join(treeName(d.plan.Number), a.Name),
		"--resources=" + d.kept.AgentResources,
		"--executor_reregistration_timeout=15secs", // as much as Mesos allows: a loaded machine must not lose pods when an agent restarts
		fmt.Sprintf("--attributes=rack:r%d;zone:z%d", a.Index, a.Index),
	}
	if d.config.has(Kubernetes) {
		runtime := d.runtime(a)
		env, err := json.Marshal(map[string]string{
			"PATH":                       systemPath,
			"CONTAINER_RUNTIME_ENDPOINT": runtime.Endpoint(),
			"TOMBOLO_POD_RUNTIME_DIR":    filepath.Join(runtime.State, "pods"), // below what sweep unmounts
		})
		if err != nil {
			return processes.Spec{}, err
		}
		args = append(args, "--executor_environment_variables="+string(env))
	}
	ready := answers("http://" + net.JoinHostPort(a.Address.String(), strconv.Itoa(agentPort)) + "/health")
	spec := d.part(a.Name, ready, args...)
	spec.Namespace = a.NamespacePath()
	return spec, nil
}

func (d *Datacenter) bridgeSpec() processes.Spec {
	kubeconfig := d.kubeconfig
	if d.control != nil {
		kubeconfig = d.control.BridgeKubeconfig()
	}
	metrics := d.on(bridgeMetricsPort)
	args := []string{
		"bridge", "--master=" + d.master(), "--kubeconfig=" + kubeconfig, "--address=" + d.plan.Gateway.String(),
		"--executor-command=" + d.config.beside("tombolo-pod-executor"), "--metrics-address=" + metrics,
	}
	if d.kubeletCA != "" {
		args = append(args, "--client-ca-file="+d.kubeletCA)
	}
	return d.part("bridge", answers("http://"+metrics+"/healthz"), args...)
}

func (d *Datacenter) marathonSpec() processes.Spec {
	return d.part(Marathon, answers(d.marathonURL()+"/ping"), "marathon", "--master="+d.master(), "--ip="+d.plan.Gateway.String(),
		"--port="+strconv.Itoa(marathonPort), "--state=file://"+d.config.Dir.Path("marathon"))
}

func (d *Datacenter) batchSpec() processes.Spec {
	return d.part(Batch, answers(d.batchURL()+"/ping"), "batch", "--master="+d.master(), "--ip="+d.plan.Gateway.String(),
		"--port="+strconv.Itoa(batchPort), "--state=file://"+d.config.Dir.Path("batch"))
}

// startMesos starts the master, then the agents, and waits until all are registered.
func (d *Datacenter) startMesos(ctx context.Context) error {
	if err := d.makeDirectories(); err != nil {
		return err
	}
	if err := d.progress.step("master", func(detail *string) error {
		*detail = "http://" + d.master()
		return d.super.Start(ctx, d.masterSpec())
	}); err != nil {
		return err
	}
	return d.progress.step("agents", func(detail *string) error {
		*detail = d.plan.Agents[0].Address.String()
		if n := len(d.plan.Agents); n > 1 {
			*detail += " to " + d.plan.Agents[n-1].Address.String()
		}
		group, starting := errgroup.WithContext(ctx)
		for _, a := range d.plan.Agents {
			group.Go(func() error {
				spec, err := d.agentSpec(a)
				if err != nil {
					return err
				}
				return d.super.Start(starting, spec)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
		return d.awaitAgents(ctx, time.Minute)
	})
}

// makeDirectories makes what the parts expect to be there. Sandboxes must be reachable
// for tasks of other users; the rest is nobody's business.
func (d *Datacenter) makeDirectories() error {
	modes := map[string]os.FileMode{d.config.Dir.Path("master"): 0o700, d.config.Dir.Path("agents"): 0o711}
	for _, a := range d.plan.Agents {
		modes[d.config.Dir.Path("agents", a.Name, "work")] = 0o711
		modes[filepath.Join(runtimeDir(d.plan.Number), fmt.Sprint(a.Index), "mesos")] = 0o711
	}
	for dir, mode := range modes {
		if err := os.MkdirAll(dir, mode); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	return nil
}

// awaitAgents returns when the master counts as many active agents as there are.
func (d *Datacenter) awaitAgents(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		active, err := d.activeAgents(ctx)
		if err == nil && active >= len(d.plan.Agents) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d agents registered with the master after %s; see %s", active, len(d.plan.Agents), limit, d.config.Dir.Logs())
		case <-tick.C:
		}
	}
}

func (d *Datacenter) activeAgents(ctx context.Context) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.master()+"/slaves", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var body struct {
		Slaves []struct {
			Active bool `json:"active"`
		} `json:"slaves"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 64<<20)).Decode(&body); err != nil {
		return 0, fmt.Errorf("agents of the master: %w", err)
	}
	active := 0
	for _, s := range body.Slaves {
		if s.Active {
			active++
		}
	}
	return active, nil
}

// startFrameworks starts what needs master and Kubernetes.
func (d *Datacenter) startFrameworks(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	start := func(name, detail string, spec processes.Spec) {
		group.Go(func() error {
			return d.progress.step(name, func(text *string) error {
				*text = detail
				return d.super.Start(ctx, spec)
			})
		})
	}
	if d.config.has(Kubernetes) {
		start("bridge", "nodes, one per agent", d.bridgeSpec())
	}
	if d.config.has(Marathon) {
		start(Marathon, d.marathonURL(), d.marathonSpec())
	}
	if d.config.has(Batch) {
		start(Batch, d.batchURL(), d.batchSpec())
	}
	return group.Wait()
}

// answers asks a URL whether it answers with 200.
func answers(url string) func(context.Context) error {
	client := &http.Client{Timeout: 2 * time.Second}
	return func(ctx context.Context) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s answers %s", url, response.Status)
		}
		return nil
	}
}
