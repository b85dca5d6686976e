package marathon

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// taskInfo is the Mesos task of an instance: a command task, run by the agent's command executor.
func taskInfo(app *App, i *Instance, resources []mesos.Resource) *mesos.TaskInfo {
	task := &mesos.TaskInfo{
		Name:        hostID(app.ID),
		TaskID:      mesos.TaskID{Value: i.TaskID},
		AgentID:     mesos.AgentID{Value: i.AgentID},
		Resources:   resources,
		Command:     command(app, i),
		HealthCheck: executorCheck(app, i),
		Labels:      labels(app.Labels),
		Discovery:   discovery(app, i),
	}
	if g := app.TaskKillGracePeriodSeconds; g != nil {
		task.KillPolicy = &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(*g) * int64(time.Second)}}
	}
	return task
}

func command(app *App, i *Instance) *mesos.CommandInfo {
	shell := app.Cmd != ""
	info := &mesos.CommandInfo{Shell: &shell}
	if shell {
		info.Value = &app.Cmd
	} else {
		info.Value, info.Arguments = &app.Args[0], app.Args
	}
	if app.User != "" {
		info.User = &app.User
	}
	for _, f := range app.Fetch {
		uri := mesos.CommandInfo_URI{Value: f.URI, Extract: f.Extract, Executable: &f.Executable, Cache: &f.Cache}
		if f.DestPath != "" {
			uri.OutputFile = &f.DestPath
		}
		info.URIs = append(info.URIs, uri)
	}
	env := environment(app, i)
	info.Environment = &mesos.Environment{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		info.Environment.Variables = append(info.Environment.Variables, mesos.Environment_Variable{Name: name, Value: &value})
	}
	return info
}

// Limits of labels that become variables (Marathon: EnvironmentHelper).
const (
	maxVariableName  = 254
	maxVariableValue = 512
)

var notInNames = regexp.MustCompile(`[^a-zA-Z0-9_]+`)

// environment is what Marathon promises to a task (docs: task-environment-vars); the app's own env wins.
func environment(app *App, i *Instance) map[string]string {
	env := map[string]string{
		"HOST":                       i.Host,
		"MESOS_TASK_ID":              i.TaskID,
		"MARATHON_APP_ID":            app.ID,
		"MARATHON_APP_VERSION":       app.Version,
		"MARATHON_APP_RESOURCE_CPUS": decimal(app.Cpus),
		"MARATHON_APP_RESOURCE_MEM":  decimal(app.Mem),
		"MARATHON_APP_RESOURCE_DISK": decimal(app.Disk),
		"MARATHON_APP_RESOURCE_GPUS": "0",
	}
	var names []string
	for _, key := range slices.Sorted(maps.Keys(app.Labels)) {
		if value := app.Labels[key]; len(key) < maxVariableName && len(value) < maxVariableValue {
			name := strings.ToUpper(notInNames.ReplaceAllString(key, "_"))
			names = append(names, name)
			env["MARATHON_APP_LABEL_"+name] = value
		}
	}
	env["MARATHON_APP_LABELS"] = strings.Join(names, " ")
	var all []string
	for n, port := range i.Ports {
		text := strconv.Itoa(port)
		all = append(all, text)
		env[fmt.Sprintf("PORT%d", n)] = text
		definition := app.PortDefinitions[n]
		env[fmt.Sprintf("PORT_%d", definition.Port)] = text
		if definition.Name != "" {
			env["PORT_"+strings.ToUpper(notInNames.ReplaceAllString(definition.Name, "_"))] = text
		}
	}
	if len(all) > 0 {
		env["PORT"], env["PORTS"] = all[0], strings.Join(all, ",")
	}
	maps.Copy(env, app.Env)
	return env
}

// decimal writes an amount as Scala does: 1.0, 0.5.
func decimal(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}

// executorCheck is the one health check that the executor makes, or nil.
func executorCheck(app *App, i *Instance) *mesos.HealthCheck {
	for n := range app.HealthChecks {
		h := &app.HealthChecks[n]
		if !h.byExecutor() {
			continue
		}
		seconds := func(s int) *float64 { f := float64(s); return &f }
		failures := uint32(h.MaxConsecutiveFailures)
		check := &mesos.HealthCheck{DelaySeconds: seconds(h.DelaySeconds), IntervalSeconds: seconds(h.IntervalSeconds),
			TimeoutSeconds: seconds(h.TimeoutSeconds), GracePeriodSeconds: seconds(h.GracePeriodSeconds), ConsecutiveFailures: &failures}
		port := uint32(h.port(i.Ports))
		switch h.Protocol {
		case "COMMAND":
			shell := true
			check.Type, check.Command = mesos.HealthCheck_COMMAND, &mesos.CommandInfo{Shell: &shell, Value: &h.Command.Value}
		case "MESOS_TCP":
			check.Type, check.TCP = mesos.HealthCheck_TCP, &mesos.HealthCheck_TCPCheckInfo{Port: port}
		default:
			scheme := strings.ToLower(strings.TrimPrefix(h.Protocol, "MESOS_"))
			check.Type, check.HTTP = mesos.HealthCheck_HTTP, &mesos.HealthCheck_HTTPCheckInfo{Scheme: &scheme, Port: port}
			if h.Path != "" {
				check.HTTP.Path = &h.Path
			}
		}
		return check
	}
	return nil
}

func labels(m map[string]string) *mesos.Labels {
	if len(m) == 0 {
		return nil
	}
	l := &mesos.Labels{}
	for _, key := range slices.Sorted(maps.Keys(m)) {
		value := m[key]
		l.Labels = append(l.Labels, mesos.Label{Key: key, Value: &value})
	}
	return l
}

// discovery names the task and its ports for Mesos-DNS and its like.
func discovery(app *App, i *Instance) *mesos.DiscoveryInfo {
	name := hostID(app.ID)
	info := &mesos.DiscoveryInfo{Visibility: mesos.FRAMEWORK, Name: &name, Ports: &mesos.Ports{}}
	for n, number := range i.Ports {
		definition := &app.PortDefinitions[n]
		for _, protocol := range strings.Split(definition.Protocol, ",") {
			port := mesos.Port{Number: uint32(number), Protocol: &protocol, Labels: labels(definition.Labels)}
			if definition.Name != "" {
				port.Name = &definition.Name
			}
			info.Ports.Ports = append(info.Ports.Ports, port)
		}
	}
	return info
}

// hostOf is the host of host:port, "" for "".
func hostOf(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return ""
	}
	return host
}
