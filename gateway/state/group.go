package state

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// Compare orders next hops by address, then by interface name.
func (n NextHop) Compare(o NextHop) int {
	return cmp.Or(n.Addr.Compare(o.Addr), cmp.Compare(n.Interface, o.Interface))
}

// String is "address@interface".
func (n NextHop) String() string { return n.Addr.String() + "@" + n.Interface }

// normal drops what the kernel would not tell apart: the zone of a link-local
// address (the interface says it already) and the IPv4-mapped form.
func (n NextHop) normal() NextHop {
	return NextHop{Addr: n.Addr.Unmap().WithZone(""), Interface: n.Interface}
}

// Key identifies a group's content. Equal groups have equal keys, and only they.
type Key string

// Normalise returns the group sorted and free of duplicates; a next hop that
// is both primary and backup stays primary. The receiver is not changed.
func (g Group) Normalise() Group {
	primary := normalise(g.Primary, nil)
	return Group{Primary: primary, Backup: normalise(g.Backup, primary)}
}

// normalise sorts and deduplicates a copy of hops, leaving out those in except.
func normalise(hops, except []NextHop) []NextHop {
	if len(hops) == 0 {
		return nil
	}
	out := make([]NextHop, 0, len(hops))
	for _, h := range hops {
		if h = h.normal(); !slices.Contains(except, h) {
			out = append(out, h)
		}
	}
	slices.SortFunc(out, NextHop.Compare)
	return slices.Compact(out)
}

// Key returns the identity of the normalised group.
func (g Group) Key() Key { return Key(g.Normalise().String()) }

// Equal tells whether both groups, normalised, have the same primaries and
// the same backups.
func (g Group) Equal(o Group) bool {
	a, b := g.Normalise(), o.Normalise()
	return slices.Equal(a.Primary, b.Primary) && slices.Equal(a.Backup, b.Backup)
}

// Empty tells whether the group has no next hop at all.
func (g Group) Empty() bool { return len(g.Primary)+len(g.Backup) == 0 }

// Hops returns primaries and then backups, in the order they stand.
func (g Group) Hops() []NextHop { return slices.Concat(g.Primary, g.Backup) }

// String is the primaries, then "backup" and the backups if there are any.
func (g Group) String() string {
	var b strings.Builder
	writeHops(&b, g.Primary)
	if len(g.Backup) > 0 {
		if len(g.Primary) > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("backup ")
		writeHops(&b, g.Backup)
	}
	return b.String()
}

func writeHops(b *strings.Builder, hops []NextHop) {
	for i, h := range hops {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(h.String())
	}
}

// Members returns the next hops that shall carry the group's traffic: the
// living primaries; when none lives, the living backups; when all are dead,
// the primaries after all (or the backups of a group without primaries): a
// group with a member at all is never empty, because a verdict of "dead" may
// be wrong and a missing route certainly loses the packet.
func Members(g Group, down map[NextHop]bool) []NextHop {
	for _, hops := range [][]NextHop{g.Primary, g.Backup} {
		if alive := living(hops, down); len(alive) > 0 {
			return alive
		}
	}
	if len(g.Primary) > 0 {
		return g.Primary
	}
	return g.Backup
}

func living(hops []NextHop, down map[NextHop]bool) []NextHop {
	out := make([]NextHop, 0, len(hops))
	for _, h := range hops {
		if !down[h] {
			out = append(out, h)
		}
	}
	return out
}

// ComparePrefix orders prefixes as routers print them: IPv4 before IPv6, then
// by address, then the shorter one first.
func ComparePrefix(a, b netip.Prefix) int {
	return cmp.Or(a.Addr().Compare(b.Addr()), cmp.Compare(a.Bits(), b.Bits()))
}
