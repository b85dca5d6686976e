package offers

import (
	"container/heap"
	"slices"
)

const (
	// maxRefusals bounds what is remembered of one client's refusals of one agent; beyond it the one that ends first goes.
	maxRefusals = 32
	// maxRefused bounds the different bundles that are remembered as refused of one agent; beyond it the one whose last
	// refusal ends first goes.
	maxRefused = 256
)

// refused is a bundle of an agent that some clients have refused (OFF-10): until their time is over, they are offered
// nothing of the agent that is contained in it. There are many refusals of few bundles, so that one comparison answers for
// all clients.
type refused struct {
	resources Resources // unallocated
	clients   bits
	ends      []refusalEnd // sorted by client
}

type refusalEnd struct {
	client int32
	until  int64 // unix nanoseconds; over at this time
}

func (f *refused) find(client int) (int, bool) {
	return slices.BinarySearchFunc(f.ends, int32(client), func(e refusalEnd, client int32) int { return int(e.client - client) })
}

// until is when the client's refusal ends; it must have one.
func (f *refused) until(client int) int64 {
	i, _ := f.find(client)
	return f.ends[i].until
}

func (f *refused) set(client int, until int64) {
	f.clients.add(client)
	i, known := f.find(client)
	if !known {
		f.ends = slices.Insert(f.ends, i, refusalEnd{client: int32(client)})
	}
	f.ends[i].until = until
}

func (f *refused) remove(client int) {
	f.clients.remove(client)
	if i, known := f.find(client); known {
		f.ends = slices.Delete(f.ends, i, i+1)
	}
}

// last is when the last refusal of the bundle ends.
func (f *refused) last() int64 {
	var last int64
	for _, e := range f.ends {
		last = max(last, e.until)
	}
	return last
}

// refuse remembers a refusal; those that it makes pointless go.
func (s *State) refuse(c *client, a *agent, resources Resources, until int64) {
	s.version++
	free := resources.Equal(a.free)
	var same, first *refused // that is the same bundle, that ends first
	count := 0
	for _, f := range a.refused {
		equal := f.resources.Equal(resources)
		if equal {
			same = f
		}
		if !f.clients.has(c.index) {
			continue
		}
		switch end := f.until(c.index); {
		case end >= until && (equal || f.resources.Contains(resources)):
			return
		case end <= until && !equal && resources.Contains(f.resources):
			f.remove(c.index)
		case !equal:
			count++
			if first == nil || end < first.until(c.index) {
				first = f
			}
		}
	}
	if count >= maxRefusals {
		first.remove(c.index)
		a.reopenFor(c)
	}
	if same == nil {
		same = &refused{resources: resources}
		a.refused = append(a.refused, same)
	}
	same.set(c.index, until)
	if free {
		a.free = same.resources // to share is to compare quickly
	}
	a.tidyRefused(s)
	heap.Push(&s.expiry, expiringAt{until, int32(a.index), int32(c.index)})
	s.tidyExpiry()
}

// tidyRefused forgets bundles that nobody refuses any more, and one if there are too many.
func (a *agent) tidyRefused(s *State) {
	a.refused = slices.DeleteFunc(a.refused, func(f *refused) bool { return len(f.ends) == 0 })
	if len(a.refused) <= maxRefused {
		return
	}
	first := 0
	for i, f := range a.refused {
		if f.last() < a.refused[first].last() {
			first = i
		}
	}
	for _, e := range a.refused[first].ends {
		a.reopenFor(s.clients[e.client])
	}
	a.refused = slices.Delete(a.refused, first, first+1)
}

// tidyExpiry keeps the heap within twice what is needed: refusals that were forgotten before their time leave entries.
func (s *State) tidyExpiry() {
	if len(s.expiry) < 1024 || len(s.expiry) < 2*s.tidied {
		return
	}
	kept := s.expiry[:0]
	for _, a := range s.slots {
		if a == nil {
			continue
		}
		for _, f := range a.refused {
			for _, e := range f.ends {
				kept = append(kept, expiringAt{e.until, int32(a.index), e.client})
			}
		}
	}
	s.expiry, s.tidied = kept, len(kept)
	heap.Init(&s.expiry)
}

// covering is the bundle refused longest of those that keep an offer away from a client, or nil.
func (a *agent) covering(c *client, offer Resources) *refused {
	var longest *refused
	for _, f := range a.refused {
		if f.clients.has(c.index) && f.resources.Contains(offer) && (longest == nil || f.until(c.index) > longest.until(c.index)) {
			longest = f
		}
	}
	return longest
}

// refuses reports whether the client refuses anything of the agent.
func (a *agent) refuses(c *client) bool {
	return slices.ContainsFunc(a.refused, func(f *refused) bool { return f.clients.has(c.index) })
}

// dropRefusals forgets the client's refusals of the agent that end by the time, and has it looked at afresh.
func (a *agent) dropRefusals(c *client, until int64) {
	for _, f := range a.refused {
		if f.clients.has(c.index) && f.until(c.index) <= until {
			f.remove(c.index)
		}
	}
	a.refused = slices.DeleteFunc(a.refused, func(f *refused) bool { return len(f.ends) == 0 })
	a.reopenFor(c)
}

// forgetRefusals drops all refusals of a client.
func (s *State) forgetRefusals(c *client) {
	for _, a := range s.slots {
		if a != nil && a.refuses(c) {
			a.dropRefusals(c, never)
		}
	}
}

// never is later than every time.
const never = int64(1<<63 - 1)

// expire drops the refusals that have ended.
func (s *State) expire() {
	for len(s.expiry) > 0 && s.expiry[0].at <= s.now {
		over := heap.Pop(&s.expiry).(expiringAt)
		c, a := s.clients[over.client], s.slots[over.agent]
		if c == nil || a == nil || !a.refuses(c) {
			continue // forgotten in another way
		}
		s.version++
		a.dropRefusals(c, s.now)
	}
}

// expiringAt says when to look at the refusals of a client and agent. The two may be others by then; looking is harmless.
type expiringAt struct {
	at            int64
	agent, client int32 // indexes
}

// expiries is a heap.Interface, the earliest first.
type expiries []expiringAt

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at < e[j].at }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *expiries) Push(x any)        { *e = append(*e, x.(expiringAt)) }
func (e *expiries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}

// Refusals counts the refusals that are remembered, by role.
func (s *State) Refusals() map[string]int {
	counts := make([]int, len(s.clients))
	for _, a := range s.slots {
		if a == nil {
			continue
		}
		for _, f := range a.refused {
			for _, e := range f.ends {
				counts[e.client]++
			}
		}
	}
	byRole := map[string]int{}
	for i, n := range counts {
		if c := s.clients[i]; c != nil && n > 0 {
			byRole[c.role.path] += n
		}
	}
	return byRole
}
