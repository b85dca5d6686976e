package offers

import "container/heap"

// maxRefusals bounds what is remembered of one client's refusals of one agent; beyond it the one that ends first goes.
const maxRefusals = 32

// refusal keeps offers of an agent that are contained in resources from a client (OFF-10). Refusals of one client and
// agent form a list.
type refusal struct {
	resources Resources // unallocated
	until     int64     // unix nanoseconds; over at this time
	next      *refusal
}

// covers is the refusal that lasts longest of those that keep the offer away, or nil.
func (r *refusal) covers(offer Resources) *refusal {
	var longest *refusal
	for ; r != nil; r = r.next {
		if (longest == nil || r.until > longest.until) && r.resources.Contains(offer) {
			longest = r
		}
	}
	return longest
}

// refuse remembers a refusal; those that it makes pointless go.
func (s *State) refuse(c *client, a *agent, resources Resources, until int64) {
	s.version++
	if resources.Equal(a.free) {
		resources = a.free // refusals pile up; those of one thing share it
	}
	var kept *refusal
	var count int
	var first *refusal // to end
	for r := a.refusal(c); r != nil; r = r.next {
		if r.until <= until && resources.Contains(r.resources) {
			continue
		}
		kept = &refusal{r.resources, r.until, kept}
		count++
		if first == nil || kept.until < first.until {
			first = kept
		}
	}
	if count == maxRefusals {
		kept = kept.dropUntil(first.until, 1)
	}
	for len(a.refusals) <= c.index {
		a.refusals = append(a.refusals, nil)
	}
	a.refusals[c.index] = &refusal{resources, until, kept}
	heap.Push(&s.expiry, expiringAt{until, a.index, c.index})
	s.tidyExpiry()
}

// tidyExpiry keeps the heap within twice what is needed: refusals that were forgotten before their time leave entries.
func (s *State) tidyExpiry() {
	if len(s.expiry) < 1024 || len(s.expiry) < 2*s.tidied {
		return
	}
	type place struct{ agent, client int }
	seen := make(map[place]bool, len(s.expiry))
	kept := s.expiry[:0]
	for _, e := range s.expiry {
		c, a := s.clients[e.client], s.slots[e.agent]
		if c == nil || a == nil || seen[place{e.agent, e.client}] {
			continue
		}
		seen[place{e.agent, e.client}] = true
		for r := a.refusal(c); r != nil; r = r.next {
			kept = append(kept, expiringAt{r.until, e.agent, e.client})
		}
	}
	s.expiry, s.tidied = kept, len(kept)
	heap.Init(&s.expiry)
}

// dropUntil is the list without the refusals that end by the time, at most limit of them (0: all).
func (r *refusal) dropUntil(until int64, limit int) *refusal {
	var kept *refusal
	dropped := 0
	for ; r != nil; r = r.next {
		if r.until <= until && (limit == 0 || dropped < limit) {
			dropped++
			continue
		}
		kept = &refusal{r.resources, r.until, kept}
	}
	return kept
}

// forgetRefusals drops all refusals of a client.
func (s *State) forgetRefusals(c *client) {
	for _, a := range s.slots {
		if a != nil && a.refusal(c) != nil {
			a.refusals[c.index] = nil
			a.closed.remove(c.index)
		}
	}
}

// refusal is the client's list of refusals of the agent.
func (a *agent) refusal(c *client) *refusal {
	if c.index < len(a.refusals) {
		return a.refusals[c.index]
	}
	return nil
}

// expire drops the refusals that have ended.
func (s *State) expire() {
	for len(s.expiry) > 0 && s.expiry[0].at <= s.now {
		over := heap.Pop(&s.expiry).(expiringAt)
		c, a := s.clients[over.client], s.slots[over.agent]
		if c == nil || a == nil || a.refusal(c) == nil {
			continue // forgotten in another way
		}
		s.version++
		a.refusals[c.index] = a.refusals[c.index].dropUntil(s.now, 0)
		a.closed.remove(c.index)
	}
}

// expiringAt says when to look at the refusals of a client and agent. The two may be others by then; looking is harmless.
type expiringAt struct {
	at            int64
	agent, client int
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
