// Package criconfig turns a pod's spec into the orders that a container runtime understands (CRI v1): sandbox and container
// configurations with environment, resources, security contexts, name resolution and labels.
//
// It reads no file and calls nobody: what it must know about the machine comes in as Facts. Start reading at Sandbox and
// Container.
package criconfig
