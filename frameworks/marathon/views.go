package marathon

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// snapshot is the state at one moment; its values are immutable, so it is rendered outside the owner goroutine.
type snapshot struct {
	now         time.Time
	frameworkID string
	connected   bool
	role        string
	apps        map[string]*App
	versions    map[string]map[string]*App
	deployments map[string]*Deployment
	byApp       map[string][]*Instance
	failures    map[string]Failure
	queue       map[string]waiting
}

// Snapshot copies the state. To be called in the owner goroutine.
func (c *Core) snapshot(now time.Time) *snapshot {
	s := &snapshot{now: now, frameworkID: c.frameworkID, connected: c.appetite.IsConnected(), role: c.role, apps: maps.Clone(c.apps),
		versions: map[string]map[string]*App{}, deployments: maps.Clone(c.deployments), byApp: map[string][]*Instance{},
		failures: maps.Clone(c.failures), queue: map[string]waiting{}}
	for id, versions := range c.versions {
		s.versions[id] = maps.Clone(versions)
	}
	for id := range c.byApp {
		s.byApp[id] = c.instancesOf(id)
	}
	for id, w := range c.queue {
		if w.Count > 0 {
			copied := *w
			copied.Attempt, copied.Last = maps.Clone(w.Attempt), maps.Clone(w.Last)
			s.queue[id] = copied
		}
	}
	return s
}

// appView is an app with what "embed" adds.
type appView struct {
	*App
	TasksStaged     int            `json:"tasksStaged"`
	TasksRunning    int            `json:"tasksRunning"`
	TasksHealthy    int            `json:"tasksHealthy"`
	TasksUnhealthy  int            `json:"tasksUnhealthy"`
	Deployments     []Identifiable `json:"deployments"`
	Tasks           *[]taskView    `json:"tasks,omitempty"`
	LastTaskFailure *Failure       `json:"lastTaskFailure,omitempty"`
}

// app renders an app; embed has "tasks" and "lastTaskFailure" (counts and deployments are always there, as in Marathon).
func (s *snapshot) app(app *App, embed map[string]bool) appView {
	v := appView{App: app, Deployments: []Identifiable{}}
	for _, i := range s.byApp[app.ID] {
		switch {
		case i.State == running:
			v.TasksRunning++
		case i.State == staging || i.State == "TASK_STARTING":
			v.TasksStaged++
		}
		if checks := s.checks(i); checks > 0 && i.State == running {
			switch i.health(checks) {
			case healthy:
				v.TasksHealthy++
			case unhealthy:
				v.TasksUnhealthy++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(s.deployments)) {
		if slices.ContainsFunc(s.deployments[id].Actions, func(a Action) bool { return a.App == app.ID }) {
			v.Deployments = append(v.Deployments, Identifiable{id})
		}
	}
	if embed["tasks"] {
		tasks := s.tasks(app.ID)
		v.Tasks = &tasks
	}
	if f, ok := s.failures[app.ID]; ok && embed["lastTaskFailure"] {
		v.LastTaskFailure = &f
	}
	return v
}

func (s *snapshot) checks(i *Instance) int {
	if app := s.versions[i.AppID][i.Version]; app != nil {
		return len(app.HealthChecks)
	}
	return 0
}

// taskView is a task as /v2/tasks shows it (types/task.raml).
type taskView struct {
	ID           string       `json:"id"`
	AppID        string       `json:"appId"`
	Host         string       `json:"host"`
	IPAddresses  []ipView     `json:"ipAddresses"`
	Ports        []int        `json:"ports"`
	ServicePorts []int        `json:"servicePorts"`
	SlaveID      string       `json:"slaveId"`
	State        string       `json:"state"`
	StagedAt     string       `json:"stagedAt"`
	StartedAt    string       `json:"startedAt,omitempty"`
	Version      string       `json:"version"`
	Region       string       `json:"region,omitempty"`
	Zone         string       `json:"zone,omitempty"`
	Role         string       `json:"role"`
	LocalVolumes []string     `json:"localVolumes"`
	Health       []healthView `json:"healthCheckResults,omitempty"`
}

type ipView struct {
	IPAddress string `json:"ipAddress"`
	Protocol  string `json:"protocol"`
}

type healthView struct {
	Alive               bool   `json:"alive"`
	ConsecutiveFailures int    `json:"consecutiveFailures"`
	FirstSuccess        string `json:"firstSuccess,omitempty"`
	InstanceID          string `json:"instanceId"`
	LastSuccess         string `json:"lastSuccess,omitempty"`
	LastFailure         string `json:"lastFailure,omitempty"`
	LastFailureCause    string `json:"lastFailureCause,omitempty"`
}

func ipViews(i *Instance) []ipView {
	views := []ipView{}
	for _, ip := range i.IPs {
		protocol := "IPv4"
		if strings.Contains(ip, ":") {
			protocol = "IPv6"
		}
		views = append(views, ipView{ip, protocol})
	}
	return views
}

func optionalTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return Timestamp(t)
}

func (s *snapshot) task(i *Instance) taskView {
	v := taskView{ID: i.TaskID, AppID: i.AppID, Host: i.Host, IPAddresses: ipViews(i), Ports: orNone(i.Ports), ServicePorts: []int{},
		SlaveID: i.AgentID, State: i.State, StagedAt: Timestamp(i.StagedAt), StartedAt: optionalTime(i.StartedAt), Version: i.Version,
		Region: i.Region, Zone: i.Zone, Role: i.Role, LocalVolumes: []string{}}
	if i.Killing && i.State != unreachable {
		v.State = killing
	}
	if app := s.apps[i.AppID]; app != nil {
		v.ServicePorts = app.Ports
	}
	for _, h := range i.Health {
		if h.Alive == nil {
			continue
		}
		v.Health = append(v.Health, healthView{Alive: *h.Alive, ConsecutiveFailures: h.ConsecutiveFailures, InstanceID: i.ID,
			FirstSuccess: optionalTime(h.FirstSuccess), LastSuccess: optionalTime(h.LastSuccess),
			LastFailure: optionalTime(h.LastFailure), LastFailureCause: h.LastFailureCause})
	}
	return v
}

// tasks are the tasks of an app, or of all for "".
func (s *snapshot) tasks(app string) []taskView {
	views := []taskView{}
	for _, id := range slices.Sorted(maps.Keys(s.byApp)) {
		if app != "" && id != app {
			continue
		}
		for _, i := range s.byApp[id] {
			views = append(views, s.task(i))
		}
	}
	return views
}

func planView(d *Deployment) map[string]any {
	return map[string]any{"id": d.ID, "version": d.Version, "steps": []any{stepView(d)}}
}

func stepView(d *Deployment) map[string]any { return map[string]any{"actions": d.Actions} }

// deployment is one element of /v2/deployments: one step, all of whose actions are in progress.
func deploymentView(d *Deployment) map[string]any {
	apps, current := []string{}, []map[string]any{}
	for _, a := range d.Actions {
		apps = append(apps, a.App)
		current = append(current, map[string]any{"action": a.Action, "app": a.App, "readinessCheckResults": []any{}})
	}
	return map[string]any{"id": d.ID, "version": d.Version, "affectedApps": apps, "affectedPods": []string{},
		"steps": []any{stepView(d)}, "currentActions": current, "currentStep": 1, "totalSteps": 1}
}

// queueItem is one element of /v2/queue: an app that has instances left to launch, and in "reason" one sentence why.
func (s *snapshot) queueItem(id string) map[string]any {
	w, app := s.queue[id], s.apps[id]
	last := map[placement.Reason]int{}
	for _, reason := range w.Last {
		last[reason]++
	}
	left := max(0, w.NotBefore.Sub(s.now))
	summary := map[string]any{"processedOffersCount": w.Processed, "unusedOffersCount": w.Unused,
		"rejectSummaryLastOffers": funnel(last, len(w.Last)), "rejectSummaryLaunchAttempt": funnel(w.Attempt, w.Unused)}
	if !w.LastUnused.IsZero() {
		summary["lastUnusedOfferAt"] = Timestamp(w.LastUnused)
	}
	if !w.LastUsed.IsZero() {
		summary["lastUsedOfferAt"] = Timestamp(w.LastUsed)
	}
	reason := placement.Sentence(last)
	switch {
	case !s.connected:
		reason = "not connected to the Mesos master"
	case left > 0:
		reason = "the last instance failed; the next is launched after a back-off"
		if f, ok := s.failures[id]; ok {
			reason += " (" + f.State + ": " + f.Message + ")"
		}
	}
	return map[string]any{"app": app, "count": w.Count, "role": app.Role, "since": Timestamp(w.Since),
		"delay":                  map[string]any{"timeLeftSeconds": int64(math.Ceil(left.Seconds())), "overdue": left == 0},
		"processedOffersSummary": summary, "reason": reason}
}

// funnel lists the reasons in order, each with how many offers got that far.
func funnel(refused map[placement.Reason]int, processed int) []map[string]any {
	steps := []map[string]any{}
	for _, reason := range placement.Reasons {
		n := refused[reason]
		steps = append(steps, map[string]any{"reason": reason, "declined": n, "processed": processed})
		processed -= n
	}
	return steps
}
