package sandbox

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// tree makes a sandbox with a few things in it, and a secret outside.
func tree(t testing.TB) (f *Files, run string) {
	t.Helper()
	work := t.TempDir()
	run = filepath.Join(work, "slaves/S0/frameworks/f/executors/e/runs/c")
	if err := Create(run, nil); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"stdout": "hello\n", "d/file": "data\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(run, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(run, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(work, "secret"), []byte("TOP SECRET"), 0o600); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"inside": "d", "out": "../../../../../../../../secret", "absolute": filepath.Join(work, "secret"), "root": "/", "dangling": "none",
		"up": "d/../../c/../../../../../../../../secret",
	} {
		if err := os.Symlink(to, filepath.Join(run, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(run, "pipe"), 0o644); err != nil {
		t.Fatal(err)
	}
	return &Files{WorkDir: work, Agent: func() string { return "S0" }}, run
}

func TestSBX01_Create(t *testing.T) {
	_, run := tree(t)
	info, err := os.Stat(run)
	if err != nil || info.Mode().Perm() != 0o750 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if to, err := os.Readlink(filepath.Join(filepath.Dir(run), "latest")); err != nil || to != run {
		t.Errorf("latest is %q, %v", to, err)
	}
	if err := Create(run, nil); err == nil {
		t.Error("a sandbox was made twice")
	}
}

func TestAGT04_BrowseAndRead(t *testing.T) {
	f, run := tree(t)
	for _, base := range []string{run, "/frameworks/f/executors/e/runs/c", "/frameworks/f/executors/e/runs/latest"} {
		infos, err := f.Browse(base)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, i := range infos {
			names = append(names, strings.TrimPrefix(i.Path, base))
		}
		if got := strings.Join(names, " "); got != "/absolute /d /dangling /inside /out /pipe /root /stdout /up" {
			t.Errorf("%s holds %s", base, got)
		}
		for path, want := range map[string]string{"/stdout": "hello\n", "/d/file": "data\n", "/inside/file": "data\n", "/d/../stdout": "hello\n"} {
			if data, size, err := f.Read(base+path, 0, -1); err != nil || string(data) != want || size != int64(len(want)) {
				t.Errorf("read %s: %q, %d, %v", path, data, size, err)
			}
		}
	}
	if data, size, err := f.Read(run+"/d/file", 2, 2); err != nil || string(data) != "ta" || size != 5 {
		t.Errorf("part: %q, %d, %v", data, size, err)
	}
	if list, err := f.Browse(run + "/stdout"); err != nil || len(list) != 0 {
		t.Errorf("browsing a file: %v, %v", list, err)
	}
}

func TestNothingOutsideIsServed(t *testing.T) {
	f, run := tree(t)
	work := f.WorkDir
	for _, p := range []string{
		run + "/out", run + "/absolute", run + "/up", run + "/root/etc/passwd", run + "/../../../../../../../../secret", work + "/secret",
		work, work + "/slaves", work + "/meta", "/etc/passwd", "/", "", "relative", run + "\x00", "/frameworks/../../../../secret",
		"/frameworks/f/executors/e/runs/../../../../../../../../etc/passwd", run + "x", run + "/d/file/more", run + "/none",
	} {
		if file, _, err := f.Open(p); err == nil {
			text, _ := io.ReadAll(file)
			t.Errorf("%q was served: %q", p, text)
			file.Close()
		}
		if list, err := f.Browse(p); err == nil {
			t.Errorf("%q was listed: %v", p, list)
		}
	}
	if _, _, err := f.Open(run + "/pipe"); err == nil {
		t.Error("a pipe was opened")
	}
	if _, _, err := f.Read(run+"/d", 0, -1); err == nil || err.Error() != "Cannot read a directory.\n" {
		t.Errorf("reading a directory: %v", err)
	}
}

// FuzzPaths: whatever the path, nothing but the sandbox's files is served, and
// nothing panics or hangs.
func FuzzPaths(f *testing.F) {
	files, run := tree(f)
	for _, seed := range []string{"/stdout", "/d/../../x", "/out", "/root/../../etc/passwd", "/./d//file", "/inside/../up", "\x00", "/%2e%2e/"} {
		f.Add(seed)
		f.Add("/../../.." + seed)
	}
	f.Fuzz(func(t *testing.T, tail string) {
		for _, p := range []string{run + tail, tail, "/frameworks/f/executors/e/runs/latest" + tail, "/frameworks/" + tail} {
			if _, err := files.Browse(p); err != nil && !known(err) {
				t.Errorf("browse %q: %v", p, err)
			}
			data, _, err := files.Read(p, 0, -1)
			switch {
			case err != nil && !known(err):
				t.Errorf("read %q: %v", p, err)
			case err == nil && string(data) != "hello\n" && string(data) != "data\n":
				t.Errorf("read %q: %q", p, data)
			}
		}
	})
}

func known(err error) bool {
	_, refused := errors.AsType[*RefusedError](err)
	return refused || errors.Is(err, ErrNotFound)
}

func TestModeText(t *testing.T) {
	for mode, want := range map[fs.FileMode]string{
		0o644: "-rw-r--r--", fs.ModeDir | 0o755: "drwxr-xr-x", fs.ModeDir | fs.ModeSticky | 0o777: "drwxrwxrwt",
		fs.ModeSetuid | 0o755: "-rwsr-xr-x", fs.ModeSymlink | 0o777: "lrwxrwxrwx",
	} {
		if got := ModeText(mode); got != want {
			t.Errorf("%v is %q, want %q", mode, got, want)
		}
	}
}

func TestLookup(t *testing.T) {
	if u, err := Lookup("root"); err != nil || u.UID != 0 {
		t.Errorf("root is %+v, %v", u, err)
	}
	if _, err := Lookup("no-such-user"); err == nil || err.Error() != "No such user 'no-such-user'" {
		t.Errorf("an unknown user: %v", err)
	}
}
