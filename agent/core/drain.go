package core

import (
	"math"
	"time"

	"github.com/mesos/mesos-go/api/v1/lib"

	"github.com/tombolo-project/tombolo/mesos/messages"
)

// draining is an order to end all tasks (reference row OP1-30). It is on disk before it
// is acted on, so that an agent that dies goes on with it, and ends when nothing is left:
// no executor runs and every update, of tasks and of operations, is acknowledged.
type draining struct {
	config mesos.DrainConfig
	since  time.Time
}

// drain takes an order to drain in. The master repeats it whenever the agent registers,
// also after all has drained: then there is nothing to do.
func (s *State) drain(m *messages.DrainSlaveMessage) {
	if s.idle() {
		s.log(Info, "ordered to drain; nothing is left to end")
		return
	}
	s.do(SaveDrain{Config: &m.Config})
	if s.draining == nil {
		s.draining = &draining{since: s.now}
	}
	s.draining.config = m.Config
	s.log(Info, "draining", "mark_gone", m.Config.GetMarkGone(), "max_grace_period", maxGrace(m.Config).String())
	s.killAll()
}

// killAll asks for the end of all tasks.
func (s *State) killAll() {
	for _, f := range s.frameworksInOrder() {
		for _, e := range f.executorsInOrder() {
			for _, t := range e.live() {
				s.killTask(&messages.KillTaskMessage{
					FrameworkID: *f.info.ID, TaskID: t.info.TaskID, KillPolicy: drainPolicy(s.draining.config, t.info.KillPolicy),
				})
			}
		}
	}
}

// drainPolicy is what a kill says of the grace period: nothing while the task's own is within the bound.
func drainPolicy(c mesos.DrainConfig, own *mesos.KillPolicy) *mesos.KillPolicy {
	if c.MaxGracePeriod == nil {
		return nil
	}
	if own != nil && own.GracePeriod != nil && own.GracePeriod.Nanoseconds <= c.MaxGracePeriod.Nanoseconds {
		return nil
	}
	bound := *c.MaxGracePeriod
	bound.Nanoseconds = max(bound.Nanoseconds, 0)
	return &mesos.KillPolicy{GracePeriod: &bound}
}

// maxGrace is the bound of grace periods, for the log.
func maxGrace(c mesos.DrainConfig) time.Duration {
	if c.MaxGracePeriod == nil {
		return math.MaxInt64
	}
	return time.Duration(c.MaxGracePeriod.Nanoseconds)
}

// explainDrain gives the end of a task on a draining agent its reason. If the agent
// will be gone, so are its tasks, for frameworks that know the word. Mesos says that
// already of a task that is being killed, which would end it too early.
func (s *State) explainDrain(f *framework, status *mesos.TaskStatus) {
	if s.draining == nil || status.GetState() != mesos.TASK_KILLING && status.GetState() != mesos.TASK_KILLED {
		return
	}
	reason := mesos.REASON_AGENT_DRAINING
	status.Reason = &reason
	if status.GetState() == mesos.TASK_KILLED && s.draining.config.GetMarkGone() && f.has(mesos.FrameworkInfo_Capability_PARTITION_AWARE) {
		gone := mesos.TASK_GONE_BY_OPERATOR
		status.State = &gone
	}
}

// drained ends the draining as soon as nothing is left.
func (s *State) drained() {
	if s.draining == nil || !s.idle() {
		return
	}
	s.log(Info, "drained", "took", s.now.Sub(s.draining.since).String())
	s.draining = nil
	s.do(SaveDrain{})
}

// idle says whether nothing is left that draining waits for.
func (s *State) idle() bool { return len(s.frameworks) == 0 && len(s.operations) == 0 }
