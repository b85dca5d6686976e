package core

import (
	"container/heap"
	"time"
)

// timerKind says what happens when a timer fires.
type timerKind uint8

const (
	heartbeat       timerKind = iota + 1 // id: stream
	failover                             // id: framework
	pingAgent                            // id: agent
	reregister                           // id: agent, disconnected since
	recoveredExpire                      // agents of the registry that never came back
	offerExpire                          // id: offer
	registryGC                           // forget old unreachable agents
	inverseExpire                        // id: inverse offer
	removeAgain                          // id: agent, shut down for maintenance, whose removal was not stored
	drainAgain                           // id: agent, whose end of draining was not stored
	recordFramework                      // id: framework, whose record could not be written
	recordRecovered                      // frameworks of the registry that have not come back yet
)

// timer is something that is due at a time. It is never cancelled: whoever fires
// it checks that id and gen still mean what they meant.
type timer struct {
	at   time.Time
	kind timerKind
	id   string
	gen  uint64
}

// timers is a queue of timers by time.
type timers struct{ heap timerHeap }

func (t *timers) add(x timer) { heap.Push(&t.heap, x) }

func (t *timers) next() (time.Time, bool) {
	if len(t.heap) == 0 {
		return time.Time{}, false
	}
	return t.heap[0].at, true
}

// pop returns one timer that is due at now.
func (t *timers) pop(now time.Time) (timer, bool) {
	if len(t.heap) == 0 || t.heap[0].at.After(now) {
		return timer{}, false
	}
	return heap.Pop(&t.heap).(timer), true
}

type timerHeap []timer

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].at.Before(h[j].at) }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(timer)) }
func (h *timerHeap) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	*h = (*h)[:last]
	return x
}

// fire does what a timer is for.
func (s *State) fire(t timer) {
	switch t.kind {
	case heartbeat:
		s.heartbeat(StreamID(t.id))
	case failover:
		s.failoverExpired(t.id, t.gen)
	case pingAgent:
		s.pingExpired(t.id, t.gen)
	case reregister:
		s.reregisterExpired(t.id, t.gen)
	case recoveredExpire:
		s.recoveredExpired()
	case offerExpire:
		s.offerExpired(t.id)
	case inverseExpire:
		s.inverseExpired(t.id)
	case removeAgain:
		s.removeForMaintenance(t.id)
	case drainAgain:
		s.drainExpired(t.id)
	case registryGC:
		s.pruneRegistry()
	case recordFramework:
		if f := s.frameworks[t.id]; f != nil {
			s.record(f)
		}
	case recordRecovered:
		s.recordRecoveredFrameworks()
	}
}
