package bridge

import (
	"context"
	"fmt"
	"time"

	dto "github.com/prometheus/client_model/go"
	stats "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/tombolo-project/tombolo/virtualnode/podapi"
)

const statsLimit = 10 * time.Second

// summary is the node's /stats/summary. Without an executor there are no pods, and nothing is known of the node.
func (n nodeAPI) summary(ctx context.Context) (*stats.Summary, error) {
	encoded := n.endpoint(n.node)
	if encoded == "" {
		return &stats.Summary{Node: stats.NodeStats{NodeName: n.node}, Pods: []stats.PodStats{}}, nil
	}
	client, err := n.executor(encoded)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, statsLimit)
	defer cancel()
	response, err := client.Stats(ctx, &podapi.StatsRequest{})
	if err != nil {
		return nil, fmt.Errorf("statistics of node %s: %w", n.node, explain(err))
	}
	summary := response.Summary
	summary.Node.NodeName = n.node
	if summary.Pods == nil {
		summary.Pods = []stats.PodStats{}
	}
	return &summary, nil
}

// metrics is the node's /metrics/resource, from which `kubectl top` and autoscalers live.
func (n nodeAPI) metrics(ctx context.Context) ([]*dto.MetricFamily, error) {
	summary, err := n.summary(ctx)
	if err != nil {
		return resourceMetrics(&stats.Summary{}, true), nil //nolint:nilerr // the scrape error is a metric of its own
	}
	return resourceMetrics(summary, false), nil
}

// family collects the samples of one metric.
type family struct {
	name, help string
	kind       dto.MetricType
	samples    []*dto.Metric
}

func (f *family) add(value float64, at time.Time, labels ...string) {
	m := &dto.Metric{}
	for i := 0; i+1 < len(labels); i += 2 {
		m.Label = append(m.Label, &dto.LabelPair{Name: &labels[i], Value: &labels[i+1]})
	}
	if !at.IsZero() {
		millis := at.UnixMilli()
		m.TimestampMs = &millis
	}
	if f.kind == dto.MetricType_COUNTER {
		m.Counter = &dto.Counter{Value: &value}
	} else {
		m.Gauge = &dto.Gauge{Value: &value}
	}
	f.samples = append(f.samples, m)
}

func (f *family) cpu(c *stats.CPUStats, labels ...string) {
	if c != nil && c.UsageCoreNanoSeconds != nil {
		f.add(float64(*c.UsageCoreNanoSeconds)/float64(time.Second), c.Time.Time, labels...)
	}
}

func (f *family) memory(m *stats.MemoryStats, labels ...string) {
	if m != nil && m.WorkingSetBytes != nil {
		f.add(float64(*m.WorkingSetBytes), m.Time.Time, labels...)
	}
}

// resourceMetrics writes a summary in the metrics of a kubelet's /metrics/resource.
func resourceMetrics(s *stats.Summary, failed bool) []*dto.MetricFamily {
	counter, gauge := dto.MetricType_COUNTER, dto.MetricType_GAUGE
	nodeCPU := &family{name: "node_cpu_usage_seconds_total", help: "Cumulative cpu time consumed by the node in core-seconds", kind: counter}
	nodeMemory := &family{name: "node_memory_working_set_bytes", help: "Current working set of the node in bytes", kind: gauge}
	podCPU := &family{name: "pod_cpu_usage_seconds_total", help: "Cumulative cpu time consumed by the pod in core-seconds", kind: counter}
	podMemory := &family{name: "pod_memory_working_set_bytes", help: "Current working set of the pod in bytes", kind: gauge}
	cpu := &family{name: "container_cpu_usage_seconds_total", help: "Cumulative cpu time consumed by the container in core-seconds", kind: counter}
	memory := &family{name: "container_memory_working_set_bytes", help: "Current working set of the container in bytes", kind: gauge}
	start := &family{name: "container_start_time_seconds", help: "Start time of the container since unix epoch in seconds", kind: gauge}
	scrape := &family{name: "resource_scrape_error", help: "1 if there was an error while getting container metrics, 0 otherwise", kind: gauge}

	nodeCPU.cpu(s.Node.CPU)
	nodeMemory.memory(s.Node.Memory)
	for i := range s.Pods {
		pod := &s.Pods[i]
		of := []string{"namespace", pod.PodRef.Namespace, "pod", pod.PodRef.Name}
		podCPU.cpu(pod.CPU, of...)
		podMemory.memory(pod.Memory, of...)
		for j := range pod.Containers {
			c := &pod.Containers[j]
			of := []string{"container", c.Name, "namespace", pod.PodRef.Namespace, "pod", pod.PodRef.Name}
			cpu.cpu(c.CPU, of...)
			memory.memory(c.Memory, of...)
			if !c.StartTime.IsZero() {
				start.add(float64(c.StartTime.UnixNano())/float64(time.Second), time.Time{}, of...)
			}
		}
	}
	scrape.add(map[bool]float64{true: 1}[failed], time.Time{})
	var families []*dto.MetricFamily
	for _, f := range []*family{cpu, memory, start, nodeCPU, nodeMemory, podCPU, podMemory, scrape} {
		if len(f.samples) > 0 {
			families = append(families, &dto.MetricFamily{Name: &f.name, Help: &f.help, Type: &f.kind, Metric: f.samples})
		}
	}
	return families
}
