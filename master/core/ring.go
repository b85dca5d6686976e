package core

// ring keeps the last n things put in, oldest first.
type ring[T any] struct {
	limit int
	items []T
}

func newRing[T any](limit int) ring[T] { return ring[T]{limit: limit} }

// add appends x and forgets the oldest beyond the limit. The slice that items
// held before stays as it was, because readers may hold it.
func (r *ring[T]) add(x T) {
	if r.limit == 0 {
		return
	}
	if len(r.items) >= 2*r.limit {
		r.items = append(make([]T, 0, 2*r.limit), r.all()...)
	}
	r.items = append(r.items, x)
}

// all returns what is kept, oldest first.
func (r *ring[T]) all() []T {
	if over := len(r.items) - r.limit; over > 0 {
		return r.items[over:]
	}
	return r.items
}

// drop removes the items for which gone is true.
func (r *ring[T]) drop(gone func(T) bool) {
	all, found := r.all(), false
	var kept []T
	for i, x := range all {
		switch {
		case !gone(x):
			if found {
				kept = append(kept, x)
			}
		case !found:
			kept, found = append(kept, all[:i]...), true
		}
	}
	if found {
		r.items = kept
	}
}
