package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tombolo-project/tombolo/agent"
	"github.com/tombolo-project/tombolo/agent/api"
	"github.com/tombolo-project/tombolo/agent/containers"
	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
	"github.com/tombolo-project/tombolo/mesos/detect"
	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/security/transport"
)

// mesosVersion is what we claim to be; masters and tools read it (reference row 0.6).
const mesosVersion = "1.11.0"

// agentFlags are the flags of `tombolo agent`, with Mesos's names.
type agentFlags struct {
	master, ip, advertiseIP, advertisePort, hostname string
	port                                             int
	workDir, runtimeDir, launcherDir                 string
	resources, attributes, defaultRole, domain       string
	isolation, cgroupsRoot                           string
	cgroupsCFS                                       bool
	pidsMax                                          int64
	executorEnv                                      string
	recover                                          string
	strict, switchUser                               bool
	maxCompleted                                     int
	gcDelay, diskWatch                               duration.Flag
	gcHeadroom                                       float64
	security                                         agentSecurity

	registerTimeout, reregisterTimeout, shutdownGrace, backoff, recoveryTimeout, destroyTimeout duration.Flag
}

// agentCommand is `tombolo agent`: it runs executors on this machine for a master.
func agentCommand() *cobra.Command {
	f := &agentFlags{
		registerTimeout: duration.Flag(time.Minute), reregisterTimeout: duration.Flag(2 * time.Second), shutdownGrace: duration.Flag(5 * time.Second),
		backoff: duration.Flag(time.Second), recoveryTimeout: duration.Flag(15 * time.Minute), destroyTimeout: duration.Flag(time.Minute),
		gcDelay: duration.Flag(7 * 24 * time.Hour), diskWatch: duration.Flag(time.Minute),
	}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run executors and their tasks on this machine",
		Long: `Offers this machine to a Mesos-compatible master and runs what frameworks launch here,
under cgroup isolation. Tasks keep running while the agent is restarted. Flags have
Mesos's names and are read from MESOS_<FLAG> too.`,
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

func (f *agentFlags) register(flags *pflag.FlagSet) {
	f.security.register(flags)
	flags.StringVar(&f.master, "master", "", "the masters, HOST:PORT, HOST1:PORT,HOST2:PORT, zk://[USER:PASSWORD@]HOST:PORT/PATH or file:///PATH with one of these (required)")
	flags.StringVar(&f.ip, "ip", "", "address to listen on (default: the one that reaches the master)")
	flags.IntVar(&f.port, "port", 5051, "port to listen on")
	flags.StringVar(&f.advertiseIP, "advertise_ip", "", "address that others reach this agent at (default: --ip)")
	flags.StringVar(&f.advertisePort, "advertise_port", "", "port that others reach this agent at (default: --port)")
	flags.StringVar(&f.hostname, "hostname", "", "name shown to frameworks (default: the name of the address, or the address)")
	flags.StringVar(&f.workDir, "work_dir", "", "directory of sandboxes and checkpoints (required)")
	flags.StringVar(&f.runtimeDir, "runtime_dir", "/var/run/mesos", "directory of what need not survive a reboot")
	flags.StringVar(&f.launcherDir, "launcher_dir", "", "directory of tombolo-executor (default: that of this program)")
	flags.StringVar(&f.resources, "resources", "", "what to offer, cpus:4;mem:2048;ports:[31000-32000] or JSON (default: what this machine has)")
	flags.StringVar(&f.attributes, "attributes", "", "what frameworks may choose by, rack:a;zone:west")
	flags.StringVar(&f.defaultRole, "default_role", "*", "role that --resources without one are reserved for")
	flags.StringVar(&f.domain, "domain", "", "fault domain, as JSON")
	flags.StringVar(&f.isolation, "isolation", defaultIsolation, "cgroups/cpu,cgroups/mem,cgroups/pids or, without limits, posix/cpu,posix/mem")
	flags.StringVar(&f.cgroupsRoot, "cgroups_root", "mesos", "parent of the containers' cgroups")
	flags.BoolVar(&f.cgroupsCFS, "cgroups_enable_cfs", false, "cap CPU at what a task has, not only weigh it")
	flags.Int64Var(&f.pidsMax, "cgroups_pids_max", 32768, "processes and threads one container may have, 0 for no limit")
	flags.Var(&f.destroyTimeout, "cgroups_destroy_timeout", "how long to try to destroy a container")
	flags.StringVar(&f.executorEnv, "executor_environment_variables", "", "environment of executors and tasks, as a JSON object")
	flags.Var(&f.registerTimeout, "executor_registration_timeout", "how long an executor may take to subscribe, fetching included")
	flags.Var(&f.reregisterTimeout, "executor_reregistration_timeout", "how long executors may take to come back after a restart of the agent")
	flags.Var(&f.shutdownGrace, "executor_shutdown_grace_period", "time between asking an executor to end and killing it")
	flags.Var(&f.backoff, "registration_backoff_factor", "first back-off of attempts to register")
	flags.Var(&f.recoveryTimeout, "recovery_timeout", "how long executors live without their agent")
	flags.StringVar(&f.recover, "recover", "reconnect", "what to do with executors of the last run: reconnect or cleanup")
	flags.BoolVar(&f.strict, "strict", true, "refuse to start when a checkpoint can't be read")
	flags.BoolVar(&f.switchUser, "switch_user", true, "run tasks as their user")
	flags.Var(&f.gcDelay, "gc_delay", "how long sandboxes of ended executors stay on an empty disk")
	flags.Float64Var(&f.gcHeadroom, "gc_disk_headroom", 0.1, "share of the disk to keep free: sandboxes stay gc_delay * max(0, 1 - headroom - used)")
	flags.Var(&f.diskWatch, "disk_watch_interval", "how often to look for sandboxes to remove")
	flags.IntVar(&f.maxCompleted, "max_completed_executors_per_framework", 150, "ended executors remembered per framework")
}

const defaultIsolation = "cgroups/cpu,cgroups/mem,cgroups/pids"

func (f *agentFlags) run(ctx context.Context, flags *pflag.FlagSet) error {
	log := slog.Default()
	if f.master == "" {
		return errors.New("agent needs --master, HOST:PORT of the master, several of them separated by commas, or zk://HOST:PORT/PATH")
	}
	masters, err := detect.New(f.master, log)
	if err != nil {
		return fmt.Errorf("--master: %w", err)
	}
	if f.workDir == "" {
		return errors.New("agent needs --work_dir, a directory for sandboxes and checkpoints such as /var/lib/mesos")
	}
	for _, dir := range []*string{&f.workDir, &f.runtimeDir} {
		if *dir, err = filepath.Abs(*dir); err != nil {
			return err
		}
		if err := os.MkdirAll(*dir, 0o755); err != nil {
			return fmt.Errorf("agent can't use the directory %s: %w", *dir, err)
		}
	}
	guarded, credential, err := f.security.load(log)
	if err != nil {
		return err
	}
	plain, err := agent.Listen(ctx, net.JoinHostPort(f.ip, strconv.Itoa(f.port)))
	if err != nil {
		return fmt.Errorf("agent can't listen: %w (choose another --port or --ip)", err)
	}
	defer plain.Close()
	listener, err := f.security.transport.Listen(plain, log)
	if err != nil {
		return err
	}
	defer listener.Close()
	self, err := f.self(listener, masters)
	if err != nil {
		return err
	}
	cfg, err := f.config(ctx, self, masters, flags, log)
	if err != nil {
		return err
	}
	cfg.Dial, cfg.Credential = f.security.transport.Dial, credential
	cfg.Core.Authenticates, cfg.Core.Token = !credential.Secret.Empty(), f.security.token(guarded)
	cfg.Core.AuthenticationTimeout, cfg.Core.AuthenticationTimeoutMax = time.Duration(f.security.timeoutMin), time.Duration(f.security.timeoutMax)
	cfg.Core.AuthenticationBackoff = time.Duration(f.security.backoff)
	for name, value := range f.security.transport.Environment() {
		cfg.Core.ExecutorEnv[name] = value
	}
	a, err := agent.New(cfg)
	if err != nil {
		return err
	}
	server := api.Server{
		Agent: a, PID: self.String(), Version: mesosVersion, Build: version, Flags: flagValues(flags), Started: time.Now(), Log: log,
		Realms: guarded.Realms, ACLs: guarded.ACLs,
		Files: &sandbox.Files{WorkDir: f.workDir, Agent: func() string { return a.View().Info.ID.GetValue() }},
	}
	for _, c := range cfg.Core.Capabilities {
		server.Capabilities = append(server.Capabilities, c.Type.String())
	}
	handler := a.Handler(server.Handler())
	if f.security.requirePeerIP {
		handler = libprocess.RequirePeerIP(handler)
	}
	serving := transport.Server(handler, log)
	go func() { _ = serving.Serve(listener) }()
	defer serving.Close()
	log.Info("agent listens", "address", listener.Addr().String(), "pid", self.String(), "masters", masters.Peers(), "work_dir", f.workDir)
	return a.Run(ctx)
}

// self is the address that the master and executors will use.
func (f *agentFlags) self(l net.Listener, masters *detect.Detector) (libprocess.UPID, error) {
	u := libprocess.UPID{ID: "slave(1)", Host: cmp.Or(f.advertiseIP, f.ip), Port: l.Addr().(*net.TCPAddr).Port}
	if f.advertisePort != "" {
		port, err := strconv.Atoi(f.advertisePort)
		if err != nil || port < 1 || port > 65535 {
			return u, fmt.Errorf("--advertise_port %q is not a port", f.advertisePort)
		}
		u.Port = port
	}
	if u.Host == "" || net.ParseIP(u.Host).IsUnspecified() {
		conn, err := net.Dial("udp4", masters.Peers()[0]) // sends nothing: only asks for the route
		if err != nil {
			return u, fmt.Errorf("agent can't tell its own address: %w (set --ip)", err)
		}
		defer conn.Close()
		u.Host = conn.LocalAddr().(*net.UDPAddr).IP.String()
	}
	if ip := net.ParseIP(u.Host); ip == nil || ip.To4() == nil {
		return u, fmt.Errorf("the agent's address %q is not an IPv4 address (set --ip or --advertise_ip)", u.Host)
	}
	return u, nil
}

func (f *agentFlags) config(ctx context.Context, self libprocess.UPID, masters *detect.Detector, flags *pflag.FlagSet, log *slog.Logger) (agent.Config, error) {
	info, err := f.info(ctx, self)
	if err != nil {
		return agent.Config{}, err
	}
	executor, err := f.executor()
	if err != nil {
		return agent.Config{}, err
	}
	posix, err := f.posix(flags.Changed("isolation"), log)
	if err != nil {
		return agent.Config{}, err
	}
	env := map[string]string{}
	if f.executorEnv != "" {
		if err := json.Unmarshal([]byte(f.executorEnv), &env); err != nil {
			return agent.Config{}, fmt.Errorf(`--executor_environment_variables must be a JSON object of strings, such as {"PATH":"/bin"}: %w`, err)
		}
	}
	if f.recover != "reconnect" && f.recover != "cleanup" {
		return agent.Config{}, fmt.Errorf("--recover %q is neither reconnect nor cleanup", f.recover)
	}
	if f.gcHeadroom < 0 || f.gcHeadroom > 1 {
		return agent.Config{}, fmt.Errorf("--gc_disk_headroom %v is not between 0 and 1", f.gcHeadroom)
	}
	if f.diskWatch <= 0 {
		return agent.Config{}, errors.New("--disk_watch_interval must be longer than nothing, such as 1mins")
	}
	cfg := agent.Config{
		GC:   agent.GC{Delay: time.Duration(f.gcDelay), Headroom: f.gcHeadroom, Interval: time.Duration(f.diskWatch)},
		Self: self, Masters: masters, Strict: f.strict, Cleanup: f.recover == "cleanup", Log: log,
		Containers: containers.Config{
			Wrapper: executor, RuntimeDir: f.runtimeDir, CgroupsRoot: f.cgroupsRoot, EnableCFS: f.cgroupsCFS, PidsMax: f.pidsMax,
			DestroyTimeout: time.Duration(f.destroyTimeout), Posix: posix,
		},
		Core: core.Config{
			Info: info, PID: self.String(), Address: self.Host, Version: mesosVersion, Capabilities: agentCapabilities,
			WorkDir: f.workDir, CommandExecutor: executor, ExecutorEnv: env, SwitchUser: f.switchUser,
			BackoffFactor: time.Duration(f.backoff), RegisterTimeout: time.Duration(f.registerTimeout), ReregisterTimeout: time.Duration(f.reregisterTimeout),
			ShutdownGrace: time.Duration(f.shutdownGrace), RecoveryTimeout: time.Duration(f.recoveryTimeout), MaxCompletedExecutors: f.maxCompleted,
		},
	}
	_, err = rand.Read(cfg.Core.Seed[:])
	return cfg, err
}

// agentCapabilities are those that masters demand (reference appendix B) and no agent can do without.
var agentCapabilities = []mesos.AgentInfo_Capability{
	{Type: mesos.AgentInfo_Capability_MULTI_ROLE}, {Type: mesos.AgentInfo_Capability_HIERARCHICAL_ROLE},
	{Type: mesos.AgentInfo_Capability_RESERVATION_REFINEMENT}, {Type: mesos.AgentInfo_Capability_RESOURCE_PROVIDER},
	{Type: mesos.AgentInfo_Capability_RESIZE_VOLUME}, {Type: mesos.AgentInfo_Capability_AGENT_OPERATION_FEEDBACK},
	{Type: mesos.AgentInfo_Capability_AGENT_DRAINING}, {Type: mesos.AgentInfo_Capability_TASK_RESOURCE_LIMITS},
}

func (f *agentFlags) info(ctx context.Context, self libprocess.UPID) (mesos.AgentInfo, error) {
	port := int32(self.Port)
	info := mesos.AgentInfo{Hostname: f.hostname, Port: &port}
	var err error
	if info.Resources, err = agent.Resources(f.resources, f.defaultRole, f.workDir); err != nil {
		return info, fmt.Errorf("--resources: %w", err)
	}
	if info.Attributes, err = offers.ParseAttributes(f.attributes); err != nil {
		return info, fmt.Errorf("--attributes: %w", err)
	}
	if f.domain != "" {
		if err := json.Unmarshal([]byte(f.domain), &info.Domain); err != nil {
			return info, fmt.Errorf(`--domain must be JSON such as {"fault_domain":{"region":{"name":"a"},"zone":{"name":"b"}}}: %w`, err)
		}
	}
	if info.Hostname == "" {
		lookup, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		info.Hostname = self.Host
		if names, err := net.DefaultResolver.LookupAddr(lookup, self.Host); err == nil && len(names) > 0 {
			info.Hostname = strings.TrimSuffix(names[0], ".")
		}
	}
	return info, nil
}

// executor finds tombolo-executor.
func (f *agentFlags) executor() (string, error) {
	dir := f.launcherDir
	if dir == "" {
		own, err := os.Executable()
		if err != nil {
			return "", err
		}
		dir = filepath.Dir(own)
	}
	path, err := filepath.Abs(filepath.Join(dir, "tombolo-executor"))
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return "", fmt.Errorf("agent needs the program %s, which can't be run (set --launcher_dir)", path)
	}
	return path, nil
}

// posix tells whether to do without cgroups, which is only done quietly when it was asked for.
func (f *agentFlags) posix(explicit bool, log *slog.Logger) (bool, error) {
	known := []string{"cgroups/cpu", "cgroups/mem", "cgroups/pids", "cgroups/all", "posix/cpu", "posix/mem", "filesystem/posix"}
	wanted := false
	for _, name := range strings.Split(f.isolation, ",") {
		if !slices.Contains(known, name) {
			return false, fmt.Errorf("--isolation: isolator %q is not supported; %s are", name, strings.Join(known, ", "))
		}
		wanted = wanted || strings.HasPrefix(name, "cgroups/")
	}
	if !wanted {
		return true, nil
	}
	err := containers.Probe(f.cgroupsRoot)
	switch {
	case err == nil:
		return false, nil
	case explicit:
		return false, fmt.Errorf("--isolation=%s: cgroups can't be used here: %w", f.isolation, err)
	}
	log.Error("CGROUPS CAN'T BE USED: tasks run WITHOUT limits of cpu, memory and processes, and are killed by what /proc shows", "reason", err)
	return true, nil
}

// flagValues are all flags with their values, for /flags and /state.
func flagValues(flags *pflag.FlagSet) map[string]string {
	values := map[string]string{}
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "executor_environment_variables" && f.Value.String() != "" {
			values[f.Name] = "<set>" // may hold secrets
			return
		}
		values[f.Name] = f.Value.String()
	})
	return values
}
