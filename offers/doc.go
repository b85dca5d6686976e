// Package offers decides who is offered what: fixed-point amounts, the tree of roles, weighted dominant resource
// fairness (DRF), refusals.
//
// It is pure: no clock, no goroutine, no I/O; the only randomness is a seed passed in.
//
// Start reading at State, the ledger that the master's core owns and keeps up to date: agents and what is booked on
// them, frameworks, weights, refusals. A round is three calls:
//
//	state.Advance(now)             // refusals that have run out are forgotten
//	plan := state.Allocate(seed)   // decides; changes nothing
//	err := state.Apply(plan)       // books the grants; the caller sends them as offers
//
// An offer's resources are booked from Apply on. Launching from an offer needs no call: the resources stay booked until
// Release (task ended, offer rescinded) or Refuse (declined, or the rest of an accepted offer) gives them back.
//
// Why a ledger that lives on, and not a snapshot per round: a snapshot of 10,000 agents costs more than the decision.
// The ledger also remembers, per agent, which clients (a framework in one of its roles) it can't serve, so that a round
// costs what has changed and not agents times frameworks; see marks.
//
// The rules, by file: resources.go the algebra; order.go who goes first (rows ALC-01 to ALC-07 of docs/reference/mesos.md);
// round.go one round; choice.go what a client may get of an agent (rows RUN-*, OFF-10, OFF-12, OFF-13); quota.go and
// budget.go guarantees and limits (rows RUN-02 to RUN-05); ledger.go booking; convert.go operations; filters.go refusals;
// marks.go and classes.go what saves work; explain.go why a framework is offered nothing. The oracle_*_test.go say the same
// once more, slowly and literally.
package offers
