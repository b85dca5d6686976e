// Package e2e tries the whole datacenter as its users do: real processes of the
// built binaries, a real control plane, real containerd, and Mesos clients written
// by others. Nothing is mocked.
//
// The tests need root and what `make build tools` builds; they fail, and say so,
// where that is missing. Start reading at harness.Datacenter and TestMain.
package e2e
