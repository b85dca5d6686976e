// Package operations is what offer operations (RESERVE, CREATE ...) do to resources: which resources an operation
// consumes, and what it makes of them. Master and agent share it, so that both come to the same totals.
//
// Start reading at Conversions. valid.go is the form a resource must have, checkpoint.go what of an agent's resources has
// to be written down, text.go how errors show resources. Reference sections 1.6 and 4.5.
package operations
