// Package event is the one shape in which gatewayd tells what happened: BFD
// and BGP sessions, best paths, FIB programming, repairs. It owns the value
// and its fan-out to subscribers; it refuses to decide anything.
package event

// Event is one observation, on the machine's monotonic clock. Its JSON form
// is the line format of gatewayd's event stream and, with a node name added,
// of a lab's events.jsonl.
type Event struct {
	// T is CLOCK_MONOTONIC in nanoseconds: when it happened, not when it was told.
	T    int64  `json:"t_ns"`
	Kind string `json:"kind"`
	// Key is what it happened to: a peer address, an interface, a prefix.
	Key  string            `json:"key,omitempty"`
	Data map[string]string `json:"data,omitempty"`
}

// The kinds. A kind is "<subject>.<what>"; Data's keys stand behind each.
const (
	BFDUp      = "bfd.up"      // interface, peer, remote_state
	BFDDown    = "bfd.down"    // interface, peer, diag, last_rx_ns, detect_ns
	BGPUp      = "bgp.up"      // peer, asn
	BGPDown    = "bgp.down"    // peer, reason
	BGPSynced  = "bgp.synced"  // peer, family: End-of-RIB received
	BestPath   = "bgp.best"    // changed (number of prefixes), withdrawn
	LinkUp     = "link.up"     // interface
	LinkDown   = "link.down"   // interface
	Repair     = "fib.repair"  // cause, nexthop, groups (number replaced), took_ns
	Program    = "fib.program" // routes, nexthops, groups changed, took_ns
	Mended     = "fib.mended"  // what the audit found different and put right
	Swept      = "fib.swept"   // stale routes removed after a restart
	ConfigGood = "config.applied"
	ConfigBad  = "config.rejected" // error
	Drain      = "daemon.drain"
	Lost       = "events.lost" // events: how many a slow reader of the stream missed before this one
)

// Sink takes events. Implementations must not block the caller: packet
// threads emit too.
type Sink interface{ Emit(Event) }
