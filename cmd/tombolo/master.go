package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tombolo-project/tombolo/master"
	"github.com/tombolo-project/tombolo/mesos/duration"
)

// masterFlags are the flags of `tombolo master`, with Mesos's names.
type masterFlags struct {
	cfg            master.Config
	roles, weights string
	etcd           string

	etcdSession, zkSession, allocationInterval, offerTimeout, pingTimeout, reregisterTimeout, gcInterval, maxAgentAge, authenticationTimeout duration.Flag
	fairExcluded                                                                                                                             string
}

// masterCommand is `tombolo master`: the one who makes offers.
func masterCommand() *cobra.Command {
	d := master.Default()
	f := &masterFlags{
		cfg: d, etcdSession: duration.Flag(d.EtcdSessionTimeout), zkSession: duration.Flag(d.ZKSessionTimeout), allocationInterval: duration.Flag(d.AllocationInterval), pingTimeout: duration.Flag(d.AgentPingTimeout),
		reregisterTimeout: duration.Flag(d.AgentReregisterTimeout), gcInterval: duration.Flag(d.RegistryGCInterval), maxAgentAge: duration.Flag(d.RegistryMaxAgentAge),
		authenticationTimeout: duration.Flag(d.Security.AuthenticationTimeout),
	}
	cmd := &cobra.Command{
		Use:   "master",
		Short: "Offer the agents' resources to frameworks, fairly",
		Long: `A Mesos-compatible master: agents and frameworks that know Apache Mesos know this one.
Its registry lives in an embedded etcd below --work_dir, which other parts may use too:
<work_dir>/etcd.endpoint holds its address. Several masters share an etcd of yours,
--etcd_endpoints, and elect a leader in it; the others lead clients to it. Flags have Mesos's names and are read from
MESOS_<FLAG> too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := environment(cmd, "MESOS_"); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.Flags())
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *masterFlags) register(flags *pflag.FlagSet) {
	c := &f.cfg
	masterSecurityFlags(flags, &c.Security, &f.authenticationTimeout)
	flags.StringVar(&c.IP, "ip", c.IP, "address to listen on")
	flags.IntVar(&c.Port, "port", c.Port, "port to listen on, 0 for a free one")
	flags.StringVar(&c.AdvertiseIP, "advertise_ip", "", "address that others reach this master at (default: --ip)")
	flags.IntVar(&c.AdvertisePort, "advertise_port", 0, "port that others reach this master at (default: --port)")
	flags.StringVar(&c.Hostname, "hostname", "", "name shown to people and frameworks (default: the advertised address)")
	flags.StringVar(&c.Cluster, "cluster", "", "name of the datacenter, for people")
	flags.StringVar(&c.WorkDir, "work_dir", "", "directory of the registry (required unless --registry=in_memory)")
	flags.StringVar(&c.LogDir, "log_dir", "", "directory of the log that operators read as /master/log (default: log below --work_dir)")
	flags.StringVar(&c.Registry, "registry", c.Registry, "where the registry lives: etcd (embedded, below --work_dir) or in_memory")
	flags.StringVar(&f.etcd, "etcd_endpoints", "", "members of an etcd that several masters share, host1:2379,host2:2379 or URLs (default: embedded)")
	flags.StringVar(&c.Etcd.CAFile, "etcd_ca_file", "", "certificates of who may vouch for --etcd_endpoints; turns TLS on")
	flags.StringVar(&c.Etcd.CertFile, "etcd_cert_file", "", "this master's certificate for --etcd_endpoints")
	flags.StringVar(&c.Etcd.KeyFile, "etcd_key_file", "", "its key")
	flags.StringVar(&c.Etcd.Prefix, "etcd_prefix", "", "before all keys in --etcd_endpoints, when several datacenters share it")
	flags.StringVar(&c.ZK, "zk", "", "where the leader is shown to clients that look in ZooKeeper, zk://[user:password@]host:port,.../path (default: nowhere)")
	flags.Var(&f.zkSession, "zk_session_timeout", "after which ZooKeeper counts a silent leader as gone")
	flags.Var(&f.etcdSession, "etcd_session_timeout", "how long after its last sign of life a leader is replaced, at least 2secs")
	flags.StringVar(&c.EtcdListen, "etcd_listen", c.EtcdListen, "host:port at which the embedded etcd serves other parts, port 0 for a free one; it asks nobody for a password")
	flags.Var(&f.allocationInterval, "allocation_interval", "time between two rounds of offers over all agents")
	flags.Var(&f.offerTimeout, "offer_timeout", "when an offer nobody answers is rescinded, 0 for never")
	flags.Var(&f.pingTimeout, "agent_ping_timeout", "how long an agent may take to answer a ping")
	flags.IntVar(&c.MaxAgentPingTimeouts, "max_agent_ping_timeouts", c.MaxAgentPingTimeouts, "unanswered pings after which an agent is unreachable")
	flags.Var(&f.reregisterTimeout, "agent_reregister_timeout", "how long a disconnected agent may take to come back")
	flags.StringVar(&f.roles, "roles", "", "the only roles allowed, role1,role2 (default: any)")
	flags.StringVar(&f.weights, "weights", "", "weights of roles at the first start, role1=2,role2=0.5; later the API sets them")
	flags.BoolVar(&c.RootSubmissions, "root_submissions", c.RootSubmissions, "allow frameworks of user root")
	flags.BoolVar(&c.FilterGPUResources, "filter_gpu_resources", c.FilterGPUResources, "offer agents with GPUs only to frameworks that ask for GPUs")
	flags.StringVar(&c.MinAllocatable, "min_allocatable_resources", c.MinAllocatable, "least amounts that make an offer, alternatives separated by |")
	f.registerAllocator(flags)
	flags.IntVar(&c.MaxCompletedFrameworks, "max_completed_frameworks", c.MaxCompletedFrameworks, "removed frameworks remembered")
	flags.IntVar(&c.MaxCompletedTasksPerFramework, "max_completed_tasks_per_framework", c.MaxCompletedTasksPerFramework, "ended tasks remembered per framework")
	flags.IntVar(&c.MaxUnreachableTasksPerFramework, "max_unreachable_tasks_per_framework", c.MaxUnreachableTasksPerFramework, "unreachable tasks remembered per framework")
	flags.Var(&f.gcInterval, "registry_gc_interval", "time between two clearings of the registry")
	flags.Var(&f.maxAgentAge, "registry_max_agent_age", "how long unreachable and gone agents are remembered")
	flags.StringVar(&c.WebUIDir, "webui_dir", "", "directory of a web interface: its index.html is shown at /, its app and assets below (default: none)")
	flags.IntVar(&c.MaxSubscribers, "max_operator_event_stream_subscribers", c.MaxSubscribers, "operators' event streams; the oldest ends when there is one more")
	flags.BoolVar(&c.PerFrameworkMetrics, "publish_per_framework_metrics", c.PerFrameworkMetrics, "show metrics of each framework")
	flags.IntVar(&c.RegistryMaxAgentCount, "registry_max_agent_count", c.RegistryMaxAgentCount, "unreachable and gone agents remembered")
}

func (f *masterFlags) registerAllocator(flags *pflag.FlagSet) {
	a := &f.cfg.Allocator
	flags.StringVar(&a.RoleSorter, "role_sorter", a.RoleSorter, "which role is offered resources first: drf (who has the least for its weight) or random")
	flags.StringVar(&a.FrameworkSorter, "framework_sorter", a.FrameworkSorter, "which framework of a role: drf or random")
	flags.StringVar(&f.fairExcluded, "fair_sharing_excluded_resource_names", "", "resources that don't count toward fair shares, name1,name2")
	flags.StringVar(&a.Whitelist, "whitelist", "", "file with the hosts, one a line, whose agents are offered; read every 5 seconds (default: all)")
	flags.StringVar(&a.Domain, "domain", "", "where the master is, as JSON or a file: agents of other regions are offered only to frameworks that know regions")
}

func (f *masterFlags) run(ctx context.Context, flags *pflag.FlagSet) error {
	c := f.cfg
	c.AllocationInterval, c.OfferTimeout = time.Duration(f.allocationInterval), time.Duration(f.offerTimeout)
	c.AgentPingTimeout, c.AgentReregisterTimeout = time.Duration(f.pingTimeout), time.Duration(f.reregisterTimeout)
	c.RegistryGCInterval, c.RegistryMaxAgentAge = time.Duration(f.gcInterval), time.Duration(f.maxAgentAge)
	c.EtcdSessionTimeout, c.ZKSessionTimeout = time.Duration(f.etcdSession), time.Duration(f.zkSession)
	if f.etcd != "" {
		c.Etcd.Endpoints = strings.Split(f.etcd, ",")
	}
	if f.fairExcluded != "" {
		c.Allocator.FairExcluded = strings.Split(f.fairExcluded, ",")
	}
	if f.roles != "" {
		c.Roles = strings.Split(f.roles, ",")
	}
	var err error
	if c.Weights, err = parseWeights(f.weights); err != nil {
		return err
	}
	c.LogLevel = logLevel
	c.Security.AuthenticationTimeout = time.Duration(f.authenticationTimeout)
	if err := secure(&c.Security.Transport, &c.Security.RequirePeerIP, slog.Default()); err != nil {
		return err
	}
	flags.Visit(func(x *pflag.Flag) { c.Flags[x.Name] = x.Value.String() })
	return master.Run(ctx, c, slog.Default(), nil)
}

// parseWeights reads "role1=2,role2=0.5".
func parseWeights(text string) (map[string]float64, error) {
	weights := map[string]float64{}
	if text == "" {
		return weights, nil
	}
	for _, item := range strings.Split(text, ",") {
		role, number, ok := strings.Cut(item, "=")
		w, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil {
			return nil, fmt.Errorf("--weights: %q is not of the form role=number", item)
		}
		weights[role] = w
	}
	return weights, nil
}
