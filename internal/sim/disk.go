package sim

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"github.com/mesos/mesos-go/api/v1/lib"

	agentcore "github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// disk is what an agent has written and finds again after any death of its process:
// the model of package agent/checkpoint.
type disk struct {
	info       *mesos.AgentInfo
	frameworks map[string]*frameworkDir
	// What is reserved and made, and operations whose results are not acknowledged; they outlive the agent's id.
	resources  []mesos.Resource
	operations []mesos.Operation
	epoch      epoch.Epoch // the newest that was obeyed
}

type frameworkDir struct {
	info      mesos.FrameworkInfo
	pid       string
	executors map[string]*executorDir
}

type executorDir struct {
	info      mesos.ExecutorInfo
	generated bool
	container string // the latest run
	tasks     map[string]*taskDir
}

type taskDir struct {
	task    mesos.Task
	limits  map[string]mesos.Value_Scalar
	updates []messages.StatusUpdate
	acked   int
	synced  int // acknowledgements that a loss of power leaves
}

func newDisk() *disk { return &disk{frameworks: map[string]*frameworkDir{}} }

// save carries out a Save effect; false when x is another effect.
func (d *disk) save(x agentcore.Effect) bool {
	switch x := x.(type) {
	case agentcore.SaveAgent:
		info := clone(&x.Info)
		d.info = info
	case agentcore.SaveFramework:
		f := d.framework(x.Info.ID.GetValue())
		f.info, f.pid = *clone(&x.Info), x.PID
	case agentcore.SaveExecutor:
		d.framework(x.Framework).executors[x.Info.ExecutorID.Value] = &executorDir{
			info: *clone(&x.Info), generated: x.Generated, container: x.Container, tasks: map[string]*taskDir{},
		}
	case agentcore.SaveTask:
		d.run(x.Run).tasks[x.Task.TaskID.Value] = &taskDir{task: *clone(&x.Task), limits: x.Limits}
	case agentcore.SaveUpdate:
		t := d.task(x.Run, x.Task)
		u := x.Update
		u.Status = *clone(&x.Update.Status)
		t.updates = append(t.updates, u)
		t.synced = t.acked // the file is synced as a whole
	case agentcore.SaveAck:
		t := d.task(x.Run, x.Task)
		if t.acked < len(t.updates) && bytes.Equal(t.updates[t.acked].UUID, x.UUID) {
			t.acked++
		}
	case agentcore.SaveEpoch:
		d.epoch = x.Epoch
	case agentcore.SaveResources:
		d.resources, d.operations = clones(x.Resources), clones(x.Operations)
	case agentcore.SaveDone:
		d.done(x.Run)
	default:
		return false
	}
	return true
}

func (d *disk) framework(id string) *frameworkDir {
	f := d.frameworks[id]
	if f == nil {
		f = &frameworkDir{executors: map[string]*executorDir{}}
		d.frameworks[id] = f
	}
	return f
}

func (d *disk) run(r agentcore.Run) *executorDir {
	x := d.framework(r.Framework).executors[r.Executor]
	if x == nil || x.container != r.Container {
		panic(fmt.Sprintf("sim: run %v is written to before it is begun", r))
	}
	return x
}

func (d *disk) task(r agentcore.Run, id string) *taskDir {
	t := d.run(r).tasks[id]
	if t == nil {
		panic(fmt.Sprintf("sim: task %s of run %v has updates before it is written", id, r))
	}
	return t
}

func (d *disk) done(r agentcore.Run) {
	f := d.framework(r.Framework)
	if x := f.executors[r.Executor]; x != nil && x.container == r.Container {
		delete(f.executors, r.Executor)
	}
	if len(f.executors) == 0 {
		delete(d.frameworks, r.Framework)
	}
}

// powerLoss forgets what was not synced.
func (d *disk) powerLoss() {
	for _, f := range d.frameworks {
		for _, x := range f.executors {
			for _, t := range x.tasks {
				t.acked = t.synced
			}
		}
	}
}

// containers are the runs that the disk knows.
func (d *disk) containers() map[string]bool {
	all := map[string]bool{}
	for _, f := range d.frameworks {
		for _, x := range f.executors {
			all[x.container] = true
		}
	}
	return all
}

// recover reads everything back; alive says which containers were found.
func (d *disk) recover(alive func(container string) bool) agentcore.Recovered {
	r := agentcore.Recovered{Resources: clones(d.resources), Operations: clones(d.operations), Epoch: d.epoch}
	if d.info == nil {
		return r
	}
	r.Info = clone(d.info)
	for _, fid := range slices.Sorted(maps.Keys(d.frameworks)) {
		f := d.frameworks[fid]
		rf := agentcore.RecoveredFramework{Info: *clone(&f.info), PID: f.pid}
		for _, eid := range slices.Sorted(maps.Keys(f.executors)) {
			rf.Executors = append(rf.Executors, f.executors[eid].recover(alive))
		}
		if len(rf.Executors) > 0 {
			r.Frameworks = append(r.Frameworks, rf)
		}
	}
	return r
}

func (x *executorDir) recover(alive func(string) bool) agentcore.RecoveredExecutor {
	re := agentcore.RecoveredExecutor{Info: *clone(&x.info), Generated: x.generated, Container: x.container, Alive: alive(x.container)}
	for _, tid := range slices.Sorted(maps.Keys(x.tasks)) {
		t := x.tasks[tid]
		rt := agentcore.RecoveredTask{Info: *clone(&t.task), Limits: t.limits, Acknowledged: t.acked}
		for _, u := range t.updates {
			u.Status = *clone(&u.Status)
			rt.Updates = append(rt.Updates, u)
		}
		re.Tasks = append(re.Tasks, rt)
	}
	return re
}

// forget makes the next start a new agent.
func (d *disk) forget() {
	d.info = nil
	clear(d.frameworks)
}

// clones copies a list of messages.
func clones[T any, P interface {
	*T
	wired
}](list []T) []T {
	var out []T
	for i := range list {
		out = append(out, *clone(P(&list[i])))
	}
	return out
}

// clone copies a message by its wire form.
func clone[T any, P interface {
	*T
	wired
}](m P) P {
	body, err := m.Marshal()
	if err != nil {
		panic(fmt.Sprintf("sim: encode %T: %v", m, err))
	}
	back := P(new(T))
	if err := back.Unmarshal(body); err != nil {
		panic(fmt.Sprintf("sim: decode %T: %v", m, err))
	}
	return back
}
