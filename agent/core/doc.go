// Package core is the agent's mind: a plain struct that is told what happened and
// answers what is to be done. No clock, no goroutine, no I/O, no global randomness:
//
//	effects := state.Step(now, event)
//
// One goroutine (package agent) feeds it and carries the effects out in order; a
// Save effect is on disk before the effects behind it begin, which is what makes
// a kill -9 at any moment harmless.
//
//	registration   disconnected ──detected──> registering ──registered──> running
//	                     ^───────── link broken, pings missing ─────────────┘
//	executor       registering ──subscribe──> running ──shutdown──> terminating ──exit──> terminated
//	task           queued ──delivered──> launched ──terminal update──> terminated ──acknowledged──> completed
//
// Start reading at: State.Step.
package core
