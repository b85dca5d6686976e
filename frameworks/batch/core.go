package batch

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/placement"
	"github.com/tombolo-project/tombolo/frameworks/service"
	"github.com/tombolo-project/tombolo/frameworks/store"
)

// Core is the whole state. It is PURE; only the owner goroutine touches it.
type Core struct {
	frameworkID string
	jobs        map[string]*job
	tasks       map[string]*Task // the active ones, by Mesos task id
	appetite    orders.Appetite

	now     time.Time
	dirty   []store.Change
	effects []any
}

// job is a job and its tasks.
type job struct {
	Job                 // Counts are kept up to date
	tasks       []*Task // by index
	pending     []int   // indexes in the order in which they are to be launched
	lastRefused map[string]placement.Reason
}

// record is how a job is stored; tasks are stored once they have been tried.
type record struct {
	Job
}

// Keys of the store.
const (
	keyFramework = "framework"
	keyJob       = "job/"  // job/<id>
	keyTask      = "task/" // task/<job>/<index>
)

// The events that Step takes in, beside those of package service.
type (
	// Submit adds a job under an id that is new.
	Submit struct {
		ID   string
		Spec Spec
	}
	// Cancel ends a job; one that has ended is forgotten.
	Cancel struct{ ID string }
)

// NewCore makes a core of what the store holds.
func NewCore(docs map[string][]byte) (*Core, error) {
	c := &Core{jobs: map[string]*job{}, tasks: map[string]*Task{}}
	for key, doc := range docs {
		id, isJob := strings.CutPrefix(key, keyJob)
		if !isJob {
			continue
		}
		var r record
		if err := json.Unmarshal(doc, &r); err != nil {
			return nil, fmt.Errorf("stored document %s: %w", key, err)
		}
		c.jobs[id] = newJob(r.Job)
	}
	for key, doc := range docs {
		switch {
		case key == keyFramework:
			c.frameworkID = string(doc)
		case strings.HasPrefix(key, keyTask):
			t := new(Task)
			if err := json.Unmarshal(doc, t); err != nil {
				return nil, fmt.Errorf("stored document %s: %w", key, err)
			}
			j := c.jobs[t.Job]
			if j == nil || t.Index < 0 || t.Index >= len(j.tasks) {
				c.dirty = append(c.dirty, store.Change{Key: key}) // of a job that was being forgotten
				continue
			}
			j.tasks[t.Index] = t
			if t.State.active() {
				c.tasks[t.TaskID] = t
			}
		case !strings.HasPrefix(key, keyJob):
			return nil, fmt.Errorf("stored document %s: unknown kind", key)
		}
	}
	for _, j := range c.jobs {
		j.recount()
	}
	return c, nil
}

func newJob(description Job) *job {
	j := &job{Job: description, tasks: make([]*Task, description.Tasks), lastRefused: map[string]placement.Reason{}}
	for n := range j.tasks {
		j.tasks[n] = &Task{Job: j.ID, Index: n, State: TaskPending}
	}
	j.recount()
	return j
}

// recount makes Counts and pending of the tasks.
func (j *job) recount() {
	j.Counts, j.pending = Counts{}, nil
	for n, t := range j.tasks {
		if t.State == TaskPending && (j.State != JobRunning || j.Canceling) {
			canceled := *t
			canceled.State = TaskCanceled
			t, j.tasks[n] = &canceled, &canceled
		}
		*j.count(t.State)++
		if t.State == TaskPending {
			j.pending = append(j.pending, n)
		}
	}
}

func (j *job) count(s TaskState) *int {
	switch s {
	case TaskPending:
		return &j.Counts.Pending
	case TaskFinished:
		return &j.Counts.Finished
	case TaskFailed:
		return &j.Counts.Failed
	case TaskCanceled:
		return &j.Counts.Canceled
	}
	return &j.Counts.Active
}

// FrameworkID is the id that the master gave us, "" before the first time.
func (c *Core) FrameworkID() string { return c.frameworkID }

// Changes hands over what has to be written since the last call (owner.Core).
func (c *Core) Changes() []store.Change {
	changes := c.dirty
	c.dirty = nil
	return changes
}

// Step takes one event in and returns the orders that follow, to be carried out once Changes are durable (owner.Core).
func (c *Core) Step(now time.Time, event any) ([]any, error) {
	c.now, c.effects = now, nil
	var err error
	switch e := event.(type) {
	case service.Tick:
		c.tick()
	case service.Subscribed:
		c.appetite.Connected()
		if c.frameworkID != e.ID.Value {
			c.frameworkID = e.ID.Value
			c.dirty = append(c.dirty, store.Change{Key: keyFramework, Value: []byte(e.ID.Value)})
		}
	case service.Disconnected:
		c.appetite.Disconnected()
	case service.Removed:
		c.removed()
	case service.Offered:
		c.offered(e.Offers)
	case service.Updated:
		c.updated(e.Status)
	case Submit:
		err = c.submit(e)
	case Cancel:
		err = c.cancel(e.ID)
	default:
		err = fmt.Errorf("unknown event %T", event)
	}
	if err == nil {
		if order := c.appetite.Decide(now, c.launchable()); order != nil {
			c.order(order)
		}
	}
	return c.effects, err
}

func (c *Core) order(o any) { c.effects = append(c.effects, o) }

// launchable is how many tasks could be launched now, had they offers.
func (c *Core) launchable() int {
	sum := 0
	for _, j := range c.jobs {
		if room := j.room(); room > 0 {
			for _, n := range j.pending[:min(len(j.pending), 2*room)] {
				if !j.tasks[n].NotBefore.After(c.now) {
					sum++
				}
			}
		}
	}
	return sum
}

// room is how many more tasks may be active.
func (j *job) room() int {
	if j.State != JobRunning || j.Canceling {
		return 0
	}
	if j.Parallelism == 0 {
		return len(j.pending)
	}
	return min(len(j.pending), j.Parallelism-j.Counts.Active)
}

func (c *Core) submit(e Submit) error {
	if c.jobs[e.ID] != nil {
		return &Error{Conflict, fmt.Sprintf("there is a job %s already", e.ID)}
	}
	unfinished := 0
	for _, j := range c.jobs {
		if j.State == JobRunning {
			unfinished++
		}
	}
	if unfinished >= maxJobs {
		return &Error{Conflict, fmt.Sprintf("%d jobs are running or waiting, the most there can be; wait for one to end or cancel one", maxJobs)}
	}
	j := newJob(Job{ID: e.ID, Spec: e.Spec, State: JobRunning, Created: c.now})
	c.jobs[e.ID] = j
	c.saveJob(j)
	c.appetite.Renew()
	return nil
}

func (c *Core) saveJob(j *job) {
	c.dirty = append(c.dirty, store.Change{Key: keyJob + j.ID, Value: mustJSON(record{j.Job})})
}

// mustJSON is for our own types, which always marshal.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("batch: marshal %T: %v", v, err))
	}
	return data
}

// cancel ends a job: what waits is canceled at once, what is active is killed. A job that has ended is forgotten.
func (c *Core) cancel(id string) error {
	j := c.jobs[id]
	switch {
	case j == nil:
		return &Error{NotFound, fmt.Sprintf("there is no job %s", id)}
	case j.State != JobRunning:
		c.forget(j)
		return nil
	case j.Canceling:
		return nil
	}
	j.Canceling = true
	for n, t := range j.tasks {
		switch {
		case t.State == TaskPending:
			next := *t
			next.State = TaskCanceled
			c.put(j, &next, t.Attempt > 0)
		case t.State == TaskUnreachable:
			next := *t
			next.State, next.Ended = TaskCanceled, c.now // killed if it ever comes back
			c.put(j, &next, true)
		case t.State.active():
			c.kill(j, j.tasks[n])
		}
	}
	j.pending = nil
	c.saveJob(j)
	c.finish(j)
	return nil
}

// put replaces a task, keeps the counts right and has it written.
func (c *Core) put(j *job, t *Task, write bool) {
	before := j.tasks[t.Index]
	*j.count(before.State)--
	*j.count(t.State)++
	j.tasks[t.Index] = t
	if before.State.active() && (!t.State.active() || before.TaskID != t.TaskID) {
		delete(c.tasks, before.TaskID)
	}
	if t.State.active() {
		c.tasks[t.TaskID] = t
	}
	if write {
		c.dirty = append(c.dirty, store.Change{Key: fmt.Sprintf("%s%s/%d", keyTask, j.ID, t.Index), Value: mustJSON(t)})
	}
}

func (c *Core) kill(j *job, t *Task) {
	next := *t
	next.Killing, next.KillSent = true, c.now
	c.put(j, &next, true)
	c.order(orders.Kill{Task: t.TaskID, Agent: t.AgentID})
}

// finish ends the job when all its tasks have ended.
func (c *Core) finish(j *job) {
	if j.State != JobRunning || j.Counts.Pending+j.Counts.Active > 0 {
		return
	}
	switch {
	case j.Counts.Finished == j.Tasks:
		j.State = JobFinished
	case j.Canceling:
		j.State = JobCanceled
	default:
		j.State = JobFailed
	}
	j.Ended, j.Canceling = c.now, false
	c.saveJob(j)
	c.forgetOldest()
}

func (c *Core) forgetOldest() {
	var ended []*job
	for _, j := range c.jobs {
		if j.State != JobRunning {
			ended = append(ended, j)
		}
	}
	slices.SortFunc(ended, func(a, b *job) int { return a.Ended.Compare(b.Ended) })
	for len(ended) > maxEndedJobs {
		c.forget(ended[0])
		ended = ended[1:]
	}
}

func (c *Core) forget(j *job) {
	delete(c.jobs, j.ID)
	for _, t := range j.tasks {
		if t.Attempt > 0 {
			c.dirty = append(c.dirty, store.Change{Key: fmt.Sprintf("%s%s/%d", keyTask, j.ID, t.Index)})
		}
	}
	c.dirty = append(c.dirty, store.Change{Key: keyJob + j.ID})
}

// removed is the end of the framework as the master knows it: its tasks are dead and are tried again by the next one.
func (c *Core) removed() {
	c.frameworkID = ""
	c.appetite.Disconnected()
	c.dirty = append(c.dirty, store.Change{Key: keyFramework})
	for _, id := range slices.Sorted(maps.Keys(c.tasks)) {
		t := c.tasks[id]
		c.lost(c.jobs[t.Job], *t, "the master removed the framework")
	}
}

// ordered are the jobs that have not ended, oldest first.
func (c *Core) ordered() []*job {
	var list []*job
	for _, j := range c.jobs {
		if j.State == JobRunning {
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(a, b *job) int {
		if n := a.Created.Compare(b.Created); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Tasks names the active tasks (service.Core).
func (c *Core) Tasks() []scheduler.Call_Reconcile_Task {
	var tasks []scheduler.Call_Reconcile_Task
	for id, t := range c.tasks {
		tasks = append(tasks, orders.Task(id, t.AgentID))
	}
	return tasks
}
