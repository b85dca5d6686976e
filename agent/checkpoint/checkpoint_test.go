package checkpoint

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func save(t *testing.T, s *Store, effects ...core.Effect) {
	t.Helper()
	for _, e := range effects {
		if ok, err := s.Save(e); !ok || err != nil {
			t.Fatalf("save %T: %v, %v", e, ok, err)
		}
	}
}

var run = core.Run{Framework: "f", Executor: "x", Container: "c"}

func update(uuid byte, state mesos.TaskState) core.SaveUpdate {
	return core.SaveUpdate{Run: run, Task: "t", Update: messages.StatusUpdate{
		FrameworkID: mesos.FrameworkID{Value: "f"}, Status: mesos.TaskStatus{TaskID: mesos.TaskID{Value: "t"}, State: &state}, UUID: []byte{uuid},
	}}
}

// full saves an agent with a task that has one acknowledged and one pending update.
func full(t *testing.T, s *Store) {
	yes, state := true, mesos.TASK_STAGING
	save(t, s,
		core.SaveAgent{Info: mesos.AgentInfo{Hostname: "h", ID: &mesos.AgentID{Value: "S0"}}},
		core.SaveFramework{Info: mesos.FrameworkInfo{User: "u", Name: "n", ID: &mesos.FrameworkID{Value: "f"}, Checkpoint: &yes}, PID: "p@1:2"},
		core.SaveExecutor{Framework: "f", Info: mesos.ExecutorInfo{ExecutorID: mesos.ExecutorID{Value: "x"}}, Generated: true, Container: "c"},
		core.SaveExecutorPID{Run: core.Run{Framework: "f", Executor: "x", Container: "c"}, UPID: "executor(1)@127.0.0.1:7001"},
		core.SaveTask{Run: run, Task: mesos.Task{Name: "t", TaskID: mesos.TaskID{Value: "t"}, FrameworkID: mesos.FrameworkID{Value: "f"},
			AgentID: mesos.AgentID{Value: "S0"}, State: &state}, Limits: map[string]mesos.Value_Scalar{"mem": {Value: math.Inf(1)}}},
		update(1, mesos.TASK_STARTING), core.SaveAck{Run: run, Task: "t", UUID: []byte{1}}, update(2, mesos.TASK_RUNNING),
	)
}

func reopen(t *testing.T, s *Store, dir string) *Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, dir)
}

func TestRCV01_WhatWasSavedComesBack(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if r, err := s.Recover(true); err != nil || r.Info != nil {
		t.Fatalf("a new agent recovers %+v, %v", r, err)
	}
	full(t, s)
	r, err := reopen(t, s, dir).Recover(true)
	if err != nil {
		t.Fatal(err)
	}
	f := r.Frameworks[0]
	x := f.Executors[0]
	if r.Info.ID.GetValue() != "S0" || f.PID != "p@1:2" || !x.Generated || x.Container != "c" || x.UPID != "executor(1)@127.0.0.1:7001" || x.Info.ExecutorID.Value != "x" {
		t.Errorf("recovered %+v", r)
	}
	if task := x.Tasks[0]; len(task.Updates) != 2 || task.Acknowledged != 1 || task.Updates[1].Status.GetState() != mesos.TASK_RUNNING || !math.IsInf(task.Limits["mem"].Value, 1) {
		t.Errorf("task is %+v", task)
	}
}

func TestFinishedRunsAreForgotten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	full(t, s)
	save(t, s, core.SaveDone{Run: run})
	r, err := reopen(t, s, dir).Recover(true)
	if err != nil || len(r.Frameworks) != 0 {
		t.Errorf("recovered %+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "meta/slaves/S0/frameworks/f")); !os.IsNotExist(err) {
		t.Errorf("files are left: %v", err)
	}
}

// A crash in the middle of an append leaves a torn record; what came before counts,
// and what is appended later is read.
func TestTornRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	full(t, s)
	path := filepath.Join(dir, "meta/slaves/S0/frameworks/f/executors/x/runs/c/tasks/t/task.updates")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := 1; cut < 20; cut++ {
		if err := os.WriteFile(path, whole[:len(whole)-cut], 0o600); err != nil {
			t.Fatal(err)
		}
		s = reopen(t, s, dir)
		r, err := s.Recover(true)
		if err != nil {
			t.Fatalf("cut by %d: %v", cut, err)
		}
		if n := len(r.Frameworks[0].Executors[0].Tasks[0].Updates); n != 1 {
			t.Fatalf("cut by %d: %d updates", cut, n)
		}
		save(t, s, update(3, mesos.TASK_FAILED))
		if r, err = s.Recover(true); err != nil || len(r.Frameworks[0].Executors[0].Tasks[0].Updates) != 2 {
			t.Fatalf("cut by %d, appended: %+v, %v", cut, r, err)
		}
	}
}

func TestRCV03_Strict(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	full(t, s)
	if err := os.WriteFile(filepath.Join(dir, "meta/slaves/S0/frameworks/f/executors/x/executor.info"), []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	s = reopen(t, s, dir)
	if _, err := s.Recover(true); err == nil {
		t.Error("strict recovery of nonsense succeeds")
	}
	if r, err := s.Recover(false); err != nil || r.Errors != 1 || r.Info == nil {
		t.Errorf("lenient recovery: %+v, %v", r, err)
	}
}

func TestTwoAgentsOnOneDirectory(t *testing.T) {
	dir := t.TempDir()
	open(t, dir)
	if _, err := Open(dir); !errors.Is(err, ErrInUse) {
		t.Errorf("the second agent gets %v", err)
	}
}

func TestForget(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	full(t, s)
	if err := errors.Join(s.Forget(), s.Forget()); err != nil {
		t.Fatal(err)
	}
	if r, err := reopen(t, s, dir).Recover(true); err != nil || r.Info != nil {
		t.Errorf("recovered %+v, %v", r, err)
	}
}

func BenchmarkSaveUpdate(b *testing.B) {
	s, err := Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for b.Loop() {
		if _, err := s.Save(update(1, mesos.TASK_RUNNING)); err != nil {
			b.Fatal(err)
		}
	}
}

// What a new framework leaves when the agent dies before the first rename.
func TestRCV03_CrashBeforeTheFirstFile(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	full(t, s)
	if err := os.MkdirAll(filepath.Join(dir, "meta/slaves/S0/frameworks/new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if r, err := reopen(t, s, dir).Recover(true); err != nil || len(r.Frameworks) != 1 {
		t.Errorf("recovered %+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "meta/slaves/S0/frameworks/new")); !os.IsNotExist(err) {
		t.Errorf("it is still there: %v", err)
	}
}
