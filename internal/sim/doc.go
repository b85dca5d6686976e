// Package sim runs a whole datacenter inside one goroutine: masters and agents
// that are the real cores (master/core, agent/core, with the real offers ledger),
// and models of what surrounds them: network, disks, registry, election,
// containers, executors and schedulers. One seed decides everything that happens,
// faults included, so that a run that went wrong can be run again.
//
//	queue --> what is due next --> a core's Step --> effects --> network, disk ... --> queue
//	                                     |
//	                                     +--> every invariant is checked (check*.go)
//
// Time is simulated: hours pass in milliseconds. What the models promise is what
// the real edges promise: messages of one pair of processes arrive in order, once,
// twice or not at all, and one that is known to be lost breaks the link
// (mesos/libprocess); a Save effect is on disk before the next effect begins
// (agent/checkpoint); a registry change is durable when RegistryWritten is told,
// and may or may not be when the master dies before (master/registry).
//
// Start reading at Run.
package sim
