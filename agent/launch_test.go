package agent

import (
	"context"
	"sync"
	"testing"
)

// A destruction is never lost between the launch and the running container: whoever
// stops a launch is either heard by it, or told that it is over.
func TestStopOfALaunchIsHeard(t *testing.T) {
	for range 20_000 {
		var l launches
		l.cancel = map[string]context.CancelFunc{}
		ctx := l.add("c")
		var stopping, stopped bool
		var both sync.WaitGroup
		both.Go(func() { stopping = l.stop("c") })
		both.Go(func() { stopped = l.over(ctx, "c") })
		both.Wait()
		if stopping != stopped {
			t.Fatalf("stop said %v, the launch heard %v", stopping, stopped)
		}
	}
}
