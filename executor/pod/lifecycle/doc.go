// Package lifecycle is the pure heart of the pod executor: what to do next for one pod, and what its status is.
//
// It has no clock, no goroutine and no I/O. The pod's owner goroutine feeds a Machine with what the container runtime shows
// (Observe), with results of actions (Done), of probes (Probed) and with the order to end (End), and asks two questions:
//
//	Decide(now)  -> the actions to start now, and when to ask again at the latest
//	Status(now)  -> the v1.PodStatus that a kubelet would show
//
// The life of a pod:
//
//	            CreateSandbox    StartContainer (init, one by one)     StartContainer (all others)
//	(launched) -------------> sandbox -----------------------------> initialized ---------------------> running
//	                             ^ sandbox died: RemoveSandbox, begin again                               |
//	                             +--------------------------------------------------------------------- -+
//	                                                             all containers done, End, deadline:      v
//	                                       (finished) <-- RemoveSandbox <-- KillContainer (main, then sidecars)
//
// Start reading at: Machine.Decide in decide.go; status.go is the other half.
package lifecycle
