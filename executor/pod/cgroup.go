package pod

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
)

// OwnCgroup is the cgroup that this process runs in, which is the Mesos container that its pods must stay in.
func OwnCgroup() (string, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("read this process's cgroup: %w", err)
	}
	return parseCgroup(string(text))
}

// parseCgroup finds the one path that all controllers with limits agree on. On the unified hierarchy it is the parent of
// the leaf that holds the processes, since only leaves may hold any.
func parseCgroup(text string) (string, error) {
	found := map[string]string{}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(fields) != 3 {
			continue
		}
		for controller := range strings.SplitSeq(fields[1], ",") {
			found[controller] = fields[2]
		}
	}
	cpu, hasCPU := found["cpu"]
	memory, hasMemory := found["memory"]
	switch {
	case hasCPU && hasMemory && cpu == memory:
		return cpu, nil
	case hasCPU && hasMemory:
		return "", fmt.Errorf("this process is in cgroup %s for cpu and %s for memory: pods need one cgroup in all hierarchies, as an agent makes it", cpu, memory)
	}
	unified, ok := found[""]
	if !ok {
		return "", errors.New("this process is in no cgroup with cpu and memory control")
	}
	if path.Base(unified) == "leaf" {
		return path.Dir(unified), nil
	}
	return unified, nil
}

// unifiedRoot is where the unified hierarchy is mounted when it is the only one.
const unifiedRoot = "/sys/fs/cgroup"

// makeRoom makes the executor's cgroup one that may have children with limits. On the unified hierarchy only leaves may hold
// processes: what runs in the cgroup (this process and the agent's wrapper around it) moves to its child "leaf". The older
// hierarchies need nothing.
func makeRoom(cgroup string) error {
	if !cgroups.IsCgroup2UnifiedMode() {
		return nil
	}
	return moveToLeaf(path.Join(unifiedRoot, cgroup))
}

func moveToLeaf(dir string) error {
	leaf := path.Join(dir, "leaf")
	if err := os.MkdirAll(leaf, 0o755); err != nil { //nolint:gosec // cgroups are for everybody to see
		return fmt.Errorf("make cgroup %s: %w", leaf, err)
	}
	for range 10 { // a process may fork meanwhile
		pids, err := cgroups.GetPids(dir)
		if err != nil {
			return fmt.Errorf("list cgroup %s: %w", dir, err)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			err := os.WriteFile(path.Join(leaf, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0)
			if err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("move process %d to cgroup %s: %w", pid, leaf, err)
			}
		}
	}
	return fmt.Errorf("cgroup %s always has new processes", dir)
}

// unifiedSettings are what the kubelet sets for every container on the unified hierarchy: the kernel kills a container out of
// memory as a whole, and does not swap it out instead. Files that the kernel does not have are left out, so that there are
// none on the older hierarchies.
func unifiedSettings(dir string) map[string]string {
	settings := map[string]string{"memory.oom.group": "1", "memory.swap.max": "0"}
	for file := range settings {
		if _, err := os.Stat(path.Join(dir, file)); err != nil {
			delete(settings, file)
		}
	}
	return settings
}

// podCgroup is the cgroup of one pod: it weighs and caps the pod as a whole.
type podCgroup struct {
	path string
}

// create makes the cgroup in every hierarchy and sets the sums of what the containers ask for.
func (c podCgroup) create(pod *corev1.Pod) error {
	m, err := c.manager(sum(pod))
	if err != nil {
		return err
	}
	if err := m.Apply(-1); err != nil {
		return fmt.Errorf("make cgroup %s: %w", c.path, err)
	}
	if err := m.Set(sum(pod)); err != nil {
		return fmt.Errorf("limit cgroup %s: %w", c.path, err)
	}
	return nil
}

// remove removes the cgroup and what the container runtime left below it, in every hierarchy.
func (c podCgroup) remove() error {
	m, err := c.manager(&cgroups.Resources{})
	if err != nil {
		return err
	}
	if err := m.Destroy(); err != nil {
		return fmt.Errorf("remove cgroup %s: %w", c.path, err)
	}
	return nil
}

func (c podCgroup) manager(resources *cgroups.Resources) (cgroups.Manager, error) {
	m, err := manager.New(&cgroups.Cgroup{Path: c.path, Resources: resources})
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", c.path, err)
	}
	return m, nil
}

// sum is the pod's weight and limits: those of all its containers together (generous to init containers, which run before the
// others). A pod with a container that has no
// limit has none.
func sum(pod *corev1.Pod) *cgroups.Resources {
	var request, cpu, memory int64
	cpuCapped, memoryCapped := true, true
	add := func(c *corev1.Container) {
		cpuRequest := c.Resources.Requests[corev1.ResourceCPU]
		cpuLimit, memoryLimit := c.Resources.Limits[corev1.ResourceCPU], c.Resources.Limits[corev1.ResourceMemory]
		request += cpuRequest.MilliValue()
		cpu += cpuLimit.MilliValue()
		memory += memoryLimit.Value()
		cpuCapped = cpuCapped && !cpuLimit.IsZero()
		memoryCapped = memoryCapped && !memoryLimit.IsZero()
	}
	for i := range pod.Spec.Containers {
		add(&pod.Spec.Containers[i])
	}
	for i := range pod.Spec.InitContainers {
		add(&pod.Spec.InitContainers[i])
	}
	resources := &cgroups.Resources{CpuShares: uint64(criconfig.Shares(request)), SkipDevices: true} //nolint:gosec // positive
	resources.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(resources.CpuShares)
	if cpuCapped {
		resources.CpuPeriod, resources.CpuQuota = 100_000, criconfig.Quota(cpu)
	}
	if memoryCapped {
		resources.Memory = memory
	}
	return resources
}
