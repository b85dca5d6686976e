package core

import "github.com/mesos/mesos-go/api/v1/lib"

// taskList holds a framework's tasks in the order in which they came. A picture of
// it costs a copy, where sorting a map at each read would hold up the datacenter.
type taskList struct {
	items []*task // nil where one was removed
	live  int
}

func (l *taskList) add(t *task) {
	t.place = len(l.items)
	l.items = append(l.items, t)
	l.live++
}

// remove takes a task out; the list is made dense when most of it is holes.
func (l *taskList) remove(t *task) {
	l.items[t.place] = nil
	l.live--
	if len(l.items) < 2*l.live+64 {
		return
	}
	kept := make([]*task, 0, l.live)
	for _, x := range l.items {
		if x != nil {
			x.place = len(kept)
			kept = append(kept, x)
		}
	}
	l.items = kept
}

// infos lists the tasks' descriptions.
func (l *taskList) infos() []*mesos.Task {
	if l.live == 0 {
		return nil
	}
	out := make([]*mesos.Task, 0, l.live)
	for _, t := range l.items {
		if t != nil {
			out = append(out, t.info)
		}
	}
	return out
}
