// Package virtualnode maps between the two worlds: a Mesos agent to a Kubernetes node, a pod to a Mesos task, a task's
// status to a pod's status, and pods waiting for offers to a plan of what to launch, hold and give back.
//
// It is pure: no clock, no client, no goroutine. Package bridge feeds it and carries out what it says.
//
// Start reading at: node.go (agent to node), task.go (pod to task), status.go (task status to pod status), hold.go (offers).
package virtualnode
