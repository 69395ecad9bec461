package kernel

import (
	"context"
	"net/netip"
	"time"

	"gwlab/gateway/state"
)

// FIB is the daemon's hand on the kernel's routes. One goroutine calls Set,
// Update, Audit and Sweep; Fail and Restore may be called from another (the
// fast path) at the same time, and Dump from any.
type FIB interface {
	// Adopt reads what an earlier run left (routes and nexthop objects of
	// this protocol) and marks it stale; nothing is removed. Packets keep flowing.
	Adopt() error
	// Set makes the kernel's state exactly this one, except that stale
	// routes stay until Sweep.
	Set(state.State) (Applied, error)
	// Update applies a difference: routes to set and to delete. It also brings
	// back routes that the kernel lost with their group, even when empty. The
	// groups' slices are kept: nobody may write to them afterwards.
	Update(set map[netip.Prefix]state.Group, del []netip.Prefix) (Applied, error)
	// Fail takes a next hop out of every group that uses it, before anything
	// else is computed: one message does it for all groups and all routes.
	Fail(state.NextHop) (Applied, error)
	// Restore puts it back: one message a group.
	Restore(state.NextHop) (Applied, error)
	// Sweep removes routes still stale. It returns how many.
	Sweep() (int, error)
	// Audit compares the kernel with the desired state and mends it.
	Audit() (mended []string, err error)
	// CleanUp removes all that this protocol owns.
	CleanUp() error
	// Dump is the desired state and the kernel's, as text, for goldens and status.
	Dump() (string, error)
	// Close closes the sockets and leaves the kernel as it is.
	Close() error
}

// Applied says what one call changed and how long the kernel took.
type Applied struct {
	Routes, NextHops, Groups int
	Took                     time.Duration
}

// LinkEvent is a carrier or admin change of an interface, or its addresses.
type LinkEvent struct {
	Interface string
	Index     int
	Up        bool // IFF_UP and carrier
	At        int64
}

// Links watches the interfaces. The first events describe what is there now.
type Links interface {
	// Run sends to out until ctx ends, which is no error.
	Run(ctx context.Context, out chan<- LinkEvent) error
}
