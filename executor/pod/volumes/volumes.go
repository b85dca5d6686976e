package volumes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Pod is the volumes of one pod. Its methods are called by the pod's owner, one at a time.
type Pod struct {
	dir  string // private: contents, generated files
	data string // emptyDirs on disk
}

// New is the volumes of a pod that keeps private contents below dir and emptyDirs below data. Nothing is made yet.
func New(dir, data string) *Pod { return &Pod{dir: dir, data: data} }

// Dir is the pod's private directory.
func (p *Pod) Dir() string { return p.dir }

// Prepare makes all volumes; it may be called again, also with a changed bundle: contents then follow. An error says which
// volume cannot be made and why, e.g. a ConfigMap that does not exist (yet).
func (p *Pod) Prepare(bundle *podapi.Bundle) error {
	for _, dir := range []string{p.dir, p.data} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make the pod's directory: %w", err)
		}
	}
	for i := range bundle.Pod.Spec.Volumes {
		volume := &bundle.Pod.Spec.Volumes[i]
		if err := p.prepare(bundle, volume); err != nil {
			return fmt.Errorf("volume %q: %w", volume.Name, err)
		}
	}
	return nil
}

func (p *Pod) prepare(bundle *podapi.Bundle, volume *corev1.Volume) error {
	switch {
	case volume.EmptyDir != nil:
		return p.prepareEmptyDir(bundle.Pod, volume)
	case volume.HostPath != nil:
		return checkHostPath(volume.HostPath)
	}
	files, secret, err := contents(bundle, volume)
	if err != nil {
		return err
	}
	path := p.path(volume)
	if err := os.MkdirAll(path, 0o755); err != nil {
		return err
	}
	if secret {
		if err := mountTmpfs(path, 0); err != nil {
			return err
		}
	}
	return write(path, files, fsGroup(bundle.Pod))
}

// Update rewrites the contents of the volumes that come from the bundle.
func (p *Pod) Update(bundle *podapi.Bundle) error { return p.Prepare(bundle) }

// path is where a volume's files lie on the machine.
func (p *Pod) path(volume *corev1.Volume) string {
	switch {
	case volume.HostPath != nil:
		return volume.HostPath.Path
	case volume.EmptyDir != nil && volume.EmptyDir.Medium != corev1.StorageMediumMemory:
		return filepath.Join(p.data, "volumes", volume.Name)
	default:
		return filepath.Join(p.dir, "volumes", volume.Name)
	}
}

func (p *Pod) prepareEmptyDir(pod *corev1.Pod, volume *corev1.Volume) error {
	path := p.path(volume)
	if _, err := os.Stat(path); err == nil {
		return nil // it is the pod's now
	}
	if err := os.MkdirAll(path, 0o777); err != nil {
		return err
	}
	if volume.EmptyDir.Medium == corev1.StorageMediumMemory {
		size := int64(0)
		if limit := volume.EmptyDir.SizeLimit; limit != nil {
			size = limit.Value()
		}
		if err := mountTmpfs(path, size); err != nil {
			return err
		}
	}
	mode := os.FileMode(0o777)
	if group := fsGroup(pod); group >= 0 {
		if err := os.Chown(path, -1, group); err != nil {
			return err
		}
		mode |= os.ModeSetgid
	}
	return os.Chmod(path, mode) // not subject to the umask
}

// Remove unmounts and removes everything.
func (p *Pod) Remove() error {
	if err := Remove(p.dir); err != nil {
		return err
	}
	return os.RemoveAll(p.data)
}

// Remove unmounts whatever is mounted below a pod's private directory and removes it. It also serves for the directory of a
// pod whose executor was lost.
func Remove(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	for i := len(mounts) - 1; i >= 0; i-- { // the last mounted first
		if err := unix.Unmount(mounts[i], unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("unmount %s: %w", mounts[i], err)
		}
	}
	return os.RemoveAll(dir)
}

// mountsBelow lists mount points under dir, in the order in which they were mounted.
func mountsBelow(dir string) ([]string, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var found []string
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if point := unescape.Replace(fields[4]); strings.HasPrefix(point, dir+"/") {
			found = append(found, point)
		}
	}
	return found, nil
}

// mountTmpfs mounts a tmpfs at path unless one is there; size 0 is the kernel's default.
func mountTmpfs(path string, size int64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return err
	}
	var dir, parent unix.Stat_t
	if err := errors.Join(unix.Stat(path, &dir), unix.Stat(filepath.Dir(path), &parent)); err != nil {
		return err
	}
	if fs.Type == unix.TMPFS_MAGIC && dir.Dev != parent.Dev {
		return nil
	}
	options := "mode=0755"
	if size > 0 {
		options += fmt.Sprintf(",size=%d", size)
	}
	if err := unix.Mount("tmpfs", path, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return nil
}

// fsGroup is the group that owns the pod's volumes, -1 if the spec names none.
func fsGroup(pod *corev1.Pod) int {
	if context := pod.Spec.SecurityContext; context != nil && context.FSGroup != nil {
		return int(*context.FSGroup)
	}
	return -1
}

// checkHostPath checks the path's type, and makes it where the type says so.
func checkHostPath(source *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if source.Type != nil {
		kind = *source.Type
	}
	info, err := os.Stat(source.Path)
	switch {
	case kind == corev1.HostPathUnset:
		return nil
	case errors.Is(err, os.ErrNotExist) && kind == corev1.HostPathDirectoryOrCreate:
		return os.MkdirAll(source.Path, 0o755)
	case errors.Is(err, os.ErrNotExist) && kind == corev1.HostPathFileOrCreate:
		file, err := os.OpenFile(source.Path, os.O_CREATE, 0o644)
		if err != nil {
			return err
		}
		return file.Close()
	case err != nil:
		return fmt.Errorf("hostPath type check failed: %w", err)
	}
	mode := info.Mode()
	ok := map[corev1.HostPathType]bool{
		corev1.HostPathDirectory: mode.IsDir(), corev1.HostPathDirectoryOrCreate: mode.IsDir(),
		corev1.HostPathFile: mode.IsRegular(), corev1.HostPathFileOrCreate: mode.IsRegular(),
		corev1.HostPathSocket:   mode&os.ModeSocket != 0,
		corev1.HostPathCharDev:  mode&os.ModeCharDevice != 0,
		corev1.HostPathBlockDev: mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0,
	}
	if !ok[kind] {
		return fmt.Errorf("hostPath type check failed: %s is not a %s", source.Path, kind)
	}
	return nil
}
