package checkpoint

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/agent/core"
)

func testVolume(id string) mesos.Resource {
	role, kind := "r", mesos.SCALAR
	return mesos.Resource{
		Name: "disk", Type: &kind, Scalar: &mesos.Value_Scalar{Value: 8},
		Reservations: []mesos.Resource_ReservationInfo{{Type: mesos.Resource_ReservationInfo_DYNAMIC.Enum(), Role: &role}},
		Disk:         &mesos.Resource_DiskInfo{Persistence: &mesos.Resource_DiskInfo_Persistence{ID: id}, Volume: &mesos.Volume{ContainerPath: "v", Mode: mesos.RW.Enum()}},
	}
}

func onMount(v mesos.Resource, root string) mesos.Resource {
	v.Disk.Source = &mesos.Resource_DiskInfo_Source{Type: mesos.Resource_DiskInfo_Source_MOUNT, Mount: &mesos.Resource_DiskInfo_Source_Mount{Root: &root}}
	return v
}

func saveVolumes(t *testing.T, s *Store, ids ...string) {
	t.Helper()
	e := core.SaveResources{Operations: []mesos.Operation{{UUID: mesos.UUID{Value: []byte(strings.Join(ids, ","))}}}}
	for _, id := range ids {
		e.Resources = append(e.Resources, testVolume(id))
	}
	if _, err := s.Save(e); err != nil {
		t.Fatal(err)
	}
}

// there lists the directories of volumes.
func there(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(dir, "volumes", "roles", "r"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, ",")
}

func recovered(t *testing.T, dir string) (volumes, operation string) {
	t.Helper()
	s := open(t, dir)
	defer s.Close()
	r, err := s.Recover(true)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, v := range r.Resources {
		ids = append(ids, v.Disk.Persistence.ID)
	}
	if len(r.Operations) > 0 {
		operation = string(r.Operations[0].UUID.Value)
	}
	return strings.Join(ids, ","), operation
}

func TestVolumesComeAndGoWithTheRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Recover(true); err != nil {
		t.Fatal(err)
	}
	saveVolumes(t, s, "a", "b")
	if err := os.WriteFile(filepath.Join(dir, "volumes", "roles", "r", "a", "data"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := there(t, dir); got != "a,b" {
		t.Errorf("directories %s", got)
	}
	saveVolumes(t, s, "b", "c")
	if got := there(t, dir); got != "b,c" {
		t.Errorf("directories %s", got)
	}
	saveVolumes(t, s, "a")
	if _, err := os.Stat(filepath.Join(dir, "volumes", "roles", "r", "a", "data")); !errors.Is(err, os.ErrNotExist) {
		t.Error("a volume that was destroyed comes back with its data")
	}
	s.Close()
	if v, o := recovered(t, dir); v != "a" || o != "a" {
		t.Errorf("recovered volumes %s and operation %s", v, o)
	}
}

// A crash between the steps of resources.go.
func TestSaveResourcesIsFinishedAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Recover(true); err != nil {
		t.Fatal(err)
	}
	saveVolumes(t, s, "a", "b")
	// 1: only the directory was made.
	if err := os.Mkdir(filepath.Join(dir, "volumes", "roles", "r", "c"), 0o755); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if v, _ := recovered(t, dir); v != "a,b" {
		t.Errorf("after step 1: %s", v)
	}
	// 2: the target is written, nothing else.
	s = open(t, dir)
	c := testVolume("c")
	if err := writeRecord(s.resourceFile("target"), &resourceState{Resources: []*mesos.Resource{&c}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if v, _ := recovered(t, dir); v != "c" || there(t, dir) != "c" {
		t.Errorf("after step 2: %s, directories %s", v, there(t, dir))
	}
	if _, err := os.Stat(filepath.Join(dir, "meta", "resources", "resources_and_operations.target")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the target is still there")
	}
}

func TestMountDisksAreEmptiedNotRemoved(t *testing.T) {
	dir, disk := t.TempDir(), t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if _, err := s.Recover(true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(core.SaveResources{Resources: []mesos.Resource{onMount(testVolume("a"), disk)}}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(disk, "deep", "er"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(core.SaveResources{}); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(disk)
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestVolumesThatCannotBeMadeLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	defer s.Close()
	if _, err := s.Recover(true); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Save(core.SaveResources{Resources: []mesos.Resource{onMount(testVolume("a"), filepath.Join(file, "x"))}}); err == nil {
		t.Fatal("no error")
	}
	if _, err := os.Stat(s.resourceFile("target")); !errors.Is(err, os.ErrNotExist) {
		t.Error("the next start would try again for ever")
	}
}

// The trash of an earlier run is deleted beside the next one.
func TestTrashIsDeleted(t *testing.T) {
	dir := t.TempDir()
	old := filepath.Join(dir, "volumes", ".trash", "123", "v", "deep")
	if err := os.MkdirAll(old, 0o700); err != nil {
		t.Fatal(err)
	}
	recovered(t, dir)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(filepath.Dir(filepath.Dir(old))); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still there")
		}
	}
}
