package marathon

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// decision is what plan wants done for one app.
type decision struct {
	launch int      // instances that should be launched now, as offers allow
	kill   []string // instance ids
	forget []string // unreachable instances that are given up
	done   bool     // the app is what was asked: a deployment of it is over
}

// plan compares an app (nil: it should not exist) with its instances. It is PURE and level-triggered: asked again after
// every change, it performs starts, scaling, healing, stops and rolling upgrades alike.
//
// While instances of an older configuration exist it keeps two promises: never more instances than
// instances*(1+maximumOverCapacity), counting those that are dying, and it never kills one that takes the number of
// healthy instances below instances*minimumHealthCapacity, rounded up. If the two bounds leave no room, one instance
// more than wanted is allowed (as Marathon does).
func plan(app *App, instances []*Instance, checks func(*Instance) int, now time.Time) decision {
	if app == nil {
		return planStop(instances)
	}
	var d decision
	var fresh, old []*Instance // what should run on, and what should be replaced
	dying, oldExists := 0, false
	for _, i := range instances {
		outdated := i.Config != app.VersionInfo.LastConfigChangeAt
		switch {
		case i.expired(app.UnreachableStrategy, now) || i.State == unreachable && i.Killing:
			d.forget = append(d.forget, i.ID)
		case i.Killing:
			dying++
			oldExists = oldExists || outdated
		case i.inactive(app.UnreachableStrategy, now):
			// Replaced, and kept in mind until it expires or comes back.
		case outdated:
			oldExists = true
			old = append(old, i)
		default:
			fresh = append(fresh, i)
		}
	}
	most := math.MaxInt
	if oldExists {
		most = ceiling(app)
	}
	d.launch = max(0, min(app.Instances-len(fresh), most-len(fresh)-len(old)-dying))
	d.kill = append(surplus(app, fresh, checks), replaceable(app, fresh, old, checks)...)
	d.done = len(old) == 0 && dying == 0 && len(fresh) == app.Instances && d.launch == 0 && countHealthy(fresh, checks) == len(fresh)
	return d
}

// planStop ends everything; what can't be reached is given up, and killed if it ever comes back.
func planStop(instances []*Instance) decision {
	d := decision{done: len(instances) == 0}
	for _, i := range instances {
		switch {
		case i.State == unreachable:
			d.forget = append(d.forget, i.ID)
		case !i.Killing:
			d.kill = append(d.kill, i.ID)
		}
	}
	return d
}

// floor is how many instances must stay healthy during an upgrade.
func floor(app *App) int {
	return int(math.Ceil(float64(app.Instances)*app.UpgradeStrategy.MinimumHealthCapacity - 1e-9))
}

// ceiling is how many instances there may be during an upgrade.
func ceiling(app *App) int {
	most := int(float64(app.Instances)*(1+app.UpgradeStrategy.MaximumOverCapacity) + 1e-9)
	if floor(app) >= most && app.Instances > 0 {
		return most + 1
	}
	return most
}

func countHealthy(instances []*Instance, checks func(*Instance) int) int {
	n := 0
	for _, i := range instances {
		if i.health(checks(i)) == healthy {
			n++
		}
	}
	return n
}

// replaceable chooses the old instances that can go now: those that don't work at once, those of which nothing is known
// when enough others are healthy, and healthy ones as far as the floor allows.
func replaceable(app *App, fresh, old []*Instance, checks func(*Instance) int) []string {
	spare := countHealthy(fresh, checks) + countHealthy(old, checks) - floor(app)
	var kill []string
	for _, i := range killOrder(app, old, checks) {
		switch i.health(checks(i)) {
		case unhealthy:
			if i.State == unreachable && spare < 0 {
				continue // it may be serving on the other side of a partition
			}
		case unknown:
			if spare < 0 {
				continue
			}
		case healthy:
			if spare <= 0 {
				continue
			}
			spare--
		}
		kill = append(kill, i.ID)
	}
	return kill
}

// surplus chooses the up-to-date instances that are too many.
func surplus(app *App, fresh []*Instance, checks func(*Instance) int) []string {
	n := len(fresh) - app.Instances
	if n <= 0 {
		return nil
	}
	var kill []string
	for _, i := range killOrder(app, fresh, checks)[:n] {
		kill = append(kill, i.ID)
	}
	return kill
}

// killOrder sorts by who goes first: what does not work before what does, then by age as killSelection has it.
func killOrder(app *App, instances []*Instance, checks func(*Instance) int) []*Instance {
	sorted := slices.Clone(instances)
	worth := map[health]int{unhealthy: 0, unknown: 1, healthy: 2}
	slices.SortStableFunc(sorted, func(a, b *Instance) int {
		if c := cmp.Compare(worth[a.health(checks(a))], worth[b.health(checks(b))]); c != 0 {
			return c
		}
		if app.KillSelection == "OLDEST_FIRST" {
			a, b = b, a
		}
		if c := b.StagedAt.Compare(a.StagedAt); c != 0 {
			return c
		}
		return cmp.Compare(a.ID, b.ID)
	})
	return sorted
}
