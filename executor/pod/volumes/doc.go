// Package volumes makes the directories and files that a pod's volumes are, and the list of mounts of each container.
//
// Contents that may be secret (secret and projected volumes) and emptyDirs in memory lie on a tmpfs of their own below the
// pod's private directory; emptyDirs on disk lie in the pod's data directory (the executor's Mesos sandbox, so that its disk
// usage is seen). ConfigMap, secret, downwardAPI and projected volumes change atomically: files are links into ..data,
// which is replaced by one rename.
//
// Start reading at Pod.
package volumes
