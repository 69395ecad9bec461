package cable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// batch is a run of rtnetlink requests that one sendmsg hands to the kernel,
// which works them off in order.
type batch struct {
	buf   []byte
	start int // of the message being written
	// what each request was for, by sequence number from 0
	about []string
}

// maxBatch requests, and the answers to them, fit a socket's default buffers.
const maxBatch = 64

var native = binary.NativeEndian

func (b *batch) full() bool { return len(b.about) >= maxBatch }

func (b *batch) reset() { b.buf, b.about = b.buf[:0], b.about[:0] }

// begin opens a message; end closes it.
func (b *batch) begin(about string, kind, flags uint16) {
	b.start = len(b.buf)
	b.buf = native.AppendUint32(b.buf, 0)
	b.buf = native.AppendUint16(b.buf, kind)
	b.buf = native.AppendUint16(b.buf, flags|unix.NLM_F_REQUEST)
	b.buf = native.AppendUint32(b.buf, uint32(len(b.about)))
	b.buf = native.AppendUint32(b.buf, 0)
	b.about = append(b.about, about)
}

func (b *batch) end() { native.PutUint32(b.buf[b.start:], uint32(len(b.buf)-b.start)) }

// ifinfo appends a struct ifinfomsg.
func (b *batch) ifinfo(index int, flags, change uint32) {
	b.buf = append(b.buf, unix.AF_UNSPEC, 0, 0, 0)
	b.buf = native.AppendUint32(b.buf, uint32(index))
	b.buf = native.AppendUint32(b.buf, flags)
	b.buf = native.AppendUint32(b.buf, change)
}

func (b *batch) attr(kind uint16, value []byte) {
	b.buf = native.AppendUint16(b.buf, uint16(4+len(value)))
	b.buf = native.AppendUint16(b.buf, kind)
	b.buf = append(b.buf, value...)
	for len(b.buf)%4 != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *batch) u32(kind uint16, v uint32) { b.attr(kind, native.AppendUint32(nil, v)) }

func (b *batch) str(kind uint16, s string) { b.attr(kind, append([]byte(s), 0)) }

// nest opens an attribute that holds attributes; unnest(nest(kind)) closes it.
func (b *batch) nest(kind uint16) int {
	at := len(b.buf)
	b.attr(kind, nil)
	return at
}

func (b *batch) unnest(at int) { native.PutUint16(b.buf[at:], uint16(len(b.buf)-at)) }

// half is one end of a veth pair.
type half struct {
	name  string
	index int
	netns int // file descriptor; -1: the namespace of the socket
	up    bool
}

// veth appends the creation of a pair. The second half cannot be up from the
// start: the kernel opens it before it knows its peer.
func (b *batch) veth(about string, one, two half, mtu int) {
	common := func(h half) {
		b.str(unix.IFLA_IFNAME, h.name)
		if h.netns >= 0 {
			b.u32(unix.IFLA_NET_NS_FD, uint32(h.netns))
		}
		if mtu > 0 {
			b.u32(unix.IFLA_MTU, uint32(mtu))
		}
		// The default is a queue per CPU, each with objects in sysfs; veth
		// transmits without queue locks, so more than one gains nothing.
		b.u32(unix.IFLA_NUM_TX_QUEUES, 1)
		b.u32(unix.IFLA_NUM_RX_QUEUES, 1)
	}
	var flags uint32
	if one.up {
		flags = unix.IFF_UP
	}
	b.begin(about, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b.ifinfo(one.index, flags, flags)
	common(one)
	info := b.nest(unix.IFLA_LINKINFO)
	b.str(unix.IFLA_INFO_KIND, "veth")
	data := b.nest(unix.IFLA_INFO_DATA)
	peer := b.nest(vethInfoPeer)
	b.ifinfo(two.index, 0, 0)
	common(two)
	b.unnest(peer)
	b.unnest(data)
	b.unnest(info)
	b.end()
}

// vethInfoPeer is VETH_INFO_PEER of linux/veth.h.
const vethInfoPeer = 1

// setUp appends an administrative change of an existing interface.
func (b *batch) setUp(about string, index int, up bool) {
	var flags uint32
	if up {
		flags = unix.IFF_UP
	}
	b.begin(about, unix.RTM_NEWLINK, 0)
	b.ifinfo(index, flags, unix.IFF_UP)
	b.end()
}

// address appends an address of an interface.
func (b *batch) address(about string, index int, p netip.Prefix) {
	family, flags := byte(unix.AF_INET), uint32(0)
	if p.Addr().Is6() {
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	b.begin(about, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b.buf = append(b.buf, family, byte(p.Bits()), 0, unix.RT_SCOPE_UNIVERSE)
	b.buf = native.AppendUint32(b.buf, uint32(index))
	b.attr(unix.IFA_LOCAL, p.Addr().AsSlice())
	b.attr(unix.IFA_ADDRESS, p.Addr().AsSlice())
	if flags != 0 {
		b.u32(unix.IFA_FLAGS, flags)
	}
	b.end()
}

// skipStats is RTEXT_FILTER_SKIP_STATS of linux/rtnetlink.h.
const skipStats = 1 << 3

// get appends a request for an interface's description.
func (b *batch) get(about string, index int) {
	b.begin(about, unix.RTM_GETLINK, 0)
	b.ifinfo(index, 0, 0)
	b.u32(unix.IFLA_EXT_MASK, skipStats)
	b.end()
}

// find appends a request for the description of an interface by its name.
func (b *batch) find(about, name string) {
	b.begin(about, unix.RTM_GETLINK, 0)
	b.ifinfo(0, 0, 0)
	b.str(unix.IFLA_IFNAME, name)
	b.u32(unix.IFLA_EXT_MASK, skipStats)
	b.end()
}

// iface is what the kernel says of an interface.
type iface struct {
	index int
	peer  int // IFLA_LINK: the index of a veth's other end
	flags uint32
	name  string
}

// rtnl is a routing netlink socket, bound for life to the namespace of the
// thread that opened it.
type rtnl struct {
	fd  int
	buf []byte
}

func openRTNL() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &rtnl{fd: fd}, nil
}

func (s *rtnl) Close() error { return unix.Close(s.fd) }

// do sends a batch and returns once the kernel has done all of it, with the
// interfaces it described. The first refusal is the error; the requests after
// it are done all the same.
func (s *rtnl) do(b *batch) ([]iface, error) {
	if len(b.about) == 0 {
		return nil, nil
	}
	// Refusals are always reported: one acknowledgement, of the last request,
	// is enough to know that all are done.
	native.PutUint16(b.buf[b.start+6:], native.Uint16(b.buf[b.start+6:])|unix.NLM_F_ACK)
	if err := unix.Sendto(s.fd, b.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send to netlink: %w", err)
	}
	if s.buf == nil {
		s.buf = make([]byte, 64<<10)
	}
	var links []iface
	var refused error
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive from netlink: %w", err)
		}
		for rest := s.buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(native.Uint32(rest))
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return nil, errors.New("receive from netlink: truncated message")
			}
			seq := int(native.Uint32(rest[8:]))
			body := rest[unix.SizeofNlMsghdr:size]
			switch native.Uint16(rest[4:]) {
			case unix.RTM_NEWLINK:
				links = append(links, parseLink(body))
			case unix.NLMSG_ERROR:
				code := int32(native.Uint32(body))
				if code != 0 && refused == nil {
					refused = fmt.Errorf("%s: %w", b.about[min(seq, len(b.about)-1)], unix.Errno(-code))
				}
				if seq == len(b.about)-1 {
					return links, refused
				}
			}
			rest = rest[min(len(rest), (size+3)&^3):]
		}
	}
}

// parseLink reads a struct ifinfomsg and the attributes after it.
func parseLink(body []byte) iface {
	var l iface
	if len(body) < unix.SizeofIfInfomsg {
		return l
	}
	l.index = int(int32(native.Uint32(body[4:])))
	l.flags = native.Uint32(body[8:])
	for rest := body[unix.SizeofIfInfomsg:]; len(rest) >= 4; {
		size := int(native.Uint16(rest))
		if size < 4 || size > len(rest) {
			break
		}
		value := rest[4:size]
		switch native.Uint16(rest[2:]) {
		case unix.IFLA_LINK:
			if len(value) >= 4 {
				l.peer = int(native.Uint32(value))
			}
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(value)
		}
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return l
}
