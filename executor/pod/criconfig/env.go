package criconfig

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Addresses are what a pod learns about addresses when its sandbox runs.
type Addresses struct {
	HostIP string
	PodIPs []string
}

// Env is a container's environment: service links, then envFrom, then env, later ones winning, with $(VAR) expanded. An
// error names the ConfigMap, Secret or key that is missing.
func Env(bundle *podapi.Bundle, container *corev1.Container, addresses Addresses) ([]*cri.KeyValue, error) {
	env := environment{values: map[string]string{}}
	services := map[string]string{}
	for _, v := range bundle.ServiceEnv {
		services[v.Name] = v.Value
	}
	for i := range container.EnvFrom {
		if err := env.addFrom(bundle, &container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range container.Env {
		v := &container.Env[i]
		value, set, err := env.value(bundle, container, v, services, addresses)
		if err != nil {
			return nil, fmt.Errorf("environment variable %s: %w", v.Name, err)
		}
		if set {
			env.set(v.Name, value)
		}
	}
	for _, v := range bundle.ServiceEnv {
		if _, ok := env.values[v.Name]; !ok {
			env.set(v.Name, v.Value)
		}
	}
	pairs := make([]*cri.KeyValue, 0, len(env.names))
	for _, name := range env.names {
		pairs = append(pairs, &cri.KeyValue{Key: name, Value: env.values[name]})
	}
	return pairs, nil
}

// environment keeps variables in the order in which they were first set.
type environment struct {
	names  []string
	values map[string]string
}

func (e *environment) set(name, value string) {
	if _, ok := e.values[name]; !ok {
		e.names = append(e.names, name)
	}
	e.values[name] = value
}

func (e *environment) addFrom(bundle *podapi.Bundle, source *corev1.EnvFromSource) error {
	values := map[string]string{}
	switch {
	case source.ConfigMapRef != nil:
		name := source.ConfigMapRef.Name
		configMap, ok := bundle.ConfigMaps[name]
		if !ok && !isTrue(source.ConfigMapRef.Optional) {
			return fmt.Errorf("configmap %q not found", name)
		}
		values = configMap.Data
	case source.SecretRef != nil:
		name := source.SecretRef.Name
		secret, ok := bundle.Secrets[name]
		if !ok && !isTrue(source.SecretRef.Optional) {
			return fmt.Errorf("secret %q not found", name)
		}
		for key, value := range secret.Data {
			values[key] = string(value)
		}
	}
	for _, key := range sortedKeys(values) {
		if name := source.Prefix + key; name != "" && !strings.ContainsAny(name, "=\x00") {
			e.set(name, values[key])
		}
	}
	return nil
}

func (e *environment) value(
	bundle *podapi.Bundle, container *corev1.Container, v *corev1.EnvVar, services map[string]string, addresses Addresses,
) (value string, set bool, err error) {
	if v.ValueFrom == nil {
		return Expand(v.Value, func(name string) (string, bool) {
			if value, ok := e.values[name]; ok {
				return value, true
			}
			value, ok := services[name]
			return value, ok
		}), true, nil
	}
	switch from := v.ValueFrom; {
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		configMap, ok := bundle.ConfigMaps[ref.Name]
		if !ok {
			return "", false, missing("configmap %q not found", isTrue(ref.Optional), ref.Name)
		}
		value, ok := configMap.Data[ref.Key]
		if !ok {
			return "", false, missing("couldn't find key %s in configmap %q", isTrue(ref.Optional), ref.Key, ref.Name)
		}
		return value, true, nil
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret, ok := bundle.Secrets[ref.Name]
		if !ok {
			return "", false, missing("secret %q not found", isTrue(ref.Optional), ref.Name)
		}
		value, ok := secret.Data[ref.Key]
		if !ok {
			return "", false, missing("couldn't find key %s in secret %q", isTrue(ref.Optional), ref.Key, ref.Name)
		}
		return string(value), true, nil
	case from.FieldRef != nil:
		value, err := Field(bundle, from.FieldRef.FieldPath, addresses)
		return value, err == nil, err
	case from.ResourceFieldRef != nil:
		value, err := Resource(bundle, from.ResourceFieldRef, container.Name)
		return value, err == nil, err
	}
	return "", false, errors.New("valueFrom has no source that is supported")
}

// missing is nil for a reference that may be missing.
func missing(format string, optional bool, args ...any) error {
	if optional {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// Expand replaces $(NAME) by what lookup finds; an unknown name stays as it is, and $$ stands for one $.
func Expand(text string, lookup func(string) (string, bool)) string {
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) {
			out.WriteByte(text[i])
			continue
		}
		switch text[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(text[i:], ')')
			if end < 0 {
				out.WriteString("$(")
				i++
				continue
			}
			name := text[i+2 : i+end]
			if value, ok := lookup(name); ok {
				out.WriteString(value)
			} else {
				out.WriteString(text[i : i+end+1])
			}
			i += end
		default:
			out.WriteByte('$')
		}
	}
	return out.String()
}

// Field is the value of a downward field of the pod. All labels or annotations come as lines key="value".
func Field(bundle *podapi.Bundle, path string, addresses Addresses) (string, error) {
	pod := bundle.Pod
	if head, key, ok := subscript(path); ok {
		switch head {
		case "metadata.labels":
			return pod.Labels[key], nil
		case "metadata.annotations":
			return pod.Annotations[key], nil
		}
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "metadata.labels":
		return lines(pod.Labels), nil
	case "metadata.annotations":
		return lines(pod.Annotations), nil
	case "spec.nodeName":
		return bundle.Node.Name, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP", "status.hostIPs":
		return addresses.HostIP, nil
	case "status.podIP":
		if len(addresses.PodIPs) == 0 {
			return "", nil
		}
		return addresses.PodIPs[0], nil
	case "status.podIPs":
		return strings.Join(addresses.PodIPs, ","), nil
	}
	return "", fmt.Errorf("field %q is not supported", path)
}

// subscript splits metadata.labels['key'].
func subscript(path string) (head, key string, ok bool) {
	head, rest, found := strings.Cut(path, "['")
	key, found2 := strings.CutSuffix(rest, "']")
	return head, key, found && found2
}

func lines(values map[string]string) string {
	out := make([]string, 0, len(values))
	for _, key := range sortedKeys(values) {
		out = append(out, key+"="+strconv.Quote(values[key]))
	}
	return strings.Join(out, "\n")
}

// Resource is the value of a request or limit of a container in units of the divisor, rounded up. A limit that is not set is
// what the node has.
func Resource(bundle *podapi.Bundle, ref *corev1.ResourceFieldSelector, self string) (string, error) {
	name := ref.ContainerName
	if name == "" {
		name = self
	}
	container := find(bundle.Pod, name)
	if container == nil {
		return "", fmt.Errorf("resource field of unknown container %q", name)
	}
	kind, resourceName, ok := strings.Cut(ref.Resource, ".")
	if !ok {
		return "", fmt.Errorf("resource field %q is not supported", ref.Resource)
	}
	var quantity resource.Quantity
	switch kind {
	case "limits":
		limit, ok := container.Resources.Limits[corev1.ResourceName(resourceName)]
		if !ok {
			limit = bundle.Node.Allocatable[corev1.ResourceName(resourceName)]
		}
		quantity = limit
	case "requests":
		quantity = container.Resources.Requests[corev1.ResourceName(resourceName)]
	default:
		return "", fmt.Errorf("resource field %q is not supported", ref.Resource)
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if resourceName == string(corev1.ResourceCPU) {
		return strconv.FormatInt(int64(math.Ceil(float64(quantity.MilliValue())/float64(divisor.MilliValue()))), 10), nil
	}
	return strconv.FormatInt(int64(math.Ceil(float64(quantity.Value())/float64(divisor.Value()))), 10), nil
}

func find(pod *corev1.Pod, name string) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i]
		}
	}
	for i := range pod.Spec.InitContainers {
		if pod.Spec.InitContainers[i].Name == name {
			return &pod.Spec.InitContainers[i]
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	return keys
}

func isTrue(b *bool) bool { return b != nil && *b }
