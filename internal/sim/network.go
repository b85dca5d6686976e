package sim

import "time"

// network carries packets between processes. Each direction of a pair is a link
// of its own, in order; links do not wait for each other.
type network struct {
	w     *world
	links map[pair]*link
}

type pair struct{ from, to string }

// link is one direction between two processes.
type link struct {
	last time.Duration // when the last packet arrives
	cut  int           // partitions that cover it
	era  int           // counts breaks: packets of an earlier era are lost
	held []packet      // waiting for the end of a partition, as TCP lets them
}

type packet struct {
	era  int
	run  func()
	lost func() // the sender learns that it was lost; may be nil
}

// carriage says how a packet may travel.
type carriage struct {
	lost, twice Fault
	lossy       bool // may be lost or doubled
	onLost      func()
}

// odds are the chances of a fault in a thousand; calls are rarer than messages.
func (c carriage) odds() int {
	if c.lost == CallLost {
		return 10
	}
	return 4
}

func (n *network) between(from, to string) *link {
	l := n.links[pair{from, to}]
	if l == nil {
		l = &link{}
		n.links[pair{from, to}] = l
	}
	return l
}

// send has run executed at the other end.
func (n *network) send(from, to string, c carriage, run func()) {
	l, w := n.between(from, to), n.w
	p := packet{era: l.era, run: run, lost: c.onLost}
	if c.lossy && w.strikes(c.lost, c.odds()) {
		w.note("network", "lost", from, to)
		if p.lost != nil {
			w.after(w.upTo(time.Second), p.lost)
		}
		return
	}
	n.schedule(l, p)
	if c.lossy && w.strikes(c.twice, c.odds()) {
		w.note("network", "twice", from, to)
		n.schedule(l, p)
	}
}

func (n *network) schedule(l *link, p packet) {
	w := n.w
	d := 50*time.Microsecond + w.upTo(3*time.Millisecond)
	if w.strikes(MessageLate, 10) {
		d += w.upTo(2 * time.Second)
	}
	at := max(w.now+d, l.last+time.Microsecond)
	l.last = at
	w.queue.add(at, func() { n.arrive(l, p) })
}

func (n *network) arrive(l *link, p packet) {
	switch {
	case p.era != l.era:
	case l.cut > 0:
		l.held = append(l.held, p)
	default:
		p.run()
	}
}

// cutOff begins a partition of one direction.
func (n *network) cutOff(from, to string) { n.between(from, to).cut++ }

// heal ends it. What waited arrives now, or is lost when the connections did not last.
func (n *network) heal(from, to string, survived bool) {
	l := n.between(from, to)
	l.cut--
	if l.cut > 0 {
		return
	}
	held := l.held
	l.held = nil
	for _, p := range held {
		switch {
		case survived: // before anything that was sent after it
			n.w.queue.add(n.w.now, func() { n.arrive(l, p) })
		case p.lost != nil:
			n.w.after(n.w.upTo(time.Second), p.lost)
		}
	}
}

// orphan is the death of a sender: what waits for the end of a partition is lost with
// it, and what is on its way may be.
func (n *network) orphan(from, to string) {
	l := n.between(from, to)
	l.held = nil
	if n.w.chance(50) {
		l.era++
	}
}

// open says whether packets pass now.
func (n *network) open(from, to string) bool { return n.between(from, to).cut == 0 }
