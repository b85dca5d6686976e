package checkpoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gogo/protobuf/proto"
	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// The reservations, volumes and operations of an agent are one record, replaced as a whole, so that a crash leaves the old
// or the new. Volumes are directories beside it, and follow in this order:
//
//  1. directories of new volumes are made; if that fails, nothing has happened
//  2. the record is written as resources_and_operations.target
//  3. directories of volumes that went are moved to the trash, whence they are deleted at leisure
//  4. the target becomes resources_and_operations.state
//
// A target that a start finds is brought to its end: 3 and 4 are done again.

// resourceState is mesos.internal.ResourceState.
type resourceState struct {
	Resources  []*mesos.Resource  `protobuf:"bytes,1,rep,name=resources"`
	Operations []*mesos.Operation `protobuf:"bytes,2,rep,name=operations"`
}

func (r *resourceState) Reset()         { *r = resourceState{} }
func (r *resourceState) String() string { return proto.CompactTextString(r) }
func (*resourceState) ProtoMessage()    {}

func (s *Store) resourceFile(end string) string {
	return filepath.Join(s.root, "resources", "resources_and_operations."+end)
}

func (s *Store) workDir() string { return filepath.Dir(s.root) }

// saveResources carries out a SaveResources.
func (s *Store) saveResources(e core.SaveResources) error {
	m := &resourceState{}
	for i := range e.Resources {
		m.Resources = append(m.Resources, &e.Resources[i])
	}
	for i := range e.Operations {
		m.Operations = append(m.Operations, &e.Operations[i])
	}
	volumes, err := s.volumes(e.Resources)
	if err != nil {
		return err
	}
	for path := range volumes {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return fmt.Errorf("directory of a persistent volume: %w", err)
		}
	}
	if err := writeRecord(s.resourceFile("target"), m); err != nil {
		return err
	}
	return s.finishResources(volumes)
}

// finishResources brings a target to its end; volumes are those that stay.
func (s *Store) finishResources(volumes map[string]bool) error {
	for path, mount := range s.saved {
		if _, stays := volumes[path]; stays {
			continue
		}
		if err := s.removeVolume(path, mount); err != nil {
			return fmt.Errorf("remove persistent volume %s: %w", path, err)
		}
	}
	if err := os.Rename(s.resourceFile("target"), s.resourceFile("state")); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	s.saved = volumes
	return syncDir(filepath.Join(s.root, "resources"))
}

// volumes maps the directories of persistent volumes to whether they are the root of a disk of its own.
func (s *Store) volumes(list []mesos.Resource) (map[string]bool, error) {
	all := map[string]bool{}
	for _, r := range list {
		if !operations.PersistentVolume(&r) {
			continue
		}
		path, err := core.VolumePath(s.workDir(), &r)
		if err != nil {
			return nil, err
		}
		all[path] = r.GetDisk().GetSource().GetType() == mesos.Resource_DiskInfo_Source_MOUNT
	}
	return all, nil
}

// removeVolume takes a volume's directory away at once; a disk of its own is emptied. What is gone already is fine.
func (s *Store) removeVolume(path string, mount bool) error {
	if mount {
		return emptyDirectory(path)
	}
	trash := volumeTrash(path)
	if err := os.MkdirAll(trash, 0o700); err != nil {
		return err
	}
	aside, err := os.MkdirTemp(trash, "")
	if err != nil {
		return err
	}
	err = os.Rename(path, filepath.Join(aside, filepath.Base(path)))
	go os.RemoveAll(aside) //nolint:errcheck // the next start tries again
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// volumeTrash is where directories of volumes wait for their deletion, on the same disk: <root>/volumes/.trash.
func volumeTrash(volume string) string {
	return filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(volume))), ".trash")
}

func emptyDirectory(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(path, e.Name())))
	}
	return err
}

// recoverResources reads what saveResources wrote, and brings to its end what a crash interrupted.
func (s *Store) recoverResources(r *core.Recovered) error {
	var state, target resourceState
	err := readRecord(s.resourceFile("state"), &state)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("recover resources: %w", err)
	}
	if s.saved, err = s.volumes(values(state.Resources)); err != nil {
		return fmt.Errorf("recover resources: %w", err)
	}
	err = readRecord(s.resourceFile("target"), &target)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return fmt.Errorf("recover resources: %w", err)
	default:
		volumes, err := s.volumes(values(target.Resources))
		if err == nil {
			err = s.finishResources(volumes)
		}
		if err != nil {
			return fmt.Errorf("recover resources: %w", err)
		}
		state = target
	}
	s.emptyTrash()
	r.Resources, r.Operations = values(state.Resources), values(state.Operations)
	return nil
}

// emptyTrash deletes, beside the agent, what an earlier run could not.
func (s *Store) emptyTrash() {
	trashes := map[string]bool{filepath.Join(s.workDir(), "volumes", ".trash"): true}
	for path, mount := range s.saved {
		if !mount {
			trashes[volumeTrash(path)] = true
		}
	}
	for trash := range trashes {
		old, _ := filepath.Glob(filepath.Join(trash, "*")) // the pattern is good
		for _, dir := range old {
			go os.RemoveAll(dir) //nolint:errcheck // the next start tries again
		}
	}
}

func values[T any](list []*T) []T {
	var out []T
	for _, p := range list {
		out = append(out, *p)
	}
	return out
}

// syncDir makes a rename within a directory durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	err = errors.Join(f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("checkpoint %s: %w", dir, err)
	}
	return nil
}
