package bgp

import (
	"testing"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

func ourHello() hello {
	return hello{asn: 65001, routerID: addr("10.0.0.1"), holdTime: 9 * time.Second, family: bgp.RF_IPv4_UC,
		gr: true, restartTime: 30 * time.Second}
}

// heard is what the other side reads in a hello's OPEN, sent over the wire.
func heard(t *testing.T, from, to hello, expectAS uint32) (peerOpen, *notification) {
	t.Helper()
	b, err := from.open().Serialize()
	if err != nil {
		t.Fatal(err)
	}
	msg := &bgp.BGPOpen{}
	if err := msg.DecodeFromBytes(b[headerLen:]); err != nil {
		t.Fatal(err)
	}
	return to.negotiate(msg, expectAS)
}

func TestOpenIsUnderstoodByItsTwin(t *testing.T) {
	far := ourHello()
	far.asn, far.routerID, far.holdTime = 400000, addr("10.0.0.2"), 3500*time.Millisecond
	far.restarting, far.forwarding = true, true
	got, n := heard(t, far, ourHello(), 400000)
	if n != nil {
		t.Fatal(n)
	}
	want := peerOpen{asn: 400000, routerID: addr("10.0.0.2"), holdTime: 4 * time.Second, as4: true, refresh: true,
		gr: true, restarting: true, forwarding: true, restart: 30 * time.Second, endOfRIB: true}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestRFC6793_4_1_WideASHidesBehindASTrans(t *testing.T) {
	h := ourHello()
	h.asn = 400000
	if as := h.open().Body.(*bgp.BGPOpen).MyAS; as != bgp.AS_TRANS {
		t.Errorf("My AS %d, want %d", as, bgp.AS_TRANS)
	}
}

func TestHoldTimeIsTheSmaller(t *testing.T) {
	for _, c := range []struct{ ours, theirs, want time.Duration }{
		{9 * time.Second, 3 * time.Second, 3 * time.Second},
		{3 * time.Second, 9 * time.Second, 3 * time.Second},
		{3500 * time.Millisecond, 90 * time.Second, 3500 * time.Millisecond},
		{0, 9 * time.Second, 0}, {9 * time.Second, 0, 0},
	} {
		us, them := ourHello(), ourHello()
		us.holdTime, them.holdTime, them.routerID, them.asn = c.ours, c.theirs, addr("10.0.0.2"), 65002
		if got, n := heard(t, them, us, 65002); n != nil || got.holdTime != c.want {
			t.Errorf("%s and %s: %s, want %s (%v)", c.ours, c.theirs, got.holdTime, c.want, n)
		}
	}
}

func TestRFC4271_6_2_OpenErrors(t *testing.T) {
	good := func() *bgp.BGPOpen {
		h := ourHello()
		h.asn, h.routerID = 65002, addr("10.0.0.2")
		return h.open().Body.(*bgp.BGPOpen)
	}
	bare := func(caps ...bgp.ParameterCapabilityInterface) *bgp.BGPOpen {
		m := good()
		m.OptParams = []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)}
		return m
	}
	with := func(change func(*bgp.BGPOpen)) *bgp.BGPOpen { m := good(); change(m); return m }
	for _, c := range []struct {
		name string
		msg  *bgp.BGPOpen
		as   uint32
		want string
	}{
		{"good", good(), 65002, ""},
		{"version", with(func(m *bgp.BGPOpen) { m.Version = 3 }), 65002, "OPEN Message Error/Unsupported Version Number: version 3"},
		{"AS", good(), 65003, "OPEN Message Error/Bad Peer AS: AS 65002, configured is 65003"},
		{"identifier 0", with(func(m *bgp.BGPOpen) { m.ID = []byte{0, 0, 0, 0} }), 65002, "OPEN Message Error/Bad BGP Identifier: 0.0.0.0"},
		{"hold time", with(func(m *bgp.BGPOpen) { m.HoldTime = 2 }), 65002, "OPEN Message Error/Unacceptable Hold Time: 2 s"},
		{"RFC 5492 no common family", bare(bgp.NewCapMultiProtocol(bgp.RF_IPv6_UC)), 65002, "OPEN Message Error/Unsupported Capability: no common address family, ipv4-unicast is wanted"},
		{"RFC 4760 without capabilities it is IPv4", bare(), 65002, ""},
		{"unknown capability", bare(bgp.NewCapUnknown(239, []byte("?"))), 65002, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, n := ourHello().negotiate(c.msg, c.as)
			if got := ""; n != nil || c.want != "" {
				if n != nil {
					got = n.Error()
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
			}
		})
	}
}

// RFC 6286 §2.2: the same identifier is wrong only inside one AS.
func TestSameIdentifier(t *testing.T) {
	them := ourHello()
	if _, n := heard(t, them, ourHello(), 65001); n == nil || n.subcode != bgp.BGP_ERROR_SUB_BAD_BGP_IDENTIFIER {
		t.Errorf("inside the AS: %v", n)
	}
	them.asn = 65002
	if _, n := heard(t, them, ourHello(), 65002); n != nil {
		t.Errorf("outside: %v", n)
	}
}

func TestGracefulRestartNeedsBothEnds(t *testing.T) {
	us, them := ourHello(), ourHello()
	them.asn, them.routerID = 65002, addr("10.0.0.2")
	us.gr = false
	if got, _ := heard(t, them, us, 65002); got.gr || got.endOfRIB {
		t.Errorf("ours off: %+v", got)
	}
	us.gr, them.gr = true, false
	if got, _ := heard(t, them, us, 65002); got.gr || got.endOfRIB {
		t.Errorf("theirs off: %+v", got)
	}
}
