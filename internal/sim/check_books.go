package sim

import (
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	mastercore "github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/offers"
)

// booksBalance: on each agent, what tasks, executors and offers hold is what the
// master has booked, and no more than there is; scalars, ranges and sets alike (I1).
// What an agent reports of frameworks that were removed may come on top, until it
// has ended: Mesos offers it before.
func (c *checker) booksBalance(m *master, v *mastercore.View) {
	used, offered, ending := map[string]offers.Resources{}, map[string]offers.Resources{}, map[string]bool{}
	for _, f := range v.Frameworks {
		for _, t := range f.Tasks {
			if holds(t.GetState()) {
				c.add(used, t.AgentID.Value, t.Resources)
				ending[t.AgentID.Value] = ending[t.AgentID.Value] || c.removedF[f.ID()]
			}
		}
		for i := range f.Executors {
			c.add(used, f.Executors[i].AgentID, f.Executors[i].Info.Resources)
			ending[f.Executors[i].AgentID] = ending[f.Executors[i].AgentID] || c.removedF[f.ID()]
		}
		for _, o := range f.Offers {
			c.add(offered, o.AgentID.Value, o.Resources)
		}
	}
	for _, a := range v.Agents {
		id := a.ID()
		if !used[id].Equal(a.Used) {
			c.w.fail("I1", "%s: agent %s: tasks and executors hold %s, booked are %s", m.name, id, used[id], a.Used)
		}
		if !offered[id].Equal(a.Offered) {
			c.w.fail("I1", "%s: agent %s: offers hold %s, booked are %s", m.name, id, offered[id], a.Offered)
		}
		if sum := a.Used.Plus(a.Offered).Unallocated(); !ending[id] && !a.Total.Contains(sum) {
			c.w.fail("I1", "%s: agent %s: %s used and offered of %s", m.name, id, sum, a.Total)
		}
	}
}

// holds says whether a task in this state holds its resources.
func holds(s mesos.TaskState) bool { return !ended(s) && s != mesos.TASK_UNREACHABLE }

func (c *checker) add(sums map[string]offers.Resources, agent string, list []mesos.Resource) {
	r, err := offers.Parse(list)
	if err != nil {
		c.w.fail("I1", "resources that do not parse: %v", err)
	}
	sums[agent] = sums[agent].Plus(r)
}

// oneOfferPerResource: an offer belongs to a framework that is connected and to an
// agent that is; together with booksBalance, no resource is in two offers (I2).
func (c *checker) oneOfferPerResource(m *master, v *mastercore.View) {
	connected := map[string]bool{}
	for _, a := range v.Agents {
		connected[a.ID()] = a.Connected
	}
	live := c.views[m].offers
	clear(live)
	for _, f := range v.Frameworks {
		for _, o := range f.Offers {
			if live[o.ID.Value] != "" {
				c.w.fail("I2", "%s: offer %s is outstanding twice", m.name, o.ID.Value)
			}
			live[o.ID.Value] = f.ID()
			if !f.Connected || !f.Active {
				c.w.fail("I2", "%s: offer %s is outstanding for framework %s, which is not connected", m.name, o.ID.Value, f.ID())
			}
			if !connected[o.AgentID.Value] {
				c.w.fail("I2", "%s: offer %s is of agent %s, which is not connected", m.name, o.ID.Value, o.AgentID.Value)
			}
		}
	}
}

// voidOffersAreRescinded: an offer that its framework did not answer, and that is
// not outstanding any more, is rescinded, unless the framework's stream ended (I2).
func (c *checker) voidOffersAreRescinded(m *master, e mastercore.Event, effects []mastercore.Effect, before map[string]string) {
	settled := map[string]bool{}
	switch e := e.(type) {
	case mastercore.SchedulerSubscribed:
		return
	case mastercore.SchedulerCalled:
		if e.Call.Type == scheduler.Call_TEARDOWN {
			return
		}
		for _, id := range append(e.Call.GetAccept().GetOfferIDs(), e.Call.GetDecline().GetOfferIDs()...) {
			settled[id.Value] = true
		}
	}
	for _, x := range effects {
		if x, ok := x.(mastercore.SendEvent); ok && x.Event.Type == scheduler.Event_RESCIND {
			settled[x.Event.Rescind.OfferID.Value] = true
		}
	}
	connected := map[string]bool{}
	for _, f := range m.state.View().Frameworks {
		connected[f.ID()] = f.Connected
	}
	for id, framework := range before {
		if c.views[m].offers[id] == "" && !settled[id] && connected[framework] {
			c.w.fail("I2", "%s: offer %s of framework %s is void, and it is not told", m.name, id, framework)
		}
	}
}

// machinesSuffice: what really runs on a machine fits on it (I1). Frameworks that
// were removed do not count: their tasks are ending, and Mesos offers what they
// hold before they have.
func (c *checker) machinesSuffice(a *agent) {
	var sum offers.Resources
	for x := range c.live {
		if x.a != a || c.removedF[x.framework] {
			continue
		}
		for _, t := range x.tasks {
			if t.ended {
				continue
			}
			r, err := offers.Parse(t.info.Resources)
			if err != nil {
				c.w.fail("I1", "task %s: %v", t.info.TaskID.Value, err)
				return
			}
			sum = sum.Plus(r.Unallocated())
		}
	}
	if !a.total.Contains(sum) {
		c.w.fail("I1", "tasks on %s use %s of %s", a.name, sum, a.total)
	}
}

// withinBounds: what a master remembers stays within its limits (I13).
func (c *checker) withinBounds(m *master, v *mastercore.View) {
	bound := func(what string, n, most int) {
		if n > most {
			c.w.fail("I13", "%s: %d %s, the limit is %d", m.name, n, what, most)
		}
	}
	bound("completed frameworks", len(v.Completed), maxCompletedFrameworks)
	for _, f := range v.Frameworks {
		bound("completed tasks", len(f.Completed), maxCompletedTasks)
		bound("unreachable tasks", len(f.Unreachable), maxUnreachableTasks)
	}
}
