package offers

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// The set-ups are those of Mesos's own allocator benchmarks (docs/reference/mesos.md, section 3.7), so that the figures can
// be put side by side.

const forever = 365 * 24 * time.Hour

// stopwatch sums the processor time of what is measured, which says more than the wall on a busy machine.
type stopwatch struct{ sum, since time.Duration }

func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (w *stopwatch) start() { w.since = processorTime() }
func (w *stopwatch) stop()  { w.sum += processorTime() - w.since }
func (w *stopwatch) report(b *testing.B) {
	b.ReportMetric(float64(w.sum.Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// benchState has agents of 24 cpus with 16 of them, and fragmented ports, in use by the first framework.
func benchState(b *testing.B, agents, frameworks int) *State {
	s := NewState(Options{MinAllocatable: DefaultMinAllocatable(), FilterGPUs: true})
	s.Advance(time.Unix(1e9, 0))
	addFrameworks(s, frameworks)
	addAgents(b, s, agents)
	return s
}

func addFrameworks(s *State, n int) {
	for i := range n {
		s.PutFramework(Framework{ID: fmt.Sprintf("framework-%05d", i), Roles: []string{"*"}, Active: true,
			Capabilities: Capabilities{MultiRole: true, ReservationRefinement: true}})
	}
}

func addAgents(b *testing.B, s *State, n int) {
	total := must(b, "cpus:24;mem:4096;disk:4096;ports:[31000-32000]")
	ports := ""
	for i := range 16 {
		ports += fmt.Sprintf("%d-%d,", 31000+i*60, 31000+i*60+29)
	}
	used := must(b, "cpus:16;mem:2014;disk:1024;ports:["+ports+"]").Allocate("*")
	for i := range n {
		id := fmt.Sprintf("agent-%05d", i)
		s.PutAgent(Agent{ID: id, Total: total, Active: true})
		if err := s.Charge("framework-00000", id, used); err != nil {
			b.Fatal(err)
		}
	}
}

// playRound is a whole round as the master plays it.
func playRound(b *testing.B, s *State, seed int) Plan {
	plan := s.Allocate(uint64(seed))
	if err := s.Apply(plan); err != nil {
		b.Fatal(err)
	}
	return plan
}

func decline(b *testing.B, s *State, p Plan, timeout time.Duration) {
	for _, g := range p.Grants {
		if err := s.Refuse(g.Framework, g.Agent, g.Resources, timeout); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDeclineOffers: every round offers every agent to somebody who has not yet refused it, for ever; refusals pile up.
func BenchmarkDeclineOffers(b *testing.B) {
	for _, size := range [][2]int{{1000, 200}, {10000, 200}, {10000, 1000}} {
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			s := benchState(b, size[0], size[1])
			var deciding, declining stopwatch
			rounds := 0
			for b.Loop() {
				deciding.start()
				plan := playRound(b, s, rounds)
				deciding.stop()
				if len(plan.Grants) != size[0] && rounds < size[1] {
					b.Fatalf("%d grants", len(plan.Grants))
				}
				b.StopTimer()
				declining.start()
				if rounds++; rounds == size[1]-1 {
					decline(b, s, plan, 0)
					for i := range size[1] {
						s.Revive(fmt.Sprintf("framework-%05d", i))
					}
					rounds = 0
				} else {
					decline(b, s, plan, forever)
				}
				declining.stop()
				b.StartTimer()
			}
			deciding.report(b)
			b.ReportMetric(float64(declining.sum.Microseconds())/1000/float64(b.N), "cpu-ms-declining/op")
		})
	}
}

// BenchmarkAllRefused: every framework has refused every agent for ever. warm is the usual round; cold is one in which
// nothing is remembered from rounds before.
func BenchmarkAllRefused(b *testing.B) {
	for _, size := range [][2]int{{1000, 200}, {10000, 200}} {
		s := benchState(b, size[0], size[1])
		for round := range size[1] {
			decline(b, s, playRound(b, s, round), forever)
		}
		for _, heat := range []string{"warm", "cold"} {
			b.Run(fmt.Sprintf("%dx%d/%s", size[0], size[1], heat), func(b *testing.B) {
				var w stopwatch
				for b.Loop() {
					if heat == "cold" {
						b.StopTimer()
						for _, a := range s.slots {
							a.reopen()
						}
						b.StartTimer()
					}
					w.start()
					if plan := playRound(b, s, 1); len(plan.Grants) > 0 {
						b.Fatalf("%d grants", len(plan.Grants))
					}
					w.stop()
				}
				w.report(b)
			})
		}
	}
}

// BenchmarkSuppressOffers: most frameworks are suppressed; the others are offered everything.
func BenchmarkSuppressOffers(b *testing.B) {
	for _, size := range [][3]int{{10000, 200, 160}, {10000, 1000, 990}} {
		b.Run(fmt.Sprintf("%dx%d-%d", size[0], size[1], size[2]), func(b *testing.B) {
			s := benchState(b, size[0], size[1])
			for i := range size[2] {
				s.Suppress(fmt.Sprintf("framework-%05d", i))
			}
			var w stopwatch
			for b.Loop() {
				w.start()
				plan := playRound(b, s, 1)
				w.stop()
				b.StopTimer()
				decline(b, s, plan, 0)
				b.StartTimer()
			}
			w.report(b)
		})
	}
}

// BenchmarkAddAgents: 10,000 agents with tasks join 1,000 frameworks, and are offered.
func BenchmarkAddAgents(b *testing.B) {
	var w stopwatch
	for b.Loop() {
		b.StopTimer()
		s := benchState(b, 0, 1000)
		b.StartTimer()
		w.start()
		addAgents(b, s, 10000)
		playRound(b, s, 1)
		w.stop()
	}
	w.report(b)
}

// BenchmarkAddFrameworks: 1,000 frameworks join 10,000 agents.
func BenchmarkAddFrameworks(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s := benchState(b, 10000, 1)
		b.StartTimer()
		addFrameworks(s, 1000)
	}
}

// BenchmarkManyRoles: 3,000 agents, 3,000 roles with a framework each; everything is offered, then nothing changes.
func BenchmarkManyRoles(b *testing.B) {
	s := NewState(Options{MinAllocatable: DefaultMinAllocatable()})
	for i := range 3000 {
		s.PutFramework(Framework{ID: fmt.Sprintf("f%d", i), Roles: []string{fmt.Sprintf("r%d", i)}, Active: true})
		s.PutAgent(Agent{ID: fmt.Sprintf("a%d", i), Total: must(b, "cpus:2;mem:2048;disk:2048"), Active: true})
	}
	b.Run("offer", func(b *testing.B) {
		for b.Loop() {
			plan := playRound(b, s, 1)
			b.StopTimer()
			decline(b, s, plan, 0)
			b.StartTimer()
		}
	})
	playRound(b, s, 1)
	b.Run("idle", func(b *testing.B) {
		for b.Loop() {
			playRound(b, s, 1)
		}
	})
}

// BenchmarkOneTaskEnds: in a full datacenter of 10,000 agents and 200 frameworks a task ends and is offered again.
func BenchmarkOneTaskEnds(b *testing.B) {
	s := benchState(b, 10000, 200)
	task := must(b, "cpus:1;mem:64").Allocate("*")
	for _, g := range playRound(b, s, 1).Grants {
		if err := s.Refuse(g.Framework, g.Agent, must(b, "disk:1").Allocate("*"), 0); err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	for b.Loop() {
		i++
		id := fmt.Sprintf("agent-%05d", i*7919%10000)
		if err := s.Release("framework-00000", id, task); err != nil {
			b.Fatal(err)
		}
		for _, g := range playRound(b, s, i).Grants {
			if err := s.Release(g.Framework, g.Agent, g.Resources); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Charge("framework-00000", id, task); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPlusMinus(b *testing.B) {
	x, y := must(b, "cpus:24;mem:4096;disk:4096;ports:[31000-32000]"), must(b, "cpus:1;mem:64;ports:[31100-31100]")
	for b.Loop() {
		z, err := x.Minus(y)
		if err != nil || z.Plus(y).IsZero() {
			b.Fatal(err)
		}
	}
}

// BenchmarkLargeAndSmallQuota: 3,000 agents, and 3,000 roles of one framework, 2,500 of them with a small guarantee and 500
// with a large one. agents and frameworks add them, cycle is the first round, idle the rounds after it; limits is cycle and
// idle with limits equal to the guarantees, so that much is free that nobody may have.
func BenchmarkLargeAndSmallQuota(b *testing.B) {
	const agents, small, large = 3000, 2500, 500
	total := must(b, "cpus:2;mem:2048;disk:2048")
	fill := func(limited bool) (s *State, addAgents, addFrameworks time.Duration) {
		s = NewState(Options{MinAllocatable: DefaultMinAllocatable()})
		begun := time.Now()
		for i := range agents {
			s.PutAgent(Agent{ID: fmt.Sprintf("agent-%d", i), Total: total, Active: true})
		}
		addAgents = time.Since(begun)
		begun = time.Now()
		for i := range small + large {
			s.PutFramework(Framework{ID: fmt.Sprintf("framework-%d", i), Roles: []string{fmt.Sprintf("role-%d", i)}, Active: true})
		}
		addFrameworks = time.Since(begun)
		for i := range small + large {
			q := Quantities{"cpus": 1 * Unit, "mem": 1024 * Unit, "disk": 1024 * Unit}
			if i >= small {
				q = Quantities{"cpus": 4 * Unit, "mem": 4096 * Unit, "disk": 4096 * Unit}
			}
			quota := Quota{Guarantees: q}
			if limited {
				quota.Limits = q
			}
			if err := s.SetQuota(fmt.Sprintf("role-%d", i), quota); err != nil {
				b.Fatal(err)
			}
		}
		return s, addAgents, addFrameworks
	}
	for _, limited := range []bool{false, true} {
		name := map[bool]string{false: "guarantees", true: "limits"}[limited]
		b.Run(name+"/cycle", func(b *testing.B) {
			var agents, frameworks time.Duration
			var w stopwatch
			grants := 0
			var memory runtime.MemStats
			for b.Loop() {
				b.StopTimer()
				s, a, f := fill(limited)
				agents, frameworks = agents+a, frameworks+f
				b.StartTimer()
				w.start()
				grants = len(playRound(b, s, 1).Grants)
				w.stop()
				b.StopTimer()
				runtime.GC()
				runtime.ReadMemStats(&memory)
				runtime.KeepAlive(s)
				b.StartTimer()
			}
			w.report(b)
			b.ReportMetric(float64(grants), "grants")
			b.ReportMetric(float64(agents.Milliseconds())/float64(b.N), "ms-adding-agents")
			b.ReportMetric(float64(frameworks.Milliseconds())/float64(b.N), "ms-adding-frameworks")
			b.ReportMetric(float64(memory.HeapAlloc)/1e6, "MB")
		})
		b.Run(name+"/idle", func(b *testing.B) {
			s, _, _ := fill(limited)
			playRound(b, s, 1)
			var w stopwatch
			round := 1
			for b.Loop() {
				round++
				w.start()
				if plan := playRound(b, s, round); len(plan.Grants) > 0 {
					b.Fatalf("%d grants", len(plan.Grants))
				}
				w.stop()
			}
			w.report(b)
		})
	}
}
