package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/epoch"
)

// Recover reads everything back. With strict, the first unreadable part is an error
// (reference row RCV-03); without, such parts are left out and counted.
func (s *Store) Recover(strict bool) (core.Recovered, error) {
	var r core.Recovered
	if err := s.recoverResources(&r); err != nil {
		return r, err
	}
	if err := s.recoverEpoch(&r); err != nil {
		return r, err
	}
	if s.agent == "" {
		return r, nil
	}
	info := &mesos.AgentInfo{}
	if err := readRecord(filepath.Join(s.dir(), "slave.info"), info); err != nil {
		return r, fmt.Errorf("recover agent %s: %w; remove %s to start as a new agent", s.agent, err, filepath.Join(s.root, "slaves", "latest"))
	}
	r.Info = info
	drain, err := s.recoverDrain()
	if err != nil && strict {
		return r, fmt.Errorf("recover the order to drain: %w", err)
	} else if err != nil {
		r.Errors++
	}
	r.Drain = drain
	for _, fid := range list(filepath.Join(s.dir(), "frameworks")) {
		f := core.RecoveredFramework{}
		err := readRecord(filepath.Join(s.framework(fid), "framework.info"), &f.Info)
		if errors.Is(err, os.ErrNotExist) && !exists(filepath.Join(s.framework(fid), "executors")) {
			if err := s.remove(s.framework(fid)); err != nil { // the agent died before it was written
				return r, err
			}
			continue
		}
		if err == nil && f.Info.ID.GetValue() != fid {
			err = fmt.Errorf("framework.info of %s names %q", fid, f.Info.ID.GetValue())
		}
		if err != nil {
			if strict {
				return r, fmt.Errorf("recover framework %s: %w", fid, err)
			}
			r.Errors++
			continue
		}
		pid, _ := os.ReadFile(filepath.Join(s.framework(fid), "framework.pid")) // absent for HTTP schedulers
		f.PID = string(pid)
		errs, err := s.executors(&f, fid, strict)
		if err != nil {
			return r, err
		}
		r.Errors += errs
		switch {
		case len(f.Executors) > 0:
			r.Frameworks = append(r.Frameworks, f)
		case errs == 0: // the agent died before its first run, or while it removed the last one
			if err := s.remove(s.framework(fid)); err != nil {
				return r, err
			}
		}
	}
	return r, nil
}

func (s *Store) recoverEpoch(r *core.Recovered) error {
	path := filepath.Join(s.root, "epoch")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		r.Epoch, err = epoch.Parse(strings.TrimSpace(string(text)))
	}
	if err != nil {
		return fmt.Errorf("recover the newest master's epoch from %s: %w", path, err)
	}
	return nil
}

func (s *Store) executors(f *core.RecoveredFramework, fid string, strict bool) (errs int, err error) {
	for _, eid := range list(filepath.Join(s.framework(fid), "executors")) {
		e, finished, err := s.recoverExecutor(fid, eid)
		switch {
		case err != nil && strict:
			return errs, fmt.Errorf("recover executor %s of framework %s: %w", eid, fid, err)
		case err != nil:
			errs++
		case !finished:
			f.Executors = append(f.Executors, e)
		default:
			if err := s.remove(s.executor(fid, eid)); err != nil {
				return errs, err
			}
		}
	}
	return errs, nil
}

func (s *Store) recoverExecutor(fid, eid string) (e core.RecoveredExecutor, finished bool, err error) {
	dir := s.executor(fid, eid)
	container, err := os.Readlink(filepath.Join(dir, "runs", "latest"))
	if errors.Is(err, os.ErrNotExist) {
		return e, true, nil // the agent died before the run began
	}
	if err != nil {
		return e, false, err
	}
	e.Container = filepath.Base(container)
	run := core.Run{Framework: fid, Executor: eid, Container: e.Container}
	if exists(filepath.Join(s.run(run), "executor.sentinel")) {
		return e, true, nil
	}
	if err := readRecord(filepath.Join(dir, "executor.info"), &e.Info); err != nil {
		return e, false, err
	}
	upid, _ := os.ReadFile(s.driver(run)) // absent for executors over HTTP
	e.UPID = string(upid)
	e.Generated = exists(filepath.Join(dir, "executor.generated"))
	for _, tid := range list(filepath.Join(s.run(run), "tasks")) {
		t, err := s.recoverTask(run, tid)
		if errors.Is(err, os.ErrNotExist) {
			continue // the agent died before the task was written
		}
		if err != nil {
			return e, false, err
		}
		e.Tasks = append(e.Tasks, t)
	}
	return e, false, nil
}

func (s *Store) recoverTask(run core.Run, tid string) (core.RecoveredTask, error) {
	t := core.RecoveredTask{}
	var more extra
	if err := readRecord(filepath.Join(s.task(run, tid), "task.info"), &t.Info, &more); err != nil {
		return t, err
	}
	for name, v := range more.Limits {
		if t.Limits == nil {
			t.Limits = map[string]mesos.Value_Scalar{}
		}
		t.Limits[name] = *v
	}
	path := filepath.Join(s.task(run, tid), "task.updates")
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	rest := data
	for len(rest) > 0 {
		r := &record{}
		next, err := decode(rest, r)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return t, fmt.Errorf("%s: %w", path, err)
		}
		rest = next
		switch {
		case r.Type == recordUpdate && r.Update != nil:
			t.Updates = append(t.Updates, *r.Update)
		case r.Type == recordAck && t.Acknowledged < len(t.Updates) && bytes.Equal(t.Updates[t.Acknowledged].UUID, r.UUID):
			t.Acknowledged++
		}
	}
	if len(rest) > 0 { // cut the torn record off, so that the next one starts where it should
		if err := os.Truncate(path, int64(len(data)-len(rest))); err != nil {
			return t, err
		}
	}
	return t, nil
}

// readRecord reads the one record of a file into each of the messages.
func readRecord(path string, all ...proto.Message) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, m := range all {
		if _, err := decode(data, m); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

// decode reads one record and returns what follows it.
func decode(data []byte, m proto.Message) ([]byte, error) {
	if len(data) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	size := binary.LittleEndian.Uint32(data)
	if size > maxRecord {
		return nil, fmt.Errorf("record of %d bytes is too long", size)
	}
	if uint64(len(data)-4) < uint64(size) {
		return nil, io.ErrUnexpectedEOF
	}
	if err := proto.Unmarshal(data[4:4+size], m); err != nil {
		return nil, err
	}
	return data[4+size:], nil
}

// list names the entries of a directory that are not temporary; none when it isn't there.
func list(dir string) []string {
	entries, _ := os.ReadDir(dir)
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".tmp-") {
			names = append(names, e.Name())
		}
	}
	return names
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
