package api

import "runtime"

// memo keeps the rendered runs of a list from one rendering to the next: runs whose
// elements all stayed are taken over as they are. Elements are pointers to what never
// changes, so that the same pointer means the same text. A memo belongs to whoever renders.
type memo[K comparable] struct {
	most   int // elements of a run
	one    func(*text, K)
	commas bool          // between elements
	runs   map[K]*run[K] // by first element
	turn   uint64        // counts renderings
}

// run is some elements that follow each other in a list.
type run[K comparable] struct {
	keys  []K
	piece *piece
	used  uint64 // the turn in which it was last used
}

// maxUnused is for how many renderings a run is kept without being used: different
// documents use different lists.
const maxUnused = 8

func newMemo[K comparable](most int, commas bool, one func(*text, K)) *memo[K] {
	return &memo[K]{most: most, one: one, commas: commas, runs: map[K]*run[K]{}}
}

// render returns the pieces of a list. It lets others run in between: a large list takes long.
func (m *memo[K]) render(list []K) []*piece {
	pieces := make([]*piece, 0, len(list)/m.most+1)
	for len(list) > 0 {
		r := m.kept(list)
		if r == nil {
			r = m.fresh(list[:m.cut(list)])
			runtime.Gosched()
		}
		r.used = m.turn
		pieces = append(pieces, r.piece)
		list = list[len(r.keys):]
	}
	return pieces
}

// kept is the run that the list begins with, nil if there is none.
func (m *memo[K]) kept(list []K) *run[K] {
	r := m.runs[list[0]]
	if r == nil || len(r.keys) > len(list) {
		return nil
	}
	for i, k := range r.keys {
		if list[i] != k {
			return nil
		}
	}
	return r
}

// cut says how many elements to render: until a run may begin that is there already, but
// neither too few, for runs would get ever shorter, nor too many.
func (m *memo[K]) cut(list []K) int {
	most := min(m.most, len(list))
	for n := max(m.most/4, 1); n < most; n++ {
		if r := m.runs[list[n]]; r != nil && m.kept(list[n:]) != nil {
			return n
		}
	}
	return most
}

// fresh renders a run.
func (m *memo[K]) fresh(list []K) *run[K] {
	var t text
	for i, k := range list {
		if i > 0 && m.commas {
			t = append(t, ',')
		}
		m.one(&t, k)
	}
	r := &run[K]{keys: append([]K(nil), list...), piece: &piece{text: append([]byte(nil), t...)}}
	m.runs[list[0]] = r
	return r
}

// next begins another rendering and forgets runs that were not used for long.
func (m *memo[K]) next() {
	m.turn++
	for k, r := range m.runs {
		if r.used+maxUnused < m.turn {
			delete(m.runs, k)
		}
	}
}
