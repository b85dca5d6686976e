package sim

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Batch is what came of many seeds.
type Batch struct {
	Seeds, Events, Tasks int
	Simulated            time.Duration
	Faults               Counts
	Converged            []time.Duration // of each seed that came to rest
	Failed               []Result        // by seed; at most maxFailed
}

// maxFailed bounds what a batch keeps of failures: the first tell enough.
const maxFailed = 20

// RunBatch runs seeds first to first+n-1, so many at once, and every one twice when
// twice is set: a second run with another trace is a failure. done is called after
// each, never by two at once.
func RunBatch(first, n uint64, parallel int, twice bool, done func(*Batch)) *Batch {
	b := &Batch{}
	var mu sync.Mutex // guards b
	var workers sync.WaitGroup
	seeds := make(chan uint64)
	for range parallel {
		workers.Go(func() {
			for s := range seeds {
				r := Run(Options{Seed: s})
				if twice && r.Violation == nil {
					if again := Run(Options{Seed: s}); again.Hash != r.Hash || again.Events != r.Events {
						r.Violation = &Violation{"determinism", fmt.Sprintf("two runs give two traces: %x after %d events, %x after %d", r.Hash, r.Events, again.Hash, again.Events)}
					}
				}
				mu.Lock()
				b.add(r)
				if done != nil {
					done(b)
				}
				mu.Unlock()
			}
		})
	}
	for s := first; s < first+n && !b.full(&mu); s++ {
		seeds <- s
	}
	close(seeds)
	workers.Wait()
	return b
}

// full says that there is enough to look into: more seeds would tell nothing new.
func (b *Batch) full(mu *sync.Mutex) bool {
	mu.Lock()
	defer mu.Unlock()
	return len(b.Failed) >= maxFailed
}

func (b *Batch) add(r Result) {
	b.Seeds++
	b.Events += r.Events
	b.Tasks += r.Tasks
	b.Simulated += r.Simulated
	for k, n := range r.Faults {
		b.Faults[k] += n
	}
	if r.Violation == nil {
		b.Converged = append(b.Converged, r.Converged)
	} else if len(b.Failed) < maxFailed {
		b.Failed = append(b.Failed, r)
	}
}

// Explain runs a failed seed again and says what happened, in at most so many lines
// of its trace, and how to run it again.
func Explain(r Result, lines int) string {
	again := Run(Options{Seed: r.Seed, Trace: true})
	tail := again.Trace
	if len(tail) > lines {
		tail = tail[len(tail)-lines:]
	}
	var b strings.Builder
	for _, l := range tail {
		b.WriteString(l + "\n")
	}
	fmt.Fprintf(&b, "seed %d after %d events: %s\n", r.Seed, r.Events, r.Violation)
	if without := needless(r); len(without) > 0 {
		fmt.Fprintf(&b, "it happens, too, without %s\n", strings.Join(without, ","))
	}
	fmt.Fprintf(&b, "run it again: go run ./internal/sim/tombolo-sim -seed %d\n", r.Seed)
	return b.String()
}

// needless names the kinds of faults that a failure of the same invariant does not
// need, all left out together.
func needless(r Result) []string {
	without := map[Fault]bool{}
	var names []string
	for f := range faultKinds {
		without[f] = true
		v := Run(Options{Seed: r.Seed, Without: without}).Violation
		if v != nil && r.Violation != nil && v.Invariant == r.Violation.Invariant {
			names = append(names, f.String())
			continue
		}
		delete(without, f)
	}
	return names
}
