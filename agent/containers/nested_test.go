package containers

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// inside is a container in another one.
func inside(t *testing.T, id, script string) Spec {
	s := shell(t, id, script)
	s.Resources, s.Forward = Resources{}, true
	return s
}

func over(t *testing.T, m *Manager, id string) Exit {
	t.Helper()
	result, ended, err := m.Await(id)
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the end of "+id, func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	})
	return result()
}

// The life of a nested container: its end is remembered until it is removed.
func TestNestedContainer(t *testing.T) {
	for name, change := range map[string]func(*Config){"cgroups": nil, "posix": func(c *Config) { c.Posix = true }} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t, change)
			_, exit := launch(t, m, shell(t, "root", "sleep 1000"))
			launch(t, m, inside(t, "root.a", "exit 7"))
			if x := over(t, m, "root.a"); *x.Status != 7<<8 {
				t.Errorf("ended with %d", *x.Status)
			}
			if _, _, err := m.Launch(inside(t, "root.a", "true")); !errors.Is(err, ErrExists) {
				t.Errorf("its id was taken: %v", err)
			}
			if err := m.Remove("root.a"); err != nil {
				t.Error(err)
			}
			if _, err := m.Lookup("root.a"); !errors.Is(err, ErrUnknown) {
				t.Errorf("after its removal: %v", err)
			}
			b := inside(t, "root.b", "trap 'exit 3' TERM; touch ready; while :; do sleep 0.02; done")
			launch(t, m, b)
			if err := m.Remove("root.b"); !errors.Is(err, ErrRunning) {
				t.Errorf("removed while it runs: %v", err)
			}
			until(t, "its trap", func() bool { _, err := os.Stat(filepath.Join(b.Dir, "ready")); return err == nil })
			if err := m.Signal("root.b", syscall.SIGTERM); err != nil {
				t.Error(err)
			}
			if x := over(t, m, "root.b"); *x.Status != 3<<8 {
				t.Errorf("its trap was not run: %d", *x.Status)
			}
			if err := m.Destroy("root"); err != nil {
				t.Error(err)
			}
			end(t, exit)
			if left := m.Nested("root"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// All that is inside ends with a container, at any depth, and nothing can be started in one that is gone.
func TestNestedContainersEndWithTheirParent(t *testing.T) {
	m := newManager(t, nil)
	_, exit := launch(t, m, shell(t, "root", "sleep 1000"))
	child, _ := launch(t, m, inside(t, "root.a", "sleep 1000"))
	grandchild, _ := launch(t, m, inside(t, "root.a.b", "setsid sleep 1000 & sleep 1000"))
	if err := m.Signal("root.a", syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if x := over(t, m, "root.a"); *x.Status != int(syscall.SIGKILL) {
		t.Errorf("ended with %d", *x.Status)
	}
	over(t, m, "root.a.b")
	if child.alive() || grandchild.alive() {
		t.Error("a process outlived its container")
	}
	if _, _, err := m.Launch(inside(t, "root.a.c", "true")); !errors.Is(err, ErrUnknown) {
		t.Errorf("started in a container that has ended: %v", err)
	}
	if _, _, err := m.Launch(inside(t, "nobody.a", "true")); !errors.Is(err, ErrUnknown) {
		t.Errorf("started in nothing: %v", err)
	}
	second, _ := launch(t, m, inside(t, "root.d", "sleep 1000"))
	if err := m.Destroy("root"); err != nil {
		t.Fatal(err)
	}
	end(t, exit)
	if second.alive() {
		t.Error("a nested container outlived its parent")
	}
}

// An agent that comes back finds nested containers, and how those ended that did meanwhile.
func TestRCV04_NestedContainersAreFoundAgain(t *testing.T) {
	m := newManager(t, nil)
	launchDetached(t, m, shell(t, "root", "sleep 1000"))
	p := launchDetached(t, m, inside(t, "root.runs", "sleep 1000"))
	launchDetached(t, m, inside(t, "root.ended", "exit 6"))
	until(t, "its status", func() bool { return readStatus(filepath.Join(m.dir("root.ended"), statusFile)) != nil })
	next, err := New(m.cfg)
	if err != nil {
		t.Fatal(err)
	}
	found, err := next.Recover(map[string]Resources{"root": {}})
	if err != nil || len(found) != 1 {
		t.Fatalf("found %v, %v", found, err)
	}
	if x := over(t, next, "root.ended"); *x.Status != 6<<8 {
		t.Errorf("ended with %d", *x.Status)
	}
	if again, err := next.Lookup("root.runs"); err != nil || again != p {
		t.Errorf("%v, %v", again, err)
	}
	if err := next.Destroy("root"); err != nil {
		t.Fatal(err)
	}
	end(t, found["root"].Exit)
	if p.alive() {
		t.Error("it outlived its parent")
	}
}
