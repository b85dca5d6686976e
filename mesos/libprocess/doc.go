// Package libprocess is how the internal messages of Mesos travel: each is an
// HTTP POST to /<actor id>/<message name> at the address of the actor, answered
// 202 and otherwise one-way. Start reading at Handler (what comes in) and Sender
// (what goes out).
//
// Delivery is at most once and in order per pair of actors, as long as the
// connection lives (reference row LP-10); whoever needs more retries by itself.
// A link (Sender.Link) is a connection of its own whose end tells that the other
// side, or the way to it, has gone (reference rows LP-11, LP-15).
package libprocess
