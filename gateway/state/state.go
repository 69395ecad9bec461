package state

import "net/netip"

// NextHop is one neighbour packets can be sent to.
type NextHop struct {
	Addr      netip.Addr
	Interface string
}

// Group is what a route points at: the primary next hops share the traffic
// (equal cost); the backups share it when no primary lives. Both are sorted
// and free of duplicates; a next hop is never in both.
//
// Routes with equal groups share one kernel nexthop group, so a repair costs
// one message a group whatever the number of routes.
type Group struct {
	Primary []NextHop
	Backup  []NextHop
}

// State is all that gatewayd wants of the kernel, as a plain value.
type State struct {
	// Routes maps each prefix to its group. Both families.
	Routes map[netip.Prefix]Group
	// Down are the next hops known dead (BFD, carrier): no group may use
	// them while another member lives.
	Down map[NextHop]bool
}
