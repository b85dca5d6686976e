// Package containers starts, limits, watches and destroys the executors of one
// agent as plain processes.
//
// Each container is one process tree below a small wrapper:
//
//	agent ──starts──> tombolo-executor launch      own session, own cgroup
//	                        └──> executor           user, env, cwd, rlimits
//	                                └──> tasks
//
// The wrapper is placed in the container's cgroup while it still waits for its
// orders, so that nothing the executor does can happen outside. It outlives the
// agent, and writes the executor's exit status into the runtime directory, where
// a restarted agent finds it.
//
// Two isolations implement the same small interface: cgroups (v1, hybrid or v2)
// and posix, the degraded one for machines where cgroups can't be used.
//
// Start reading at: Manager.Launch.
package containers
