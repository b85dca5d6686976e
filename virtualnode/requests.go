package virtualnode

import (
	"math"

	corev1 "k8s.io/api/core/v1"
)

// Least is what a task takes at least: Mesos refuses a task without resources (reference row TV-06), and a sandbox
// costs about this much even if the pod asks for nothing.
var Least = Amounts{CPU: 10, Memory: 16_000}

// Unlimited is the amount of a limit that is not there.
const Unlimited = math.MaxInt64

// Requests is what the scheduler counts for a pod: the sum of its containers or, if that is more, what its init
// containers need one after the other (sidecars run on beside them), plus overhead. Pod-level requests go before.
func Requests(spec *corev1.PodSpec) Amounts {
	total := combine(spec, func(r corev1.ResourceRequirements) Amounts { return FromList(r.Requests) }, Amounts.Plus)
	if spec.Resources != nil {
		total = override(total, spec.Resources.Requests)
	}
	return total.Plus(FromList(spec.Overhead))
}

// Limits is what a pod may use at most; an amount is Unlimited if one container has no limit for it. Disk is not limited
// through Mesos.
func Limits(spec *corev1.PodSpec) Amounts {
	total := combine(spec, containerLimits, plusUnlimited)
	if spec.Resources != nil {
		total = override(total, spec.Resources.Limits)
	}
	return plusUnlimited(total, FromList(spec.Overhead))
}

func containerLimits(r corev1.ResourceRequirements) Amounts {
	limits := FromList(r.Limits)
	if _, ok := r.Limits[corev1.ResourceCPU]; !ok {
		limits.CPU = Unlimited
	}
	if _, ok := r.Limits[corev1.ResourceMemory]; !ok {
		limits.Memory = Unlimited
	}
	return limits
}

func plusUnlimited(a, b Amounts) Amounts {
	add := func(x, y int64) int64 {
		if x == Unlimited || y == Unlimited {
			return Unlimited
		}
		return x + y
	}
	return Amounts{CPU: add(a.CPU, b.CPU), Memory: add(a.Memory, b.Memory), Disk: add(a.Disk, b.Disk)}
}

func override(total Amounts, list corev1.ResourceList) Amounts {
	if q, ok := list[corev1.ResourceCPU]; ok {
		total.CPU = q.MilliValue()
	}
	if q, ok := list[corev1.ResourceMemory]; ok {
		total.Memory = thousandths(&q)
	}
	return total
}

func combine(spec *corev1.PodSpec, of func(corev1.ResourceRequirements) Amounts, plus func(a, b Amounts) Amounts) Amounts {
	var running, sidecars, starting Amounts
	for i := range spec.Containers {
		running = plus(running, of(spec.Containers[i].Resources))
	}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars = plus(sidecars, of(c.Resources))
			starting = starting.Max(sidecars)
			continue
		}
		starting = starting.Max(plus(sidecars, of(c.Resources)))
	}
	return plus(running, sidecars).Max(starting)
}
