// Package agent runs executors on one machine for a Mesos-compatible master.
//
//	master ──libprocess──> Agent.deliver ─┐
//	executors ──HTTP (api)─> Agent.Call ──┤  mailbox   ┌─> effects, in order:
//	containers ──exits─────> Agent.post ──┼──────────> core.Step     checkpoint, send, tell, start, destroy
//	clock ─────────────────────────────────┘            └─> View, published for readers
//
// One goroutine, Agent.Run, owns the core's state. It writes checkpoints itself, so
// that what follows a Save happens after it; everything slow (starting and
// destroying containers) runs beside it and comes back as an event.
//
// Start reading at: Agent.Run, then core.State.Step.
package agent
