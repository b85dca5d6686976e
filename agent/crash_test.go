package agent_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// crashRounds is how often the agent is killed; more for a long run by hand.
func crashRounds(t *testing.T) int {
	n, err := strconv.Atoi(os.Getenv("TOMBOLO_TEST_CRASHES"))
	if err != nil && os.Getenv("TOMBOLO_TEST_CRASHES") != "" {
		t.Fatal(err)
	}
	return max(n, 6)
}

// The agent is killed at random moments while tasks are launched, end by themselves and
// are killed. Each task must have exactly one end, never run twice, never run on after
// its end was told, and nothing may be left when all is over.
func TestRCV04_KilledAtAnyMomentUnderLoad(t *testing.T) {
	m := newFakeMaster(t)
	a := startAgent(t, m)
	m.await("registration", registered)
	marks := t.TempDir()
	var tasks []string
	for round := range crashRounds(t) {
		for i := range 8 {
			id := fmt.Sprintf("t%d-%d", round, i)
			tasks = append(tasks, id)
			last := "sleep 1000"
			if i%2 == 0 {
				last = fmt.Sprintf("sleep 0.%d", i)
			}
			m.order(commandTask(id, fmt.Sprintf("echo $$ >> %s/%s; %s", marks, id, last)))
			if i > 3 && rand.N(2) == 0 {
				m.order(killOf(tasks[rand.N(len(tasks))]))
			}
		}
		time.Sleep(rand.N(250 * time.Millisecond)) // any moment
		a.kill()
		before := 0
		m.await("", func(all []proto.Message) bool { before = count[*messages.ReregisterSlaveMessage](all); return true })
		a.start()
		m.await("re-registration", func(all []proto.Message) bool { return count[*messages.ReregisterSlaveMessage](all) > before })
	}
	finish(t, m, tasks)
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := exec.Command("find", filepath.Join(a.dir, "work/meta")).Output()
			t.Logf("state: %s\ncheckpoints:\n%s", a.get("/state"), out)
		}
	})
	a.ended()
	a.gone("checkpoints", filepath.Join(a.dir, "work/meta/slaves/m-S0/frameworks/*"), filepath.Join(a.dir, "work/meta/trash/*"))
	for _, id := range tasks {
		if ran, err := os.ReadFile(filepath.Join(marks, id)); err == nil && len(strings.Fields(string(ran))) > 1 {
			t.Errorf("%s ran more than once: %q", id, ran)
		}
	}
}

func killOf(task string) proto.Message {
	return &messages.KillTaskMessage{FrameworkID: mesos.FrameworkID{Value: "f1"}, TaskID: mesos.TaskID{Value: task}}
}

// finish reconciles and kills as a master and a framework would, until every task has ended.
func finish(t *testing.T, m *fakeMaster, tasks []string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		open := 0
		for _, id := range tasks {
			if !hasEnded(m, t, id) {
				open++
				m.order(killOf(id)) // a task that the agent doesn't know is answered as lost
			}
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d tasks have not ended", open)
		}
	}
}

// hasEnded fails the test on a second end by other means than a kill of what is gone.
func hasEnded(m *fakeMaster, t *testing.T, task string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	var real []string
	lost := false
	for _, s := range states(m.received, task) {
		switch s {
		case "FINISHED", "FAILED", "KILLED":
			real = append(real, s)
		case "DROPPED", "LOST", "GONE":
			lost = true
		}
	}
	if len(real) > 1 {
		t.Fatalf("%s has ended more than once: %v", task, states(m.received, task))
	}
	return len(real) > 0 || lost
}
