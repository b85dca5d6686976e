package agent

import (
	"testing"

	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/agent/core"
)

func TestStream_OrderEndAndBound(t *testing.T) {
	a := &Agent{executors: newExecutors(func(core.Event) {})}
	events, leave := a.Subscribe("f", "x", nil)
	a.executors.tell(1, &executor.Event{Type: executor.Event_SUBSCRIBED})
	a.executors.tell(1, &executor.Event{Type: executor.Event_SHUTDOWN})
	a.executors.hangup(1)
	if first, second := <-events, <-events; first.Type != executor.Event_SUBSCRIBED || second.Type != executor.Event_SHUTDOWN {
		t.Errorf("events are %v, %v", first.Type, second.Type)
	}
	if _, open := <-events; open {
		t.Error("the stream goes on after the hang-up")
	}
	leave()

	events, leave = a.Subscribe("f", "slow", nil)
	for range streamSize + 10 {
		a.executors.tell(2, &executor.Event{Type: executor.Event_MESSAGE})
	}
	leave() // while the reader doesn't read
	for range events {
	}
	if len(a.executors.streams) != 0 {
		t.Error("a stream is left")
	}
}

func TestStream_CostsLittle(t *testing.T) {
	a := &Agent{executors: newExecutors(func(core.Event) {})}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for range b.N {
			_, leave := a.Subscribe("f", "x", nil)
			leave()
		}
	})
	if per := result.AllocedBytesPerOp(); per > 4096 {
		t.Errorf("an executor's stream takes %d bytes", per)
	}
}
