package config

import (
	"net/netip"
	"time"
)

// Config is what the operator wants of one gatewayd, validated and with
// defaults filled in.
type Config struct {
	ASN      uint32
	RouterID netip.Addr
	// Socket is the unix socket of the status API; default /run/gatewayd/gatewayd.sock.
	Socket string
	// StateDir keeps what must survive a restart; default /var/lib/gatewayd.
	StateDir string
	// Metrics is "host:port" of a Prometheus listener, empty for none (the
	// unix socket serves /metrics always).
	Metrics string
	BFD     BFD // defaults of every neighbour
	BGP     BGP
	// Drain is how long a graceful stop waits after announcing
	// GRACEFUL_SHUTDOWN (RFC 8326) before it closes its sessions; default 1 s.
	Drain     time.Duration
	Networks  []Network
	Neighbors []Neighbor
	// Table is the kernel routing table; default 254 (main).
	Table int
	// MultipathHash: "l3", "l4" (default), "inner".
	MultipathHash string
}

// BFD are session timers (RFC 5880 §6.8.1).
type BFD struct {
	Off        bool
	Interval   time.Duration // DesiredMinTx and RequiredMinRx, 10 ms … 60 s; default 50 ms
	Multiplier int           // 1 … 255; default 3
}

// BGP are defaults of every session.
type BGP struct {
	Port            int           // default 179
	HoldTime        time.Duration // 0 or ≥ 3 s; default 9 s
	Keepalive       time.Duration // default a third of HoldTime
	ConnectRetry    time.Duration // default 500 ms
	Multipath       int           // 1 … 64, default 8
	GracefulRestart GracefulRestart
}

// GracefulRestart is RFC 4724, both as restarting and as receiving speaker.
type GracefulRestart struct {
	Off         bool
	RestartTime time.Duration // 1 … 4095 s; default 30 s
	// SelectionDeferral bounds how long a restarted speaker waits for
	// End-of-RIB before it sweeps stale routes; default 30 s.
	SelectionDeferral time.Duration
}

// Network is what this speaker originates.
type Network struct {
	Prefix netip.Prefix
	// Length and Count, when set, originate Count prefixes of that length
	// cut from Prefix in order: a synthetic table.
	Length, Count int
}

// Neighbor is one BGP peer, single hop.
type Neighbor struct {
	Name         string // shown in status and events; default the address
	Address      netip.Addr
	LocalAddress netip.Addr // zero: the interface's address of that family
	Interface    string     // required: BFD and repair are per interface
	ASN          uint32
	Passive      bool
	Password     string // RFC 2385
	TTLSecurity  bool   // RFC 5082: send 255, accept only 255
	BFD          BFD    // merged over Config.BFD
	NextHopSelf  bool
	Import       Filter
	Export       Filter
	// MaxPrefixes from this peer, 0 unlimited; over it the session ends with
	// Cease/1 (RFC 4486) and stays down for ConnectRetry × 60, or until link or
	// BFD go down and come up.
	MaxPrefixes int
}

// Filter is a policy in one direction.
type Filter struct {
	// Prefixes accepted; nil accepts all, an empty list none.
	Prefixes []PrefixRule
	// LocalPref set on import, 0 leaves it.
	LocalPref uint32
	// Prepend own AS this many extra times on export.
	Prepend int
	// MED set on export when MEDSet.
	MED    uint32
	MEDSet bool
	// Communities added on export.
	Communities []uint32
}

// PrefixRule matches Prefix itself and, up to length Le, what it covers.
// Ge 0 means Prefix's own length, Le 0 means Ge.
type PrefixRule struct {
	Prefix netip.Prefix
	Ge, Le int
}
