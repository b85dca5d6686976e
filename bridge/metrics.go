package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tombolo-project/tombolo/bridge/core"
)

// metrics are the bridge's figures.
type metrics struct {
	registry *prometheus.Registry
	pods     *prometheus.GaugeVec
	nodes    prometheus.Gauge
	offers   prometheus.Gauge
	launched prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		pods:     prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "tombolo_bridge_pods", Help: "Pods bound to the bridge's nodes, by stage."}, []string{"stage"}),
		nodes:    prometheus.NewGauge(prometheus.GaugeOpts{Name: "tombolo_bridge_nodes", Help: "Mesos agents shown as nodes."}),
		offers:   prometheus.NewGauge(prometheus.GaugeOpts{Name: "tombolo_bridge_offers_held", Help: "Offers that the bridge holds."}),
		launched: prometheus.NewCounter(prometheus.CounterOpts{Name: "tombolo_bridge_launches_total", Help: "Tasks launched for pods."}),
	}
	m.registry.MustRegister(m.pods, m.nodes, m.offers, m.launched)
	return m
}

func (m *metrics) state(c core.Counts) {
	m.nodes.Set(float64(c.Nodes))
	m.offers.Set(float64(c.Offers))
	for stage, count := range map[string]int{"unknown": c.Unknown, "waiting": c.Waiting, "launched": c.Launched, "ended": c.Ended} {
		m.pods.WithLabelValues(stage).Set(float64(count))
	}
}

// healthLimit is how long the owner may take to answer before the bridge counts as stuck.
const healthLimit = 5 * time.Second

// serveMetrics serves /metrics and /healthz until ctx ends. Healthy means that the owner takes questions.
func (b *Bridge) serveMetrics(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", b.config.MetricsAddress)
	if err != nil {
		return fmt.Errorf("serve metrics at %s: %w", b.config.MetricsAddress, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(b.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answered := make(chan struct{})
		go func() {
			b.query(func(*core.State) {})
			close(answered)
		}()
		select {
		case <-answered:
			_, _ = w.Write([]byte("ok")) // a client that is gone needs no answer
		case <-time.After(healthLimit):
			http.Error(w, "the bridge's owner does not answer", http.StatusServiceUnavailable)
		}
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: headerLimit}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			b.log.Error("metrics ended", "error", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() }) // nothing to save
	return nil
}
