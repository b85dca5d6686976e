package sim

import "time"

// nemesis plans misfortune: again and again, something happens to somebody.
func (w *world) nemesis() {
	w.after(w.between(time.Second, 60*time.Second/time.Duration(w.harshness)), func() {
		if w.calm {
			return
		}
		w.misfortune()
		w.nemesis()
	})
}

// plagues are the kinds that nemesis chooses from; the others strike by themselves.
var plagues = []struct {
	kind   Fault
	weight int
	strike func(*world)
}{
	{LinkBroken, 3, (*world).breakLink},
	{StreamBroken, 3, (*world).breakAnyStream},
	{Partition, 2, func(w *world) { w.partition(true, true) }},
	{PartitionOneWay, 2, func(w *world) { w.partition(w.chance(50), false) }},
	{SchedulerPartition, 2, (*world).partitionScheduler},
	{MasterCrash, 2, (*world).crashMaster},
	{MasterPause, 2, (*world).stopMaster},
	{AgentCrash, 3, (*world).crashAgent},
	{AgentPause, 2, (*world).pauseAgent},
	{AgentReboot, 2, (*world).rebootAgent},
	{AgentReplaced, 1, (*world).replaceAgent},
	{ExecutorCrash, 2, (*world).crashExecutor},
	{ExecutorStreamBroken, 2, (*world).breakExecutorStream},
	{SchedulerCrash, 2, (*world).crashScheduler},
	{SchedulerPause, 2, (*world).pauseScheduler},
	{SchedulerFailover, 2, (*world).failOverScheduler},
	{ClockStep, 2, (*world).stepClock},
}

func (w *world) misfortune() {
	sum := 0
	for _, p := range plagues {
		sum += p.weight
	}
	n := w.rng.IntN(sum)
	for _, p := range plagues {
		if n -= p.weight; n < 0 {
			if !w.options.Without[p.kind] {
				w.note("nemesis", p.kind.String())
				p.strike(w)
			}
			return
		}
	}
}

// a moment that is mostly short and sometimes long enough for every timeout.
func (w *world) moment() time.Duration {
	switch w.rng.IntN(4) {
	case 0:
		return w.upTo(time.Second)
	case 1:
		return w.upTo(20 * time.Second)
	case 2:
		return w.upTo(2 * time.Minute)
	default:
		return w.upTo(15 * time.Minute)
	}
}

func (f *framework) downTime() time.Duration { return f.w.moment() }

func (w *world) breakLink() {
	a, m := w.agents[w.rng.IntN(len(w.agents))], w.leader
	if m == nil || m.state == nil || !a.up {
		return
	}
	w.struck(LinkBroken)
	w.loseLinks(a, m, time.Second)
}

// loseLinks has both ends of a link notice its end within d, or only one of them.
func (w *world) loseLinks(a *agent, m *master, d time.Duration) {
	both := w.chance(60)
	if both || w.chance(50) {
		number := m.links[a.upid]
		m.after(w.upTo(d), func() { m.agentExited(a.upid, number) })
		if both {
			a.after(w.upTo(d), func() { a.masterExited(m.upid) })
		}
		return
	}
	a.after(w.upTo(d), func() { a.masterExited(m.upid) })
}

func (w *world) breakAnyStream() {
	if s, ok := pick(w, w.streams); ok {
		w.struck(StreamBroken)
		w.breakStream(s)
	}
}

// partition cuts an agent from all masters, in one direction or in both.
func (w *world) partition(toMaster, both bool) {
	a := w.agents[w.rng.IntN(len(w.agents))]
	if both {
		w.struck(Partition)
	} else {
		w.struck(PartitionOneWay)
	}
	w.note("nemesis", "cuts off", a.name)
	fromMaster := both || !toMaster
	for _, m := range w.masters {
		if toMaster {
			w.net.cutOff(a.name, m.name)
		}
		if fromMaster {
			w.net.cutOff(m.name, a.name)
		}
	}
	survived := w.chance(50)
	if m := w.leader; m != nil && !survived {
		w.loseLinks(a, m, 30*time.Second)
	}
	w.repair(w.moment(), func() {
		w.note("nemesis", "heals", a.name)
		for _, m := range w.masters {
			if toMaster {
				w.net.heal(a.name, m.name, survived)
			}
			if fromMaster {
				w.net.heal(m.name, a.name, survived)
			}
		}
	})
}

func (w *world) partitionScheduler() {
	f := w.frameworks[w.rng.IntN(len(w.frameworks))]
	w.struck(SchedulerPartition)
	w.note("nemesis", "cuts off", f.name)
	up, down := w.chance(70), w.chance(70)
	for _, m := range w.masters {
		if up {
			w.net.cutOff(f.name, m.name)
		}
		if down {
			w.net.cutOff(m.name, f.name)
		}
	}
	d, survived := w.moment(), w.chance(50)
	if d > time.Minute {
		survived = false
	}
	if f.stream != nil && !survived {
		w.breakStream(f.stream)
	}
	w.repair(d, func() {
		w.note("nemesis", "heals", f.name)
		for _, m := range w.masters {
			if up {
				w.net.heal(f.name, m.name, survived)
			}
			if down {
				w.net.heal(m.name, f.name, survived)
			}
		}
	})
}

// repair has something mended in d, or when the calm begins.
func (w *world) repair(d time.Duration, mend func()) {
	done := false
	once := func() {
		if !done {
			done = true
			mend()
		}
	}
	w.repairs = append(w.repairs, once)
	w.after(d, once)
}

// healAll ends all misfortune at once.
func (w *world) healAll() {
	for _, mend := range w.repairs {
		mend()
	}
	w.repairs = nil
}

func (w *world) crashMaster() {
	m := w.leader
	if m == nil || !m.up {
		return
	}
	w.struck(MasterCrash)
	m.crash("killed")
	w.afterMasterCrash(m)
}

func (w *world) stopMaster() {
	m := w.leader
	if m == nil || !m.up || m.paused {
		return
	}
	w.struck(MasterPause)
	w.note(m.name, "is stopped")
	w.pauseMaster(m, min(w.moment(), 5*time.Minute))
}

func (w *world) someAgent() *agent {
	a := w.agents[w.rng.IntN(len(w.agents))]
	if !a.up {
		return nil
	}
	return a
}

func (w *world) crashAgent() {
	if a := w.someAgent(); a != nil {
		w.struck(AgentCrash)
		a.crash("killed")
		w.repair(w.moment(), a.boot)
	}
}

func (w *world) pauseAgent() {
	if a := w.someAgent(); a != nil && !a.paused {
		w.struck(AgentPause)
		w.note(a.name, "is stopped")
		a.paused = true
		life := a.life
		w.repair(w.moment(), func() {
			if a.life == life {
				a.resume()
			}
		})
	}
}

func (w *world) rebootAgent() {
	if a := w.someAgent(); a != nil {
		w.struck(AgentReboot)
		a.reboot()
		w.repair(w.moment(), a.boot)
	}
}

// replaceAgent loses an agent's disk; what starts at its address is a new agent.
func (w *world) replaceAgent() {
	if a := w.someAgent(); a != nil {
		w.struck(AgentReplaced)
		a.reboot()
		w.check.diskLost(a)
		a.disk = newDisk()
		w.repair(w.moment(), a.boot)
	}
}

func (w *world) someExecutor() *executor {
	var all []*executor
	for _, a := range w.agents {
		all = append(all, a.executors()...)
	}
	x, _ := pick(w, all)
	return x
}

func (w *world) crashExecutor() {
	if x := w.someExecutor(); x != nil {
		w.struck(ExecutorCrash)
		status := 139
		x.exit(&status, "crashed")
	}
}

func (w *world) breakExecutorStream() {
	if x := w.someExecutor(); x != nil && x.conn != 0 {
		w.struck(ExecutorStreamBroken)
		conn := x.conn
		x.breakStream()
		x.hungUp(conn)
	}
}

func (w *world) someScheduler() *framework {
	f := w.frameworks[w.rng.IntN(len(w.frameworks))]
	if !f.up {
		return nil
	}
	return f
}

func (w *world) crashScheduler() {
	if f := w.someScheduler(); f != nil {
		w.struck(SchedulerCrash)
		f.crash("killed")
		w.repair(f.downTime(), f.boot)
	}
}

func (w *world) pauseScheduler() {
	if f := w.someScheduler(); f != nil && !f.paused {
		w.struck(SchedulerPause)
		f.paused = true
		life := f.life
		w.repair(w.moment(), func() {
			if f.life == life {
				f.resume()
			}
		})
	}
}

// failOverScheduler has a second instance take over while the first does not know
// that it is over: its stream stays open, and what it had decided is still sent.
func (w *world) failOverScheduler() {
	f := w.someScheduler()
	if f == nil || f.stream == nil || !f.subscribed {
		return
	}
	w.struck(SchedulerFailover)
	w.note(f.name, "is taken over")
	old, list := f.stream, f.offers
	f.die()
	f.boot()
	w.after(w.upTo(3*time.Second), func() { f.zombie(old, list) })
}

// stepClock moves a process's clock ahead; clocks in here never go back.
func (w *world) stepClock() {
	var all []*process
	for _, m := range w.masters {
		all = append(all, &m.process)
	}
	for _, a := range w.agents {
		all = append(all, &a.process)
	}
	w.struck(ClockStep)
	all[w.rng.IntN(len(all))].ahead += w.upTo(5 * time.Minute)
}
