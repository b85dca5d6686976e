package sim

import (
	"flag"
	"runtime"
	"testing"
)

var (
	seed  = flag.Uint64("seed", 0, "run only this seed, and print its trace when it fails")
	seeds = flag.Uint64("seeds", 400, "how many seeds to run")
	first = flag.Uint64("first", 1, "the first of them")
	lines = flag.Int("lines", 150, "how many lines of a trace to print; 0: only what was broken")
)

// Every seed comes to rest with no invariant broken on the way. `make sim` runs many more.
func TestSim(t *testing.T) {
	from, n := *first, *seeds
	if *seed != 0 {
		from, n = *seed, 1
	}
	b := RunBatch(from, n, runtime.NumCPU(), false, nil)
	for _, r := range b.Failed[:min(3, len(b.Failed), *lines)] {
		t.Error(Explain(r, *lines))
	}
	for _, r := range b.Failed {
		t.Errorf("seed %d: %s", r.Seed, r.Violation)
	}
	t.Logf("%d seeds, %d events, %d tasks", b.Seeds, b.Events, b.Tasks)
	for k, count := range b.Faults {
		t.Logf("%s %d", Fault(k), count)
		if n >= 200 && count == 0 {
			t.Errorf("no %s happened: the run shows less than it says", Fault(k))
		}
	}
}

// The same seed gives the same trace: nothing in the cores depends on the order of a map.
func TestDeterminism(t *testing.T) {
	b := RunBatch(*first, min(*seeds, 40), runtime.NumCPU(), true, nil)
	for _, r := range b.Failed {
		t.Errorf("seed %d: %s", r.Seed, r.Violation)
	}
}
