package sim

import (
	"flag"
	"fmt"
	"strings"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run only this seed, and print its trace when it fails")
	seeds = flag.Uint64("seeds", 60, "how many seeds to run")
	lines = flag.Int("lines", 150, "how many lines of a trace to print")
	first = flag.Uint64("first", 1, "the first of them")
)

// report fails the test with what reruns the seed.
func report(t *testing.T, r Result) {
	t.Helper()
	if r.Violation == nil {
		return
	}
	again := Run(Options{Seed: r.Seed, Trace: true})
	tail := again.Trace
	if len(tail) > *lines {
		tail = tail[len(tail)-*lines:]
	}
	t.Errorf("seed %d after %d events: %s\n%s\nagain: go test ./internal/sim -run Sim -seed=%d", r.Seed, r.Events, r.Violation, strings.Join(tail, "\n"), r.Seed)
}

func TestSim(t *testing.T) {
	from, to := *first, *first+*seeds
	if *seed != 0 {
		from, to = *seed, *seed+1
	}
	var total Counts
	events, tasks := 0, 0
	for s := from; s < to; s++ {
		r := Run(Options{Seed: s})
		events += r.Events
		tasks += r.Tasks
		for k, n := range r.Faults {
			total[k] += n
		}
		report(t, r)
	}
	var b strings.Builder
	for k, n := range total {
		fmt.Fprintf(&b, " %s %d", Fault(k), n)
	}
	t.Logf("%d seeds, %d events, %d tasks;%s", to-from, events, tasks, b.String())
}

// The same seed gives the same trace: nothing in the cores depends on the order of a map.
func TestDeterminism(t *testing.T) {
	for s := *first; s < *first+min(*seeds, 20); s++ {
		one, two := Run(Options{Seed: s}), Run(Options{Seed: s})
		if one.Hash != two.Hash || one.Events != two.Events {
			t.Errorf("seed %d gives two traces: %x after %d events, %x after %d", s, one.Hash, one.Events, two.Hash, two.Events)
		}
	}
}
