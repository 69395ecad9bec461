package bgp

import (
	"context"
	"net/netip"

	"gwlab/gateway/config"
	"gwlab/gateway/state"
)

// Speaker is all the gateway asks of BGP. Its methods may be called from any
// goroutine while Run runs; none of them blocks on the network.
type Speaker interface {
	// Run opens the listener and speaks until ctx ends; it then closes each
	// session with Cease/Administrative Shutdown (RFC 4486).
	Run(ctx context.Context) error
	// Configure makes peers and originated networks exactly these. Unchanged
	// peers keep their session; a change of policy or of timers that no OPEN
	// names (connect retry, keepalive, selection deferral) resets nothing.
	Configure(config.Config) error
	// SetReachable tells whether packets reach the peer (BFD, carrier). While
	// false the peer's paths are not eligible and its session is closed; on
	// true a connection is tried at once, without any back-off.
	SetReachable(peer netip.Addr, reachable bool)
	// Programmed tells that the kernel forwards by these routes of an Update:
	// now they may be announced.
	Programmed(map[netip.Prefix]state.Group)
	// Drain re-announces everything with GRACEFUL_SHUTDOWN (RFC 8326).
	Drain()
	// Status lists the peers, in configuration order.
	Status() []PeerStatus
	// Routes returns best paths of every prefix; for status and tests.
	Routes() map[netip.Prefix]state.Group
}

// Update is what changed in the best paths, for the FIB: prefixes to set and
// prefixes to delete. Emitted in order, batched while the reader is busy.
type Update struct {
	Set    map[netip.Prefix]state.Group
	Delete []netip.Prefix
	At     int64 // CLOCK_MONOTONIC, ns, of the first change in it
}

// PeerEvent is a session transition, or the end of a graceful restart that
// did not succeed: then neither Up nor Stale, after an event that was Stale.
type PeerEvent struct {
	Peer netip.Addr
	Name string
	Up   bool
	// Stale: the session ended but its routes stay, graceful restart (RFC 4724 §4.2).
	Stale bool
	// Synced: End-of-RIB received for every negotiated family.
	Synced bool
	Reason string
	At     int64
}

// PeerStatus is a session as the operator sees it.
type PeerStatus struct {
	Name        string     `json:"name"`
	Address     netip.Addr `json:"address"`
	ASN         uint32     `json:"asn"`
	State       string     `json:"state"` // RFC 4271 §8.2.2 names
	Since       int64      `json:"since_ns"`
	Received    int        `json:"received"` // accepted prefixes in Adj-RIB-In
	Advertised  int        `json:"advertised"`
	HoldTime    float64    `json:"hold_time_s"`
	Restarting  bool       `json:"restarting"`
	Synced      bool       `json:"synced"`
	LastReason  string     `json:"last_reason,omitempty"`
	Established uint64     `json:"established_count"`
}
