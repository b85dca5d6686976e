package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// dataLink is the link that is replaced atomically; names of volumes' files never start with "..".
const dataLink = "..data"

// write makes root show exactly the files. All of them change in one instant: each name at the top is a link into ..data,
// and ..data is a link to a directory with the present contents.
func write(root string, files map[string]file, group int) error {
	old, err := os.Readlink(filepath.Join(root, dataLink))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if old != "" && same(filepath.Join(root, old), files) {
		return nil
	}
	fresh, err := os.MkdirTemp(root, "..contents-")
	if err != nil {
		return err
	}
	if err := writeAll(fresh, files, group); err != nil {
		return errors.Join(err, os.RemoveAll(fresh))
	}
	next := filepath.Join(root, dataLink+"_next")
	if err := os.Remove(next); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(filepath.Base(fresh), next); err != nil {
		return err
	}
	if err := os.Rename(next, filepath.Join(root, dataLink)); err != nil {
		return err
	}
	if err := linkNames(root, files); err != nil {
		return err
	}
	if old != "" {
		return os.RemoveAll(filepath.Join(root, filepath.Base(old)))
	}
	return nil
}

func writeAll(dir string, files map[string]file, group int) error {
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	for path, f := range files {
		if !filepath.IsLocal(path) || strings.HasPrefix(path, "..") {
			return fmt.Errorf("file %q would lie outside of the volume", path)
		}
		target := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, f.data, 0o600); err != nil {
			return err
		}
		mode := os.FileMode(f.mode) & os.ModePerm //nolint:gosec // permission bits
		if group >= 0 {
			if err := os.Chown(target, -1, group); err != nil {
				return err
			}
			mode |= 0o440
		}
		if err := os.Chmod(target, mode); err != nil {
			return err
		}
	}
	return nil
}

// linkNames makes one link for each name at the top and removes those of names that have gone.
func linkNames(root string, files map[string]file) error {
	wanted := map[string]bool{}
	for path := range files {
		top, _, _ := strings.Cut(path, "/")
		wanted[top] = true
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		if wanted[name] {
			delete(wanted, name)
			continue
		}
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			return err
		}
	}
	for name := range wanted {
		if err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(root, name)); err != nil {
			return err
		}
	}
	return nil
}

// same says that dir holds exactly the files.
func same(dir string, files map[string]file) bool {
	count := 0
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		count++
		f, ok := files[name]
		if !ok {
			return os.ErrNotExist
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if !bytes.Equal(data, f.data) {
			return os.ErrInvalid
		}
		return nil
	})
	return err == nil && count == len(files)
}
