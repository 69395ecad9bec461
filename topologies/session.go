package topologies

import "net/netip"

// Sessions returns every BGP adjacency once, seen from the node that stands
// first in the file: one for each family, between any two speakers on a link
// or on links that bridges join.
func (t *Topology) Sessions() []Session {
	place := map[*Node]int{}
	for i, n := range t.Nodes {
		place[n] = i
	}
	var out []Session
	for _, s := range t.allSessions() {
		if place[s.Local.Node] < place[s.Remote.Node] {
			out = append(out, s)
		}
	}
	return out
}

// SessionsOf returns the BGP adjacencies of a node, seen from it, in the
// order of its links.
func (t *Topology) SessionsOf(n *Node) []Session {
	var out []Session
	for _, s := range t.allSessions() {
		if s.Local.Node == n {
			out = append(out, s)
		}
	}
	return out
}

// allSessions returns every adjacency from both its ends.
func (t *Topology) allSessions() []Session {
	var out []Session
	segments, _ := t.segments()
	for _, s := range segments {
		for _, local := range s.ports {
			for _, remote := range s.ports {
				if local.Node == remote.Node || !local.Node.Speaks() || !remote.Node.Speaks() {
					continue
				}
				for _, family := range Families() {
					l, r := local.Addr(family), remote.Addr(family)
					if l.IsValid() && r.IsValid() {
						out = append(out, Session{local, remote, l, r, family})
					}
				}
			}
		}
	}
	return out
}

// Internal reports whether the session is iBGP.
func (s Session) Internal() bool { return s.Local.Node.ASN == s.Remote.Node.ASN }

// Password is the session's TCP MD5 key: either end may have written it.
func (s Session) Password() string {
	if p := s.Local.Node.BGP.Password; p != "" {
		return p
	}
	return s.Remote.Node.BGP.Password
}

// TTLSecurity reports whether either end asks for RFC 5082.
func (s Session) TTLSecurity() bool {
	return s.Local.Node.BGP.TTLSecurity || s.Remote.Node.BGP.TTLSecurity
}

// BFD reports whether a BFD session guards this one: neither end has it off.
func (s Session) BFD() bool { return !s.Local.Node.BFD.Off && !s.Remote.Node.BFD.Off }

// Policy is what the local node's file overrides for this session.
func (s Session) Policy() Policy { return s.Local.Node.Neighbors[s.Local.Name] }

// Export is what roles let s.Local announce to s.Remote: exactly these
// prefixes of the session's family, or everything. The rules are those
// between customers, providers and peers, so that no site becomes transit:
//
//	gateway → gateway             everything
//	gateway → isp, core           what the site originates (gateways and tors)
//	gateway → tor                 the default route
//	tor     → any                 what it originates
//	isp     → gateway, tor        everything
//	isp     → isp, core           what it and the site originate
//	core    → any                 what it originates
//	without role, on either end   everything
func (t *Topology) Export(s Session) (prefixes []netip.Prefix, all bool) {
	local, remote := s.Local.Node, s.Remote.Node
	own := func(n *Node) bool { return n == local }
	site := func(n *Node) bool { return n.Role == "gateway" || n.Role == "tor" }
	if remote.Role == "" {
		return nil, true
	}
	switch local.Role {
	case "gateway":
		switch remote.Role {
		case "gateway":
			return nil, true
		case "tor":
			return []netip.Prefix{DefaultRoute(s.Family)}, false
		}
		return t.originated(s.Family, site), false
	case "isp":
		if remote.Role == "gateway" || remote.Role == "tor" {
			return nil, true
		}
		return t.originated(s.Family, func(n *Node) bool { return own(n) || site(n) }), false
	case "tor", "core":
		return t.originated(s.Family, own), false
	}
	return nil, true
}

// originated are the prefixes of a family that some nodes write, each once.
func (t *Topology) originated(family string, by func(*Node) bool) []netip.Prefix {
	out := []netip.Prefix{}
	seen := map[netip.Prefix]bool{}
	for _, n := range t.Nodes {
		for _, p := range n.Originate {
			if by(n) && !seen[p] && familyOf(p.Addr()) == family {
				out = append(out, p)
				seen[p] = true
			}
		}
	}
	return out
}

// Provider reports whether the node offers the default routes to all it may
// announce everything to.
func (n *Node) Provider() bool { return n.Role == "isp" }
