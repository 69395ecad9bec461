package agent

import (
	"maps"
	"net/netip"
	"slices"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// The causes of a repair, as events name them.
const (
	causeBFD     = "bfd"
	causeCarrier = "carrier" // lost, or the interface was set down
	causeBGP     = "bgp"     // the session ended, and graceful restart keeps nothing
)

// verdict is what BFD says of a peer.
type verdict int

const (
	// unheard: no session, one that was never up since the link came, or one
	// that either end stopped on purpose (RFC 5882 §3.2). BGP decides alone.
	unheard verdict = iota
	alive
	failed
)

// peer is a neighbor as the machine sees it.
type peer struct {
	hop     state.NextHop
	bfd     bool
	verdict verdict
	// stale: its BGP session ended first, and its routes are kept because it
	// said that it forwards while its control plane restarts (RFC 4724).
	stale bool
	// excused: BFD failed while stale and shares the fate of the peer's
	// control plane: that is the restart, and the path lives (RFC 5882 §4.3).
	excused bool
	// lost: its BGP session was up and ended, and its routes are not kept.
	// They are withdrawn one by one; no packet needs to wait for that.
	lost      bool
	reachable bool // as BGP was told
}

// machine derives from events which next hops are dead and which peers can be
// reached. It is pure: no clock, no lock, no call.
type machine struct {
	peers map[netip.Addr]*peer
	links map[string]bool        // up or not; a link not heard of is in neither
	hops  map[state.NextHop]bool // all in use; true: the kernel was told that it is dead
}

// actions is what an event leads to, in the order in which it must happen.
type actions struct {
	fail    []state.NextHop
	cause   string // of fail
	restore []state.NextHop
	reach   []reach
}

// reach is one call of bgp.Speaker.SetReachable.
type reach struct {
	peer      netip.Addr
	reachable bool
}

func newMachine() *machine {
	return &machine{
		peers: map[netip.Addr]*peer{},
		links: map[string]bool{},
		hops:  map[state.NextHop]bool{},
	}
}

// configure makes the peers these. One that stays keeps what is known of it.
func (m *machine) configure(neighbors []config.Neighbor) actions {
	wanted := map[netip.Addr]bool{}
	for _, n := range neighbors {
		wanted[n.Address] = true
		hop := state.NextHop{Addr: n.Address, Interface: n.Interface}
		p := m.peers[n.Address]
		if p == nil || p.hop != hop {
			p = &peer{hop: hop, reachable: p == nil || p.reachable}
			m.peers[n.Address] = p
		}
		if p.bfd = !n.BFD.Off; !p.bfd {
			p.verdict, p.excused = unheard, false
		}
		m.use(hop)
	}
	maps.DeleteFunc(m.peers, func(a netip.Addr, _ *peer) bool { return !wanted[a] })
	return m.settle(causeCarrier)
}

// detected takes a change of a BFD session in.
func (m *machine) detected(c bfd.Change) actions {
	p := m.peers[c.Key.Peer]
	if p == nil || !p.bfd || p.hop.Interface != c.Key.Interface {
		return actions{}
	}
	switch {
	case c.State == bfd.Up:
		p.verdict, p.excused = alive, false
	case c.State == bfd.AdminDown || c.RemoteState == bfd.AdminDown:
		p.verdict, p.excused = unheard, false
	case c.PathFailed() && !m.linkDown(p.hop.Interface): // a dead link is known by itself
		p.verdict = failed
		p.excused = p.stale && !c.RemoteIndependent
	}
	return m.settle(causeBFD)
}

// link takes the state of an interface in. While it is down BFD has nothing
// to add, and when it is back BFD starts afresh: BGP may connect at once.
func (m *machine) link(e kernel.LinkEvent) actions {
	up, known := m.links[e.Interface]
	m.links[e.Interface] = e.Up
	if known && up == e.Up {
		return actions{}
	}
	for _, p := range m.peers {
		if p.hop.Interface == e.Interface && !e.Up {
			p.verdict, p.excused = unheard, false
		}
	}
	a := m.settle(causeCarrier)
	if e.Up { // the kernel gives nothing back by itself
		for h, dead := range m.hops {
			if h.Interface == e.Interface && !dead && !slices.Contains(a.restore, h) {
				a.restore = append(a.restore, h)
			}
		}
		slices.SortFunc(a.restore, state.NextHop.Compare)
	}
	return a
}

// session takes a BGP session's transition in.
func (m *machine) session(e bgp.PeerEvent) actions {
	p := m.peers[e.Peer]
	if p == nil {
		return actions{}
	}
	p.stale = e.Stale
	p.lost = !e.Up && !e.Stale
	if !p.lost {
		return m.settle(causeBFD)
	}
	p.excused = false // it did not come back in time: BFD was right
	return m.settle(causeBGP)
}

// use takes a next hop in; what the kernel was told of it stays.
func (m *machine) use(h state.NextHop) {
	if _, known := m.hops[h]; !known {
		m.hops[h] = false
	}
}

// learn takes in next hops that routes use.
func (m *machine) learn(hops []state.NextHop) actions {
	for _, h := range hops {
		m.use(h)
	}
	return m.settle(causeCarrier)
}

// settle compares what follows from all that is known with what was told.
func (m *machine) settle(cause string) actions {
	a := actions{cause: cause}
	owners := map[state.NextHop]*peer{}
	for _, p := range m.peers {
		owners[p.hop] = p
	}
	for _, h := range slices.SortedFunc(maps.Keys(m.hops), state.NextHop.Compare) {
		dead := m.dead(h, owners[h]) || owners[h] != nil && owners[h].lost
		switch {
		case dead && !m.hops[h]:
			a.fail = append(a.fail, h)
		case !dead && m.hops[h]:
			a.restore = append(a.restore, h)
		}
		m.hops[h] = dead
	}
	for _, addr := range slices.SortedFunc(maps.Keys(m.peers), netip.Addr.Compare) {
		p := m.peers[addr]
		if reachable := !m.dead(p.hop, p); reachable != p.reachable {
			p.reachable = reachable
			a.reach = append(a.reach, reach{addr, reachable})
		}
	}
	return a
}

func (m *machine) dead(h state.NextHop, owner *peer) bool {
	return m.linkDown(h.Interface) || (owner != nil && owner.verdict == failed && !owner.excused)
}

func (m *machine) linkDown(name string) bool {
	up, known := m.links[name]
	return known && !up
}
