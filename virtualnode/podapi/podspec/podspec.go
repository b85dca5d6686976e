// Package podspec says which pods the pod executor can run. It is pure; the bridge asks it before it launches a pod, the
// executor before it runs one.
//
// A field that changes what a pod may do, sees or gets, and that is not implemented, is refused by name and never dropped
// silently. Fields that only the scheduler or the API server read (affinity, tolerations, topology spread ...) are no business
// of a node and pass.
//
// Start reading at Unsupported.
package podspec

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Reason is the status.reason of a pod that is refused.
const Reason = "UnsupportedPodSpec"

// Message is a sentence for the user from what Unsupported returned.
func Message(reasons []string) string {
	return "this node does not support " + strings.Join(reasons, "; ")
}

// Unsupported names the fields of the spec that the pod executor does not implement, with their place and, where it helps,
// what to do instead. Empty: the pod can run.
func Unsupported(spec *corev1.PodSpec) []string {
	var c checker
	c.pod(spec)
	for i := range spec.Volumes {
		c.volume(&spec.Volumes[i])
	}
	for i := range spec.InitContainers {
		at := fmt.Sprintf("spec.initContainers[%s]", spec.InitContainers[i].Name)
		c.container(at, &spec.InitContainers[i], true)
	}
	for i := range spec.Containers {
		at := fmt.Sprintf("spec.containers[%s]", spec.Containers[i].Name)
		c.container(at, &spec.Containers[i], false)
	}
	return c.found
}

// checker collects what is refused.
type checker struct {
	found []string
}

// refuse notes a field that is set.
func (c *checker) refuse(set bool, field string) {
	if set {
		c.found = append(c.found, field)
	}
}

func (c *checker) pod(spec *corev1.PodSpec) {
	c.refuse(len(spec.EphemeralContainers) > 0, "spec.ephemeralContainers (kubectl debug)")
	c.refuse(spec.RuntimeClassName != nil && *spec.RuntimeClassName != "", "spec.runtimeClassName")
	c.refuse(spec.HostUsers != nil && !*spec.HostUsers, "spec.hostUsers: false (user namespaces)")
	c.refuse(len(spec.ReadinessGates) > 0, "spec.readinessGates")
	c.refuse(len(spec.ResourceClaims) > 0, "spec.resourceClaims (dynamic resource allocation)")
	c.refuse(spec.Resources != nil, "spec.resources (pod-level resources; set them on the containers)")
	c.refuse(spec.SetHostnameAsFQDN != nil && *spec.SetHostnameAsFQDN, "spec.setHostnameAsFQDN")
	c.refuse(spec.HostnameOverride != nil && *spec.HostnameOverride != "", "spec.hostnameOverride")
	c.refuse(spec.OS != nil && spec.OS.Name != "" && spec.OS.Name != corev1.Linux, "spec.os other than linux")
	if s := spec.SecurityContext; s != nil {
		c.refuse(hasSELinux(s.SELinuxOptions), "spec.securityContext.seLinuxOptions")
		c.refuse(s.WindowsOptions != nil, "spec.securityContext.windowsOptions")
		c.refuse(localSeccomp(s.SeccompProfile), "spec.securityContext.seccompProfile of type Localhost (use RuntimeDefault)")
		c.refuse(filtersAppArmor(s.AppArmorProfile), "spec.securityContext.appArmorProfile (other than Unconfined)")
		c.refuse(s.SupplementalGroupsPolicy != nil && *s.SupplementalGroupsPolicy != corev1.SupplementalGroupsPolicyMerge,
			"spec.securityContext.supplementalGroupsPolicy: Strict")
		for _, sysctl := range s.Sysctls {
			c.refuse(!safeSysctls[sysctl.Name], "spec.securityContext.sysctls: "+sysctl.Name+" (not among the safe ones)")
		}
	}
}

// safeSysctls are namespaced and cannot harm other pods: those that a kubelet allows unasked.
var safeSysctls = map[string]bool{
	"kernel.shm_rmid_forced": true, "net.ipv4.ip_local_port_range": true, "net.ipv4.tcp_syncookies": true,
	"net.ipv4.ping_group_range": true, "net.ipv4.ip_unprivileged_port_start": true, "net.ipv4.ip_local_reserved_ports": true,
	"net.ipv4.tcp_keepalive_time": true, "net.ipv4.tcp_fin_timeout": true, "net.ipv4.tcp_keepalive_intvl": true,
	"net.ipv4.tcp_keepalive_probes": true, "net.ipv4.tcp_rmem": true, "net.ipv4.tcp_wmem": true,
}

func (c *checker) volume(v *corev1.Volume) {
	at := fmt.Sprintf("spec.volumes[%s]", v.Name)
	switch {
	case v.EmptyDir != nil:
		medium := v.EmptyDir.Medium
		c.refuse(medium != corev1.StorageMediumDefault && medium != corev1.StorageMediumMemory, at+".emptyDir.medium: "+string(medium))
	case v.ConfigMap != nil, v.Secret != nil, v.DownwardAPI != nil, v.HostPath != nil:
	case v.Projected != nil:
		for i, source := range v.Projected.Sources {
			if source.ConfigMap == nil && source.Secret == nil && source.DownwardAPI == nil && source.ServiceAccountToken == nil {
				c.refuse(true, fmt.Sprintf("%s.projected.sources[%d] (only configMap, secret, downwardAPI and serviceAccountToken)", at, i))
			}
		}
	case v.PersistentVolumeClaim != nil:
		c.refuse(true, at+".persistentVolumeClaim")
	case v.CSI != nil:
		c.refuse(true, at+".csi")
	case v.NFS != nil:
		c.refuse(true, at+".nfs")
	case v.Ephemeral != nil:
		c.refuse(true, at+".ephemeral")
	case v.Image != nil:
		c.refuse(true, at+".image")
	default:
		c.refuse(true, at+" (only emptyDir, configMap, secret, downwardAPI, projected and hostPath)")
	}
}

func (c *checker) container(at string, container *corev1.Container, init bool) {
	sidecar := init && container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways
	c.refuse(container.RestartPolicy != nil && !sidecar, at+".restartPolicy (only Always, on init containers)")
	c.refuse(len(container.RestartPolicyRules) > 0, at+".restartPolicyRules")
	c.refuse(len(container.VolumeDevices) > 0, at+".volumeDevices")
	c.refuse(len(container.Resources.Claims) > 0, at+".resources.claims")
	c.resources(at, container.Resources.Requests)
	c.resources(at, container.Resources.Limits)
	for _, env := range container.Env {
		if from := env.ValueFrom; from != nil {
			known := from.ConfigMapKeyRef != nil || from.SecretKeyRef != nil || from.FieldRef != nil || from.ResourceFieldRef != nil
			c.refuse(!known, fmt.Sprintf("%s.env[%s].valueFrom (only configMapKeyRef, secretKeyRef, fieldRef and resourceFieldRef)", at, env.Name))
		}
	}
	for _, mount := range container.VolumeMounts {
		policy := mount.RecursiveReadOnly
		c.refuse(policy != nil && *policy != corev1.RecursiveReadOnlyDisabled, fmt.Sprintf("%s.volumeMounts[%s].recursiveReadOnly", at, mount.Name))
	}
	c.probe(at+".startupProbe", container.StartupProbe)
	c.probe(at+".livenessProbe", container.LivenessProbe)
	c.probe(at+".readinessProbe", container.ReadinessProbe)
	if l := container.Lifecycle; l != nil {
		c.refuse(l.StopSignal != nil, at+".lifecycle.stopSignal")
		for name, hook := range map[string]*corev1.LifecycleHandler{"postStart": l.PostStart, "preStop": l.PreStop} {
			c.refuse(hook != nil && hook.Exec == nil && hook.HTTPGet == nil && hook.Sleep == nil,
				at+".lifecycle."+name+" (only exec, httpGet and sleep)")
		}
	}
	c.security(at, container.SecurityContext)
}

func (c *checker) resources(at string, list corev1.ResourceList) {
	for name := range list {
		switch name {
		case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		default:
			c.refuse(true, fmt.Sprintf("%s.resources: %s", at, name))
		}
	}
}

func (c *checker) probe(at string, probe *corev1.Probe) {
	c.refuse(probe != nil && probe.Exec == nil && probe.HTTPGet == nil && probe.TCPSocket == nil, at+" (only exec, httpGet and tcpSocket)")
}

func (c *checker) security(at string, s *corev1.SecurityContext) {
	if s == nil {
		return
	}
	at += ".securityContext"
	c.refuse(hasSELinux(s.SELinuxOptions), at+".seLinuxOptions")
	c.refuse(s.WindowsOptions != nil, at+".windowsOptions")
	c.refuse(localSeccomp(s.SeccompProfile), at+".seccompProfile of type Localhost (use RuntimeDefault)")
	c.refuse(filtersAppArmor(s.AppArmorProfile), at+".appArmorProfile (other than Unconfined)")
}

func localSeccomp(p *corev1.SeccompProfile) bool {
	return p != nil && p.Type == corev1.SeccompProfileTypeLocalhost
}

func filtersAppArmor(p *corev1.AppArmorProfile) bool {
	return p != nil && p.Type != corev1.AppArmorProfileTypeUnconfined
}

func hasSELinux(o *corev1.SELinuxOptions) bool {
	return o != nil && *o != corev1.SELinuxOptions{}
}
