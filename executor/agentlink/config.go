// Package agentlink is how our executors find their agent and keep subscribed to it: the
// environment (Config) and the v1 executor API's stream (Link). Start reading at Link.Run.
package agentlink

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/tombolo-project/tombolo/mesos/duration"
	"github.com/tombolo-project/tombolo/security/transport"
)

// Config is what the agent's environment tells the executor; reference section 4.3.
type Config struct {
	Endpoint        string // http://ip:port/slave(1)/api/v1/executor
	Framework       string
	Executor        string
	Sandbox         string
	Checkpoint      bool
	RecoveryTimeout time.Duration // how long to wait for a restarted agent
	BackoffMax      time.Duration // between attempts to subscribe
	ShutdownGrace   time.Duration
	Token           string          // that the executor proves itself by; empty: it is not asked for
	Transport       *http.Transport // to the agent; nil: a plain one
	Log             *slog.Logger
}

const tokenVariable = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN"

// FromEnvironment reads a Config.
func FromEnvironment(log *slog.Logger) (Config, error) {
	c := Config{
		Framework: os.Getenv("MESOS_FRAMEWORK_ID"), Executor: os.Getenv("MESOS_EXECUTOR_ID"), Sandbox: os.Getenv("MESOS_SANDBOX"),
		Checkpoint: os.Getenv("MESOS_CHECKPOINT") == "1", BackoffMax: 2 * time.Second, ShutdownGrace: 5 * time.Second,
		RecoveryTimeout: 15 * time.Minute, Log: log,
	}
	endpoint := os.Getenv("MESOS_AGENT_ENDPOINT")
	for name, value := range map[string]string{
		"MESOS_AGENT_ENDPOINT": endpoint, "MESOS_FRAMEWORK_ID": c.Framework, "MESOS_EXECUTOR_ID": c.Executor, "MESOS_SANDBOX": c.Sandbox,
	} {
		if value == "" {
			return c, fmt.Errorf("%s is not in the environment: this program is started by a Mesos agent", name)
		}
	}
	tls, err := transport.ForExecutor(os.Getenv)
	if err != nil {
		return c, err
	}
	c.Transport, c.Token = tls.HTTP(), os.Getenv(tokenVariable)
	if err := os.Unsetenv(tokenVariable); err != nil { // the task must not act as its executor
		return c, err
	}
	c.Endpoint = (&url.URL{Scheme: tls.Scheme(), Host: endpoint, Path: "/slave(1)/api/v1/executor"}).String()
	for name, into := range map[string]*time.Duration{
		"MESOS_RECOVERY_TIMEOUT": &c.RecoveryTimeout, "MESOS_SUBSCRIPTION_BACKOFF_MAX": &c.BackoffMax,
		"MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD": &c.ShutdownGrace,
	} {
		if text := os.Getenv(name); text != "" {
			d, err := duration.Parse(text)
			if err != nil {
				return c, fmt.Errorf("%s: %w", name, err)
			}
			*into = d
		}
	}
	return c, nil
}
