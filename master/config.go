package master

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/mesos/constraints"
	"github.com/tombolo-project/tombolo/mesos/zookeeper"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security"
)

// The registries of --registry.
const (
	InMemory     = "in_memory" // forgets all with the process
	EmbeddedEtcd = "etcd"      // in an etcd of our own below the work directory
)

// Config is how a master is to be. The names are those of Mesos's flags.
type Config struct {
	IP            string // to listen on
	Port          int    // 0 chooses a free one
	AdvertiseIP   string // that others reach us at; empty: IP
	AdvertisePort int    // 0: Port
	Hostname      string // shown to people; empty: the advertised IP
	Cluster       string // a name for people
	WorkDir       string
	LogDir        string // of the log that operators read as /master/log; empty: <WorkDir>/log, or none without WorkDir
	Registry      string // InMemory or EmbeddedEtcd
	// Etcd is one that others run, for --registry=etcd; without endpoints it is embedded.
	Etcd                            registry.External
	EtcdSessionTimeout              time.Duration // after which a silent leader is replaced
	ZK                              string        // zk://[user:password@]hosts/path where the leader is shown; empty for nowhere
	ZKSessionTimeout                time.Duration
	EtcdListen                      string // host:port for clients of the embedded etcd
	AllocationInterval              time.Duration
	OfferTimeout                    time.Duration // 0: offers never expire
	AgentPingTimeout                time.Duration
	MaxAgentPingTimeouts            int
	AgentReregisterTimeout          time.Duration
	Roles                           []string           // whitelist; empty: all
	Weights                         map[string]float64 // at first start; the registry's go before
	RootSubmissions                 bool
	FilterGPUResources              bool
	MinAllocatable                  string // "cpus:0.01|mem:32"
	Allocator                       Allocator
	MaxCompletedFrameworks          int
	MaxCompletedTasksPerFramework   int
	MaxUnreachableTasksPerFramework int
	RegistryGCInterval              time.Duration
	RegistryMaxAgentAge             time.Duration
	RegistryMaxAgentCount           int
	WebUIDir                        string // static files shown at /; empty: none
	MaxSubscribers                  int    // operators' event streams; the oldest goes when one more comes
	PerFrameworkMetrics             bool   // show metrics of each framework
	Security                        Security
	// LogLevel is the least level that the log given to Run passes on; operators may
	// lower it for a while (SET_LOGGING_LEVEL). Nil: only that of the log's file.
	LogLevel *slog.LevelVar
	// Flags are the flags that were given, as text, for /flags and /state. No secrets.
	Flags map[string]string
}

// Default returns Mesos's defaults (reference appendix B), but for the registry,
// which is an embedded etcd.
func Default() Config {
	return Config{
		IP: "127.0.0.1", Port: 5050, Registry: EmbeddedEtcd, EtcdListen: "127.0.0.1:0", EtcdSessionTimeout: 10 * time.Second, ZKSessionTimeout: zookeeper.DefaultTimeout,
		AllocationInterval: time.Second, AgentPingTimeout: 15 * time.Second, MaxAgentPingTimeouts: 5, AgentReregisterTimeout: 10 * time.Minute,
		RootSubmissions: true, FilterGPUResources: true, MinAllocatable: "cpus:0.01|mem:32",
		MaxCompletedFrameworks: 50, MaxCompletedTasksPerFramework: 1000, MaxUnreachableTasksPerFramework: 1000,
		RegistryGCInterval: 15 * time.Minute, RegistryMaxAgentAge: 14 * 24 * time.Hour, RegistryMaxAgentCount: 102400,
		Allocator:      Allocator{RoleSorter: "drf", FrameworkSorter: "drf"},
		MaxSubscribers: 1000, PerFrameworkMetrics: true, Security: defaultSecurity(),
		Flags: map[string]string{},
	}
}

// Validate says all that is wrong with the configuration, one sentence each. It
// makes the work directory if only its last element is missing.
func (c *Config) Validate() error {
	return errors.Join(c.validAddresses(), c.validWorkDir(), c.validTimes(), c.validRoles(), c.Allocator.valid())
}

func (c *Config) validAddresses() error {
	var errs []error
	if ip := net.ParseIP(c.IP); ip == nil || ip.To4() == nil {
		errs = append(errs, fmt.Errorf("--ip %q is no IPv4 address", c.IP))
	}
	if ip := net.ParseIP(c.AdvertiseIP); c.AdvertiseIP != "" && (ip == nil || ip.To4() == nil) {
		errs = append(errs, fmt.Errorf("--advertise_ip %q is no IPv4 address", c.AdvertiseIP))
	}
	if c.Port < 0 || c.Port > 65535 {
		errs = append(errs, fmt.Errorf("--port %d is not between 0 and 65535", c.Port))
	}
	if c.AdvertisePort < 0 || c.AdvertisePort > 65535 {
		errs = append(errs, fmt.Errorf("--advertise_port %d is not between 1 and 65535", c.AdvertisePort))
	}
	if c.ZK != "" {
		if _, err := zookeeper.ParseURL(c.ZK); err != nil {
			errs = append(errs, fmt.Errorf("--zk: %w", err))
		}
		if c.ZKSessionTimeout < time.Second {
			errs = append(errs, fmt.Errorf("--zk_session_timeout %s is less than 1secs", c.ZKSessionTimeout))
		}
	}
	if _, _, err := net.SplitHostPort(c.EtcdListen); err != nil {
		errs = append(errs, fmt.Errorf("--etcd_listen %q is not of the form host:port", c.EtcdListen))
	}
	return errors.Join(errs...)
}

// validWorkDir checks that the registry has a place to live.
func (c *Config) validWorkDir() error {
	switch c.Registry {
	case InMemory:
		return nil
	case EmbeddedEtcd:
		if len(c.Etcd.Endpoints) > 0 {
			return c.validEtcd()
		}
	case "replicated_log":
		return fmt.Errorf("--registry=replicated_log is not supported; use etcd (the default) or in_memory")
	default:
		return fmt.Errorf("--registry %q is neither %s nor %s", c.Registry, EmbeddedEtcd, InMemory)
	}
	if c.WorkDir == "" {
		return fmt.Errorf("--work_dir is missing; the registry needs a directory to live in (or use --registry=in_memory)")
	}
	if err := os.Mkdir(c.WorkDir, 0o700); err != nil && !os.IsExist(err) {
		if os.IsNotExist(err) {
			return fmt.Errorf("--work_dir %s cannot be made: its parent %s does not exist", c.WorkDir, filepath.Dir(c.WorkDir))
		}
		return fmt.Errorf("--work_dir %s cannot be made: %w", c.WorkDir, err)
	}
	stat, err := os.Stat(c.WorkDir)
	if err != nil {
		return fmt.Errorf("--work_dir %s: %w", c.WorkDir, err)
	}
	if !stat.IsDir() {
		return fmt.Errorf("--work_dir %s is no directory", c.WorkDir)
	}
	probe, err := os.CreateTemp(c.WorkDir, ".writable-*")
	if err != nil {
		return fmt.Errorf("--work_dir %s is not writable: %w", c.WorkDir, err)
	}
	return errors.Join(probe.Close(), os.Remove(probe.Name()))
}

// validEtcd checks what an external etcd needs; the work directory is not used then but for logs.
func (c *Config) validEtcd() error {
	if err := c.Etcd.Validate(); err != nil {
		return fmt.Errorf("--etcd_endpoints: %w", err)
	}
	if c.EtcdSessionTimeout < 2*time.Second {
		return fmt.Errorf("--etcd_session_timeout %s is less than 2secs", c.EtcdSessionTimeout)
	}
	return nil
}

func (c *Config) validTimes() error {
	var errs []error
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{
		{"allocation_interval", c.AllocationInterval}, {"agent_ping_timeout", c.AgentPingTimeout},
		{"agent_reregister_timeout", c.AgentReregisterTimeout}, {"registry_gc_interval", c.RegistryGCInterval},
		{"registry_max_agent_age", c.RegistryMaxAgentAge},
	} {
		if d.value <= 0 {
			errs = append(errs, fmt.Errorf("--%s %s is not above 0", d.flag, d.value))
		}
	}
	if c.OfferTimeout < 0 {
		errs = append(errs, fmt.Errorf("--offer_timeout %s is negative", c.OfferTimeout))
	}
	for _, n := range []struct {
		flag  string
		value int
		least int
	}{
		{"max_agent_ping_timeouts", c.MaxAgentPingTimeouts, 1}, {"max_completed_frameworks", c.MaxCompletedFrameworks, 0},
		{"max_completed_tasks_per_framework", c.MaxCompletedTasksPerFramework, 0},
		{"max_unreachable_tasks_per_framework", c.MaxUnreachableTasksPerFramework, 0}, {"registry_max_agent_count", c.RegistryMaxAgentCount, 0},
		{"max_operator_event_stream_subscribers", c.MaxSubscribers, 1},
	} {
		if n.value < n.least {
			errs = append(errs, fmt.Errorf("--%s %d is less than %d", n.flag, n.value, n.least))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) validRoles() error {
	var errs []error
	for _, r := range c.Roles {
		if err := core.ValidRole(r); err != nil {
			errs = append(errs, fmt.Errorf("--roles: %w", err))
		}
	}
	for r, w := range c.Weights {
		if err := core.ValidRole(r); err != nil {
			errs = append(errs, fmt.Errorf("--weights: %w", err))
		}
		if !(w > 0) {
			errs = append(errs, fmt.Errorf("--weights: the weight %g of role %q is not above 0", w, r))
		}
	}
	if _, err := offers.ParseMinAllocatable(c.MinAllocatable); err != nil {
		errs = append(errs, fmt.Errorf("--min_allocatable_resources: %w", err))
	}
	return errors.Join(errs...)
}

// core is what the core has to know of the configuration.
func (c *Config) core(info mesos.MasterInfo, acls *security.ACLs) core.Config {
	least, err := offers.ParseMinAllocatable(c.MinAllocatable)
	if err != nil { // Validate looked at it
		panic(err)
	}
	out := core.Config{
		ACLs: acls, AuthenticateAgents: c.Security.AuthenticateAgents, AuthenticateFrameworks: c.Security.AuthenticateFrameworks,
		Master: info, AllocationInterval: c.AllocationInterval, OfferTimeout: c.OfferTimeout,
		AgentPingTimeout: c.AgentPingTimeout, MaxAgentPingTimeouts: c.MaxAgentPingTimeouts, AgentReregisterTimeout: c.AgentReregisterTimeout,
		Roles: c.Roles, RootSubmissions: c.RootSubmissions, FilterGPUs: c.FilterGPUResources, MinAllocatable: least,
		MaxCompletedFrameworks: c.MaxCompletedFrameworks, MaxCompletedTasks: c.MaxCompletedTasksPerFramework,
		MaxUnreachableTasks: c.MaxUnreachableTasksPerFramework, RegistryMaxAge: c.RegistryMaxAgentAge,
		RegistryMaxCount: c.RegistryMaxAgentCount, RegistryGCInterval: c.RegistryGCInterval,
		ConstraintLimits: constraints.DefaultLimits,
	}
	c.Allocator.into(&out)
	return out
}
