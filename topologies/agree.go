package topologies

import (
	"net/netip"
	"slices"
	"strings"

	"gwlab/internal/strictyaml"
)

// checkPortsOf refuses per-port settings of ports the node has not.
func (b *builder) checkPortsOf(n *Node) {
	var known []string
	for _, p := range n.Ports {
		known = append(known, p.Name)
	}
	spec, _ := b.spec.Topology.Nodes.Get(n.Name)
	for _, e := range spec.Neighbors {
		if n.Port(e.Key) == nil {
			b.keyErrorf(strictyaml.Path(nodePath(n.Name)+".neighbors", e.Key), "%s has no such port: %s", n.Name,
				strictyaml.Unknown("port", e.Key, known))
		}
	}
}

// checkOriginated refuses prefixes that two nodes would dispute.
func (b *builder) checkOriginated() {
	type claim struct {
		prefix netip.Prefix
		by     *Node
	}
	var claims []claim
	for _, n := range b.t.Nodes {
		if len(n.Originate) > 0 && !n.Speaks() {
			b.errorf(nodePath(n.Name)+".originate", "%s speaks no BGP: write its asn", n.Name)
		}
		for i, p := range n.Originate {
			if slices.Contains(n.Originate[:i], p) {
				b.errorf(nodePath(n.Name)+".originate", "prefix %s is written twice", p)
			}
			for _, c := range claims {
				// One AS may announce a prefix from several places: anycast.
				anycast := c.prefix == p && c.by.ASN == n.ASN
				if c.by != n && p.Bits() > 0 && c.prefix.Overlaps(p) && !anycast {
					b.errorf(nodePath(n.Name)+".originate", "prefix %s overlaps %s of %s: choose another", p, c.prefix, c.by.Name)
				}
			}
			if p.Bits() > 0 {
				claims = append(claims, claim{p, n})
				b.addressing.avoid = append(b.addressing.avoid, p)
			}
		}
	}
}

// checkSegments refuses hosts without a router, nodes that meet themselves,
// and link subnets taken from a prefix that lives elsewhere.
func (b *builder) checkSegments() {
	for _, s := range b.addressing.segments {
		seen := map[*Node]*Port{}
		for _, p := range s.ports {
			if other := seen[p.Node]; other != nil {
				b.errorf(linkPath(p.Link.Index)+".endpoints", "%s and %s are on one segment: a node has one port there", other.Endpoint(), p.Endpoint())
			}
			seen[p.Node] = p
		}
	}
	for _, n := range b.t.Nodes {
		if n.isEnd() && !b.hasRouter(n) {
			b.keyErrorf(nodePath(n.Name), "%s %s has no router: link it to a gateway, router, frr or bird node, directly or through a bridge", n.Kind, n.Name)
		}
	}
	for _, w := range b.addressing.written {
		for _, n := range b.t.Nodes {
			here := slices.ContainsFunc(w.segment.ports, func(p *Port) bool { return p.Node == n })
			for _, p := range n.Originate {
				if !here && p.Bits() > 0 && p.Overlaps(w.prefix) {
					b.errorf(b.writtenPath(w), "subnet %s overlaps %s, which %s originates", w.prefix, p, n.Name)
				}
			}
		}
	}
}

// writtenPath is where the addresses of a segment's first link stand.
func (b *builder) writtenPath(w writtenSubnet) string {
	port := b.t.Port(Endpoint(w.path))
	return linkPath(port.Link.Index) + "." + familyOf(w.prefix.Addr())
}

// hasRouter reports whether every port of an end reaches a router.
func (b *builder) hasRouter(n *Node) bool {
	for _, s := range b.addressing.segments {
		on := slices.ContainsFunc(s.ports, func(p *Port) bool { return p.Node == n })
		if on && len(s.routers()) == 0 {
			return false
		}
	}
	return len(n.Ports) > 0
}

// agree refuses sessions whose two ends could never agree.
func (b *builder) agree() {
	for _, s := range b.t.Sessions() {
		a, z := s.Local.Node, s.Remote.Node
		if a.BGP.Password != "" && z.BGP.Password != "" && a.BGP.Password != z.BGP.Password {
			b.errorf(nodePath(z.Name)+".bgp.password", "%s and %s are peers with different passwords: write the same, or one only", a.Name, z.Name)
		}
		if a.Role != "" && z.Role != "" && a.ASN == z.ASN && a.Role != z.Role {
			b.errorf(nodePath(z.Name)+".asn", "%s (%s) and %s (%s) are peers in AS %d: roles that differ need AS numbers that differ",
				a.Name, a.Role, z.Name, z.Role, a.ASN)
		}
	}
	b.errs = dedupe(b.errs)
}

// dedupe leaves one error for the two families of a session.
func dedupe(errs strictyaml.Errors) strictyaml.Errors {
	return slices.CompactFunc(errs, func(a, b *strictyaml.Error) bool { return strings.Compare(a.Error(), b.Error()) == 0 })
}
