package core

import (
	"slices"
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
	"pgregory.net/rapid"
)

func TestTaskListKeepsOrderAndForgetsHoles(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var l taskList
		var want []*task
		for range rapid.IntRange(0, 2000).Draw(r, "changes") {
			if len(want) > 0 && rapid.IntRange(0, 2).Draw(r, "kind") == 0 {
				i := rapid.IntRange(0, len(want)-1).Draw(r, "which")
				l.remove(want[i])
				want = slices.Delete(want, i, i+1)
				continue
			}
			x := &task{info: &mesos.Task{}}
			l.add(x)
			want = append(want, x)
		}
		got := l.picture()
		if len(got) != len(want) {
			r.Fatalf("%d tasks, want %d", len(got), len(want))
		}
		for i, x := range want {
			if got[i] != x.info {
				r.Fatalf("task %d is another", i)
			}
		}
		if len(l.items) > 2*len(want)+64 {
			r.Fatalf("%d places for %d tasks", len(l.items), len(want))
		}
	})
}
