package bridge

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	vkapi "github.com/virtual-kubelet/virtual-kubelet/node/api"
	corev1 "k8s.io/api/core/v1"
	certutil "k8s.io/client-go/util/cert"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Streams as a kubelet has them.
const (
	streamIdle     = 4 * time.Hour
	streamCreation = 30 * time.Second
	headerLimit    = 10 * time.Second
	closeLimit     = 5 * time.Second
)

// kubelets serves the kubelet API of every node: one TLS listener each, so that the API server finds the node by the
// port in its status. Nobody is let in without a client certificate or a token that the API server vouches for, and the
// API server's word that this user may (design D14).
type kubelets struct {
	address     string // advertised
	certificate tls.Certificate
	guard       *guard
	dial        *executors
	log         *slog.Logger

	locate func(node, namespace, pod string) (core.Located, bool)
	pods   func(node string) []*corev1.Pod
	// endpoint is where a node's executor listens, as JSON; empty: there is none.
	endpoint func(node string) string
}

// servingCertificate is a self-signed certificate for the bridge's address.
func servingCertificate(address string) (tls.Certificate, error) {
	var ips []net.IP
	if ip := net.ParseIP(address); ip != nil {
		ips = append(ips, ip)
	}
	certificate, key, err := certutil.GenerateSelfSignedCertKey(address, ips, nil)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("make the serving certificate of the kubelet API: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read the serving certificate of the kubelet API: %w", err)
	}
	return pair, nil
}

// serve starts a node's kubelet API; it ends with ctx.
func (k *kubelets) serve(ctx context.Context, node string) (address string, port int32, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(k.address, "0"))
	if err != nil {
		// Behind a forwarded address the bridge can't listen on it; then on all.
		listener, err = new(net.ListenConfig).Listen(ctx, "tcp", ":0")
	}
	if err != nil {
		return k.address, 0, fmt.Errorf("listen for the kubelet API of node %s: %w", node, err)
	}
	server := &http.Server{
		Handler:           k.guard.protect(node, k.handler(node)),
		ReadHeaderTimeout: headerLimit,
		ErrorLog:          slog.NewLogLogger(k.log.Handler(), slog.LevelDebug),
		TLSConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{k.certificate}, ClientAuth: tls.RequestClientCert,
			NextProtos: []string{"http/1.1"}, // exec and port-forward take the connection over
		},
	}
	go func() {
		if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			k.log.Error("kubelet API ended", "node", node, "error", err)
		}
	}()
	context.AfterFunc(ctx, func() {
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeLimit)
		defer cancel()
		if err := server.Shutdown(limit); err != nil {
			_ = server.Close() // what still streams is cut
		}
	})
	return k.address, int32(listener.Addr().(*net.TCPAddr).Port), nil
}

// handler is the kubelet API of one node.
func (k *kubelets) handler(node string) http.Handler {
	n := nodeAPI{kubelets: k, node: node}
	config := vkapi.PodHandlerConfig{
		RunInContainer:        n.exec,
		AttachToContainer:     n.attach,
		PortForward:           n.portForward,
		GetPods:               n.list,
		GetPodsFromKubernetes: n.list,
		GetStatsSummary:       n.summary,
		GetMetricsResource:    n.metrics,
		StreamIdleTimeout:     streamIdle,
		StreamCreationTimeout: streamCreation,
	}
	// The library gives port-forward its two times the wrong way round.
	forwarding := config
	forwarding.StreamIdleTimeout, forwarding.StreamCreationTimeout = streamCreation, streamIdle
	all, forward := vkapi.PodHandler(config, true), vkapi.PodHandler(forwarding, false)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok")) // a client that is gone needs no answer
	})
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLogs)
	mux.Handle("/portForward/", forward)
	mux.Handle("/", all)
	return mux
}

// nodeAPI answers for one node.
type nodeAPI struct {
	*kubelets
	node string
}

func (n nodeAPI) list(context.Context) ([]*corev1.Pod, error) { return n.pods(n.node), nil }

// errNoExecutor is for questions that only a running executor can answer.
var errNoExecutor = errors.New("the pod executor of this node's agent has not reported yet")

// find is the task of a pod on this node and a connection to its executor.
func (n nodeAPI) find(namespace, pod, container string) (*podapi.Client, string, error) {
	located, ok := n.locate(n.node, namespace, pod)
	if !ok {
		return nil, "", notFound("pod %s/%s has no task on node %s", namespace, pod, n.node)
	}
	if container != "" && !hasContainer(&located.Pod.Spec, container) {
		return nil, "", notFound("pod %s/%s has no container %q", namespace, pod, container)
	}
	client, err := n.executor(located.Endpoint)
	if err != nil {
		return nil, "", fmt.Errorf("pod %s/%s: %w", namespace, pod, err)
	}
	return client, located.TaskID, nil
}

func (n nodeAPI) executor(encoded string) (*podapi.Client, error) {
	if encoded == "" {
		return nil, errNoExecutor
	}
	endpoint, err := podapi.Decode[podapi.Endpoint]([]byte(encoded))
	if err != nil {
		return nil, err
	}
	return n.dial.client(endpoint)
}

func hasContainer(spec *corev1.PodSpec, name string) bool {
	for i := range spec.Containers {
		if spec.Containers[i].Name == name {
			return true
		}
	}
	for i := range spec.InitContainers {
		if spec.InitContainers[i].Name == name {
			return true
		}
	}
	for i := range spec.EphemeralContainers {
		if spec.EphemeralContainers[i].Name == name {
			return true
		}
	}
	return false
}
