// Package offers decides who is offered what: fixed-point amounts, roles, weighted DRF, refusals.
//
// It is pure: no clock, no goroutine, no I/O; the only randomness is a seed passed in.
//
// Start reading at State.
package offers
