// Package kubernetes runs a real Kubernetes control plane on one address: etcd,
// kube-apiserver, kube-controller-manager and kube-scheduler as processes of one
// binary, with certificates of its own, and no kubelet: the nodes are the bridge's.
//
// Start reading at ControlPlane.
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/tombolo-project/tombolo/datacenter/processes"
)

// Ports on the control plane's address.
const (
	APIPort      = 6443
	etcdPort     = 12379 // the usual 2379 is left to the master's
	etcdPeerPort = 12380
)

// Service addresses. Nothing routes to them: there is no kube-proxy on the nodes yet.
const (
	serviceRange   = "10.96.0.0/16"
	serviceAddress = "10.96.0.1" // of the service "kubernetes"
)

// ControlPlane is where a control plane runs and what it runs from.
type ControlPlane struct {
	Dir        string     // lasting: etcd's data, certificates
	Address    netip.Addr // all components listen here
	Hyperkube  string     // the binary
	Kubeconfig string     // where the administrator's kubeconfig is written
	Cgroup     func(part string) string

	pki pki
}

// pki are the certificates; etcd has an authority of its own so that no Kubernetes
// user can read the store around the API server.
type pki struct {
	ca, etcdCA                                pair
	apiserver, kubeletClient, etcd, etcdUser  pair
	admin, controllerManager, scheduler, node pair
	accountKey                                string
}

// BridgeUser is the name the bridge has in the cluster.
const BridgeUser = "tombolo-bridge"

// BridgeKubeconfig is the bridge's own kubeconfig.
func (c *ControlPlane) BridgeKubeconfig() string { return filepath.Join(c.Dir, "bridge.kubeconfig") }

// KubeletCA is the authority whose client certificates the kubelet API may trust: the
// API server presents one of them.
func (c *ControlPlane) KubeletCA() string { return c.pki.ca.certFile }

// Prepare makes certificates and kubeconfigs where they are missing.
func (c *ControlPlane) Prepare() error {
	dir := filepath.Join(c.Dir, "pki")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("kubernetes: %w", err)
	}
	if err := c.certificates(dir); err != nil {
		return fmt.Errorf("kubernetes: certificates: %w", err)
	}
	configs := map[string]pair{
		c.Kubeconfig:                            c.pki.admin,
		c.path("controller-manager.kubeconfig"): c.pki.controllerManager,
		c.path("scheduler.kubeconfig"):          c.pki.scheduler,
		c.BridgeKubeconfig():                    c.pki.node,
	}
	for path, user := range configs {
		if err := c.writeKubeconfig(path, user); err != nil {
			return fmt.Errorf("kubernetes: kubeconfig %s: %w", path, err)
		}
	}
	return nil
}

func (c *ControlPlane) path(name string) string { return filepath.Join(c.Dir, name) }

func (c *ControlPlane) certificates(dir string) error {
	address := c.Address.String()
	var err error
	if c.pki.ca, err = authority(dir, "ca"); err != nil {
		return err
	}
	if c.pki.etcdCA, err = authority(dir, "etcd-ca"); err != nil {
		return err
	}
	c.pki.accountKey = filepath.Join(dir, "service-accounts.key")
	if err := signingKey(c.pki.accountKey); err != nil {
		return err
	}
	names := []string{address, serviceAddress, "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	for _, issue := range []struct {
		to   *pair
		by   pair
		file string
		id   identity
	}{
		{&c.pki.etcd, c.pki.etcdCA, "etcd", identity{"etcd", nil, []string{address, "127.0.0.1"}}},
		{&c.pki.etcdUser, c.pki.etcdCA, "etcd-client", identity{"kube-apiserver", nil, nil}},
		{&c.pki.apiserver, c.pki.ca, "apiserver", identity{"kube-apiserver", nil, names}},
		{&c.pki.kubeletClient, c.pki.ca, "kubelet-client", identity{"kube-apiserver-kubelet-client", []string{kubeletClients}, nil}},
		{&c.pki.admin, c.pki.ca, "admin", identity{"admin", []string{"system:masters"}, nil}},
		{&c.pki.controllerManager, c.pki.ca, "controller-manager", identity{"system:kube-controller-manager", nil, nil}},
		{&c.pki.scheduler, c.pki.ca, "scheduler", identity{"system:kube-scheduler", nil, nil}},
		{&c.pki.node, c.pki.ca, "bridge", identity{BridgeUser, nil, nil}},
	} {
		if *issue.to, err = issue.by.issue(dir, issue.file, issue.id); err != nil {
			return err
		}
	}
	return nil
}

// Server is the API server's address.
func (c *ControlPlane) Server() string { return fmt.Sprintf("https://%s:%d", c.Address, APIPort) }

// writeKubeconfig writes a kubeconfig that needs no other file.
func (c *ControlPlane) writeKubeconfig(path string, user pair) error {
	read := func(name string) []byte {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil // clientcmd.Validate below refuses it
		}
		return data
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["tombolo"] = &clientcmdapi.Cluster{Server: c.Server(), CertificateAuthorityData: read(c.pki.ca.certFile)}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: read(user.certFile), ClientKeyData: read(user.keyFile)}
	config.Contexts["tombolo"] = &clientcmdapi.Context{Cluster: "tombolo", AuthInfo: "user"}
	config.CurrentContext = "tombolo"
	if err := clientcmd.Validate(*config); err != nil {
		return err
	}
	return clientcmd.WriteToFile(*config, path) // mode 0600
}

// Specs are the control plane's processes, in the order to start them.
func (c *ControlPlane) Specs() []processes.Spec {
	spec := func(name string, ready func(context.Context) error, args ...string) processes.Spec {
		return processes.Spec{
			Name: name, Path: c.Hyperkube, Args: append([]string{name}, args...), Dir: c.Dir,
			Env:   []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + c.Dir},
			Ready: ready, Within: 2 * time.Minute, Cgroup: c.Cgroup(name),
		}
	}
	return []processes.Spec{
		spec("etcd", nil, c.etcdArgs()...),
		spec("kube-apiserver", c.serving, c.apiserverArgs()...),
		spec("kube-controller-manager", nil, c.controllerManagerArgs()...),
		spec("kube-scheduler", nil, c.schedulerArgs()...),
	}
}

func (c *ControlPlane) etcdArgs() []string {
	client := fmt.Sprintf("https://%s:%d", c.Address, etcdPort)
	peer := fmt.Sprintf("https://%s:%d", c.Address, etcdPeerPort)
	return []string{
		"--name=kubernetes", "--data-dir=" + c.path("etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=kubernetes=" + peer,
		"--client-cert-auth", "--trusted-ca-file=" + c.pki.etcdCA.certFile,
		"--cert-file=" + c.pki.etcd.certFile, "--key-file=" + c.pki.etcd.keyFile,
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + c.pki.etcdCA.certFile,
		"--peer-cert-file=" + c.pki.etcd.certFile, "--peer-key-file=" + c.pki.etcd.keyFile,
		"--log-level=warn",
	}
}

func (c *ControlPlane) apiserverArgs() []string {
	return []string{
		"--advertise-address=" + c.Address.String(), "--bind-address=" + c.Address.String(), fmt.Sprintf("--secure-port=%d", APIPort),
		fmt.Sprintf("--etcd-servers=https://%s:%d", c.Address, etcdPort), "--etcd-cafile=" + c.pki.etcdCA.certFile,
		"--etcd-certfile=" + c.pki.etcdUser.certFile, "--etcd-keyfile=" + c.pki.etcdUser.keyFile,
		"--client-ca-file=" + c.pki.ca.certFile,
		"--tls-cert-file=" + c.pki.apiserver.certFile, "--tls-private-key-file=" + c.pki.apiserver.keyFile,
		"--kubelet-client-certificate=" + c.pki.kubeletClient.certFile, "--kubelet-client-key=" + c.pki.kubeletClient.keyFile,
		"--kubelet-preferred-address-types=InternalDNS,InternalIP", // InternalDNS is the bridge's address
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + c.pki.accountKey,
		"--service-account-signing-key-file=" + c.pki.accountKey,
		"--service-cluster-ip-range=" + serviceRange,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--profiling=false",
	}
}

func (c *ControlPlane) controllerManagerArgs() []string {
	kubeconfig := c.path("controller-manager.kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + c.Address.String(), "--cert-dir=" + c.path("pki"),
		"--root-ca-file=" + c.pki.ca.certFile, "--client-ca-file=" + c.pki.ca.certFile,
		"--service-account-private-key-file=" + c.pki.accountKey, "--use-service-account-credentials",
		"--cluster-signing-cert-file=" + c.pki.ca.certFile, "--cluster-signing-key-file=" + c.pki.ca.keyFile,
		"--controllers=*,-node-ipam-controller", // the agents have their pod subnets already
		"--leader-elect=false", "--profiling=false",
	}
}

func (c *ControlPlane) schedulerArgs() []string {
	kubeconfig := c.path("scheduler.kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig, "--authentication-kubeconfig=" + kubeconfig, "--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=" + c.Address.String(), "--cert-dir=" + c.path("pki"), "--client-ca-file=" + c.pki.ca.certFile,
		"--leader-elect=false", "--profiling=false",
	}
}

// Client is the administrator's.
func (c *ControlPlane) Client() (kubernetes.Interface, error) { return Client(c.Kubeconfig) }

// Client is a client with the identity of a kubeconfig.
func Client(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("kubeconfig %s: %w", kubeconfig, err)
	}
	config.Timeout = 10 * time.Second
	return kubernetes.NewForConfig(config)
}

func (c *ControlPlane) serving(ctx context.Context) error {
	client, err := c.Client()
	if err != nil {
		return err
	}
	_, err = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
	return err
}

// AwaitReady returns when pods can be created: when the controllers have made the
// default service account.
func (c *ControlPlane) AwaitReady(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	client, err := c.Client()
	if err != nil {
		return err
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return nil
		}
		if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
			return fmt.Errorf("kubernetes: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kubernetes: no default service account after %s: %w", limit, errors.Join(ctx.Err(), err))
		case <-tick.C:
		}
	}
}
