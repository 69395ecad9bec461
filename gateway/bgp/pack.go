package bgp

import (
	"encoding/binary"
	"net/netip"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

const (
	headerLen  = bgp.BGP_HEADER_LENGTH
	maxMessage = bgp.BGP_MAX_MESSAGE_LENGTH
	// maxBlock is the longest attribute block that leaves room for a prefix
	// and the multiprotocol attribute; a longer one cannot be advertised.
	maxBlock = maxMessage - headerLen - 4 - 64
)

// packer builds UPDATE messages, as few and as full as they can be.
type packer struct {
	family family
	emit   func([]byte) error
	buf    [maxMessage]byte
}

// withdraw tells that prefixes are gone.
func (k *packer) withdraw(ps []netip.Prefix) error {
	for len(ps) > 0 {
		b := k.start()
		n := 0
		if k.family == bgp.RF_IPv4_UC {
			b, n = appendNLRI(b, ps, maxMessage-2)
			binary.BigEndian.PutUint16(b[headerLen:], uint16(len(b)-headerLen-2))
			b = append(b, 0, 0)
		} else {
			b = append(b, 0, 0) // length of the attributes, below
			b = append(b, 0x90, byte(bgp.BGP_ATTR_TYPE_MP_UNREACH_NLRI), 0, 0, 0, bgp.AFI_IP6, bgp.SAFI_UNICAST)
			b, n = appendNLRI(b, ps, maxMessage)
			binary.BigEndian.PutUint16(b[headerLen+2:], uint16(len(b)-headerLen-4))
			binary.BigEndian.PutUint16(b[headerLen+6:], uint16(len(b)-headerLen-8))
		}
		if err := k.finish(b); err != nil {
			return err
		}
		ps = ps[n:]
	}
	return nil
}

// announce tells prefixes that share one block of attributes.
func (k *packer) announce(a *advert, ps []netip.Prefix) error {
	for len(ps) > 0 {
		b := k.start()
		b = append(b, 0, 0)
		n := 0
		if k.family == bgp.RF_IPv4_UC {
			b = append(b, a.block...)
			binary.BigEndian.PutUint16(b[headerLen+2:], uint16(len(a.block)))
			b, n = appendNLRI(b, ps, maxMessage)
		} else {
			// RFC 7606 §5.1: MP_REACH_NLRI goes first.
			hop := a.nextHop.As16()
			b = append(b, 0x90, byte(bgp.BGP_ATTR_TYPE_MP_REACH_NLRI), 0, 0, 0, bgp.AFI_IP6, bgp.SAFI_UNICAST, 16)
			b = append(append(b, hop[:]...), 0)
			b, n = appendNLRI(b, ps, maxMessage-len(a.block))
			binary.BigEndian.PutUint16(b[headerLen+6:], uint16(len(b)-headerLen-8))
			b = append(b, a.block...)
			binary.BigEndian.PutUint16(b[headerLen+2:], uint16(len(b)-headerLen-4))
		}
		if err := k.finish(b); err != nil {
			return err
		}
		ps = ps[n:]
	}
	return nil
}

// start begins an UPDATE: marker, room for the length, type, and a zero
// length of withdrawn routes.
func (k *packer) start() []byte {
	b := k.buf[:0]
	for range 16 {
		b = append(b, 0xff)
	}
	return append(b, 0, 0, bgp.BGP_MSG_UPDATE, 0, 0)
}

func (k *packer) finish(b []byte) error {
	binary.BigEndian.PutUint16(b[16:], uint16(len(b)))
	return k.emit(b)
}

// appendNLRI adds as many prefixes as fit below limit and says how many.
func appendNLRI(b []byte, ps []netip.Prefix, limit int) ([]byte, int) {
	for i, p := range ps {
		size := (p.Bits() + 7) / 8
		if len(b)+1+size > limit {
			return b, i
		}
		b = append(b, byte(p.Bits()))
		if a := p.Addr(); a.Is4() {
			raw := a.As4()
			b = append(b, raw[:size]...)
		} else {
			raw := a.As16()
			b = append(b, raw[:size]...)
		}
	}
	return b, len(ps)
}

// mustMessage serialises a message of fixed shape; the codec cannot fail on
// those this package builds.
func mustMessage(m *bgp.BGPMessage) []byte {
	b, err := m.Serialize()
	if err != nil {
		panic("bgp: serialise a message of our own: " + err.Error())
	}
	return b
}
