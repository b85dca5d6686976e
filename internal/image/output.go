package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// WriteLayout writes the image as an OCI layout directory, tagged with the reference's tag. An older layout at the same place
// is replaced; anything else there is left alone and is an error.
func WriteLayout(img v1.Image, dir string, ref name.Tag) error {
	if err := replaceable(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	// Made beside its place and moved there whole, so that an interrupted build leaves no half image.
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".image-*")
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	defer os.RemoveAll(fresh)
	if err := os.Chmod(fresh, 0o755); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	place, err := layout.Write(fresh, empty.Index)
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	annotations := map[string]string{"org.opencontainers.image.ref.name": ref.TagStr()}
	if err := place.AppendImage(img, layout.WithAnnotations(annotations)); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("replace the image: %w", err)
	}
	if err := os.Rename(fresh, dir); err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	return nil
}

// replaceable says whether dir may be overwritten: it is missing, empty or an OCI layout.
func replaceable(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write the image: %w", err)
	}
	for _, e := range entries {
		if e.Name() == "oci-layout" {
			return nil
		}
	}
	if len(entries) > 0 {
		return fmt.Errorf("%s holds something other than an image: give another directory", dir)
	}
	return nil
}

// WriteTar writes the image as one file that container engines load, under the name ref.
func WriteTar(img v1.Image, path string, ref name.Tag) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the image's tar file: %w", err)
	}
	if err := tarball.WriteToFile(path, ref, img); err != nil {
		return fmt.Errorf("write the image's tar file: %w", err)
	}
	return nil
}

// Push sends the image to the registry that ref names, with the credentials of the user's container tools, if any.
func Push(ctx context.Context, img v1.Image, ref name.Tag) error {
	if err := remote.Write(ref, img, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
		return fmt.Errorf("push %s: %w", ref, err)
	}
	return nil
}
