package kubernetes

import (
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Reach asks the cluster of a kubeconfig for its version. Its error says in one
// sentence why the file can't be used.
func Reach(ctx context.Context, kubeconfig string) (string, error) {
	if _, err := os.Stat(kubeconfig); err != nil {
		return "", fmt.Errorf("--kubeconfig %s can't be read: %w", kubeconfig, err)
	}
	client, err := Client(kubeconfig)
	if err != nil {
		return "", fmt.Errorf("--kubeconfig %s is not usable: %w", kubeconfig, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	// Nodes, because anybody may ask for the version.
	result := client.CoreV1().RESTClient().Get().Resource("nodes").Param("limit", "1").Do(ctx)
	if err := result.Error(); err != nil {
		return "", fmt.Errorf("--kubeconfig %s does not lead to a cluster that lets us in (is it stale?): %w", kubeconfig, err)
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return "", fmt.Errorf("version of the cluster of %s: %w", kubeconfig, err)
	}
	return version.GitVersion, nil
}

// ClientAuthority writes the authority that a cluster's client certificates are
// signed by to the file: where the cluster publishes it, as its API server does for
// extension servers. The API server's certificate towards kubelets is usually of it.
func ClientAuthority(ctx context.Context, kubeconfig, file string) (found bool, err error) {
	client, err := Client(kubeconfig)
	if err != nil {
		return false, err
	}
	published, err := client.CoreV1().ConfigMaps(metav1.NamespaceSystem).Get(ctx, "extension-apiserver-authentication", metav1.GetOptions{})
	if err != nil {
		return false, fmt.Errorf("client authority of the cluster of %s: %w", kubeconfig, err)
	}
	pem := published.Data["client-ca-file"]
	if pem == "" {
		return false, nil
	}
	return true, os.WriteFile(file, []byte(pem), 0o644)
}
