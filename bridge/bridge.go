package bridge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/tools/reference"

	"github.com/tombolo-project/tombolo/bridge/core"
	"github.com/tombolo-project/tombolo/frameworks/session"
	"github.com/tombolo-project/tombolo/virtualnode"
	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

// Config is how a bridge is run. DefaultConfig has the values that can be defaulted.
type Config struct {
	// Master is "host:port[,host:port...]" of the Mesos masters.
	Master string
	// Client is the Kubernetes cluster.
	Client kubernetes.Interface
	// Name, User, Role and Principal are the framework's in Mesos.
	Name, User, Role, Principal string
	// HTTP shows the masters what proves the principal; nil: nothing is shown. TLS says that they speak TLS.
	HTTP *http.Client
	TLS  bool
	// Namespace keeps the bridge's own objects.
	Namespace string
	// Address is at which the API server reaches the bridge; not a loopback address, which API servers refuse.
	Address string
	// ClientCAFile is the authority of the API server's client certificate for kubelets; empty: tokens only.
	ClientCAFile string
	// Executor is how agents start the pod executor; Role and Data are filled in here.
	Executor virtualnode.Executor
	// Headroom is how much to hold for pods to come.
	Headroom virtualnode.Amounts
	// PendingTimeout is how long a bound pod may wait for its node's resources.
	PendingTimeout time.Duration
	// NodePrefix stands before every node's name.
	NodePrefix string
	// MaxPods is each node's pod capacity.
	MaxPods int
	// Taint is put on every node; nil: none.
	Taint *corev1.Taint
	// DNS is the cluster's name service for pods with dnsPolicy ClusterFirst.
	DNS podapi.ClusterDNS
	// MetricsAddress serves /metrics and /healthz; empty: not served.
	MetricsAddress string
	Log            *slog.Logger
}

// DefaultConfig has the defaults.
func DefaultConfig() Config {
	return Config{
		Name: "kubernetes", User: "root", Role: "kubernetes", Namespace: "kube-system", PendingTimeout: 5 * time.Minute, MaxPods: 110,
		Executor: virtualnode.Executor{
			Command: "tombolo-pod-executor",
			// The executor itself is small; what its containers' shims take lies with the runtime.
			Resources: virtualnode.Amounts{CPU: 100, Memory: 64_000},
			// Longer than most grace periods: it ends when its last pod has.
			ShutdownGrace: time.Minute,
		},
	}
}

// check refuses what can't work, all problems at once.
func (c *Config) check() error {
	var errs []error
	add := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	add(c.Master != "", "the master is not given: host:port")
	add(c.Address != "", "the address at which the API server reaches this bridge is not given")
	if ip := net.ParseIP(c.Address); ip != nil {
		add(!ip.IsLoopback() && !ip.IsUnspecified(), "address %s is not one that the API server can dial: it refuses loopback addresses", c.Address)
	}
	add(c.Role != "", "the role is empty")
	add(c.Namespace != "", "the namespace is empty")
	add(c.Executor.Command != "", "the executor's command is empty")
	add(c.PendingTimeout > 0, "the pending timeout %v is not positive", c.PendingTimeout)
	add(c.MaxPods > 0, "the pods of a node, %d, are not positive", c.MaxPods)
	return errors.Join(errs...)
}

// mailbox is how many events may wait for the owner; beyond that whoever brings one waits.
const mailbox = 1 << 12

// message is an event for the owner, or a question that it answers between two events.
type message struct {
	event core.Event
	ask   func(*core.State)
	asked chan struct{}
}

// Bridge is one run of the bridge.
type Bridge struct {
	config    Config
	client    kubernetes.Interface
	log       *slog.Logger
	store     store
	session   *session.Session
	writer    *writer
	nodes     *nodes
	bundles   *bundles
	executors *executors
	recorder  record.EventRecorder              // the bridge's own
	kubelet   func(string) record.EventRecorder // of a node
	metrics   *metrics
	agentsDue chan struct{}
	inbox     chan message
	ctx       context.Context // of Run
	group     sync.WaitGroup
}

// Run runs a bridge until ctx ends, which returns nil, or it can't go on. Pods keep running.
func Run(ctx context.Context, config Config) error {
	if err := config.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &Bridge{
		config: config, client: config.Client, log: config.Log, ctx: ctx,
		store:     store{client: config.Client, namespace: config.Namespace},
		agentsDue: make(chan struct{}, 1),
		inbox:     make(chan message, mailbox),
	}
	defer b.group.Wait()
	defer cancel()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	return b.run(ctx, cancel)
}

// prepare reads what was kept and builds the parts; nothing runs yet.
func (b *Bridge) prepare(ctx context.Context) error {
	authority, err := b.store.authority(ctx)
	if err != nil {
		return err
	}
	id, err := b.store.framework(ctx)
	if err != nil {
		return err
	}
	certificate, err := authority.ClientCertificate()
	if err != nil {
		return err
	}
	ca, _, err := authority.PEM()
	if err != nil {
		return err
	}
	b.config.Executor.Role = b.config.Role
	b.config.Executor.Data = podapi.Encode(podapi.ExecutorData{BridgeCA: string(ca)})
	if b.session, err = session.New(session.Config{
		Master: b.config.Master, Framework: frameworkInfo(b.config, id), Handler: &handler{bridge: b, log: b.log}, Log: b.log,
		HTTP: b.config.HTTP, TLS: b.config.TLS,
	}); err != nil {
		return err
	}
	b.metrics = newMetrics()
	b.executors = &executors{certificate: certificate, clients: map[podapi.Endpoint]*podapi.Client{}}
	b.writer = newWriter(b.client, b.log, b.session.Acknowledge, b.post)
	return b.prepareKubelets()
}

func (b *Bridge) prepareKubelets() error {
	serving, err := servingCertificate(b.config.Address)
	if err != nil {
		return err
	}
	guard, err := newGuard(b.client, b.config.ClientCAFile, b.log)
	if err != nil {
		return err
	}
	kubelets := &kubelets{
		address: b.config.Address, certificate: serving, guard: guard, dial: b.executors, log: b.log,
		locate: b.locate, pods: b.podsOn, endpoint: b.endpoint,
	}
	b.nodes = &nodes{
		client: b.client, log: b.log, post: b.post, tell: b.tellNode, serve: kubelets.serve, ctx: b.ctx, group: &b.group, shown: map[string]*shownNode{},
	}
	return nil
}

// run starts everything in the order that restarts demand: nodes and pods are known before the master is asked, and the
// master has answered before anything is launched.
func (b *Bridge) run(ctx context.Context, cancel context.CancelFunc) error {
	known, err := knownNodes(ctx, b.client, b.config.Namespace)
	if err != nil {
		return err
	}
	if err := b.startKubernetes(ctx); err != nil {
		return err
	}
	b.group.Go(func() { b.own(ctx) })
	b.group.Go(func() { b.writer.run(ctx) })
	b.group.Go(func() { b.tick(ctx) })
	b.post(known)
	if err := b.watchPods(ctx); err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	b.log.Info("pods and nodes are known", "nodes", len(known.Ours))
	if b.config.MetricsAddress != "" {
		if err := b.serveMetrics(ctx); err != nil {
			return err
		}
	}
	b.group.Go(func() { b.watchAgents(ctx) })
	err = b.session.Run(ctx)
	if removed(err) {
		forget, done := context.WithTimeout(context.WithoutCancel(ctx), nodeLimit)
		defer done()
		if kept := b.store.keepFramework(forget, ""); kept != nil {
			return errors.Join(err, kept)
		}
		return fmt.Errorf("%w; its id is forgotten, so the next start registers a new framework", err)
	}
	cancel()
	return err
}

// startKubernetes starts the events' recorder and the informer of services.
func (b *Bridge) startKubernetes(ctx context.Context) error {
	broadcaster := record.NewBroadcaster(record.WithContext(ctx))
	broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: b.client.CoreV1().Events("")})
	b.recorder = broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "tombolo-bridge"})
	b.kubelet = func(node string) record.EventRecorder {
		return broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "kubelet", Host: node})
	}
	context.AfterFunc(ctx, broadcaster.Shutdown)

	factory := informers.NewSharedInformerFactory(b.client, 0)
	services := factory.Core().V1().Services()
	lister := services.Lister()
	synced := services.Informer().HasSynced
	factory.Start(ctx.Done())
	context.AfterFunc(ctx, factory.Shutdown)
	b.bundles = &bundles{
		resolver: &resolver{client: b.client, services: lister, dns: b.config.DNS, node: b.nodes.object},
		dial:     b.executors, log: b.log, recorder: b.recorder, ctx: ctx, group: &b.group, going: map[string]*delivery{},
	}
	limit := time.After(time.Minute)
	for !synced() {
		select {
		case <-ctx.Done():
			return nil
		case <-limit:
			return errors.New("the cluster's services can't be listed: is this bridge allowed to list and watch them?")
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}

// post brings an event to the owner; it waits while the mailbox is full.
func (b *Bridge) post(event core.Event) {
	select {
	case b.inbox <- message{event: event}:
	case <-b.ctx.Done():
	}
}

// query runs a question on the state; the question must not keep what it sees. Never to be called by the owner.
func (b *Bridge) query(ask func(*core.State)) {
	asked := make(chan struct{})
	select {
	case b.inbox <- message{ask: ask, asked: asked}:
	case <-b.ctx.Done():
		return
	}
	select {
	case <-asked:
	case <-b.ctx.Done():
	}
}

func (b *Bridge) tick(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			b.post(core.Tick{})
		}
	}
}

// own is the one goroutine that touches the state.
func (b *Bridge) own(ctx context.Context) {
	state := core.New(core.Config{
		Executor: b.config.Executor, Headroom: b.config.Headroom, PendingTimeout: b.config.PendingTimeout,
		NodePrefix: b.config.NodePrefix, Bridge: b.config.Namespace, MaxPods: b.config.MaxPods, Architecture: runtime.GOARCH, Taint: b.config.Taint,
	})
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-b.inbox:
			if m.ask != nil {
				m.ask(state)
				close(m.asked)
				continue
			}
			for _, effect := range state.Step(time.Now(), m.event) {
				b.carryOut(effect)
			}
			if _, tick := m.event.(core.Tick); tick {
				b.metrics.state(state.Count())
				b.retainExecutors(state)
			}
		}
	}
}

// carryOut hands an effect to the part that does it; none of them blocks.
func (b *Bridge) carryOut(effect core.Effect) {
	switch e := effect.(type) {
	case core.KeepFramework:
		b.group.Go(func() { b.keepFramework(e.ID.Value) })
	case core.Accept:
		b.metrics.launched.Add(float64(len(e.Tasks)))
		b.log.Info("launching pods", "tasks", len(e.Tasks), "agent_id", e.Tasks[0].AgentID.Value)
		b.session.Accept(e.Offers, []mesos.Offer_Operation{{
			Type: mesos.Offer_Operation_LAUNCH, Launch: &mesos.Offer_Operation_Launch{TaskInfos: e.Tasks},
		}}, e.Refuse)
	case core.Decline:
		b.session.Decline(e.Offers, e.Refuse)
	case core.Revive:
		b.session.Revive()
	case core.Suppress:
		b.session.Suppress()
	case core.Kill:
		b.session.Kill(e.Task, e.Agent, e.Grace)
	case core.Acknowledge:
		b.session.Acknowledge(e.Status)
	case core.WriteStatus:
		b.writer.status(e)
	case core.Delete:
		b.writer.remove(e)
	case core.KeepAttempt:
		b.writer.attempt(e)
	case core.Deliver:
		b.bundles.deliver(e)
	case core.Forget:
		b.bundles.forget(e.TaskID)
	case core.Discard:
		b.bundles.discard(e)
	case core.Tell:
		b.tell(e)
	case core.ShowNode:
		b.nodes.show(e)
	case core.RemoveNode:
		b.nodes.remove(e.Name)
	}
}

// tell records an event; that never blocks.
func (b *Bridge) tell(e core.Tell) {
	kind, recorder := corev1.EventTypeNormal, b.recorder
	if e.Warning {
		kind = corev1.EventTypeWarning
	}
	if e.Node != "" {
		recorder = b.kubelet(e.Node)
	}
	part, err := reference.GetPartialReference(scheme.Scheme, e.Pod, e.FieldPath)
	if err != nil {
		b.log.Error("event not recorded", "namespace", e.Pod.Namespace, "pod", e.Pod.Name, "error", err)
		return
	}
	recorder.Event(part, kind, e.Reason, e.Message)
}

// tellNode records an event of a node, under the name as UID, as a kubelet does.
func (b *Bridge) tellNode(node, reason, message string) {
	b.kubelet(node).Event(&corev1.ObjectReference{Kind: "Node", APIVersion: "v1", Name: node, UID: types.UID(node)}, corev1.EventTypeNormal, reason, message)
}

// keepFramework writes the framework's id until it is kept: nothing is launched before.
func (b *Bridge) keepFramework(id string) {
	for pause := retryFirst; ; pause = min(2*pause, retryMax) {
		err := b.store.keepFramework(b.ctx, id)
		if err == nil {
			b.post(core.FrameworkKept{})
			return
		}
		b.log.Error("nothing is launched before the framework's id is kept", "error", err)
		select {
		case <-b.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (b *Bridge) locate(node, namespace, pod string) (located core.Located, ok bool) {
	b.query(func(s *core.State) { located, ok = s.Locate(node, namespace, pod) })
	return located, ok
}

func (b *Bridge) podsOn(node string) (pods []*corev1.Pod) {
	b.query(func(s *core.State) { pods = s.PodsOn(node) })
	return pods
}

func (b *Bridge) endpoint(node string) (endpoint string) {
	b.query(func(s *core.State) { endpoint = s.Endpoint(node) })
	return endpoint
}

// retainExecutors closes connections to executors that no node has any more.
func (b *Bridge) retainExecutors(state *core.State) {
	live := map[podapi.Endpoint]bool{}
	for _, name := range state.NodeNames() {
		if encoded := state.Endpoint(name); encoded != "" {
			if endpoint, err := podapi.Decode[podapi.Endpoint]([]byte(encoded)); err == nil {
				live[endpoint] = true
			}
		}
	}
	b.executors.retain(live)
}
