package core

import "github.com/mesos/mesos-go/api/v1/lib"

// taskList holds a framework's tasks in the order in which they came. A picture of it
// costs a copy of pointers, where sorting a map at each read would hold up the datacenter.
type taskList struct {
	items []*task       // nil where one was removed
	infos []*mesos.Task // their descriptions
	live  int
}

func (l *taskList) add(t *task) {
	t.list, t.place = l, len(l.items)
	l.items = append(l.items, t)
	l.infos = append(l.infos, t.info)
	l.live++
}

// changed notes that a task has another description.
func (l *taskList) changed(t *task) { l.infos[t.place] = t.info }

// remove takes a task out; the list is made dense when most of it is holes.
func (l *taskList) remove(t *task) {
	l.items[t.place], l.infos[t.place] = nil, nil
	t.list = nil
	l.live--
	if len(l.items) < 2*l.live+64 {
		return
	}
	kept, infos := make([]*task, 0, l.live), make([]*mesos.Task, 0, l.live)
	for _, x := range l.items {
		if x != nil {
			x.place = len(kept)
			kept, infos = append(kept, x), append(infos, x.info)
		}
	}
	l.items, l.infos = kept, infos
}

// picture lists the tasks' descriptions.
func (l *taskList) picture() []*mesos.Task {
	if l.live == 0 {
		return nil
	}
	out := make([]*mesos.Task, 0, l.live)
	for _, info := range l.infos {
		if info != nil {
			out = append(out, info)
		}
	}
	return out
}

// offerList holds a framework's offers in the order in which they were made.
type offerList struct {
	items []*offer // nil where one was taken
	live  int
}

func (l *offerList) add(o *offer) {
	o.place = len(l.items)
	l.items = append(l.items, o)
	l.live++
}

func (l *offerList) remove(o *offer) {
	l.items[o.place] = nil
	l.live--
	if len(l.items) < 2*l.live+64 {
		return
	}
	kept := make([]*offer, 0, l.live)
	for _, x := range l.items {
		if x != nil {
			x.place = len(kept)
			kept = append(kept, x)
		}
	}
	l.items = kept
}
