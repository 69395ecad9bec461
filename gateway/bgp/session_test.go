package bgp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
	"golang.org/x/sys/unix"

	"gwlab/gateway/config"
)

// script is a peer that says exactly what a test wants it to say.
type script struct {
	t    *testing.T
	tcp  net.Conn
	in   *bufio.Reader
	buf  []byte
	self netip.Addr
}

// scripted connects a script to a speaker that runs.
func scripted(t *testing.T, self netip.Addr, to netip.Addr, port int) *script {
	t.Helper()
	var c net.Conn
	waitFor(t, "speaker listens", func() (ok bool) {
		var err error
		c, err = loopNet{self}.Dial(context.Background(), self, netip.AddrPortFrom(to, uint16(port)), func(fd int) error {
			// Little room, so that not reading is felt by the other end.
			return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
		})
		return err == nil
	})
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &script{t: t, tcp: c, in: bufio.NewReader(c), buf: make([]byte, maxMessage), self: self}
}

func (s *script) say(m *bgp.BGPMessage) { s.sayRaw(mustMessage(m)) }

func (s *script) sayRaw(b []byte) {
	s.t.Helper()
	if _, err := s.tcp.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

// hear returns the next message of a type, passing over keepalives.
func (s *script) hear(want uint8) []byte {
	s.t.Helper()
	for {
		kind, b, err := readMessage(s.in, s.buf)
		if err != nil {
			s.t.Fatalf("waiting for message type %d: %v", want, err)
		}
		if kind == want {
			return append([]byte(nil), b...)
		}
		if kind != bgp.BGP_MSG_KEEPALIVE {
			s.t.Fatalf("message type %d, want %d: %x", kind, want, b)
		}
	}
}

// open is a scripted OPEN with capabilities.
func (s *script) open(asn uint16, caps ...bgp.ParameterCapabilityInterface) {
	s.t.Helper()
	s.say(bgp.NewBGPOpenMessage(asn, 90, "10.0.0.2", []bgp.OptionParameterInterface{bgp.NewOptionParameterCapability(caps)}))
}

func (s *script) establish() {
	s.t.Helper()
	s.open(65002, bgp.NewCapMultiProtocol(bgp.RF_IPv4_UC), bgp.NewCapFourOctetASNumber(65002), bgp.NewCapUnknown(239, []byte{1}))
	s.hear(bgp.BGP_MSG_OPEN)
	s.say(bgp.NewBGPKeepAliveMessage())
	s.hear(bgp.BGP_MSG_KEEPALIVE)
}

// announce sends prefixes with the mandatory attributes and more.
func (s *script) announce(prefixes []string, extra ...bgp.PathAttributeInterface) {
	s.t.Helper()
	attrs := append([]bgp.PathAttributeInterface{bgp.NewPathAttributeOrigin(0), seq(65002), bgp.NewPathAttributeNextHop(s.self.String())}, extra...)
	b := body(s.t, nil, prefixes, attrs...)
	m := append(mustMessage(bgp.NewBGPKeepAliveMessage())[:headerLen], b...)
	m[16], m[17], m[18] = byte(len(m)>>8), byte(len(m)), bgp.BGP_MSG_UPDATE
	s.sayRaw(m)
}

// hearRoutes reads updates until n prefixes were announced, and returns the
// last of their attributes.
func (s *script) hearRoutes(as4 bool, n int) *attributes {
	s.t.Helper()
	d := newDecoder(bgp.RF_IPv4_UC, true, as4, 65001)
	var last *attributes
	for n > 0 {
		u, fault := d.decode(s.hear(bgp.BGP_MSG_UPDATE))
		if fault != nil || u.discarded != "" {
			s.t.Fatalf("bad update: %v %s", fault, u.discarded)
		}
		n -= len(u.reach)
		if u.attrs != nil {
			last = u.attrs
		}
	}
	return last
}

// underScript is a speaker with one passive neighbour, and a script as that.
func underScript(t *testing.T, change func(*config.Config)) (*speakerUnderTest, *script) {
	t.Helper()
	near, _, netNear, netFar := loopPair(t, func(near, _ *config.Config) {
		near.Neighbors[0].Passive = true
		near.Networks = []config.Network{feed("30.0.0.0/8", 24, 100)}
		if change != nil {
			change(near)
		}
	})
	s := run(t, near, Deps{Net: netNear})
	return s, scripted(t, netFar.self, netNear.self, near.BGP.Port)
}

func (s *script) hearNotification() string {
	s.t.Helper()
	b := s.hear(bgp.BGP_MSG_NOTIFICATION)
	return (&notification{code: b[0], subcode: b[1]}).name()
}

func TestRFC2918_RouteRefreshIsAnswered(t *testing.T) {
	_, p := underScript(t, nil)
	p.establish()
	p.hearRoutes(true, 100)
	p.hear(bgp.BGP_MSG_UPDATE) // End-of-RIB
	p.say(bgp.NewBGPRouteRefreshMessage(bgp.AFI_IP, 0, bgp.SAFI_UNICAST))
	p.hearRoutes(true, 100)
}

func TestRFC6793_TwoOctetPeerIsTalkedToInItsTongue(t *testing.T) {
	_, p := underScript(t, func(c *config.Config) { c.ASN = 400000 })
	p.open(65002)
	p.hear(bgp.BGP_MSG_OPEN)
	p.say(bgp.NewBGPKeepAliveMessage())
	p.hear(bgp.BGP_MSG_KEEPALIVE)
	d := newDecoder(bgp.RF_IPv4_UC, true, false, 400000)
	u, n := d.decode(p.hear(bgp.BGP_MSG_UPDATE))
	if n != nil || u.attrs == nil || !u.attrs.contains(400000) {
		t.Errorf("update %+v, %v", u, n)
	}
}

func TestRFC7606_2_TreatAsWithdrawKeepsTheSession(t *testing.T) {
	s, p := underScript(t, nil)
	p.establish()
	p.announce([]string{"203.0.113.0/24", "192.0.2.0/24"})
	s.awaitRoutes(t, 2)
	p.announce([]string{"203.0.113.0/24"}, bgp.NewPathAttributeUnknown(0xc0, bgp.BGP_ATTR_TYPE_COMMUNITIES, []byte{1}))
	s.awaitRoutes(t, 1)
	if st := s.Status()[0]; st.State != "Established" {
		t.Errorf("status %+v", st)
	}
}

func TestRFC4271_6_3_UnrecognisedWellKnownResets(t *testing.T) {
	s, p := underScript(t, nil)
	p.establish()
	p.hearRoutes(true, 100)
	p.hear(bgp.BGP_MSG_UPDATE)
	p.announce([]string{"203.0.113.0/24"}, bgp.NewPathAttributeUnknown(0x40, 77, nil))
	if got := p.hearNotification(); got != "UPDATE Message Error/2" {
		t.Errorf("notification %s", got)
	}
	s.awaitEvent(t, "down", isDown)
}

func TestRFC4271_6_2_WrongASIsToldSo(t *testing.T) {
	_, p := underScript(t, nil)
	p.open(65099)
	p.hear(bgp.BGP_MSG_OPEN)
	if got := p.hearNotification(); got != "OPEN Message Error/Bad Peer AS" {
		t.Errorf("notification %s", got)
	}
}

func TestRFC4271_6_6_UpdateBeforeOpen(t *testing.T) {
	_, p := underScript(t, nil)
	p.hear(bgp.BGP_MSG_OPEN)
	p.say(bgp.NewEndOfRib(bgp.RF_IPv4_UC))
	if got := p.hearNotification(); got != "Finite State Machine Error/1" {
		t.Errorf("notification %s", got)
	}
}

func TestStrangersAreNotAnswered(t *testing.T) {
	s, p := underScript(t, nil)
	p.hear(bgp.BGP_MSG_OPEN)
	other := p.self.As4()
	other[3] = 9
	stranger := scripted(t, netip.AddrFrom4(other), s.deps.Net.(loopNet).self, s.cfg.BGP.Port)
	if _, _, err := readMessage(stranger.in, stranger.buf); err == nil {
		t.Error("a stranger was answered")
	}
}

func TestRFC9003_ShutdownTextIsRead(t *testing.T) {
	s, p := underScript(t, nil)
	p.establish()
	p.say(bgp.NewBGPNotificationMessage(6, 2, append([]byte{5}, "works"...)))
	s.awaitEvent(t, "reason", func(e PeerEvent) bool { return e.Reason == "received Cease/Administrative Shutdown: works" })
}

// A peer that does not read must cost the others nothing.
func TestSlowPeerBlocksNobody(t *testing.T) {
	fast := config.Neighbor{ASN: 65003, Interface: "lo"}
	s, p := underScript(t, func(c *config.Config) {
		a := c.Neighbors[0].Address.As4()
		a[3] = 3
		fast.Address = netip.AddrFrom4(a)
		c.Neighbors = append(c.Neighbors, fast)
		c.Networks = []config.Network{feed("40.0.0.0/7", 24, 100_000)}
	})
	p.establish() // and never reads again
	cfg := speaker(65003, "10.0.0.3", s.cfg.BGP.Port, neighbor(s.deps.Net.(loopNet).self.String(), 65001))
	other := run(t, cfg, Deps{Net: loopNet{fast.Address}})
	other.awaitRoutes(t, 100_000)
	p.announce([]string{"203.0.113.0/24"})
	s.awaitRoutes(t, 1)
	other.awaitRoutes(t, 100_001)
}

// shortOfFiles is a network whose listeners fail once, as the kernel does
// with EMFILE.
type shortOfFiles struct{ loopNet }

type shortListener struct {
	net.Listener
	failed atomic.Bool
}

func (n shortOfFiles) Listen(ctx context.Context, network, address string, control func(int) error) (net.Listener, error) {
	l, err := n.loopNet.Listen(ctx, network, address, control)
	return &shortListener{Listener: l}, err
}

func (l *shortListener) Accept() (net.Conn, error) {
	if !l.failed.Swap(true) {
		return nil, &net.OpError{Op: "accept", Err: unix.EMFILE}
	}
	return l.Listener.Accept()
}

func TestListenerOutlivesAShortageOfFiles(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, func(near, _ *config.Config) { near.Neighbors[0].Passive = true })
	near := run(t, nearCfg, Deps{Net: shortOfFiles{nearNet}})
	run(t, farCfg, Deps{Net: farNet})
	near.awaitEvent(t, "up", isUp)
}

// Pending routes of a peer collapse to the last word on each prefix.
func TestQueueKeepsTheLatest(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	s := newSession(1, &peer{family: bgp.RF_IPv4_UC}, a, netip.Prefix{})
	attrs := attributes{nextHop: addr("10.0.0.1")}
	attrs.setPath([]asSegment{{2, []uint32{65001}}})
	x := &advert{attrs.nextHop, attrs.encode(true)}
	for i := range 100 {
		p := prefix(fmt.Sprintf("10.%d.0.0/16", i%2))
		s.queue(p, x)
		if i%2 == 1 {
			s.queue(p, nil)
		}
	}
	s.queueEndOfRIB()
	go s.write()
	in, d := bufio.NewReader(b), newDecoder(bgp.RF_IPv4_UC, true, true, 65001)
	var got string
	for range 3 {
		_, m, err := readMessage(in, make([]byte, maxMessage))
		if err != nil {
			t.Fatal(err)
		}
		got += verdictOf(d, m) + "; "
	}
	if want := "+[] -[10.1.0.0/16]; +[10.0.0.0/16] -[]; +[] -[] eor; "; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	s.close(nil)
}
