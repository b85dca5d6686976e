// Package checks watches a task by its health check and its check, as Mesos's executors do
// (reference section 4.4). How a COMMAND is run is the executor's business. Start reading at Start.
package checks

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// Result is one look at the task. Either Health or Check is set.
type Result struct {
	Health *Health
	Check  *mesos.CheckStatusInfo
}

// Health is the outcome of a health check.
type Health struct {
	Healthy bool
	Kill    bool   // it has failed too often
	Text    string // why it failed
}

// Command runs a check's command with the task's environment and returns its exit code.
// It ends the command with ctx.
type Command func(ctx context.Context, c *mesos.CommandInfo) (int, error)

// Defaults of the protocol's fields; reference section 4.4.
const (
	checkDelay    = 15.0
	checkInterval = 10.0
	checkTimeout  = 20.0
	checkGrace    = 10.0
	checkFailures = 3
)

// probe looks once; outcome is an exit code, an HTTP status, or 1 and 0 for TCP.
type probe func(ctx context.Context) (outcome int, err error)

// Start watches the task until ctx ends. emit is called from goroutines of its own.
func Start(ctx context.Context, t *mesos.TaskInfo, run Command, emit func(Result)) {
	if h := t.HealthCheck; h != nil {
		go watchHealth(ctx, h, healthProbe(h, run), emit)
	}
	if c := t.Check; c != nil {
		go watchCheck(ctx, c, checkProbe(c, run), emit)
	}
}

// watchHealth reports the first success, every failure after the grace period, and
// recoveries. A failure within the grace period counts only after a success.
func watchHealth(ctx context.Context, h *mesos.HealthCheck, look probe, emit func(Result)) {
	started := time.Now()
	limit := int(or(h.ConsecutiveFailures, checkFailures))
	grace := seconds(h.GracePeriodSeconds, checkGrace)
	failures, initial, healthy := 0, true, false
	for pause(ctx, seconds(h.DelaySeconds, checkDelay)); ctx.Err() == nil; pause(ctx, seconds(h.IntervalSeconds, checkInterval)) {
		attempt, cancel := context.WithTimeout(ctx, seconds(h.TimeoutSeconds, checkTimeout))
		outcome, err := look(attempt)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil && passes(h, outcome):
			if initial || !healthy {
				emit(Result{Health: &Health{Healthy: true}})
			}
			failures, initial, healthy = 0, false, true
		case initial && time.Since(started) <= grace:
			// The task may still be starting.
		default:
			failures++
			initial, healthy = false, false
			emit(Result{Health: &Health{Kill: failures >= limit, Text: failure(h, outcome, err)}})
		}
	}
}

func passes(h *mesos.HealthCheck, outcome int) bool {
	switch h.Type {
	case mesos.HealthCheck_HTTP:
		if h.HTTP != nil && len(h.HTTP.Statuses) > 0 {
			return slices.Contains(h.HTTP.Statuses, uint32(outcome))
		}
		return outcome >= 200 && outcome < 400
	case mesos.HealthCheck_TCP:
		return outcome == 1
	default:
		return outcome == 0
	}
}

func failure(h *mesos.HealthCheck, outcome int, err error) string {
	if err != nil {
		return fmt.Sprintf("%s health check failed: %v", h.Type, err)
	}
	return fmt.Sprintf("%s health check failed with %d", h.Type, outcome)
}

// watchCheck reports every change of a check's outcome; it never judges.
func watchCheck(ctx context.Context, c *mesos.CheckInfo, look probe, emit func(Result)) {
	var last *mesos.CheckStatusInfo
	for pause(ctx, seconds(c.DelaySeconds, checkDelay)); ctx.Err() == nil; pause(ctx, seconds(c.IntervalSeconds, checkInterval)) {
		attempt, cancel := context.WithTimeout(ctx, seconds(c.TimeoutSeconds, checkTimeout))
		outcome, err := look(attempt)
		cancel()
		if ctx.Err() != nil {
			return
		}
		now := Empty(c)
		switch {
		case c.Type == mesos.CheckInfo_TCP:
			ok := err == nil && outcome == 1
			now.TCP.Succeeded = &ok
		case err != nil: // the outcome is unknown: stays empty
		case c.Type == mesos.CheckInfo_HTTP:
			code := uint32(outcome)
			now.HTTP.StatusCode = &code
		default:
			code := int32(outcome)
			now.Command.ExitCode = &code
		}
		if last == nil || !last.Equal(now) {
			emit(Result{Check: now})
		}
		last = now
	}
}

// Empty is the status of a check that has not looked yet; nil without a check.
func Empty(c *mesos.CheckInfo) *mesos.CheckStatusInfo {
	if c == nil {
		return nil
	}
	kind := c.Type
	s := &mesos.CheckStatusInfo{Type: &kind}
	switch kind {
	case mesos.CheckInfo_HTTP:
		s.HTTP = &mesos.CheckStatusInfo_Http{}
	case mesos.CheckInfo_TCP:
		s.TCP = &mesos.CheckStatusInfo_Tcp{}
	default:
		s.Command = &mesos.CheckStatusInfo_Command{}
	}
	return s
}

func healthProbe(h *mesos.HealthCheck, run Command) probe {
	switch {
	case h.Type == mesos.HealthCheck_HTTP && h.HTTP != nil:
		return httpProbe(or(h.HTTP.Scheme, "http"), h.HTTP.Port, or(h.HTTP.Path, "/"), h.HTTP.GetProtocol() == mesos.IPv6)
	case h.Type == mesos.HealthCheck_TCP && h.TCP != nil:
		return tcpProbe(h.TCP.Port, h.TCP.GetProtocol() == mesos.IPv6)
	case h.Command != nil:
		return commandProbe(run, h.Command)
	}
	return func(context.Context) (int, error) { return 0, errors.New("the health check says nothing to check") }
}

func checkProbe(c *mesos.CheckInfo, run Command) probe {
	switch {
	case c.Type == mesos.CheckInfo_HTTP && c.HTTP != nil:
		return httpProbe("http", c.HTTP.Port, or(c.HTTP.Path, "/"), false)
	case c.Type == mesos.CheckInfo_TCP && c.TCP != nil:
		return tcpProbe(c.TCP.Port, false)
	case c.Command != nil:
		return commandProbe(run, &c.Command.Command)
	}
	return func(context.Context) (int, error) { return 0, errors.New("the check says nothing to check") }
}

func loopback(port uint32, v6 bool) string {
	host := "127.0.0.1"
	if v6 {
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.FormatUint(uint64(port), 10))
}

func tcpProbe(port uint32, v6 bool) probe {
	return func(ctx context.Context) (int, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", loopback(port, v6))
		if err != nil {
			return 0, err
		}
		conn.Close()
		return 1, nil
	}
}

func httpProbe(scheme string, port uint32, path string, v6 bool) probe {
	client := &http.Client{
		// The certificate can't name 127.0.0.1, and the task is ours: as Mesos does.
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}, //nolint:gosec // see above
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return func(ctx context.Context) (int, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+loopback(port, v6)+path, nil)
		if err != nil {
			return 0, err
		}
		response, err := client.Do(r)
		if err != nil {
			return 0, err
		}
		defer response.Body.Close()
		_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
		return response.StatusCode, nil
	}
}

func commandProbe(run Command, c *mesos.CommandInfo) probe {
	return func(ctx context.Context) (int, error) { return run(ctx, c) }
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

func seconds(v *float64, fallback float64) time.Duration {
	return time.Duration(or(v, fallback) * float64(time.Second))
}

func or[T any](v *T, fallback T) T {
	if v == nil {
		return fallback
	}
	return *v
}
