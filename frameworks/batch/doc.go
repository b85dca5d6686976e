// Package batch runs jobs: N tasks of one command with resources, retries and parallelism, each task finishing once.
//
//	HTTP (server.go) --+                               +--> session: Accept, Decline, Kill, Revive ...
//	session events ----+--> owner.Loop --> Core.Step --+--> store (before everything else)
//
// A task is tried until it finishes, at most 1+retries times; tries that end through no fault of the command (its agent
// was lost, the launch never arrived) are not counted, but are limited too. Every try is a Mesos task
// <job>.<index>.<attempt>; a status of any but the present try changes nothing, so that a task counts once.
//
// Start reading at Core.Step (core.go). The command line's half is client.go and progress.go.
package batch
