package pod

import (
	"context"
	"fmt"
	"path"
	"sync"
	"time"

	"github.com/opencontainers/cgroups"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/volumes"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// statsKeeper remembers the last reading of each CPU counter, to say how much is used now.
type statsKeeper struct {
	mu   sync.Mutex
	last map[string]reading // by container id
}

type reading struct {
	at    time.Time
	total uint64 // nanoseconds of CPU
	nanos uint64 // rate between the last two readings
}

// minWindow is the least time over which a rate is worth something.
const minWindow = time.Second

func newStatsKeeper() *statsKeeper { return &statsKeeper{last: map[string]reading{}} }

// collect is the summary of the executor's pods, and of the cgroup above the executor's: all that the agent runs.
func (k *statsKeeper) collect(
	ctx context.Context, runtime *containerRuntime, cgroup string, pods map[string]podapi.TaskData, statuses map[string]*corev1.PodStatus,
) (stats.Summary, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	list, err := runtime.runtime.ListContainerStats(ctx, &cri.ListContainerStatsRequest{
		Filter: &cri.ContainerStatsFilter{LabelSelector: map[string]string{criconfig.LabelOwner: runtime.owner}},
	})
	if err != nil {
		return stats.Summary{}, fmt.Errorf("statistics of containers: %s", message(err))
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	byTask := map[string]*stats.PodStats{}
	for id, data := range pods {
		status := statuses[id]
		pod := &stats.PodStats{PodRef: stats.PodReference{Name: data.Name, Namespace: data.Namespace, UID: data.UID}}
		if status.StartTime != nil {
			pod.StartTime = *status.StartTime
		}
		byTask[id] = pod
	}
	seen := map[string]reading{}
	for _, c := range list.Stats {
		pod := byTask[c.Attributes.GetLabels()[criconfig.LabelTask]]
		name := c.Attributes.GetLabels()[criconfig.LabelContainer]
		if pod == nil || name == "" || c.Cpu == nil {
			continue
		}
		id := c.Attributes.Id
		status := containerStatus(statuses[c.Attributes.GetLabels()[criconfig.LabelTask]], name)
		if status == nil || status.State.Running == nil {
			continue
		}
		seen[id] = k.rate(id, time.Unix(0, c.Cpu.Timestamp), c.Cpu.GetUsageCoreNanoSeconds().GetValue())
		pod.Containers = append(pod.Containers, containerStats(name, status.State.Running.StartedAt, c, seen[id]))
	}
	var summary stats.Summary
	for _, pod := range byTask {
		addUp(pod)
		summary.Pods = append(summary.Pods, *pod)
	}
	summary.Node, err = k.node(path.Dir(cgroup), seen)
	k.last = seen
	return summary, err
}

// rate takes a reading of a counter and says how fast it grows.
func (k *statsKeeper) rate(id string, at time.Time, total uint64) reading {
	before, known := k.last[id]
	window := at.Sub(before.at)
	switch {
	case !known || total < before.total:
		return reading{at: at, total: total}
	case window < minWindow:
		return before
	default:
		return reading{at: at, total: total, nanos: uint64(float64(total-before.total) / window.Seconds())}
	}
}

func containerStats(name string, started v1.Time, c *cri.ContainerStats, cpu reading) stats.ContainerStats {
	out := stats.ContainerStats{
		Name: name, StartTime: started,
		CPU: &stats.CPUStats{
			Time: v1.NewTime(cpu.at), UsageCoreNanoSeconds: &cpu.total, UsageNanoCores: &cpu.nanos,
		},
	}
	if m := c.Memory; m != nil {
		out.Memory = &stats.MemoryStats{
			Time:            v1.NewTime(time.Unix(0, m.Timestamp)),
			WorkingSetBytes: number(m.WorkingSetBytes), UsageBytes: number(m.UsageBytes), AvailableBytes: number(m.AvailableBytes),
			RSSBytes: number(m.RssBytes), PageFaults: number(m.PageFaults), MajorPageFaults: number(m.MajorPageFaults),
		}
	}
	if w := c.WritableLayer; w != nil {
		out.Rootfs = &stats.FsStats{
			Time: v1.NewTime(time.Unix(0, w.Timestamp)), UsedBytes: number(w.UsedBytes), InodesUsed: number(w.InodesUsed),
		}
	}
	return out
}

func number(v *cri.UInt64Value) *uint64 {
	if v == nil {
		return nil
	}
	return &v.Value
}

// addUp is the pod's CPU and memory from its containers'.
func addUp(pod *stats.PodStats) {
	var total, nanos, working, usage uint64
	var at v1.Time
	for _, c := range pod.Containers {
		total += *c.CPU.UsageCoreNanoSeconds
		nanos += *c.CPU.UsageNanoCores
		at = c.CPU.Time
		if c.Memory != nil {
			working += value(c.Memory.WorkingSetBytes)
			usage += value(c.Memory.UsageBytes)
		}
	}
	if len(pod.Containers) == 0 {
		return
	}
	pod.CPU = &stats.CPUStats{Time: at, UsageCoreNanoSeconds: &total, UsageNanoCores: &nanos}
	pod.Memory = &stats.MemoryStats{Time: at, WorkingSetBytes: &working, UsageBytes: &usage}
}

func value(v *uint64) uint64 {
	if v == nil {
		return 0
	}
	return *v
}

// node is what everything under the agent's cgroup uses: pods, and all other tasks of Mesos.
func (k *statsKeeper) node(cgroup string, seen map[string]reading) (stats.NodeStats, error) {
	m, err := podCgroup{path: cgroup}.manager(&cgroups.Resources{})
	if err != nil {
		return stats.NodeStats{}, err
	}
	s, err := m.GetStats()
	if err != nil {
		return stats.NodeStats{}, fmt.Errorf("statistics of cgroup %s: %w", cgroup, err)
	}
	now := time.Now()
	cpu := k.rate(cgroup, now, s.CpuStats.CpuUsage.TotalUsage)
	seen[cgroup] = cpu
	usage := s.MemoryStats.Usage.Usage
	working := usage
	for _, name := range []string{"total_inactive_file", "inactive_file"} { // v1, v2
		if inactive, ok := s.MemoryStats.Stats[name]; ok {
			working = usage - min(inactive, usage)
			break
		}
	}
	return stats.NodeStats{
		CPU:    &stats.CPUStats{Time: v1.NewTime(cpu.at), UsageCoreNanoSeconds: &cpu.total, UsageNanoCores: &cpu.nanos},
		Memory: &stats.MemoryStats{Time: v1.NewTime(now), WorkingSetBytes: &working, UsageBytes: &usage},
	}, nil
}

// removeRemains removes directories and cgroup of a pod whose executor was lost.
func removeRemains(l leftover) error {
	if l.dir != "" && path.IsAbs(l.dir) {
		if err := volumes.Remove(l.dir); err != nil {
			return err
		}
	}
	if l.cgroup != "" && path.IsAbs(l.cgroup) {
		return podCgroup{path: l.cgroup}.remove()
	}
	return nil
}
