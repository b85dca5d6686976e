// Package core is the master's mind: which frameworks and agents exist, who
// holds which offer, what runs where. It is pure: a State is fed facts (Event)
// together with the time they happened, and answers with orders (Effect). It
// reads no clock, starts no goroutine and does no input or output, so that a
// whole datacenter can be replayed in a test.
//
//	Event  --> State.Step(now, event) --> []Effect
//	           State.Deadline()       --> when to send the next Tick
//	           State.View()           --> an immutable picture for readers
//
// One task's life: SchedulerSubscribed (frameworks.go) -> allocation (offers.go)
// -> SchedulerCalled ACCEPT (accept.go, validate.go) -> RunTaskMessage to the
// agent -> StatusUpdateMessage from it (tasks.go) -> ACKNOWLEDGE.
//
// Start reading at State.Step.
package core
