// Package bridge is the Mesos framework that shows every Mesos agent to Kubernetes as a node and runs the pods that
// Kubernetes binds to these nodes as Mesos tasks.
//
//	API server -- pods ------> pods.go ----\                       /--> writer.go ---> pod status, deletion
//	Mesos master -- events --> master.go ---+--> owner (bridge.go)-+--> master.go ---> accept, decline, kill, acknowledge
//	Mesos master -- agents --> master.go --/     bridge/core.Step   +--> nodes.go ----> node objects, leases, one kubelet API each
//	                                                                 \--> bundles.go -> pod executors (virtualnode/podapi)
//	kubectl logs, exec --> API server --> kubelet.go (one TLS listener per node) --> pod executors
//
// One goroutine owns the state (bridge/core); everything else brings it events or carries out its effects. What must
// survive a restart is in the Kubernetes API (store.go): the framework's id, the authority of the channel to the pod
// executors, node objects, and pods with their status. The rest is asked from the master.
//
// Start reading at: bridge.go, then core/doc.go for the life of a pod.
package bridge
