package bgp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// decodeBlock runs the codec over the gathered attributes. A *notification
// error resets the session; any other withdraws the routes (RFC 7606 §2).
func (d *decoder) decodeBlock() (*attributes, error) {
	a := &attributes{nextHop: d.nextHop}
	mine := make([]byte, 4, 4+len(d.scratch))
	for block := d.scratch; len(block) > 0; {
		flags, kind, value, size, ok := cutAttribute(block)
		if !ok {
			return nil, errors.New("attribute overruns the attribute list")
		}
		if understood(kind) {
			mine = append(mine, block[:size]...)
		} else if err := a.carry(flags, kind, value); err != nil {
			return nil, err
		}
		block = block[size:]
	}
	binary.BigEndian.PutUint16(mine[2:], uint16(len(mine)-4))
	msg := &bgp.BGPUpdate{}
	if err := d.check(msg.DecodeFromBytes(mine)); err != nil {
		return nil, err
	}
	if _, err := bgp.ValidateUpdateMsg(msg, map[family]bgp.BGPAddPathMode{d.family: 0}, d.ebgp, false, true); err != nil {
		if err := d.check(err); err != nil {
			return nil, err
		}
	}
	return a, d.fill(a, msg)
}

// check maps the codec's verdict to what RFC 7606 asks: nil to go on, a
// *notification to reset, another error to treat the routes as withdrawn.
func (d *decoder) check(err error) error {
	var e *bgp.MessageError
	if !errors.As(err, &e) {
		return err
	}
	switch e.ErrorHandling {
	case bgp.ERROR_HANDLING_NONE, bgp.ERROR_HANDLING_ATTRIBUTE_DISCARD:
		return nil
	case bgp.ERROR_HANDLING_TREAT_AS_WITHDRAW:
		return errors.New(e.Message)
	case bgp.ERROR_HANDLING_AFISAFI_DISABLE, bgp.ERROR_HANDLING_SESSION_RESET:
		return &notification{e.TypeCode, e.SubTypeCode, e.Data, e.Message}
	}
	return err
}

// understood lists the attributes this speaker reads; the others are passed
// on or dropped by their flags (RFC 4271 §5).
func understood(kind bgp.BGPAttrType) bool {
	return slices.Contains([]bgp.BGPAttrType{
		bgp.BGP_ATTR_TYPE_ORIGIN, bgp.BGP_ATTR_TYPE_AS_PATH, bgp.BGP_ATTR_TYPE_NEXT_HOP,
		bgp.BGP_ATTR_TYPE_MULTI_EXIT_DISC, bgp.BGP_ATTR_TYPE_LOCAL_PREF,
		bgp.BGP_ATTR_TYPE_COMMUNITIES, bgp.BGP_ATTR_TYPE_ORIGINATOR_ID, bgp.BGP_ATTR_TYPE_AS4_PATH,
	}, kind)
}

// carry keeps a transitive attribute for the peers behind this one. Those
// whose meaning is known here are handed on untouched, the others get the
// Partial bit (RFC 4271 §9).
func (a *attributes) carry(flags byte, kind bgp.BGPAttrType, value []byte) error {
	const transitive, partial, extended = 0x40, 0x20, 0x10
	unit := 1
	known := true
	switch kind { //nolint:exhaustive // the registry is open
	case bgp.BGP_ATTR_TYPE_ATOMIC_AGGREGATE:
		if len(value) != 0 {
			return nil // RFC 7606 §7.6: discarded
		}
	case bgp.BGP_ATTR_TYPE_AGGREGATOR:
		if len(value) != 8 {
			return nil // RFC 7606 §7.7: discarded
		}
	case bgp.BGP_ATTR_TYPE_EXTENDED_COMMUNITIES:
		unit = 8 // RFC 7606 §7.14
	case bgp.BGP_ATTR_TYPE_LARGE_COMMUNITY:
		unit = 12 // RFC 8092 §6
	default:
		known = false
	}
	if len(value)%unit != 0 || (unit > 1 && len(value) == 0) {
		return fmt.Errorf("malformed attribute %d", kind)
	}
	if flags&transitive == 0 {
		return nil
	}
	flags &^= extended
	if !known {
		flags |= partial
	}
	if len(value) > 255 {
		a.rest = append(a.rest, flags|extended, byte(kind), byte(len(value)>>8), byte(len(value)))
	} else {
		a.rest = append(a.rest, flags, byte(kind), byte(len(value)))
	}
	a.rest = append(a.rest, value...)
	return nil
}

// fill copies what the codec decoded into the block, and checks what is
// mandatory (RFC 4271 §5, RFC 7606 §3 d).
func (d *decoder) fill(a *attributes, msg *bgp.BGPUpdate) error {
	origin, path := false, false
	var segments []asSegment
	for _, p := range msg.PathAttributes {
		switch v := p.(type) {
		case *bgp.PathAttributeOrigin:
			a.origin, origin = v.Value, true
		case *bgp.PathAttributeAsPath:
			for _, s := range v.Value {
				if s.GetType() != bgp.BGP_ASPATH_ATTR_TYPE_SET && s.GetType() != bgp.BGP_ASPATH_ATTR_TYPE_SEQ {
					return errors.New("malformed AS_PATH")
				}
				segments = append(segments, asSegment{s.GetType(), s.GetAS()})
			}
			path = true
		case *bgp.PathAttributeNextHop:
			if d.family == bgp.RF_IPv4_UC {
				a.nextHop, _ = addrOf(v.Value)
			}
		case *bgp.PathAttributeMultiExitDisc:
			a.med, a.hasMED = v.Value, true
		case *bgp.PathAttributeLocalPref:
			a.localPref, a.hasLocalPref = v.Value, true
		case *bgp.PathAttributeCommunities:
			a.communities = v.Value
		case *bgp.PathAttributeOriginatorId:
			a.originator, _ = addrOf(v.Value)
		}
	}
	switch {
	case !origin:
		return errors.New("ORIGIN is missing")
	case !path:
		return errors.New("AS_PATH is missing")
	case !a.nextHop.IsValid() || a.nextHop.IsMulticast() || a.nextHop.IsUnspecified():
		return errors.New("next hop is missing or not a host")
	}
	a.setPath(mergeAS4Path(segments, parseSegments(d.as4Path)))
	if d.ebgp && a.neighborAS != d.peerAS {
		return errors.New("leftmost AS is not the neighbour's") // RFC 4271 §6.3
	}
	return nil
}

func addrOf(ip net.IP) (netip.Addr, bool) {
	a, ok := netip.AddrFromSlice(ip)
	return a.Unmap(), ok
}
