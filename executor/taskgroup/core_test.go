package taskgroup

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

// rig runs a State against containers and an agent that do what the test wants.
type rig struct {
	s       *State
	now     time.Time
	serial  uint64
	states  map[string][]string // of tasks, in the order in which they were sent
	starts  map[string]int      // of containers
	running map[string]string   // container -> task, launched and not ended
	watched map[string]bool     // containers
	signals map[string][]syscall.Signal
	sent    []mesos.TaskStatus
}

func newRig(caps ...mesos.FrameworkInfo_Capability_Type) *rig {
	r := &rig{now: time.Unix(1_000_000, 0), states: map[string][]string{}, starts: map[string]int{}, running: map[string]string{},
		watched: map[string]bool{}, signals: map[string][]syscall.Signal{}}
	r.s = New("e", 5*time.Second, func() []byte { r.serial++; return binary.BigEndian.AppendUint64(make([]byte, 8), r.serial) })
	f := mesos.FrameworkInfo{}
	for _, c := range caps {
		f.Capabilities = append(f.Capabilities, mesos.FrameworkInfo_Capability{Type: c})
	}
	r.step(Subscribed{Framework: f, Container: "root"})
	return r
}

func (r *rig) step(event any) {
	for _, effect := range r.s.Step(r.now, event) {
		switch e := effect.(type) {
		case Start:
			r.starts[e.Container]++
			r.running[e.Container] = e.Task.TaskID.Value
		case Watch:
			r.watched[e.Container] = true
		case Signal:
			r.signals[e.Container] = append(r.signals[e.Container], e.Signal)
		case Send:
			id := e.Status.TaskID.Value
			r.states[id] = append(r.states[id], strings.TrimPrefix(e.Status.GetState().String(), "TASK_"))
			r.sent = append(r.sent, e.Status)
		}
	}
}

func (r *rig) group(ids ...string) {
	l := Launch{}
	for _, id := range ids {
		l.Tasks = append(l.Tasks, mesos.TaskInfo{TaskID: mesos.TaskID{Value: id}})
		l.IDs = append(l.IDs, "c-"+id)
	}
	r.step(l)
}

func (r *rig) ends(task string, status int32) {
	delete(r.running, "root.c-"+task)
	r.step(Ended{Task: task, Exit: Exit{Status: &status}})
}

func (r *rig) expect(t *testing.T, task, want string) {
	t.Helper()
	if got := strings.Join(r.states[task], " "); got != want {
		t.Errorf("%s: %s, want %s", task, got, want)
	}
}

func TestTG10_AGroupRunsWhenAllOfItDoes(t *testing.T) {
	r := newRig()
	r.group("a", "b")
	r.step(Launched{Task: "a"})
	r.expect(t, "a", "STARTING")
	r.step(Launched{Task: "b"})
	r.ends("a", 0)
	r.ends("b", 0)
	r.expect(t, "a", "STARTING RUNNING FINISHED")
	r.expect(t, "b", "STARTING RUNNING FINISHED")
	for _, u := range r.sent {
		r.step(Acknowledged{UUID: string(u.UUID)})
	}
	if !r.s.Done() {
		t.Error("it stays")
	}
}

func TestTG11_AFailureEndsTheGroup(t *testing.T) {
	r := newRig()
	r.group("a", "b")
	r.step(Launched{Task: "a"})
	r.step(Launched{Task: "b"})
	r.ends("a", 1<<8)
	if got := r.signals["root.c-b"]; !slices.Equal(got, []syscall.Signal{syscall.SIGTERM}) {
		t.Errorf("the other was sent %v", got)
	}
	r.ends("b", int32(syscall.SIGTERM))
	r.expect(t, "a", "STARTING RUNNING FAILED")
	r.expect(t, "b", "STARTING RUNNING KILLED")
}

func TestAContainerThatDoesNotStartEndsTheGroup(t *testing.T) {
	r := newRig()
	r.group("a", "b")
	r.step(Launched{Task: "a"})
	r.step(Launched{Task: "b", Error: "no such user"})
	if !r.watched["root.c-a"] {
		t.Fatal("nobody waits for the other's end")
	}
	r.ends("a", int32(syscall.SIGTERM))
	r.expect(t, "a", "STARTING KILLED")
	r.expect(t, "b", "STARTING FAILED")
}

func TestKIL06_GraceThenSIGKILL(t *testing.T) {
	r := newRig(mesos.FrameworkInfo_Capability_TASK_KILLING_STATE)
	r.group("a")
	r.step(Launched{Task: "a"})
	r.step(Kill{Task: "a", Policy: &mesos.KillPolicy{GracePeriod: &mesos.DurationInfo{Nanoseconds: int64(time.Second)}}})
	r.step(Kill{Task: "a"}) // longer than the first: changes nothing
	at, ok := r.s.Deadline()
	if !ok || at.Sub(r.now) != time.Second {
		t.Fatalf("due at %v", at.Sub(r.now))
	}
	r.now = at
	r.step(Tick{})
	if got := r.signals["root.c-a"]; !slices.Equal(got, []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL}) {
		t.Errorf("sent %v", got)
	}
	r.ends("a", int32(syscall.SIGKILL))
	r.expect(t, "a", "STARTING RUNNING KILLING KILLED")
}

func TestMaxCompletionTime(t *testing.T) {
	r := newRig()
	r.step(Launch{Tasks: []mesos.TaskInfo{{TaskID: mesos.TaskID{Value: "a"}, MaxCompletionTime: &mesos.DurationInfo{Nanoseconds: int64(time.Minute)}}}, IDs: []string{"c-a"}})
	r.step(Launched{Task: "a"})
	r.now = r.now.Add(time.Minute)
	r.step(Tick{})
	r.ends("a", int32(syscall.SIGTERM))
	r.expect(t, "a", "STARTING RUNNING FAILED")
	if last := r.sent[len(r.sent)-1]; last.GetReason() != mesos.REASON_MAX_COMPLETION_TIME_REACHED {
		t.Errorf("reason %s", last.GetReason())
	}
}

// Whatever happens in whatever order: each task gets STARTING first and one end last, no container is started twice,
// and once all containers have ended and all is acknowledged, the executor is done.
func TestLivesOfGroups(t *testing.T) {
	terminal := []string{"FINISHED", "FAILED", "KILLED"}
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(mesos.FrameworkInfo_Capability_TASK_KILLING_STATE)
		var tasks []string
		launching := map[string]bool{}
		acked := 0
		groups := 0
		newGroup := func() {
			var ids []string
			for range rapid.IntRange(1, 3).Draw(t, "size") {
				ids = append(ids, fmt.Sprintf("t%d", len(tasks)))
				tasks = append(tasks, ids[len(ids)-1])
			}
			groups++
			r.group(ids...)
			for _, id := range ids {
				if r.starts["root.c-"+id] > 0 {
					launching[id] = true
				}
			}
		}
		newGroup()
		pick := func(of []string) string { slices.Sort(of); return rapid.SampledFrom(of).Draw(t, "task") }
		keys := func(m map[string]bool) (list []string) {
			for k := range m {
				list = append(list, k)
			}
			return list
		}
		live := func() (list []string) {
			for c, id := range r.running {
				if !launching[id] && r.watched[c] {
					list = append(list, id)
				}
			}
			return list
		}
		for range rapid.IntRange(0, 40).Draw(t, "events") {
			switch rapid.IntRange(0, 7).Draw(t, "event") {
			case 0:
				if groups < 3 {
					newGroup()
				}
			case 1, 2:
				if of := keys(launching); len(of) > 0 {
					id := pick(of)
					delete(launching, id)
					l := Launched{Task: id}
					if rapid.IntRange(0, 5).Draw(t, "fails") == 0 {
						l.Error = "no"
						delete(r.running, "root.c-"+id)
					}
					r.step(l)
				}
			case 3:
				if of := live(); len(of) > 0 {
					r.ends(pick(of), rapid.SampledFrom([]int32{0, 256, 9, 15}).Draw(t, "status"))
				}
			case 4:
				r.step(Kill{Task: pick(slices.Clone(tasks))})
			case 5:
				if acked < len(r.sent) {
					r.step(Acknowledged{UUID: string(r.sent[acked].UUID)})
					acked++
				}
			case 6:
				if at, ok := r.s.Deadline(); ok {
					r.now = at
					r.step(Tick{})
				}
			case 7:
				if rapid.IntRange(0, 9).Draw(t, "shutdown") == 0 {
					r.step(Shutdown{})
				}
			}
		}
		for _, id := range keys(launching) {
			r.step(Launched{Task: id})
			delete(launching, id)
		}
		for len(r.running) > 0 {
			of := live()
			if len(of) == 0 {
				t.Fatalf("nobody waits for %v", r.running)
			}
			r.ends(pick(of), 0)
		}
		for ; acked < len(r.sent); acked++ {
			if r.s.Done() {
				t.Fatal("done before all is acknowledged")
			}
			r.step(Acknowledged{UUID: string(r.sent[acked].UUID)})
		}
		if !r.s.Done() {
			t.Fatalf("not done: %v", r.states)
		}
		for c, n := range r.starts {
			if n != 1 {
				t.Fatalf("%s was started %d times", c, n)
			}
		}
		for id, states := range r.states {
			if states[0] != "STARTING" || !slices.Contains(terminal, states[len(states)-1]) {
				t.Fatalf("%s: %v", id, states)
			}
			for _, s := range states[:len(states)-1] {
				if slices.Contains(terminal, s) {
					t.Fatalf("%s: %v", id, states)
				}
			}
		}
	})
}
