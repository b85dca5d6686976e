package core

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/master"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

var rewrite = flag.Bool("rewrite", false, "write what the scripts of testdata print into them")

// Scripts are traces of a master: a line that begins at the margin is a command, the
// indented lines below it are what the master did, "#" begins a comment. Their agents
// are modelled: they keep the tasks that they were sent, and report them when they
// register again. See commands for what there is.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := newScript(t)
	var got strings.Builder
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, "  ") {
			continue // what was expected
		}
		got.WriteString(line + "\n")
		if line == "" || line[0] == '#' {
			continue
		}
		s.run(strings.Fields(line))
		for _, out := range s.output() {
			got.WriteString("  " + out + "\n")
		}
	}
	if *rewrite {
		if err := os.WriteFile(file, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want := strings.Split(string(text), "\n")
	for i, line := range strings.Split(got.String(), "\n") {
		if i >= len(want) || want[i] != line {
			t.Fatalf("%s:%d: got\n%s\nwant\n%s", file, i+1, line, strings.Join(want[min(i, len(want)-1):min(i+3, len(want))], "\n"))
		}
	}
}

// script is a world whose frameworks and agents have names.
type script struct {
	*world
	frameworks map[string]*testScheduler
	streams    map[string][]StreamID // of each framework, the present one last
	infos      map[string]mesos.FrameworkInfo
	agents     map[string]*scriptAgent
	seen       map[string]int // events and messages that were printed, by stream and pid
}

// scriptAgent is an agent and what it would say of itself.
type scriptAgent struct {
	*testAgent
	tasks map[string]*mesos.Task
	mute  bool // answers no pings
	deaf  bool // messages to it are lost
	uuids map[string][]byte
}

func newScript(t *testing.T) *script {
	return &script{
		world: newWorld(t), frameworks: map[string]*testScheduler{}, streams: map[string][]StreamID{}, infos: map[string]mesos.FrameworkInfo{},
		agents: map[string]*scriptAgent{}, seen: map[string]int{},
	}
}

// run carries out a command.
func (s *script) run(words []string) {
	f, known := commands[words[0]]
	if !known {
		s.t.Fatalf("there is no command %q", words[0])
	}
	f(s, words[1:])
}

var commands map[string]func(*script, []string)

func init() {
	commands = map[string]func(*script, []string){
		// framework NAME [aware] [checkpoint]: a scheduler subscribes, for the first time or again.
		"framework": func(s *script, w []string) {
			info, again := s.infos[w[0]]
			if !again {
				info = named(w[0])
			}
			for _, word := range w[1:] {
				switch word {
				case "aware":
					info.Capabilities = append(info.Capabilities, mesos.FrameworkInfo_Capability{Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE})
				case "checkpoint":
					yes := true
					info.Checkpoint = &yes
				}
			}
			f := s.subscribe(info)
			info.ID = &mesos.FrameworkID{Value: f.id}
			s.frameworks[w[0]], s.infos[w[0]] = f, info
			s.streams[w[0]] = append(s.streams[w[0]], f.stream)
		},
		// leave FRAMEWORK: its stream ends. teardown FRAMEWORK: it ends.
		"leave":    func(s *script, w []string) { s.step(StreamClosed{Stream: s.frameworks[w[0]].stream, Reason: "script"}) },
		"teardown": func(s *script, w []string) { s.frameworks[w[0]].call(scheduler.Call{Type: scheduler.Call_TEARDOWN}) },
		// agent NAME RESOURCES: a new agent registers.
		"agent": func(s *script, w []string) {
			s.agents[w[0]] = &scriptAgent{testAgent: s.world.agent(w[1]), tasks: map[string]*mesos.Task{}, uuids: map[string][]byte{}}
		},
		// mute AGENT: it answers no pings; deaf AGENT: messages to it are lost; well AGENT: neither.
		"mute": func(s *script, w []string) { s.agents[w[0]].mute = true },
		"deaf": func(s *script, w []string) { s.agents[w[0]].deaf = true },
		"well": func(s *script, w []string) { s.agents[w[0]].mute, s.agents[w[0]].deaf = false, false },
		// exit AGENT: its connection breaks. unregister AGENT: it says good-bye. gone AGENT: an operator marks it gone.
		"exit": func(s *script, w []string) { s.step(AgentExited{PID: s.agents[w[0]].pid}) },
		"unregister": func(s *script, w []string) {
			a := s.agents[w[0]]
			a.says(&messages.UnregisterSlaveMessage{AgentID: *a.info.ID})
		},
		"gone": func(s *script, w []string) {
			s.request++
			s.step(GoneWanted{Request: s.request, Agent: s.agents[w[0]].id})
		},
		// decline FRAMEWORK: all offers that it has, for long.
		"decline": func(s *script, w []string) {
			f := s.frameworks[w[0]]
			for _, o := range f.offers() {
				if s.s.offers[o.ID.Value] != nil {
					f.decline(1e6, o)
				}
			}
		},
		"reregister": (*script).reregister,
		"launch":     (*script).launch,
		"status":     (*script).status,
		// ack AGENT FRAMEWORK TASK: of the newest update.
		"ack": func(s *script, w []string) {
			a := s.agents[w[0]]
			s.frameworks[w[1]].acknowledge(a.testAgent, w[2], a.uuids[w[2]])
		},
		"kill": func(s *script, w []string) {
			s.frameworks[w[0]].call(scheduler.Call{Type: scheduler.Call_KILL, Kill: &scheduler.Call_Kill{TaskID: mesos.TaskID{Value: w[1]}}})
		},
		"reconcile": (*script).reconcile,
		// exited AGENT FRAMEWORK EXECUTOR
		"exited": func(s *script, w []string) {
			a := s.agents[w[0]]
			a.says(&messages.ExitedExecutorMessage{AgentID: *a.info.ID, FrameworkID: mesos.FrameworkID{Value: s.frameworks[w[1]].id}, ExecutorID: mesos.ExecutorID{Value: w[2]}})
		},
		// pass DURATION: time goes by.
		"pass": func(s *script, w []string) {
			d, err := time.ParseDuration(w[0])
			if err != nil {
				s.t.Fatal(err)
			}
			var alive []string
			for _, name := range sortedKeys(s.agents) {
				if a := s.agents[name]; !a.mute {
					alive = append(alive, a.pid)
				}
			}
			s.pass(d, alive...)
		},
		// hold: the registry takes its time; written and failed: it is done with the oldest change.
		"hold":    func(s *script, _ []string) { s.hold = true },
		"written": func(s *script, _ []string) { s.written(nil) },
		"failed":  func(s *script, _ []string) { s.written(fmt.Errorf("script")) },
		"failover": func(s *script, _ []string) { // another master takes over
			next := restart(s.t, s.registry)
			next.now, next.streams = s.now, s.world.streams
			s.world, s.seen, s.streams = next, map[string]int{}, map[string][]StreamID{}
			for _, f := range s.frameworks {
				f.w = next
			}
			for _, a := range s.agents {
				a.w = next
			}
		},
	}
}

// launch FRAMEWORK TASK AGENT RESOURCES [EXECUTOR]: on the newest offer of the agent.
func (s *script) launch(w []string) {
	f, a := s.frameworks[w[0]], s.agents[w[2]]
	var found *mesos.Offer
	for _, o := range f.offers() {
		if o.AgentID.Value == a.id && s.s.offers[o.ID.Value] != nil {
			found = &o
		}
	}
	if found == nil {
		s.t.Fatalf("%s has no offer of %s", w[0], w[2])
	}
	x := command(w[1], *found, w[3])
	if len(w) > 4 {
		x.Command, x.Executor = nil, custom(w[4])
		x.Executor.Resources = nil
	}
	f.accept(0, *found, launch(x))
}

// status AGENT FRAMEWORK TASK STATE: the agent sends an update, which it repeats when it is run again.
func (s *script) status(w []string) {
	a, f := s.agents[w[0]], s.frameworks[w[1]]
	state := mesos.TaskState(mesos.TaskState_value["TASK_"+w[3]])
	if t := a.tasks[w[2]]; t != nil {
		t.State = &state
	}
	a.uuids[w[2]] = a.reports(f, w[2], state)
}

// reregister AGENT: with the tasks that it has.
func (s *script) reregister(w []string) {
	a := s.agents[w[0]]
	var tasks []mesos.Task
	for _, id := range sortedKeys(a.tasks) {
		tasks = append(tasks, *a.tasks[id])
	}
	var infos []mesos.FrameworkInfo
	for _, name := range sortedKeys(s.infos) {
		if slices.ContainsFunc(tasks, func(t mesos.Task) bool { return t.FrameworkID.Value == s.infos[name].ID.Value }) {
			infos = append(infos, s.infos[name])
		}
	}
	a.testAgent.reregister(s.world, infos, tasks...)
}

// reconcile FRAMEWORK [TASK[@AGENT]...]
func (s *script) reconcile(w []string) {
	c := &scheduler.Call_Reconcile{}
	for _, word := range w[1:] {
		id, agent, named := strings.Cut(word, "@")
		t := scheduler.Call_Reconcile_Task{TaskID: mesos.TaskID{Value: id}}
		if named {
			t.AgentID = &mesos.AgentID{Value: agent}
			if a := s.agents[agent]; a != nil {
				t.AgentID.Value = a.id
			}
		}
		c.Tasks = append(c.Tasks, t)
	}
	s.frameworks[w[0]].call(scheduler.Call{Type: scheduler.Call_RECONCILE, Reconcile: c})
}

// output lists what happened since it was asked last: frameworks first, then agents, then operators.
func (s *script) output() []string {
	var out []string
	for _, name := range sortedKeys(s.frameworks) {
		for _, stream := range s.streams[name] {
			who := name
			if stream != s.frameworks[name].stream {
				who += "'s old stream"
			}
			for _, e := range s.events[stream][s.since("events "+string(stream), len(s.events[stream])):] {
				if text := s.eventText(e); text != "" {
					out = append(out, who+" < "+text)
				}
			}
			if s.closed[stream] && s.since("closed "+string(stream), 1) == 0 {
				out = append(out, who+" closed")
			}
		}
	}
	for _, name := range sortedKeys(s.agents) {
		a := s.agents[name]
		for _, m := range s.sent[a.pid][s.since("sent "+a.pid, len(s.sent[a.pid])):] {
			if text := a.take(m); text != "" {
				out = append(out, name+" < "+text)
			}
		}
	}
	for _, e := range s.operator[s.since("operator", len(s.operator)):] {
		out = append(out, "operators < "+operatorText(e))
	}
	return out
}

// since returns how many were printed, and notes that n are.
func (s *script) since(what string, n int) int {
	before := s.seen[what]
	s.seen[what] = n
	return before
}

func (s *script) agentName(id string) string {
	for name, a := range s.agents {
		if a.id == id {
			return name
		}
	}
	return id
}

func (s *script) eventText(e *scheduler.Event) string {
	switch e.Type {
	case scheduler.Event_HEARTBEAT:
		return ""
	case scheduler.Event_OFFERS:
		var on []string
		for _, o := range e.Offers.Offers {
			on = append(on, s.agentName(o.AgentID.Value))
		}
		slices.Sort(on)
		return "OFFERS " + strings.Join(on, " ")
	case scheduler.Event_UPDATE:
		st := e.Update.Status
		text := "UPDATE " + st.TaskID.Value + " " + st.GetState().String()
		if st.Reason != nil {
			text += " " + st.GetReason().String()
		}
		if st.UUID != nil {
			text += " (wants ack)"
		}
		if st.UnreachableTime != nil {
			text += " (unreachable)"
		}
		return text
	case scheduler.Event_FAILURE:
		text := "FAILURE " + s.agentName(e.Failure.AgentID.GetValue())
		if e.Failure.ExecutorID != nil {
			text += " executor " + e.Failure.ExecutorID.Value
		}
		return text
	case scheduler.Event_ERROR:
		return "ERROR " + e.Error.Message
	}
	return e.Type.String()
}

// take is an agent that gets a message, which is described.
func (a *scriptAgent) take(m proto.Message) string {
	text := strings.TrimPrefix(fmt.Sprintf("%T", m), "*messages.")
	switch m := m.(type) {
	case *messages.PingSlaveMessage:
		return ""
	case *messages.RunTaskMessage:
		text += " " + m.Task.TaskID.Value
		if !a.deaf {
			state := mesos.TASK_STAGING
			a.tasks[m.Task.TaskID.Value] = &mesos.Task{TaskID: m.Task.TaskID, FrameworkID: *m.FrameworkID, AgentID: m.Task.AgentID, State: &state, Resources: m.Task.Resources}
		}
	case *messages.KillTaskMessage:
		text += " " + m.TaskID.Value
	case *messages.StatusUpdateAcknowledgementMessage:
		text += " " + m.TaskID.Value
		if t := a.tasks[m.TaskID.Value]; t != nil && terminal(*t.State) && !a.deaf {
			delete(a.tasks, m.TaskID.Value)
		}
	case *messages.ShutdownMessage:
		text += " " + *m.Message
	case *messages.SlaveReregisteredMessage:
		for _, r := range m.Reconciliations {
			for _, st := range r.Statuses {
				text += " asks for " + st.TaskID.Value
			}
		}
	}
	if a.deaf {
		text += " (lost)"
	}
	return text
}

func operatorText(e *master.Event) string {
	switch e.Type {
	case master.Event_TASK_UPDATED:
		return "TASK_UPDATED " + e.TaskUpdated.Status.TaskID.Value + " " + e.TaskUpdated.State.String()
	case master.Event_TASK_ADDED:
		return "TASK_ADDED " + e.TaskAdded.Task.TaskID.Value
	}
	return e.Type.String()
}
