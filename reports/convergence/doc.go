// Package convergence is the arithmetic of failover: from the raw record of
// a run (Run) to outages, RFC 6412 metrics, stages and verdicts (Result). It
// is pure: no clock, no file, no kernel; the same Run gives the same Result.
package convergence
