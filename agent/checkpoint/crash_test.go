package checkpoint

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
)

// crashEnv makes this test binary the store's victim: it saves lives of tasks in the
// directory that it names until it is killed.
const crashEnv = "TOMBOLO_TEST_CHECKPOINT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		liveForEver(dir)
	}
	os.Exit(m.Run())
}

// liveForEver saves one life after the other: start, updates, acknowledged end, removal.
func liveForEver(dir string) {
	s, err := Open(dir)
	if err != nil {
		panic(err)
	}
	must := func(effects ...core.Effect) {
		for _, e := range effects {
			if _, err := s.Save(e); err != nil {
				panic(err)
			}
		}
	}
	must(core.SaveAgent{Info: mesos.AgentInfo{Hostname: "h", ID: &mesos.AgentID{Value: "S0"}}})
	_, _ = os.Stdout.WriteString("ready\n")
	yes, state := true, mesos.TASK_STAGING
	for life := uint64(time.Now().UnixNano()); ; life++ {
		run := core.Run{Framework: "f", Executor: "x", Container: strconv.FormatUint(life, 10)}
		end := update(1, mesos.TASK_FINISHED)
		end.Run = run
		must(
			core.SaveFramework{Info: mesos.FrameworkInfo{User: "u", Name: "n", ID: &mesos.FrameworkID{Value: "f"}, Checkpoint: &yes}},
			core.SaveExecutor{Framework: "f", Info: mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "x"}}, Generated: true, Container: run.Container},
			core.SaveTask{Run: run, Task: mesos.Task{Name: "t", TaskID: mesos.TaskID{Value: "t"}, FrameworkID: mesos.FrameworkID{Value: "f"},
				AgentID: mesos.AgentID{Value: "S0"}, State: &state}},
			end, core.SaveAck{Run: run, Task: "t", UUID: []byte{1}},
		)
		must(volumesOfLife(life))
		_, _ = os.Stdout.WriteString(run.Container + "\n")
		must(core.SaveDone{Run: run})
	}
}

// volumesOfLife is another set of two volumes in each life.
func volumesOfLife(life uint64) core.SaveResources {
	one, two := "v"+strconv.FormatUint(life%3, 10), "w"+strconv.FormatUint(life%2, 10)
	return core.SaveResources{Resources: []mesos.Resource{testVolume(one), testVolume(two)}}
}

// A kill -9 at any moment neither keeps the agent from starting, nor brings back a task
// without its end: TASK_FAILED would follow a TASK_FINISHED that is acknowledged.
func TestRCV03_KilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	for round := range 60 {
		var said bytes.Buffer
		victim := exec.Command(os.Args[0])
		victim.Env = append(os.Environ(), crashEnv+"="+dir)
		out, err := victim.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := victim.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewReader(io.TeeReader(out, &said))
		if _, err := lines.ReadString('\n'); err != nil {
			t.Fatalf("the victim is not ready: %v", err)
		}
		time.Sleep(time.Duration(round*137%997) * 20 * time.Microsecond) // any moment
		_ = victim.Process.Kill()
		_, _ = io.Copy(io.Discard, lines)
		_ = victim.Wait()
		ended := strings.Fields(said.String())
		recoverAfterCrash(t, dir, ended[len(ended)-1])
	}
}

// recoverAfterCrash starts the agent again; the task of the container last has ended.
func recoverAfterCrash(t *testing.T, dir, last string) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	r, err := s.Recover(true)
	if err != nil {
		t.Fatalf("the agent would not start: %v", err)
	}
	for i := range r.Resources {
		path, err := core.VolumePath(dir, &r.Resources[i])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Fatalf("a volume lost its directory: %v", err)
		}
	}
	if n := len(r.Resources); n != 0 && n != 2 {
		t.Fatalf("half of the record is there: %d volumes", n)
	}
	for _, f := range r.Frameworks {
		for _, x := range f.Executors {
			for _, task := range x.Tasks {
				if x.Container == last && task.Acknowledged == 0 {
					t.Fatalf("the task of %s lost its end: %+v", last, task)
				}
			}
		}
	}
}
