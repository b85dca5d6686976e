package processes

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// supervisor is one in dir that restarts without a pause worth mentioning.
func supervisor(t *testing.T, dir string) *Supervisor {
	t.Helper()
	s, err := New(filepath.Join(dir, "run"), filepath.Join(dir, "log"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.backoff = func(int) time.Duration { return time.Millisecond }
	return s
}

func sleeper(name string) Spec {
	return Spec{Name: name, Path: "/bin/sleep", Args: []string{"1000"}, Env: []string{"PATH=/bin"}, Grace: time.Second}
}

func pid(t *testing.T, s *Supervisor, name string) int {
	t.Helper()
	r, err := readRecord(s.file(name, ".pid"))
	if err != nil {
		t.Fatal(err)
	}
	return r.PID
}

func alive(pid int) bool {
	_, err := startTime(pid)
	return err == nil
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func ignore(string) {}

func TestAKilledProcessIsStartedAgain(t *testing.T) {
	s := supervisor(t, t.TempDir())
	if err := s.Start(t.Context(), sleeper("a")); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(ignore)
	first := pid(t, s, "a")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	eventually(t, "another life", func() bool { now := pid(t, s, "a"); return now != first && alive(now) })
}

func TestStopEndsTheLastStartedFirst(t *testing.T) {
	s := supervisor(t, t.TempDir())
	var pids []int
	for _, name := range []string{"a", "b", "c"} {
		if err := s.Start(t.Context(), sleeper(name)); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid(t, s, name))
	}
	var order string
	s.Stop(func(name string) { order += name })
	if order != "cba" {
		t.Errorf("order %q", order)
	}
	for _, p := range pids {
		if alive(p) {
			t.Errorf("process %d is alive", p)
		}
	}
	if left, _ := filepath.Glob(s.file("*", ".pid")); len(left) > 0 {
		t.Errorf("pid files are left: %v", left)
	}
	if err := s.Start(t.Context(), sleeper("d")); err == nil {
		t.Error("a stopped supervisor starts processes")
	}
}

func TestAnotherSupervisorTakesOver(t *testing.T) {
	dir := t.TempDir()
	killed := supervisor(t, dir)
	if err := killed.Start(t.Context(), sleeper("a")); err != nil {
		t.Fatal(err)
	}
	killed.Abandon()
	first := pid(t, killed, "a")

	s := supervisor(t, dir)
	if !s.Runs("a") {
		t.Error("it does not see the process")
	}
	if err := s.Start(t.Context(), sleeper("a")); err != nil {
		t.Fatal(err)
	}
	if now := pid(t, s, "a"); now != first {
		t.Errorf("pid %d instead of %d", now, first)
	}
	s.Stop(ignore)
	eventually(t, "its end", func() bool { return !alive(first) })
}

func TestAProcessOfOtherOptionsIsReplaced(t *testing.T) {
	dir := t.TempDir()
	killed := supervisor(t, dir)
	if err := killed.Start(t.Context(), sleeper("a")); err != nil {
		t.Fatal(err)
	}
	killed.Abandon()
	first := pid(t, killed, "a")
	s := supervisor(t, dir)
	other := sleeper("a")
	other.Args = []string{"2000"}
	if err := s.Start(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	defer s.Stop(ignore)
	if now := pid(t, s, "a"); now == first || alive(first) {
		t.Errorf("pid %d, before %d", now, first)
	}
}

func TestEndRecordedNeedsNoSupervisor(t *testing.T) {
	s := supervisor(t, t.TempDir())
	for _, name := range []string{"a", "b"} {
		if err := s.Start(t.Context(), sleeper(name)); err != nil {
			t.Fatal(err)
		}
	}
	a, b := pid(t, s, "a"), pid(t, s, "b")
	s.Abandon()
	for range 2 {
		if err := EndRecorded(s.runDir, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if alive(a) || alive(b) {
		t.Error("a process is alive")
	}
}

// A pid file whose pid now belongs to another process never leads to its end.
func TestAnotherProcessWithTheSamePidIsLeftAlone(t *testing.T) {
	cmd := exec.Command("/bin/sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { cmd.Process.Kill(); cmd.Wait() }()
	r, err := recordOf(cmd.Process.Pid, "x")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, change := range map[string]func(*record){"start": func(r *record) { r.Start += "0" }, "boot": func(r *record) { r.Boot = "another" }} {
		other := r
		change(&other)
		if err := other.write(filepath.Join(dir, name+".pid")); err != nil {
			t.Fatal(err)
		}
	}
	if err := EndRecorded(dir, time.Second); err != nil {
		t.Fatal(err)
	}
	if !alive(cmd.Process.Pid) {
		t.Error("it was ended")
	}
}

func TestAProcessThatEndsBeforeItIsReadyIsAnErrorWithItsLog(t *testing.T) {
	s := supervisor(t, t.TempDir())
	spec := Spec{Name: "bad", Path: "/bin/sh", Args: []string{"-c", "echo the reason; exit 3"}, Ready: func(context.Context) error { return errors.New("not yet") }}
	err := s.Start(t.Context(), spec)
	if err == nil || !strings.Contains(err.Error(), "the reason") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	s.Stop(ignore)
}

func TestAStubbornProcessIsKilledAfterItsGrace(t *testing.T) {
	s := supervisor(t, t.TempDir())
	spec := Spec{Name: "stubborn", Path: "/bin/sh", Args: []string{"-c", "trap '' TERM; echo up; while :; do sleep 1; done"}, Grace: 50 * time.Millisecond}
	spec.Ready = func(context.Context) error {
		if data, _ := os.ReadFile(s.LogPath("stubborn")); !bytes.Contains(data, []byte("up")) {
			return errors.New("no trap yet")
		}
		return nil
	}
	if err := s.Start(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	p := pid(t, s, "stubborn")
	s.Stop(ignore)
	if alive(p) {
		t.Error("it is alive")
	}
}

// The command in the .cmd file gives a shell the very words of the Spec.
func TestCommandSurvivesTheShell(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.StringMatching(`[a-z "'$\\;&|(){}*?~#!<>\[\]=,\n]{0,12}`), 1, 5).Draw(t, "words")
		spec := Spec{Path: "/usr/bin/printf", Args: append([]string{`%s\037`}, words...)}
		out, err := exec.Command("/bin/sh", "-c", spec.Command()).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if want := strings.Join(words, "\x1f") + "\x1f"; string(out) != want {
			t.Fatalf("got %q, want %q from %s", out, want, spec.Command())
		}
	})
}

func TestBackoffDoublesUpToALimit(t *testing.T) {
	var got []string
	for _, failures := range []int{0, 1, 2, 4, 5, 1000} {
		got = append(got, backoff(failures).String())
	}
	if text := fmt.Sprint(got); text != "[1s 2s 4s 16s 30s 30s]" {
		t.Error(text)
	}
}
