package core

import (
	"fmt"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// validHealthCheck checks a health check (reference row TV-05).
func validHealthCheck(h *mesos.HealthCheck) error {
	if h == nil {
		return nil
	}
	if err := validHealthCheckType(h); err != nil {
		return err
	}
	return nonNegative(
		field{"delay_seconds", h.GetDelaySeconds()}, field{"grace_period_seconds", h.GetGracePeriodSeconds()},
		field{"interval_seconds", h.GetIntervalSeconds()}, field{"timeout_seconds", h.GetTimeoutSeconds()},
	)
}

// validHealthCheckType checks what a health check of its type has to have.
func validHealthCheckType(h *mesos.HealthCheck) error {
	switch h.Type {
	case mesos.HealthCheck_COMMAND:
		if h.Command == nil {
			return fmt.Errorf("Expecting 'command' to be set for COMMAND health check")
		}
		return validCheckCommand(h.Command, "Health check", "Command health check")
	case mesos.HealthCheck_HTTP:
		switch {
		case h.HTTP == nil:
			return fmt.Errorf("Expecting 'http' to be set for HTTP health check")
		case h.HTTP.Scheme != nil && *h.HTTP.Scheme != "http" && *h.HTTP.Scheme != "https":
			return fmt.Errorf("Unsupported HTTP health check scheme: '%s'", *h.HTTP.Scheme)
		case h.HTTP.Path != nil && !strings.HasPrefix(*h.HTTP.Path, "/"):
			return fmt.Errorf("The path '%s' of HTTP health check must start with '/'", *h.HTTP.Path)
		}
	case mesos.HealthCheck_TCP:
		if h.TCP == nil {
			return fmt.Errorf("Expecting 'tcp' to be set for TCP health check")
		}
	case mesos.HealthCheck_UNKNOWN: // unset
		return fmt.Errorf("HealthCheck must specify 'type'")
	default:
		return fmt.Errorf("'UNKNOWN' is not a valid health check type")
	}
	return nil
}

// validCheck checks a check (reference row TV-05).
func validCheck(c *mesos.CheckInfo) error {
	if c == nil {
		return nil
	}
	switch c.Type {
	case mesos.CheckInfo_COMMAND:
		if c.Command == nil {
			return fmt.Errorf("Expecting 'command' to be set for COMMAND check")
		}
		if err := validCheckCommand(&c.Command.Command, "Check", "Command check"); err != nil {
			return err
		}
	case mesos.CheckInfo_HTTP:
		if c.HTTP == nil {
			return fmt.Errorf("Expecting 'http' to be set for HTTP check")
		}
		if c.HTTP.Path != nil && !strings.HasPrefix(*c.HTTP.Path, "/") {
			return fmt.Errorf("The path '%s' of HTTP check must start with '/'", *c.HTTP.Path)
		}
	case mesos.CheckInfo_TCP:
		if c.TCP == nil {
			return fmt.Errorf("Expecting 'tcp' to be set for TCP check")
		}
	case mesos.CheckInfo_UNKNOWN: // unset
		return fmt.Errorf("CheckInfo must specify 'type'")
	default:
		return fmt.Errorf("'UNKNOWN' is not a valid check type")
	}
	return nonNegative(
		field{"delay_seconds", c.GetDelaySeconds()}, field{"interval_seconds", c.GetIntervalSeconds()}, field{"timeout_seconds", c.GetTimeoutSeconds()},
	)
}

func validCheckCommand(c *mesos.CommandInfo, what, long string) error {
	if c.Value == nil {
		kind := "'executable path'"
		if c.GetShell() {
			kind = "'shell command'"
		}
		return fmt.Errorf("%s must contain %s", long, kind)
	}
	if err := validCommand(c); err != nil {
		return fmt.Errorf("%s's `CommandInfo` is invalid: %w", what, err)
	}
	return nil
}

// field is a named number of the wire.
type field struct {
	name  string
	value float64
}

func nonNegative(fields ...field) error {
	for _, f := range fields {
		if !(f.value >= 0) {
			return fmt.Errorf("Expecting '%s' to be non-negative", f.name)
		}
	}
	return nil
}
