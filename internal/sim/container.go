package sim

import (
	"maps"
	"slices"
	"time"

	agentcore "github.com/tombolo-project/tombolo/agent/core"
)

// startContainer brings an executor up beside the agent's owner.
func (a *agent) startContainer(c agentcore.StartContainer) {
	w := a.w
	a.launching[c.Container] = true
	a.after(w.between(time.Millisecond, 300*time.Millisecond), func() {
		wanted := a.launching[c.Container]
		delete(a.launching, c.Container)
		switch {
		case !wanted:
			a.feed(agentcore.ContainerFailed{Container: c.Container, Message: "stopped before it started"})
		case w.strikes(ContainerFailed, 80):
			a.feed(agentcore.ContainerFailed{Container: c.Container, Message: "no luck", NoSandbox: w.chance(50)})
		default:
			x := newExecutor(a, c)
			a.containers[c.Container] = x
			x.run()
			a.after(w.upTo(5*time.Millisecond), func() { a.feed(agentcore.ContainerStarted{Container: c.Container, PID: 4711}) })
		}
	})
}

// destroy kills a container, or has one stopped that is on its way.
func (a *agent) destroy(id string) {
	if _, on := a.launching[id]; on {
		a.launching[id] = false
		return
	}
	x := a.containers[id]
	if x == nil {
		return
	}
	status := 9
	a.w.after(a.w.upTo(20*time.Millisecond), func() {
		if a.containers[id] == x {
			x.exit(&status, "destroyed")
		}
	})
}

// containerEnded is told by an executor that has gone: now, or when the agent is back.
func (a *agent) containerEnded(id string, status *int) {
	delete(a.containers, id)
	if !a.up {
		a.ended[id] = status
		return
	}
	life := a.life
	a.w.after(a.w.upTo(10*time.Millisecond), func() {
		if a.life != life { // it died before it saw it
			if a.disk.containers()[id] {
				a.lateEnd(id, status)
			}
			return
		}
		a.take(func() { a.feed(agentcore.ContainerExited{Container: id, Status: status}) })
	})
}

// lateEnd reports an end that an earlier life of the agent missed.
func (a *agent) lateEnd(id string, status *int) {
	if !a.up {
		a.ended[id] = status
		return
	}
	a.take(func() { a.feed(agentcore.ContainerExited{Container: id, Status: status}) })
}

// executors lists what runs here, in a fixed order.
func (a *agent) executors() []*executor {
	var all []*executor
	for _, id := range slices.Sorted(maps.Keys(a.containers)) {
		all = append(all, a.containers[id])
	}
	return all
}
