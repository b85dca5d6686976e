package pod

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	corev1 "k8s.io/api/core/v1"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/tombolo-project/tombolo/executor/pod/criconfig"
	"github.com/tombolo-project/tombolo/executor/pod/lifecycle"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// ensureImage makes sure that a container's image is there, as its pull policy says.
func (r *containerRuntime) ensureImage(ctx context.Context, bundle *podapi.Bundle, container *corev1.Container, sandbox *cri.PodSandboxConfig, news imageNews) (criconfig.Image, *lifecycle.Failure) {
	spec := &cri.ImageSpec{Image: container.Image, UserSpecifiedImage: container.Image}
	policy := pullPolicy(container)
	if policy != corev1.PullAlways {
		image, err := r.findImage(ctx, spec)
		if err != nil {
			return image, &lifecycle.Failure{Reason: "ImageInspectError", Message: err.Error()}
		}
		if image.Ref != "" {
			news.pulled(fmt.Sprintf("Container image %q already present on machine", container.Image))
			return image, nil
		}
		if policy == corev1.PullNever {
			return image, &lifecycle.Failure{
				Reason:  "ErrImageNeverPull",
				Message: fmt.Sprintf("Container image %q is not present with pull policy of Never", container.Image),
			}
		}
	}
	news.pulling()
	began := time.Now()
	if err := r.pull(ctx, bundle, spec, sandbox); err != nil {
		reason := "ErrImagePull"
		if status.Code(err) == codes.InvalidArgument || strings.Contains(err.Error(), "invalid reference format") {
			reason = "InvalidImageName"
		}
		return criconfig.Image{}, &lifecycle.Failure{Reason: reason, Message: message(err)}
	}
	image, err := r.findImage(ctx, spec)
	if err == nil && image.Ref == "" {
		err = errors.New("the image was pulled, but the container runtime does not find it")
	}
	if err != nil {
		return image, &lifecycle.Failure{Reason: "ImageInspectError", Message: err.Error()}
	}
	took := time.Since(began).Truncate(time.Millisecond)
	news.pulled(fmt.Sprintf("Successfully pulled image %q in %v (%v including waiting). Image size: %d bytes.", container.Image, took, took, image.Size))
	return image, nil
}

// pullPolicy is the container's, with Kubernetes's default: always for :latest, else if not present.
func pullPolicy(container *corev1.Container) corev1.PullPolicy {
	if container.ImagePullPolicy != "" {
		return container.ImagePullPolicy
	}
	name := container.Image[strings.LastIndexByte(container.Image, '/')+1:]
	if _, tag, tagged := strings.Cut(name, ":"); !strings.Contains(name, "@") && (!tagged || tag == "latest") {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// findImage is the image if the runtime has it; else its Ref is empty.
func (r *containerRuntime) findImage(ctx context.Context, spec *cri.ImageSpec) (criconfig.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	response, err := r.images.ImageStatus(ctx, &cri.ImageStatusRequest{Image: spec})
	if err != nil {
		return criconfig.Image{}, fmt.Errorf("look for image %q: %s", spec.Image, message(err))
	}
	if response.Image == nil {
		return criconfig.Image{}, nil
	}
	image := criconfig.Image{Ref: response.Image.Id, Username: response.Image.Username, Size: response.Image.Size}
	if uid := response.Image.Uid; uid != nil {
		image.UID = &uid.Value
	}
	return image, nil
}

// pull tries the credentials that fit the image one by one, at last without any.
func (r *containerRuntime) pull(ctx context.Context, bundle *podapi.Bundle, spec *cri.ImageSpec, sandbox *cri.PodSandboxConfig) error {
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	var failure error
	for _, auth := range append(credentials(bundle, spec.Image), nil) {
		_, err := r.images.PullImage(ctx, &cri.PullImageRequest{Image: spec, Auth: auth, SandboxConfig: sandbox})
		if err == nil {
			return nil
		}
		if failure == nil {
			failure = err
		}
	}
	return failure
}

// dockerConfig is the content of an image pull secret.
type dockerConfig struct {
	Auths map[string]struct {
		Username, Password, Auth string
	} `json:"auths"`
}

// credentials are those of the pod's image pull secrets that fit the image's registry.
func credentials(bundle *podapi.Bundle, image string) []*cri.AuthConfig {
	var found []*cri.AuthConfig
	for _, ref := range bundle.Pod.Spec.ImagePullSecrets {
		secret := bundle.Secrets[ref.Name]
		var config dockerConfig
		if data, ok := secret.Data[corev1.DockerConfigJsonKey]; ok {
			if json.Unmarshal(data, &config) != nil {
				continue // as a kubelet: a broken secret is no secret
			}
		} else if json.Unmarshal(secret.Data[corev1.DockerConfigKey], &config.Auths) != nil {
			continue
		}
		for server, entry := range config.Auths {
			if !fits(server, image) {
				continue
			}
			auth := &cri.AuthConfig{Username: entry.Username, Password: entry.Password}
			if plain, err := base64.StdEncoding.DecodeString(entry.Auth); err == nil && entry.Auth != "" {
				auth.Username, auth.Password, _ = strings.Cut(string(plain), ":")
			}
			found = append(found, auth)
		}
	}
	return found
}

// fits says that a registry of a docker configuration is the image's: host, or host and a prefix of the path.
func fits(server, image string) bool {
	server = strings.TrimPrefix(strings.TrimPrefix(server, "https://"), "http://")
	server = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(server, "/"), "/v1"), "/v2")
	host, _, hasHost := strings.Cut(image, "/")
	if !hasHost || !strings.ContainsAny(host, ".:") && host != "localhost" {
		return server == "index.docker.io" || server == "docker.io"
	}
	return image == server || strings.HasPrefix(image, server+"/")
}

// message is an error of the container runtime without gRPC's decoration.
func message(err error) string {
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

func isNotFound(err error) bool { return status.Code(err) == codes.NotFound }
