package marathon

import (
	"time"

	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// Instance is one process of an app, from the decision to launch it until its end is known. Values are immutable; the
// core replaces them.
type Instance struct {
	ID         string            `json:"id"` // product_web.instance-<uuid>
	TaskID     string            `json:"taskId"`
	AppID      string            `json:"appId"`
	Version    string            `json:"version"` // the app version it was launched with
	Config     string            `json:"config"`  // that version's LastConfigChangeAt
	AgentID    string            `json:"agentId"`
	Host       string            `json:"host"`
	Address    string            `json:"address,omitempty"` // where probes go: the agent's IP, else Host
	Ports      []int             `json:"ports"`
	Attributes map[string]string `json:"attributes,omitempty"`
	Region     string            `json:"region,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Role       string            `json:"role"`

	State       string    `json:"state"` // TASK_STAGING ... as Mesos names them
	IPs         []string  `json:"ips,omitempty"`
	StagedAt    time.Time `json:"stagedAt"`
	StartedAt   time.Time `json:"startedAt,omitzero"`
	Unreachable time.Time `json:"unreachableSince,omitzero"`
	Health      []Health  `json:"health,omitempty"` // one for each of the app's checks
	Killing     bool      `json:"killing,omitempty"`
	KillSentAt  time.Time `json:"killSentAt,omitzero"`
	Unwanted    string    `json:"unwanted,omitempty"` // why it is being killed, when that counts as its failure
}

// Health is what a check has found so far; Alive is nil before the first result that counts.
type Health struct {
	Alive               *bool     `json:"alive,omitempty"`
	ConsecutiveFailures int       `json:"consecutiveFailures"`
	FirstSuccess        time.Time `json:"firstSuccess,omitzero"`
	LastSuccess         time.Time `json:"lastSuccess,omitzero"`
	LastFailure         time.Time `json:"lastFailure,omitzero"`
	LastFailureCause    string    `json:"lastFailureCause,omitempty"`
}

// health is what all checks of an instance together say.
type health int

const (
	unknown health = iota // runs, but some check has not said anything yet
	healthy
	unhealthy // does not run (yet), or a check says so
)

func (i *Instance) health(checks int) health {
	if i.State != running {
		return unhealthy
	}
	result := healthy
	for n := range checks {
		switch {
		case n >= len(i.Health) || i.Health[n].Alive == nil:
			result = unknown
		case !*i.Health[n].Alive:
			return unhealthy
		}
	}
	return result
}

// Mesos's task states that the core speaks of.
const (
	staging     = "TASK_STAGING"
	running     = "TASK_RUNNING"
	killing     = "TASK_KILLING"
	unreachable = "TASK_UNREACHABLE"
)

// inactive tells whether the instance has been unreachable so long that it is replaced.
func (i *Instance) inactive(strategy UnreachableStrategy, now time.Time) bool {
	return i.State == unreachable && !strategy.Disabled &&
		now.Sub(i.Unreachable) >= time.Duration(strategy.InactiveAfterSeconds)*time.Second
}

// expired tells whether it has been unreachable so long that it is forgotten.
func (i *Instance) expired(strategy UnreachableStrategy, now time.Time) bool {
	return i.State == unreachable && !strategy.Disabled &&
		now.Sub(i.Unreachable) >= time.Duration(strategy.ExpungeAfterSeconds)*time.Second
}

// place reads the fields of the instance's agent, for constraints.
func (i *Instance) place(field string) (string, bool) {
	return placement.Field(field, i.Host, i.Region, i.Zone, i.Attributes)
}

// Deployment is the record that apps have not yet become what was asked.
type Deployment struct {
	ID      string          `json:"id"`
	Version string          `json:"version"`
	Actions []Action        `json:"actions"`
	Before  map[string]*App `json:"before"` // what the apps were; nil for one that did not exist
}

// Action is what a deployment does to an app: StartApplication, ScaleApplication, RestartApplication, StopApplication.
type Action struct {
	Action string `json:"action"`
	App    string `json:"app"`
}

// Failure is how an instance of an app last ended badly.
type Failure struct {
	AppID     string `json:"appId"`
	Host      string `json:"host"`
	Message   string `json:"message"`
	State     string `json:"state"`
	TaskID    string `json:"taskId"`
	Timestamp string `json:"timestamp"`
	Version   string `json:"version"`
	SlaveID   string `json:"slaveId,omitempty"`
}
