package marathon

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func noChecks(*Instance) int { return 0 }

func testApp(instances int, health, over float64) *App {
	app := newApp()
	app.ID, app.Cmd, app.Instances = "/web", "true", instances
	app.UpgradeStrategy = UpgradeStrategy{health, over}
	app.VersionInfo.LastConfigChangeAt = "new"
	return app
}

func fleet(config, state string, n int) []*Instance {
	var list []*Instance
	for i := range n {
		list = append(list, &Instance{ID: fmt.Sprintf("%s-%s-%d", config, state, i), Config: config, State: state})
	}
	return list
}

func join(lists ...[]*Instance) []*Instance {
	var all []*Instance
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

func TestPlan(t *testing.T) {
	dying := fleet("new", running, 1)
	dying[0].Killing = true
	lost := fleet("new", unreachable, 1)
	lost[0].Unreachable = noon.Add(-6 * time.Minute)
	gone := fleet("new", unreachable, 1)
	gone[0].Unreachable = noon.Add(-11 * time.Minute)
	for _, c := range []struct {
		name                 string
		app                  *App
		instances            []*Instance
		launch, kill, forget int
		done                 bool
	}{
		{"a start", testApp(3, 1, 1), nil, 3, 0, 0, false},
		{"on its way", testApp(3, 1, 1), fleet("new", staging, 3), 0, 0, 0, false},
		{"as asked", testApp(3, 1, 1), fleet("new", running, 3), 0, 0, 0, true},
		{"one died", testApp(3, 1, 1), fleet("new", running, 2), 1, 0, 0, false},
		{"scaled down", testApp(1, 1, 1), fleet("new", running, 3), 0, 2, 0, false},
		{"suspended", testApp(0, 1, 1), fleet("new", running, 2), 0, 2, 0, false},
		{"scaled down, and one still dies", testApp(0, 1, 1), dying, 0, 0, 0, false},
		{"deleted", nil, fleet("new", running, 3), 0, 3, 0, false},
		{"deleted and gone", nil, nil, 0, 0, 0, true},
		{"deleted behind a partition", nil, lost, 0, 0, 1, false},
		{"unreachable for long is replaced", testApp(1, 1, 1), lost, 1, 0, 0, false},
		{"unreachable for longer is forgotten", testApp(1, 1, 1), gone, 1, 0, 1, false},
		{"an upgrade begins with new ones", testApp(3, 1, 1), fleet("old", running, 3), 3, 0, 0, false},
		{"an upgrade without room gets room for one", testApp(3, 1, 0), fleet("old", running, 3), 1, 0, 0, false},
		{"an upgrade that may stop half", testApp(4, 0.5, 0), fleet("old", running, 4), 0, 2, 0, false},
		{"an upgrade that may stop all", testApp(3, 0, 0), fleet("old", running, 3), 0, 3, 0, false},
		{"a new one is up, an old one may go", testApp(3, 1, 0), join(fleet("old", running, 3), fleet("new", running, 1)), 0, 1, 0, false},
		{"old ones that never ran go at once", testApp(3, 1, 1), fleet("old", staging, 3), 3, 3, 0, false},
		{"upgraded", testApp(3, 1, 1), join(fleet("new", running, 3), fleet("old", running, 1)), 0, 1, 0, false},
	} {
		d := plan(c.app, c.instances, noChecks, noon)
		if d.launch != c.launch || len(d.kill) != c.kill || len(d.forget) != c.forget || d.done != c.done {
			t.Errorf("%s: got %+v", c.name, d)
		}
	}
}

// A rolling upgrade under any strategy, with instances that fail, die late and become healthy in any order: it never
// has more instances than allowed, never kills below the floor, and it ends.
func TestUpgradeKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		app := testApp(rapid.IntRange(1, 8).Draw(t, "instances"), rapid.Float64Range(0, 1).Draw(t, "health"), rapid.Float64Range(0, 1).Draw(t, "over"))
		app.HealthChecks = []HealthCheck{{}}
		check := func(*Instance) int { return 1 }
		yes, no := true, false
		live := fleet("old", running, app.Instances)
		for _, i := range live {
			i.Health = []Health{{Alive: &yes}}
		}
		serial := 0
		step := func(calm bool) decision {
			before := countHealthy(alive(live), check)
			d := plan(app, live, check, noon)
			for _, id := range d.kill {
				for _, i := range live {
					if i.ID == id {
						i.Killing = true
					}
				}
			}
			if after := countHealthy(alive(live), check); after < before && after < floor(app) {
				t.Fatalf("killed from %d healthy down to %d, the floor is %d", before, after, floor(app))
			}
			launch := d.launch
			if !calm {
				launch = rapid.IntRange(0, d.launch).Draw(t, "offers for")
			}
			for range launch {
				serial++
				live = append(live, &Instance{ID: fmt.Sprintf("new-%d", serial), Config: "new", State: staging})
			}
			if d.launch > 0 && len(live) > ceiling(app) {
				t.Fatalf("%d instances, the ceiling is %d", len(live), ceiling(app))
			}
			return d
		}
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			step(false)
			if len(live) == 0 {
				continue
			}
			n := rapid.IntRange(0, len(live)-1).Draw(t, "which")
			switch i := live[n]; rapid.SampledFrom([]string{"progress", "ill", "dies"}).Draw(t, "what") {
			case "progress":
				switch {
				case i.Killing:
					live = append(live[:n:n], live[n+1:]...)
				case i.State == staging:
					i.State = running
				default:
					i.Health = []Health{{Alive: &yes}}
				}
			case "ill":
				i.Health = []Health{{Alive: &no}}
			case "dies":
				live = append(live[:n:n], live[n+1:]...)
			}
		}
		for range 200 { // from here on everything goes well
			if step(true).done {
				return
			}
			var next []*Instance
			for _, i := range live {
				if !i.Killing {
					i.State, i.Health = running, []Health{{Alive: &yes}}
					next = append(next, i)
				}
			}
			live = next
		}
		t.Fatal("the upgrade does not end")
	})
}

func alive(list []*Instance) []*Instance {
	var rest []*Instance
	for _, i := range list {
		if !i.Killing {
			rest = append(rest, i)
		}
	}
	return rest
}
