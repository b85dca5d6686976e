// Package marathon runs legacy processes the way Marathon does: an app is a command with a number of instances that are
// kept running on the datacenter's agents, spoken to through Marathon's REST API (/v2/apps ...), so that an existing app
// JSON just runs.
//
//	REST (server.go) --+                                  +--> session: Accept, Decline, Kill, Revive ...
//	session events ----+--> owner.Loop --> Core.Step -----+--> store (before everything else)
//	probe results -----+        (one goroutine, PURE)     +--> probes (prober.go), /v2/events (hub.go)
//
// The core is level-triggered: whatever happened, plan compares an app with its instances and says how many to launch
// and which to kill; a rolling upgrade is nothing but that comparison repeated. A deployment is the record that an app
// has not yet become what was asked.
//
// An instance whose agent is unreachable counts as running for unreachableStrategy.inactiveAfterSeconds (default 300),
// is then replaced, and is forgotten after expungeAfterSeconds (default 600): should it come back later, it is killed.
//
// Start reading at Core.Step (core.go), then plan (plan.go) and match (match.go).
package marathon
