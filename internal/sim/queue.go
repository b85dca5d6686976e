package sim

import (
	"container/heap"
	"time"
)

// item is something that happens at a time; those of one time happen in the order they were added.
type item struct {
	at  time.Duration
	seq uint64
	do  func()
}

// queue holds what is yet to happen.
type queue struct {
	items items
	seq   uint64
}

func (q *queue) add(at time.Duration, do func()) {
	q.seq++
	heap.Push(&q.items, item{at, q.seq, do})
}

func (q *queue) pop() (item, bool) {
	if len(q.items) == 0 {
		return item{}, false
	}
	return heap.Pop(&q.items).(item), true
}

type items []item

func (h items) Len() int { return len(h) }
func (h items) Less(i, j int) bool {
	return h[i].at < h[j].at || h[i].at == h[j].at && h[i].seq < h[j].seq
}
func (h items) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *items) Push(x any)   { *h = append(*h, x.(item)) }
func (h *items) Pop() any {
	last := len(*h) - 1
	x := (*h)[last]
	(*h)[last] = item{}
	*h = (*h)[:last]
	return x
}
