package topologies

import (
	"fmt"
	"net/netip"
	"slices"
)

// gatewayASN is the AS of every gateway; other roles count on from it.
const gatewayASN = 65000

// speaks reports whether nodes of a kind route, and so need an AS number.
func routes(kind string) bool {
	return slices.Contains([]string{"gateway", "router", "frr", "bird"}, kind)
}

// identify gives every speaker its AS number and router id, and the lab its name.
func (b *builder) identify() {
	b.t.Name, b.t.About = b.spec.Name, b.spec.About
	used := map[uint32]bool{gatewayASN: true}
	ids := map[netip.Addr]*Node{}
	for _, n := range b.t.Nodes {
		used[n.ASN] = true
		if n.RouterID.IsValid() {
			if other := ids[n.RouterID]; other != nil {
				b.errorf(nodePath(n.Name)+".router-id", "router-id %s is used by %s already: each speaker has its own", n.RouterID, other.Name)
			}
			ids[n.RouterID] = n
		}
	}
	next := uint32(gatewayASN)
	id := routerIDPool().Addr()
	for _, n := range b.t.Nodes {
		switch {
		case !routes(n.Kind) || n.ASN != 0:
		case n.Role == "gateway":
			n.ASN = gatewayASN
		case n.Role == "":
			b.keyErrorf(nodePath(n.Name), "node %s has neither asn nor role: write asn: 65001, or a role to take one by", n.Name)
		default:
			for used[next] {
				next++
			}
			n.ASN, used[next] = next, true
		}
		if n.ASN != 0 && !n.RouterID.IsValid() {
			for id = id.Next(); ids[id] != nil; id = id.Next() {
			}
			n.RouterID, ids[id] = id, n
		}
	}
}

// addressing is what the address plan needs to remember.
type addressing struct {
	segments []*segment
	avoid    []netip.Prefix // originated, or written on links
	pools    map[netip.Prefix]*pool
	written  []writtenSubnet
	owner    map[netip.Addr]*Port
}

type writtenSubnet struct {
	prefix  netip.Prefix
	segment *segment
	path    string
}

// address gives every port its addresses: those written, then the rest in
// link order.
func (b *builder) address() {
	segments, loops := b.t.segments()
	for _, l := range loops {
		b.errorf(linkPath(l.Index), "link %s closes a loop of bridges: remove it", l)
	}
	b.addressing = addressing{segments: segments, pools: map[netip.Prefix]*pool{}, owner: map[netip.Addr]*Port{}}
	b.checkOriginated()
	b.placeWritten()
	b.checkSegments()
	if len(b.errs) > 0 {
		return
	}
	for _, s := range segments {
		for _, family := range Families() {
			b.addressSegment(s, family)
		}
		for _, p := range s.ports {
			slices.SortStableFunc(p.Addresses, func(a, b netip.Prefix) int { return a.Addr().BitLen() - b.Addr().BitLen() })
		}
	}
}

// addressSegment gives each port of a segment its address of a family, and
// each end its default route.
func (b *builder) addressSegment(s *segment, family string) {
	ordered := append(s.routers(), s.ends()...)
	if len(ordered) == 0 {
		return
	}
	var subnet netip.Prefix
	for _, w := range b.addressing.written {
		if w.segment == s && familyOf(w.prefix.Addr()) == family {
			subnet = w.prefix
		}
	}
	if !subnet.IsValid() {
		var ok bool
		if subnet, ok = b.cutSubnet(s, family); !ok {
			return
		}
	}
	free := slices.DeleteFunc(ordered, func(p *Port) bool { return p.Addr(family).IsValid() })
	hosts(subnet, func(a netip.Addr) bool {
		if b.addressing.owner[a] == nil && len(free) > 0 {
			free[0].Addresses = append(free[0].Addresses, netip.PrefixFrom(a, subnet.Bits()))
			b.addressing.owner[a] = free[0]
			free = free[1:]
		}
		return len(free) > 0
	})
	if len(free) > 0 {
		b.errorf(linkPath(free[0].Link.Index), "%s is full: no address for %s, write a larger subnet", subnet, free[0].Endpoint())
	}
	if len(s.ends()) > 0 {
		announce(s, subnet)
	}
	for _, p := range s.ends() {
		p.DefaultVia = append(p.DefaultVia, s.routers()[0].Addr(family))
	}
}

// cutSubnet takes a subnet from the pool that suits the segment.
func (b *builder) cutSubnet(s *segment, family string) (netip.Prefix, bool) {
	bits := subnetBits(s, family)
	pools := []netip.Prefix{linkPool(family)}
	avoid := b.addressing.avoid
	if len(s.ends()) > 0 {
		if pools = originatedBy(s, family); len(pools) > 0 {
			avoid = b.addressing.writtenPrefixes()
		} else {
			pools = documentation(family)
		}
	}
	for _, from := range pools {
		p := b.addressing.pools[from]
		if p == nil {
			p = &pool{prefix: from}
			b.addressing.pools[from] = p
		}
		if subnet, ok := p.cut(max(bits, from.Bits()), avoid); ok {
			return subnet, true
		}
	}
	b.errorf(linkPath(s.links[0].Index), "no /%d is left in %v for this link: write its %s addresses", bits, pools, family)
	return netip.Prefix{}, false
}

// subnetBits is the prefix length a derived subnet has: /31 and /127 between
// two routers; with hosts, or more ports, /28 (shorter for many) and /64.
func subnetBits(s *segment, family string) int {
	pointToPoint := len(s.ports) <= 2 && len(s.ends()) == 0
	switch {
	case family == "ipv6" && pointToPoint:
		return 127
	case family == "ipv6":
		return 64
	case pointToPoint:
		return 31
	}
	bits := 28
	for 1<<(32-bits)-2 < len(s.ports) {
		bits--
	}
	return bits
}

// originatedBy are the prefixes a host subnet may be cut from: what the
// segment's routers originate, if it has room for a router and a host.
func originatedBy(s *segment, family string) []netip.Prefix {
	var out []netip.Prefix
	for _, r := range s.routers() {
		for _, p := range r.Node.Originate {
			if familyOf(p.Addr()) == family && p.Bits() > 0 && p.Addr().BitLen()-p.Bits() >= 2 {
				out = append(out, p)
			}
		}
	}
	return out
}

// announce lets the speakers beside hosts originate their subnet, unless one
// originates a prefix around it, so that the rest of the network can reach
// them. Of speakers in several ASes only those of the first one's do.
func announce(s *segment, subnet netip.Prefix) {
	speakers := s.pick((*Node).Speaks)
	for _, r := range speakers {
		for _, p := range r.Node.Originate {
			if p.Bits() > 0 && p.Overlaps(subnet) && p.Bits() <= subnet.Bits() {
				return
			}
		}
	}
	for _, r := range speakers {
		if r.Node.ASN == speakers[0].Node.ASN {
			r.Node.Originate = append(r.Node.Originate, subnet)
		}
	}
}

func (a *addressing) writtenPrefixes() []netip.Prefix {
	out := make([]netip.Prefix, len(a.written))
	for i, w := range a.written {
		out[i] = w.prefix
	}
	return out
}

// placeWritten takes the addresses written on links.
func (b *builder) placeWritten() {
	for _, s := range b.addressing.segments {
		for _, l := range s.links {
			spec := b.spec.Topology.Links[l.Index]
			b.placeOnLink(s, l, "ipv4", spec.IPv4)
			b.placeOnLink(s, l, "ipv6", spec.IPv6)
		}
	}
	b.addressing.avoid = append(b.addressing.avoid, b.addressing.writtenPrefixes()...)
}

func (b *builder) placeOnLink(s *segment, l *Link, family string, written []string) {
	path := linkPath(l.Index) + "." + family
	if len(written) != 0 && len(written) != 2 {
		b.errorf(path, "a link has two addresses of a family, not %d: write one for each endpoint, \"\" to have it derived", len(written))
		return
	}
	for i, text := range written {
		if text != "" {
			b.place(s, []*Port{l.A, l.B}[i], family, fmt.Sprintf("%s[%d]", path, i), text)
		}
	}
}

func (b *builder) place(s *segment, p *Port, family, path, text string) {
	at, err := netip.ParsePrefix(text)
	example := map[string]string{"ipv4": "198.18.0.1/31", "ipv6": "fd00:18::1/127"}[family]
	switch {
	case err != nil || familyOf(at.Addr()) != family:
		b.errorf(path, "address %q: write %s with its prefix length, such as %s", text, family, example)
		return
	case p.Node.Kind == "bridge":
		b.errorf(path, "address %s is on %s, a bridge, which has none: write \"\"", text, p.Node.Name)
		return
	case !usable(at):
		b.errorf(path, "address %s is not one an interface can have: choose a unicast address inside its subnet", text)
		return
	case b.addressing.owner[at.Addr()] != nil:
		b.errorf(path, "address %s is used by %s already", at.Addr(), b.addressing.owner[at.Addr()].Endpoint())
		return
	}
	for _, w := range b.addressing.written {
		if w.segment == s && familyOf(w.prefix.Addr()) == family && w.prefix != at.Masked() {
			b.errorf(path, "address %s is not in %s, the subnet of %s", text, w.prefix, w.path)
			return
		}
		if w.segment != s && w.prefix.Overlaps(at.Masked()) {
			b.errorf(path, "subnet %s overlaps %s of another link", at.Masked(), w.prefix)
			return
		}
	}
	p.Addresses = append(p.Addresses, at)
	b.addressing.owner[at.Addr()] = p
	b.addressing.written = append(b.addressing.written, writtenSubnet{at.Masked(), s, string(p.Endpoint())})
}

// usable reports whether an interface may have the address.
func usable(p netip.Prefix) bool {
	a := p.Addr()
	if a.IsMulticast() || a.IsLoopback() || a.IsUnspecified() || a.IsLinkLocalUnicast() || a.Is4In6() || p.Bits() == 0 {
		return false
	}
	if a.BitLen()-p.Bits() <= 1 {
		return true
	}
	return a != p.Masked().Addr() && (a.Is6() || a != last(p))
}
