package api

import (
	"math"
	"sort"
	"sync"
	"sync/atomic"
	"time"
)

// maxSamples is how many of the last durations a Timing keeps.
const maxSamples = 1000

// Timing keeps how long something took lately. It is safe for concurrent use.
type Timing struct {
	mu      sync.Mutex // protects the fields below
	samples []time.Duration
	next    int // where the next sample goes once there are maxSamples
	count   uint64
}

// Observe adds one duration.
func (t *Timing) Observe(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count++
	if len(t.samples) < maxSamples {
		t.samples = append(t.samples, d)
		return
	}
	t.samples[t.next] = d
	t.next = (t.next + 1) % maxSamples
}

// into writes the statistics under name as Mesos does: the last value, and
// count, min, max and percentiles below it (reference appendix C). Nothing is
// written before the first sample.
func (t *Timing) into(m map[string]float64, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.count == 0 {
		return
	}
	last := len(t.samples) - 1
	if len(t.samples) == maxSamples {
		last = (t.next + maxSamples - 1) % maxSamples
	}
	m[name] = milliseconds(t.samples[last])
	m[name+"/count"] = float64(t.count)
	sorted := append([]time.Duration(nil), t.samples...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i] < sorted[j] })
	m[name+"/min"], m[name+"/max"] = milliseconds(sorted[0]), milliseconds(sorted[len(sorted)-1])
	for suffix, p := range map[string]float64{"p50": .5, "p90": .9, "p95": .95, "p99": .99, "p999": .999, "p9999": .9999} {
		m[name+"/"+suffix] = milliseconds(sorted[int(math.Ceil(p*float64(len(sorted))))-1])
	}
}

// last writes only the last value.
func (t *Timing) last(m map[string]float64, name string) {
	all := map[string]float64{}
	t.into(all, name)
	if v, ok := all[name]; ok {
		m[name] = v
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Meters are the timings the master keeps.
type Meters struct {
	Allocation        Timing // one allocation run, with what else was due
	AllocationLatency Timing // from when a run was due to its start
	RegistryFetch     Timing
	RegistryStore     Timing
	QueuedWrites      atomic.Int64 // changes of the registry that wait
}
