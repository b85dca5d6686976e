package sim

import "time"

// process is one operating-system process that can be killed, stopped and started.
type process struct {
	w      *world
	name   string
	life   int // counts starts, so that what belongs to an earlier life is dropped
	up     bool
	paused bool // SIGSTOP: what comes in waits
	held   []func()
	ahead  time.Duration // how far its clock is ahead of the world's; only ever grows
}

// clock is the time that the process reads.
func (p *process) clock() time.Time { return genesis.Add(p.w.now + p.ahead) }

// take runs f in the process: at once, when it goes on, or never if it is not up.
func (p *process) take(f func()) {
	switch {
	case !p.up:
	case p.paused:
		p.held = append(p.held, f)
	default:
		f()
	}
}

// after runs f in the process in d, unless its present life has ended by then.
func (p *process) after(d time.Duration, f func()) {
	life := p.life
	p.w.after(d, func() {
		if p.life == life {
			p.take(f)
		}
	})
}

func (p *process) start() {
	p.life++
	p.up, p.paused, p.held = true, false, nil
}

func (p *process) die() {
	p.life++
	p.up, p.paused, p.held = false, false, nil
}

// resume ends a pause: what came in meanwhile is taken in at once, in order.
func (p *process) resume() {
	p.paused = false
	held, life := p.held, p.life
	p.held = nil
	for i, f := range held {
		if p.life != life {
			return
		}
		if p.paused {
			p.held = append(p.held, held[i:]...)
			return
		}
		f()
	}
}
