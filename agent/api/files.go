package api

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"

	"github.com/tombolo-project/tombolo/agent/sandbox"
)

// browse serves /files/browse?path=; row AGT-04.
func (s *Server) browse(w http.ResponseWriter, r *http.Request) {
	p, ok := pathOf(w, r)
	if !ok {
		return
	}
	infos, err := s.Files.Browse(p)
	if err != nil {
		fileError(w, err)
		return
	}
	list := make([]map[string]any, 0, len(infos))
	for _, i := range infos {
		list = append(list, map[string]any{
			"path": i.Path, "nlink": i.Links, "size": i.Size, "mtime": float64(i.Modified.Unix()),
			"mode": sandbox.ModeText(i.Mode), "uid": i.Owner, "gid": i.Group,
		})
	}
	writeJSON(w, r, list)
}

// read serves /files/read?path=&offset=&length=.
func (s *Server) read(w http.ResponseWriter, r *http.Request) {
	p, ok := pathOf(w, r)
	if !ok {
		return
	}
	offset, ok := number(w, r, "offset")
	if !ok {
		return
	}
	length, ok := number(w, r, "length")
	if !ok {
		return
	}
	data, size, err := s.Files.Read(p, offset, length)
	if err != nil {
		fileError(w, err)
		return
	}
	if offset == -1 {
		offset = size
	}
	writeJSON(w, r, map[string]any{"offset": offset, "data": string(data)})
}

// number reads a parameter that may be -1 or absent, which mean the same.
func number(w http.ResponseWriter, r *http.Request, name string) (int64, bool) {
	text := r.URL.Query().Get(name)
	if text == "" {
		return -1, true
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Failed to parse %s: Failed to convert '%s' to number.\n", name, text))
		return 0, false
	case n < -1:
		refuse(w, http.StatusBadRequest, fmt.Sprintf("Negative %s provided: %d.\n", name, n))
		return 0, false
	}
	return n, true
}

// download serves /files/download?path=.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	p, ok := pathOf(w, r)
	if !ok {
		return
	}
	f, _, err := s.Files.Open(p)
	if err != nil {
		fileError(w, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		fileError(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", path.Base(p)))
	http.ServeContent(w, r, "", info.ModTime(), f)
}

func pathOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	p := r.URL.Query().Get("path")
	if p == "" {
		refuse(w, http.StatusBadRequest, "Expecting 'path=value' in query.\n")
	}
	return p, p != ""
}

func fileError(w http.ResponseWriter, err error) {
	if refused, ok := errors.AsType[*sandbox.RefusedError](err); ok {
		refuse(w, http.StatusBadRequest, refused.Text)
		return
	}
	if errors.Is(err, sandbox.ErrNotFound) {
		refuse(w, http.StatusNotFound, "")
		return
	}
	refuse(w, http.StatusInternalServerError, err.Error())
}

// unixMode is a mode as stat has it.
func unixMode(m fs.FileMode) uint32 {
	mode := uint32(m.Perm())
	for bit, value := range map[fs.FileMode]uint32{
		fs.ModeSetuid: 0o4000, fs.ModeSetgid: 0o2000, fs.ModeSticky: 0o1000,
	} {
		if m&bit != 0 {
			mode |= value
		}
	}
	kinds := map[fs.FileMode]uint32{
		0: 0o100000, fs.ModeDir: 0o040000, fs.ModeSymlink: 0o120000, fs.ModeNamedPipe: 0o010000,
		fs.ModeSocket: 0o140000, fs.ModeDevice: 0o060000, fs.ModeDevice | fs.ModeCharDevice: 0o020000,
	}
	return mode | kinds[m.Type()]
}
