// Package checkpoint keeps on disk what an agent must know after a kill -9: its id,
// the executors it runs and the status updates that are not acknowledged. The
// layout is Mesos's (reference section 4.5):
//
//	meta/lock, meta/trash/
//	meta/resources/resources_and_operations.state  (see resources.go)
//	meta/epoch (the newest reign of a master that was obeyed; not Mesos's)
//	meta/slaves/latest -> <agent id>
//	meta/slaves/<agent id>/slave.info, drain.config (while it drains)
//	  frameworks/<framework id>/framework.info, framework.pid
//	    executors/<executor id>/executor.info, executor.generated (a command task's)
//	      runs/<container id>/tasks/<task id>/task.info, task.updates
//	      runs/<container id>/executor.sentinel  (finished: not recovered)
//
// A *.info file is one record, written aside, synced and renamed; task.updates is
// appended to and synced before the update is confirmed to the executor. A record is
// a 4 byte little-endian length and a protocol buffer. The last record of a stream may
// be cut off by a crash; it was never confirmed to anyone, so it is dropped.
//
// Start reading at: Store.
package checkpoint

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// Store is the meta directory of one agent. Only the agent's owner uses it.
type Store struct {
	root  string // <work_dir>/meta
	agent string // agent id, "" before the first registration
	lock  *os.File
	saved map[string]bool // directories of volumes; see volumes
}

// ErrInUse is returned when another agent runs on the same directory.
var ErrInUse = errors.New("another agent is using this work directory")

// lockPatience is how long the children of a killed agent may hold its lock.
const lockPatience = 2 * time.Second

// Open prepares <work_dir>/meta.
func Open(workDir string) (*Store, error) {
	s := &Store{root: filepath.Join(workDir, "meta")}
	if err := os.MkdirAll(filepath.Join(s.root, "slaves"), 0o700); err != nil {
		return nil, fmt.Errorf("checkpoint directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(s.root, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("checkpoint directory: %w", err)
	}
	// Held until the process ends, however it does. A child that a killed agent had just
	// forked holds it, too, until it has become another program: hence the patience.
	for deadline := time.Now().Add(lockPatience); ; time.Sleep(10 * time.Millisecond) {
		err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			lock.Close()
			return nil, fmt.Errorf("%s: %w", workDir, ErrInUse)
		}
	}
	s.lock = lock
	err = errors.Join(os.RemoveAll(s.trash()), os.Mkdir(s.trash(), 0o700))
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("checkpoint directory: %w", err)
	}
	latest, err := os.Readlink(filepath.Join(s.root, "slaves", "latest"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	if latest != "" {
		s.agent = filepath.Base(latest)
	}
	return s, nil
}

// Close lets another agent have the directory.
func (s *Store) Close() error { return s.lock.Close() }

// record is mesos.internal.StatusUpdateRecord.
type record struct {
	Type   int32                  `protobuf:"varint,1,req,name=type"`
	Update *messages.StatusUpdate `protobuf:"bytes,2,opt,name=update"`
	UUID   []byte                 `protobuf:"bytes,3,opt,name=uuid"`
}

func (r *record) Reset()         { *r = record{} }
func (r *record) String() string { return proto.CompactTextString(r) }
func (*record) ProtoMessage()    {}

// extra is what a task.info holds beside mesos.Task, whose bytes come first: fields
// that one of the two does not know are passed over when it is read.
type extra struct {
	Limits map[string]*mesos.Value_Scalar `protobuf:"bytes,1000,rep,name=limits" protobuf_key:"bytes,1,opt,name=key" protobuf_val:"bytes,2,opt,name=value"`
}

func (x *extra) Reset()         { *x = extra{} }
func (x *extra) String() string { return proto.CompactTextString(x) }
func (*extra) ProtoMessage()    {}

const (
	recordUpdate = 0
	recordAck    = 1
	// maxRecord bounds what is read back; an update's data is limited by the executor API's body.
	maxRecord = 64 << 20
)

// Save carries out one Save effect of the core. Other effects are not its business: ok is false.
func (s *Store) Save(effect core.Effect) (ok bool, err error) {
	switch e := effect.(type) {
	case core.SaveEpoch:
		return true, writeFile(filepath.Join(s.root, "epoch"), []byte(e.Epoch.String()+"\n"))
	case core.SaveAgent:
		return true, s.saveAgent(e.Info)
	case core.SaveFramework:
		dir := s.framework(e.Info.ID.GetValue())
		return true, errors.Join(writeRecord(filepath.Join(dir, "framework.info"), &e.Info), writeFile(filepath.Join(dir, "framework.pid"), []byte(e.PID)))
	case core.SaveExecutor:
		return true, s.saveExecutor(e)
	case core.SaveExecutorPID:
		return true, writeFile(s.driver(e.Run), []byte(e.UPID))
	case core.SaveTask:
		return true, s.saveTask(e)
	case core.SaveUpdate:
		return true, appendRecord(filepath.Join(s.task(e.Run, e.Task), "task.updates"), &record{Type: recordUpdate, Update: &e.Update}, true)
	case core.SaveAck:
		// Not synced: an acknowledgement that is lost only makes an update come twice.
		return true, appendRecord(filepath.Join(s.task(e.Run, e.Task), "task.updates"), &record{Type: recordAck, UUID: e.UUID}, false)
	case core.SaveResources:
		return true, s.saveResources(e)
	case core.SaveDrain:
		return true, s.saveDrain(e.Config)
	case core.SaveDone:
		return true, s.done(e.Run)
	default:
		return false, nil
	}
}

// Forget makes the next start a new agent: it removes the link to the latest one.
func (s *Store) Forget() error {
	err := os.Remove(filepath.Join(s.root, "slaves", "latest"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func (s *Store) dir() string { return filepath.Join(s.root, "slaves", s.agent) }

func (s *Store) framework(id string) string { return filepath.Join(s.dir(), "frameworks", id) }

func (s *Store) executor(framework, id string) string {
	return filepath.Join(s.framework(framework), "executors", id)
}

func (s *Store) run(r core.Run) string {
	return filepath.Join(s.executor(r.Framework, r.Executor), "runs", r.Container)
}

func (s *Store) task(r core.Run, task string) string {
	return filepath.Join(s.run(r), "tasks", task)
}

// driver is where the address of an executor's driver is kept.
func (s *Store) driver(r core.Run) string { return filepath.Join(s.run(r), "pids", "libprocess.pid") }

func (s *Store) saveAgent(info mesos.AgentInfo) error {
	s.agent = info.ID.GetValue()
	if err := writeRecord(filepath.Join(s.dir(), "slave.info"), &info); err != nil {
		return err
	}
	return replaceLink(s.agent, filepath.Join(s.root, "slaves", "latest"))
}

func (s *Store) saveExecutor(e core.SaveExecutor) error {
	dir := s.executor(e.Framework, e.Info.ExecutorID.Value)
	if err := writeRecord(filepath.Join(dir, "executor.info"), &e.Info); err != nil {
		return err
	}
	mark := filepath.Join(dir, "executor.generated")
	var err error
	if e.Generated {
		err = writeFile(mark, nil)
	} else if err = os.Remove(mark); errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "runs", e.Container), 0o700); err != nil {
		return err
	}
	return replaceLink(e.Container, filepath.Join(dir, "runs", "latest"))
}

func (s *Store) saveTask(e core.SaveTask) error {
	path := filepath.Join(s.task(e.Run, e.Task.TaskID.Value), "task.info")
	x := extra{Limits: map[string]*mesos.Value_Scalar{}}
	for name, v := range e.Limits {
		x.Limits[name] = &mesos.Value_Scalar{Value: v.Value}
	}
	data, err := encode(&e.Task, &x)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return writeFile(path, data)
}

// done marks a run as finished and removes it. What is removed is first moved away as
// a whole: a crash must not leave half of it to be taken for tasks without an end.
func (s *Store) done(r core.Run) error {
	run := s.run(r)
	if err := os.MkdirAll(run, 0o700); err != nil {
		return err
	}
	if err := writeFile(filepath.Join(run, "executor.sentinel"), nil); err != nil {
		return err
	}
	executor := s.executor(r.Framework, r.Executor)
	latest := filepath.Join(executor, "runs", "latest")
	if target, err := os.Readlink(latest); err == nil && target != r.Container {
		return s.remove(run) // another run of the same executor goes on
	}
	if err := s.remove(executor); err != nil {
		return err
	}
	executors := filepath.Join(s.framework(r.Framework), "executors")
	if left, err := os.ReadDir(executors); err != nil || len(left) > 0 {
		return err
	}
	return s.remove(s.framework(r.Framework))
}

// remove takes a directory away in one step. What a crash leaves in the trash goes
// with the next start.
func (s *Store) remove(dir string) error {
	trash, err := os.MkdirTemp(s.trash(), "")
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.Rename(dir, filepath.Join(trash, filepath.Base(dir))); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return os.RemoveAll(trash)
}

func (s *Store) trash() string { return filepath.Join(s.root, "trash") }

// writeRecord replaces a file by one record.
func writeRecord(path string, m proto.Message) error {
	data, err := encode(m)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return writeFile(path, data)
}

// encode makes one record of the messages' bytes.
func encode(all ...proto.Message) ([]byte, error) {
	var body []byte
	for _, m := range all {
		part, err := proto.Marshal(m)
		if err != nil {
			return nil, err
		}
		body = append(body, part...)
	}
	return append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...), nil
}

// writeFile replaces a file atomically: whoever reads it after a crash sees the old or the new one.
func writeFile(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-")
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return nil
}

func appendRecord(path string, m proto.Message, sync bool) error {
	data, err := encode(m)
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	_, err = f.Write(data)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("checkpoint %s: %w", path, err)
	}
	return nil
}

func replaceLink(target, path string) error {
	tmp := path + ".tmp"
	_ = os.Remove(tmp)
	if err := os.Symlink(target, tmp); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
