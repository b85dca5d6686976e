package images

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// programs is a directory with something in the place of each program.
func programs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, i := range Catalogue {
		if err := os.WriteFile(filepath.Join(dir, i.Program), []byte(i.Program), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestTheSameProgramGivesTheSameImage(t *testing.T) {
	dir := programs(t)
	for _, i := range Catalogue {
		var digests []string
		for range 2 {
			image, err := i.Build(dir)
			if err != nil {
				t.Fatal(err)
			}
			digest, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest.String())
		}
		if digests[0] != digests[1] {
			t.Errorf("%s: %v", i.Names[0], digests)
		}
	}
}

func TestServedByEveryName(t *testing.T) {
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := probe.Addr().String()
	probe.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	dir := programs(t)
	go func() { served <- Serve(ctx, address, dir, slog.New(slog.DiscardHandler)) }()
	for _, i := range Catalogue {
		for _, n := range i.Names {
			tag, err := Local(address, n)
			if err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				if _, err = remote.Head(tag); err == nil || time.Now().After(deadline) {
					break
				}
			}
			if err != nil {
				t.Errorf("%s: %v", n, err)
			}
		}
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestNamesLoseTheirRegistry(t *testing.T) {
	for image, want := range map[string]string{
		"busybox":                      "h:1/library/busybox:latest",
		"busybox:1.36":                 "h:1/library/busybox:1.36",
		"tombolo/web:1":                "h:1/tombolo/web:1",
		"registry.k8s.io/pause:3.10.1": "h:1/pause:3.10.1",
	} {
		if tag, err := Local("h:1", image); err != nil || tag.Name() != want {
			t.Errorf("%s: %v, %v", image, tag, err)
		}
	}
}
