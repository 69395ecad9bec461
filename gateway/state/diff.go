package state

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

// Changes lead from one State to another.
type Changes struct {
	// Set holds the routes that are new or point at another group.
	Set map[netip.Prefix]Group
	// Delete lists the routes that go, sorted.
	Delete []netip.Prefix
	// Failed and Restored are the next hops that entered and left Down, sorted.
	Failed, Restored []NextHop
}

// Empty tells whether there is nothing to change.
func (c Changes) Empty() bool {
	return len(c.Set)+len(c.Delete)+len(c.Failed)+len(c.Restored) == 0
}

// Diff returns what must change for before to become after.
func Diff(before, after State) Changes {
	c := Changes{Set: map[netip.Prefix]Group{}}
	for p, g := range after.Routes {
		if old, ok := before.Routes[p]; !ok || !old.Equal(g) {
			c.Set[p] = g
		}
	}
	for p := range before.Routes {
		if _, ok := after.Routes[p]; !ok {
			c.Delete = append(c.Delete, p)
		}
	}
	slices.SortFunc(c.Delete, ComparePrefix)
	c.Failed = added(before.Down, after.Down)
	c.Restored = added(after.Down, before.Down)
	return c
}

// added returns the next hops true in b and not in a, sorted.
func added(a, b map[NextHop]bool) []NextHop {
	var out []NextHop
	for n, down := range b {
		if down && !a[n] {
			out = append(out, n)
		}
	}
	slices.SortFunc(out, NextHop.Compare)
	return out
}

// Equal tells whether both states want the same of the kernel.
func (s State) Equal(o State) bool { return Diff(s, o).Empty() }

// Clone returns a copy that shares nothing that changes: maps are copied,
// groups are values nobody writes to.
func (s State) Clone() State {
	c := State{Routes: maps.Clone(s.Routes), Down: maps.Clone(s.Down)}
	if c.Routes == nil {
		c.Routes = map[netip.Prefix]Group{}
	}
	if c.Down == nil {
		c.Down = map[NextHop]bool{}
	}
	return c
}

// String is the whole state as text, one line a route and a dead next hop,
// sorted, so that two states compare with a text diff.
func (s State) String() string {
	var b strings.Builder
	for _, p := range slices.SortedFunc(maps.Keys(s.Routes), ComparePrefix) {
		fmt.Fprintf(&b, "route %s via %s\n", p, s.Routes[p].Normalise())
	}
	for _, n := range added(nil, s.Down) {
		fmt.Fprintf(&b, "down %s\n", n)
	}
	return b.String()
}
