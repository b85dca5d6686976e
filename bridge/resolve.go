package bridge

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/kubernetes"
	listers "k8s.io/client-go/listers/core/v1"

	"github.com/tombolo-project/tombolo/virtualnode"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

const resolveLimit = 20 * time.Second

// defaultTokenSeconds is how long a token lives where a volume does not say (the API server adds the seconds that tell
// these tokens from others).
const defaultTokenSeconds = 3607

// resolver reads what a pod's spec names.
type resolver struct {
	client   kubernetes.Interface
	services listers.ServiceLister
	dns      podapi.ClusterDNS
	node     func(name string) *corev1.Node
}

// tokenCache keeps a pod's service account tokens until they are due for renewal.
type tokenCache map[string]cachedToken

type cachedToken struct {
	token string
	renew time.Time
}

// resolve makes a pod's bundle; missing says that an object without which the pod cannot start does not exist.
func (r *resolver) resolve(ctx context.Context, pod *corev1.Pod, tokens tokenCache) (bundle podapi.Bundle, missing bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, resolveLimit)
	defer cancel()
	bundle = podapi.Bundle{
		Pod: pod, ConfigMaps: map[string]podapi.ConfigMap{}, Secrets: map[string]podapi.Secret{}, Tokens: map[string]string{},
		DNS: r.dns,
	}
	names := virtualnode.References(&pod.Spec)
	for _, name := range names.ConfigMaps {
		object, err := r.client.CoreV1().ConfigMaps(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			missing = missing || names.Needed[virtualnode.ConfigMapKey(name)]
		case err != nil:
			return bundle, missing, fmt.Errorf("read ConfigMap %s/%s: %w", pod.Namespace, name, err)
		default:
			bundle.ConfigMaps[name] = podapi.ConfigMap{Data: object.Data, BinaryData: object.BinaryData}
		}
	}
	for _, name := range names.Secrets {
		object, err := r.client.CoreV1().Secrets(pod.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			missing = missing || names.Needed[virtualnode.SecretKey(name)]
		case err != nil:
			return bundle, missing, fmt.Errorf("read Secret %s/%s: %w", pod.Namespace, name, err)
		default:
			bundle.Secrets[name] = podapi.Secret{Type: object.Type, Data: object.Data}
		}
	}
	if err := r.tokens(ctx, pod, tokens, bundle.Tokens); err != nil {
		return bundle, missing, err
	}
	if bundle.ServiceEnv, err = r.serviceEnv(pod); err != nil {
		return bundle, missing, err
	}
	if node := r.node(pod.Spec.NodeName); node != nil {
		// What is allocatable here follows the other frameworks; a pod is told the machine's size, which stays.
		bundle.Node = podapi.Node{Name: node.Name, Allocatable: node.Status.Capacity, Labels: node.Labels}
	} else {
		bundle.Node.Name = pod.Spec.NodeName
	}
	return bundle, missing, nil
}

func (r *resolver) tokens(ctx context.Context, pod *corev1.Pod, have tokenCache, into map[string]string) error {
	for _, volume := range pod.Spec.Volumes {
		if volume.Projected == nil {
			continue
		}
		for _, source := range volume.Projected.Sources {
			if source.ServiceAccountToken == nil {
				continue
			}
			key := podapi.TokenKey(volume.Name, source.ServiceAccountToken.Path)
			if cached, ok := have[key]; !ok || !time.Now().Before(cached.renew) {
				token, err := r.requestToken(ctx, pod, source.ServiceAccountToken)
				if err != nil {
					return err
				}
				have[key] = token
			}
			into[key] = have[key].token
		}
	}
	return nil
}

func (r *resolver) requestToken(ctx context.Context, pod *corev1.Pod, source *corev1.ServiceAccountTokenProjection) (cachedToken, error) {
	seconds := int64(defaultTokenSeconds)
	if source.ExpirationSeconds != nil {
		seconds = *source.ExpirationSeconds
	}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		ExpirationSeconds: &seconds,
		BoundObjectRef:    &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if source.Audience != "" {
		request.Spec.Audiences = []string{source.Audience}
	}
	account := pod.Spec.ServiceAccountName
	asked := time.Now()
	answer, err := r.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return cachedToken{}, fmt.Errorf("request a token of service account %s/%s: %w", pod.Namespace, account, err)
	}
	// As a kubelet: after four fifths of its life, or a day.
	life := answer.Status.ExpirationTimestamp.Sub(asked)
	return cachedToken{token: answer.Status.Token, renew: asked.Add(min(life*4/5, 24*time.Hour))}, nil
}

// serviceEnv is the variables of the API server's service and, where the pod wants them, of its namespace's services.
func (r *resolver) serviceEnv(pod *corev1.Pod) ([]corev1.EnvVar, error) {
	services := map[string]*corev1.Service{}
	add := func(namespace, only string) error {
		list, err := r.services.Services(namespace).List(labels.Everything())
		if err != nil {
			return fmt.Errorf("list services of %s: %w", namespace, err)
		}
		for _, s := range list {
			if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != corev1.ClusterIPNone && (only == "" || s.Name == only) {
				services[s.Name] = s
			}
		}
		return nil
	}
	if err := add(metav1.NamespaceDefault, "kubernetes"); err != nil {
		return nil, err
	}
	if pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks {
		if err := add(pod.Namespace, ""); err != nil {
			return nil, err
		}
	}
	names := make([]string, 0, len(services))
	for name := range services {
		names = append(names, name)
	}
	slices.Sort(names)
	var env []corev1.EnvVar
	for _, name := range names {
		env = append(env, serviceVariables(services[name])...)
	}
	return env, nil
}

// serviceVariables is one service in the variables that Kubernetes has given pods since Docker's links.
func serviceVariables(s *corev1.Service) []corev1.EnvVar {
	if len(s.Spec.Ports) == 0 {
		return nil
	}
	prefix := strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
	env := []corev1.EnvVar{
		{Name: prefix + "_SERVICE_HOST", Value: s.Spec.ClusterIP},
		{Name: prefix + "_SERVICE_PORT", Value: strconv.Itoa(int(s.Spec.Ports[0].Port))},
	}
	for _, p := range s.Spec.Ports {
		if p.Name != "" {
			name := prefix + "_SERVICE_PORT_" + strings.ToUpper(strings.ReplaceAll(p.Name, "-", "_"))
			env = append(env, corev1.EnvVar{Name: name, Value: strconv.Itoa(int(p.Port))})
		}
	}
	for i, p := range s.Spec.Ports {
		protocol, port := strings.ToLower(string(p.Protocol)), strconv.Itoa(int(p.Port))
		if protocol == "" {
			protocol = "tcp"
		}
		url := protocol + "://" + net.JoinHostPort(s.Spec.ClusterIP, port)
		if i == 0 {
			env = append(env, corev1.EnvVar{Name: prefix + "_PORT", Value: url})
		}
		base := prefix + "_PORT_" + port + "_" + strings.ToUpper(protocol)
		env = append(env,
			corev1.EnvVar{Name: base, Value: url}, corev1.EnvVar{Name: base + "_PROTO", Value: protocol},
			corev1.EnvVar{Name: base + "_PORT", Value: port}, corev1.EnvVar{Name: base + "_ADDR", Value: s.Spec.ClusterIP},
		)
	}
	return env
}
