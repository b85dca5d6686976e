package volumes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Mounts are a container's mounts: its volumes, /etc/hosts (with the content hosts) unless it mounts its own, and the file
// for its termination message.
func (p *Pod) Mounts(
	bundle *podapi.Bundle, container *corev1.Container, env []*cri.KeyValue, hosts string, attempt uint32,
) ([]*cri.Mount, error) {
	var mounts []*cri.Mount
	ownHosts := false
	for i := range container.VolumeMounts {
		m := &container.VolumeMounts[i]
		path, err := p.source(bundle, container, m, env, attempt)
		if err != nil {
			return nil, fmt.Errorf("mount of volume %q at %s: %w", m.Name, m.MountPath, err)
		}
		target := m.MountPath
		if !filepath.IsAbs(target) {
			target = "/" + target
		}
		ownHosts = ownHosts || filepath.Clean(target) == "/etc/hosts"
		mounts = append(mounts, &cri.Mount{
			HostPath: path, ContainerPath: target, Propagation: propagation(m),
			Readonly: m.ReadOnly || readOnly(bundle.Pod, m.Name),
		})
	}
	if !ownHosts {
		path := filepath.Join(p.dir, "hosts")
		if err := os.WriteFile(path, []byte(hosts), 0o644); err != nil { //nolint:gosec // every user of the pod reads it
			return nil, fmt.Errorf("write the pod's hosts file: %w", err)
		}
		mounts = append(mounts, &cri.Mount{HostPath: path, ContainerPath: "/etc/hosts"})
	}
	message := p.MessageFile(container.Name, attempt)
	if err := os.MkdirAll(filepath.Dir(message), 0o700); err != nil {
		return nil, fmt.Errorf("make the termination message's directory: %w", err)
	}
	if err := os.WriteFile(message, nil, 0o666); err != nil { //nolint:gosec // any user of the container writes it
		return nil, fmt.Errorf("make the termination message file: %w", err)
	}
	if err := os.Chmod(message, 0o666); err != nil {
		return nil, err
	}
	path := container.TerminationMessagePath
	if path == "" {
		path = corev1.TerminationMessagePathDefault
	}
	return append(mounts, &cri.Mount{HostPath: message, ContainerPath: path}), nil
}

// MessageFile is where a container's instance leaves its termination message.
func (p *Pod) MessageFile(container string, attempt uint32) string {
	return filepath.Join(p.dir, "messages", container, fmt.Sprint(attempt))
}

// readOnly says that the volume's contents come from Kubernetes: nobody in the pod may change them.
func readOnly(pod *corev1.Pod, name string) bool {
	volume := find(pod, name)
	return volume != nil && volume.EmptyDir == nil && volume.HostPath == nil
}

func find(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

func propagation(m *corev1.VolumeMount) cri.MountPropagation {
	if m.MountPropagation == nil {
		return cri.MountPropagation_PROPAGATION_PRIVATE
	}
	switch *m.MountPropagation {
	case corev1.MountPropagationHostToContainer:
		return cri.MountPropagation_PROPAGATION_HOST_TO_CONTAINER
	case corev1.MountPropagationBidirectional:
		return cri.MountPropagation_PROPAGATION_BIDIRECTIONAL
	default:
		return cri.MountPropagation_PROPAGATION_PRIVATE
	}
}

// source is the path on the machine that a mount shows: the volume, or what subPath names in it.
func (p *Pod) source(
	bundle *podapi.Bundle, container *corev1.Container, m *corev1.VolumeMount, env []*cri.KeyValue, attempt uint32,
) (string, error) {
	volume := find(bundle.Pod, m.Name)
	if volume == nil {
		return "", errors.New("there is no such volume")
	}
	sub := m.SubPath
	if m.SubPathExpr != "" {
		unknown := ""
		sub = criconfig.Expand(m.SubPathExpr, func(name string) (string, bool) {
			for _, pair := range env {
				if pair.Key == name {
					return pair.Value, true
				}
			}
			unknown = name
			return "", false
		})
		if unknown != "" {
			return "", fmt.Errorf("subPathExpr names the unknown variable %s", unknown)
		}
	}
	if sub == "" {
		return p.path(volume), nil
	}
	target := filepath.Join(p.dir, "subpaths", container.Name, fmt.Sprint(attempt), filepath.Base(m.Name)+"-"+fmt.Sprintf("%x", m.MountPath))
	return target, bindInside(p.path(volume), sub, target)
}

// bindInside binds what path names below root to target. Containers write below root, so every step is taken by os.Root,
// which follows no link out of it, and the open file itself is bound: a link that is swapped in later has no effect.
func bindInside(root, path, target string) error {
	if !filepath.IsLocal(path) {
		return fmt.Errorf("subPath %q leaves the volume", path)
	}
	inside, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer inside.Close()
	info, err := inside.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := makeInside(inside, path); err != nil {
			return fmt.Errorf("make subPath %q: %w", path, err)
		}
		info, err = inside.Stat(path)
	}
	if err != nil {
		return fmt.Errorf("subPath %q: %w", path, err)
	}
	opened, err := inside.Open(path)
	if err != nil {
		return fmt.Errorf("subPath %q: %w", path, err)
	}
	defer opened.Close()
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o700)
	} else {
		err = os.WriteFile(target, nil, 0o600)
	}
	if err != nil {
		return err
	}
	source := fmt.Sprintf("/proc/self/fd/%d", opened.Fd())
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind subPath %q: %w", path, err)
	}
	return nil
}

// makeInside makes the directories of path below root with the mode of root's top, as a kubelet does: who may write to the
// volume may write to them.
func makeInside(root *os.Root, path string) error {
	top, err := root.Stat(".")
	if err != nil {
		return err
	}
	mode := top.Mode() & (os.ModePerm | os.ModeSetgid)
	made := ""
	for step := range strings.SplitSeq(filepath.Clean(path), "/") {
		made = filepath.Join(made, step)
		switch err := root.Mkdir(made, mode.Perm()); {
		case errors.Is(err, os.ErrExist):
			continue
		case err != nil:
			return err
		}
		if err := root.Chmod(made, mode); err != nil {
			return err
		}
	}
	return nil
}
