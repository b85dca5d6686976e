package sim

import (
	"errors"
	"slices"
	"time"

	mastercore "github.com/tombolo-project/tombolo/master/core"
)

// registry is the durable store that all masters share. A write of a master whose
// epoch is over is refused.
type registry struct {
	w       *world
	durable *mastercore.Registry
	pending []*registryWrite // in order
}

// registryWrite is a change under way.
type registryWrite struct {
	m      *master
	life   int
	epoch  int
	change mastercore.RegistryChange
}

var errFenced = errors.New("another master leads")

var errUnavailable = errors.New("the store did not answer in time")

func newRegistry(w *world) *registry {
	return &registry{w: w, durable: mastercore.NewRegistry()}
}

// load is what a master finds that begins to lead: what older ones had under way is
// durable or lost from now on.
func (r *registry) load() *mastercore.Registry {
	for len(r.pending) > 0 {
		r.finish(r.pending[0])
	}
	return r.durable.Clone()
}

// write begins a change.
func (r *registry) write(m *master, c mastercore.RegistryChange) {
	p := &registryWrite{m: m, life: m.life, epoch: m.epoch, change: c}
	r.pending = append(r.pending, p)
	d := r.w.between(time.Millisecond, 20*time.Millisecond)
	if !r.w.calm && r.w.chance(10) {
		d = r.w.upTo(5 * time.Second)
	}
	r.w.after(d, func() { r.finish(p) })
	if r.w.strikes(MasterCrash, 40) { // right in between
		m.after(r.w.upTo(d), func() {
			m.crash("while it writes")
			r.w.afterMasterCrash(m)
		})
	}
}

// finish ends a change and all before it.
func (r *registry) finish(p *registryWrite) {
	for slices.Contains(r.pending, p) {
		first := r.pending[0]
		r.pending = r.pending[1:]
		r.conclude(first)
	}
}

func (r *registry) conclude(p *registryWrite) {
	alive := p.m.up && p.m.life == p.life
	var err error
	switch {
	case p.epoch != r.w.epoch:
		err = errFenced
	case !alive && r.w.rng.IntN(2) == 0 && !r.w.options.Without[RegistryWriteLost]:
		r.w.struck(RegistryWriteLost)
		r.w.note("reg", "lost")
		return
	case !alive:
		r.w.struck(RegistryWriteDone)
	case r.w.strikes(RegistryWriteFailed, 40):
		err = errUnavailable
		if r.w.chance(50) { // it timed out, and is durable nevertheless
			r.durable.Apply(p.change)
		}
	}
	if err == nil {
		r.durable.Apply(p.change)
	}
	if !alive {
		return
	}
	p.m.take(func() {
		switch {
		case p.m.life != p.life:
		case err != nil: // what is stored is not known for sure, so the master ends
			p.m.crash(err.Error())
			r.w.afterMasterCrash(p.m)
		default:
			p.m.feed(mastercore.RegistryWritten{Change: p.change})
		}
	})
}
