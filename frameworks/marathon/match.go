package marathon

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// calmPeriod is how long an instance has to run for its app's back-off to start anew.
const calmPeriod = time.Minute

// maxRemembered limits the machines whose refusal /v2/queue remembers for an app.
const maxRemembered = 200

// waiting is an app with instances left to launch, and what offers have been like.
type waiting struct {
	Count     int
	Since     time.Time
	Delay     time.Duration // the present back-off
	NotBefore time.Time

	Processed, Unused    int
	LastUnused, LastUsed time.Time
	Attempt              map[placement.Reason]int
	Last                 map[string]placement.Reason // by host
}

// want notes how many instances of the app are left to launch.
func (c *Core) want(app *App, id string, count int) {
	w := c.queue[id]
	switch {
	case app == nil:
		delete(c.queue, id)
	case w == nil && count > 0:
		c.queue[id] = &waiting{Count: count, Since: c.now, Attempt: map[placement.Reason]int{}, Last: map[string]placement.Reason{}}
	case w != nil:
		if w.Count == 0 && count > 0 {
			w.Since, w.Attempt, w.Last, w.Processed, w.Unused = c.now, map[placement.Reason]int{}, map[string]placement.Reason{}, 0, 0
		}
		w.Count = count
	}
}

// backOff delays the app's next launch after a failure; each one in a row makes the delay longer.
func (c *Core) backOff(i *Instance) {
	app := c.apps[i.AppID]
	if app == nil || i.Config != app.VersionInfo.LastConfigChangeAt {
		return
	}
	w := c.queue[i.AppID]
	if w == nil {
		c.want(app, i.AppID, 1)
		w = c.queue[i.AppID]
	}
	first, longest := time.Duration(app.BackoffSeconds)*time.Second, time.Duration(app.MaxLaunchDelaySeconds)*time.Second
	if w.Delay == 0 || !i.StartedAt.IsZero() && c.now.Sub(i.StartedAt) > calmPeriod {
		w.Delay = min(first, longest)
	} else {
		next := float64(w.Delay) * app.BackoffFactor
		w.Delay = time.Duration(math.Min(next, float64(longest)))
	}
	w.NotBefore = c.now.Add(w.Delay)
	c.appetite.Renew()
}

func (c *Core) resetDelay(id string) error {
	w := c.queue[id]
	if w == nil || c.apps[id] == nil {
		return notFound("Application %s not found in tasks queue.", id)
	}
	w.Delay, w.NotBefore = 0, time.Time{}
	return nil
}

// offered matches offers with the apps that wait, longest first, and answers every offer.
func (c *Core) offered(offers []mesos.Offer) {
	machines := placement.Group(offers)
	tasks := map[*placement.Machine][]mesos.TaskInfo{}
	hungry := false
	for _, id := range c.hungryApps() {
		hungry = true
		w, app := c.queue[id], c.apps[id]
		w.Processed += len(machines)
		for launched := true; launched && w.Count > 0; {
			var m *placement.Machine
			var task *mesos.TaskInfo
			m, task, launched = c.launchOne(app, w, machines)
			if launched {
				tasks[m] = append(tasks[m], *task)
			}
		}
	}
	for _, m := range machines {
		switch {
		case len(tasks[m]) > 0:
			c.effects = append(c.effects, orders.Accept{Offers: m.Offers, Tasks: tasks[m], Refuse: orders.RefuseRest})
		case hungry:
			c.effects = append(c.effects, orders.Decline{Offers: m.Offers, Refuse: orders.RefuseUnfit})
		default:
			c.effects = append(c.effects, orders.Decline{Offers: m.Offers, Refuse: orders.RefuseIdle})
		}
	}
}

// hungryApps are the apps that may launch now, in the order in which they began to wait.
func (c *Core) hungryApps() []string {
	ids := slices.Sorted(maps.Keys(c.queue))
	ids = slices.DeleteFunc(ids, func(id string) bool {
		w := c.queue[id]
		return w.Count == 0 || c.apps[id] == nil || w.NotBefore.After(c.now)
	})
	slices.SortStableFunc(ids, func(a, b string) int { return c.queue[a].Since.Compare(c.queue[b].Since) })
	return ids
}

// launchOne places one more instance on the machine that fits and has the fewest instances of the app.
func (c *Core) launchOne(app *App, w *waiting, machines []*placement.Machine) (*placement.Machine, *mesos.TaskInfo, bool) {
	crowd := map[string]int{}
	var others []placement.Reader
	for _, i := range c.byApp[app.ID] {
		if i.Config == app.VersionInfo.LastConfigChangeAt && !i.Killing && !i.inactive(app.UnreachableStrategy, c.now) {
			others = append(others, i.place)
			crowd[i.AgentID]++
		}
	}
	order := slices.Clone(machines)
	slices.SortStableFunc(order, func(a, b *placement.Machine) int { return cmp.Compare(crowd[a.Agent.Value], crowd[b.Agent.Value]) })
	id := fmt.Sprintf("%s.instance-%s", safeID(app.ID), c.newID())
	for _, m := range order {
		resources, ports, why := fit(app, id, m, others)
		if why != "" {
			c.refuse(w, m.Host, why)
			continue
		}
		i := newInstance(app, id, m, ports, c.now)
		c.save(i)
		w.Count--
		c.appetite.Served()
		w.LastUsed = c.now
		delete(w.Last, m.Host)
		return m, taskInfo(app, i, resources), true
	}
	return nil, nil, false
}

// fit takes what an instance needs out of the machine, or says why it can't.
func fit(app *App, id string, m *placement.Machine, others []placement.Reader) ([]mesos.Resource, []int, placement.Reason) {
	if !placement.AllowAll(app.Constraints, m.Field, others, app.Instances) {
		return nil, nil, placement.UnfulfilledConstraint
	}
	if m.Draining {
		return nil, nil, placement.AgentMaintenance
	}
	ask := placement.Ask{Cpus: app.Cpus, Mem: app.Mem, Disk: app.Disk, Roles: app.AcceptedResourceRoles, Ports: make([]int, len(app.Ports))}
	if app.RequirePorts {
		copy(ask.Ports, app.Ports)
	}
	hash := fnv.New64a()
	hash.Write([]byte(id))
	ask.Seed = hash.Sum64()
	return m.Take(ask)
}

// refuse remembers why a machine was not used, for /v2/queue.
func (c *Core) refuse(w *waiting, host string, why placement.Reason) {
	w.Unused++
	w.LastUnused = c.now
	w.Attempt[why]++
	if _, known := w.Last[host]; known || len(w.Last) < maxRemembered {
		w.Last[host] = why
	}
}

func newInstance(app *App, id string, m *placement.Machine, ports []int, now time.Time) *Instance {
	return &Instance{ID: id, TaskID: id + "._app.1", AppID: app.ID, Version: app.Version, Config: app.VersionInfo.LastConfigChangeAt,
		AgentID: m.Agent.Value, Host: m.Host, Address: hostOf(m.Address), Ports: ports, Attributes: m.Attributes, Region: m.Region, Zone: m.Zone,
		Role: m.Role, State: staging, StagedAt: now}
}
