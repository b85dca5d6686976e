package pod

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tombolo-project/tombolo/security/transport"
)

// Config is what the executor is told by its environment.
type Config struct {
	// Transport is how the agent is reached (LIBPROCESS_SSL_*).
	Transport transport.Config
	// Agent is "ip:port" of the agent (MESOS_AGENT_ENDPOINT).
	Agent                            string
	FrameworkID, ExecutorID, AgentID string
	// Token authenticates the executor at its agent, if the agent asks for it (MESOS_EXECUTOR_AUTHENTICATION_TOKEN).
	Token string
	// Sandbox is the executor's directory; logs and emptyDirs lie below it (MESOS_SANDBOX).
	Sandbox string
	// RuntimeDir gets what must not lie in the sandbox, which the agent's files API shows: contents of secrets. Private.
	RuntimeDir string
	// CRI is the container runtime's socket (CONTAINER_RUNTIME_ENDPOINT).
	CRI string
	// IP is the address of the agent, on which this API is served and which pods see as the host's.
	IP string
	// Cgroup is the Mesos container that pods stay in.
	Cgroup string
	// Checkpoint says that the framework wants its tasks to survive restarts of the agent.
	Checkpoint bool
	// RecoveryTimeout is how long an agent may be away before all pods are stopped.
	RecoveryTimeout time.Duration
	// SubscriptionBackoff is the longest pause between two tries to subscribe.
	SubscriptionBackoff time.Duration
	// ShutdownGrace is the time that the agent leaves us after SHUTDOWN.
	ShutdownGrace time.Duration
	// BundleTimeout is how long a launched pod waits for the bridge's RunPod.
	BundleTimeout time.Duration
}

// Limits and defaults.
const (
	defaultBundleTimeout = 5 * time.Minute
	maxPods              = 1000 // that run or wait, per executor
	maxKept              = 200  // terminal ones whose logs are kept
)

// ConfigFromEnvironment reads the variables that an agent sets for executors (reference section 4.3), and
// CONTAINER_RUNTIME_ENDPOINT and TOMBOLO_POD_RUNTIME_DIR, which an operator sets by the agent's
// --executor_environment_variables. It reports everything that is wrong at once.
func ConfigFromEnvironment(getenv func(string) string) (Config, error) {
	c := Config{
		Agent:               getenv("MESOS_AGENT_ENDPOINT"),
		FrameworkID:         getenv("MESOS_FRAMEWORK_ID"),
		ExecutorID:          getenv("MESOS_EXECUTOR_ID"),
		AgentID:             getenv("MESOS_SLAVE_ID"),
		Token:               getenv("MESOS_EXECUTOR_AUTHENTICATION_TOKEN"),
		Sandbox:             getenv("MESOS_SANDBOX"),
		RuntimeDir:          getenv("TOMBOLO_POD_RUNTIME_DIR"),
		CRI:                 getenv("CONTAINER_RUNTIME_ENDPOINT"),
		IP:                  getenv("LIBPROCESS_IP"),
		Checkpoint:          getenv("MESOS_CHECKPOINT") == "1",
		RecoveryTimeout:     15 * time.Minute,
		SubscriptionBackoff: 2 * time.Second,
		ShutdownGrace:       5 * time.Second,
		BundleTimeout:       defaultBundleTimeout,
	}
	if c.Sandbox == "" {
		c.Sandbox = getenv("MESOS_DIRECTORY")
	}
	if c.RuntimeDir == "" {
		// Beside the runtime's socket: such a directory lives as long as the runtime's own state.
		c.RuntimeDir = filepath.Join(filepath.Dir(strings.TrimPrefix(c.CRI, "unix://")), "tombolo-pods")
	}
	host, _, err := net.SplitHostPort(c.Agent)
	if c.IP == "" || net.ParseIP(c.IP) == nil || net.ParseIP(c.IP).IsUnspecified() {
		c.IP = host
	}
	var problems []error
	var tlsErr error
	if c.Transport, tlsErr = transport.ForExecutor(getenv); tlsErr != nil {
		problems = append(problems, tlsErr)
	}
	if err != nil {
		problems = append(problems, fmt.Errorf("MESOS_AGENT_ENDPOINT=%q is not ip:port", c.Agent))
	}
	for _, required := range []struct{ name, value string }{
		{"MESOS_FRAMEWORK_ID", c.FrameworkID}, {"MESOS_EXECUTOR_ID", c.ExecutorID}, {"MESOS_SANDBOX", c.Sandbox},
	} {
		if required.value == "" {
			problems = append(problems, fmt.Errorf("%s is not set: this command is started by a Mesos agent", required.name))
		}
	}
	if c.CRI == "" {
		problems = append(problems, errors.New("CONTAINER_RUNTIME_ENDPOINT is not set: start the agent with "+
			`--executor_environment_variables='{"CONTAINER_RUNTIME_ENDPOINT":"unix:///run/containerd/containerd.sock"}'`))
	}
	for _, d := range []struct {
		name   string
		target *time.Duration
	}{
		{"MESOS_RECOVERY_TIMEOUT", &c.RecoveryTimeout},
		{"MESOS_SUBSCRIPTION_BACKOFF_MAX", &c.SubscriptionBackoff},
		{"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", &c.ShutdownGrace},
	} {
		if text := getenv(d.name); text != "" {
			if *d.target, err = parseDuration(text); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", d.name, err))
			}
		}
	}
	if len(problems) == 0 {
		c.Cgroup, err = OwnCgroup()
		if err != nil {
			problems = append(problems, err)
		}
	}
	return c, errors.Join(problems...)
}

// units of Mesos's durations.
var units = map[string]time.Duration{
	"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "secs": time.Second,
	"mins": time.Minute, "hrs": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// parseDuration reads a duration as Mesos writes it, e.g. "15mins".
func parseDuration(text string) (time.Duration, error) {
	i := strings.LastIndexAny(text, "0123456789.") + 1
	number, err := strconv.ParseFloat(text[:i], 64)
	unit, ok := units[text[i:]]
	if err != nil || !ok {
		return 0, fmt.Errorf("duration %q is not a number with ns, us, ms, secs, mins, hrs, days or weeks", text)
	}
	return time.Duration(number * float64(unit)), nil
}

// owner names the one executor that a sandbox belongs to.
func (c Config) owner() string { return c.AgentID + "/" + c.FrameworkID + "/" + c.ExecutorID }

// run is the id of this run of the executor: its Mesos container, after which the agent names the sandbox.
func (c Config) run() string { return filepath.Base(c.Sandbox) }

// podDirs are where a task's things lie: private contents, emptyDirs, logs.
func (c Config) podDirs(taskID string) (private, data, logs string) {
	name := filepath.Base(taskID) // task ids have no slashes (reference row TV-01)
	base := filepath.Join(c.Sandbox, "pods", name)
	return filepath.Join(c.RuntimeDir, c.run(), name), filepath.Join(base, "data"), filepath.Join(base, "logs")
}
