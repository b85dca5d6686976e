// Package mesos holds nothing itself: below it lives the wire of Mesos, that is,
// everything two processes of a Mesos datacenter say to each other.
//
//	recordio    framing of the HTTP event streams
//	codec       the JSON and protobuf forms of a message, and their negotiation
//	messages    the internal messages between master and agent (mesos.internal.*)
//	libprocess  how those messages travel: actors, HTTP posts, links
//	client      the HTTP side of the v1 APIs for schedulers, executors and operators
//
// The vocabulary itself (Offer, TaskInfo, TaskStatus ...) is mesos-go's
// github.com/mesos/mesos-go/api/v1/lib. Start reading at codec.
package mesos
