package virtualnode

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Names are the objects of a pod's namespace that its spec names, each once, sorted.
type Names struct {
	ConfigMaps []string
	Secrets    []string
	// Needed holds those without which the pod cannot start: "configmap/<name>", "secret/<name>".
	Needed map[string]bool
}

// ConfigMapKey and SecretKey are the keys of Needed.
func ConfigMapKey(name string) string { return "configmap/" + name }

// SecretKey is the key of a Secret in Needed.
func SecretKey(name string) string { return "secret/" + name }

func (n *Names) configMap(name string, optional *bool) {
	n.ConfigMaps = append(n.ConfigMaps, name)
	if optional == nil || !*optional {
		n.Needed[ConfigMapKey(name)] = true
	}
}

func (n *Names) secret(name string, optional *bool) {
	n.Secrets = append(n.Secrets, name)
	if optional == nil || !*optional {
		n.Needed[SecretKey(name)] = true
	}
}

// References lists the ConfigMaps and Secrets that a pod needs: environment, volumes, pull secrets.
func References(spec *corev1.PodSpec) Names {
	n := Names{Needed: map[string]bool{}}
	for i := range spec.InitContainers {
		n.environment(spec.InitContainers[i].Env, spec.InitContainers[i].EnvFrom)
	}
	for i := range spec.Containers {
		n.environment(spec.Containers[i].Env, spec.Containers[i].EnvFrom)
	}
	for i := range spec.EphemeralContainers {
		n.environment(spec.EphemeralContainers[i].Env, spec.EphemeralContainers[i].EnvFrom)
	}
	for i := range spec.Volumes {
		n.volume(&spec.Volumes[i])
	}
	for _, s := range spec.ImagePullSecrets {
		n.secret(s.Name, pointer(true)) // a kubelet pulls without it
	}
	n.ConfigMaps, n.Secrets = unique(n.ConfigMaps), unique(n.Secrets)
	return n
}

func (n *Names) environment(env []corev1.EnvVar, from []corev1.EnvFromSource) {
	for i := range env {
		source := env[i].ValueFrom
		if source == nil {
			continue
		}
		if source.ConfigMapKeyRef != nil {
			n.configMap(source.ConfigMapKeyRef.Name, source.ConfigMapKeyRef.Optional)
		}
		if source.SecretKeyRef != nil {
			n.secret(source.SecretKeyRef.Name, source.SecretKeyRef.Optional)
		}
	}
	for i := range from {
		if from[i].ConfigMapRef != nil {
			n.configMap(from[i].ConfigMapRef.Name, from[i].ConfigMapRef.Optional)
		}
		if from[i].SecretRef != nil {
			n.secret(from[i].SecretRef.Name, from[i].SecretRef.Optional)
		}
	}
}

func (n *Names) volume(v *corev1.Volume) {
	if v.ConfigMap != nil {
		n.configMap(v.ConfigMap.Name, v.ConfigMap.Optional)
	}
	if v.Secret != nil {
		n.secret(v.Secret.SecretName, v.Secret.Optional)
	}
	if v.Projected == nil {
		return
	}
	for _, source := range v.Projected.Sources {
		if source.ConfigMap != nil {
			n.configMap(source.ConfigMap.Name, source.ConfigMap.Optional)
		}
		if source.Secret != nil {
			n.secret(source.Secret.Name, source.Secret.Optional)
		}
	}
}

func unique(names []string) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}
