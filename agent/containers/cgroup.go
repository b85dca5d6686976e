package containers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/cgroups"
	"github.com/opencontainers/cgroups/manager"
)

// isolation is the kernel side of one container: placement, limits, usage, death.
type isolation interface {
	// place moves the process in, and applies the limits.
	place(pid int, r Resources) error
	// update changes the limits of a running container.
	update(r Resources) error
	// usage fills in what the kernel counted.
	usage(u *Usage) error
	// oom tells how often the kernel killed a process of the container itself for memory.
	oom() (kills uint64, detail OOM)
	// destroy kills everything inside and leaves nothing behind.
	destroy(ctx context.Context) error
}

// cgroup implements isolation on v1, hybrid and v2 hierarchies.
type cgroup struct {
	m    cgroups.Manager
	path string // inside each hierarchy, "/mesos/<container id>"
	cfs  bool   // also cap CPU at the guaranteed share
	pids int64
}

// newCgroup names the container's cgroup; nothing is created yet.
func newCgroup(root, id string, cfs bool, pids int64) (*cgroup, error) {
	path := filepath.Join("/", root, id)
	m, err := manager.New(&cgroups.Cgroup{Path: path, Resources: &cgroups.Resources{}})
	if err != nil {
		return nil, fmt.Errorf("cgroup %s: %w", path, err)
	}
	return &cgroup{m: m, path: path, cfs: cfs, pids: pids}, nil
}

// Probe tells why cgroups can't be used on this machine by this process, nil when they can.
func Probe(root string) error {
	if os.Geteuid() != 0 {
		return errors.New("cgroups need root")
	}
	if cgroups.IsCgroup2UnifiedMode() {
		if err := checkRoom(unifiedMount, root); err != nil {
			return err
		}
	}
	c, err := newCgroup(root, fmt.Sprintf("probe-%d", os.Getpid()), false, 0)
	if err != nil {
		return err
	}
	if err := c.m.Apply(-1); err != nil {
		return err
	}
	defer func() { _ = c.m.Destroy() }()
	if err := c.m.Set(c.settings(Resources{CPUs: 0.1, Mem: minMemory, MemLimit: minMemory})); err != nil {
		return err
	}
	// Without a memory limit that really holds there is no isolation to speak of.
	if c.file("memory", "memory.limit_in_bytes", "memory.max") == "" {
		return errors.New("the memory controller is not available")
	}
	return nil
}

func (c *cgroup) place(pid int, r Resources) error {
	if err := c.m.Apply(pid); err != nil {
		return fmt.Errorf("place process %d in cgroup %s: %w", pid, c.path, err)
	}
	return c.set(c.settings(r))
}

// update never lowers the hard limit below what is used: the kernel would kill for it.
func (c *cgroup) update(r Resources) error {
	set := c.settings(r)
	if usage := c.number("memory", "memory.usage_in_bytes", "memory.current"); set.Memory > 0 && usage > set.Memory {
		set.Memory = 0
	}
	return c.set(set)
}

func (c *cgroup) set(r *cgroups.Resources) error {
	if err := c.m.Set(r); err != nil {
		return fmt.Errorf("limit cgroup %s: %w", c.path, err)
	}
	return nil
}

// settings translates our limits into the kernel's; reference section 4.8.
func (c *cgroup) settings(r Resources) *cgroups.Resources {
	set := &cgroups.Resources{CpuShares: max(minShares, uint64(r.CPUs*1024)), CpuPeriod: cpuPeriod, CpuQuota: -1, Memory: -1}
	set.CpuWeight = cgroups.ConvertCPUSharesToCgroupV2Value(set.CpuShares)
	limit := r.CPULimit
	if limit == 0 && c.cfs {
		limit = r.CPUs
	}
	if limit > 0 {
		set.CpuQuota = max(minCPUQuota, int64(limit*cpuPeriod))
	}
	if r.MemLimit > 0 {
		set.Memory = max(minMemory, r.MemLimit)
	}
	set.MemoryReservation = max(minMemory, r.Mem)
	if set.Memory > 0 {
		set.MemoryReservation = min(set.MemoryReservation, set.Memory)
	}
	if c.pids > 0 {
		set.PidsLimit = &c.pids
	}
	return set
}

func (c *cgroup) usage(u *Usage) error {
	s, err := c.m.GetStats()
	if err != nil {
		return fmt.Errorf("statistics of cgroup %s: %w", c.path, err)
	}
	u.Cgroups = true
	cpu := s.CpuStats
	u.CPUUser = float64(cpu.CpuUsage.UsageInUsermode) / 1e9
	u.CPUSystem = float64(cpu.CpuUsage.UsageInKernelmode) / 1e9
	u.Periods, u.Throttled = cpu.ThrottlingData.Periods, cpu.ThrottlingData.ThrottledPeriods
	u.ThrottledTime = float64(cpu.ThrottlingData.ThrottledTime) / 1e9
	mem := s.MemoryStats
	first := func(names ...string) uint64 {
		for _, n := range names {
			if v, ok := mem.Stats[n]; ok {
				return v
			}
		}
		return 0
	}
	u.MemTotal, u.MemSwap = mem.Usage.Usage, first("total_swap", "swap")
	u.MemRSS, u.MemCache = first("total_rss", "anon"), first("total_cache", "file")
	u.MemMappedFile = first("total_mapped_file", "file_mapped")
	if mem.Usage.Limit < 1<<62 {
		u.MemLimit = mem.Usage.Limit
	}
	pids, err := c.m.GetAllPids()
	if err == nil {
		u.Processes = uint32(len(pids))
		for _, pid := range pids {
			if st, err := readStat(pid); err == nil {
				u.Threads += uint32(st.threads)
			}
		}
	}
	return nil
}

func (c *cgroup) oom() (uint64, OOM) {
	kills := c.counter("memory", "oom_kill", "memory.oom_control", "memory.events.local")
	peak := c.number("memory", "memory.max_usage_in_bytes", "memory.peak")
	limit := c.number("memory", "memory.limit_in_bytes", "memory.max")
	if kills > 0 && peak == 0 {
		peak = limit // Linux before 5.19 keeps no peak on the unified hierarchy; to be killed it was reached
	}
	return kills, OOM{Limit: limit, Usage: peak}
}

// destroy kills until nobody is left, then removes the directories. The kill file of
// the unified hierarchy takes a whole subtree at once, forks included; where it is
// missing the freezer keeps processes from forking away from the signal.
func (c *cgroup) destroy(ctx context.Context) error {
	pause := time.Millisecond
	for {
		pids, err := c.m.GetAllPids()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("list cgroup %s: %w", c.path, err)
		}
		if len(pids) == 0 {
			if err = c.m.Destroy(); err == nil {
				return nil
			}
		} else {
			err = c.killAll()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("destroy cgroup %s: %d processes left (%v): %w", c.path, len(pids), err, ctx.Err())
		case <-time.After(pause):
		}
		pause = min(2*pause, 100*time.Millisecond)
	}
}

func (c *cgroup) killAll() error {
	unified := c.m.Path("")
	if unified != "" && os.WriteFile(filepath.Join(unified, "cgroup.kill"), []byte("1"), 0) == nil {
		if !c.populated() {
			return nil
		}
	}
	freeze := c.m.Freeze(cgroups.Frozen)
	pids, err := c.m.GetAllPids()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL) // gone already is as good
	}
	return errors.Join(freeze, err, c.m.Freeze(cgroups.Thawed))
}

// populated tells whether the classic hierarchies still list a process.
func (c *cgroup) populated() bool {
	pids, err := c.m.GetAllPids()
	return err == nil && len(pids) > 0
}

// file returns the text of the first of the named files that exists.
func (c *cgroup) file(controller string, names ...string) string {
	dir := c.m.Path(controller)
	for _, name := range names {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return strings.TrimSpace(string(text))
		}
	}
	return ""
}

// number reads a single value, 0 when there is none ("max" too).
func (c *cgroup) number(controller string, names ...string) int64 {
	n, _ := strconv.ParseInt(c.file(controller, names...), 10, 64)
	return n
}

// counter reads one "key value" line.
func (c *cgroup) counter(controller, key string, names ...string) uint64 {
	for line := range strings.Lines(c.file(controller, names...)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			n, _ := strconv.ParseUint(v, 10, 64)
			return n
		}
	}
	return 0
}
