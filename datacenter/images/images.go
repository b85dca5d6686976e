// Package images serves the few container images that a datacenter needs to be tried
// out without any network: they are made here, layer by layer, from static programs,
// and served by a registry on the datacenter's own address.
//
// containerd asks this registry first for every image name, whatever registry the name
// begins with, by repository and tag; what it does not have is looked for where the
// name says. Anybody on the machine can push further images to it; those last as long
// as the registry runs. Start reading at Catalogue.
package images

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// Port is the registry's, on the datacenter's address.
const Port = 5000

// Pause is the image of the pod sandboxes.
const Pause = "registry.k8s.io/pause:3.10.1"

// Web is a small web server to try Deployments with.
const Web = "tombolo/web:1"

// Image is one image of the catalogue.
type Image struct {
	Names   []string // as users write them; the first is the usual one
	Program string   // file in the directory of static programs
	Link    []string // further names of the program inside the image
	Command []string // entry point
	Shell   bool     // the command is a default that arguments replace
	Ports   []string
}

// Catalogue lists all images made here. The busybox is the machine's own package
// (busybox-static), whatever tag it is asked by.
var Catalogue = []Image{
	{Names: []string{Pause, "registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.9"}, Program: "pause", Command: []string{"/pause"}},
	{
		Names: []string{
			"busybox:latest", "busybox:1.35", "busybox:1.36", "busybox:1.37", "busybox:stable",
			"registry.k8s.io/e2e-test-images/busybox:1.37.0-1", "registry.k8s.io/e2e-test-images/busybox:1.36.1-1",
		},
		Program: "busybox", Link: applets, Command: []string{"sh"}, Shell: true,
	},
	{Names: []string{Web, "tombolo/web:latest"}, Program: "web", Command: []string{"/web"}, Ports: []string{"8080/tcp"}},
}

// applets are the names under which busybox is found in its image.
var applets = strings.Fields(`[ [[ ash awk basename cat chgrp chmod chown chroot cksum clear cmp comm cp cut date dd df diff dirname
	dmesg dnsdomainname du echo egrep env expr factor false fgrep find fold free getopt grep groups gunzip gzip head hexdump hostid hostname
	httpd id ifconfig install ip ipcalc kill killall less link ln logname ls md5sum mkdir mkfifo mknod mktemp more mount mv nc netstat nice nl
	nohup nproc nslookup od paste patch pgrep pidof ping pkill printenv printf ps pwd readlink realpath renice reset rev rm rmdir route
	sed seq setsid sh sha1sum sha256sum sha512sum shred shuf sleep sort split stat strings stty su sum sync tac tail tar tee telnet test time
	timeout top touch tr traceroute true truncate tty umount uname uniq unlink uptime usleep vi watch wc wget which whoami xargs xxd yes zcat`)

// Build makes the image from the static programs in dir.
func (i Image) Build(dir string) (v1.Image, error) {
	program, err := os.ReadFile(filepath.Join(dir, i.Program))
	if err != nil {
		return nil, fmt.Errorf("image %s: %w: run make tools", i.Names[0], err)
	}
	files, err := i.layer(program)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Names[0], err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil })
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Names[0], err)
	}
	image, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Names[0], err)
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", i.Names[0], err)
	}
	config = config.DeepCopy()
	config.Architecture, config.OS = runtime.GOARCH, "linux"
	config.Config.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	config.Config.Labels = map[string]string{"org.opencontainers.image.description": "made by tombolo from a static " + i.Program + ", for use without a network"}
	if i.Shell {
		config.Config.Cmd = i.Command
	} else {
		config.Config.Entrypoint = i.Command
	}
	for _, port := range i.Ports {
		if config.Config.ExposedPorts == nil {
			config.Config.ExposedPorts = map[string]struct{}{}
		}
		config.Config.ExposedPorts[port] = struct{}{}
	}
	return mutate.ConfigFile(image, config)
}

// layer is the image's only layer. All times are zero, so that the same program gives
// the same image.
func (i Image) layer(program []byte) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	directories := []tar.Header{
		{Name: "bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "etc/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "root/", Typeflag: tar.TypeDir, Mode: 0o700},
		{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o1777},
		{Name: "usr/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "usr/bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "var/", Typeflag: tar.TypeDir, Mode: 0o755},
	}
	path := i.Program
	if len(i.Link) > 0 {
		path = "bin/" + i.Program
	}
	for _, d := range directories {
		if err := write(w, d, nil); err != nil {
			return nil, err
		}
	}
	passwd := []byte("root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
	group := []byte("root:x:0:\nnogroup:x:65534:\n")
	for _, file := range []struct {
		name string
		mode int64
		data []byte
	}{{path, 0o755, program}, {"etc/passwd", 0o644, passwd}, {"etc/group", 0o644, group}} {
		if err := write(w, tar.Header{Name: file.name, Typeflag: tar.TypeReg, Mode: file.mode, Size: int64(len(file.data))}, file.data); err != nil {
			return nil, err
		}
	}
	for _, link := range i.Link {
		header := tar.Header{Name: "bin/" + link, Typeflag: tar.TypeLink, Linkname: path, Mode: 0o755}
		if err := write(w, header, nil); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

func write(w *tar.Writer, header tar.Header, data []byte) error {
	header.Format = tar.FormatPAX
	if err := w.WriteHeader(&header); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// Serve runs the registry on the address with the catalogue in it, until the context
// is over.
func Serve(ctx context.Context, address, programs string, log *slog.Logger) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("image registry: %w", err)
	}
	server := &http.Server{
		Handler:           registry.New(registry.Logger(slog.NewLogLogger(log.Handler(), slog.LevelDebug))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if err := fill(ctx, listener.Addr().String(), programs); err != nil {
		if ctx.Err() != nil {
			err = nil // told to end before it was full
		}
		return errors.Join(err, server.Close())
	}
	log.Info("image registry is ready", "address", listener.Addr().String(), "images", len(Catalogue))
	select {
	case err := <-served:
		return fmt.Errorf("image registry: %w", err)
	case <-ctx.Done():
		return server.Close()
	}
}

// fill pushes the catalogue. Names are kept without their registry: that is how
// containerd asks for them.
func fill(ctx context.Context, address, programs string) error {
	for _, i := range Catalogue {
		image, err := i.Build(programs)
		if err != nil {
			return err
		}
		for _, n := range i.Names {
			as, err := Local(address, n)
			if err != nil {
				return err
			}
			if err := remote.Write(as, image, remote.WithContext(ctx)); err != nil {
				return fmt.Errorf("image %s: %w", n, err)
			}
		}
	}
	return nil
}

// Local is the image's name in the registry at this address: `busybox:1.36` is
// library/busybox:1.36 there, `ghcr.io/a/b:1` is a/b:1.
func Local(address, image string) (name.Tag, error) {
	tag, err := name.NewTag(image)
	if err != nil {
		return name.Tag{}, fmt.Errorf("image name %q: %w", image, err)
	}
	return name.NewTag(address+"/"+tag.RepositoryStr()+":"+tag.TagStr(), name.Insecure)
}
