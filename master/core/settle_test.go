package core

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib"
)

// A task that has ended stays ended, whatever an agent says later and without latest_state (reference row UPD-03).
func TestUPD03_LateUpdateRevivesNothing(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f")))
	a.reports(f, "t", mesos.TASK_FINISHED)
	a.reports(f, "t", mesos.TASK_RUNNING)
	if state := w.s.frameworks[f.id].tasks["t"].state(); state != mesos.TASK_FINISHED {
		t.Errorf("the task is %s again", state)
	}
}

// Only the acknowledgement of its terminal update settles a task (reference row UPD-05).
func TestUPD05_OldAcknowledgementSettlesNothing(t *testing.T) {
	w, a, f := running(t, checkpointing(named("f")))
	a.reports(f, "t", mesos.TASK_FINISHED)
	f.acknowledge(a, "t", []byte("an older update!"))
	if w.s.frameworks[f.id].tasks["t"] == nil {
		t.Error("the task is forgotten although its end is not acknowledged")
	}
}
