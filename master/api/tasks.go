package api

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/master/core"
	"github.com/tombolo-project/tombolo/mesos/codec"
)

// taskQuery is what /tasks is asked for (reference section 2.4).
type taskQuery struct {
	framework, task string // only this one, unless empty
	offset, limit   int
	ascending       bool
}

// defaultTasks is how many tasks /tasks lists unless told otherwise.
const defaultTasks = 100

// readTaskQuery reads the parameters as Mesos does: a number that is none counts as absent, any order but "asc" is descending.
func readTaskQuery(r *http.Request) taskQuery {
	q := r.URL.Query()
	return taskQuery{
		framework: q.Get("framework_id"), task: q.Get("task_id"), ascending: q.Get("order") == "asc",
		offset: number(q.Get("offset"), 0), limit: number(q.Get("limit"), defaultTasks),
	}
}

// number reads a query parameter as Mesos does: what is no whole number >= 0 counts as absent.
func number(text string, absent int) int {
	if n, err := strconv.Atoi(text); err == nil && n >= 0 && n < 1<<30 {
		return n
	}
	return absent
}

// tasks serves /tasks: a page of every task there is or was.
func (s *Server) tasks(w http.ResponseWriter, r *http.Request) {
	v, ok := s.view(w, r)
	if !ok {
		return
	}
	q := readTaskQuery(r)
	doc, err := s.renderer.once(r.Context(), func(*forms) *document {
		var b builder
		b.open('{')
		b.field("tasks")
		b.open('[')
		for _, t := range q.page(v) {
			b.task(t)
		}
		b.close(']')
		b.close('}')
		return b.done()
	})
	if err != nil {
		refuse(w, http.StatusServiceUnavailable, "%s", err)
		return
	}
	s.deliver(w, r, codec.MediaTypeJSON, doc)
}

// page is the tasks that a query asks for.
func (q taskQuery) page(v *core.View) []*mesos.Task {
	var all []*mesos.Task
	for _, views := range [][]*core.FrameworkView{v.Frameworks, v.Completed} {
		for _, f := range views {
			if q.framework != "" && f.ID() != q.framework {
				continue
			}
			for _, tasks := range [][]*mesos.Task{f.Tasks, f.Unreachable, f.Completed} {
				all = append(all, tasks...)
			}
		}
	}
	if q.task != "" {
		all = slices.DeleteFunc(all, func(t *mesos.Task) bool { return t.TaskID.Value != q.task })
	}
	sortTasks(all, q.ascending)
	offset := min(q.offset, len(all))
	return all[offset:min(len(all), offset+q.limit)]
}

// sortTasks orders tasks by the time of their first status, newest first unless ascending.
func sortTasks(tasks []*mesos.Task, ascending bool) {
	type dated struct {
		at   float64
		task *mesos.Task
	}
	list := make([]dated, len(tasks))
	for i, t := range tasks {
		list[i].task = t
		if len(t.Statuses) > 0 {
			list[i].at = t.Statuses[0].GetTimestamp()
		}
	}
	slices.SortStableFunc(list, func(a, b dated) int {
		switch earlier := a.at < b.at; {
		case a.at == b.at:
			return 0
		case earlier == ascending:
			return -1
		default:
			return 1
		}
	})
	for i := range list {
		tasks[i] = list[i].task
	}
}
