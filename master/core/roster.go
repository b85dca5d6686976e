package core

import "slices"

// roster keeps the views of named things in the order of their names, so that a picture
// of all of them costs a copy and the views of those that changed, not a sort.
type roster[V any] struct {
	ids   []string // sorted
	views []*V     // of the same places
	stale []string // that changed since the last picture; some may be gone, or named twice
}

// put enters a thing whose view is not made yet.
func (r *roster[V]) put(id string) {
	r.stale = append(r.stale, id)
	i, known := slices.BinarySearch(r.ids, id)
	if !known {
		r.ids = slices.Insert(r.ids, i, id)
		r.views = slices.Insert(r.views, i, nil)
	}
}

// remove takes a thing out.
func (r *roster[V]) remove(id string) {
	if i, known := slices.BinarySearch(r.ids, id); known {
		r.ids = slices.Delete(r.ids, i, i+1)
		r.views = slices.Delete(r.views, i, i+1)
	}
}

// changed says that a thing's view is out of date.
func (r *roster[V]) changed(id string) { r.stale = append(r.stale, id) }

// picture returns all views; view makes that of one.
func (r *roster[V]) picture(view func(id string) *V) []*V {
	for _, id := range r.stale {
		if i, known := slices.BinarySearch(r.ids, id); known {
			r.views[i] = view(id)
		}
	}
	r.stale = r.stale[:0]
	return slices.Clone(r.views)
}
