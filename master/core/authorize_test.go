package core

import (
	"strings"
	"testing"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/security"
)

// withACLs has a master decide by a document.
func withACLs(t *testing.T, document string) func(*Config) {
	t.Helper()
	acls, err := security.ParseACLs([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return func(c *Config) { c.ACLs = acls }
}

// as is a framework of a principal, with a role.
func as(principal, role string) mesos.FrameworkInfo {
	info := named("f-"+principal, mesos.FrameworkInfo_Capability_MULTI_ROLE, mesos.FrameworkInfo_Capability_RESERVATION_REFINEMENT)
	info.Roles = []string{role}
	if principal != "" {
		info.Principal = &principal
	}
	return info
}

// refused is the text by which a subscription was refused; empty if it was not.
func (f *testScheduler) refused() string {
	for _, e := range f.of(scheduler.Event_ERROR) {
		return e.Error.Message
	}
	return ""
}

func TestAFrameworkNeedsItsRoles(t *testing.T) {
	w := newWorld(t, withACLs(t, `{"register_frameworks": [
		{"principals": {"values": ["eng"]}, "roles": {"values": ["eng", "eng/%"]}}, {"principals": {"type": "ANY"}, "roles": {"type": "NONE"}}]}`))
	for _, c := range []struct {
		principal, role string
		ok              bool
	}{{"eng", "eng", true}, {"eng", "eng/web", true}, {"eng", "ads", false}, {"ads", "eng", false}, {"", "eng", false}} {
		f := w.subscribe(as(c.principal, c.role))
		if text := f.refused(); (text == "") != c.ok || !c.ok && !strings.Contains(text, "Not authorized to register framework") {
			t.Errorf("%s for %s: %q", c.principal, c.role, text)
		}
	}
	f := w.subscribe(as("eng", "eng"))
	info := as("eng", "ads")
	info.ID = &mesos.FrameworkID{Value: f.id}
	if r := f.call(scheduler.Call{Type: scheduler.Call_UPDATE_FRAMEWORK, UpdateFramework: &scheduler.Call_UpdateFramework{FrameworkInfo: info}}); r.Status != 403 {
		t.Errorf("an update to a forbidden role: %d %s", r.Status, r.Text)
	}
}

func TestSCH13_CallsComeFromTheFrameworksPrincipal(t *testing.T) {
	w := newWorld(t)
	w.streams++
	info := named("f") // names no principal: it gets that of who authenticated
	f := &testScheduler{w: w, stream: "s"}
	w.step(SchedulerSubscribed{Stream: "s", Principal: security.Principal{Name: "p"}, Call: &scheduler.Call{
		Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}})
	f.id = w.events["s"][0].Subscribed.FrameworkID.Value
	if got := w.s.View().Frameworks[0].Info.GetPrincipal(); got != "p" || info.Principal != nil {
		t.Errorf("the framework's principal is %q", got)
	}
	for name, want := range map[string]int{"p": 202, "q": 400} {
		w.request++
		w.step(SchedulerCalled{Request: w.request, Stream: "s", Principal: security.Principal{Name: name},
			Call: &scheduler.Call{Type: scheduler.Call_REVIVE, FrameworkID: &mesos.FrameworkID{Value: f.id}}})
		if r := w.replies[w.request]; r.Status != want {
			t.Errorf("a call by %s: %d %s", name, r.Status, r.Text)
		}
	}
}

func TestATaskNeedsItsUser(t *testing.T) {
	w := newWorld(t, withACLs(t, `{"run_tasks": [{"principals": {"values": ["p"]}, "users": {"values": ["nobody"]}}, {"principals": {"type": "ANY"}, "users": {"type": "NONE"}}]}`))
	f := w.subscribe(as("p", "*"))
	w.agent("cpus:4;mem:4096")
	o := f.offer()
	own, root := command("own", o, "cpus:1;mem:32"), command("root", o, "cpus:1;mem:32")
	user := "root"
	root.Command.User = &user
	f.accept(0, o, launch(root, own))
	if u := f.update("root"); u == nil || u.GetState() != mesos.TASK_ERROR || u.GetReason() != mesos.REASON_TASK_UNAUTHORIZED {
		t.Errorf("a task of root: %v", u)
	}
	if u := f.update("own"); u != nil {
		t.Errorf("a task of the framework's user: %v", u)
	}
}

func TestAnOperationNeedsItsRole(t *testing.T) {
	w := newWorld(t, withACLs(t, `{"reserve_resources": [{"principals": {"values": ["p"]}, "roles": {"type": "NONE"}}]}`))
	f := w.subscribe(as("p", "eng"))
	w.agent("cpus:4;mem:4096")
	o := f.offer()
	role, principal := "eng", "p"
	reserved := resources("cpus:1")
	reserved[0].Reservations = []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role, Principal: &principal}}
	reserved[0].AllocationInfo = &mesos.Resource_AllocationInfo{Role: &role}
	w.sent = map[string][]proto.Message{}
	f.accept(0, o, mesos.Offer_Operation{Type: mesos.Offer_Operation_RESERVE, Reserve: &mesos.Offer_Operation_Reserve{Resources: reserved}})
	for pid, list := range w.sent {
		for _, m := range list {
			if _, applied := m.(*messages.ApplyOperationMessage); applied {
				t.Errorf("%s was told to reserve", pid)
			}
		}
	}
	for _, a := range w.s.View().Agents {
		if len(a.Total.Reserved()) > 0 {
			t.Error("it is reserved")
		}
	}
}

func TestAnAgentMustProveWhoItIs(t *testing.T) {
	joins := func(change func(*Config), before ...Event) bool {
		w := newWorld(t, func(c *Config) { c.AuthenticateAgents = true }, change)
		for _, e := range before {
			w.step(e)
		}
		version := "1.12.0"
		w.step(AgentMessaged{From: "slave(1)@127.0.0.1:1", Message: &messages.RegisterSlaveMessage{
			Agent: mesos.AgentInfo{Hostname: "h", Resources: resources("cpus:1")}, Version: &version}})
		return len(w.s.agents) == 1
	}
	nothing := func(*Config) {}
	proved := Authenticated{PID: "slave(1)@127.0.0.1:1", Principal: security.Principal{Name: "agent"}}
	if joins(nothing) {
		t.Error("one that proved nothing is in")
	}
	if joins(nothing, Authenticated{PID: "slave(1)@127.0.0.1:2", Principal: proved.Principal}) {
		t.Error("another's proof was taken")
	}
	if !joins(nothing, proved) {
		t.Error("one that proved itself is out")
	}
	for _, after := range []Event{AuthenticationBegan{PID: proved.PID}, AgentExited{PID: proved.PID}} {
		if joins(nothing, proved, after) {
			t.Errorf("the proof outlives %T", after)
		}
	}
	only := withACLs(t, `{"register_agents": [{"principals": {"values": ["agent"]}, "agents": {"type": "ANY"}}, {"principals": {"type": "ANY"}, "agents": {"type": "NONE"}}]}`)
	if !joins(only, proved) || joins(only, Authenticated{PID: proved.PID, Principal: security.Principal{Name: "other"}}) {
		t.Error("the list of agents does not count")
	}
	if joins(withACLs(t, `{"reserve_resources": [{"principals": {"type": "ANY"}, "roles": {"type": "NONE"}}]}`), proved) != true {
		t.Error("an agent without reservations needs no leave to reserve")
	}
}

func TestEVT07_OperatorsHearOfWhatTheyMaySee(t *testing.T) {
	w := newWorld(t)
	acls, err := security.ParseACLs([]byte(`{"permissive": false,
		"view_frameworks": [{"principals": {"values": ["op"]}, "users": {"values": ["alice"]}}],
		"view_tasks": [{"principals": {"values": ["op"]}, "users": {"values": ["alice"]}}],
		"view_roles": [{"principals": {"values": ["op"]}, "roles": {"values": ["*", "eng"]}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	op := acls.For(security.Principal{Name: "op"})
	var seen []*master.Event
	total := 0
	listen := func(effects []Effect) {
		for _, e := range effects {
			if a, ok := e.(Announce); ok {
				total++
				if x := a.Seen(op); x != nil {
					seen = append(seen, x)
				}
				if a.Seen(security.Approver{}) != a.Event {
					t.Error("who may see everything does not get the event itself")
				}
			}
		}
	}
	for _, user := range []string{"alice", "bob"} {
		info := named("f-" + user)
		info.User = user
		listen(w.s.Step(w.now, SchedulerSubscribed{Stream: StreamID(user), Call: &scheduler.Call{Type: scheduler.Call_SUBSCRIBE, Subscribe: &scheduler.Call_Subscribe{FrameworkInfo: &info}}}))
		f := w.s.streams[StreamID(user)]
		task := &task{key: taskKey{f.id, "t"}, info: &mesos.Task{TaskID: mesos.TaskID{Value: "t"}}}
		w.s.effects = nil
		w.s.announceTask(&master.Event{Type: master.Event_TASK_ADDED, TaskAdded: &master.Event_TaskAdded{Task: *task.info}}, task)
		listen(w.s.effects)
	}
	version := "1.12.0"
	effects := w.s.Step(w.now, AgentMessaged{From: "slave(1)@127.0.0.1:1", Message: &messages.RegisterSlaveMessage{
		Agent: mesos.AgentInfo{Hostname: "h", Resources: append(resources("cpus:1"), resources("cpus(eng):1;cpus(ads):1")...)}, Version: &version}})
	for _, e := range effects {
		if write, ok := e.(WriteRegistry); ok {
			listen(w.s.Step(w.now, RegistryWritten{Change: write.Change}))
		}
	}
	kinds := map[master.Event_Type]int{}
	for _, e := range seen {
		kinds[e.Type]++
		if e.Type == master.Event_AGENT_ADDED {
			for _, r := range e.AgentAdded.Agent.TotalResources {
				if r.GetRole() == "ads" {
					t.Errorf("shown: %v", r)
				}
			}
			if len(e.AgentAdded.Agent.TotalResources) != 2 {
				t.Errorf("%v", e.AgentAdded.Agent.TotalResources)
			}
		}
	}
	if total != 5 || kinds[master.Event_FRAMEWORK_ADDED] != 1 || kinds[master.Event_TASK_ADDED] != 1 || kinds[master.Event_AGENT_ADDED] != 1 {
		t.Errorf("of %d events seen: %v", total, kinds)
	}
}
