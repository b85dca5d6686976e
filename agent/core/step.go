package core

import (
	"slices"
	"time"

	"github.com/tombolo-project/tombolo/mesos/epoch"
	"github.com/tombolo-project/tombolo/mesos/messages"
)

// Step tells the state what happened and returns what to do about it.
func (s *State) Step(now time.Time, e Event) []Effect {
	s.now, s.out = now, nil
	switch e := e.(type) {
	case MasterDetected:
		s.masterDetected(e)
	case MasterExited:
		s.masterExited(e)
	case AuthenticationEnded:
		s.authenticationEnded(e)
	case Received:
		s.received(e)
	case ContainerStarted:
		s.containerStarted(e)
	case ContainerFailed:
		s.containerFailed(e)
	case ContainerExited:
		s.containerExited(e)
	case ExecutorSubscribed:
		s.executorSubscribed(e)
	case ExecutorDisconnected:
		s.executorDisconnected(e)
	case ExecutorUpdate:
		s.executorUpdate(e)
	case ExecutorMessage:
		s.executorMessage(e)
	case RecoveryStarted:
		s.recoveryStarted()
	case Tick:
	}
	s.expire()
	s.drained()
	return s.out
}

// fromDriver says that a message comes straight from the framework's driver (reference row 5.2).
func (s *State) fromDriver(from string, m *messages.FrameworkToExecutorMessage) bool {
	f := s.frameworks[m.FrameworkID.Value]
	return f != nil && f.pid != "" && f.pid == from
}

// received dispatches a master's message. Whoever is not the leading master is
// ignored, and whoever led before the newest master that this agent obeyed: it may have
// been stopped, and not know yet that another leads. Pings come from an actor of their
// own at the master's address.
func (s *State) received(e Received) {
	if e.Epoch.Before(s.epoch) {
		s.counters.OldOrders++
		s.log(Warn, "message from a master that leads no more, refused", "from", e.From, "message", messages.NameOf(e.Message), "epoch", e.Epoch.String(), "newest", s.epoch.String())
		return
	}
	if ping, ok := e.Message.(*messages.PingSlaveMessage); ok {
		s.ping(e.From, ping)
		return
	}
	if m, ok := e.Message.(*messages.FrameworkToExecutorMessage); ok && s.fromDriver(e.From, m) {
		s.frameworkMessage(m)
		return
	}
	if e.From != s.master {
		s.log(Warn, "message from someone who is not the leading master, ignored", "from", e.From, "master", s.master)
		return
	}
	if e.Epoch != s.epoch && e.Epoch != (epoch.Epoch{}) {
		s.epoch = e.Epoch
		s.do(SaveEpoch{Epoch: e.Epoch})
	}
	switch m := e.Message.(type) {
	case *messages.SlaveRegisteredMessage:
		s.registered(m)
	case *messages.SlaveReregisteredMessage:
		s.reregistered(m)
	case *messages.RunTaskMessage:
		s.runTask(m)
	case *messages.RunTaskGroupMessage:
		s.runTaskGroup(m)
	case *messages.KillTaskMessage:
		s.killTask(m)
	case *messages.StatusUpdateAcknowledgementMessage:
		s.acknowledged(m)
	case *messages.ShutdownExecutorMessage:
		s.shutdownExecutorMessage(m)
	case *messages.ShutdownFrameworkMessage:
		s.shutdownFramework(m)
	case *messages.UpdateFrameworkMessage:
		s.updateFramework(m)
	case *messages.FrameworkToExecutorMessage:
		s.frameworkMessage(m)
	case *messages.ReconcileTasksMessage:
		s.reconcile(*m)
	case *messages.ApplyOperationMessage:
		s.applyOperation(m)
	case *messages.AcknowledgeOperationStatusMessage:
		s.acknowledgedOperation(m)
	case *messages.ReconcileOperationsMessage:
		s.reconcileOperations(m)
	case *messages.CheckpointResourcesMessage:
		s.checkpointResources(m)
	case *messages.DrainSlaveMessage:
		s.drain(m)
	case *messages.ShutdownMessage:
		s.shutdown(m)
	default:
		s.log(Warn, "message not supported by this agent, ignored", "message", messages.NameOf(e.Message), "from", e.From)
	}
}

// expire fires the timers that are due, in order of time.
func (s *State) expire() {
	var due []timer
	for t, at := range s.timers {
		if !at.After(s.now) {
			due = append(due, t)
		}
	}
	slices.SortFunc(due, func(a, b timer) int {
		if c := s.timers[a].Compare(s.timers[b]); c != 0 {
			return c
		}
		return compareTimers(a, b)
	})
	for _, t := range due {
		if at, still := s.timers[t]; !still || at.After(s.now) {
			continue // cancelled or moved by one before it
		}
		delete(s.timers, t)
		s.fire(t)
	}
}

func (s *State) fire(t timer) {
	switch t.kind {
	case timerRegister:
		s.register()
	case timerPing:
		s.pingsMissing()
	case timerRecovery:
		s.recoveryOver()
	case timerSubscribe:
		s.subscribeTimeout(t.id)
	case timerKill:
		s.do(DestroyContainer{Container: t.id})
	case timerUpdate:
		s.retry(t.task)
	case timerOperation:
		s.retryOperation(t.id)
	}
}
