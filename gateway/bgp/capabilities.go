package bgp

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// hello is what this speaker says of itself in an OPEN (RFC 4271 §4.2).
type hello struct {
	asn         uint32
	routerID    netip.Addr
	holdTime    time.Duration // 0 or ≥ 3 s; rounded up to the wire's seconds
	family      family
	gr          bool
	restarting  bool          // R bit (RFC 4724 §3)
	forwarding  bool          // F bit: forwarding state was preserved
	restartTime time.Duration // 0 … 4095 s
}

// peerOpen is what the neighbour said in its OPEN, and what follows from it.
type peerOpen struct {
	asn        uint32
	routerID   netip.Addr
	holdTime   time.Duration // negotiated: the smaller of both
	as4        bool
	refresh    bool
	gr         bool // it will keep and can resume our family
	restarting bool
	forwarding bool // it preserved forwarding state of our family
	restart    time.Duration
	endOfRIB   bool // it sends End-of-RIB: both ends offer graceful restart (RFC 4724 §4)
}

// open builds the OPEN message.
func (h hello) open() *bgp.BGPMessage {
	caps := []bgp.ParameterCapabilityInterface{
		bgp.NewCapMultiProtocol(h.family),
		bgp.NewCapRouteRefresh(),
		bgp.NewCapFourOctetASNumber(h.asn),
	}
	if h.gr {
		caps = append(caps, bgp.NewCapGracefulRestart(h.restarting, false,
			uint16(h.restartTime/time.Second),
			[]*bgp.CapGracefulRestartTuple{bgp.NewCapGracefulRestartTuple(h.family, h.forwarding)}))
	}
	return bgp.NewBGPOpenMessage(narrowAS(h.asn), uint16(math.Ceil(h.holdTime.Seconds())),
		h.routerID.String(), []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)})
}

// negotiate checks the neighbour's OPEN (RFC 4271 §6.2) and settles what the
// session will speak. Capabilities that are not known are ignored (RFC 5492).
func (h hello) negotiate(msg *bgp.BGPOpen, expectAS uint32) (peerOpen, *notification) {
	p := peerOpen{asn: uint32(msg.MyAS), holdTime: h.holdTime}
	p.routerID, _ = addrOf(msg.ID)
	multiprotocol, ours := false, false
	for _, c := range capabilitiesOf(msg) {
		switch v := c.(type) {
		case *bgp.CapMultiProtocol:
			multiprotocol = true
			ours = ours || v.CapValue == h.family
		case *bgp.CapFourOctetASNumber:
			p.as4, p.asn = true, v.CapValue
		case *bgp.CapRouteRefresh:
			p.refresh = true
		case *bgp.CapGracefulRestart:
			p.endOfRIB = h.gr // FRR tells it only to those that offer it too
			p.restarting = v.Flags&0x08 != 0
			p.restart = time.Duration(v.Time) * time.Second
			for _, t := range v.Tuples {
				if bgp.AfiSafiToRouteFamily(t.AFI, t.SAFI) == h.family {
					p.gr, p.forwarding = h.gr, t.Flags&0x80 != 0
				}
			}
		}
	}
	if hold := time.Duration(msg.HoldTime) * time.Second; hold < p.holdTime || p.holdTime == 0 {
		p.holdTime = hold
	}
	if h.holdTime == 0 {
		p.holdTime = 0
	}
	return p, h.refuse(msg, p, expectAS, ours || (!multiprotocol && h.family == bgp.RF_IPv4_UC))
}

// refuse names what is wrong with an OPEN, nil for nothing.
func (h hello) refuse(msg *bgp.BGPOpen, p peerOpen, expectAS uint32, familyShared bool) *notification {
	switch {
	case msg.Version != 4:
		return openError(bgp.BGP_ERROR_SUB_UNSUPPORTED_VERSION_NUMBER, []byte{0, 4}, fmt.Sprintf("version %d", msg.Version))
	case p.asn != expectAS || p.asn == 0:
		return openError(bgp.BGP_ERROR_SUB_BAD_PEER_AS, nil, fmt.Sprintf("AS %d, configured is %d", p.asn, expectAS))
	case !p.routerID.IsValid() || p.routerID.IsUnspecified() || (p.asn == h.asn && p.routerID == h.routerID): // RFC 6286 §2.2
		return openError(bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER, nil, p.routerID.String())
	case msg.HoldTime == 1 || msg.HoldTime == 2:
		return openError(bgp.BGP_ERROR_SUB_UNACCEPTABLE_HOLD_TIME, nil, fmt.Sprintf("%d s", msg.HoldTime))
	case !familyShared:
		data, err := bgp.NewCapMultiProtocol(h.family).Serialize()
		if err != nil {
			data = nil // RFC 5492 §5 only recommends naming the capability
		}
		return openError(bgp.BGP_ERROR_SUB_UNSUPPORTED_CAPABILITY, data, "no common address family, "+h.family.String()+" is wanted")
	}
	return nil
}

func capabilitiesOf(msg *bgp.BGPOpen) []bgp.ParameterCapabilityInterface {
	var out []bgp.ParameterCapabilityInterface
	for _, p := range msg.OptParams {
		if c, ok := p.(*bgp.OptionParameterCapability); ok {
			out = slices.Concat(out, c.Capability)
		}
	}
	return out
}

// familyOf is the family a session between addresses of this kind carries.
func familyOf(a netip.Addr) family {
	if a.Is4() {
		return bgp.RF_IPv4_UC
	}
	return bgp.RF_IPv6_UC
}
