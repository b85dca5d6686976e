package api

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib/master"
)

// This file shows files to operators: /files/* (reference section 2.5) and the calls
// LIST_FILES and READ_FILE (rows OP1-06, OP1-07). Only what Facts.Files names is
// there; a master has its own log.

// maxRead is the most one read returns, in bytes: 16 pages, as in Mesos.
const maxRead = 16 * 4096

// errNoFile says that no file is shown under the path asked for.
var errNoFile = errors.New("no such file or directory")

// errOutside says that a path leads out of what is shown.
type errOutside string

func (e errOutside) Error() string { return fmt.Sprintf("'%s' is inaccessible.\n", string(e)) }

// real finds the file that a virtual path names.
func (s *Server) real(p string) (string, error) {
	if file, ok := s.facts.Files[strings.TrimSuffix(p, "/")]; ok {
		return file, nil
	}
	for virtual := range s.facts.Files {
		if strings.HasPrefix(p, virtual+"/") && strings.Contains(p, "..") {
			return "", errOutside(p)
		}
	}
	return "", errNoFile
}

// readFile reads a part of a shown file and tells its size. A length below 0 asks for all that one answer takes.
func (s *Server) readFile(p string, offset, length int64) (data []byte, size int64, err error) {
	real, err := s.real(p)
	if err != nil {
		return nil, 0, err
	}
	f, err := os.Open(real)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	size = info.Size()
	if offset >= size || length == 0 {
		return nil, size, nil
	}
	if length < 0 || length > maxRead {
		length = maxRead
	}
	data = make([]byte, min(length, size-offset))
	n, err := f.ReadAt(data, offset)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	return data[:n], size, nil
}

// fileFailed answers a request for a file that cannot be had.
func fileFailed(w http.ResponseWriter, err error) {
	var outside errOutside
	switch {
	case errors.As(err, &outside):
		refuse(w, http.StatusBadRequest, "%s", err)
	case errors.Is(err, errNoFile), errors.Is(err, fs.ErrNotExist):
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(http.StatusNotFound)
	default:
		refuse(w, http.StatusInternalServerError, "%s", err)
	}
}

// pathAsked is the query's path, or a refusal.
func pathAsked(w http.ResponseWriter, r *http.Request) (string, bool) {
	p := r.URL.Query().Get("path")
	if p == "" {
		refuse(w, http.StatusBadRequest, "Expecting 'path=value' in query.")
	}
	return p, p != ""
}

// browse serves /files/browse. Every file shown is a plain one, which has nothing inside.
func (s *Server) browse(w http.ResponseWriter, r *http.Request) {
	p, ok := pathAsked(w, r)
	if !ok {
		return
	}
	if _, err := s.real(p); err != nil {
		fileFailed(w, err)
		return
	}
	s.json(w, r, []any{})
}

// pail serves /files/read, which the web interface's pailer asks for the size by offset -1.
func (s *Server) pail(w http.ResponseWriter, r *http.Request) {
	p, ok := pathAsked(w, r)
	if !ok {
		return
	}
	offset, err := pailNumber(r, "offset")
	if err != nil {
		refuse(w, http.StatusBadRequest, "%s", err)
		return
	}
	length, err := pailNumber(r, "length")
	if err != nil {
		refuse(w, http.StatusBadRequest, "%s", err)
		return
	}
	if offset == -1 {
		length = 0
	}
	data, size, err := s.readFile(p, max(offset, 0), length)
	if err != nil {
		fileFailed(w, err)
		return
	}
	if offset == -1 {
		offset = size
	}
	s.json(w, r, map[string]any{"offset": offset, "data": string(data)})
}

// pailNumber reads a parameter that may be absent or -1, which mean the same.
func pailNumber(r *http.Request, name string) (int64, error) {
	q := r.URL.Query()
	if !q.Has(name) {
		return -1, nil
	}
	n, err := strconv.ParseInt(q.Get(name), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("Failed to parse %s: Failed to convert '%s' to number.", name, q.Get(name))
	}
	if n < -1 {
		return 0, fmt.Errorf("Negative %s provided: %d.", name, n)
	}
	return n, nil
}

// download serves /files/download.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	p, ok := pathAsked(w, r)
	if !ok {
		return
	}
	real, err := s.real(p)
	if errors.Is(err, errNoFile) {
		refuse(w, http.StatusNotFound, "404 Not Found.")
		return
	}
	if err != nil {
		fileFailed(w, err)
		return
	}
	f, err := os.Open(real)
	if err != nil {
		fileFailed(w, err)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		fileFailed(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", "attachment; filename="+path.Base(real))
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// shownFiles serves /files/debug: which path shows which file.
func (s *Server) shownFiles(w http.ResponseWriter, r *http.Request) { s.json(w, r, s.facts.Files) }

// listFiles answers LIST_FILES.
func (s *Server) listFiles(c *master.Call_ListFiles) (*master.Response, error) {
	if _, err := s.real(c.Path); err != nil {
		return nil, err
	}
	return &master.Response{Type: master.Response_LIST_FILES, ListFiles: &master.Response_ListFiles{}}, nil
}

// readFileCall answers READ_FILE.
func (s *Server) readFileCall(c *master.Call_ReadFile) (*master.Response, error) {
	length := int64(-1)
	if c.Length != nil {
		length = int64(min(*c.Length, maxRead))
	}
	data, size, err := s.readFile(c.Path, int64(min(c.Offset, 1<<62)), length)
	if err != nil {
		return nil, err
	}
	return &master.Response{Type: master.Response_READ_FILE, ReadFile: &master.Response_ReadFile{Size_: uint64(size), Data: data}}, nil
}
