package marathon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Limits of an app definition.
const (
	maxInstances = 100_000
	maxPorts     = 100
)

// unsupported are the fields of Marathon's app definition that we refuse by name, unless they are empty.
var unsupported = []string{"container", "residency", "ipAddress", "dependencies", "secrets", "readinessChecks", "check",
	"resourceLimits", "executorResources", "gpus", "tty", "storeUrls"}

// empties are the JSON values that ask for nothing.
var empties = []string{"null", "[]", "{}", "false", "0", `""`}

// ParseApp reads an app definition from a request body: on top of base when base is given (a partial update; fields that
// are null go back to their default), else a whole one. id, when not empty, overrides the one in the body.
//
// Fields that Marathon does not know are ignored, as Marathon does; fields that it knows and we don't support are
// refused by name. Errors are *Error, in Marathon's form.
func ParseApp(body []byte, id string, base *App) (*App, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, invalidJSON(body, err)
	}
	if err := refuseUnsupported(fields); err != nil {
		return nil, err
	}
	given := maps.Clone(fields)
	if base != nil {
		var all map[string]json.RawMessage
		if err := json.Unmarshal(mustJSON(base), &all); err != nil {
			return nil, err
		}
		if _, ok := given["ports"]; ok {
			delete(all, "portDefinitions")
		}
		if _, ok := given["uris"]; ok {
			delete(all, "fetch")
		}
		if _, ok := given["args"]; ok {
			delete(all, "cmd")
		}
		if _, ok := given["cmd"]; ok {
			delete(all, "args")
		}
		delete(all, "ports")
		maps.Copy(all, given)
		fields = all
	}
	maps.DeleteFunc(fields, func(_ string, v json.RawMessage) bool { return string(v) == "null" })
	app := newApp()
	merged := mustJSON(fields)
	if err := json.Unmarshal(merged, app); err != nil {
		return nil, invalidJSON(merged, err)
	}
	if id != "" {
		app.ID = id
	}
	if err := normalize(app, fields); err != nil {
		return nil, err
	}
	return app, validate(app)
}

func refuseUnsupported(fields map[string]json.RawMessage) error {
	var bad violations
	for _, name := range unsupported {
		value, ok := fields[name]
		if !ok {
			continue
		}
		var compact bytes.Buffer
		if json.Compact(&compact, value) != nil || !slices.Contains(empties, compact.String()) {
			bad.add("/"+name, "is not supported; leave it out")
		}
	}
	var env map[string]json.RawMessage
	if json.Unmarshal(fields["env"], &env) == nil {
		for _, name := range slices.Sorted(maps.Keys(env)) {
			if !bytes.HasPrefix(bytes.TrimSpace(env[name]), []byte(`"`)) {
				bad.add("/env("+name+")", "must be a text; secrets are not supported")
			}
		}
	}
	return bad.err()
}

// normalize brings the older spellings (uris, ports) to the newer and fills in what depends on other fields.
func normalize(app *App, fields map[string]json.RawMessage) error {
	app.ID = CanonicalID(app.ID)
	var uris []string
	if raw, ok := fields["uris"]; ok {
		if err := json.Unmarshal(raw, &uris); err != nil {
			return invalid("/uris", "must be a list of texts")
		}
	}
	if len(app.Fetch) == 0 {
		for _, uri := range uris {
			app.Fetch = append(app.Fetch, Artifact{URI: uri})
		}
	}
	_, hasPorts := fields["ports"]
	_, hasDefinitions := fields["portDefinitions"]
	switch {
	case hasDefinitions:
		if hasPorts && len(app.Ports) > 0 && !slices.Equal(app.Ports, portsOf(app.PortDefinitions)) {
			return invalid("/ports", "and portDefinitions contradict each other; give one of them")
		}
	case hasPorts:
		app.PortDefinitions = nil
		for _, port := range app.Ports {
			app.PortDefinitions = append(app.PortDefinitions, PortDefinition{Port: port})
		}
	default:
		app.PortDefinitions = []PortDefinition{{Name: "default"}}
	}
	for i := range app.PortDefinitions {
		p := &app.PortDefinitions[i]
		if p.Protocol == "" {
			p.Protocol = "tcp"
		}
		if p.Labels == nil {
			p.Labels = map[string]string{}
		}
	}
	app.Ports = portsOf(app.PortDefinitions)
	app.Env, app.Labels = orEmpty(app.Env), orEmpty(app.Labels)
	app.Constraints, app.Fetch = orNone(app.Constraints), orNone(app.Fetch)
	app.HealthChecks, app.PortDefinitions = orNone(app.HealthChecks), orNone(app.PortDefinitions)
	return nil
}

func portsOf(definitions []PortDefinition) []int {
	ports := make([]int, len(definitions))
	for i, d := range definitions {
		ports[i] = d.Port
	}
	return ports
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

func orNone[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// segment is one part of an app id (Marathon: PathId).
var segment = regexp.MustCompile(`^(([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])\.)*([a-z0-9]|[a-z0-9][a-z0-9-]*[a-z0-9])$`)

// reserved are last parts of an id that would hide the API's own paths.
var reserved = []string{"restart", "tasks", "versions", ".", ".."}

func validate(app *App) error {
	var bad violations
	parts := strings.Split(app.ID[1:], "/")
	for _, part := range parts {
		if !segment.MatchString(part) {
			bad.add("/id", fmt.Sprintf("%q must be made of lower-case letters, digits, dashes and dots, in parts divided by slashes", app.ID))
			break
		}
	}
	if slices.Contains(reserved, parts[len(parts)-1]) {
		bad.add("/id", fmt.Sprintf("must not end in %q", parts[len(parts)-1]))
	}
	if len(app.ID) > 200 {
		bad.add("/id", "must not be longer than 200 characters")
	}
	if (app.Cmd == "") == (len(app.Args) == 0) {
		bad.add("/", "AppDefinition must either contain one of 'cmd' or 'args'")
	}
	bad.between("/instances", float64(app.Instances), 0, maxInstances)
	bad.between("/cpus", app.Cpus, 0.001, 1e6)
	bad.between("/mem", app.Mem, 0, 1e9)
	bad.between("/disk", app.Disk, 0, 1e12)
	bad.between("/backoffSeconds", float64(app.BackoffSeconds), 0, 1e6)
	bad.between("/backoffFactor", app.BackoffFactor, 1, 1e3)
	bad.between("/maxLaunchDelaySeconds", float64(app.MaxLaunchDelaySeconds), 0, 1e6)
	bad.between("/upgradeStrategy/minimumHealthCapacity", app.UpgradeStrategy.MinimumHealthCapacity, 0, 1)
	bad.between("/upgradeStrategy/maximumOverCapacity", app.UpgradeStrategy.MaximumOverCapacity, 0, 1)
	if u := app.UnreachableStrategy; !u.Disabled && (u.InactiveAfterSeconds < 0 || u.InactiveAfterSeconds > u.ExpungeAfterSeconds) {
		bad.add("/unreachableStrategy", "inactiveAfterSeconds must be from 0 to expungeAfterSeconds")
	}
	if app.KillSelection != "YOUNGEST_FIRST" && app.KillSelection != "OLDEST_FIRST" {
		bad.add("/killSelection", "must be YOUNGEST_FIRST or OLDEST_FIRST")
	}
	if g := app.TaskKillGracePeriodSeconds; g != nil {
		bad.between("/taskKillGracePeriodSeconds", float64(*g), 0, 1e6)
	}
	if app.Executor != "" && app.Executor != "//cmd" {
		bad.add("/executor", "custom executors are not supported; leave it out")
	}
	for _, n := range app.Networks {
		if n.Mode != "host" {
			bad.add("/networks", "only the host network is supported")
		}
	}
	for i, c := range app.Constraints {
		if err := c.Validate(); err != nil {
			bad.add(fmt.Sprintf("/constraints(%d)", i), err.Error())
		}
	}
	for i, f := range app.Fetch {
		if f.URI == "" {
			bad.add(fmt.Sprintf("/fetch(%d)/uri", i), "must not be empty")
		}
	}
	validatePorts(app, &bad)
	validateChecks(app, &bad)
	return bad.err()
}

func validatePorts(app *App, bad *violations) {
	if len(app.PortDefinitions) > maxPorts {
		bad.add("/portDefinitions", fmt.Sprintf("must not be more than %d", maxPorts))
	}
	names, numbers := map[string]bool{}, map[int]bool{}
	for i, p := range app.PortDefinitions {
		path := fmt.Sprintf("/portDefinitions(%d)", i)
		bad.between(path+"/port", float64(p.Port), 0, 65535)
		if p.Protocol != "tcp" && p.Protocol != "udp" && p.Protocol != "udp,tcp" && p.Protocol != "tcp,udp" {
			bad.add(path+"/protocol", "must be tcp, udp or udp,tcp")
		}
		if p.Name != "" && names[p.Name] || p.Port != 0 && numbers[p.Port] {
			bad.add(path, "Port names and numbers must be unique")
		}
		names[p.Name], numbers[p.Port] = true, true
		if p.Port == 0 && app.RequirePorts {
			continue // a port that is required but may be any
		}
	}
}

var protocols = []string{"HTTP", "HTTPS", "TCP", "COMMAND", "MESOS_HTTP", "MESOS_HTTPS", "MESOS_TCP"}

func validateChecks(app *App, bad *violations) {
	executors := 0
	for i := range app.HealthChecks {
		h := &app.HealthChecks[i]
		path := fmt.Sprintf("/healthChecks(%d)", i)
		if !slices.Contains(protocols, h.Protocol) {
			bad.add(path+"/protocol", fmt.Sprintf("%q is not one of %s", h.Protocol, strings.Join(protocols, ", ")))
			continue
		}
		if h.byExecutor() {
			executors++
		}
		switch {
		case (h.Protocol == "COMMAND") != (h.Command != nil && h.Command.Value != ""):
			bad.add(path+"/command", "belongs to a COMMAND check, which needs one")
		case h.Protocol != "COMMAND" && h.Port == nil && h.PortIndex == nil && len(app.PortDefinitions) == 0:
			bad.add(path, "needs a port, but the app has none")
		case h.PortIndex != nil && (*h.PortIndex < 0 || *h.PortIndex >= len(app.PortDefinitions)):
			bad.add(path+"/portIndex", fmt.Sprintf("the app has %d ports", len(app.PortDefinitions)))
		case h.IPProtocol == "IPv6":
			bad.add(path+"/ipProtocol", "IPv6 is not supported")
		}
		for name, seconds := range map[string]int{"gracePeriodSeconds": h.GracePeriodSeconds, "intervalSeconds": h.IntervalSeconds,
			"timeoutSeconds": h.TimeoutSeconds, "maxConsecutiveFailures": h.MaxConsecutiveFailures, "delaySeconds": h.DelaySeconds} {
			bad.between(path+"/"+name, float64(seconds), 0, 1e6)
		}
	}
	if executors > 1 {
		bad.add("/healthChecks", "at most one check can be made by the executor (COMMAND, MESOS_*)")
	}
}

// invalidJSON answers a body that is not JSON (400) or has a value of the wrong kind (422).
func invalidJSON(body []byte, err error) error {
	var kind *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return &Error{Kind: Invalid, Message: "Invalid JSON", Details: []Violation{{
			Path: "/" + strings.ReplaceAll(kind.Field, ".", "/"), Errors: []string{fmt.Sprintf("expected %s, not %s", kind.Type, kind.Value)}}}}
	case errors.As(err, &kind):
		return &Error{Kind: Malformed, Message: "Invalid JSON", Details: fmt.Sprintf("expected %s, not %s", kind.Type, kind.Value)}
	case errors.As(err, &syntax):
		line := 1 + bytes.Count(body[:min(int(syntax.Offset), len(body))], []byte("\n"))
		return &Error{Kind: Malformed, Message: "Invalid JSON", Details: fmt.Sprintf("line %d: %v", line, err)}
	}
	return &Error{Kind: Invalid, Message: "Invalid JSON", Details: err.Error()}
}
