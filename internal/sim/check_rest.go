package sim

import (
	"fmt"
	"strings"

	mastercore "github.com/tombolo-project/tombolo/master/core"
)

// unrest says in one sentence what has not come to rest; empty when all has (I12):
// a master leads, every agent is registered, every framework is done, no task,
// offer, executor or reservation is left over that nobody needs.
func (c *checker) unrest() string {
	w := c.w
	if w.leader == nil || w.leader.state == nil {
		return "no master leads"
	}
	v := w.leader.state.View()
	var open []string
	say := func(format string, args ...any) { open = append(open, fmt.Sprintf(format, args...)) }
	for _, f := range w.frameworks {
		c.frameworkUnrest(f, say)
	}
	for _, f := range v.Frameworks {
		for _, t := range f.Tasks {
			say("task %s of framework %s is %s at the master", t.TaskID.Value, f.ID(), t.GetState())
		}
		for i := range f.Executors {
			say("executor %s of framework %s is left at the master", f.Executors[i].Info.ExecutorID.Value, f.ID())
		}
	}
	for _, a := range w.agents {
		c.agentUnrest(a, v, say)
	}
	c.nothingDropped(say)
	if len(open) > 5 {
		open = append(open[:5], fmt.Sprintf("and %d more", len(open)-5))
	}
	return strings.Join(open, "; ")
}

func (c *checker) frameworkUnrest(f *framework, say func(string, ...any)) {
	switch {
	case f.finished:
	case f.habits.tearsDown:
		say("framework %s (%s) has not ended", f.name, f.id)
	case !f.subscribed:
		say("framework %s (%s) is not subscribed", f.name, f.id)
	}
	for _, j := range f.jobs {
		if !j.done {
			state := "without an attempt"
			if a := f.current(j); a != nil {
				state = fmt.Sprintf("with task %s in %s on %s", a.id, a.state, a.agent)
			}
			say("job %s of framework %s is not done, %s", j.name, f.id, state)
		}
	}
}

func (c *checker) agentUnrest(a *agent, v *mastercore.View, say func(string, ...any)) {
	id := a.disk.info.GetID().GetValue()
	if id == "" {
		say("agent %s has no id", a.name)
		return
	}
	registered := false
	for _, x := range v.Agents {
		registered = registered || x.ID() == id && x.Connected && x.PID == a.upid
	}
	if !registered {
		say("agent %s (%s) is not registered", a.name, id)
	}
	if a.state == nil {
		say("agent %s is down", a.name)
		return
	}
	av := a.state.View()
	if !av.Registered {
		say("agent %s (%s) does not know that it is registered", a.name, id)
	}
	for _, f := range av.Frameworks {
		for _, x := range f.Executors {
			say("executor %s of framework %s is %s on %s", x.Info.ExecutorID.Value, f.Info.ID.GetValue(), x.State, a.name)
		}
	}
	for _, x := range a.containers {
		say("container of %s runs", x)
	}
}

// nothingDropped: what an agent has taken in from an executor reaches a framework
// that lives (I5). It holds when all has come to rest.
func (c *checker) nothingDropped(say func(string, ...any)) {
	living := map[string]bool{}
	for _, f := range c.w.frameworks {
		living[f.id] = !f.finished && !c.removedF[f.id]
	}
	for _, f := range c.w.frameworks {
		if !living[f.id] {
			continue
		}
		for _, a := range f.attempts {
			for i, uuid := range c.emitted[taskID{f.id, a.id}] {
				if _, waits := c.stored[uuid]; waits {
					say("framework %s was never told of update %d of task %s", f.id, i+1, a.id)
				}
			}
		}
	}
}
