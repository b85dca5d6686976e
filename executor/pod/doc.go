// Package pod is the pod executor: a custom Mesos executor, one per agent, whose tasks are Kubernetes pods. It drives a
// container runtime over CRI and answers the bridge over virtualnode/podapi.
//
//	agent --LAUNCH, KILL, ACKNOWLEDGED--> Executor --evEnd--> worker (one per pod) --CRI--> containerd
//	      <--UPDATE (PodStatus as data)--     ^    <-report--   lifecycle.Machine decides
//	bridge --RunPod, UpdatePod, Logs, Exec ...+
//
// A pod's life: LAUNCH says only whose pod it is. The executor answers TASK_STARTING and waits for the bridge's RunPod with
// spec and configuration. Then a worker runs it, TASK_RUNNING follows as soon as its sandbox runs, and again with each change
// of the PodStatus. At the end comes one terminal update; the logs stay until the bridge forgets the pod.
//
// One goroutine (Executor.Run) owns the tasks and their updates; each pod has an owner of its own (worker.run).
//
// Start reading at: executor.go, then worker.go, then lifecycle/decide.go.
package pod
