// Package api is the agent's HTTP surface (reference section 4.1): the v1 executor
// API, the reads of the v1 operator API, the sandboxes' files and the JSON pages
// that tools know from Mesos. Everything but the executors' calls is answered from
// the agent's published View.
//
// Start reading at: Server.Handler.
package api
