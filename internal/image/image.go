// Package image builds the project's container image from finished binaries, from scratch and without a container engine:
// an OCI layout, a tar file that engines load, or a push to a registry. The image is the same, byte for byte, whenever and
// wherever it is built from the same binaries.
//
// Start reading at Build; the command is in tombolo-image.
package image

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	// BinDir is where the binaries lie in the image.
	BinDir = "/usr/local/bin"
	// CertificatesPath is where Go's crypto/x509 looks first.
	CertificatesPath = "/etc/ssl/certs/ca-certificates.crt"
	// User is the numeric user and group that the image runs as: "nonroot" by the convention of minimal images.
	User = "65532:65532"
)

// Options says what goes into the image.
type Options struct {
	// Binaries are paths of static executables, at least one. The first is the entry point.
	Binaries []string
	// Certificates is a PEM bundle of certificate authorities; empty leaves them out.
	Certificates string
	// Version and Revision become labels; empty ones are left out.
	Version, Revision string
	// Created is the time of the image and of every file in it. The zero time is the Unix epoch.
	Created time.Time
}

// Build makes the image in memory. Errors name the file that is wrong and what to do about it.
func Build(o Options) (v1.Image, error) {
	if len(o.Binaries) == 0 {
		return nil, errors.New("no binary given for the image")
	}
	if o.Created.IsZero() {
		o.Created = time.Unix(0, 0)
	}
	base, err := baseFiles(o)
	if err != nil {
		return nil, err
	}
	programs, architecture, err := programFiles(o.Binaries)
	if err != nil {
		return nil, err
	}
	// Two layers: the first hardly ever changes.
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, content := range []struct {
		comment string
		files   []file
	}{{"users, certificates, /tmp", base}, {"binaries", programs}} {
		layer, err := layerOf(content.files, o.Created)
		if err != nil {
			return nil, err
		}
		img, err = mutate.Append(img, mutate.Addendum{Layer: layer, History: v1.History{
			Created: v1.Time{Time: o.Created.UTC()}, CreatedBy: "tombolo-image", Comment: content.comment,
		}})
		if err != nil {
			return nil, fmt.Errorf("add the layer of %s: %w", content.comment, err)
		}
	}
	return configure(img, o, architecture)
}

func configure(img v1.Image, o Options, architecture string) (v1.Image, error) {
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("read the image's config: %w", err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", architecture
	config.Created = v1.Time{Time: o.Created.UTC()}
	config.Config.User = User
	config.Config.WorkingDir = "/"
	config.Config.Entrypoint = []string{path.Join(BinDir, filepath.Base(o.Binaries[0]))}
	config.Config.Env = []string{"PATH=" + BinDir}
	config.Config.Labels = labels(o)
	img, err = mutate.ConfigFile(img, config)
	if err != nil {
		return nil, fmt.Errorf("configure the image: %w", err)
	}
	return img, nil
}

func labels(o Options) map[string]string {
	l := map[string]string{
		"org.opencontainers.image.title":       "tombolo",
		"org.opencontainers.image.description": "A Mesos-compatible datacenter with Kubernetes on it",
		"org.opencontainers.image.licenses":    "Apache-2.0",
		"org.opencontainers.image.source":      "https://github.com/tombolo-project/tombolo",
	}
	if o.Version != "" {
		l["org.opencontainers.image.version"] = o.Version
	}
	if o.Revision != "" {
		l["org.opencontainers.image.revision"] = o.Revision
	}
	return l
}

// baseFiles are what programs expect of any system: users with names, a /tmp, certificate authorities.
func baseFiles(o Options) ([]file, error) {
	files := []file{
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/sbin/nologin\n")},
		{name: "etc/group", mode: 0o644, data: []byte("root:x:0:\nnonroot:x:65532:\n")},
		{name: "tmp", mode: 0o1777, directory: true},
	}
	if o.Certificates != "" {
		pem, err := os.ReadFile(o.Certificates)
		if err != nil {
			return nil, fmt.Errorf("read the certificate authorities: %w", err)
		}
		files = append(files, file{name: CertificatesPath[1:], mode: 0o644, data: pem})
	}
	return files, nil
}

// programFiles reads the binaries and says which architecture they are for; all must agree.
func programFiles(binaries []string) (files []file, architecture string, err error) {
	for _, binary := range binaries {
		arch, err := staticArchitecture(binary)
		if err != nil {
			return nil, "", err
		}
		if architecture != "" && arch != architecture {
			return nil, "", fmt.Errorf("%s is for %s, the binary before it for %s: an image holds one architecture", binary, arch, architecture)
		}
		architecture = arch
		data, err := os.ReadFile(binary)
		if err != nil {
			return nil, "", fmt.Errorf("read the binary: %w", err)
		}
		files = append(files, file{name: path.Join(BinDir, filepath.Base(binary))[1:], mode: 0o755, data: data})
	}
	return files, architecture, nil
}

// Certificates finds the build machine's bundle of certificate authorities, or returns "".
func Certificates() string {
	if runtime.GOOS != "linux" {
		return ""
	}
	for _, bundle := range []string{"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"} {
		if info, err := os.Stat(bundle); err == nil && info.Mode().IsRegular() {
			return bundle
		}
	}
	return ""
}
