package volumes

import (
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// file is one file of a volume.
type file struct {
	data []byte
	mode int32
}

// defaultMode of files that do not say otherwise.
const defaultMode = 0o644

// contents are the files of a volume that comes from the bundle, by path; secret says that nobody else may see them.
func contents(bundle *podapi.Bundle, volume *corev1.Volume) (files map[string]file, secret bool, err error) {
	files = map[string]file{}
	switch {
	case volume.ConfigMap != nil:
		source := volume.ConfigMap
		err = addConfigMap(files, bundle, source.Name, source.Items, mode(source.DefaultMode), source.Optional)
		return files, false, err
	case volume.Secret != nil:
		source := volume.Secret
		err = addSecret(files, bundle, source.SecretName, source.Items, mode(source.DefaultMode), source.Optional)
		return files, true, err
	case volume.DownwardAPI != nil:
		source := volume.DownwardAPI
		err = addDownward(files, bundle, source.Items, mode(source.DefaultMode))
		return files, false, err
	case volume.Projected != nil:
		for i := range volume.Projected.Sources {
			if err := addProjection(files, bundle, volume, &volume.Projected.Sources[i]); err != nil {
				return nil, false, err
			}
		}
		return files, true, nil
	}
	return nil, false, errors.New("its source is not supported")
}

func addProjection(files map[string]file, bundle *podapi.Bundle, volume *corev1.Volume, source *corev1.VolumeProjection) error {
	mode := mode(volume.Projected.DefaultMode)
	switch {
	case source.ConfigMap != nil:
		return addConfigMap(files, bundle, source.ConfigMap.Name, source.ConfigMap.Items, mode, source.ConfigMap.Optional)
	case source.Secret != nil:
		return addSecret(files, bundle, source.Secret.Name, source.Secret.Items, mode, source.Secret.Optional)
	case source.DownwardAPI != nil:
		return addDownward(files, bundle, source.DownwardAPI.Items, mode)
	case source.ServiceAccountToken != nil:
		path := source.ServiceAccountToken.Path
		token, ok := bundle.Tokens[podapi.TokenKey(volume.Name, path)]
		if !ok {
			return fmt.Errorf("no service account token for %s", path)
		}
		tokenMode := int32(0o600)
		if fsGroup(bundle.Pod) >= 0 || runsAsUser(bundle.Pod) {
			tokenMode = 0o644 // the tmpfs is seen by the pod's containers only
		}
		files[path] = file{data: []byte(token), mode: tokenMode}
		return nil
	}
	return errors.New("a projected source is not supported")
}

// runsAsUser says that some container may run as another user than root, who must be able to read the pod's token.
func runsAsUser(pod *corev1.Pod) bool {
	if context := pod.Spec.SecurityContext; context != nil && context.RunAsUser != nil {
		return true
	}
	for i := range pod.Spec.Containers {
		if context := pod.Spec.Containers[i].SecurityContext; context != nil && context.RunAsUser != nil {
			return true
		}
	}
	return false
}

func addConfigMap(files map[string]file, bundle *podapi.Bundle, name string, items []corev1.KeyToPath, mode int32, optional *bool) error {
	configMap, ok := bundle.ConfigMaps[name]
	if !ok && !isTrue(optional) {
		return fmt.Errorf("configmap %q not found", name)
	}
	values := map[string][]byte{}
	for key, value := range configMap.Data {
		values[key] = []byte(value)
	}
	for key, value := range configMap.BinaryData {
		values[key] = value
	}
	return addItems(files, values, items, mode, optional, fmt.Sprintf("configmap %q", name))
}

func addSecret(files map[string]file, bundle *podapi.Bundle, name string, items []corev1.KeyToPath, mode int32, optional *bool) error {
	secret, ok := bundle.Secrets[name]
	if !ok && !isTrue(optional) {
		return fmt.Errorf("secret %q not found", name)
	}
	return addItems(files, secret.Data, items, mode, optional, fmt.Sprintf("secret %q", name))
}

// addItems adds all values, or the items that were asked for.
func addItems(files map[string]file, values map[string][]byte, items []corev1.KeyToPath, mode int32, optional *bool, of string) error {
	if len(items) == 0 {
		for key, value := range values {
			files[key] = file{data: value, mode: mode}
		}
		return nil
	}
	for _, item := range items {
		value, ok := values[item.Key]
		if !ok {
			if isTrue(optional) {
				continue
			}
			return fmt.Errorf("%s has no key %q", of, item.Key)
		}
		itemMode := mode
		if item.Mode != nil {
			itemMode = *item.Mode
		}
		files[item.Path] = file{data: value, mode: itemMode}
	}
	return nil
}

func addDownward(files map[string]file, bundle *podapi.Bundle, items []corev1.DownwardAPIVolumeFile, mode int32) error {
	for i := range items {
		item := &items[i]
		itemMode := mode
		if item.Mode != nil {
			itemMode = *item.Mode
		}
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = criconfig.Field(bundle, item.FieldRef.FieldPath, criconfig.Addresses{})
		case item.ResourceFieldRef != nil:
			value, err = criconfig.Resource(bundle, item.ResourceFieldRef, "")
		}
		if err != nil {
			return fmt.Errorf("file %s: %w", item.Path, err)
		}
		files[item.Path] = file{data: []byte(value), mode: itemMode}
	}
	return nil
}

func mode(m *int32) int32 {
	if m == nil {
		return defaultMode
	}
	return *m
}

func isTrue(b *bool) bool { return b != nil && *b }
