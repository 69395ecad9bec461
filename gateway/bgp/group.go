package bgp

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"gwlab/gateway/state"
)

// group is a state.Group shared by all prefixes it is the answer for, so
// that a change of group is a change of pointer.
type group struct{ state.Group }

// groupLimit bounds the remembered groups; past it they are forgotten and made
// again when needed. Next hops keep their number for the life of the Router.
const groupLimit = 1 << 14

// groups hands out shared groups and small numbers for next hops.
type groups struct {
	ids   map[state.NextHop]uint32
	hops  []state.NextHop
	known map[string]*group
	key   []byte
}

func newGroups() *groups {
	return &groups{ids: map[state.NextHop]uint32{}, known: map[string]*group{}}
}

// id numbers a next hop.
func (g *groups) id(addr netip.Addr, iface string) uint32 {
	h := state.NextHop{Addr: addr, Interface: iface}
	if id, ok := g.ids[h]; ok {
		return id
	}
	id := uint32(len(g.hops))
	g.hops = append(g.hops, h)
	g.ids[h] = id
	return id
}

// of returns the group of these paths; nil when there are none.
func (g *groups) of(primary, backup []path) *group {
	if len(primary) == 0 {
		return nil
	}
	g.key = g.key[:0]
	g.appendIDs(primary)
	split := len(g.key)
	g.appendIDs(backup)
	g.key = append(g.key, byte(split/4)) // at most 64 primaries
	if known, ok := g.known[string(g.key)]; ok {
		return known
	}
	if len(g.known) >= groupLimit {
		clear(g.known)
	}
	made := &group{state.Group{
		Primary: g.members(g.key[:split]),
		Backup:  g.members(g.key[split : len(g.key)-1]),
	}}
	g.known[string(g.key)] = made
	return made
}

// appendIDs adds the paths' next hops to the key, in order and once each.
func (g *groups) appendIDs(ps []path) {
	from := len(g.key)
	for _, p := range ps {
		id := p.peer.hopID(p.attrs)
		at := from
		for at < len(g.key) && binary.BigEndian.Uint32(g.key[at:]) < id {
			at += 4
		}
		if at < len(g.key) && binary.BigEndian.Uint32(g.key[at:]) == id {
			continue
		}
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], id)
		g.key = slices.Insert(g.key, at, b[:]...)
	}
}

func (g *groups) members(key []byte) []state.NextHop {
	if len(key) == 0 {
		return nil
	}
	out := make([]state.NextHop, 0, len(key)/4)
	for ; len(key) > 0; key = key[4:] {
		out = append(out, g.hops[binary.BigEndian.Uint32(key)])
	}
	slices.SortFunc(out, func(a, b state.NextHop) int {
		if c := a.Addr.Compare(b.Addr); c != 0 {
			return c
		}
		return strings.Compare(a.Interface, b.Interface)
	})
	return out
}
