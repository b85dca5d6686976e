package virtualnode

import (
	"slices"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
)

// HostPorts are the ports of its machine that a pod claims, each once, in order. The scheduler of Kubernetes keeps pods
// apart by them; Mesos keeps pods and other tasks apart by those of them that are resources of the agent.
func HostPorts(spec *corev1.PodSpec) []uint64 {
	var ports []uint64
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.HostPort > 0 {
					ports = append(ports, uint64(p.HostPort))
				}
			}
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports)
}

// PortsOf are the ranges of the resource "ports".
func PortsOf(resources []mesos.Resource) []mesos.Value_Range {
	var ranges []mesos.Value_Range
	for i := range resources {
		if isPorts(&resources[i]) {
			ranges = append(ranges, resources[i].GetRanges().GetRange()...)
		}
	}
	return ranges
}

func isPorts(r *mesos.Resource) bool {
	return r.Name == "ports" && r.GetType() == mesos.RANGES && r.Revocable == nil
}

// ManagedPorts are those of the ports that the agent has as a resource; the others are none of Mesos's business.
func ManagedPorts(ports []uint64, ranges []mesos.Value_Range) []uint64 {
	var managed []uint64
	for _, port := range ports {
		if slices.ContainsFunc(ranges, func(r mesos.Value_Range) bool { return r.Begin <= port && port <= r.End }) {
			managed = append(managed, port)
		}
	}
	return managed
}

// CarvePorts takes ports out of offered resources. It answers what is taken, what stays, and the ports that are not there;
// if any is missing, nothing is taken.
func CarvePorts(offered []mesos.Resource, ports []uint64) (taken, rest []mesos.Resource, missing []uint64) {
	rest = slices.Clone(offered)
	for _, port := range ports {
		piece, ok := carvePort(rest, port)
		if !ok {
			missing = append(missing, port)
			continue
		}
		taken = append(taken, piece)
	}
	if len(missing) > 0 {
		return nil, offered, missing
	}
	return taken, rest, nil
}

func carvePort(from []mesos.Resource, port uint64) (mesos.Resource, bool) {
	for i := range from {
		if !isPorts(&from[i]) {
			continue
		}
		ranges := from[i].GetRanges().GetRange()
		for j, r := range ranges {
			if port < r.Begin || r.End < port {
				continue
			}
			left := slices.Clone(ranges[:j])
			if r.Begin < port {
				left = append(left, mesos.Value_Range{Begin: r.Begin, End: port - 1})
			}
			if port < r.End {
				left = append(left, mesos.Value_Range{Begin: port + 1, End: r.End})
			}
			piece := from[i]
			piece.Ranges = &mesos.Value_Ranges{Range: []mesos.Value_Range{{Begin: port, End: port}}}
			from[i].Ranges = &mesos.Value_Ranges{Range: append(left, ranges[j+1:]...)}
			return piece, true
		}
	}
	return mesos.Resource{}, false
}
