package sandbox

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestGC_AgeAndHeadroom(t *testing.T) {
	work := t.TempDir()
	now := time.Now()
	used := 0.4
	live := map[string]bool{}
	c := &Collector{WorkDir: work, Delay: 10 * time.Hour, Headroom: 0.1, Log: slog.New(slog.DiscardHandler),
		Live: func() map[string]bool { return live }, Usage: func() (float64, error) { return used, nil }}
	run := func(executor, container string, age time.Duration) string {
		dir := filepath.Join(work, "slaves/S0/frameworks/f/executors", executor, "runs", container)
		if err := Create(dir, nil); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(dir, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	old, young, busy := run("a", "old", 6*time.Hour), run("b", "young", 4*time.Hour), run("c", "busy", 1000*time.Hour)
	live = map[string]bool{busy: true}
	look := func(what string, gone, stay []string) {
		t.Helper()
		if err := c.Collect(now); err != nil {
			t.Fatal(err)
		}
		for _, dir := range gone {
			if _, err := os.Lstat(dir); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s: %s is still there (%v)", what, dir, err)
			}
		}
		for _, dir := range stay {
			if _, err := os.Lstat(dir); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	look("half of the delay is left", []string{old, filepath.Join(work, "slaves/S0/frameworks/f/executors/a")}, []string{young, busy})
	live = map[string]bool{}
	look("the age counts from the end", nil, []string{busy})
	now = now.Add(4 * time.Hour)
	look("a long run's sandbox stays as long as others", []string{young}, []string{busy})
	used = 0.95
	fresh := run("d", "fresh", 0)
	look("not what is just being made", nil, []string{fresh})
	now = now.Add(2 * time.Minute)
	look("the disk is full", []string{busy, filepath.Join(work, "slaves/S0")}, []string{work})
}

// What is mounted in a sandbox is not the sandbox's.
func TestGC_MountsAreLeftAlone(t *testing.T) {
	work := t.TempDir()
	dir := filepath.Join(work, "slaves/S0/frameworks/f/executors/x/runs/c")
	mnt := filepath.Join(dir, "volume")
	if err := errors.Join(Create(dir, nil), os.Mkdir(mnt, 0o755)); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", mnt, "tmpfs", 0, ""); err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer func() { _ = syscall.Unmount(mnt, 0) }()
	if err := os.WriteFile(filepath.Join(mnt, "data"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &Collector{WorkDir: work, Log: slog.New(slog.DiscardHandler), Live: func() map[string]bool { return map[string]bool{} }}
	if err := c.Collect(time.Now().Add(time.Hour)); err == nil {
		t.Error("nothing is said of it")
	}
	if _, err := os.Stat(filepath.Join(mnt, "data")); err != nil {
		t.Error(err)
	}
}

func TestGC_NothingBeforeTheAgentKnowsWhatRuns(t *testing.T) {
	work := t.TempDir()
	dir := filepath.Join(work, "slaves/S0/frameworks/f/executors/x/runs/c")
	if err := Create(dir, nil); err != nil {
		t.Fatal(err)
	}
	c := &Collector{WorkDir: work, Log: slog.New(slog.DiscardHandler), Live: func() map[string]bool { return nil }}
	if err := c.Collect(time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
