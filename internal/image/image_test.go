package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// program builds a small static executable to put into images.
func program(t *testing.T, name string, env ...string) string {
	t.Helper()
	dir := t.TempDir()
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\n\nfunc main() { println(\"hello from the image\") }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, source)
	cmd.Env = append(append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=mod"), env...)
	cmd.Dir = dir
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build a program: %v\n%s", err, msg)
	}
	return out
}

func tag(t *testing.T, ref string) name.Tag {
	t.Helper()
	parsed, err := name.NewTag(ref)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func options(t *testing.T) Options {
	t.Helper()
	pem := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(pem, []byte("a bundle\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return Options{
		Binaries: []string{program(t, "tombolo"), program(t, "tombolo-executor")}, Certificates: pem,
		Version: "0.1.0", Revision: "abc",
	}
}

func TestLayoutHoldsTheBinaries(t *testing.T) {
	o := options(t)
	img, err := Build(o)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "build", "image")
	if err := WriteLayout(img, dir, tag(t, "tombolo:test")); err != nil {
		t.Fatal(err)
	}
	read := onlyImage(t, dir)
	if err := validate.Image(read); err != nil {
		t.Fatal(err)
	}
	checkConfig(t, read)
	files := filesOf(t, read)
	for i, path := range []string{"usr/local/bin/tombolo", "usr/local/bin/tombolo-executor"} {
		want, err := os.ReadFile(o.Binaries[i])
		if err != nil {
			t.Fatal(err)
		}
		if got := files[path]; got.header == nil || !bytes.Equal(got.data, want) || got.header.Mode != 0o755 {
			t.Errorf("%s in the image is not the binary that was built", path)
		}
	}
	if got := string(files["etc/ssl/certs/ca-certificates.crt"].data); got != "a bundle\n" {
		t.Errorf("certificate authorities are %q", got)
	}
	if got := files["tmp"]; got.header == nil || got.header.Mode != 0o1777 {
		t.Errorf("/tmp is %+v", got.header)
	}
	for name, f := range files {
		if f.header.Uid != 0 || f.header.Gid != 0 || !f.header.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s has owner %d:%d and time %v", name, f.header.Uid, f.header.Gid, f.header.ModTime)
		}
	}
	// Written over an older layout.
	if err := WriteLayout(img, dir, tag(t, "tombolo:test")); err != nil {
		t.Fatal(err)
	}
	onlyImage(t, dir)
}

func checkConfig(t *testing.T, img v1.Image) {
	t.Helper()
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if c.User != "65532:65532" || config.OS != "linux" || config.Architecture == "" {
		t.Errorf("config is user %q, %s/%s", c.User, config.OS, config.Architecture)
	}
	if !reflect.DeepEqual(c.Entrypoint, []string{"/usr/local/bin/tombolo"}) || c.Cmd != nil {
		t.Errorf("entry point is %q %q", c.Entrypoint, c.Cmd)
	}
	if c.Labels["org.opencontainers.image.version"] != "0.1.0" || c.Labels["org.opencontainers.image.licenses"] != "Apache-2.0" {
		t.Errorf("labels are %v", c.Labels)
	}
}

func TestTwoBuildsHaveOneDigest(t *testing.T) {
	o := options(t)
	var digests []v1.Hash
	for i := range 2 {
		if i == 1 { // the same content elsewhere, with another time
			moved := filepath.Join(t.TempDir(), "tombolo")
			data, err := os.ReadFile(o.Binaries[0])
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(moved, data, 0o700); err != nil {
				t.Fatal(err)
			}
			o.Binaries[0] = moved
		}
		img, err := Build(o)
		if err != nil {
			t.Fatal(err)
		}
		d, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, d)
	}
	if digests[0] != digests[1] {
		t.Errorf("digests differ: %v", digests)
	}
}

func TestTarAndPush(t *testing.T) {
	img, err := Build(options(t))
	if err != nil {
		t.Fatal(err)
	}
	want, err := img.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "out", "tombolo.tar")
	if err := WriteTar(img, path, tag(t, "tombolo:test")); err != nil {
		t.Fatal(err)
	}
	ref := tag(t, "tombolo:test")
	loaded, err := tarball.ImageFromPath(path, &ref)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := loaded.ConfigName(); err != nil || got != want {
		t.Errorf("the tar file holds image %v (%v), want %v", got, err, want)
	}

	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	remoteRef := tag(t, strings.TrimPrefix(server.URL, "http://")+"/tombolo:test")
	if err := Push(t.Context(), img, remoteRef); err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(remoteRef)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pulled.ConfigName(); err != nil || got != want {
		t.Errorf("the registry holds image %v (%v), want %v", got, err, want)
	}
}

func TestWhatCannotRunIsRefused(t *testing.T) {
	good := program(t, "tombolo")
	foreign := program(t, "other", "GOARCH=arm64")
	if arch, _ := staticArchitecture(good); arch == "arm64" {
		foreign = program(t, "other", "GOARCH=amd64")
	}
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name    string
		options Options
		want    string
	}{
		{"nothing", Options{}, "no binary given"},
		{"missing", Options{Binaries: []string{"/nonexistent/tombolo"}}, "/nonexistent/tombolo"},
		{"script", Options{Binaries: []string{script}}, "script"},
		{"two architectures", Options{Binaries: []string{good, foreign}}, "one architecture"},
		{"dynamic", Options{Binaries: []string{"/bin/sh"}}, "dynamically linked"},
		{"no certificates", Options{Binaries: []string{good}, Certificates: "/nonexistent/ca"}, "certificate authorities"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := Build(c.options); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one about %q", err, c.want)
			}
		})
	}
}

func TestLayoutLeavesOtherThingsAlone(t *testing.T) {
	img, err := Build(Options{Binaries: []string{program(t, "tombolo")}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	precious := filepath.Join(dir, "precious")
	if err := os.WriteFile(precious, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteLayout(img, dir, tag(t, "tombolo:test")); err == nil || !strings.Contains(err.Error(), "something other than an image") {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error(err)
	}
}

func onlyImage(t *testing.T, dir string) v1.Image {
	t.Helper()
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "test" {
		t.Fatalf("layout holds %+v", manifest.Manifests)
	}
	img, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

type packed struct {
	header *tar.Header
	data   []byte
}

func filesOf(t *testing.T, img v1.Image) map[string]packed {
	t.Helper()
	files := map[string]packed{}
	stream := mutate.Extract(img)
	defer stream.Close()
	for r := tar.NewReader(stream); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimSuffix(header.Name, "/")] = packed{header, data}
	}
}
