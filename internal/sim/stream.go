package sim

import (
	"fmt"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib/scheduler"

	mastercore "github.com/tombolo-project/tombolo/master/core"
)

// stream is the connection of one subscription: events come down on it in order,
// none is lost before it breaks. Calls are requests of their own.
type stream struct {
	id     mastercore.StreamID
	m      *master
	f      *framework
	mlife  int
	broken bool // neither side gets anything through any more
}

// openStreams lists the streams that the master serves, in the order of the schedulers.
func (w *world) openStreams(m *master) []*stream {
	var all []*stream
	for _, s := range w.streams {
		if s.m == m && !s.broken {
			all = append(all, s)
		}
	}
	return all
}

// breakStream ends a connection without a word; both sides find out, each in its time.
func (w *world) breakStream(s *stream) {
	if s.broken {
		return
	}
	s.broken = true
	w.note("network", "stream breaks", string(s.id))
	w.forgetStream(s)
	d := 5 * time.Second
	if !w.net.open(s.f.name, s.m.name) || !w.net.open(s.m.name, s.f.name) {
		d = 2 * time.Minute
	}
	w.serverNotices(s, w.upTo(d))
	s.f.after(w.upTo(d), func() { s.f.streamEnded(s) })
}

// closeStream is the master's end of a connection after what was sent before.
func (w *world) closeStream(s *stream) {
	w.net.send(s.m.name, s.f.name, carriage{}, func() {
		s.f.take(func() { s.f.streamEnded(s) })
	})
	w.forgetStream(s)
	w.serverNotices(s, 0)
}

// serverNotices tells the core that the stream has ended.
func (w *world) serverNotices(s *stream, d time.Duration) {
	if s.m.life != s.mlife {
		return
	}
	s.m.after(d, func() {
		delete(s.m.streams, s.id)
		s.m.feed(mastercore.StreamClosed{Stream: s.id, Reason: "simulated"})
	})
}

func (w *world) forgetStream(s *stream) {
	for i, x := range w.streams {
		if x == s {
			w.streams = append(w.streams[:i:i], w.streams[i+1:]...)
			return
		}
	}
}

// subscribe opens a stream from a scheduler to a master.
func (f *framework) subscribe(m *master, c *scheduler.Call) {
	w := f.w
	w.streamCount++
	s := &stream{id: mastercore.StreamID(fmt.Sprintf("stream-%d", w.streamCount)), m: m, f: f, mlife: m.life}
	f.stream = s
	open := sealed(w, f.name, "to "+m.name, c)
	lost := func() { f.take(func() { f.streamEnded(s) }) }
	w.net.send(f.name, m.name, carriage{lost: CallLost, twice: CallTwice, onLost: lost}, func() {
		if m.state == nil || m.life != s.mlife {
			f.after(w.upTo(time.Second), lost)
			return
		}
		m.take(func() {
			if s.broken {
				return
			}
			m.streams[s.id] = s
			w.streams = append(w.streams, s)
			m.feed(mastercore.SchedulerSubscribed{Stream: s.id, Call: open()})
		})
	})
}

// request sends a call of a subscribed scheduler.
func (f *framework) request(s *stream, c *scheduler.Call) {
	w, m := f.w, s.m
	open := sealed(w, f.name, "to "+m.name, c)
	life := f.life
	lost := func() {
		if f.life == life && w.chance(50) { // else the client shrugs
			w.breakStream(s)
		}
	}
	w.net.send(f.name, m.name, carriage{lost: CallLost, twice: CallTwice, lossy: true, onLost: lost}, func() {
		if m.state == nil || m.life != s.mlife {
			return
		}
		m.take(func() {
			m.request++
			m.requests[m.request] = func(r mastercore.Reply) {
				w.trace.mixText(r.Text)
				w.net.send(m.name, f.name, carriage{}, func() {
					if f.life == life {
						f.take(func() { f.replied(s, r) })
					}
				})
			}
			m.feed(mastercore.SchedulerCalled{Request: m.request, Stream: s.id, Call: open()})
		})
	})
}
