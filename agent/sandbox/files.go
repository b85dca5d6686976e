package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"os/user"
	"strconv"
)

// Files gives read access to the sandboxes below a work directory and to nothing
// else. Links that a task makes are followed only as long as they stay in its sandbox.
type Files struct {
	WorkDir string
	Agent   func() string // the agent's id, for paths that leave it out
}

// Info describes a file as Mesos lists it.
type Info struct {
	Path     string
	Size     int64
	Links    uint64
	Mode     fs.FileMode
	Modified time.Time
	Owner    string
	Group    string
}

// ErrNotFound is returned for what isn't there.
var ErrNotFound = errors.New("no such file or directory")

// RefusedError is a request that can't be served; its text is for the client.
type RefusedError struct{ Text string }

func (e *RefusedError) Error() string { return e.Text }

// maxRead is the most that one read returns: 16 pages, as in Mesos.
const maxRead = 16 * 4096

// locate splits a path into a sandbox and what is asked for in it. Two forms are
// served: the real path, and /frameworks/F/executors/E/runs/R/... without the agent.
func (f *Files) locate(p string) (root, rel string, err error) {
	if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
		return "", "", ErrNotFound
	}
	given, real := p, path.Clean(p)
	if rest, ok := strings.CutPrefix(real, "/frameworks/"); ok {
		real = filepath.Join(f.WorkDir, "slaves", f.Agent(), "frameworks", rest)
	}
	rest, ok := strings.CutPrefix(real, strings.TrimSuffix(f.WorkDir, "/")+"/slaves/")
	parts := strings.SplitN(rest, "/", 9)
	// <agent>/frameworks/<f>/executors/<e>/runs/<c>[/rel]
	if !ok || len(parts) < 7 || parts[1] != "frameworks" || parts[3] != "executors" || parts[5] != "runs" {
		if slices.Contains(strings.Split(given, "/"), "..") {
			return "", "", &RefusedError{fmt.Sprintf("'%s' is inaccessible.\n", given)}
		}
		return "", "", ErrNotFound
	}
	parts = strings.SplitN(rest, "/", 8)
	root = filepath.Join(append([]string{f.WorkDir, "slaves"}, parts[:7]...)...)
	if len(parts) == 8 {
		return root, parts[7], nil
	}
	return root, ".", nil
}

// Owner says whose sandbox a path lies in, as the other methods understand it; false for a path of none, or of an earlier
// agent's.
func (f *Files) Owner(p string) (framework, executor string, ok bool) {
	root, _, err := f.locate(p)
	if err != nil {
		return "", "", false
	}
	// <work dir>/slaves/<agent>/frameworks/<f>/executors/<e>/runs/<c>
	parts := strings.Split(strings.TrimPrefix(root, filepath.Join(f.WorkDir, "slaves")+"/"), "/")
	if len(parts) != 7 || parts[0] != f.Agent() {
		return "", "", false
	}
	return parts[2], parts[4], true
}

func (f *Files) root(p string) (*os.Root, string, error) {
	dir, rel, err := f.locate(p)
	if err != nil {
		return nil, "", err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, "", ErrNotFound
	}
	return root, rel, nil
}

// Browse lists a directory in order of names; a file has no entries.
func (f *Files) Browse(p string) ([]Info, error) {
	root, rel, err := f.root(p)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(rel)
	if err != nil {
		return nil, refusal(p, err)
	}
	if !info.IsDir() {
		return nil, nil
	}
	dir, err := root.Open(rel)
	if err != nil {
		return nil, refusal(p, err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, refusal(p, err)
	}
	slices.Sort(names)
	var all []Info
	for _, name := range names {
		inside := path.Join(rel, name)
		entry, err := root.Stat(inside) // a link shows what it points to
		if err != nil {
			entry, err = root.Lstat(inside) // which may be outside, or nothing
		}
		if err != nil {
			continue // gone meanwhile
		}
		all = append(all, describe(strings.TrimSuffix(p, "/")+"/"+name, entry))
	}
	return all, nil
}

// Read returns the part of a file from offset; length < 0 asks for as much as one
// answer takes. An offset < 0 only asks for the size.
func (f *Files) Read(p string, offset, length int64) (data []byte, size int64, err error) {
	file, size, err := f.Open(p)
	if text := ""; err != nil {
		if r, ok := errors.AsType[*RefusedError](err); ok && r.Text == isDirectory {
			text = "Cannot read a directory.\n"
			err = &RefusedError{text}
		}
		return nil, 0, err
	}
	defer file.Close()
	if offset < 0 || offset >= size || length == 0 {
		return nil, size, nil
	}
	if length < 0 || length > maxRead {
		length = maxRead
	}
	data = make([]byte, min(length, size-offset))
	n, err := file.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, refusal(p, err)
	}
	return data[:n], size, nil
}

const isDirectory = "Cannot download a directory.\n"

// Open opens a regular file for reading. It never waits, such as for the writer of a pipe.
func (f *Files) Open(p string) (*os.File, int64, error) {
	root, rel, err := f.root(p)
	if err != nil {
		return nil, 0, err
	}
	defer root.Close()
	file, err := root.OpenFile(rel, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, 0, refusal(p, err)
	}
	info, err := file.Stat()
	switch {
	case err != nil:
		err = refusal(p, err)
	case info.IsDir():
		err = &RefusedError{isDirectory}
	case !info.Mode().IsRegular():
		err = &RefusedError{fmt.Sprintf("'%s' is not a regular file.\n", p)}
	}
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}

// refusal turns a file system error into what a client may know.
func refusal(p string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNotFound
	}
	return &RefusedError{fmt.Sprintf("'%s' is inaccessible.\n", p)}
}

func describe(p string, info fs.FileInfo) Info {
	d := Info{Path: p, Size: info.Size(), Mode: info.Mode(), Modified: info.ModTime()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		d.Links, d.Owner, d.Group = uint64(st.Nlink), names.user(st.Uid), names.group(st.Gid)
	}
	return d
}

// names remembers the names of ids, which cost a file read each.
var names nameCache

type nameCache struct{ users, groups sync.Map }

func (c *nameCache) user(id uint32) string {
	return cached(&c.users, id, func(text string) (string, error) {
		u, err := user.LookupId(text)
		if err != nil {
			return "", err
		}
		return u.Username, nil
	})
}

func (c *nameCache) group(id uint32) string {
	return cached(&c.groups, id, func(text string) (string, error) {
		g, err := user.LookupGroupId(text)
		if err != nil {
			return "", err
		}
		return g.Name, nil
	})
}

func cached(m *sync.Map, id uint32, find func(string) (string, error)) string {
	if name, ok := m.Load(id); ok {
		return name.(string)
	}
	text := strconv.FormatUint(uint64(id), 10)
	name, err := find(text)
	if err != nil {
		return text // may get a name later: not remembered
	}
	m.Store(id, name)
	return name
}

// ModeText writes a mode as ls does, "drwxr-xr-x".
func ModeText(m fs.FileMode) string {
	kinds := map[fs.FileMode]byte{fs.ModeDir: 'd', fs.ModeSymlink: 'l', fs.ModeNamedPipe: 'p', fs.ModeSocket: 's', fs.ModeDevice: 'b', fs.ModeDevice | fs.ModeCharDevice: 'c'}
	text := []byte("-rwxrwxrwx")
	if k, ok := kinds[m.Type()]; ok {
		text[0] = k
	}
	for i := range 9 {
		if m&(1<<(8-i)) == 0 {
			text[1+i] = '-'
		}
	}
	for _, s := range []struct {
		bit fs.FileMode
		at  int
		on  byte
		off byte
	}{{fs.ModeSetuid, 3, 's', 'S'}, {fs.ModeSetgid, 6, 's', 'S'}, {fs.ModeSticky, 9, 't', 'T'}} {
		if m&s.bit != 0 {
			if text[s.at] == 'x' {
				text[s.at] = s.on
			} else {
				text[s.at] = s.off
			}
		}
	}
	return string(text)
}
