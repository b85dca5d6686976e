// Package podapi is the direct channel between the Kubernetes bridge and the pod executor of one agent.
//
// Orders to start and kill a pod, and the pod's status, travel through Mesos (acknowledged, retried, surviving restarts of
// either side); what must not pass through task info, the agent or the master travels here: pod specs with their
// configuration and secrets, logs, exec, attach, port-forward and statistics.
//
//	bridge                                        pod executor (one per agent)
//	  | ExecutorInfo.data = ExecutorData{bridge CA} ----> |  trusts client certificates of that CA only
//	  | <---- framework MESSAGE Message{Endpoint ...}     |  its key and self-signed certificate live in memory only
//	  | <---- TaskStatus.data = StatusData{..., Endpoint} |
//	  | gRPC over TLS 1.3, server pinned by fingerprint   |
//	  | RunPod, UpdatePod, Pods, Logs, Exec, ... -------> |
//
// The service is declared by hand (no generated code) and its messages are JSON, so that a Kubernetes type crosses it in
// the form in which Kubernetes itself writes it.
//
// Start reading at: types.go (what is said), then service.go (how), then tls.go (to whom).
package podapi
