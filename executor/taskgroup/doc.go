// Package taskgroup is the default executor: it runs groups of tasks, each task in a nested
// container that the agent starts for it (reference section 4.4).
//
//	LAUNCH_GROUP -> a container each -> all run: TASK_RUNNING -> one ends badly: the others are killed
//
// State (core.go) decides and is PURE; Executor (executor.go) subscribes to the agent and carries
// out what it wants; containers.go asks the agent for containers. Start reading at State.Step.
package taskgroup
