package api

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tombolo-project/tombolo/master/core"
)

// Who asks while an answer is made gets the next one, together with all others, and never one that is older than what
// was so when it asked.
func TestLargeAnswersAreSharedAndNeverOld(t *testing.T) {
	var version, views, made atomic.Uint64
	r := newRenderer(func(context.Context) (*core.View, error) {
		views.Add(1)
		return &core.View{Version: version.Load()}, nil
	})
	started, goOn := make(chan struct{}, 1), make(chan struct{})
	build := func(v *core.View, _ *forms) *document {
		if made.Add(1) == 1 {
			started <- struct{}{}
			<-goOn
		}
		var b builder
		b.number(float64(v.Version))
		return b.done()
	}
	get := func() uint64 {
		doc, _, err := r.get(t.Context(), "x", build)
		if err != nil {
			t.Error(err)
			return 0
		}
		n, err := strconv.ParseUint(string(doc.bytes()), 10, 64)
		if err != nil {
			t.Error(err)
		}
		return n
	}
	var all sync.WaitGroup
	all.Go(func() { get() })
	<-started
	version.Store(7)
	for range 50 {
		all.Go(func() {
			if n := get(); n < 7 {
				t.Errorf("shows version %d to one who asked at version 7", n)
			}
		})
	}
	for waiting := false; !waiting; {
		r.mu.Lock()
		waiting = r.answers["x"].waiting != nil
		r.mu.Unlock()
	}
	close(goOn)
	all.Wait()
	if n := made.Load(); n != 2 {
		t.Errorf("%d renderings of two versions", n)
	}
	before := made.Load()
	get()
	if made.Load() != before {
		t.Error("rendered again though nothing changed")
	}
	r.forget()
	if get(); made.Load() != before+1 {
		t.Error("kept after it was forgotten")
	}
	if views.Load() > 60 {
		t.Errorf("%d views", views.Load())
	}
}
