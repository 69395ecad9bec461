package topologies

import (
	"net/netip"
)

// pool cuts subnets from a prefix in order.
type pool struct {
	prefix netip.Prefix
	next   netip.Addr // zero: the first address
	full   bool
}

// cut returns the next subnet of that length that overlaps none of avoid;
// false when there is none left.
func (p *pool) cut(bits int, avoid []netip.Prefix) (netip.Prefix, bool) {
	if !p.next.IsValid() {
		p.next = p.prefix.Masked().Addr()
	}
	for !p.full && bits >= p.prefix.Bits() {
		subnet := netip.PrefixFrom(p.next, bits).Masked()
		if subnet.Addr().Less(p.next) {
			p.skip(subnet) // starts before what is already given away
			continue
		}
		hit, clash := overlapping(subnet, avoid)
		if !clash {
			p.skip(subnet)
			return subnet, true
		}
		if hit.Bits() > bits {
			hit = subnet
		}
		p.skip(hit)
	}
	return netip.Prefix{}, false
}

// skip moves on to the first address behind a subnet.
func (p *pool) skip(subnet netip.Prefix) {
	p.next = last(subnet).Next()
	p.full = !p.next.IsValid() || !p.prefix.Contains(p.next)
}

// mustCut cuts from a pool that is known to be large enough.
func (p *pool) mustCut(bits int) netip.Prefix {
	subnet, ok := p.cut(bits, nil)
	if !ok {
		panic("topologies: pool " + p.prefix.String() + " is exhausted")
	}
	return subnet
}

// Cut returns count prefixes of a length, cut from p in order; fewer when p
// does not hold as many.
func Cut(p netip.Prefix, bits, count int) []netip.Prefix {
	from := pool{prefix: p}
	out := make([]netip.Prefix, 0, count)
	for range count {
		subnet, ok := from.cut(bits, nil)
		if !ok {
			break
		}
		out = append(out, subnet)
	}
	return out
}

func overlapping(p netip.Prefix, among []netip.Prefix) (netip.Prefix, bool) {
	for _, a := range among {
		if a.Overlaps(p) {
			return a, true
		}
	}
	return netip.Prefix{}, false
}

// last returns the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	raw := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < 8*len(raw); bit++ {
		raw[bit/8] |= 0x80 >> (bit % 8)
	}
	a, _ := netip.AddrFromSlice(raw)
	return a
}

// hosts yields the addresses of a subnet an interface may have, in order: all
// of a point-to-point subnet (RFC 3021, RFC 6164), else without the first,
// and in IPv4 without the last.
func hosts(subnet netip.Prefix, yield func(netip.Addr) bool) {
	a, end := subnet.Masked().Addr(), last(subnet)
	if width := a.BitLen() - subnet.Bits(); width > 1 {
		a = a.Next()
		if a.Is4() {
			end = end.Prev()
		}
	}
	for ; a.IsValid() && a.Compare(end) <= 0; a = a.Next() {
		if !yield(a) {
			return
		}
	}
}

// Families are the address families of every routed link.
func Families() []string { return []string{"ipv4", "ipv6"} }

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// linkPool is what links between routers take their subnets from.
func linkPool(family string) netip.Prefix {
	if family == "ipv4" {
		return netip.MustParsePrefix("198.18.0.0/16")
	}
	return netip.MustParsePrefix("fd00:18::/32")
}

// documentation are the ranges hosts take their subnets from when no router
// beside them originates a prefix.
func documentation(family string) []netip.Prefix {
	if family == "ipv4" {
		return []netip.Prefix{
			netip.MustParsePrefix("203.0.113.0/24"),
			netip.MustParsePrefix("198.51.100.0/24"),
			netip.MustParsePrefix("192.0.2.0/24"),
		}
	}
	return []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}
}

// FeedRange is what the synthetic prefixes of a Feed are cut from, and their
// length: /27 of 100.64.0.0/10, /64 of fd00:feed::/32.
func FeedRange(family string) (from netip.Prefix, bits int) {
	if family == "ipv4" {
		return netip.MustParsePrefix("100.64.0.0/10"), 27
	}
	return netip.MustParsePrefix("fd00:feed::/32"), 64
}

// routerIDPool is what router ids are taken from.
func routerIDPool() netip.Prefix { return netip.MustParsePrefix("198.19.0.0/16") }

type reservation struct {
	prefix netip.Prefix
	use    string
}

// reserved are the ranges no node may originate.
func reserved() []reservation {
	feed4, _ := FeedRange("ipv4")
	feed6, _ := FeedRange("ipv6")
	return []reservation{
		{linkPool("ipv4"), "links"}, {linkPool("ipv6"), "links"},
		{routerIDPool(), "router ids"},
		{feed4, "feeds"}, {feed6, "feeds"},
	}
}

// DefaultRoute is 0.0.0.0/0 or ::/0.
func DefaultRoute(family string) netip.Prefix {
	if family == "ipv4" {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}
