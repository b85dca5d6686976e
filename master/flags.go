package master

import (
	"log/slog"
	"maps"
	"strconv"

	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/mesos/zookeeper"
)

// settled are the flags of Mesos's master that have one value here: there is nothing
// to choose, and this is what the master does. /flags and /state list them with those
// that can be chosen, since tools of Mesos look for them.
var settled = map[string]string{
	"allocator": "hierarchical", "allocator_agent_recovery_factor": "0.8", "allocator_recovery_timeout": "10mins",
	"authenticate_agents": "false", "authenticate_frameworks": "false", "authenticate_http_frameworks": "false",
	"authenticate_http_readonly": "false", "authenticate_http_readwrite": "false", "authentication_v0_timeout": "15secs",
	"authenticators": "crammd5", "authorizers": "local", "help": "false",
	"hostname_lookup": "true", "http_authenticators": "basic", "initialize_driver_logging": "true", "log_auto_initialize": "true",
	"logbufsecs": "0", "memory_profiling": "false", "offer_constraints_re2_max_mem": "4KB", "offer_constraints_re2_max_program_size": "100",
	"quiet": "false", "recovery_agent_removal_limit": "100%", "registry_store_timeout": "20secs", "registry_strict": "false",
	"require_agent_domain": "false", "version": "false", "webui_dir": "",
}

// ours are the flags that Mesos does not have; /tombolo/flags lists them.
var ours = map[string]bool{
	"etcd_listen": true, "etcd_endpoints": true, "etcd_ca_file": true, "etcd_cert_file": true, "etcd_key_file": true, "etcd_prefix": true,
	"etcd_session_timeout": true, "log-level": true, "log-format": true,
	"tls_cert_file": true, "tls_key_file": true, "tls_ca_file": true, "tls_require_client_cert": true, "tls_support_downgrade": true,
	"max_connections": true, "require_peer_address_ip_match": true,
}

// shownFlags is the configuration by the names of Mesos's flags, and by ours. given
// is what the command knows.
func shownFlags(c *Config, hostname string) (mesos, own map[string]string) {
	mesos, own = maps.Clone(settled), map[string]string{}
	for name, value := range map[string]string{
		"ip": c.IP, "port": strconv.Itoa(c.Port), "hostname": hostname, "registry": c.Registry,
		"allocation_interval": duration.Format(c.AllocationInterval), "agent_ping_timeout": duration.Format(c.AgentPingTimeout),
		"agent_reregister_timeout": duration.Format(c.AgentReregisterTimeout), "registry_gc_interval": duration.Format(c.RegistryGCInterval),
		"registry_max_agent_age": duration.Format(c.RegistryMaxAgentAge), "registry_max_agent_count": strconv.Itoa(c.RegistryMaxAgentCount),
		"registry_fetch_timeout":   duration.Format(registryTimeout),
		"zk_session_timeout":       duration.Format(c.ZKSessionTimeout),
		"max_agent_ping_timeouts":  strconv.Itoa(c.MaxAgentPingTimeouts),
		"max_completed_frameworks": strconv.Itoa(c.MaxCompletedFrameworks), "max_completed_tasks_per_framework": strconv.Itoa(c.MaxCompletedTasksPerFramework),
		"max_unreachable_tasks_per_framework":   strconv.Itoa(c.MaxUnreachableTasksPerFramework),
		"max_operator_event_stream_subscribers": strconv.Itoa(c.MaxSubscribers), "publish_per_framework_metrics": strconv.FormatBool(c.PerFrameworkMetrics),
		"root_submissions": strconv.FormatBool(c.RootSubmissions), "filter_gpu_resources": strconv.FormatBool(c.FilterGPUResources),
		"framework_sorter": c.Allocator.FrameworkSorter, "role_sorter": c.Allocator.RoleSorter,
		"min_allocatable_resources": c.MinAllocatable, "work_dir": c.WorkDir, "webui_dir": c.WebUIDir, "logging_level": glogLevel(c.LogLevel.Level()),
	} {
		mesos[name] = value
	}
	if c.LogDir != "" {
		mesos["log_dir"] = c.LogDir
	}
	if u, err := zookeeper.ParseURL(c.ZK); err == nil {
		mesos["zk"] = u.String() // without its password
	}
	for name, value := range c.Flags {
		if name == "zk" {
			continue
		}
		if ours[name] {
			own[name] = value
		} else {
			mesos[name] = value
		}
	}
	return mesos, own
}

// glogLevel is a level by the names that Mesos's flag has.
func glogLevel(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return "ERROR"
	case l >= slog.LevelWarn:
		return "WARNING"
	default:
		return "INFO"
	}
}
