package marathon

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Service ports that are given to port definitions with port 0 (Marathon: --local_port_min, --local_port_max).
const (
	servicePortMin = 10000
	servicePortMax = 20000
)

// Limits of the whole.
const maxApps = 10_000

// putApps creates or changes apps in one deployment; all of them or none.
func (c *Core) putApps(e PutApps) error {
	ids := make([]string, len(e.Apps))
	for n, a := range e.Apps {
		ids[n] = a.ID
	}
	if err := c.unlocked(ids, e.Force); err != nil {
		return err
	}
	targets := make([]*App, len(e.Apps))
	taken := c.servicePorts()
	for n, a := range e.Apps {
		present := c.apps[a.ID]
		target, err := a.Change(present, c.versions[a.ID])
		if err != nil {
			return err
		}
		next := *target
		if present == nil && len(c.apps) >= maxApps {
			return &Error{Kind: Conflict, Message: fmt.Sprintf("there are %d apps already, the most there can be", maxApps)}
		}
		if next.Role == "" {
			next.Role = c.role
		}
		if next.Role != c.role {
			return invalid("/role", fmt.Sprintf("must be %q, the role that this Marathon was started with", c.role))
		}
		if err := assignPorts(&next, present, taken); err != nil {
			return err
		}
		next.Version = c.nextVersion(a.ID)
		next.VersionInfo = VersionInfo{LastScalingAt: next.Version, LastConfigChangeAt: next.Version}
		if present != nil && sameConfig(present, &next) {
			next.VersionInfo.LastConfigChangeAt = present.VersionInfo.LastConfigChangeAt
			if present.Instances == next.Instances {
				next.VersionInfo.LastScalingAt = present.VersionInfo.LastScalingAt
			}
		}
		targets[n] = &next
	}
	c.deploy(e.Deployment, targets)
	return nil
}

// nextVersion is the present time, or just later than the newest version: versions of an app differ and grow.
func (c *Core) nextVersion(id string) string {
	version := Timestamp(c.now)
	for newest := range c.versions[id] {
		if newest >= version {
			if t, err := time.Parse(time.RFC3339, newest); err == nil {
				version = Timestamp(t.Add(time.Millisecond))
			}
		}
	}
	return version
}

// servicePorts are the ports of all apps, by number, with the app that has it.
func (c *Core) servicePorts() map[int]string {
	taken := map[int]string{}
	for id, app := range c.apps {
		for _, port := range app.Ports {
			taken[port] = id
		}
	}
	return taken
}

// assignPorts gives each port definition with port 0 a service port: the one it had, else the lowest free one.
func assignPorts(app, present *App, taken map[int]string) error {
	app.PortDefinitions = slices.Clone(app.PortDefinitions)
	used := map[int]bool{}
	for _, p := range app.PortDefinitions {
		used[p.Port] = true
	}
	for n := range app.PortDefinitions {
		p := &app.PortDefinitions[n]
		if p.Port != 0 || app.RequirePorts {
			continue
		}
		if present != nil && n < len(present.Ports) && !used[present.Ports[n]] && !present.RequirePorts {
			p.Port = present.Ports[n]
		}
		for port := servicePortMin; p.Port == 0; port++ {
			if port > servicePortMax {
				return &Error{Kind: Conflict, Message: fmt.Sprintf("all service ports from %d to %d are in use", servicePortMin, servicePortMax)}
			}
			if _, other := taken[port]; !other && !used[port] {
				p.Port = port
			}
		}
		used[p.Port], taken[p.Port] = true, app.ID
	}
	app.Ports = portsOf(app.PortDefinitions)
	return nil
}

func (c *Core) deleteApp(e DeleteApp) error {
	if c.apps[e.App] == nil {
		return notFound("App '%s' does not exist", e.App)
	}
	if err := c.unlocked([]string{e.App}, e.Force); err != nil {
		return err
	}
	c.record(&Deployment{ID: e.Deployment, Version: Timestamp(c.now), Before: map[string]*App{e.App: c.apps[e.App]},
		Actions: []Action{{"StopApplication", e.App}}})
	c.dropApp(e.App)
	c.settle(e.App)
	return nil
}

func (c *Core) restartApp(e RestartApp) error {
	app := c.apps[e.App]
	if app == nil {
		return notFound("App '%s' does not exist", e.App)
	}
	if err := c.unlocked([]string{e.App}, e.Force); err != nil {
		return err
	}
	next := *app
	next.Version = c.nextVersion(e.App)
	next.VersionInfo.LastConfigChangeAt = next.Version
	c.deploy(e.Deployment, []*App{&next})
	return nil
}

// deploy makes the targets what is wanted, under one deployment.
func (c *Core) deploy(id string, targets []*App) {
	d := &Deployment{ID: id, Version: Timestamp(c.now), Before: map[string]*App{}}
	for _, target := range targets {
		present := c.apps[target.ID]
		action := "RestartApplication"
		switch {
		case present == nil:
			action = "StartApplication"
		case present.VersionInfo.LastConfigChangeAt == target.VersionInfo.LastConfigChangeAt:
			action = "ScaleApplication"
		}
		d.Before[target.ID] = present
		d.Actions = append(d.Actions, Action{action, target.ID})
	}
	c.record(d)
	for _, target := range targets {
		c.saveApp(target)
		if w := c.queue[target.ID]; w != nil { // a changed app deserves a new try
			w.Delay, w.NotBefore = 0, time.Time{}
		}
		c.appetite.Renew()
		c.settle(target.ID)
	}
}

// record files a deployment; deployments of the same apps end, they have been overridden.
func (c *Core) record(d *Deployment) {
	for _, a := range d.Actions {
		for _, id := range c.deploymentsOf(a.App) {
			c.endDeployment(id, "deployment_failed")
		}
	}
	c.deployments[d.ID] = d
	c.dirty = append(c.dirty, store.Change{Key: keyDeployment + d.ID, Value: mustJSON(d)})
	c.effects = append(c.effects,
		Publish{"group_change_success", map[string]any{"groupId": "/", "version": d.Version}},
		Publish{"deployment_info", map[string]any{"plan": planView(d), "currentStep": stepView(d)}})
}

func (c *Core) deploymentsOf(app string) []string {
	var ids []string
	for id, d := range c.deployments {
		if slices.ContainsFunc(d.Actions, func(a Action) bool { return a.App == app }) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// unlocked refuses a change of apps that are being deployed, unless forced.
func (c *Core) unlocked(apps []string, force bool) error {
	found := map[string]bool{}
	for _, app := range apps {
		for _, id := range c.deploymentsOf(app) {
			found[id] = true
		}
	}
	if force || len(found) == 0 {
		return nil
	}
	return locked(slices.Sorted(maps.Keys(found)))
}

func (c *Core) endDeployment(id, event string) {
	d := c.deployments[id]
	delete(c.deployments, id)
	c.dirty = append(c.dirty, store.Change{Key: keyDeployment + id})
	c.effects = append(c.effects, Publish{event, map[string]any{"id": id, "plan": planView(d)}})
}

// finishDeployments ends the deployments of an app that has become what was asked, if all their apps have.
func (c *Core) finishDeployments(app string) {
	for _, id := range c.deploymentsOf(app) {
		done := true
		for _, a := range c.deployments[id].Actions {
			done = done && plan(c.apps[a.App], c.instancesOf(a.App), c.checksOf, c.now).done
		}
		if !done {
			continue
		}
		d := c.deployments[id]
		c.effects = append(c.effects, Publish{"deployment_step_success", map[string]any{"plan": planView(d), "currentStep": stepView(d)}})
		c.endDeployment(id, "deployment_success")
		if c.apps[app] == nil {
			c.effects = append(c.effects, Publish{"app_terminated_event", map[string]any{"appId": app}})
		}
	}
}

// cancelDeployment goes back to what the apps were before, by a new deployment; forced, it only ends the record, and the
// apps go on to become what was asked.
func (c *Core) cancelDeployment(e CancelDeployment) error {
	d := c.deployments[e.ID]
	if d == nil {
		return notFound("DeploymentPlan %s does not exist", e.ID)
	}
	if e.Force {
		c.endDeployment(e.ID, "deployment_failed")
		return nil
	}
	back := &Deployment{ID: e.Rollback, Version: Timestamp(c.now), Before: map[string]*App{}}
	for _, a := range d.Actions {
		back.Before[a.App] = c.apps[a.App]
		action := "RestartApplication"
		switch {
		case d.Before[a.App] == nil:
			action = "StopApplication"
		case c.apps[a.App] == nil:
			action = "StartApplication"
		}
		back.Actions = append(back.Actions, Action{action, a.App})
	}
	c.record(back)
	for _, a := range d.Actions {
		if before := d.Before[a.App]; before != nil {
			next := *before // with its LastConfigChangeAt, so that its instances are up to date again
			next.Version = c.nextVersion(a.App)
			c.saveApp(&next)
		} else if c.apps[a.App] != nil {
			c.dropApp(a.App)
		}
		c.settle(a.App)
	}
	return nil
}

// killInstances kills what Choose names. Not scaled, plan will replace them; the kills don't count as failures.
func (c *Core) killInstances(e KillInstances) error {
	if e.App != "" && c.apps[e.App] == nil {
		return notFound("App '%s' does not exist", e.App)
	}
	counts := map[string]int{}
	var chosen []*Instance
	for _, id := range slices.Sorted(maps.Keys(c.instances)) {
		if i := c.instances[id]; (e.App == "" || i.AppID == e.App) && e.Choose(i) {
			chosen = append(chosen, i)
			if !i.Killing {
				counts[i.AppID]++
			}
		}
	}
	ids := slices.Sorted(maps.Keys(counts))
	if e.Scale {
		if err := c.unlocked(ids, e.Force); err != nil {
			return err
		}
	}
	*e.Chosen = chosen
	for _, i := range chosen {
		if !i.Killing {
			c.kill(i, "")
		}
	}
	if !e.Scale {
		for _, id := range ids {
			c.settle(id)
		}
		return nil
	}
	var targets []*App
	for _, id := range ids {
		if app := c.apps[id]; app != nil {
			next := *app
			next.Instances = max(0, app.Instances-counts[id])
			next.Version = c.nextVersion(id)
			next.VersionInfo.LastScalingAt = next.Version
			targets = append(targets, &next)
		}
	}
	c.deploy(e.Deployment, targets)
	return nil
}
