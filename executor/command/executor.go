package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/mesos/mesos-go/api/v1/lib"
	"github.com/mesos/mesos-go/api/v1/lib/executor"

	"github.com/tombolo-project/tombolo/executor/agentlink"
	"github.com/tombolo-project/tombolo/executor/checks"
)

// defaultGrace is between SIGTERM and SIGKILL (row KIL-06).
const defaultGrace = 3 * time.Second

// Executor runs one task. Everything in it belongs to the goroutine of Run.
type Executor struct {
	cfg    agentlink.Config
	link   *agentlink.Link
	exited chan syscall.WaitStatus
	checks chan checks.Result

	framework mesos.FrameworkInfo
	task      *mesos.TaskInfo
	process   *process
	unacked   []mesos.TaskStatus
	told      map[string]bool // updates that the last subscription carried
	heard     bool            // the agent has heard of the task: it need not be named when subscribing
	last      mesos.TaskStatus
	ended     bool // the terminal update is among the unacked, or acknowledged

	killAt     time.Time // when SIGKILL is due; zero: no kill under way
	killed     bool      // the end will be TASK_KILLED
	overtime   bool      // max_completion_time passed
	unhealthy  bool
	shutdown   bool // end even without a task
	offline    time.Time
	leaveAt    time.Time // when to go after a signal, heard or not; zero: no signal
	stopChecks context.CancelFunc
	deadline   *time.Timer
	maxTime    <-chan time.Time
}

// Run is the executor's life. It returns when the last update is acknowledged, the
// agent wants it gone, or the agent has been away for too long.
// The end of ctx, which is a signal to this process, ends the task like a SHUTDOWN.
func Run(ctx context.Context, cfg agentlink.Config) error {
	stop := ctx.Done()
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // the link outlives the signal: the end has to be told
	defer cancel()
	x := &Executor{
		cfg: cfg, link: agentlink.New(cfg), exited: make(chan syscall.WaitStatus, 1), checks: make(chan checks.Result, 64),
		offline: time.Now(), deadline: time.NewTimer(time.Hour),
	}
	go x.link.Run(ctx)
	for !x.done() {
		x.arm()
		select {
		case <-stop:
			stop = nil
			x.leaveAt = time.Now().Add(x.cfg.ShutdownGrace)
			x.terminate()
		case reply := <-x.link.Wanted:
			if err := x.drain(ctx); err != nil {
				return err
			}
			reply <- x.subscription()
		case e := <-x.link.Events:
			if err := x.event(ctx, e); err != nil {
				return err
			}
		case ws := <-x.exited:
			x.commandEnded(ws)
		case r := <-x.checks:
			x.checked(r)
		case <-x.maxTime:
			x.tooLong()
		case <-x.deadline.C:
			if err := x.due(); err != nil {
				return err
			}
		}
	}
	return nil
}

// drain takes in what the last stream still brought: a subscription that doesn't name
// a task whose LAUNCH waits here would have the agent report it as lost.
func (x *Executor) drain(ctx context.Context) error {
	for {
		select {
		case e := <-x.link.Events:
			if err := x.event(ctx, e); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// done: the task has ended and nothing is left to be told, or there never was one.
func (x *Executor) done() bool {
	return x.ended && len(x.unacked) == 0 || x.shutdown && x.task == nil
}

// patience is how long an executor lives without its agent (row EXE-09), also before
// it first hears of it: an agent that forgot about it will never answer.
func (x *Executor) patience() time.Duration {
	if x.cfg.Checkpoint || !x.heard {
		return x.cfg.RecoveryTimeout
	}
	return 0
}

// arm sets the timer to the next thing that is due.
func (x *Executor) arm() {
	var next time.Time
	if !x.killAt.IsZero() {
		next = x.killAt
	}
	if !x.offline.IsZero() {
		if at := x.offline.Add(x.patience()); next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if at := x.leaveAt; !at.IsZero() && (next.IsZero() || at.Before(next)) {
		next = at
	}
	if next.IsZero() {
		x.deadline.Stop()
		return
	}
	x.deadline.Reset(time.Until(next))
}

// due does what the timer was set for.
func (x *Executor) due() error {
	now := time.Now()
	if !x.killAt.IsZero() && !now.Before(x.killAt) {
		x.killAt = time.Time{}
		if x.process != nil {
			x.process.signal(syscall.SIGKILL)
		}
	}
	if !x.leaveAt.IsZero() && !now.Before(x.leaveAt) {
		if x.process != nil {
			x.process.signal(syscall.SIGKILL)
		}
		return errors.New("told to end by a signal, and the agent did not hear of it in time")
	}
	if !x.offline.IsZero() && !now.Before(x.offline.Add(x.patience())) {
		if x.process != nil {
			x.process.signal(syscall.SIGKILL)
		}
		return fmt.Errorf("the agent at %s has been away for longer than %s", x.cfg.Endpoint, x.patience())
	}
	return nil
}

// subscription says what the agent may not know yet (row EXE-06).
func (x *Executor) subscription() *executor.Call {
	c := x.link.Call(executor.Call_SUBSCRIBE)
	c.Subscribe = &executor.Call_Subscribe{}
	x.told = map[string]bool{}
	for _, s := range x.unacked {
		x.told[string(s.UUID)] = true
		c.Subscribe.UnacknowledgedUpdates = append(c.Subscribe.UnacknowledgedUpdates, executor.Call_Update{Status: s})
	}
	if x.task != nil && !x.acknowledgedOnce() {
		c.Subscribe.UnacknowledgedTasks = []mesos.TaskInfo{*x.task}
	}
	return c
}

// acknowledgedOnce: the agent has confirmed an update of the task, so it knows it.
func (x *Executor) acknowledgedOnce() bool { return x.last.State != nil && !x.first() }

func (x *Executor) first() bool {
	return len(x.unacked) > 0 && x.unacked[0].GetState() == mesos.TASK_STARTING
}

func (x *Executor) event(ctx context.Context, e any) error {
	switch e := e.(type) {
	case agentlink.Connected:
		x.offline = time.Time{}
		for _, s := range x.unacked { // made while the subscription was on its way
			if !x.told[string(s.UUID)] {
				x.post(s)
			}
		}
	case agentlink.Disconnected:
		if x.offline.IsZero() {
			x.offline = time.Now()
		}
		x.cfg.Log.Debug("not connected to the agent", "error", e.Err)
	case *executor.Event:
		return x.agentEvent(ctx, e)
	}
	return nil
}

func (x *Executor) agentEvent(ctx context.Context, e *executor.Event) error {
	switch e.Type {
	case executor.Event_SUBSCRIBED:
		x.framework, x.heard = e.Subscribed.FrameworkInfo, true
		x.cfg.Log.Info("subscribed", "framework_id", x.cfg.Framework, "executor_id", x.cfg.Executor)
	case executor.Event_LAUNCH:
		x.launch(ctx, e.Launch.Task)
	case executor.Event_ACKNOWLEDGED:
		x.acknowledged(e.Acknowledged.UUID)
	case executor.Event_KILL:
		if x.task != nil && x.task.TaskID == e.Kill.TaskID {
			x.kill(x.grace(e.Kill.KillPolicy))
		}
	case executor.Event_SHUTDOWN:
		x.cfg.Log.Info("told to shut down")
		x.terminate()
	case executor.Event_ERROR:
		return errors.New(e.Error.Message)
	case executor.Event_HEARTBEAT, executor.Event_MESSAGE:
	default:
		x.cfg.Log.Warn("event not supported by the command executor, ignored", "event", e.Type.String())
	}
	return nil
}

// launch starts the one task.
func (x *Executor) launch(ctx context.Context, task mesos.TaskInfo) {
	if x.task != nil {
		s := x.status(mesos.TASK_FAILED, "Attempted to run multiple tasks using a command executor")
		s.TaskID = task.TaskID
		x.send(s)
		return
	}
	x.task = &task
	x.send(x.status(mesos.TASK_STARTING, ""))
	exited := x.exited
	p, err := start(task.Command, x.cfg.Sandbox, func(ws syscall.WaitStatus) { exited <- ws })
	if err != nil {
		// Mesos learns of this from a child that exits with status 1, after RUNNING.
		fmt.Fprintf(os.Stderr, "Command could not be started: %v\n", err)
		x.send(x.status(mesos.TASK_RUNNING, ""))
		x.end(x.status(mesos.TASK_FAILED, "Command could not be started: "+err.Error()))
		return
	}
	x.process = p
	fmt.Fprintf(os.Stderr, "Forked command at %d\n", p.cmd.Process.Pid)
	x.send(x.status(mesos.TASK_RUNNING, ""))
	if m := task.MaxCompletionTime; m != nil {
		x.maxTime = time.After(time.Duration(m.Nanoseconds))
	}
	checkCtx, stop := context.WithCancel(ctx)
	x.stopChecks = stop
	checks.Start(checkCtx, &task, checkCommand(task.Command, x.cfg.Sandbox), func(r checks.Result) {
		select {
		case x.checks <- r:
		case <-checkCtx.Done():
		}
	})
}

// status starts an update that carries what is known of the task's checks.
func (x *Executor) status(state mesos.TaskState, message string) mesos.TaskStatus {
	source, now := mesos.SOURCE_EXECUTOR, float64(time.Now().UnixMicro())/1e6
	id := uuid.New()
	s := mesos.TaskStatus{
		State: &state, Source: &source, Timestamp: &now, UUID: id[:], ExecutorID: &mesos.ExecutorID{Value: x.cfg.Executor},
		Healthy: x.last.Healthy, CheckStatus: x.last.CheckStatus,
	}
	if x.task != nil {
		s.TaskID = x.task.TaskID
		if s.CheckStatus == nil {
			s.CheckStatus = checks.Empty(x.task.Check)
		}
	}
	if message != "" {
		s.Message = &message
	}
	return s
}

// send hands an update to the agent; it is repeated until acknowledged.
func (x *Executor) send(s mesos.TaskStatus) {
	x.last = s
	x.unacked = append(x.unacked, s)
	if x.offline.IsZero() {
		x.post(s)
	}
}

func (x *Executor) post(s mesos.TaskStatus) {
	c := x.link.Call(executor.Call_UPDATE)
	c.Update = &executor.Call_Update{Status: s}
	x.link.Post(c)
}

// end sends the task's last update.
func (x *Executor) end(s mesos.TaskStatus) {
	x.ended = true
	x.process = nil
	x.killAt = time.Time{}
	if x.stopChecks != nil {
		x.stopChecks()
	}
	x.maxTime = nil
	x.send(s)
}

func (x *Executor) acknowledged(id []byte) {
	for i := range x.unacked {
		if string(x.unacked[i].UUID) == string(id) {
			x.unacked = append(x.unacked[:i:i], x.unacked[i+1:]...)
			return
		}
	}
}

// grace is the kill's own period, else the task's, else Mesos's.
func (x *Executor) grace(p *mesos.KillPolicy) time.Duration {
	if p == nil || p.GracePeriod == nil {
		p = x.task.KillPolicy
	}
	if p == nil || p.GracePeriod == nil {
		return defaultGrace
	}
	return time.Duration(p.GracePeriod.Nanoseconds)
}

// kill begins the end of the task; a repeated one can only make it shorter (row KIL-06).
func (x *Executor) kill(grace time.Duration) {
	if x.process == nil || x.ended {
		return
	}
	at := time.Now().Add(grace)
	if x.killed || x.overtime {
		if !x.killAt.IsZero() && at.Before(x.killAt) {
			x.killAt = at
		}
		return
	}
	x.killed = true
	if x.stopChecks != nil {
		x.stopChecks()
	}
	if x.has(mesos.FrameworkInfo_Capability_TASK_KILLING_STATE) {
		x.send(x.status(mesos.TASK_KILLING, ""))
	}
	x.killAt = at
	x.process.signal(syscall.SIGTERM)
}

func (x *Executor) has(c mesos.FrameworkInfo_Capability_Type) bool {
	for _, have := range x.framework.Capabilities {
		if have.Type == c {
			return true
		}
	}
	return false
}

// terminate ends the task within the shutdown's grace, or at once without one.
func (x *Executor) terminate() {
	x.shutdown = true
	if x.process != nil {
		margin := x.cfg.ShutdownGrace / 5 // for the update to get out before the agent destroys the container
		x.kill(min(x.grace(nil), x.cfg.ShutdownGrace-margin))
	}
}

func (x *Executor) tooLong() {
	x.maxTime = nil
	if x.process == nil || x.killed {
		return
	}
	x.overtime = true
	x.killAt = time.Now().Add(x.grace(nil))
	x.process.signal(syscall.SIGTERM)
}

// commandEnded turns the wait status into the task's last state.
func (x *Executor) commandEnded(ws syscall.WaitStatus) {
	s := x.status(mesos.TASK_FAILED, describe(ws))
	state := mesos.TASK_FAILED
	switch {
	case x.overtime:
		reason := mesos.REASON_MAX_COMPLETION_TIME_REACHED
		s.Reason = &reason
	case ws.Exited() && ws.ExitStatus() == 0:
		state = mesos.TASK_FINISHED
	case x.killed:
		state = mesos.TASK_KILLED
	}
	s.State = &state
	if x.unhealthy {
		healthy := false
		s.Healthy = &healthy
	}
	x.end(s)
}
