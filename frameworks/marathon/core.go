package marathon

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Core is the whole state, and the only place where it changes. It is PURE: no clock, no I/O, no randomness but newID.
// Only the owner goroutine touches it. Apps, instances and deployments are immutable values, so that a copy of the maps
// is a snapshot.
type Core struct {
	newID func() string
	role  string

	frameworkID string
	apps        map[string]*App            // what is wanted, by id
	versions    map[string]map[string]*App // every remembered version, by app id and version
	deployments map[string]*Deployment
	instances   map[string]*Instance            // by instance id
	byApp       map[string]map[string]*Instance // the same, by app id
	failures    map[string]Failure              // the last one, by app id

	queue    map[string]*waiting // apps that wait for offers or for their back-off
	probes   map[probeKey]*probe
	appetite orders.Appetite

	now     time.Time // of the step in progress
	dirty   []store.Change
	effects []Effect
}

// Keys of the store.
const (
	keyFramework  = "framework"
	keyApp        = "app"         // app/product/web
	keyVersion    = "version"     // version/product/web@2026-01-01T...
	keyDeployment = "deployment/" // deployment/<id>
	keyInstance   = "instance/"   // instance/<instance id>
)

// maxVersions is how many versions of an app are remembered (Marathon: --zk_max_versions 50).
const maxVersions = 25

// NewCore makes a core of what the store holds. newID gives unique ids (UUIDs); role is the framework's role.
func NewCore(docs map[string][]byte, role string, newID func() string) (*Core, error) {
	c := &Core{newID: newID, role: role, apps: map[string]*App{}, versions: map[string]map[string]*App{},
		deployments: map[string]*Deployment{}, instances: map[string]*Instance{}, byApp: map[string]map[string]*Instance{},
		failures: map[string]Failure{}, queue: map[string]*waiting{}, probes: map[probeKey]*probe{}}
	for key, doc := range docs {
		if err := c.load(key, doc); err != nil {
			return nil, fmt.Errorf("stored document %s: %w", key, err)
		}
	}
	return c, nil
}

func (c *Core) load(key string, doc []byte) error {
	switch {
	case key == keyFramework:
		c.frameworkID = string(doc)
	case strings.HasPrefix(key, keyInstance):
		i := new(Instance)
		if err := json.Unmarshal(doc, i); err != nil {
			return err
		}
		c.index(i)
	case strings.HasPrefix(key, keyDeployment):
		d := new(Deployment)
		if err := json.Unmarshal(doc, d); err != nil {
			return err
		}
		c.deployments[d.ID] = d
	case strings.HasPrefix(key, keyApp+"/"), strings.HasPrefix(key, keyVersion+"/"):
		app := new(App)
		if err := json.Unmarshal(doc, app); err != nil {
			return err
		}
		c.remember(app)
		if strings.HasPrefix(key, keyApp+"/") {
			c.apps[app.ID] = app
		}
	default:
		return fmt.Errorf("unknown kind")
	}
	return nil
}

// FrameworkID is the id that the master gave us, "" before the first time.
func (c *Core) FrameworkID() string { return c.frameworkID }

// Changes hands over what has to be written since the last call (owner.Core).
func (c *Core) Changes() []store.Change {
	changes := c.dirty
	c.dirty = nil
	return changes
}

// Step takes one event in and returns the effects, which may happen only once Changes are durable (owner.Core).
func (c *Core) Step(now time.Time, event Event) ([]Effect, error) {
	c.now, c.effects = now, nil
	err := c.take(event)
	if err == nil {
		c.hunger()
	}
	return c.effects, err
}

func (c *Core) take(event Event) error {
	switch e := event.(type) {
	case service.Tick:
		c.tick()
	case service.Subscribed:
		c.subscribed(e.ID)
	case service.Disconnected:
		c.appetite.Disconnected()
	case service.Removed:
		c.removed()
	case service.Offered:
		c.offered(e.Offers)
	case service.Updated:
		c.updated(e.Status)
	case Probed:
		c.probed(e)
	case PutApps:
		return c.putApps(e)
	case DeleteApp:
		return c.deleteApp(e)
	case RestartApp:
		return c.restartApp(e)
	case KillInstances:
		return c.killInstances(e)
	case CancelDeployment:
		return c.cancelDeployment(e)
	case ResetDelay:
		return c.resetDelay(e.App)
	default:
		return fmt.Errorf("unknown event %T", event)
	}
	return nil
}

// tick does what only time brings: probes, kills that must be repeated, unreachable instances that expire.
func (c *Core) tick() {
	for _, id := range c.allApps() {
		c.settle(id)
	}
	for _, i := range c.instances {
		c.remindKill(i)
		c.limitStaging(i)
		c.dueProbes(i)
	}
	c.dropProbes()
}

// allApps are the apps that are wanted, have instances or are being deployed.
func (c *Core) allApps() []string {
	ids := map[string]bool{}
	for id := range c.apps {
		ids[id] = true
	}
	for id := range c.byApp {
		ids[id] = true
	}
	for _, d := range c.deployments {
		for _, a := range d.Actions {
			ids[a.App] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// settle lets plan compare an app with its instances and does what it decides.
func (c *Core) settle(id string) {
	app := c.apps[id]
	d := plan(app, c.instancesOf(id), c.checksOf, c.now)
	for _, gone := range d.forget {
		c.forget(c.instances[gone])
	}
	for _, victim := range d.kill {
		c.kill(c.instances[victim], "")
	}
	c.want(app, id, d.launch)
	if d.done {
		c.finishDeployments(id)
	}
}

func (c *Core) instancesOf(id string) []*Instance {
	list := make([]*Instance, 0, len(c.byApp[id]))
	for _, i := range c.byApp[id] {
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b *Instance) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// spec is the app version that the instance was launched with; nil only when the store lost it.
func (c *Core) spec(i *Instance) *App { return c.versions[i.AppID][i.Version] }

func (c *Core) checksOf(i *Instance) int {
	if app := c.spec(i); app != nil {
		return len(app.HealthChecks)
	}
	return 0
}

// index files an instance in memory only.
func (c *Core) index(i *Instance) {
	c.instances[i.ID] = i
	if c.byApp[i.AppID] == nil {
		c.byApp[i.AppID] = map[string]*Instance{}
	}
	c.byApp[i.AppID][i.ID] = i
}

// save files an instance and has it written.
func (c *Core) save(i *Instance) {
	c.index(i)
	c.dirty = append(c.dirty, store.Change{Key: keyInstance + i.ID, Value: mustJSON(i)})
}

// forget drops an instance, and the versions of its app that nothing refers to any more.
func (c *Core) forget(i *Instance) {
	delete(c.instances, i.ID)
	delete(c.byApp[i.AppID], i.ID)
	if len(c.byApp[i.AppID]) == 0 {
		delete(c.byApp, i.AppID)
	}
	c.dirty = append(c.dirty, store.Change{Key: keyInstance + i.ID})
	c.prune(i.AppID)
}

// remember files a version in memory only.
func (c *Core) remember(app *App) {
	if c.versions[app.ID] == nil {
		c.versions[app.ID] = map[string]*App{}
	}
	c.versions[app.ID][app.Version] = app
}

// saveApp makes app what is wanted.
func (c *Core) saveApp(app *App) {
	c.apps[app.ID] = app
	c.remember(app)
	doc := mustJSON(app)
	c.dirty = append(c.dirty, store.Change{Key: keyApp + app.ID, Value: doc},
		store.Change{Key: keyVersion + app.ID + "@" + app.Version, Value: doc})
	c.prune(app.ID)
}

func (c *Core) dropApp(id string) {
	delete(c.apps, id)
	delete(c.failures, id)
	c.dirty = append(c.dirty, store.Change{Key: keyApp + id})
	c.prune(id)
}

// prune forgets the oldest versions beyond maxVersions (all, for an app that is gone), but none that an instance uses.
func (c *Core) prune(id string) {
	used := map[string]bool{}
	for _, i := range c.byApp[id] {
		used[i.Version] = true
	}
	all := slices.Sorted(maps.Keys(c.versions[id]))
	keep := maxVersions
	if c.apps[id] == nil {
		keep = 0
	}
	for n, version := range all {
		if n < len(all)-keep && !used[version] {
			delete(c.versions[id], version)
			c.dirty = append(c.dirty, store.Change{Key: keyVersion + id + "@" + version})
		}
	}
	if len(c.versions[id]) == 0 {
		delete(c.versions, id)
	}
}

func (c *Core) subscribed(id mesos.FrameworkID) {
	c.appetite.Connected()
	if c.frameworkID != id.Value {
		c.frameworkID = id.Value
		c.dirty = append(c.dirty, store.Change{Key: keyFramework, Value: []byte(id.Value)})
	}
	c.effects = append(c.effects, Publish{"scheduler_registered_event", map[string]any{"frameworkId": id.Value}})
	for _, app := range c.allApps() {
		c.settle(app)
	}
}

// removed is the end of the framework as the master knows it: its tasks are dead and its id is of no more use. Apps
// stay wanted; the next start gets a new id.
func (c *Core) removed() {
	c.frameworkID = ""
	c.appetite.Disconnected()
	c.dirty = append(c.dirty, store.Change{Key: keyFramework})
	for _, i := range c.instances {
		c.forget(i)
	}
}

// hunger asks for offers when something waits for them and tells the master when nothing does.
func (c *Core) hunger() {
	wanted := 0
	for _, w := range c.queue {
		if !w.NotBefore.After(c.now) {
			wanted += w.Count
		}
	}
	if order := c.appetite.Decide(c.now, wanted); order != nil {
		c.effects = append(c.effects, order)
	}
}

// Tasks names the tasks of all instances (service.Core).
func (c *Core) Tasks() []scheduler.Call_Reconcile_Task {
	var tasks []scheduler.Call_Reconcile_Task
	for _, i := range c.instances {
		tasks = append(tasks, orders.Task(i.TaskID, i.AgentID))
	}
	return tasks
}
