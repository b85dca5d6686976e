package criconfig

import (
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Labels that the executor puts on everything it makes, so that it and people with crictl recognise it.
const (
	LabelPodName      = "io.kubernetes.pod.name"
	LabelPodNamespace = "io.kubernetes.pod.namespace"
	LabelPodUID       = "io.kubernetes.pod.uid"
	LabelContainer    = "io.kubernetes.container.name"
	LabelTask         = "io.tombolo.task"  // the Mesos task id
	LabelOwner        = "io.tombolo.owner" // agent, framework and executor: see Facts.Owner
	// AnnotationDir is the private directory of the pod, so that leftovers of a lost executor can be found.
	AnnotationDir = "io.tombolo.dir"
	// AnnotationCgroup is the cgroup of the pod, for the same purpose.
	AnnotationCgroup = "io.tombolo.cgroup"
)

// Facts are what a configuration must know beside the pod.
type Facts struct {
	TaskID string
	// Owner names the one executor that may touch this pod.
	Owner string
	// CgroupParent is the cgroup of the pod, as a path from the hierarchies' roots.
	CgroupParent string
	// Unified are settings of every container's cgroup on the unified hierarchy, by file; none on the older ones.
	Unified map[string]string
	// LogDir gets the containers' logs; Dir is the pod's private directory.
	LogDir, Dir string
	// ResolvConf is the machine's name resolution.
	ResolvConf DNS
	Addresses  Addresses
}

// DNS is the content of a resolv.conf.
type DNS struct {
	Servers, Searches, Options []string
}

// ParseResolvConf reads a resolv.conf; what it does not know it leaves out.
func ParseResolvConf(text string) DNS {
	var dns DNS
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			dns.Servers = append(dns.Servers, fields[1])
		case "search":
			dns.Searches = fields[1:]
		case "options":
			dns.Options = append(dns.Options, fields[1:]...)
		}
	}
	return dns
}

// Sandbox is the configuration of the pod's sandbox.
func Sandbox(bundle *podapi.Bundle, facts Facts, attempt uint32) *cri.PodSandboxConfig {
	pod := bundle.Pod
	config := &cri.PodSandboxConfig{
		Metadata:     &cri.PodSandboxMetadata{Name: pod.Name, Namespace: pod.Namespace, Uid: string(pod.UID), Attempt: attempt},
		LogDirectory: facts.LogDir,
		Labels:       podLabels(pod, facts),
		Annotations:  map[string]string{AnnotationDir: facts.Dir, AnnotationCgroup: facts.CgroupParent},
		DnsConfig:    dnsConfig(bundle, facts),
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent:    facts.CgroupParent,
			SecurityContext: sandboxSecurity(pod),
			Sysctls:         sysctls(pod),
		},
	}
	if !pod.Spec.HostNetwork { // on the host's network it has the host's name
		config.Hostname = Hostname(pod)
	}
	for i := range pod.Spec.Containers {
		config.PortMappings = append(config.PortMappings, portMappings(pod, &pod.Spec.Containers[i])...)
	}
	for i := range pod.Spec.InitContainers {
		config.PortMappings = append(config.PortMappings, portMappings(pod, &pod.Spec.InitContainers[i])...)
	}
	return config
}

func podLabels(pod *corev1.Pod, facts Facts) map[string]string {
	return map[string]string{
		LabelPodName: pod.Name, LabelPodNamespace: pod.Namespace, LabelPodUID: string(pod.UID),
		LabelTask: facts.TaskID, LabelOwner: facts.Owner,
	}
}

// Hostname is the pod's host name: spec.hostname, else the pod's name, cut to what a host name may be.
func Hostname(pod *corev1.Pod) string {
	if pod.Spec.Hostname != "" {
		return pod.Spec.Hostname
	}
	name := pod.Name
	if len(name) > 63 {
		name = strings.TrimRight(name[:63], "-.")
	}
	return name
}

func portMappings(pod *corev1.Pod, container *corev1.Container) (mappings []*cri.PortMapping) {
	if pod.Spec.HostNetwork {
		return nil // its ports are the host's already
	}
	for _, port := range container.Ports {
		if port.HostPort == 0 {
			continue
		}
		protocol := cri.Protocol_TCP
		switch port.Protocol {
		case corev1.ProtocolUDP:
			protocol = cri.Protocol_UDP
		case corev1.ProtocolSCTP:
			protocol = cri.Protocol_SCTP
		}
		mappings = append(mappings, &cri.PortMapping{
			Protocol: protocol, ContainerPort: port.ContainerPort, HostPort: port.HostPort, HostIp: port.HostIP,
		})
	}
	return mappings
}

func sysctls(pod *corev1.Pod) map[string]string {
	if pod.Spec.SecurityContext == nil || len(pod.Spec.SecurityContext.Sysctls) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, s := range pod.Spec.SecurityContext.Sysctls {
		out[s.Name] = s.Value
	}
	return out
}

// dnsConfig follows the pod's dnsPolicy, then adds its dnsConfig.
func dnsConfig(bundle *podapi.Bundle, facts Facts) *cri.DNSConfig {
	spec := &bundle.Pod.Spec
	host := facts.ResolvConf
	dns := DNS{Servers: slices.Clone(host.Servers), Searches: slices.Clone(host.Searches), Options: slices.Clone(host.Options)}
	clusterFirst := (spec.DNSPolicy == corev1.DNSClusterFirst || spec.DNSPolicy == "") && !spec.HostNetwork ||
		spec.DNSPolicy == corev1.DNSClusterFirstWithHostNet
	switch {
	case spec.DNSPolicy == corev1.DNSNone:
		dns = DNS{}
	case clusterFirst && len(bundle.DNS.Servers) > 0:
		dns.Servers = slices.Clone(bundle.DNS.Servers)
		dns.Options = []string{"ndots:5"}
		if domain := bundle.DNS.Domain; domain != "" {
			searches := []string{bundle.Pod.Namespace + ".svc." + domain, "svc." + domain, domain}
			dns.Searches = append(searches, host.Searches...)
		}
	}
	if extra := spec.DNSConfig; extra != nil {
		dns.Servers = appendNew(dns.Servers, extra.Nameservers...)
		dns.Searches = appendNew(dns.Searches, extra.Searches...)
		for _, option := range extra.Options {
			dns.Options = setOption(dns.Options, option)
		}
	}
	return &cri.DNSConfig{Servers: dns.Servers, Searches: dns.Searches, Options: dns.Options}
}

func appendNew(list []string, more ...string) []string {
	for _, item := range more {
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list
}

// setOption adds an option of a resolv.conf, in the place of one with the same name.
func setOption(options []string, option corev1.PodDNSConfigOption) []string {
	text := option.Name
	if option.Value != nil && *option.Value != "" {
		text += ":" + *option.Value
	}
	for i, old := range options {
		if name, _, _ := strings.Cut(old, ":"); name == option.Name {
			options[i] = text
			return options
		}
	}
	return append(options, text)
}

// Hosts is the content of the pod's /etc/hosts.
func Hosts(bundle *podapi.Bundle, facts Facts, hostFile string) string {
	var out strings.Builder
	pod := bundle.Pod
	if pod.Spec.HostNetwork {
		out.WriteString(hostFile)
	} else {
		out.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n" +
			"fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n")
		names := Hostname(pod)
		if pod.Spec.Subdomain != "" && bundle.DNS.Domain != "" {
			names = fmt.Sprintf("%s.%s.%s.svc.%s\t%s", names, pod.Spec.Subdomain, pod.Namespace, bundle.DNS.Domain, names)
		}
		for _, ip := range facts.Addresses.PodIPs {
			fmt.Fprintf(&out, "%s\t%s\n", ip, names)
		}
	}
	for _, alias := range pod.Spec.HostAliases {
		fmt.Fprintf(&out, "%s\t%s\n", alias.IP, strings.Join(alias.Hostnames, "\t"))
	}
	return out.String()
}

// LogPath is a container's log file relative to the pod's log directory.
func LogPath(container string, attempt uint32) string {
	return path.Join(container, fmt.Sprintf("%d.log", attempt))
}
