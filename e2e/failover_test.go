package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	"github.com/tombolo-project/tombolo/e2e/harness"
	"github.com/tombolo-project/tombolo/frameworks/session"
	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/zookeeper/zookeepertest"
)

// failoverRounds is how often each way of losing a leader is tried; `make chaos` sets it.
const failoverRounds = "TOMBOLO_FAILOVERS"

// TestFailover has three masters lose their leader again and again, by kill -9 and by
// SIGSTOP, while a framework launches tasks. Each time another leads; no task that
// started is lost, killed or started again, and the leader that was stopped does no
// harm when it wakes.
func TestFailover(t *testing.T) {
	failover(t, "", rounds(t, 2))
}

// TestFailoverByZooKeeper is the same with clients that find the leader in ZooKeeper.
func TestFailoverByZooKeeper(t *testing.T) {
	failover(t, "zk://someone:secret@"+zookeepertest.Start(t).Address+"/mesos", rounds(t, 1))
}

func rounds(t *testing.T, usual int) int {
	if text := os.Getenv(failoverRounds); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("%s: %v", failoverRounds, err)
		}
		return n
	}
	return usual
}

func failover(t *testing.T, zk string, rounds int) {
	const agents, longLived = 3, 6
	m := harness.StartMasters(t, 3, agents, zk)
	load := startLoad(t, m.Addr, filepath.Join(m.Dir, "starts"), longLived)
	load.awaitLongLived(t)
	var took []time.Duration
	epochs := map[int]epoch.Epoch{}
	for i := range 2 * rounds {
		leader := m.AwaitLeader(t, -1)
		began := time.Now()
		frozen := i%2 == 1
		if frozen {
			m.Masters[leader].Freeze()
		} else {
			m.Masters[leader].Kill()
		}
		m.AwaitLeader(t, leader)
		elected := time.Since(began)
		load.awaitProgress(t)
		took = append(took, time.Since(began))
		if frozen {
			m.Masters[leader].Thaw()
			if code := m.Masters[leader].Wait(30 * time.Second); code == 0 {
				t.Errorf("the leader that was stopped ended as if all were well")
			}
		}
		m.Masters[leader].Restart()
		m.AwaitActive(t, agents)
		load.check(t)
		grow(t, m, epochs, agents)
		t.Logf("round %d: frozen %v, elected after %v, working after %v", i, frozen, elected.Round(time.Millisecond), took[i].Round(time.Millisecond))
		if t.Failed() {
			t.FailNow()
		}
	}
	load.finish(t)
	summary(t, took, load, m)
}

// grow checks that the epochs which agents obeyed only ever grow.
func grow(t *testing.T, m *harness.Masters, seen map[int]epoch.Epoch, agents int) {
	t.Helper()
	for i := range agents {
		text, err := os.ReadFile(filepath.Join(m.Dir, fmt.Sprintf("agent%d", i), "meta", "epoch"))
		if err != nil {
			t.Fatal(err)
		}
		e, err := epoch.Parse(strings.TrimSpace(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if last, ok := seen[i]; ok && e.Before(last) {
			t.Errorf("agent %d went back from epoch %s to %s", i, last, e)
		}
		seen[i] = e
	}
}

func summary(t *testing.T, took []time.Duration, l *load, m *harness.Masters) {
	refused := 0
	for _, a := range m.Agents {
		refused += strings.Count(a.Output(), "message from a master that leads no more, refused")
	}
	worst, sum := time.Duration(0), time.Duration(0)
	for _, d := range took {
		worst, sum = max(worst, d), sum+d
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.Logf("%d failovers: mean %v, worst %v until the framework's next task ran; %d tasks launched, %d finished, %d never started; %d messages of old leaders refused",
		len(took), (sum / time.Duration(len(took))).Round(time.Millisecond), worst.Round(time.Millisecond), len(l.tasks), l.finished, l.dropped, refused)
}

// load is a framework with some tasks that live for ever and a steady flow of short ones.
type load struct {
	t       *testing.T
	session *session.Session
	starts  string // file to which each task writes its id when it starts
	long    int

	mu       sync.Mutex // protects the fields below
	tasks    map[string]*loadTask
	offers   map[string]bool
	next     int
	running  int // tasks that ever ran
	finished int
	dropped  int
	stopping bool
	errs     []string
}

type loadTask struct {
	agent   mesos.AgentID
	long    bool
	state   mesos.TaskState
	dropped bool
}

func startLoad(t *testing.T, masters, starts string, long int) *load {
	l := &load{t: t, starts: starts, long: long, tasks: map[string]*loadTask{}, offers: map[string]bool{}}
	yes, week := true, 7*24*time.Hour.Seconds()
	var err error
	l.session, err = session.New(session.Config{Master: masters, Handler: l, Log: slog.New(slog.DiscardHandler), Framework: mesos.FrameworkInfo{
		User: "root", Name: "load", Checkpoint: &yes, FailoverTimeout: &week, Roles: []string{"load"},
		Capabilities: []mesos.FrameworkInfo_Capability{{Type: mesos.FrameworkInfo_Capability_MULTI_ROLE}, {Type: mesos.FrameworkInfo_Capability_PARTITION_AWARE}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.session.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the framework's session: %v", err)
		}
	})
	return l
}

func (l *load) Subscribed(mesos.FrameworkID) {}
func (l *load) Disconnected(error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.offers)
}
func (l *load) Rescind(id mesos.OfferID)                          {}
func (l *load) Message(mesos.AgentID, mesos.ExecutorID, []byte)   {}
func (l *load) Failure(*mesos.AgentID, *mesos.ExecutorID, *int32) {}
func (l *load) Error(message string)                              { l.complain("the master's last word: %s", message) }
func (l *load) complain(format string, args ...any) {
	l.errs = append(l.errs, fmt.Sprintf(format, args...))
}
func (l *load) openTask(t *loadTask) bool { return !session.Terminal(t.state) }

// Offers launches one task on each offer.
func (l *load) Offers(offers []mesos.Offer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range offers {
		open := 0
		for _, t := range l.tasks {
			if l.openTask(t) {
				open++
			}
		}
		if l.stopping || open >= l.long+6 {
			l.session.Decline([]mesos.OfferID{o.ID}, time.Second)
			continue
		}
		long := l.next < l.long
		id := fmt.Sprintf("t%d", l.next)
		l.next++
		end := fmt.Sprintf("exec sleep %.1f", 0.2+rand.Float64())
		if long {
			end = "exec sleep 100000"
		}
		l.tasks[id] = &loadTask{agent: o.AgentID, long: long, state: mesos.TASK_STAGING}
		command := fmt.Sprintf("echo %s >> %s; %s", id, l.starts, end)
		role := "load"
		task := mesos.TaskInfo{Name: id, TaskID: mesos.TaskID{Value: id}, AgentID: o.AgentID, Command: &mesos.CommandInfo{Value: &command}}
		for name, amount := range map[string]float64{"cpus": 0.1, "mem": 32} {
			kind := mesos.SCALAR
			task.Resources = append(task.Resources, mesos.Resource{Name: name, Type: &kind, Scalar: &mesos.Value_Scalar{Value: amount},
				AllocationInfo: &mesos.Resource_AllocationInfo{Role: &role}})
		}
		l.session.Accept([]mesos.OfferID{o.ID}, []mesos.Offer_Operation{{Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: []mesos.TaskInfo{task}}}}, time.Second/2)
	}
}

// Update keeps the books. What never started may be dropped with the leader that was
// to launch it; everything else must end well.
func (l *load) Update(s mesos.TaskStatus) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tasks[s.TaskID.Value]
	if t == nil {
		l.complain("status of an unknown task %s", s.TaskID.Value)
		return nil
	}
	before := t.state
	t.state = s.GetState()
	switch t.state {
	case mesos.TASK_RUNNING:
		if before == mesos.TASK_STAGING || before == mesos.TASK_STARTING {
			l.running++
		}
	case mesos.TASK_STAGING, mesos.TASK_STARTING, mesos.TASK_UNREACHABLE:
	case mesos.TASK_FINISHED:
		if before != mesos.TASK_FINISHED {
			l.finished++
		}
		if t.long {
			l.complain("task %s ended: %s", s.TaskID.Value, s.GetMessage())
		}
	case mesos.TASK_DROPPED, mesos.TASK_UNKNOWN, mesos.TASK_GONE:
		if !t.dropped {
			t.dropped = true
			l.dropped++
		}
		t.state = mesos.TASK_DROPPED
	default:
		l.complain("task %s is %s, %s: %s", s.TaskID.Value, t.state, s.GetReason(), s.GetMessage())
	}
	return nil
}

// Tasks implements session.Handler.
func (l *load) Tasks() []scheduler.Call_Reconcile_Task {
	l.mu.Lock()
	defer l.mu.Unlock()
	var open []scheduler.Call_Reconcile_Task
	for id, t := range l.tasks {
		if l.openTask(t) {
			agent := t.agent
			open = append(open, scheduler.Call_Reconcile_Task{TaskID: mesos.TaskID{Value: id}, AgentID: &agent})
		}
	}
	return open
}

func (l *load) awaitLongLived(t *testing.T) {
	t.Helper()
	harness.Eventually(t, 60*time.Second, "the first tasks run", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.running < l.long {
			return fmt.Errorf("%d do", l.running)
		}
		return nil
	})
}

// awaitProgress waits until a task that was launched from now on runs.
func (l *load) awaitProgress(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	first := l.next
	l.mu.Unlock()
	harness.Eventually(t, 90*time.Second, "a new task runs", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for i := first; i < l.next; i++ {
			if s := l.tasks[fmt.Sprintf("t%d", i)].state; s == mesos.TASK_RUNNING || s == mesos.TASK_FINISHED {
				return nil
			}
		}
		return fmt.Errorf("%d were launched", l.next-first)
	})
}

// check compares what started with what the framework knows.
func (l *load) check(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(l.starts)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	started := map[string]int{}
	for _, id := range strings.Fields(string(text)) {
		started[id]++
	}
	for id, n := range started {
		if n > 1 {
			t.Errorf("task %s was started %d times", id, n)
		}
		if l.tasks[id].dropped {
			t.Errorf("task %s was reported lost, but it started", id)
		}
	}
	for _, text := range l.errs {
		t.Error(text)
	}
}

// finish lets the short tasks end and checks the last time: everything that started
// has ended well or still runs.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	l.stopping = true
	l.mu.Unlock()
	harness.Eventually(t, 120*time.Second, "all short tasks end", func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		for id, task := range l.tasks {
			if !task.long && l.openTask(task) {
				return fmt.Errorf("%s is %s", id, task.state)
			}
			if task.long && task.state != mesos.TASK_RUNNING {
				return fmt.Errorf("%s, which lives for ever, is %s", id, task.state)
			}
		}
		return nil
	})
	l.check(t)
	if l.finished+l.dropped+l.long != len(l.tasks) {
		t.Errorf("%d finished + %d dropped + %d live on, of %d", l.finished, l.dropped, l.long, len(l.tasks))
	}
}
