// Command tombolo-sim lives many seeds of a simulated datacenter and tells of those
// in which an invariant did not hold. With -seed it lives one, and prints its trace.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tombolo-project/tombolo/internal/sim"
)

func main() {
	seed := flag.Uint64("seed", 0, "live only this seed, and print its trace")
	first := flag.Uint64("first", 1, "the first seed")
	seeds := flag.Uint64("seeds", 10_000, "how many seeds")
	parallel := flag.Int("parallel", runtime.NumCPU(), "how many at once")
	twice := flag.Bool("twice", false, "live each seed twice and compare the traces")
	without := flag.String("without", "", "with -seed: kinds of faults that do not happen, separated by commas")
	floor := flag.Int("floor", 0, "fail when a kind of fault happened less often")
	lines := flag.Int("lines", 200, "how many lines of a trace to print, from its end")
	flag.Parse()
	if *seed != 0 {
		os.Exit(one(*seed, *without, *lines))
	}
	os.Exit(many(*first, *seeds, *parallel, *twice, *floor, *lines))
}

// one prints the trace of a seed.
func one(seed uint64, names string, lines int) int {
	without := map[sim.Fault]bool{}
	for _, name := range strings.FieldsFunc(names, func(r rune) bool { return r == ',' }) {
		f, ok := sim.FaultNamed(name)
		if !ok {
			fmt.Fprintf(os.Stderr, "no kind of fault is called %q\n", name)
			return 2
		}
		without[f] = true
	}
	r := sim.Run(sim.Options{Seed: seed, Without: without, Trace: true})
	for _, l := range r.Trace[max(0, len(r.Trace)-lines):] {
		fmt.Println(l)
	}
	fmt.Printf("seed %d: %d events, %d tasks, %s simulated, trace %016x\n", seed, r.Events, r.Tasks, r.Simulated.Truncate(time.Second), r.Hash)
	if r.Violation != nil {
		fmt.Println("VIOLATION", r.Violation)
		return 1
	}
	return 0
}

func many(first, seeds uint64, parallel int, twice bool, floor, lines int) int {
	begin, last, failed := time.Now(), time.Now(), 0
	b := sim.RunBatch(first, seeds, parallel, twice, func(b *sim.Batch) {
		for ; failed < len(b.Failed); failed++ {
			fmt.Printf("seed %d: %s\n", b.Failed[failed].Seed, b.Failed[failed].Violation)
		}
		if time.Since(last) > 10*time.Second {
			last = time.Now()
			fmt.Printf("%d of %d seeds, %d events, %d violations, %s\n", b.Seeds, seeds, b.Events, len(b.Failed), time.Since(begin).Truncate(time.Second))
		}
	})
	for _, r := range b.Failed {
		fmt.Println(sim.Explain(r, lines))
	}
	code := 0
	if len(b.Failed) > 0 {
		code = 1
	}
	fmt.Printf("\n%d seeds: %d violations; %d events, %d tasks, %s of a datacenter's life in %s\n", b.Seeds, len(b.Failed), b.Events, b.Tasks,
		b.Simulated.Truncate(time.Hour), time.Since(begin).Truncate(time.Second))
	if n := len(b.Converged); n > 0 {
		slices.Sort(b.Converged)
		fmt.Printf("from the last fault to rest: p50 %s, p99 %s, longest %s\n", b.Converged[n/2].Truncate(time.Second),
			b.Converged[n*99/100].Truncate(time.Second), b.Converged[n-1].Truncate(time.Second))
	}
	for f, n := range b.Faults {
		low := ""
		if n < floor {
			low, code = "  too few", 1
		}
		fmt.Printf("  %-24s %8d%s\n", sim.Fault(f), n, low)
	}
	for _, r := range b.Failed {
		fmt.Printf("seed %d: %s\n", r.Seed, r.Violation)
	}
	return code
}
