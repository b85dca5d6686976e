// Package core is the bridge's state machine: which pods exist, which task each has, which offers are held, which agents
// are which nodes. It is pure: Step takes an event and the time and answers what to do; package bridge owns it with one
// goroutine, carries out the effects and brings their outcome back as events.
//
// One pod's life here:
//
//	PodSeen --> unknown --(reconciliation: no such task)--> waiting --(offer fits)--> launched --(terminal update)--> ended
//	               \------(reconciliation: task exists)--------------------------------^
//
// A pod that was there when the bridge started is unknown until the master has answered whether its task exists; only a
// pod that appears later is known never to have been launched. That, the task id made of the pod's UID and attempt, and
// FrameworkID kept in the Kubernetes API are why no pod runs twice (design D9).
//
// Start reading at: events.go (what comes in and goes out), state.go (Step), then pods.go.
package core
