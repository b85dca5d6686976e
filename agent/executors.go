package agent

import (
	"context"
	"errors"
	"sync"

	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/agent/core"
)

// executors are the open streams and the waiting calls of executors: the meeting
// point of HTTP goroutines and the owner.
type executors struct {
	post func(core.Event)

	mu      sync.Mutex
	last    uint64
	streams map[uint64]*stream
	calls   map[uint64]chan core.Answer
}

// stream is a bounded queue of events to one executor. Its fields are guarded by executors.mu.
type stream struct {
	waiting []*executor.Event
	closed  bool          // nothing is added any more; the reader is told after what waits
	wake    chan struct{} // has room for one: something changed
}

func (st *stream) signal() {
	select {
	case st.wake <- struct{}{}:
	default:
	}
}

// streamSize is how many events an executor may be behind before it is hung up on;
// it subscribes again and loses nothing but messages.
const streamSize = 16_384

func newExecutors(post func(core.Event)) *executors {
	return &executors{post: post, streams: map[uint64]*stream{}, calls: map[uint64]chan core.Answer{}}
}

// Subscribe opens an executor's stream. The channel is closed when the agent hangs
// up; the caller must call leave when the executor has gone.
func (a *Agent) Subscribe(framework, id string, s *executor.Call_Subscribe) (events <-chan *executor.Event, leave func()) {
	return a.subscribe(core.ExecutorSubscribed{Framework: framework, Executor: id}, s)
}

// subscribe opens a stream for e, whose Conn it chooses.
func (a *Agent) subscribe(e core.ExecutorSubscribed, s *executor.Call_Subscribe) (events <-chan *executor.Event, leave func()) {
	x := a.executors
	x.mu.Lock()
	x.last++
	conn := x.last
	st := &stream{wake: make(chan struct{}, 1)}
	x.streams[conn] = st
	x.mu.Unlock()

	e.Conn = conn
	if s != nil {
		e.Tasks = s.UnacknowledgedTasks
		for i := range s.UnacknowledgedUpdates {
			e.Updates = append(e.Updates, s.UnacknowledgedUpdates[i].Status)
		}
	}
	x.post(e)
	out, gone := make(chan *executor.Event), make(chan struct{})
	go x.pump(st, out, gone)
	return out, func() {
		close(gone)
		x.hangup(conn)
		x.post(core.ExecutorDisconnected{Conn: conn})
	}
}

// errGone is returned for calls that the owner did not get to.
var errGone = errors.New("the agent is shutting down")

// Update hands an executor's status to the owner and waits until it is safe.
func (a *Agent) Update(ctx context.Context, framework, id string, status mesos.TaskStatus) (core.Answer, error) {
	e := core.ExecutorUpdate{Framework: framework, Executor: id, Status: status}
	a.showTask(framework, id, &status)
	if o := a.oom(framework, id, &status); o != nil {
		e.OOM = o
	}
	return a.call(ctx, func(call uint64) core.Event { e.Call = call; return e })
}

// Message hands an executor's message to the owner.
func (a *Agent) Message(ctx context.Context, framework, id string, data []byte) (core.Answer, error) {
	return a.call(ctx, func(call uint64) core.Event {
		return core.ExecutorMessage{Framework: framework, Executor: id, Data: data, Call: call}
	})
}

func (a *Agent) call(ctx context.Context, event func(uint64) core.Event) (core.Answer, error) {
	x := a.executors
	answer := make(chan core.Answer, 1)
	x.mu.Lock()
	x.last++
	call := x.last
	x.calls[call] = answer
	x.mu.Unlock()
	defer func() {
		x.mu.Lock()
		delete(x.calls, call)
		x.mu.Unlock()
	}()
	x.post(event(call))
	select {
	case ans := <-answer:
		return ans, nil
	case <-ctx.Done():
		return core.Answer{}, ctx.Err()
	case <-a.done:
		return core.Answer{}, errGone
	}
}

// oom looks whether a task that failed was killed for its memory, before anyone is told otherwise.
func (a *Agent) oom(framework, id string, status *mesos.TaskStatus) *core.OOM {
	switch status.GetState() {
	case mesos.TASK_FAILED, mesos.TASK_KILLED:
	default:
		return nil
	}
	for _, f := range a.View().Frameworks {
		if f.Info.ID.GetValue() != framework {
			continue
		}
		for _, e := range f.Executors {
			if e.Info.ExecutorID.Value == id && e.Generated {
				if o := a.containers.OOM(e.Container); o != nil {
					return &core.OOM{Limit: o.Limit, Usage: o.Usage}
				}
			}
		}
	}
	return nil
}

// tell never blocks the owner: who doesn't read is hung up on.
func (x *executors) tell(conn uint64, e *executor.Event) {
	x.mu.Lock()
	defer x.mu.Unlock()
	st := x.streams[conn]
	if st == nil {
		return
	}
	if len(st.waiting) < streamSize {
		st.waiting = append(st.waiting, e)
	} else {
		delete(x.streams, conn)
		st.closed = true
	}
	st.signal()
}

// pump hands a stream's events to its reader. A channel that holds streamSize of them
// would cost every executor 128 KiB.
func (x *executors) pump(st *stream, out chan<- *executor.Event, gone <-chan struct{}) {
	defer close(out)
	for {
		x.mu.Lock()
		batch, closed := st.waiting, st.closed
		st.waiting = nil
		x.mu.Unlock()
		for _, e := range batch {
			select {
			case out <- e:
			case <-gone:
				return
			}
		}
		if closed {
			return
		}
		select {
		case <-st.wake:
		case <-gone:
			return
		}
	}
}

func (x *executors) hangup(conn uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if st := x.streams[conn]; st != nil {
		delete(x.streams, conn)
		st.closed = true
		st.signal()
	}
}

func (x *executors) answer(e core.Answer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if answer := x.calls[e.Call]; answer != nil {
		answer <- e // never blocks: one answer, room for one
	}
}
