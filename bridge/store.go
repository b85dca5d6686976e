package bridge

import (
	"context"
	"fmt"

	mesos "github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Objects in the bridge's namespace, and their keys.
const (
	stateName    = "tombolo-bridge"
	frameworkKey = "framework-id"
)

// store keeps in the Kubernetes API what a bridge must find again after a restart.
type store struct {
	client    kubernetes.Interface
	namespace string
}

// framework reads the framework's id; nil: this bridge has never been subscribed.
func (s store) framework(ctx context.Context) (*mesos.FrameworkID, error) {
	object, err := s.client.CoreV1().ConfigMaps(s.namespace).Get(ctx, stateName, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the framework id from ConfigMap %s/%s: %w", s.namespace, stateName, err)
	}
	if id := object.Data[frameworkKey]; id != "" {
		return &mesos.FrameworkID{Value: id}, nil
	}
	return nil, nil
}

// keepFramework writes the framework's id; an empty one forgets it, so that the next start registers anew.
func (s store) keepFramework(ctx context.Context, id string) error {
	maps := s.client.CoreV1().ConfigMaps(s.namespace)
	object, err := maps.Get(ctx, stateName, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		object = &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: stateName, Namespace: s.namespace},
			Data:       map[string]string{frameworkKey: id},
		}
		_, err = maps.Create(ctx, object, metav1.CreateOptions{})
	case err == nil && object.Data[frameworkKey] != id:
		if object.Data == nil {
			object.Data = map[string]string{}
		}
		object.Data[frameworkKey] = id
		_, err = maps.Update(ctx, object, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("keep the framework id in ConfigMap %s/%s: %w", s.namespace, stateName, err)
	}
	return nil
}

// authority reads the authority of the channel to the pod executors, making it with the first start. It must not change
// while executors run: they trust this one only.
func (s store) authority(ctx context.Context) (*podapi.Authority, error) {
	secrets := s.client.CoreV1().Secrets(s.namespace)
	for range 2 { // the second time around if another one was faster
		object, err := secrets.Get(ctx, stateName, metav1.GetOptions{})
		if err == nil {
			authority, err := podapi.LoadAuthority(object.Data[corev1.TLSCertKey], object.Data[corev1.TLSPrivateKeyKey])
			if err != nil {
				return nil, fmt.Errorf("secret %s/%s: %w", s.namespace, stateName, err)
			}
			return authority, nil
		}
		if !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("read the bridge's authority from Secret %s/%s: %w", s.namespace, stateName, err)
		}
		if err := s.makeAuthority(ctx); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("keep the bridge's authority in Secret %s/%s: %w", s.namespace, stateName, err)
		}
	}
	return nil, fmt.Errorf("secret %s/%s comes and goes: something else deletes it", s.namespace, stateName)
}

func (s store) makeAuthority(ctx context.Context) error {
	authority, err := podapi.NewAuthority()
	if err != nil {
		return err
	}
	certificate, key, err := authority.PEM()
	if err != nil {
		return err
	}
	object := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: stateName, Namespace: s.namespace},
		Type:       corev1.SecretTypeTLS,
		Data:       map[string][]byte{corev1.TLSCertKey: certificate, corev1.TLSPrivateKeyKey: key},
	}
	_, err = s.client.CoreV1().Secrets(s.namespace).Create(ctx, object, metav1.CreateOptions{})
	return err
}
