package batch

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/frameworks/orders"
	"github.com/tombolo-project/tombolo/frameworks/placement"
)

// maxRemembered limits the machines whose refusal a job remembers.
const maxRemembered = 200

// offered launches tasks on offers, one of each job in turn, until nothing fits any more; every offer is answered.
func (c *Core) offered(offers []mesos.Offer) {
	machines := placement.Group(offers)
	launched := map[*placement.Machine][]mesos.TaskInfo{}
	jobs := slices.DeleteFunc(c.ordered(), func(j *job) bool { return j.room() <= 0 })
	waiting := len(jobs) > 0
	for round := 0; len(jobs) > 0; round++ {
		jobs = slices.DeleteFunc(jobs, func(j *job) bool {
			m, task := c.launchOne(j, machines, round)
			if task == nil {
				return true
			}
			launched[m] = append(launched[m], *task)
			return j.room() <= 0
		})
	}
	for _, m := range machines {
		switch {
		case len(launched[m]) > 0:
			c.order(orders.Accept{Offers: m.Offers, Tasks: launched[m], Refuse: orders.RefuseRest})
		case waiting:
			c.order(orders.Decline{Offers: m.Offers, Refuse: orders.RefuseUnfit})
		default:
			c.order(orders.Decline{Offers: m.Offers, Refuse: orders.RefuseIdle})
		}
	}
}

// launchOne places the job's next task on the first machine that fits, beginning with another one in each round.
func (c *Core) launchOne(j *job, machines []*placement.Machine, round int) (*placement.Machine, *mesos.TaskInfo) {
	position := slices.IndexFunc(j.pending, func(n int) bool { return !j.tasks[n].NotBefore.After(c.now) })
	if position < 0 {
		return nil, nil
	}
	var others []placement.Reader
	if len(j.Constraints) > 0 {
		for _, t := range j.tasks {
			if t.State.active() {
				others = append(others, t.place)
			}
		}
	}
	for n := range machines {
		m := machines[(n+round)%len(machines)]
		resources, why := fit(j, m, others)
		if why != "" {
			if _, known := j.lastRefused[m.Host]; known || len(j.lastRefused) < maxRemembered {
				j.lastRefused[m.Host] = why
			}
			continue
		}
		delete(j.lastRefused, m.Host)
		next := *j.tasks[j.pending[position]]
		j.pending = slices.Delete(j.pending, position, position+1)
		next.Attempt++
		next.State, next.TaskID = TaskLaunched, fmt.Sprintf("%s.%d.%d", j.ID, next.Index, next.Attempt)
		next.AgentID, next.Host, next.Address = m.Agent.Value, m.Host, m.Address
		next.Attributes, next.Region, next.Zone = m.Attributes, m.Region, m.Zone
		next.Launched = c.now
		next.Started, next.Ended, next.NotBefore, next.KillSent = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		c.put(j, &next, true)
		c.appetite.Served()
		return m, taskInfo(j, &next, resources)
	}
	return nil, nil
}

func fit(j *job, m *placement.Machine, others []placement.Reader) ([]mesos.Resource, placement.Reason) {
	if !placement.AllowAll(j.Constraints, m.Field, others, j.Tasks) {
		return nil, placement.UnfulfilledConstraint
	}
	if m.Draining {
		return nil, placement.AgentMaintenance
	}
	resources, _, why := m.Take(placement.Ask{Cpus: j.Cpus, Mem: j.Mem, Disk: j.Disk})
	return resources, why
}

// taskInfo is the Mesos task of a try: a command task, run by the agent's command executor.
func taskInfo(j *job, t *Task, resources []mesos.Resource) *mesos.TaskInfo {
	shell := false
	index := strconv.Itoa(t.Index)
	env := map[string]string{"TASK_INDEX": index, "BATCH_TASK_INDEX": index, "BATCH_TASK_COUNT": strconv.Itoa(j.Tasks),
		"BATCH_JOB_ID": j.ID, "BATCH_JOB_NAME": j.Name, "BATCH_TASK_ATTEMPT": strconv.Itoa(t.Attempt), "MESOS_TASK_ID": t.TaskID}
	maps.Copy(env, j.Env)
	command := &mesos.CommandInfo{Shell: &shell, Value: &j.Command[0], Arguments: j.Command, Environment: &mesos.Environment{}}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		value := env[name]
		command.Environment.Variables = append(command.Environment.Variables, mesos.Environment_Variable{Name: name, Value: &value})
	}
	if j.User != "" {
		command.User = &j.User
	}
	for _, uri := range j.URIs {
		command.URIs = append(command.URIs, mesos.CommandInfo_URI{Value: uri})
	}
	return &mesos.TaskInfo{Name: fmt.Sprintf("%s.%d", j.Name, t.Index), TaskID: mesos.TaskID{Value: t.TaskID},
		AgentID: mesos.AgentID{Value: t.AgentID}, Resources: resources, Command: command}
}
