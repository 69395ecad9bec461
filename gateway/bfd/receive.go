package bfd

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

const (
	batchSize = 32
	// maxBatches bounds one pass over a socket. Its buffer (212 KiB by
	// default) holds fewer datagrams than 16 batches, so all that waited when
	// the pass began is read, and a flood cannot keep the timers from acting.
	maxBatches = 16
	// payloadKept is more than a packet; what is longer is cut, and judged by
	// its Length field.
	payloadKept = 64
	controlKept = 128
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// listener is a receive socket with room for one batch.
type listener struct {
	fd       int
	msgs     [batchSize]mmsghdr
	iovs     [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // an Inet4 fits in
	controls [batchSize][controlKept]byte
	payloads [batchSize][payloadKept]byte
}

// datagram is one received packet and what the kernel says about it.
type datagram struct {
	payload  []byte
	src, dst netip.Addr // without zone
	ifindex  int32
	hops     int32 // TTL or hop limit
	stamp    int64 // CLOCK_REALTIME, ns; 0: none
}

// listen opens the control port of one family. The kernel does not enforce
// IP_MINTTL on UDP, so the hop limit comes along to be checked here.
func listen(family int) (*listener, error) {
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open bfd socket: %w", err)
	}
	options := [][3]int{{unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1}}
	var local unix.Sockaddr = &unix.SockaddrInet4{Port: controlPort}
	switch family {
	case unix.AF_INET:
		options = append(options, [3]int{unix.IPPROTO_IP, unix.IP_PKTINFO, 1}, [3]int{unix.IPPROTO_IP, unix.IP_RECVTTL, 1})
	case unix.AF_INET6:
		local = &unix.SockaddrInet6{Port: controlPort}
		options = append(options, [3]int{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			[3]int{unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1}, [3]int{unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1})
	}
	err = setInts(fd, options)
	if err == nil {
		err = unix.Bind(fd, local)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen on bfd port %d: %w", controlPort, err)
	}
	return newListener(fd), nil
}

func newListener(fd int) *listener {
	l := &listener{fd: fd}
	for i := range l.msgs {
		l.iovs[i].Base = &l.payloads[i][0]
		l.iovs[i].SetLen(payloadKept)
		l.msgs[i].hdr.Name = (*byte)(unsafe.Pointer(&l.names[i]))
		l.msgs[i].hdr.Iov = &l.iovs[i]
		l.msgs[i].hdr.SetIovlen(1)
		l.msgs[i].hdr.Control = &l.controls[i][0]
	}
	return l
}

// read fetches what is there, up to one batch, without ever blocking.
func (l *listener) read() int {
	for i := range l.msgs {
		l.msgs[i].hdr.Namelen = uint32(unsafe.Sizeof(l.names[i]))
		l.msgs[i].hdr.SetControllen(controlKept)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(l.fd),
		uintptr(unsafe.Pointer(&l.msgs[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0
	}
	return int(n)
}

// datagram decodes message i of the last batch.
func (l *listener) datagram(i int, d *datagram) {
	*d = datagram{payload: l.payloads[i][:min(l.msgs[i].n, payloadKept)]}
	name := &l.names[i]
	switch name.Family {
	case unix.AF_INET:
		d.src = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr)
	case unix.AF_INET6:
		d.src = netip.AddrFrom16(name.Addr)
	}
	rest := l.controls[i][:l.msgs[i].hdr.Controllen]
	for len(rest) >= unix.CmsgLen(0) {
		hdr, data, next, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return
		}
		rest = next
		d.control(hdr.Level, hdr.Type, data)
	}
}

func (d *datagram) control(level, kind int32, data []byte) {
	at := unsafe.Pointer(unsafe.SliceData(data))
	switch {
	case level == unix.SOL_SOCKET && kind == unix.SO_TIMESTAMPNS && len(data) >= int(unsafe.Sizeof(unix.Timespec{})):
		d.stamp = (*unix.Timespec)(at).Nano()
	case level == unix.IPPROTO_IP && kind == unix.IP_PKTINFO && len(data) >= unix.SizeofInet4Pktinfo:
		info := (*unix.Inet4Pktinfo)(at)
		d.ifindex, d.dst = info.Ifindex, netip.AddrFrom4(info.Addr)
	case level == unix.IPPROTO_IPV6 && kind == unix.IPV6_PKTINFO && len(data) >= unix.SizeofInet6Pktinfo:
		info := (*unix.Inet6Pktinfo)(at)
		d.ifindex, d.dst = int32(info.Ifindex), netip.AddrFrom16(info.Addr)
	case level == unix.IPPROTO_IP && kind == unix.IP_TTL && len(data) >= 4,
		level == unix.IPPROTO_IPV6 && kind == unix.IPV6_HOPLIMIT && len(data) >= 4:
		d.hops = *(*int32)(at)
	}
}

// receive reads the sockets dry. A packet's instant is the kernel's stamp,
// held between the last time the sockets were empty and now: so a step of the
// wall clock, in which the kernel stamps, cannot fake silence or life.
func (t *thread) receive() {
	began := monotime.Now()
	var offset int64
	var d datagram
	for _, l := range t.listeners {
		for range maxBatches {
			n := l.read()
			if n == 0 {
				break
			}
			if offset == 0 {
				offset = monotime.RealOffset()
			}
			for i := range n {
				l.datagram(i, &d)
				now := monotime.Now()
				at := now
				if d.stamp != 0 {
					at = min(max(d.stamp-offset, t.dry), now)
				}
				t.deliver(&d, at, now)
			}
			if n < batchSize {
				break
			}
		}
	}
	t.dry = began
}

// deliver finds the session of a packet (RFC 5880 §6.8.6, RFC 5881 §3, §5).
func (t *thread) deliver(d *datagram, at, now int64) {
	packet := &t.event.packet
	p := t.bySender(d)
	ok := d.hops == hopLimit && packet.Unmarshal(d.payload) == nil
	if ok && packet.YourDisc != 0 {
		// The sender's address does not matter then (§6.3), the link does.
		p = t.byDisc[packet.YourDisc]
		ok = p != nil && p.ifindex == d.ifindex
	}
	switch {
	case p == nil:
		t.engine.stray.Add(1)
	case !ok:
		p.dropped++
	default:
		p.arrived(at)
		t.event.kind, t.event.rx = evPacket, at
		t.step(p, now)
	}
}

// bySender finds the session by interface, sender and, where the session
// names one, its own address; nil if there is none.
func (t *thread) bySender(d *datagram) *peer {
	for _, p := range t.peers {
		if p.ifindex == d.ifindex && p.remote == d.src && (!p.local.IsValid() || p.local == d.dst) {
			return p
		}
	}
	return nil
}
