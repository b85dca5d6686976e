package volumes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// read is what a container sees of a volume.
func read(t rapid.TB, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	top, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range top {
		if strings.HasPrefix(entry.Name(), "..") {
			continue
		}
		real, err := filepath.EvalSymlinks(filepath.Join(root, entry.Name()))
		if err != nil {
			t.Fatal(err)
		}
		err = filepath.WalkDir(real, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			found[entry.Name()+strings.TrimPrefix(path, real)] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// Whatever the contents were before, a volume shows exactly the new ones, and nothing old stays behind.
func TestContentsFollow(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(dir, "v")
		if err != nil {
			t.Fatal(err)
		}
		paths := rapid.SampledFrom([]string{"a", "b", "d/e", "d/f/g", "h/i"})
		for range 4 {
			want := rapid.MapOf(paths, rapid.SampledFrom([]string{"", "1", "2"})).Draw(t, "contents")
			files := map[string]file{}
			for path, text := range want {
				files[path] = file{data: []byte(text), mode: 0o644}
			}
			if err := write(root, files, -1); err != nil {
				t.Fatal(err)
			}
			got := read(t, root)
			if len(got) != len(want) {
				t.Fatalf("got %v, want %v", got, want)
			}
			for path, text := range want {
				if got[path] != text {
					t.Fatalf("got %v, want %v", got, want)
				}
			}
			entries, err := os.ReadDir(root)
			if err != nil {
				t.Fatal(err)
			}
			hidden := 0
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), "..") {
					hidden++
				}
			}
			if hidden != 2 { // ..data and its directory
				t.Fatalf("%d hidden entries", hidden)
			}
		}
	})
}

func TestFilesStayInside(t *testing.T) {
	for _, path := range []string{"../x", "/x", "a/../../x", "..x"} {
		if err := write(t.TempDir(), map[string]file{path: {}}, -1); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}

func TestMissingReferencesAreNamed(t *testing.T) {
	source := func(v corev1.VolumeSource) *podapi.Bundle {
		return &podapi.Bundle{Pod: &corev1.Pod{Spec: corev1.PodSpec{Volumes: []corev1.Volume{{Name: "v", VolumeSource: v}}}}}
	}
	ref := corev1.LocalObjectReference{Name: "x"}
	yes := true
	cases := map[string]*podapi.Bundle{
		`volume "v": configmap "x" not found`: source(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref}}),
		`volume "v": secret "x" not found`:    source(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "x"}}),
		`volume "v": no service account token for t`: source(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "t"}}},
		}}),
		"": source(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: ref, Optional: &yes}}),
	}
	for want, bundle := range cases {
		err := New(t.TempDir(), t.TempDir()).Prepare(bundle)
		if want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// A link that a container has made cannot lead a subPath out of its volume.
func TestSubPathStaysInside(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(root, "out")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"out", "out/deeper", "../x", "/etc"} {
		if err := bindInside(root, path, filepath.Join(t.TempDir(), "target")); err == nil {
			t.Errorf("subPath %s was bound", path)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) > 0 {
		t.Errorf("made outside: %v, %v", entries, err)
	}
}
