package bfd

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// idleThread is a packet thread without a network, with one session whose
// packets go into a pipe.
func idleThread(t testing.TB) (*thread, *peer, *[]Change) {
	t.Helper()
	var changes []Change
	e, err := New(Deps{Changes: func(c Change) { changes = append(changes, c) }})
	if err != nil {
		t.Fatal(err)
	}
	log := newJournal(e.deps.Log)
	t.Cleanup(log.close)
	th := &thread{engine: e, log: log, rand: rand.New(rand.NewPCG(3, 4)), byDisc: map[uint32]*peer{}}
	p := th.newPeer(Key{Interface: "up0", Local: addrA4, Peer: addrB4}, Params{})
	p.ifindex = 101
	th.peers = []*peer{p}
	pipe, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	p.fd, p.running = pipe[0], true
	t.Cleanup(func() { p.closeSocket(); unix.Close(pipe[1]) })
	return th, p, &changes
}

func from(p *peer, state State) *datagram {
	packet := Packet{State: state, DetectMult: 3, MyDisc: 99, DesiredMinTx: 50_000, RequiredMinRx: 50_000}
	if state == Up || state == Init {
		packet.YourDisc = p.session.localDisc
	}
	return &datagram{payload: wire(packet), src: p.remote, dst: p.local, ifindex: p.ifindex, hops: hopLimit}
}

func TestRFC5880Section6_8_6Demultiplexing(t *testing.T) {
	elsewhere := netip.MustParseAddr("198.18.7.77")
	for _, tt := range []struct {
		name               string
		state              State
		spoil              func(*datagram)
		accepted, attribed bool
	}{
		{"first packet", Down, func(*datagram) {}, true, true},
		{"by discriminator", Init, func(*datagram) {}, true, true},
		{"by discriminator, other source (§6.3)", Init, func(d *datagram) { d.src = elsewhere }, true, true},
		{"by discriminator, other interface", Init, func(d *datagram) { d.ifindex = 5 }, false, true},
		{"first packet, other source", Down, func(d *datagram) { d.src = elsewhere }, false, false},
		{"first packet, other interface", Down, func(d *datagram) { d.ifindex = 5 }, false, false},
		{"first packet, other destination", Down, func(d *datagram) { d.dst = elsewhere }, false, false},
		{"unknown discriminator", Init, func(d *datagram) { d.payload[8]++ }, false, false},
		{"distance 254 (RFC 5881 §5)", Down, func(d *datagram) { d.hops = 254 }, false, true},
		{"distance 254, by discriminator", Init, func(d *datagram) { d.hops = 254 }, false, true},
		{"malformed", Down, func(d *datagram) { d.payload = d.payload[:20] }, false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			th, p, _ := idleThread(t)
			d := from(p, tt.state)
			tt.spoil(d)
			th.deliver(d, 1000, 1000)
			want := map[bool][3]uint64{true: {1, 0, 0}, false: {0, 0, 1}}[tt.accepted]
			if !tt.accepted && tt.attribed {
				want = [3]uint64{0, 1, 0}
			}
			if got := [3]uint64{p.rx, p.dropped, th.engine.Stray()}; got != want {
				t.Errorf("accepted, dropped, stray: got %v, want %v", got, want)
			}
		})
	}
}

func TestLateThreadLooksTwice(t *testing.T) {
	th, p, changes := idleThread(t)
	now := monotime.Now()
	th.deliver(from(p, Down), now, now)
	th.deliver(from(p, Init), now, now)
	*changes = nil
	p.session.detectAt = now - 10*ms
	th.expireTimers()
	if len(*changes) != 0 || p.session.detectAt <= now {
		t.Fatalf("a late thread believed in silence at once: %+v", *changes)
	}
	p.session.detectAt = now - 10*ms
	th.expireTimers()
	if len(*changes) != 1 || (*changes)[0].State != Down {
		t.Fatalf("second look: %+v", *changes)
	}
	if p.excused {
		p.arrived(now)
	}
	if p.excused {
		t.Error("a packet does not renew the excuse")
	}
}

func TestPromptThreadNeedsNoSecondLook(t *testing.T) {
	_, p, _ := idleThread(t)
	p.session.detectAt = 1000
	if p.excuse(1000 + ownLateness - 1) {
		t.Error("a prompt thread was excused")
	}
}

func TestReconcileKeepsAddsAndRemoves(t *testing.T) {
	th, p, changes := idleThread(t)
	th.listeners = []*listener{newListener(-1)}
	other := Key{Interface: "gone0", Peer: addrB6}
	th.reconcile(map[Key]Params{p.key: {Multiplier: 5}, other: {}})
	if len(th.peers) != 2 || th.peers[1] != p || p.session.params.Multiplier != 5 || len(th.byDisc) != 2 {
		t.Fatalf("peers %+v", th.peers)
	}
	th.reconcile(map[Key]Params{other: {}})
	if len(th.peers) != 1 || th.peers[0].key != other || len(th.byDisc) != 1 {
		t.Fatalf("peers %+v", th.peers)
	}
	if len(*changes) != 1 || (*changes)[0].State != AdminDown || (*changes)[0].Key != p.key {
		t.Errorf("changes %+v", *changes)
	}
}

// cmsg appends a control message as the kernel lays it out.
func cmsg[T any](b []byte, level, kind int32, data T) []byte {
	buf := make([]byte, unix.CmsgSpace(int(unsafe.Sizeof(data))))
	h := (*unix.Cmsghdr)(unsafe.Pointer(&buf[0]))
	h.Level, h.Type = level, kind
	h.SetLen(unix.CmsgLen(int(unsafe.Sizeof(data))))
	*(*T)(unsafe.Pointer(&buf[unix.CmsgLen(0)])) = data
	return append(b, buf...)
}

func TestDatagramDecodesWhatTheKernelSays(t *testing.T) {
	l := newListener(-1)
	fill := func(control []byte, n uint32) {
		copy(l.controls[0][:], control)
		l.msgs[0].hdr.SetControllen(len(control))
		l.msgs[0].n = n
	}
	var d datagram
	c := cmsg(nil, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, unix.Timespec{Sec: 3, Nsec: 7})
	c = cmsg(c, unix.IPPROTO_IP, unix.IP_PKTINFO, unix.Inet4Pktinfo{Ifindex: 101, Addr: addrA4.As4()})
	c = cmsg(c, unix.IPPROTO_IP, unix.IP_TTL, int32(255))
	fill(c, 24)
	*(*unix.RawSockaddrInet4)(unsafe.Pointer(&l.names[0])) = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: addrB4.As4()}
	l.datagram(0, &d)
	if d.stamp != 3e9+7 || d.ifindex != 101 || d.dst != addrA4 || d.src != addrB4 || d.hops != 255 || len(d.payload) != 24 {
		t.Errorf("IPv4: %+v", d)
	}

	c = cmsg(nil, unix.IPPROTO_IPV6, unix.IPV6_PKTINFO, unix.Inet6Pktinfo{Ifindex: 102, Addr: addrA6.As16()})
	c = cmsg(c, unix.IPPROTO_IPV6, unix.IPV6_HOPLIMIT, int32(64))
	fill(c, 1500)
	l.names[0] = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: addrB6.As16()}
	l.datagram(0, &d)
	if d.stamp != 0 || d.ifindex != 102 || d.dst != addrA6 || d.src != addrB6 || d.hops != 64 || len(d.payload) != payloadKept {
		t.Errorf("IPv6: %+v", d)
	}

	fill(c[:unix.CmsgLen(0)+2], 0) // cut short: nothing is believed
	l.datagram(0, &d)
	if d.hops != 0 || d.ifindex != 0 || len(d.payload) != 0 {
		t.Errorf("cut: %+v", d)
	}
}

func TestDeliverAllocatesNothing(t *testing.T) {
	th, p, _ := idleThread(t)
	th.deliver(from(p, Down), 1000, 1000)
	th.deliver(from(p, Init), 2000, 2000)
	d, now := from(p, Up), int64(3000)
	if n := testing.AllocsPerRun(100, func() { now += 1000; th.deliver(d, now, now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestLastGapsAreTheLatestOldestFirst(t *testing.T) {
	p := newPeer(Key{}, newSession(1, Params{}, rand.New(rand.NewPCG(1, 2))))
	at := int64(0)
	for i := range int64(20) {
		at += i + 1
		p.arrived(at)
		p.session.lastRx = at
	}
	gaps := p.lastGaps()
	if len(gaps) != gapsKept || gaps[0] != 13 || gaps[gapsKept-1] != time.Duration(20) {
		t.Errorf("got %v", gaps)
	}
}

// A packet that puts the next transmission off does not hide that it was due.
func TestLatenessIsNotedBeforeWhatWasReceived(t *testing.T) {
	th, p, _ := idleThread(t)
	p.session.nextTx = monotime.Now() - 80*ms
	th.noteLateness()
	now := monotime.Now()
	th.deliver(from(p, Down), now, now)
	if late := p.status().WorstTxLateness; late < 80*time.Millisecond {
		t.Errorf("noted %v of 80 ms", late)
	}
}
