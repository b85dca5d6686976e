// Package command is the executor that runs a task which is just a command: one
// task, one process group, states by exit status, health checks, graceful kill
// (reference section 4.4). It speaks the v1 executor API, survives restarts of the
// agent, and ends when its last update is safe.
//
//	agent <──link──> Executor.Run (owner) <── process exit, check results, timers
//
// Start reading at: Run.
package command
