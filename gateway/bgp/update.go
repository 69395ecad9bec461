package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// family is the one address family a session carries: that of its addresses.
type family = bgp.RouteFamily

// interned bounds the attribute blocks a session remembers for sharing. Past
// it all are forgotten: routes keep theirs, later ones just share less.
const interned = 1 << 16

// update is one UPDATE message taken apart. Its slices are valid until the
// next call of the decoder that made it.
type update struct {
	withdrawn []netip.Prefix
	reach     []netip.Prefix
	attrs     *attributes
	endOfRIB  bool
	// discarded says why routes of it were treated as withdrawn (RFC 7606 §2).
	discarded string
}

// decoder takes UPDATE messages of one session apart. Prefixes are read
// straight into netip values and attribute blocks seen before are looked up
// by their bytes, so that the codec runs once a block and not once a message.
type decoder struct {
	family family
	ebgp   bool
	as4    bool
	peerAS uint32
	blocks map[string]*attributes

	out     update
	scratch []byte
	nextHop netip.Addr // of MP_REACH_NLRI
	as4Path []byte     // value of AS4_PATH, from a two-octet speaker only
	seen    [256]bool
}

func newDecoder(f family, ebgp, as4 bool, peerAS uint32) *decoder {
	return &decoder{family: f, ebgp: ebgp, as4: as4, peerAS: peerAS, blocks: map[string]*attributes{}}
}

// decode reads the body of an UPDATE. An error is fatal to the session and
// names the NOTIFICATION to send; milder faults turn the message's routes
// into withdrawals (RFC 7606).
func (d *decoder) decode(body []byte) (*update, *notification) {
	d.out = update{withdrawn: d.out.withdrawn[:0], reach: d.out.reach[:0]}
	withdrawn, rest, ok := cut16(body)
	if !ok {
		return nil, updateError(bgp.BGP_ERROR_SUB_MALFORMED_ATTRIBUTE_LIST, "withdrawn routes exceed the message")
	}
	block, nlri, ok := cut16(rest)
	if !ok {
		return nil, updateError(bgp.BGP_ERROR_SUB_MALFORMED_ATTRIBUTE_LIST, "attributes exceed the message")
	}
	if d.family == bgp.RF_IPv4_UC {
		if d.out.withdrawn, ok = parsePrefixes(d.out.withdrawn, withdrawn, 4); !ok {
			return nil, updateError(bgp.BGP_ERROR_SUB_INVALID_NETWORK_FIELD, "malformed withdrawn routes")
		}
		if d.out.reach, ok = parsePrefixes(d.out.reach, nlri, 4); !ok {
			return nil, updateError(bgp.BGP_ERROR_SUB_INVALID_NETWORK_FIELD, "malformed NLRI")
		}
		d.out.endOfRIB = len(body) == 4
	}
	n := d.split(block)
	if n != nil {
		return nil, n
	}
	if len(d.out.reach) > 0 && d.out.discarded == "" {
		n = d.attributes()
	}
	if n != nil {
		return nil, n
	}
	if d.out.discarded != "" || d.out.attrs == nil {
		d.out.withdrawn = append(d.out.withdrawn, d.out.reach...)
		d.out.reach = d.out.reach[:0]
	}
	return &d.out, nil
}

// split walks the attributes: multiprotocol ones are read here, the others
// that matter are gathered in scratch for the codec.
func (d *decoder) split(block []byte) *notification {
	d.scratch, d.nextHop, d.as4Path = d.scratch[:0], netip.Addr{}, nil
	d.seen = [256]bool{}
	only := true
	for len(block) > 0 {
		flags, kind, value, size, ok := cutAttribute(block)
		if !ok { // RFC 7606 §4: the NLRI was found all the same
			d.out.discarded = "attribute overruns the attribute list"
			return nil
		}
		raw := block[:size]
		block = block[size:]
		if d.seen[kind] {
			if kind == bgp.BGP_ATTR_TYPE_MP_REACH_NLRI || kind == bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI {
				return updateError(bgp.BGP_ERROR_SUB_MALFORMED_ATTRIBUTE_LIST, "multiprotocol attribute appears twice")
			}
			continue // RFC 7606 §3 g: all but the first are discarded
		}
		d.seen[kind] = true
		var n *notification
		switch kind { //nolint:exhaustive // the registry is open
		case bgp.BGP_ATTR_TYPE_MP_REACH_NLRI:
			only, n = false, d.mpReach(value)
		case bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI:
			d.out.endOfRIB = only && len(block) == 0 && len(value) == 3 && d.isFamily(value)
			n = d.mpUnreach(value)
		default:
			only, n = false, d.collect(flags, kind, value, raw)
		}
		if n != nil {
			return n
		}
	}
	return nil
}

// collect keeps one ordinary attribute for decoding.
func (d *decoder) collect(flags byte, kind bgp.BGPAttrType, value, raw []byte) *notification {
	switch {
	case kind == bgp.BGP_ATTR_TYPE_AS_PATH && !d.as4:
		wide := widenPath(value)
		if wide == nil {
			d.out.discarded = "malformed AS_PATH"
			return nil
		}
		d.scratch = append(d.scratch, flags|0x10, byte(kind), byte(len(wide)>>8), byte(len(wide)))
		d.scratch = append(d.scratch, wide...)
	case kind == bgp.BGP_ATTR_TYPE_AS4_PATH || kind == bgp.BGP_ATTR_TYPE_AS4_AGGREGATOR:
		if !d.as4 && kind == bgp.BGP_ATTR_TYPE_AS4_PATH {
			d.as4Path = value
			d.scratch = append(d.scratch, raw...)
		}
		// From a four-octet speaker both are discarded (RFC 6793 §4.1).
	case kind == bgp.BGP_ATTR_TYPE_AGGREGATOR && !d.as4:
		// Informational, and two-octet: not worth a translation.
	case kind == bgp.BGP_ATTR_TYPE_LOCAL_PREF && d.ebgp:
		// RFC 7606 §7.5: discarded from an external peer.
	case flags&byte(bgp.BGP_ATTR_FLAG_OPTIONAL) == 0 && kind > bgp.BGP_ATTR_TYPE_ATOMIC_AGGREGATE:
		return &notification{bgp.BGP_ERROR_UPDATE_MESSAGE_ERROR, bgp.BGP_ERROR_SUB_UNRECOGNIZED_WELL_KNOWN_ATTRIBUTE, raw,
			fmt.Sprintf("unrecognised well-known attribute %d", kind)}
	default:
		d.scratch = append(d.scratch, raw...)
	}
	return nil
}

func (d *decoder) isFamily(value []byte) bool {
	return bgp.AfiSafiToRouteFamily(binary.BigEndian.Uint16(value), value[2]) == d.family
}

func (d *decoder) mpReach(value []byte) *notification {
	if len(value) < 5 || len(value) < 5+int(value[3]) {
		return updateError(bgp.BGP_ERROR_SUB_OPTIONAL_ATTRIBUTE_ERROR, "malformed MP_REACH_NLRI")
	}
	if !d.isFamily(value) || d.family != bgp.RF_IPv6_UC {
		return nil // a family that was not negotiated (RFC 4760 §7)
	}
	n := int(value[3])
	hop := value[4 : 4+n]
	if n != 16 && n != 32 {
		return updateError(bgp.BGP_ERROR_SUB_OPTIONAL_ATTRIBUTE_ERROR, "malformed next hop in MP_REACH_NLRI")
	}
	d.nextHop = netip.AddrFrom16([16]byte(hop[:16]))
	var ok bool
	if d.out.reach, ok = parsePrefixes(d.out.reach, value[5+n:], 16); !ok {
		return updateError(bgp.BGP_ERROR_SUB_OPTIONAL_ATTRIBUTE_ERROR, "malformed NLRI in MP_REACH_NLRI")
	}
	return nil
}

func (d *decoder) mpUnreach(value []byte) *notification {
	if len(value) < 3 {
		return updateError(bgp.BGP_ERROR_SUB_OPTIONAL_ATTRIBUTE_ERROR, "malformed MP_UNREACH_NLRI")
	}
	if !d.isFamily(value) || d.family != bgp.RF_IPv6_UC {
		return nil
	}
	var ok bool
	if d.out.withdrawn, ok = parsePrefixes(d.out.withdrawn, value[3:], 16); !ok {
		return updateError(bgp.BGP_ERROR_SUB_OPTIONAL_ATTRIBUTE_ERROR, "malformed NLRI in MP_UNREACH_NLRI")
	}
	return nil
}

// attributes finds or decodes the block gathered in scratch.
func (d *decoder) attributes() *notification {
	if d.nextHop.IsValid() {
		b := d.nextHop.As16()
		d.scratch = append(d.scratch, b[:]...)
	}
	if a, ok := d.blocks[string(d.scratch)]; ok {
		d.out.attrs = a
		return nil
	}
	key := string(d.scratch)
	if d.nextHop.IsValid() {
		d.scratch = d.scratch[:len(d.scratch)-16]
	}
	a, err := d.decodeBlock()
	var n *notification
	switch {
	case errors.As(err, &n):
		return n
	case err != nil:
		d.out.discarded = err.Error()
		return nil //nolint:nilerr // the routes go, the session stays (RFC 7606)
	}
	a.key = key
	if len(d.blocks) >= interned {
		clear(d.blocks)
	}
	d.blocks[key], d.out.attrs = a, a
	return nil
}

// cut16 splits a field that is preceded by its two-octet length.
func cut16(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// cutAttribute splits the first attribute off a list (RFC 4271 §4.3).
func cutAttribute(b []byte) (flags byte, kind bgp.BGPAttrType, value []byte, size int, ok bool) {
	if len(b) < 3 {
		return 0, 0, nil, 0, false
	}
	flags, kind = b[0], bgp.BGPAttrType(b[1])
	n, head := int(b[2]), 3
	if flags&byte(bgp.BGP_ATTR_FLAG_EXTENDED_LENGTH) != 0 {
		if len(b) < 4 {
			return 0, 0, nil, 0, false
		}
		n, head = int(binary.BigEndian.Uint16(b[2:])), 4
	}
	if len(b) < head+n {
		return 0, 0, nil, 0, false
	}
	return flags, kind, b[head : head+n], head + n, true
}

// parsePrefixes appends the prefixes of an NLRI field of addresses of size
// octets. Bits beyond a prefix's length are irrelevant (RFC 4271 §4.3).
func parsePrefixes(dst []netip.Prefix, b []byte, size int) ([]netip.Prefix, bool) {
	for len(b) > 0 {
		bits := int(b[0])
		n := (bits + 7) / 8
		if bits > 8*size || len(b) < 1+n {
			return dst, false
		}
		var a [16]byte
		copy(a[:], b[1:1+n])
		addr := netip.AddrFrom16(a)
		if size == 4 {
			addr = netip.AddrFrom4([4]byte(a[:4]))
		}
		dst, b = append(dst, netip.PrefixFrom(addr, bits).Masked()), b[1+n:]
	}
	return dst, true
}
