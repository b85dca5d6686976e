package virtualnode

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Names are the objects of a pod's namespace that its spec names, each once, sorted.
type Names struct {
	ConfigMaps []string
	Secrets    []string
}

// References lists the ConfigMaps and Secrets that a pod needs: environment, volumes, pull secrets.
func References(spec *corev1.PodSpec) Names {
	var n Names
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
		n.Secrets = append(n.Secrets, s.Name)
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
			n.ConfigMaps = append(n.ConfigMaps, source.ConfigMapKeyRef.Name)
		}
		if source.SecretKeyRef != nil {
			n.Secrets = append(n.Secrets, source.SecretKeyRef.Name)
		}
	}
	for i := range from {
		if from[i].ConfigMapRef != nil {
			n.ConfigMaps = append(n.ConfigMaps, from[i].ConfigMapRef.Name)
		}
		if from[i].SecretRef != nil {
			n.Secrets = append(n.Secrets, from[i].SecretRef.Name)
		}
	}
}

func (n *Names) volume(v *corev1.Volume) {
	if v.ConfigMap != nil {
		n.ConfigMaps = append(n.ConfigMaps, v.ConfigMap.Name)
	}
	if v.Secret != nil {
		n.Secrets = append(n.Secrets, v.Secret.SecretName)
	}
	if v.Projected == nil {
		return
	}
	for _, source := range v.Projected.Sources {
		if source.ConfigMap != nil {
			n.ConfigMaps = append(n.ConfigMaps, source.ConfigMap.Name)
		}
		if source.Secret != nil {
			n.Secrets = append(n.Secrets, source.Secret.Name)
		}
	}
}

func unique(names []string) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(name string) bool { return name == "" })
}
