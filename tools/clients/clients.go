// Package clients pins Mesos clients written by others; see go.mod.
package clients
