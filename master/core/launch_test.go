package core

import (
	"math"
	"strings"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// launchWorld has a framework with a running task and a running custom executor, and an offer of the rest.
func launchWorld(t *testing.T) (*world, *testAgent, *testScheduler, mesos.Offer) {
	t.Helper()
	w := newWorld(t)
	a := w.agent("cpus:8;mem:8192;disk:4096;gpus:2;ports:[31000-32000]")
	f := w.subscribe(named("f", mesos.FrameworkInfo_Capability_GPU_RESOURCES))
	o := f.offer()
	first := command("running", o, "cpus:1;mem:32")
	first.Command, first.Executor = nil, custom("busy")
	f.accept(0, o, launch(first))
	return w, a, f, f.offer()
}

// custom is a custom executor.
func custom(id string) *mesos.ExecutorInfo {
	value := "exec"
	return &mesos.ExecutorInfo{
		Type: mesos.ExecutorInfo_CUSTOM, ExecutorID: mesos.ExecutorID{Value: id}, Command: &mesos.CommandInfo{Value: &value},
		Resources: resources("cpus:0.1;mem:32;disk:32"),
	}
}

func secret(t mesos.Secret_Type) *mesos.Secret { return &mesos.Secret{Type: t} }

func environment(v mesos.Environment_Variable) *mesos.Environment {
	v.Name = "A"
	return &mesos.Environment{Variables: []mesos.Environment_Variable{v}}
}

func ranged(begin, end uint64) mesos.Resource {
	return mesos.Resource{Name: "ports", Type: mesos.RANGES.Enum(), Ranges: &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: begin, End: end}}}}
}

func sharing(share bool) *mesos.ContainerInfo {
	return &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), LinuxInfo: &mesos.LinuxInfo{ShareCgroups: &share}}
}

// What Mesos says to tasks of LAUNCH that it refuses, row by row.
func TestTV_TextsOfRefusals(t *testing.T) {
	value, valueType, secretType := "v", mesos.Environment_Variable_VALUE, mesos.Environment_Variable_SECRET
	with := func(x *mesos.ExecutorInfo) func(*mesos.TaskInfo) {
		return func(t *mesos.TaskInfo) { t.Command, t.Executor = nil, x }
	}
	changed := func(change func(*mesos.ExecutorInfo)) func(*mesos.TaskInfo) {
		x := custom("new")
		change(x)
		return with(x)
	}
	cases := []struct {
		row, want string
		change    func(*mesos.TaskInfo)
	}{
		{"TV-04", "`max_completion_time` must be non-negative", func(x *mesos.TaskInfo) { x.MaxCompletionTime = &mesos.DurationInfo{Nanoseconds: -1} }},
		{"TV-05", "HealthCheck must specify 'type'", func(x *mesos.TaskInfo) { x.HealthCheck = &mesos.HealthCheck{} }},
		{"TV-05", "CheckInfo must specify 'type'", func(x *mesos.TaskInfo) { x.Check = &mesos.CheckInfo{} }},
		{"TV-05", "Command health check must contain 'shell command'", func(x *mesos.TaskInfo) { x.HealthCheck = &mesos.HealthCheck{Command: &mesos.CommandInfo{}} }},
		{"TV-06", "must be an unsigned integer", func(x *mesos.TaskInfo) { x.Resources = resources("cpus:1;gpus:0.5") }},
		{"TV-06", "DiskInfo is set but empty", func(x *mesos.TaskInfo) {
			x.Resources = append(x.Resources, resources("disk:10")...)
			x.Resources[2].Disk = &mesos.Resource_DiskInfo{}
		}},
		{"TV-06", "cannot be created from unreserved", func(x *mesos.TaskInfo) {
			x.Resources = append(x.Resources, resources("disk:10")...)
			x.Resources[2].Disk = &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: "p"}, Volume: &mesos.Volume{ContainerPath: "p", Mode: mesos.RW.Enum()}}
		}},
		{"TV-06", "Invalid scalar resource: value <= 0", func(x *mesos.TaskInfo) { x.Resources[0].Scalar.Value = -1 }},
		{"TV-06", "both revocable and non-revocable 'cpus'", func(x *mesos.TaskInfo) {
			x.Resources = append(x.Resources, x.Resources[0])
			x.Resources[2].Revocable = &mesos.Resource_RevocableInfo{}
		}},
		{"TV-07", "of type 'VALUE' must have a value", func(x *mesos.TaskInfo) {
			x.Command.Environment = environment(mesos.Environment_Variable{Type: &valueType})
		}},
		{"TV-07", "of type 'SECRET' must not have a value", func(x *mesos.TaskInfo) {
			x.Command.Environment = environment(mesos.Environment_Variable{Type: &secretType, Value: &value, Secret: secret(mesos.Secret_VALUE)})
		}},
		{"TV-07", "must have the 'reference' field", func(x *mesos.TaskInfo) {
			x.Command.Environment = environment(mesos.Environment_Variable{Type: &secretType, Secret: secret(mesos.Secret_REFERENCE)})
		}},
		{"TV-07", "null bytes", func(x *mesos.TaskInfo) {
			x.Command.Environment = environment(mesos.Environment_Variable{Type: &secretType, Secret: &mesos.Secret{Type: mesos.Secret_VALUE, Value: &mesos.Secret_Value{Data: []byte("a\x00b")}}})
		}},
		{"TV-08", "'docker' is not set", func(x *mesos.TaskInfo) { x.Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_DOCKER.Enum()} }},
		{"TV-09", "a memory request must also be specified", func(x *mesos.TaskInfo) {
			x.Resources, x.Limits = resources("cpus:1"), map[string]mesos.Value_Scalar{"mem": {Value: math.Inf(1)}}
		}},
		{"TV-09", "greater than or equal to the memory request", func(x *mesos.TaskInfo) { x.Limits = map[string]mesos.Value_Scalar{"mem": {Value: 31}} }},
		{"TV-11", "'ExecutorInfo.command' must be set for 'CUSTOM'", changed(func(x *mesos.ExecutorInfo) { x.Command = nil })},
		{"TV-11", "invalid FrameworkID", changed(func(x *mesos.ExecutorInfo) { x.FrameworkID = &mesos.FrameworkID{Value: "other"} })},
		{"TV-11", "not compatible with existing", with(func() *mesos.ExecutorInfo { x := custom("busy"); x.Resources = resources("cpus:0.2;mem:32"); return x }())},
		{"TV-11", "'shutdown_grace_period' must be non-negative", changed(func(x *mesos.ExecutorInfo) { x.ShutdownGracePeriod = &mesos.DurationInfo{Nanoseconds: -1} })},
		{"TV-11", "cannot be set to 'true' on executor containers", changed(func(x *mesos.ExecutorInfo) { x.Container = sharing(true) })},
		{"TV-12", "overlapping resources", func(x *mesos.TaskInfo) {
			x.Resources = append(x.Resources, ranged(31000, 31005))
			x.Command, x.Executor = nil, custom("new")
			x.Executor.Resources = append(x.Executor.Resources, ranged(31005, 31006))
		}},
		{"TV-12", "is more than available", changed(func(x *mesos.ExecutorInfo) { x.Resources = resources("cpus:6.9;mem:32") })},
		{"TV-13", "'share_cgroups' set to 'false'", func(x *mesos.TaskInfo) { x.Container = sharing(false) }},
	}
	for _, c := range cases {
		_, _, f, o := launchWorld(t)
		x := command("t", o, "cpus:1;mem:32")
		c.change(&x)
		f.accept(0, o, launch(x))
		if s := f.update("t"); s.GetState() != mesos.TASK_ERROR || s.GetReason() != mesos.REASON_TASK_INVALID || !strings.Contains(s.GetMessage(), c.want) {
			t.Errorf("%s: %v, want %q", c.row, s, c.want)
		}
	}
}

// What is right, and arrives at the agent.
func TestTV_WhatIsAccepted(t *testing.T) {
	for name, change := range map[string]func(*mesos.TaskInfo){
		"TV-05 health check without type": func(x *mesos.TaskInfo) {
			value := "true"
			x.HealthCheck = &mesos.HealthCheck{Command: &mesos.CommandInfo{Value: &value}}
		},
		"TV-09 no limit of memory": func(x *mesos.TaskInfo) {
			x.Limits = map[string]mesos.Value_Scalar{"cpus": {Value: 1}, "mem": {Value: math.Inf(1)}}
		},
		"TV-06 gpus":              func(x *mesos.TaskInfo) { x.Resources = resources("cpus:1;gpus:2") },
		"TV-11 the same executor": func(x *mesos.TaskInfo) { x.Command, x.Executor = nil, custom("busy") },
		"TV-11 little":            func(x *mesos.TaskInfo) { x.Command, x.Executor = nil, custom("e"); x.Executor.Resources = nil },
		"TV-04 forever":           func(x *mesos.TaskInfo) { x.MaxCompletionTime = &mesos.DurationInfo{} },
	} {
		_, a, f, o := launchWorld(t)
		x := command("t", o, "cpus:1;mem:32")
		change(&x)
		f.accept(0, o, launch(x))
		m := lastSent[*messages.RunTaskMessage](a)
		if m == nil || m.Task.TaskID.Value != "t" {
			t.Errorf("%s: refused: %v", name, f.update("t"))
			continue
		}
		if h := m.Task.HealthCheck; h != nil && h.Type != mesos.HealthCheck_COMMAND {
			t.Errorf("%s: the agent is sent %v", name, h)
		}
		if m.Task.Executor != nil && m.Task.Executor.FrameworkID.GetValue() != f.id {
			t.Errorf("%s: the executor has no framework id", name)
		}
	}
}

// What Mesos says to groups that it refuses.
func TestTG_TextsOfRefusals(t *testing.T) {
	type group = mesos.Offer_Operation_LaunchGroup
	docker := &mesos.ContainerInfo{Type: mesos.ContainerInfo_DOCKER.Enum(), Docker: &mesos.ContainerInfo_DockerInfo{Image: "i"}}
	cases := []struct {
		row, want string
		change    func(*group)
	}{
		{"TG-01", "'ExecutorInfo.type' must be set", func(g *group) { g.Executor.Type = mesos.ExecutorInfo_UNKNOWN }},
		{"TG-01", "'ExecutorInfo.framework_id' must be set", func(g *group) { g.Executor.FrameworkID = nil }},
		{"TG-01", "'ExecutorInfo.command' must not be set", func(g *group) { g.Executor.Command = &mesos.CommandInfo{} }},
		{"TG-01", "'ExecutorInfo.container.type' must be 'MESOS'", func(g *group) { g.Executor.Container = docker }},
		{"TG-01", "uses less CPUs (None)", func(g *group) { g.Executor.Resources = resources("mem:32;disk:32") }},
		{"TG-01", "uses less memory (31MB)", func(g *group) { g.Executor.Resources = resources("cpus:0.1;mem:31;disk:32") }},
		{"TG-01", "uses no disk", func(g *group) { g.Executor.Resources = resources("cpus:0.1;mem:32") }},
		{"TG-02", "different from executor", func(g *group) { g.TaskGroup.Tasks[1].Executor = custom("g") }},
		{"TG-02", "Docker ContainerInfo is not supported on the task", func(g *group) { g.TaskGroup.Tasks[1].Container = docker }},
		{"TG-02", "not joining parent's network", func(g *group) {
			g.TaskGroup.Tasks[0].HealthCheck = &mesos.HealthCheck{Type: mesos.HealthCheck_TCP, TCP: &mesos.HealthCheck_TCPCheckInfo{Port: 1}}
			g.TaskGroup.Tasks[0].Container = &mesos.ContainerInfo{Type: mesos.ContainerInfo_MESOS.Enum(), NetworkInfos: []mesos.NetworkInfo{{}}}
		}},
		{"TG-02", "HealthCheck must specify 'type'", func(g *group) {
			value := "true"
			g.TaskGroup.Tasks[0].HealthCheck = &mesos.HealthCheck{Command: &mesos.CommandInfo{Value: &value}}
		}},
		{"TG-02", "Resource limits may only be set", func(g *group) { g.TaskGroup.Tasks[0].Limits = map[string]mesos.Value_Scalar{"cpus": {Value: 2}} }},
		{"TG-02", "on executor containers", func(g *group) { g.Executor.Container = sharing(true) }},
		{"TV-13", "must be the same for all tasks", func(g *group) { g.TaskGroup.Tasks[1].Container = sharing(false) }},
		{"TV-02", "Task has duplicate ID: a", func(g *group) { g.TaskGroup.Tasks[1].TaskID.Value = "a" }},
		{"TV-12", "overlapping resources", func(g *group) {
			g.TaskGroup.Tasks[0].Resources = append(g.TaskGroup.Tasks[0].Resources, ranged(31000, 31001))
			g.TaskGroup.Tasks[1].Resources = append(g.TaskGroup.Tasks[1].Resources, ranged(31001, 31002))
		}},
		{"TV-12", "are more than available", func(g *group) { g.TaskGroup.Tasks[0].Resources = resources("cpus:6.5;mem:32") }},
	}
	for _, c := range cases {
		_, a, f, o := launchWorld(t)
		op := groupOf(f, command("a", o, "cpus:1;mem:32"), command("b", o, "cpus:1;mem:32"))
		c.change(op.LaunchGroup)
		f.accept(0, o, op)
		for i := range op.LaunchGroup.TaskGroup.Tasks {
			if s := f.update("a"); s.GetState() != mesos.TASK_ERROR || s.GetReason() != mesos.REASON_TASK_GROUP_INVALID || !strings.Contains(s.GetMessage(), c.want) {
				t.Errorf("%s: task %d: %v, want %q", c.row, i, s, c.want)
			}
		}
		if lastSent[*messages.RunTaskGroupMessage](a) != nil {
			t.Errorf("%s: %s: part of the group was sent", c.row, c.want)
		}
	}
}

func groupOf(f *testScheduler, tasks ...mesos.TaskInfo) mesos.Offer_Operation {
	return mesos.Offer_Operation{Type: mesos.Offer_Operation_LAUNCH_GROUP, LaunchGroup: &mesos.Offer_Operation_LaunchGroup{
		Executor: mesos.ExecutorInfo{
			Type: mesos.ExecutorInfo_DEFAULT, ExecutorID: mesos.ExecutorID{Value: "g"}, FrameworkID: &mesos.FrameworkID{Value: f.id},
			Resources: resources("cpus:0.1;mem:32;disk:32"),
		},
		TaskGroup: mesos.TaskGroupInfo{Tasks: tasks},
	}}
}

// TV-13: a later group has to agree with the tasks that its executor runs.
func TestTV13_TasksBelowOneExecutorAgree(t *testing.T) {
	_, a, f, o := launchWorld(t)
	f.accept(0, o, groupOf(f, command("a", o, "cpus:1;mem:32")))
	if m := lastSent[*messages.RunTaskGroupMessage](a); m == nil || m.TaskGroup.Tasks[0].Executor == nil {
		t.Fatalf("the agent was sent %v", m)
	}
	o = f.offer()
	own := command("b", o, "cpus:1;mem:32")
	own.Container = sharing(false)
	f.accept(0, o, groupOf(f, own))
	if s := f.update("b"); s.GetState() != mesos.TASK_ERROR || !strings.Contains(s.GetMessage(), "under a single executor") {
		t.Errorf("%v", s)
	}
}

// TG-03: a group without tasks launches nothing, its executor neither.
func TestTG03_AnEmptyGroupIsIgnored(t *testing.T) {
	w, a, f, o := launchWorld(t)
	f.accept(0, o, groupOf(f))
	if lastSent[*messages.RunTaskGroupMessage](a) != nil || w.s.frameworks[f.id].executors[a.id]["g"] != nil {
		t.Error("an executor was started for no task")
	}
}

// The task's user is its command's, else its executor's.
func TestTaskShowsItsUser(t *testing.T) {
	w, a, f, o := launchWorld(t)
	user := "alice"
	x := command("t", o, "cpus:1;mem:32")
	x.Command, x.Executor = nil, custom("e")
	x.Executor.Command.User = &user
	f.accept(0, o, launch(x))
	if got := w.s.agents[a.id].tasks[taskKey{f.id, "t"}].info.GetUser(); got != user {
		t.Errorf("user %q", got)
	}
}

// 5.3, step 5: an agent with a domain has nothing to join where the master has none.
func TestAgentsWithADomainNeedAMasterWithOne(t *testing.T) {
	domain := &mesos.DomainInfo{FaultDomain: &mesos.DomainInfo_FaultDomain{
		Region: mesos.DomainInfo_FaultDomain_RegionInfo{Name: "r"}, Zone: mesos.DomainInfo_FaultDomain_ZoneInfo{Name: "z"},
	}}
	for region, want := range map[string]int{"": 0, "r": 1} {
		w := newWorld(t, func(c *Config) { c.Region = region })
		a := &testAgent{w: w, pid: "slave(1)@127.0.0.1:5051"}
		version := "1.11.0"
		a.says(&messages.RegisterSlaveMessage{Agent: mesos.AgentInfo{Hostname: "h", Domain: domain, Resources: resources("cpus:1")}, Version: &version})
		if n := len(w.s.agents); n != want {
			t.Errorf("master in region %q: %d agents", region, n)
		}
	}
}
