package bgp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// body serialises an UPDATE with the codec, without its header.
func body(t testing.TB, withdrawn, nlri []string, attrs ...bgp.PathAttributeInterface) []byte {
	t.Helper()
	list := func(in []string) (out []*bgp.IPAddrPrefix) {
		for _, s := range in {
			p := prefix(s)
			out = append(out, bgp.NewIPAddrPrefix(uint8(p.Bits()), p.Addr().String()))
		}
		return out
	}
	b, err := bgp.NewBGPUpdateMessage(list(withdrawn), attrs, list(nlri)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return b[headerLen:]
}

func seq(asns ...uint32) bgp.PathAttributeInterface {
	return bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(2, asns)})
}

func mandatory(asns ...uint32) []bgp.PathAttributeInterface {
	return []bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0), seq(asns...), bgp.NewPathAttributeNextHop("10.0.0.2")}
}

// verdictOf prints what became of a message.
func verdictOf(d *decoder, b []byte) string {
	u, n := d.decode(b)
	if n != nil {
		return "reset: " + n.Error()
	}
	s := fmt.Sprintf("+%v -%v", u.reach, u.withdrawn)
	if u.endOfRIB {
		s += " eor"
	}
	if u.discarded != "" {
		s += " (" + u.discarded + ")"
	}
	return s
}

func TestDecodeUpdate(t *testing.T) {
	raw := func(flags, kind byte, value ...byte) bgp.PathAttributeInterface {
		return bgp.NewPathAttributeUnknown(bgp.BGPAttrFlag(flags), bgp.BGPAttrType(kind), value)
	}
	with := func(extra ...bgp.PathAttributeInterface) []bgp.PathAttributeInterface {
		return append(mandatory(65002), extra...)
	}
	n := []string{"203.0.113.0/24"}
	const ok = "+[203.0.113.0/24] -[]"
	withdrawn := func(why string) string { return "+[] -[203.0.113.0/24] (" + why + ")" }
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"plain", body(t, nil, n, with()...), ok},
		{"withdraw", body(t, n, nil), "+[] -[203.0.113.0/24]"},
		{"both", body(t, []string{"0.0.0.0/0"}, n, with()...), "+[203.0.113.0/24] -[0.0.0.0/0]"},
		{"RFC 4724 §2 End-of-RIB", body(t, nil, nil), "+[] -[] eor"},
		{"RFC 7606 §3 d: ORIGIN missing", body(t, nil, n, with()[1:]...), withdrawn("ORIGIN is missing")},
		{"§3 d: next hop missing", body(t, nil, n, with()[:2]...), withdrawn("next hop is missing or not a host")},
		{"§3 g: twice the same", body(t, nil, n, with(bgp.NewPathAttributeOrigin(2))...), ok},
		{"§7.1 bad ORIGIN", body(t, nil, n, append([]bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(9)}, with()[1:]...)...), withdrawn("invalid origin attribute. value : 9")},
		{"§7.2 confederation segment", body(t, nil, n, bgp.NewPathAttributeOrigin(0), bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAs4PathParam(3, []uint32{65002})}), mandatory(1)[2]), withdrawn("segment type confederation(3) found")},
		{"§7.3 multicast next hop", body(t, nil, n, append(with()[:2], bgp.NewPathAttributeNextHop("224.0.0.1"))...), withdrawn("invalid nexthop address")},
		{"§7.4 MED too short", body(t, nil, n, with(raw(0x80, 4, 1))...), "+[] -[203.0.113.0/24]"},
		{"§7.5 LOCAL_PREF from outside", body(t, nil, n, with(bgp.NewPathAttributeLocalPref(5))...), ok},
		{"§7.6 ATOMIC_AGGREGATE with a value", body(t, nil, n, with(raw(0x40, 6, 1))...), ok},
		{"§7.8 odd communities", body(t, nil, n, with(raw(0xc0, 8, 1, 2, 3))...), "+[] -[203.0.113.0/24]"},
		{"§7.14 odd extended communities", body(t, nil, n, with(raw(0xc0, 16, 1, 2, 3))...), withdrawn("malformed attribute 16")},
		{"unknown extended community", body(t, nil, n, with(raw(0xc0, 16, 6, 0x99, 1, 2, 3, 4, 5, 6))...), ok},
		{"RFC 4271 §6.3 leftmost AS", body(t, nil, n, mandatory(65003)...), withdrawn("leftmost AS is not the neighbour's")},
		{"§6.3 unrecognised well-known", body(t, nil, n, with(raw(0x40, 77))...), "reset: UPDATE Message Error/2: unrecognised well-known attribute 77"},
		{"unknown optional", body(t, nil, n, with(raw(0xc0, 77, 1))...), ok},
		{"other family is ignored", body(t, nil, n, with(bgp.NewPathAttributeMpReachNLRI("::1", []bgp.AddrPrefixInterface{bgp.NewIPv6AddrPrefix(32, "2001:db8::")}))...), ok},
		{"withdrawn length beyond the message", []byte{0, 9, 0, 0}, "reset: UPDATE Message Error/1: withdrawn routes exceed the message"},
		{"attribute length beyond the message", []byte{0, 0, 0, 9}, "reset: UPDATE Message Error/1: attributes exceed the message"},
		{"§5.3 prefix of 33 bits", []byte{0, 0, 0, 0, 33, 1, 2, 3, 4, 5}, "reset: UPDATE Message Error/10: malformed NLRI"},
		{"§4 attribute overruns", append([]byte{0, 0, 0, 4, 0x40, 1, 9, 0}, 24, 203, 0, 113), withdrawn("attribute overruns the attribute list")},
		{"host bits are irrelevant", append(body(t, nil, nil, with()...), 20, 203, 0, 127), "+[203.0.112.0/20] -[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := verdictOf(newDecoder(bgp.RF_IPv4_UC, true, true, 65002), c.b)
			anyReason := strings.HasPrefix(c.want, "+[] -[2") && !strings.Contains(c.want, "(")
			if got != c.want && (!anyReason || !strings.HasPrefix(got, c.want+" (")) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestDecodeUpdateIPv6(t *testing.T) {
	nlri := []bgp.AddrPrefixInterface{bgp.NewIPv6AddrPrefix(48, "2001:db8:1::")}
	reach := bgp.NewPathAttributeMpReachNLRI("fd00::2", nlri)
	d := newDecoder(bgp.RF_IPv6_UC, true, true, 65002)
	u, n := d.decode(body(t, nil, nil, reach, bgp.NewPathAttributeOrigin(0), seq(65002)))
	if n != nil || len(u.reach) != 1 || u.attrs.nextHop != addr("fd00::2") {
		t.Fatalf("update %+v, %v", u, n)
	}
	for name, c := range map[string]struct {
		b    []byte
		want string
	}{
		"withdraw":      {body(t, nil, nil, bgp.NewPathAttributeMpUnreachNLRI(nlri)), "+[] -[2001:db8:1::/48]"},
		"End-of-RIB":    {body(t, nil, nil, bgp.NewEndOfRib(bgp.RF_IPv6_UC).Body.(*bgp.BGPUpdate).PathAttributes...), "+[] -[] eor"},
		"other EoR":     {body(t, nil, nil, bgp.NewEndOfRib(bgp.RF_EVPN).Body.(*bgp.BGPUpdate).PathAttributes...), "+[] -[]"},
		"twice":         {body(t, nil, nil, reach, reach), "reset: UPDATE Message Error/1: multiprotocol attribute appears twice"},
		"no next hop":   {[]byte{0, 0, 0, 8, 0x80, 14, 5, 0, 2, 1, 0, 0}, "reset: UPDATE Message Error/9: malformed next hop in MP_REACH_NLRI"},
		"short":         {[]byte{0, 0, 0, 6, 0x80, 14, 3, 0, 2, 1}, "reset: UPDATE Message Error/9: malformed MP_REACH_NLRI"},
		"short unreach": {[]byte{0, 0, 0, 5, 0x80, 15, 2, 0, 2}, "reset: UPDATE Message Error/9: malformed MP_UNREACH_NLRI"},
	} {
		if got := verdictOf(newDecoder(bgp.RF_IPv6_UC, true, true, 65002), c.b); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestBlocksAreSharedAcrossMessages(t *testing.T) {
	d := newDecoder(bgp.RF_IPv4_UC, true, true, 65002)
	u, _ := d.decode(body(t, nil, []string{"203.0.113.0/24"}, mandatory(65002)...))
	first := u.attrs
	u, _ = d.decode(body(t, nil, []string{"198.51.100.0/24"}, mandatory(65002)...))
	if u.attrs != first {
		t.Error("the same block was decoded twice")
	}
	u, _ = d.decode(body(t, nil, []string{"198.51.100.0/24"}, mandatory(65002, 7)...))
	if u.attrs == first {
		t.Error("different blocks are shared")
	}
}

// RFC 6793 §4.2.3: a two-octet speaker's path, made whole by AS4_PATH.
func TestTwoOctetPeer(t *testing.T) {
	short := bgp.NewPathAttributeAsPath([]bgp.AsPathParamInterface{bgp.NewAsPathParam(2, []uint16{65002, bgp.AS_TRANS, 7})})
	as4 := bgp.NewPathAttributeAs4Path([]*bgp.As4PathParam{bgp.NewAs4PathParam(2, []uint32{400000, 7})})
	d := newDecoder(bgp.RF_IPv4_UC, true, false, 65002)
	u, n := d.decode(body(t, nil, []string{"203.0.113.0/24"}, bgp.NewPathAttributeOrigin(0), short, mandatory(1)[2], as4))
	if n != nil || u.attrs == nil {
		t.Fatalf("%+v, %v", u, n)
	}
	var got []uint32
	for _, s := range u.attrs.asPath {
		got = append(got, s.asns...)
	}
	if want := []uint32{65002, 400000, 7}; !slices.Equal(got, want) || u.attrs.pathLen != 3 {
		t.Errorf("path %v (%d), want %v", got, u.attrs.pathLen, want)
	}
	// And the way back: AS_TRANS in AS_PATH, the whole in AS4_PATH.
	d2 := newDecoder(bgp.RF_IPv4_UC, true, false, 65002)
	block := u.attrs.encode(false)
	msg := append(binary.BigEndian.AppendUint16([]byte{0, 0}, uint16(len(block))), block...)
	u2, n := d2.decode(append(msg, 24, 203, 0, 113))
	if n != nil || u2.attrs == nil || !slices.EqualFunc(u2.attrs.asPath, u.attrs.asPath, func(a, b asSegment) bool { return slices.Equal(a.asns, b.asns) }) {
		t.Errorf("round trip: %+v, %v", u2.attrs, n)
	}
}

func TestTransitiveAttributesArePassedOn(t *testing.T) {
	d := newDecoder(bgp.RF_IPv4_UC, true, true, 65002)
	large := bgp.NewPathAttributeLargeCommunities([]*bgp.LargeCommunity{{ASN: 1, LocalData1: 2, LocalData2: 3}})
	attrs := append(mandatory(65002), large,
		bgp.NewPathAttributeUnknown(0xc0, 99, []byte("transitive")), bgp.NewPathAttributeUnknown(0x80, 98, []byte("local")))
	u, n := d.decode(body(t, nil, []string{"203.0.113.0/24"}, attrs...))
	if n != nil {
		t.Fatal(n)
	}
	wantLarge, _ := large.Serialize()
	want := append(wantLarge, append([]byte{0xe0, 99, 10}, "transitive"...)...) // Partial is set
	if !bytes.Equal(u.attrs.rest, want) {
		t.Errorf("rest %x, want %x", u.attrs.rest, want)
	}
}

func TestRFC4271_6_1_MessageHeader(t *testing.T) {
	head := func(size uint16, kind byte, rest ...byte) []byte {
		b := bytes.Repeat([]byte{0xff}, 16)
		return append(append(binary.BigEndian.AppendUint16(b, size), kind), rest...)
	}
	for name, c := range map[string]struct {
		in   []byte
		want string
	}{
		"keepalive":      {head(19, 4), ""},
		"bad marker":     {make([]byte, 19), "Message Header Error/1: bad marker"},
		"too long":       {head(5000, 2), "Message Header Error/2: length 5000"},
		"too short":      {head(18, 4), "Message Header Error/2: length 18"},
		"long keepalive": {head(20, 4, 0), "Message Header Error/2: length 20"},
		"short open":     {head(20, 1, 0), "Message Header Error/2: length 20"},
		"unknown type":   {head(19, 9), "Message Header Error/3: type 9"},
	} {
		_, _, err := readMessage(bytes.NewReader(c.in), make([]byte, maxMessage))
		var n *notification
		if got := ""; errors.As(err, &n) || err == nil {
			if n != nil {
				got = n.Error()
			}
			if got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
			continue
		}
		t.Errorf("%s: %v", name, err)
	}
}

// FuzzReader: no bytes crash the reader, and what it accepts is well formed.
func FuzzReader(f *testing.F) {
	f.Add(append(bytes.Repeat([]byte{0xff}, 16), 0, 19, 4), true)
	for _, m := range []*bgp.BGPMessage{
		bgp.NewTestBGPOpenMessage(), bgp.NewTestBGPUpdateMessage(), bgp.NewBGPNotificationMessage(6, 2, []byte{1, 'x'}),
		bgp.NewEndOfRib(bgp.RF_IPv6_UC), bgp.NewBGPRouteRefreshMessage(1, 0, 1),
	} {
		b, err := m.Serialize()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, true)
	}
	v6 := bgp.NewPathAttributeMpReachNLRI("fd00::2", []bgp.AddrPrefixInterface{bgp.NewIPv6AddrPrefix(48, "2001:db8:1::")})
	f.Add(append(append(bytes.Repeat([]byte{0xff}, 16), 0, 0, 2), body(f, nil, nil, v6, bgp.NewPathAttributeOrigin(0), seq(65002))...), false)
	f.Fuzz(func(t *testing.T, in []byte, as4 bool) {
		if len(in) >= headerLen && len(in) <= maxMessage {
			binary.BigEndian.PutUint16(in[16:], uint16(len(in)))
		}
		kind, b, err := readMessage(bytes.NewReader(in), make([]byte, maxMessage))
		if err != nil {
			return
		}
		switch kind {
		case bgp.BGP_MSG_OPEN:
			msg := &bgp.BGPOpen{}
			if msg.DecodeFromBytes(b) == nil {
				hello{asn: 65001, routerID: addr("10.0.0.1"), family: bgp.RF_IPv4_UC}.negotiate(msg, 65002)
			}
		case bgp.BGP_MSG_NOTIFICATION:
			_ = (&notification{code: b[0], subcode: b[1], data: b[2:], detail: shutdownText(&notification{code: b[0], subcode: b[1], data: b[2:]})}).Error()
		case bgp.BGP_MSG_UPDATE:
			for _, fam := range []family{bgp.RF_IPv4_UC, bgp.RF_IPv6_UC} {
				checkUpdate(t, newDecoder(fam, true, as4, 65002), b)
			}
		}
	})
}

func checkUpdate(t *testing.T, d *decoder, b []byte) {
	u, n := d.decode(b)
	if n != nil {
		if n.code == 0 {
			t.Fatalf("a notification without a code: %v", n)
		}
		return
	}
	for _, p := range slices.Concat(u.reach, u.withdrawn) {
		if !p.IsValid() || p != p.Masked() || familyOf(p.Addr()) != d.family {
			t.Fatalf("prefix %v in a session of %v", p, d.family)
		}
	}
	if len(u.reach) > 0 && (u.attrs == nil || !u.attrs.nextHop.IsValid()) {
		t.Fatalf("reachable without a next hop: %+v", u)
	}
	if u.attrs != nil {
		u.attrs.encode(true)
		u.attrs.encode(false)
	}
}
