package criconfig

import (
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Image is what the container runtime says about an image that it has.
type Image struct {
	// Ref is the image as CreateContainer wants it.
	Ref string
	// UID is the user that the image runs as, nil if Username says it or it says nothing.
	UID      *int64
	Username string
	Size     uint64 // bytes
}

// Container is the configuration of one instance of a container. Env comes from Env, mounts from the volumes.
func Container(
	bundle *podapi.Bundle, container *corev1.Container, facts Facts, image Image,
	env []*cri.KeyValue, mounts []*cri.Mount, attempt uint32,
) (*cri.ContainerConfig, error) {
	pod := bundle.Pod
	security, err := containerSecurity(pod, container, image)
	if err != nil {
		return nil, err
	}
	lookup := func(name string) (string, bool) {
		for _, pair := range env {
			if pair.Key == name {
				return pair.Value, true
			}
		}
		return "", false
	}
	labels := podLabels(pod, facts)
	labels[LabelContainer] = container.Name
	resources := Resources(bundle, container)
	resources.Unified = facts.Unified
	return &cri.ContainerConfig{
		Metadata:   &cri.ContainerMetadata{Name: container.Name, Attempt: attempt},
		Image:      &cri.ImageSpec{Image: image.Ref, UserSpecifiedImage: container.Image},
		Command:    expandAll(container.Command, lookup),
		Args:       expandAll(container.Args, lookup),
		WorkingDir: container.WorkingDir,
		Envs:       env,
		Mounts:     mounts,
		Labels:     labels,
		LogPath:    LogPath(container.Name, attempt),
		Stdin:      container.Stdin,
		StdinOnce:  container.StdinOnce,
		Tty:        container.TTY,
		Linux: &cri.LinuxContainerConfig{
			Resources:       resources,
			SecurityContext: security,
		},
	}, nil
}

func expandAll(words []string, lookup func(string) (string, bool)) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = Expand(word, lookup)
	}
	return out
}

// cfsPeriod is the period of CPU quotas, in microseconds; the quota's least value is the kernel's.
const (
	cfsPeriod   = 100_000
	cfsMinQuota = 1_000
	minShares   = 2
	maxShares   = 262_144
)

// Resources are a container's requests and limits as the kernel's: shares from the CPU request (the limit if there is none),
// quota from the CPU limit, memory limit, and the score by which the OOM killer chooses.
func Resources(bundle *podapi.Bundle, container *corev1.Container) *cri.LinuxContainerResources {
	out := &cri.LinuxContainerResources{OomScoreAdj: oomScore(bundle, container)}
	request, hasRequest := container.Resources.Requests[corev1.ResourceCPU]
	limit, hasLimit := container.Resources.Limits[corev1.ResourceCPU]
	if !hasRequest && hasLimit {
		request = limit
	}
	out.CpuShares = Shares(request.MilliValue())
	if hasLimit && !limit.IsZero() {
		out.CpuPeriod, out.CpuQuota = cfsPeriod, Quota(limit.MilliValue())
	}
	memory := container.Resources.Limits[corev1.ResourceMemory]
	out.MemoryLimitInBytes = memory.Value()
	return out
}

// Shares are the CPU shares of so many thousandths of a CPU.
func Shares(milli int64) int64 { return min(max(milli*1024/1000, minShares), maxShares) }

// Quota is the CPU time in a period of so many thousandths of a CPU, in microseconds.
func Quota(milli int64) int64 { return max(milli*cfsPeriod/1000, cfsMinQuota) }

// oomScore is the kubelet's: guaranteed pods go last, best-effort ones first, others by the share of memory they asked for.
func oomScore(bundle *podapi.Bundle, container *corev1.Container) int64 {
	const guaranteed, bestEffort = -997, 1000
	switch lifecycle.QOS(bundle.Pod) {
	case corev1.PodQOSGuaranteed:
		return guaranteed
	case corev1.PodQOSBestEffort:
		return bestEffort
	}
	memory := bundle.Node.Allocatable[corev1.ResourceMemory]
	capacity := memory.Value()
	if capacity <= 0 {
		return bestEffort - 1
	}
	request := container.Resources.Requests[corev1.ResourceMemory]
	score := 1000 - 1000*request.Value()/capacity
	return min(max(score, 1000+guaranteed), bestEffort-1)
}

func sandboxSecurity(pod *corev1.Pod) *cri.LinuxSandboxSecurityContext {
	out := &cri.LinuxSandboxSecurityContext{
		NamespaceOptions:   namespaces(pod),
		SupplementalGroups: supplementalGroups(pod),
		Seccomp:            seccomp(pod, nil),
	}
	if context := pod.Spec.SecurityContext; context != nil {
		out.RunAsUser, out.RunAsGroup = int64Value(context.RunAsUser), int64Value(context.RunAsGroup)
		if out.RunAsUser == nil {
			out.RunAsGroup = nil // CRI refuses a group without a user
		}
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if context := list[i].SecurityContext; context != nil && isTrue(context.Privileged) {
				out.Privileged = true
			}
		}
	}
	return out
}

func namespaces(pod *corev1.Pod) *cri.NamespaceOption {
	options := &cri.NamespaceOption{Pid: cri.NamespaceMode_CONTAINER}
	if pod.Spec.HostNetwork {
		options.Network = cri.NamespaceMode_NODE
	}
	if pod.Spec.HostIPC {
		options.Ipc = cri.NamespaceMode_NODE
	}
	switch {
	case pod.Spec.HostPID:
		options.Pid = cri.NamespaceMode_NODE
	case isTrue(pod.Spec.ShareProcessNamespace):
		options.Pid = cri.NamespaceMode_POD
	}
	return options
}

func supplementalGroups(pod *corev1.Pod) []int64 {
	context := pod.Spec.SecurityContext
	if context == nil {
		return nil
	}
	groups := append([]int64(nil), context.SupplementalGroups...)
	if context.FSGroup != nil {
		groups = append(groups, *context.FSGroup)
	}
	return groups
}

// maskedPaths and readonlyPaths are what Kubernetes hides of /proc and /sys from containers that are not privileged.
var (
	maskedPaths = []string{
		"/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
		"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
	}
	readonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// containerSecurity joins the pod's security context and the container's, which wins.
func containerSecurity(pod *corev1.Pod, container *corev1.Container, image Image) (*cri.LinuxContainerSecurityContext, error) {
	context := container.SecurityContext
	if context == nil {
		context = &corev1.SecurityContext{}
	}
	podContext := pod.Spec.SecurityContext
	if podContext == nil {
		podContext = &corev1.PodSecurityContext{}
	}
	user := first(context.RunAsUser, podContext.RunAsUser)
	group := first(context.RunAsGroup, podContext.RunAsGroup)
	if nonRoot := first(context.RunAsNonRoot, podContext.RunAsNonRoot); isTrue(nonRoot) {
		if err := checkNonRoot(user, image); err != nil {
			return nil, err
		}
	}
	out := &cri.LinuxContainerSecurityContext{
		NamespaceOptions:   namespaces(pod),
		RunAsUser:          int64Value(user),
		RunAsGroup:         int64Value(group),
		SupplementalGroups: supplementalGroups(pod),
		Privileged:         isTrue(context.Privileged),
		ReadonlyRootfs:     isTrue(context.ReadOnlyRootFilesystem),
		NoNewPrivs:         context.AllowPrivilegeEscalation != nil && !*context.AllowPrivilegeEscalation,
		Seccomp:            seccomp(pod, context),
		MaskedPaths:        maskedPaths,
		ReadonlyPaths:      readonlyPaths,
	}
	if out.RunAsGroup != nil && out.RunAsUser == nil {
		// CRI wants a user beside a group: the image's.
		switch {
		case image.UID != nil:
			out.RunAsUser = &cri.Int64Value{Value: *image.UID}
		case image.Username != "":
			out.RunAsUsername = image.Username
		default:
			out.RunAsUser = &cri.Int64Value{Value: 0}
		}
	}
	if out.Privileged || context.ProcMount != nil && *context.ProcMount == corev1.UnmaskedProcMount {
		out.MaskedPaths, out.ReadonlyPaths = nil, nil
	}
	if capabilities := context.Capabilities; capabilities != nil {
		out.Capabilities = &cri.Capability{}
		for _, c := range capabilities.Add {
			out.Capabilities.AddCapabilities = append(out.Capabilities.AddCapabilities, string(c))
		}
		for _, c := range capabilities.Drop {
			out.Capabilities.DropCapabilities = append(out.Capabilities.DropCapabilities, string(c))
		}
	}
	return out, nil
}

func checkNonRoot(user *int64, image Image) error {
	switch {
	case user != nil && *user == 0:
		return errors.New("container's runAsUser breaks non-root policy")
	case user != nil:
		return nil
	case image.UID != nil && *image.UID == 0:
		return errors.New("container has runAsNonRoot and image will run as root")
	case image.UID == nil && image.Username != "":
		if uid, err := strconv.Atoi(image.Username); err == nil && uid != 0 {
			return nil
		}
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root", image.Username)
	case image.UID == nil:
		return errors.New("container has runAsNonRoot and image will run as root")
	}
	return nil
}

// seccomp is the profile of a container, or of the pod if context is nil. Without one the kernel does not filter, as a
// kubelet's default.
func seccomp(pod *corev1.Pod, context *corev1.SecurityContext) *cri.SecurityProfile {
	var profile *corev1.SeccompProfile
	if pod.Spec.SecurityContext != nil {
		profile = pod.Spec.SecurityContext.SeccompProfile
	}
	if context != nil && context.SeccompProfile != nil {
		profile = context.SeccompProfile
	}
	if context != nil && isTrue(context.Privileged) {
		profile = nil
	}
	if profile != nil && profile.Type == corev1.SeccompProfileTypeRuntimeDefault {
		return &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault}
	}
	return &cri.SecurityProfile{ProfileType: cri.SecurityProfile_Unconfined}
}

func int64Value(v *int64) *cri.Int64Value {
	if v == nil {
		return nil
	}
	return &cri.Int64Value{Value: *v}
}

func first[T any](options ...*T) *T {
	for _, option := range options {
		if option != nil {
			return option
		}
	}
	return nil
}
