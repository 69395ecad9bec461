package bgp

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// Well-known communities (RFC 1997, RFC 8326).
const (
	communityNoExport         uint32 = 0xffffff01
	communityNoAdvertise      uint32 = 0xffffff02
	communityNoExportSubconf  uint32 = 0xffffff03
	communityGracefulShutdown uint32 = 0xffff0000
)

// defaultLocalPref is what an eBGP path gets without policy (RFC 4271 §9.1.1
// leaves it to the operator; every implementation takes 100).
const defaultLocalPref = 100

// attributes is one block of path attributes, immutable once decoded and
// shared by all prefixes that carry it.
type attributes struct {
	key string // the bytes it was decoded from, and what makes two blocks equal

	origin       uint8
	asPath       []asSegment
	pathLen      int    // RFC 4271 §9.1.2.2 a: an AS_SET counts as one
	neighborAS   uint32 // leftmost AS, 0 for a path from inside the AS
	nextHop      netip.Addr
	med          uint32 // 0 when absent (RFC 4271 §9.1.2.2 c)
	hasMED       bool
	localPref    uint32
	hasLocalPref bool
	communities  []uint32
	originator   netip.Addr
	// rest are the other transitive attributes, serialised, passed on as they
	// came with the Partial bit set on those not understood here.
	rest []byte
}

// asSegment is one segment of an AS_PATH (RFC 4271 §4.3).
type asSegment struct {
	kind uint8
	asns []uint32
}

func (a *attributes) has(community uint32) bool {
	return slices.Contains(a.communities, community)
}

// contains tells whether the AS is anywhere in the path (RFC 4271 §9.1.2).
func (a *attributes) contains(asn uint32) bool {
	for _, s := range a.asPath {
		if slices.Contains(s.asns, asn) {
			return true
		}
	}
	return false
}

// setPath stores the AS_PATH and what is derived from it.
func (a *attributes) setPath(path []asSegment) {
	a.asPath, a.pathLen, a.neighborAS = path, 0, 0
	for i, s := range path {
		if s.kind == bgp.BGP_ASPATH_ATTR_TYPE_SET {
			a.pathLen++
			continue
		}
		a.pathLen += len(s.asns)
		if i == 0 && len(s.asns) > 0 {
			a.neighborAS = s.asns[0]
		}
	}
}

// prepended returns the path with asn put n times in front (RFC 4271 §5.1.2).
func prepended(path []asSegment, asn uint32, n int) []asSegment {
	out := slices.Clone(path)
	for range n {
		if len(out) > 0 && out[0].kind == bgp.BGP_ASPATH_ATTR_TYPE_SEQ && len(out[0].asns) < 255 {
			out[0].asns = append([]uint32{asn}, out[0].asns...)
			continue
		}
		out = append([]asSegment{{bgp.BGP_ASPATH_ATTR_TYPE_SEQ, []uint32{asn}}}, out...)
	}
	return out
}

// widenPath rewrites the value of a two-octet AS_PATH with four octets an AS
// (RFC 6793 §4.1); nil when it is malformed.
func widenPath(value []byte) []byte {
	out := []byte{}
	for len(value) >= 2 {
		n := int(value[1])
		if len(value) < 2+2*n {
			return nil
		}
		out = append(out, value[0], value[1])
		for i := range n {
			out = append(out, 0, 0, value[2+2*i], value[3+2*i])
		}
		value = value[2+2*n:]
	}
	if len(value) != 0 {
		return nil
	}
	return out
}

// mergeAS4Path rebuilds the path a two-octet speaker could not carry: the
// head of AS_PATH, then AS4_PATH (RFC 6793 §4.2.3).
func mergeAS4Path(path, as4 []asSegment) []asSegment {
	count := func(p []asSegment) (n int) {
		for _, s := range p {
			if s.kind == bgp.BGP_ASPATH_ATTR_TYPE_SET {
				n++
				continue
			}
			n += len(s.asns)
		}
		return n
	}
	keep := count(path) - count(as4)
	if keep < 0 || len(as4) == 0 {
		return path
	}
	var out []asSegment
	for _, s := range path {
		if keep <= 0 {
			break
		}
		if s.kind == bgp.BGP_ASPATH_ATTR_TYPE_SET {
			out, keep = append(out, s), keep-1
			continue
		}
		n := min(keep, len(s.asns))
		out, keep = append(out, asSegment{s.kind, s.asns[:n]}), keep-n
	}
	return append(out, as4...)
}

// parseSegments reads four-octet segments that the codec has already checked.
func parseSegments(value []byte) []asSegment {
	var out []asSegment
	for len(value) >= 2 {
		n := int(value[1])
		if len(value) < 2+4*n {
			return out
		}
		s := asSegment{kind: value[0], asns: make([]uint32, n)}
		for i := range s.asns {
			s.asns[i] = binary.BigEndian.Uint32(value[2+4*i:])
		}
		out, value = append(out, s), value[2+4*n:]
	}
	return out
}

// encode serialises a block for the wire, without NEXT_HOP's MP_REACH_NLRI
// twin: a valid IPv4 next hop is written as NEXT_HOP, an IPv6 one is left to
// the message packer. as4 tells whether the peer understands four-octet ASes.
func (a *attributes) encode(as4 bool) []byte {
	list := []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(a.origin), encodePath(a.asPath, as4)}
	if a.nextHop.Is4() {
		list = append(list, bgp.NewPathAttributeNextHop(a.nextHop.String()))
	}
	if a.hasMED {
		list = append(list, bgp.NewPathAttributeMultiExitDisc(a.med))
	}
	if a.hasLocalPref {
		list = append(list, bgp.NewPathAttributeLocalPref(a.localPref))
	}
	if len(a.communities) > 0 {
		list = append(list, bgp.NewPathAttributeCommunities(a.communities))
	}
	if as4Path := encodeAS4Path(a.asPath); !as4 && as4Path != nil {
		list = append(list, as4Path)
	}
	var out []byte
	for _, p := range list {
		b, err := p.Serialize()
		if err != nil {
			continue // these types serialise their own values: cannot fail
		}
		out = append(out, b...)
	}
	return append(out, a.rest...)
}

func encodePath(path []asSegment, as4 bool) bgp.PathAttributeInterface {
	params := make([]bgp.AsPathParamInterface, len(path))
	for i, s := range path {
		if as4 {
			params[i] = bgp.NewAs4PathParam(s.kind, s.asns)
			continue
		}
		narrow := make([]uint16, len(s.asns))
		for j, asn := range s.asns {
			narrow[j] = narrowAS(asn)
		}
		params[i] = bgp.NewAsPathParam(s.kind, narrow)
	}
	return bgp.NewPathAttributeAsPath(params)
}

// encodeAS4Path is the AS4_PATH that goes beside a narrowed AS_PATH, nil when
// nothing was lost in it (RFC 6793 §4.2.2).
func encodeAS4Path(path []asSegment) bgp.PathAttributeInterface {
	wide, params := false, make([]*bgp.As4PathParam, len(path))
	for i, s := range path {
		wide = wide || slices.ContainsFunc(s.asns, func(a uint32) bool { return a > 0xffff })
		params[i] = bgp.NewAs4PathParam(s.kind, s.asns)
	}
	if !wide {
		return nil
	}
	return bgp.NewPathAttributeAs4Path(params)
}

// narrowAS is the two-octet stand-in of an AS number (RFC 6793 §4.2.2).
func narrowAS(asn uint32) uint16 {
	if asn > 0xffff {
		return bgp.AS_TRANS
	}
	return uint16(asn)
}
