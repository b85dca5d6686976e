package fetcher

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "inner/file", Mode: 0o644, Size: 2}); err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte("in"))
	_ = w.Close()
	_ = z.Close()
	return b.Bytes()
}

func TestFetch(t *testing.T) {
	packed := archive(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/executor":
			_, _ = w.Write([]byte("#!/bin/sh\n"))
		case "/a.tar.gz":
			_, _ = w.Write(packed)
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	source := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(source, []byte("text"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	var log bytes.Buffer
	err := Fetch(context.Background(), []URI{
		{Value: server.URL + "/executor?token=secret", Executable: true},
		{Value: server.URL + "/a.tar.gz", Extract: true},
		{Value: source, Output: "sub/renamed", Extract: true},
		{Value: "file://" + source},
	}, dir, &log)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"executor": "#!/bin/sh\n", "inner/file": "in", "sub/renamed": "text", "plain": "text"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, "executor")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("mode of the executable: %v, %v", info.Mode(), err)
	}
	if strings.Contains(log.String(), "secret") {
		t.Errorf("the log shows a secret: %s", log.String())
	}
}

func TestRefusedByName(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	for value, want := range map[string]string{
		"hdfs://n/x": "hdfs", "ftp://n/x": "ftp", "relative": "absolute", "/no/such/file": "no such file", "/": "file name",
		server.URL + "/x": "404", "/dev/zero": "regular",
	} {
		err := Fetch(context.Background(), []URI{{Value: value}}, t.TempDir(), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", value, err, want)
		}
	}
	for _, output := range []string{"../x", "/abs", "a/../../x", ".."} {
		if err := Check(URI{Value: "/x", Output: output}); err == nil {
			t.Errorf("output %q was accepted", output)
		}
	}
}

// A link that the task's archive brought must not lead the next file outside.
func TestLinksDoNotLeadOutside(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(source, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := Fetch(context.Background(), []URI{{Value: source, Output: "link/f"}}, dir, &bytes.Buffer{})
	if left, _ := os.ReadDir(outside); err == nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("http://user:pass@h/p?token=x#y"); got != "http://h/p" {
		t.Errorf("printable: %s", got)
	}
}
