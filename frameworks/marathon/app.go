package marathon

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// App is an app definition, in Marathon's JSON. Values are immutable once they are in the core.
// Reference: Marathon's types/app.raml; of it, command apps on the host network are supported.
type App struct {
	ID                         string                 `json:"id"`
	Cmd                        string                 `json:"cmd,omitempty"`
	Args                       []string               `json:"args,omitempty"`
	User                       string                 `json:"user,omitempty"`
	Env                        map[string]string      `json:"env"`
	Instances                  int                    `json:"instances"`
	Cpus                       float64                `json:"cpus"`
	Mem                        float64                `json:"mem"`  // MiB
	Disk                       float64                `json:"disk"` // MiB
	Gpus                       int                    `json:"gpus"` // always 0
	Executor                   string                 `json:"executor"`
	Constraints                []placement.Constraint `json:"constraints"`
	Fetch                      []Artifact             `json:"fetch"`
	HealthChecks               []HealthCheck          `json:"healthChecks"`
	Labels                     map[string]string      `json:"labels"`
	Networks                   []Network              `json:"networks"`
	Ports                      []int                  `json:"ports"` // the ports of PortDefinitions
	PortDefinitions            []PortDefinition       `json:"portDefinitions"`
	RequirePorts               bool                   `json:"requirePorts"`
	BackoffSeconds             int                    `json:"backoffSeconds"`
	BackoffFactor              float64                `json:"backoffFactor"`
	MaxLaunchDelaySeconds      int                    `json:"maxLaunchDelaySeconds"`
	UpgradeStrategy            UpgradeStrategy        `json:"upgradeStrategy"`
	UnreachableStrategy        UnreachableStrategy    `json:"unreachableStrategy"`
	KillSelection              string                 `json:"killSelection"`
	TaskKillGracePeriodSeconds *int                   `json:"taskKillGracePeriodSeconds,omitempty"`
	AcceptedResourceRoles      []string               `json:"acceptedResourceRoles,omitempty"`
	Role                       string                 `json:"role"`
	Version                    string                 `json:"version"`
	VersionInfo                VersionInfo            `json:"versionInfo"`
}

// VersionInfo says when the app was last scaled and when its configuration last changed. An instance is up to date when
// it was launched with the same LastConfigChangeAt.
type VersionInfo struct {
	LastScalingAt      string `json:"lastScalingAt"`
	LastConfigChangeAt string `json:"lastConfigChangeAt"`
}

// Artifact is a file that the agent's fetcher puts into the sandbox.
type Artifact struct {
	URI        string `json:"uri"`
	Extract    *bool  `json:"extract,omitempty"` // default true
	Executable bool   `json:"executable"`
	Cache      bool   `json:"cache"`
	DestPath   string `json:"destPath,omitempty"`
}

// Network is one element of "networks"; only the host network is supported.
type Network struct {
	Mode string `json:"mode"`
}

// PortDefinition is one host port: 0 (or any number without requirePorts) takes any port that is offered. The number is
// then the service port, unique among apps, for load balancers.
type PortDefinition struct {
	Port     int               `json:"port"`
	Protocol string            `json:"protocol"`
	Name     string            `json:"name,omitempty"`
	Labels   map[string]string `json:"labels"`
}

// UpgradeStrategy bounds a rolling replacement; both are shares of the number of instances, from 0 to 1.
type UpgradeStrategy struct {
	MinimumHealthCapacity float64 `json:"minimumHealthCapacity"`
	MaximumOverCapacity   float64 `json:"maximumOverCapacity"`
}

// UnreachableStrategy is an object with two numbers of seconds, or the text "disabled".
type UnreachableStrategy struct {
	Disabled             bool
	InactiveAfterSeconds int64
	ExpungeAfterSeconds  int64
}

type unreachableObject struct {
	InactiveAfterSeconds int64 `json:"inactiveAfterSeconds"`
	ExpungeAfterSeconds  int64 `json:"expungeAfterSeconds"`
}

// MarshalJSON writes "disabled" or the object.
func (u UnreachableStrategy) MarshalJSON() ([]byte, error) {
	if u.Disabled {
		return []byte(`"disabled"`), nil
	}
	return json.Marshal(unreachableObject{u.InactiveAfterSeconds, u.ExpungeAfterSeconds})
}

// UnmarshalJSON reads either form.
func (u *UnreachableStrategy) UnmarshalJSON(data []byte) error {
	if string(data) == `"disabled"` {
		*u = UnreachableStrategy{Disabled: true}
		return nil
	}
	object := unreachableObject{defaultInactive, defaultExpunge}
	if err := json.Unmarshal(data, &object); err != nil {
		return fmt.Errorf(`unreachableStrategy is "disabled" or an object of inactiveAfterSeconds and expungeAfterSeconds`)
	}
	*u = UnreachableStrategy{InactiveAfterSeconds: object.InactiveAfterSeconds, ExpungeAfterSeconds: object.ExpungeAfterSeconds}
	return nil
}

// HealthCheck is one check. HTTP, HTTPS and TCP are made by this framework against the agent's host; COMMAND, MESOS_HTTP,
// MESOS_HTTPS and MESOS_TCP by the executor beside the process.
type HealthCheck struct {
	Protocol               string        `json:"protocol"`
	Path                   string        `json:"path,omitempty"`
	Command                *CheckCommand `json:"command,omitempty"`
	PortIndex              *int          `json:"portIndex,omitempty"`
	Port                   *int          `json:"port,omitempty"`
	GracePeriodSeconds     int           `json:"gracePeriodSeconds"`
	IntervalSeconds        int           `json:"intervalSeconds"`
	TimeoutSeconds         int           `json:"timeoutSeconds"`
	MaxConsecutiveFailures int           `json:"maxConsecutiveFailures"`
	DelaySeconds           int           `json:"delaySeconds"`
	IgnoreHTTP1xx          bool          `json:"ignoreHttp1xx"`
	IPProtocol             string        `json:"ipProtocol,omitempty"`
}

// CheckCommand is the command of a COMMAND check.
type CheckCommand struct {
	Value string `json:"value"`
}

// Marathon's defaults (types/app.raml, healthCheck.raml), but for the unreachable strategy, where we keep an instance
// for five minutes before we replace it.
const (
	defaultInactive = 300
	defaultExpunge  = 600
)

// UnmarshalJSON fills in Marathon's defaults.
func (h *HealthCheck) UnmarshalJSON(data []byte) error {
	type plain HealthCheck
	p := plain{Protocol: "HTTP", GracePeriodSeconds: 300, IntervalSeconds: 60, TimeoutSeconds: 20,
		MaxConsecutiveFailures: 3, DelaySeconds: 15}
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	*h = HealthCheck(p)
	return nil
}

// byExecutor tells whether the executor makes the check.
func (h *HealthCheck) byExecutor() bool {
	return h.Protocol == "COMMAND" || strings.HasPrefix(h.Protocol, "MESOS_")
}

// port is the host port that the check goes to, 0 when the app has none.
func (h *HealthCheck) port(ports []int) int {
	index := 0
	switch {
	case h.Port != nil && *h.Port != 0:
		return *h.Port
	case h.PortIndex != nil:
		index = *h.PortIndex
	}
	if index >= len(ports) {
		return 0
	}
	return ports[index]
}

// newApp is an app with every default.
func newApp() *App {
	return &App{
		Instances: 1, Cpus: 1, Mem: 128, BackoffSeconds: 1, BackoffFactor: 1.15, MaxLaunchDelaySeconds: 300,
		KillSelection: "YOUNGEST_FIRST", UpgradeStrategy: UpgradeStrategy{1, 1},
		UnreachableStrategy: UnreachableStrategy{InactiveAfterSeconds: defaultInactive, ExpungeAfterSeconds: defaultExpunge},
		Networks:            []Network{{Mode: "host"}},
	}
}

// sameConfig tells whether going from a to b is at most a change of the number of instances.
func sameConfig(a, b *App) bool {
	x, y := *a, *b
	x.Instances, x.Version, x.VersionInfo = 0, "", VersionInfo{}
	y.Instances, y.Version, y.VersionInfo = 0, "", VersionInfo{}
	return string(mustJSON(x)) == string(mustJSON(y))
}

// mustJSON is for our own types, which always marshal.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("marathon: marshal %T: %v", v, err))
	}
	return data
}

// Timestamp is Marathon's way to write a time; versions are such texts.
func Timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// CanonicalID makes an absolute path of an app id.
func CanonicalID(id string) string { return "/" + strings.Trim(id, "/") }

// safeID is the id as it stands in task ids: /product/web is product_web.
func safeID(id string) string { return strings.ReplaceAll(strings.Trim(id, "/"), "/", "_") }

// hostID is the id with its parts reversed, the task's name: /product/web is web.product.
func hostID(id string) string {
	parts := strings.Split(strings.Trim(id, "/"), "/")
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return strings.Join(parts, ".")
}
