package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"path"
	"sort"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// file is one entry of a layer; name is relative to the root.
type file struct {
	name      string
	mode      int64
	data      []byte
	directory bool
}

// layerOf packs files, and the directories above them, into a layer. Order, owner (root) and times are fixed.
func layerOf(files []file, created time.Time) (v1.Layer, error) {
	entries := map[string]file{}
	for _, f := range files {
		for dir := path.Dir(f.name); dir != "."; dir = path.Dir(dir) {
			if _, there := entries[dir]; !there {
				entries[dir] = file{name: dir, mode: 0o755, directory: true}
			}
		}
		entries[f.name] = f
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names) // a directory sorts before what it holds

	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, name := range names {
		if err := writeEntry(w, entries[name], created); err != nil {
			return nil, fmt.Errorf("pack %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("pack the layer: %w", err)
	}
	packed := buf.Bytes()
	opener := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(packed)), nil }
	layer, err := tarball.LayerFromOpener(opener, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("compress the layer: %w", err)
	}
	return layer, nil
}

func writeEntry(w *tar.Writer, f file, created time.Time) error {
	header := &tar.Header{Name: f.name, Mode: f.mode, ModTime: created.UTC(), Format: tar.FormatPAX, Typeflag: tar.TypeReg, Size: int64(len(f.data))}
	if f.directory {
		header.Name, header.Typeflag = f.name+"/", tar.TypeDir
	}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err := w.Write(f.data)
	return err
}

// architectures maps what an ELF header says to the names images use.
var architectures = map[elf.Machine]string{elf.EM_X86_64: "amd64", elf.EM_AARCH64: "arm64"}

// staticArchitecture says which architecture an executable is for, and refuses one that needs a dynamic loader: the image
// has none.
func staticArchitecture(binary string) (string, error) {
	f, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("read the binary %s: %w", binary, err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is dynamically linked and could not start in the image: build it with CGO_ENABLED=0", binary)
		}
	}
	arch, known := architectures[f.Machine]
	if !known {
		return "", fmt.Errorf("%s is for %s: the image is made for amd64 or arm64", binary, f.Machine)
	}
	return arch, nil
}
