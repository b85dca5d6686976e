// Package constraints is offer constraints: what a framework says of the agents it
// wants to be offered, by their attributes (reference rows SUB-06, OFF-13). The
// messages are those of Mesos's scheduler.proto, which are younger than the
// vocabulary: a call is decoded twice, once into the vocabulary and once into
// Carrier. Start reading at Compile, which turns a message into filters.
package constraints
