package sim

import (
	"fmt"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/offers"
)

// considerOffers uses what it can of the offers at hand and declines the rest.
func (f *framework) considerOffers() {
	if !f.subscribed {
		return
	}
	list := f.offers
	f.offers = nil
	var unwanted []mesos.OfferID
	for i := range list {
		o := &list[i]
		tasks := f.fill(o)
		if len(tasks) == 0 {
			unwanted = append(unwanted, o.ID)
			continue
		}
		if !f.accept(o, tasks) {
			return // it died on the way
		}
	}
	if len(unwanted) > 0 {
		f.call(&scheduler.Call{Type: scheduler.Call_DECLINE, Decline: &scheduler.Call_Decline{OfferIDs: unwanted, Filters: f.filters()}})
	}
}

func (f *framework) filters() *mesos.Filters {
	if f.w.chance(30) {
		return nil
	}
	seconds := []float64{0, 1, 5, 30}[f.w.rng.IntN(4)]
	return &mesos.Filters{RefuseSeconds: &seconds}
}

// fill chooses tasks for an offer and stores the decision.
func (f *framework) fill(o *mesos.Offer) []mesos.TaskInfo {
	if f.habits.picky && !f.w.calm && f.w.chance(40) {
		return nil
	}
	left, err := offers.Parse(o.Resources)
	if err != nil {
		f.w.fail("sim", "offer %s: %v", o.ID.Value, err)
		return nil
	}
	left = left.Unallocated()
	if f.habits.executors != commandTasks { // room for the executor
		var ok bool
		if left, ok = take(left, f.executorResources()); !ok {
			return nil
		}
	}
	var tasks []mesos.TaskInfo
	for _, j := range f.pending() {
		text := j.resources
		if j.port {
			p, ok := f.port(left)
			if !ok {
				continue
			}
			text += fmt.Sprintf(";ports:[%d-%d]", p, p)
		}
		rest, ok := take(left, text)
		if !ok {
			continue
		}
		left = rest
		tasks = append(tasks, f.task(j, o, text))
		if !f.habits.greedy {
			break
		}
	}
	return tasks
}

// executorResources are what its own executor needs; one for groups must have disk (reference row TG-01).
func (f *framework) executorResources() string {
	if f.habits.executors == taskGroups {
		return "cpus:0.1;mem:32;disk:1"
	}
	return "cpus:0.1;mem:32"
}

// take subtracts what a text names.
func take(from offers.Resources, text string) (offers.Resources, bool) {
	r, err := offers.ParseText(text, "*")
	if err != nil {
		panic(err)
	}
	if !from.Contains(r) {
		return from, false
	}
	rest, err := from.Minus(r)
	return rest, err == nil
}

// port chooses a port of an offer.
func (f *framework) port(r offers.Resources) (uint64, bool) {
	for _, x := range r.Mesos() {
		if x.Name == "ports" && x.Ranges != nil && len(x.Ranges.Range) > 0 {
			g := x.Ranges.Range[f.w.rng.IntN(len(x.Ranges.Range))]
			return g.Begin + f.w.rng.Uint64N(g.End-g.Begin+1), true
		}
	}
	return 0, false
}

// task is a new attempt at a job; its id is never used again.
func (f *framework) task(j *job, o *mesos.Offer, resources string) mesos.TaskInfo {
	j.attempts++
	a := &attempt{id: fmt.Sprintf("%s-%d", j.name, j.attempts), job: j, agent: o.AgentID.Value, state: mesos.TASK_STAGING}
	f.attempts = append(f.attempts, a)
	r, err := offers.ParseText(resources, "*")
	if err != nil {
		panic(err)
	}
	t := mesos.TaskInfo{Name: j.name, TaskID: mesos.TaskID{Value: a.id}, AgentID: o.AgentID, Resources: r.Mesos()}
	value := "run"
	switch f.habits.executors {
	case commandTasks:
		t.Command = &mesos.CommandInfo{Value: &value}
	case ownExecutor:
		t.Executor = f.executor()
	}
	return t
}

func (f *framework) executor() *mesos.ExecutorInfo {
	r, err := offers.ParseText(f.executorResources(), "*")
	if err != nil {
		panic(err)
	}
	value := "executor"
	return &mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: "x-" + f.name}, FrameworkID: &mesos.FrameworkID{Value: f.id},
		Command: &mesos.CommandInfo{Value: &value}, Resources: r.Mesos(),
	}
}

// accept launches tasks; false when the scheduler died between its store and the call.
func (f *framework) accept(o *mesos.Offer, tasks []mesos.TaskInfo) bool {
	if f.w.strikes(SchedulerCrashMidway, 80) {
		f.crash("midway")
		f.w.after(f.w.upTo(f.downTime()), f.boot)
		return false
	}
	op := mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks}}
	if f.habits.executors == taskGroups {
		op = mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP, LaunchGroup: &mesos.Offer_Operation_LaunchGroup{
			Executor: *f.executor(), TaskGroup: mesos.TaskGroupInfo{Tasks: tasks},
		}}
	}
	f.call(&scheduler.Call{Type: scheduler.Call_ACCEPT, Accept: &scheduler.Call_Accept{
		OfferIDs: []mesos.OfferID{o.ID}, Operations: []mesos.Offer_Operation{op}, Filters: f.filters(),
	}})
	return true
}

// zombie is the last word of an instance that was taken over and does not know: it
// uses an offer on its old stream. Its tasks are in the store, as those of any instance.
func (f *framework) zombie(old *stream, list []mesos.Offer) {
	if !f.up || old.broken || f.id == "" {
		return
	}
	for i := range list {
		tasks := f.fill(&list[i])
		if len(tasks) == 0 {
			continue
		}
		c := &scheduler.Call{Type: scheduler.Call_ACCEPT, FrameworkID: &mesos.FrameworkID{Value: f.id}, Accept: &scheduler.Call_Accept{
			OfferIDs:   []mesos.OfferID{list[i].ID},
			Operations: []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: tasks}}},
		}}
		f.request(old, c)
		return
	}
}
