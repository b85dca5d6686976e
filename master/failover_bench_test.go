package master_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/master/registry"
	"github.com/tombolo-project/tombolo/mesos/libprocess"
	"github.com/tombolo-project/tombolo/mesos/messages"
	"github.com/tombolo-project/tombolo/offers"
)

const (
	failoverAgents   = 10_000
	agentsPerAddress = 5 // so that 20,000 open files are enough for either process
	tasksPerAgent    = 10
	registrationSpan = time.Second // over which agents spread their first attempt (reference row 5.4)
)

// BenchmarkMasterFailover is a master that starts with a registry of 10,000 agents, all
// of which register again with their ten tasks within a second; an iteration ends when the
// last one is told that it is registered. The master is a process of its own; what the
// agents do is in the time all the same, as they share the processors. Five agents share
// an address and the connection of their messages; each has its link.
func BenchmarkMasterFailover(b *testing.B) {
	s := newStorm(b, failoverAgents, tasksPerAgent)
	for b.Loop() {
		s.blow()
	}
	b.ReportMetric(s.recovered.Seconds(), "s-to-last-agent")
	b.ReportMetric(s.served.Seconds(), "s-to-lead")
	b.ReportMetric(float64(s.again)/float64(b.N), "repeated/op")
}

// TestMasterFailoverStorm is the same with fewer agents, and looks at what the master has afterwards.
func TestMasterFailoverStorm(t *testing.T) {
	s := newStorm(t, 500, 4)
	s.blow()
}

// storm is many agents that lost their master.
type storm struct {
	t      testing.TB
	dir    string
	homes  []*home
	agents []*stormAgent
	tasks  int

	waiting   atomic.Int64
	sent      atomic.Int64
	done      chan struct{}
	again     int64
	served    time.Duration
	recovered time.Duration
}

type stormAgent struct {
	storm   *storm
	home    *home
	self    libprocess.UPID
	message *messages.ReregisterSlaveMessage
	back    atomic.Bool
	// returned is closed when the agent is told that it is registered.
	returned chan struct{}
}

func newStorm(t testing.TB, agents, tasks int) *storm {
	s := &storm{t: t, dir: t.TempDir(), tasks: tasks}
	r, err := offers.ParseText("cpus:100;mem:100000;disk:100000;ports:[31000-32000]", "*")
	if err != nil {
		t.Fatal(err)
	}
	checkpoint, timeout := true, 3600.0
	framework := mesos.FrameworkInfo{ID: &mesos.FrameworkID{Value: "f"}, User: "root", Name: "f", Checkpoint: &checkpoint, FailoverTimeout: &timeout, Roles: []string{"load"},
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}}}
	changes := []core.RegistryChange{{Kind: core.PutFramework, Framework: core.FrameworkRecord{Info: framework, Registered: time.Unix(1, 0)}}}
	for i := range agents {
		if i%agentsPerAddress == 0 {
			s.homes = append(s.homes, newHome(t))
		}
		h := s.homes[len(s.homes)-1]
		a := &stormAgent{storm: s, home: h, self: libprocess.UPID{ID: fmt.Sprintf("slave(%d)", i%agentsPerAddress+1), Host: "127.0.0.1", Port: h.port}}
		h.agents.Store(a.self.ID, a)
		info := mesos.AgentInfo{ID: &mesos.AgentID{Value: fmt.Sprintf("S%d", i)}, Hostname: fmt.Sprintf("host%d", i), Resources: r.Mesos()}
		changes = append(changes, core.RegistryChange{Kind: core.AdmitAgent, Agent: info})
		a.message = &messages.ReregisterSlaveMessage{Agent: info, Version: &version, Frameworks: []mesos.FrameworkInfo{framework},
			AgentCapabilities: []mesos.AgentInfo_Capability{{Type: mesos.AgentInfo_Capability_MULTI_ROLE}}}
		for n := range tasks {
			state := mesos.TASK_RUNNING
			offer := mesos.Offer{AgentID: *info.ID}
			task := loadTask(&offer, int64(i*tasks+n))
			a.message.Tasks = append(a.message.Tasks, mesos.Task{Name: task.Name, TaskID: task.TaskID, FrameworkID: *framework.ID, AgentID: *info.ID, State: &state, Resources: task.Resources})
		}
		s.agents = append(s.agents, a)
	}
	reg, _, err := registry.Embedded(context.Background(), filepath.Join(s.dir, "etcd"), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Apply(context.Background(), changes); err != nil {
		t.Fatal(err)
	}
	if err := reg.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// home is one address with several agents.
type home struct {
	port   int
	agents sync.Map // by actor id
	sender *libprocess.Sender
}

func newHome(t testing.TB) *home {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &home{port: listener.Addr().(*net.TCPAddr).Port}
	server := &http.Server{Handler: libprocess.Handler(h.deliver, http.NotFoundHandler())}
	go server.Serve(listener)
	t.Cleanup(func() { server.Close() })
	return h
}

func (h *home) deliver(m libprocess.Message) bool {
	found, ok := h.agents.Load(m.To)
	if !ok {
		return false
	}
	a := found.(*stormAgent)
	if m.Name != messages.NameOf(&messages.SlaveReregisteredMessage{}) || a.back.Swap(true) {
		return true
	}
	close(a.returned)
	if a.storm.waiting.Add(-1) == 0 {
		close(a.storm.done)
	}
	return true
}

// blow starts a master, has all agents register with it, and ends it.
func (s *storm) blow() {
	began := time.Now()
	address, kill := process(s.t, s.dir)
	s.served = time.Since(began)
	for _, h := range s.homes {
		h.sender = libprocess.NewSender(libprocess.UPID{ID: "slave(1)", Host: "127.0.0.1", Port: h.port}, slog.New(slog.DiscardHandler))
	}
	s.done = make(chan struct{})
	s.waiting.Store(int64(len(s.agents)))
	s.sent.Store(0)
	to, err := libprocess.ParseUPID("master@" + address)
	if err != nil {
		s.t.Fatal(err)
	}
	began = time.Now()
	var all sync.WaitGroup
	for _, a := range s.agents {
		a.back.Store(false)
		a.returned = make(chan struct{})
	}
	for _, a := range s.agents {
		all.Go(func() { a.register(to) })
	}
	select {
	case <-s.done:
	case <-time.After(loadTimeout):
		s.t.Fatalf("%d agents are not registered again", s.waiting.Load())
	}
	s.recovered = time.Since(began)
	all.Wait()
	s.again += s.sent.Load() - int64(len(s.agents))
	s.look(address)
	kill()
	for _, h := range s.homes {
		h.sender.Close()
	}
}

// register asks until it is told that it is registered, with the pauses of a real agent.
func (a *stormAgent) register(to libprocess.UPID) {
	time.Sleep(rand.N(registrationSpan))
	for pause := 2 * registrationSpan; !a.back.Load(); pause *= 2 {
		a.storm.sent.Add(1)
		if err := a.home.sender.SendFrom(a.self, to, a.message); err != nil {
			a.storm.t.Error(err)
			return
		}
		select {
		case <-a.returned:
		case <-time.After(registrationSpan/2 + rand.N(pause)):
		}
	}
}

// look checks that the master has every agent and every task, once.
func (s *storm) look(address string) {
	s.t.Helper()
	var m map[string]float64
	get(s.t, address, "/metrics/snapshot", &m)
	if n := m["master/slaves_active"]; n != float64(len(s.agents)) {
		s.t.Errorf("%v agents are active, want %d", n, len(s.agents))
	}
	if n := m["master/tasks_running"]; n != float64(len(s.agents)*s.tasks) {
		s.t.Errorf("%v tasks run, want %d", n, len(s.agents)*s.tasks)
	}
}
