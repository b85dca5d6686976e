// Package security decides who may do what: principals, actions, and Mesos's access control lists. It is pure; the
// packages below it are the edges: authn finds out who a request comes from, credentials reads files of secrets, crammd5
// is the handshake of agents and older schedulers, transport is TLS and what a connection may cost.
//
// Start reading at ACLs.Authorize; the table of actions is in action.go. Reference sections 6.3 and 6.4.
package security
