package sim

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// genesis is when every simulation begins.
var genesis = time.Unix(1_700_000_000, 0)

// Options choose a run.
type Options struct {
	Seed    uint64
	Without map[Fault]bool // faults that never happen
	Events  int            // end of the stormy part after so many events; 0: the default
	Trace   bool           // keep the lines of the trace
}

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant string // I1 to I13
	Text      string
}

func (v *Violation) Error() string { return v.Invariant + ": " + v.Text }

// Result is what came of a run.
type Result struct {
	Seed      uint64
	Events    int           // taken in by cores
	Simulated time.Duration // how long the datacenter lived
	Converged time.Duration // from the end of all faults to the end of all work
	Hash      uint64        // of the whole trace
	Faults    Counts
	Tasks     int // attempts that were started by an executor
	Violation *Violation
	Trace     []string
}

// The parts of a run. In the storm faults happen; in the calm none do, all that
// was stopped goes on, and everything must come to rest.
const (
	stormEvents = 1500
	stormMost   = 2 * time.Hour
	calmMost    = 2 * time.Hour // the slowest timer in here is the agents' longest back-off
	calmLook    = 5 * time.Second
)

// world is one datacenter.
type world struct {
	options   Options
	rng       *rand.Rand
	now       time.Duration
	queue     queue
	net       *network
	faults    Counts
	calm      bool
	harshness int // how hostile this seed is, 1 to 8
	trace     trace
	violation *Violation

	masters     []*master
	leader      *master // whom the election names; it may not know yet
	epoch       int     // of the leader
	registry    *registry
	agents      []*agent
	frameworks  []*framework
	check       *checker
	events      int
	streams     []*stream // that both sides serve
	streamCount int
	repairs     []func() // what is broken and will be mended
}

// Run lives one seed until all has come to rest or an invariant does not hold.
func Run(o Options) Result {
	w := newWorld(o)
	most := o.Events
	if most == 0 {
		most = stormEvents
	}
	w.begin()
	w.nemesis()
	for w.violation == nil && w.events < most && w.now < stormMost && w.step() {
	}
	stormEnd := w.now
	w.settle()
	r := Result{
		Seed: o.Seed, Events: w.events, Simulated: w.now, Converged: w.now - stormEnd, Hash: w.trace.hash, Faults: w.faults,
		Tasks: len(w.check.started), Violation: w.violation, Trace: w.trace.lines,
	}
	return r
}

func newWorld(o Options) *world {
	w := &world{options: o, rng: rand.New(rand.NewPCG(o.Seed, 0x746f6d626f6c6f)), trace: newTrace(o.Trace)}
	w.harshness = 1 + w.rng.IntN(8)
	w.net = &network{w: w, links: map[pair]*link{}}
	w.check = newChecker(w)
	w.registry = newRegistry(w)
	for i := range 1 + w.rng.IntN(3) {
		w.masters = append(w.masters, newMaster(w, i))
	}
	for i := range 2 + w.rng.IntN(3) {
		w.agents = append(w.agents, newAgent(w, i))
	}
	for i := range 1 + w.rng.IntN(4) {
		w.frameworks = append(w.frameworks, newFramework(w, i))
	}
	return w
}

// begin starts every process.
func (w *world) begin() {
	w.elect(w.masters[0])
	for _, a := range w.agents {
		w.after(w.upTo(5*time.Second), a.boot)
	}
	for _, f := range w.frameworks {
		w.after(w.upTo(20*time.Second), f.boot)
	}
}

// step lets the next thing happen; false when nothing is left to happen.
func (w *world) step() bool {
	i, ok := w.queue.pop()
	if !ok {
		return false
	}
	w.now = max(w.now, i.at)
	i.do()
	return true
}

// settle ends all misfortune and waits for everything to come to rest (I12).
func (w *world) settle() {
	if w.violation != nil {
		return
	}
	w.calm = true
	w.note("world", "calm")
	w.healAll()
	end := w.now + calmMost
	for look := w.now; w.violation == nil; {
		if !w.step() {
			w.fail("I12", "nothing is left to happen, and yet: %s", w.check.unrest())
			return
		}
		if w.now < look {
			continue
		}
		look = w.now + calmLook
		restless := w.check.unrest()
		if restless == "" {
			return
		}
		if w.now > end {
			w.fail("I12", "%s after the last fault: %s", calmMost, restless)
		}
	}
}

// after has do happen in d.
func (w *world) after(d time.Duration, do func()) { w.queue.add(w.now+d, do) }

// upTo is a random duration below d.
func (w *world) upTo(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rng.Int64N(int64(d)))
}

// between is a random duration from a to b.
func (w *world) between(a, b time.Duration) time.Duration { return a + w.upTo(b-a) }

func (w *world) chance(percent int) bool { return w.rng.IntN(100) < percent }

// fail ends the run. The first violation counts.
func (w *world) fail(invariant, format string, args ...any) {
	if w.violation == nil {
		w.violation = &Violation{invariant, fmt.Sprintf(format, args...)}
		w.note("violation", w.violation.Error())
	}
}

// pick chooses one of a list; false when it is empty.
func pick[T any](w *world, list []T) (T, bool) {
	var none T
	if len(list) == 0 {
		return none, false
	}
	return list[w.rng.IntN(len(list))], true
}
