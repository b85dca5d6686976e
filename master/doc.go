// Package master is the Mesos-compatible master as a process: one goroutine owns
// the state (master/core) and everything else talks to it by mail.
//
//	HTTP (api) --+                    +--> event streams of schedulers and operators
//	libprocess --+--> owner goroutine +--> messages and links to agents (libprocess)
//	registry  ---+     core.Step      +--> registry (etcd)
//	timer     ---+                    +--> log
//
// Start reading at owner.run in owner.go, then Run, which puts the parts together.
package master
