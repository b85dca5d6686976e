package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/tombolo-project/tombolo/bridge"
	"github.com/tombolo-project/tombolo/security/authn"
	"github.com/tombolo-project/tombolo/virtualnode"
)

// bridgeFlags are the flags that need reading before they are a bridge.Config.
type bridgeFlags struct {
	kubeconfig                string
	headroomCPUs              string
	headroomMem               string
	executorCPUs, executorMem string
	taint                     string
	qps                       float32
	clusterDNS                []string
	executorCommand           string
	client                    clientFlags
}

// bridgeCommand is `tombolo bridge`: it shows every Mesos agent to Kubernetes as a node.
func bridgeCommand() *cobra.Command {
	config := bridge.DefaultConfig()
	flags := bridgeFlags{}
	cmd := &cobra.Command{
		Use:   "bridge",
		Short: "Show every agent to Kubernetes as a node and run its pods there",
		Long: `Registers with a Mesos master as a framework, shows every agent to a Kubernetes cluster as a
node, and runs the pods that Kubernetes binds to these nodes. Flags are read from TOMBOLO_<FLAG> too.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := environment(cmd, "TOMBOLO_"); err != nil {
				return err
			}
			config.Log = slog.Default()
			credential, err := flags.client.load(config.Log)
			if err != nil {
				return err
			}
			config.Principal, config.HTTP, config.TLS = credential.Principal, authn.Client(credential, flags.client.transport.HTTP()), flags.client.transport.On()
			if err := flags.apply(cmd.Context(), &config); err != nil {
				return err
			}
			return bridge.Run(cmd.Context(), config)
		},
	}
	f := cmd.Flags()
	f.StringVar(&config.Master, "master", "localhost:5050", "the Mesos master, HOST:PORT[,HOST:PORT...]")
	f.StringVar(&flags.kubeconfig, "kubeconfig", "", "kubeconfig of the cluster (default: KUBECONFIG, or the service account inside a pod)")
	f.StringVar(&config.Role, "role", config.Role, "role whose share of the datacenter the pods take")
	f.StringVar(&config.Name, "name", config.Name, "the framework's name in Mesos")
	f.StringVar(&config.User, "user", config.User, "user that the pod executor runs as")
	flags.client.register(f, true)
	f.StringVar(&config.Namespace, "namespace", config.Namespace, "namespace of the bridge's own objects")
	f.StringVar(&config.Address, "address", "", "address at which the API server reaches this bridge, not a loopback one (default: the one towards the API server)")
	f.StringVar(&config.ClientCAFile, "client-ca-file", "", "authority (PEM) of the API server's kubelet client certificate; without it only tokens are taken")
	f.StringVar(&flags.executorCommand, "executor-command", config.Executor.Command, "shell command that starts the pod executor on an agent")
	f.StringVar(&config.Executor.URI, "executor-uri", "", "URI of the pod executor's binary, fetched into its sandbox")
	f.StringVar(&flags.executorCPUs, "executor-cpus", "0.1", "CPUs of a pod executor itself")
	f.StringVar(&flags.executorMem, "executor-mem", "64Mi", "memory of a pod executor itself")
	f.StringVar(&flags.headroomCPUs, "headroom-cpus", "0", "CPUs to hold offers of for pods to come")
	f.StringVar(&flags.headroomMem, "headroom-mem", "0", "memory to hold offers of for pods to come")
	f.DurationVar(&config.PendingTimeout, "pending-timeout", config.PendingTimeout, "how long a pod bound to a node may wait for its resources before it fails")
	f.StringVar(&config.NodePrefix, "node-prefix", "", "prefix of the nodes' names")
	f.IntVar(&config.MaxPods, "max-pods", config.MaxPods, "pods that a node may have")
	f.StringVar(&flags.taint, "node-taint", "", "taint on every node, KEY=VALUE:EFFECT (default: none)")
	f.StringSliceVar(&flags.clusterDNS, "cluster-dns", nil, "addresses of the cluster's name servers, for pods")
	f.StringVar(&config.DNS.Domain, "cluster-domain", "cluster.local", "the cluster's domain, for pods")
	f.StringVar(&config.MetricsAddress, "metrics-address", "", "address of /metrics and /healthz, HOST:PORT (default: not served)")
	f.Float32Var(&flags.qps, "kube-api-qps", 200, "requests per second to the API server at most")
	return cmd
}

// apply reads the flags into the config and connects to the cluster.
func (f *bridgeFlags) apply(ctx context.Context, config *bridge.Config) error {
	var errs []error
	amounts := func(cpus, mem, what string) virtualnode.Amounts {
		list := corev1.ResourceList{}
		for name, text := range map[corev1.ResourceName]string{corev1.ResourceCPU: cpus, corev1.ResourceMemory: mem} {
			q, err := resource.ParseQuantity(text)
			if err != nil || q.Sign() < 0 {
				errs = append(errs, fmt.Errorf("--%s: %q is not an amount of %s", what, text, name))
			}
			list[name] = q
		}
		return virtualnode.FromList(list)
	}
	config.Headroom = amounts(f.headroomCPUs, f.headroomMem, "headroom-cpus or -mem")
	config.Executor.Resources = amounts(f.executorCPUs, f.executorMem, "executor-cpus or -mem")
	config.Executor.Command = f.executorCommand
	config.DNS.Servers = f.clusterDNS
	taint, err := parseTaint(f.taint)
	config.Taint = taint
	if err := errors.Join(append(errs, err)...); err != nil {
		return err
	}
	return f.connect(ctx, config)
}

func parseTaint(text string) (*corev1.Taint, error) {
	if text == "" {
		return nil, nil
	}
	rest, effect, ok := strings.Cut(text, ":")
	key, value, _ := strings.Cut(rest, "=")
	switch e := corev1.TaintEffect(effect); {
	case ok && key != "" && (e == corev1.TaintEffectNoSchedule || e == corev1.TaintEffectPreferNoSchedule || e == corev1.TaintEffectNoExecute):
		return &corev1.Taint{Key: key, Value: value, Effect: e}, nil
	}
	return nil, fmt.Errorf("--node-taint %q is not KEY=VALUE:EFFECT with effect NoSchedule, PreferNoSchedule or NoExecute", text)
}

// connectLimit is how long the API server may take to answer the first question.
const connectLimit = 15 * time.Second

// connect reads the kubeconfig and asks the API server once, so that a stale one is told at the start.
func (f *bridgeFlags) connect(ctx context.Context, config *bridge.Config) error {
	klog.SetSlogLogger(config.Log.With("part", "client-go")) // Kubernetes's libraries log as we do
	source := f.kubeconfig
	if source == "" {
		source = os.Getenv(clientcmd.RecommendedConfigPathEnvVar)
	}
	restConfig, err := rest.InClusterConfig()
	if source != "" {
		if _, missing := os.Stat(source); missing != nil {
			return fmt.Errorf("--kubeconfig: %w", missing)
		}
		restConfig, err = clientcmd.BuildConfigFromFlags("", source)
	}
	if err != nil {
		if source == "" {
			return errors.New("no cluster: give --kubeconfig FILE, or run the bridge in a pod")
		}
		return fmt.Errorf("kubeconfig %s: %w", source, err)
	}
	restConfig.QPS, restConfig.Burst = f.qps, int(2*f.qps)
	restConfig.UserAgent = "tombolo-bridge/" + version
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return fmt.Errorf("kubeconfig %s: %w", source, err)
	}
	limit, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	if _, err := client.Discovery().RESTClient().Get().AbsPath("/version").DoRaw(limit); err != nil {
		return fmt.Errorf("the API server %s of kubeconfig %q does not answer as it should: %w (is the kubeconfig stale?)", restConfig.Host, source, err)
	}
	config.Client = client
	if config.Address == "" {
		config.Address, err = addressTowards(restConfig)
	}
	return err
}

// addressTowards is this host's address on the way to the API server.
func addressTowards(c *rest.Config) (string, error) {
	url, _, err := rest.DefaultServerUrlFor(c)
	if err != nil {
		return "", fmt.Errorf("address of the API server: %w", err)
	}
	host := url.Host
	if url.Port() == "" {
		host = net.JoinHostPort(url.Hostname(), "443")
	}
	conn, err := net.Dial("udp", host) // asks the routing table, sends nothing
	if err != nil {
		return "", fmt.Errorf("find this host's address towards %s: %w; give --address", host, err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String(), nil
}
