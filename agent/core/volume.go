package core

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/offers"
	"github.com/tombolo-project/tombolo/offers/operations"
)

// Volume is a persistent volume in a container.
type Volume struct {
	Path      string // on the machine
	Container string // below the sandbox
	Shared    bool   // others may use it at the same time
}

// VolumePath is where a persistent volume lies: <work_dir>/volumes/roles/<role>/<id> as in Mesos (reference section 4.5),
// the same below the root of a PATH disk, or a MOUNT disk's own root.
func VolumePath(workDir string, r *mesos.Resource) (string, error) {
	root, source := workDir, r.GetDisk().GetSource()
	switch source.GetType() {
	case mesos.Resource_DiskInfo_Source_MOUNT:
		return below(workDir, source.GetMount().GetRoot())
	case mesos.Resource_DiskInfo_Source_PATH:
		var err error
		if root, err = below(workDir, source.GetPath().GetRoot()); err != nil {
			return "", err
		}
	case mesos.Resource_DiskInfo_Source_UNKNOWN: // the disk of the work directory
	default:
		return "", fmt.Errorf("volumes on disks of type %s are not supported by this agent", source.GetType())
	}
	role, id := operations.ReservationRole(r), r.GetDisk().GetPersistence().GetID()
	if err := operations.ValidRole(role); err != nil {
		return "", err
	}
	if id == "" || id == "." || id == ".." || strings.ContainsAny(id, "/\\") {
		return "", fmt.Errorf("persistence id %q can't be a directory", id)
	}
	return filepath.Join(root, "volumes", "roles", strings.ReplaceAll(role, "/", " "), id), nil
}

// below reads the root of a disk; a relative one lies in the work directory.
func below(workDir, root string) (string, error) {
	switch {
	case root == "":
		return "", fmt.Errorf("the disk names no root")
	case filepath.IsAbs(root):
		return filepath.Clean(root), nil
	}
	return filepath.Join(workDir, root), nil
}

// volumesOf are the persistent volumes among resources.
func (s *State) volumesOf(list []mesos.Resource) ([]Volume, error) {
	var all []Volume
	for i := range list {
		r := &list[i]
		if !operations.PersistentVolume(r) {
			continue
		}
		operations.Upgrade(r)
		path, err := VolumePath(s.cfg.WorkDir, r)
		if err != nil {
			return nil, err
		}
		inside := r.GetDisk().GetVolume().GetContainerPath()
		if inside == "" || !filepath.IsLocal(inside) || filepath.Clean(inside) == "." {
			return nil, fmt.Errorf("the container_path %q of persistent volume %s is not a path below the sandbox", inside, r.Disk.Persistence.ID)
		}
		all = append(all, Volume{Path: path, Container: filepath.Clean(inside), Shared: r.Shared != nil})
	}
	slices.SortFunc(all, func(a, b Volume) int { return cmp.Compare(a.Container, b.Container) })
	return slices.CompactFunc(all, func(a, b Volume) bool { return a == b }), nil
}

// volumes are those that the executor and its live tasks hold. What can't be mounted was refused at launch.
func (s *State) volumes(e *executor) []Volume {
	list := slices.Clone(e.info.Resources)
	for _, t := range e.live() {
		list = append(list, t.info.Resources...)
	}
	all, err := s.volumesOf(list)
	if err != nil {
		s.log(Error, "volumes of an executor can't be told", "container_id", e.container, "error", err.Error())
	}
	return all
}

// unknownResources says whether an order uses reservations or volumes that this agent has not got (reference row LCH-01).
func (s *State) unknownResources(o *order) bool {
	lists := [][]mesos.Resource{o.executor.Resources}
	for i := range o.tasks {
		lists = append(lists, o.tasks[i].Resources)
	}
	for _, list := range lists {
		for _, r := range list {
			operations.Upgrade(&r)
			if !operations.DynamicallyReserved(&r) && !operations.PersistentVolume(&r) {
				continue
			}
			r.AllocationInfo = nil
			if one, err := parse(r); err != nil || !s.total.Contains(one) {
				return true
			}
		}
	}
	return false
}

// unmountable names a volume of an order that can't be brought into a sandbox; "" if all can.
func (s *State) unmountable(o *order) string {
	list := slices.Clone(o.executor.Resources)
	for i := range o.tasks {
		list = append(list, o.tasks[i].Resources...)
	}
	all, err := s.volumesOf(list)
	if err != nil {
		return err.Error()
	}
	for i := 1; i < len(all); i++ {
		if all[i].Container == all[i-1].Container {
			return fmt.Sprintf("two persistent volumes have the container_path %q", all[i].Container)
		}
	}
	return ""
}

func parse(r mesos.Resource) (offers.Resources, error) { return offers.Parse([]mesos.Resource{r}) }
