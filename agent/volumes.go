package agent

import (
	"slices"

	"github.com/tombolo-project/tombolo/agent/core"
	"github.com/tombolo-project/tombolo/agent/sandbox"
)

// links says how volumes are to be brought into a container. A shared volume that others use keeps its owner.
func (a *Agent) links(container string, volumes []core.Volume) []sandbox.Link {
	var list []sandbox.Link
	for _, v := range volumes {
		list = append(list, sandbox.Link{Path: v.Path, Name: v.Container, Owner: !v.Shared || !a.usedElsewhere(container, v.Path)})
	}
	return list
}

func (a *Agent) usedElsewhere(container, path string) bool {
	for id, volumes := range a.mounted {
		if id != container && slices.ContainsFunc(volumes, func(v core.Volume) bool { return v.Path == path }) {
			return true
		}
	}
	return false
}

// remount brings volumes into a running container, and takes those away that it has no more.
func (a *Agent) remount(e core.UpdateContainer) {
	before := a.mounted[e.Container]
	if slices.Equal(before, e.Volumes) {
		return
	}
	var gone []string
	for _, v := range before {
		if !slices.Contains(e.Volumes, v) {
			gone = append(gone, v.Container)
		}
	}
	if err := sandbox.LinkVolumes(e.Directory, a.links(e.Container, e.Volumes), gone); err != nil {
		a.log.Error("volumes can't be brought into a container", "container_id", e.Container, "error", err)
		return
	}
	a.mounted[e.Container] = e.Volumes
}
