package sim

import "time"

// The election: at most one master is named leader, with an epoch that only grows.
// Who is named learns of it at once; who is no longer, when it looks at its lease.

const (
	leaseTime  = 10 * time.Second // after which a silent leader is replaced
	noticeTime = 3 * time.Second  // within which agents and schedulers learn of a new leader
)

// elect names a leader.
func (w *world) elect(m *master) {
	w.epoch++
	w.leader = m
	m.lead(w.epoch)
	epoch := w.epoch
	learn := func(detected func()) {
		w.after(w.upTo(noticeTime), func() {
			if w.epoch == epoch {
				detected()
			}
		})
	}
	for _, a := range w.agents {
		learn(func() { a.masterDetected(m.upid) })
	}
	for _, f := range w.frameworks {
		learn(func() { f.masterDetected(m) })
	}
}

// afterMasterCrash has the dead master started again or another take its place.
func (w *world) afterMasterCrash(m *master) {
	if w.leader != m {
		return
	}
	w.leader = nil
	next := m
	if w.rng.IntN(2) == 0 {
		next = w.masters[w.rng.IntN(len(w.masters))]
	}
	if next != m {
		w.struck(MasterFailover)
	}
	w.after(w.between(100*time.Millisecond, 2*leaseTime), func() { w.replaceLeader(next) })
}

// replaceLeader elects next unless somebody leads by now.
func (w *world) replaceLeader(next *master) {
	if w.leader != nil {
		return
	}
	if next.state != nil { // it believes to lead an older epoch
		next.crash("restarts to lead again")
	}
	w.elect(next)
}

// pauseMaster stops the leading master. When that takes longer than its lease,
// another one leads before it goes on; it goes on as if nothing had been, and
// finds out only when it looks.
func (w *world) pauseMaster(m *master, d time.Duration) {
	m.paused = true
	life := m.life
	if d > leaseTime && len(w.masters) > 1 {
		w.after(leaseTime, func() {
			if m.life != life || w.leader != m {
				return
			}
			w.leader = nil
			next := w.masters[(m.index+1+w.rng.IntN(len(w.masters)-1))%len(w.masters)]
			w.struck(MasterFailover)
			w.replaceLeader(next)
		})
	}
	w.after(d, func() {
		if m.life != life {
			return
		}
		w.note(m.name, "goes on")
		m.resume()
		if m.life != life || w.leader == m {
			return
		}
		m.after(w.upTo(time.Second), func() { m.crash("lost its leadership") })
	})
}
