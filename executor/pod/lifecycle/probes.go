package lifecycle

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// ProbeKind is what a probe is for.
type ProbeKind int

// The three probes of a container.
const (
	Startup ProbeKind = iota
	Liveness
	Readiness
)

// String is the probe's name as Kubernetes writes it.
func (k ProbeKind) String() string { return [...]string{"Startup", "Liveness", "Readiness"}[k] }

// Lower is the name within a sentence.
func (k ProbeKind) Lower() string { return strings.ToLower(k.String()) }

// Probe is the container's probe of this kind, nil if it has none.
func (k ProbeKind) Probe(c *corev1.Container) *corev1.Probe {
	switch k {
	case Startup:
		return c.StartupProbe
	case Liveness:
		return c.LivenessProbe
	default:
		return c.ReadinessProbe
	}
}

// probes is what the probes of a running instance have found.
type probes struct {
	streak [3]int  // consecutive equal results
	last   [3]bool // the result of the streak
	// started: no startup probe, or it has succeeded. ready: no readiness probe, or it has succeeded.
	started, ready bool
	// kill is the probe that condemned the instance.
	kill *ProbeKind
}

func (p *probes) reset(spec *corev1.Container) {
	*p = probes{started: spec.StartupProbe == nil, ready: spec.ReadinessProbe == nil}
}

func (p *probes) stop() { p.ready = false }

// Wanted says whether a probe of this kind should run on the container's instance now: liveness and readiness wait for
// startup, startup ends with its first success.
func (m *Machine) Wanted(name string, kind ProbeKind) bool {
	c := m.byName[name]
	if c == nil || c.current == nil || c.current.State != Running || kind.Probe(c.spec) == nil {
		return false
	}
	if c.init && !c.sidecar {
		return false
	}
	return c.probes.started != (kind == Startup)
}

// Probed takes in one result of a probe of an instance. Results of other instances are ignored.
func (m *Machine) Probed(name, instance string, kind ProbeKind, success bool) {
	c := m.byName[name]
	if c == nil || c.current == nil || c.current.ID != instance || !m.Wanted(name, kind) {
		return
	}
	spec, p := kind.Probe(c.spec), &c.probes
	if p.streak[kind] > 0 && p.last[kind] == success {
		p.streak[kind]++
	} else {
		p.streak[kind], p.last[kind] = 1, success
	}
	switch {
	case success && p.streak[kind] >= atLeast(spec.SuccessThreshold, 1):
		switch kind {
		case Startup:
			p.started = true
		case Readiness:
			p.ready = true
		case Liveness:
		}
	case !success && p.streak[kind] >= atLeast(spec.FailureThreshold, 3):
		if kind == Readiness {
			p.ready = false
		} else {
			p.kill = &kind
		}
	}
}

// atLeast is a threshold of a probe with its default.
func atLeast(threshold, otherwise int32) int {
	if threshold < 1 {
		return int(otherwise)
	}
	return int(threshold)
}
