package cable

import (
	"encoding/binary"
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

// tcmsg appends a struct tcmsg.
func (b *batch) tcmsg(index int, handle, parent, info uint32) {
	b.buf = append(b.buf, unix.AF_UNSPEC, 0, 0, 0)
	b.buf = native.AppendUint32(b.buf, uint32(index))
	b.buf = native.AppendUint32(b.buf, handle)
	b.buf = native.AppendUint32(b.buf, parent)
	b.buf = native.AppendUint32(b.buf, info)
}

// From linux/pkt_sched.h, linux/rtnetlink.h and linux/pkt_cls.h.
const (
	ingressHandle = 0xffff0000 // the only qdisc handle an ingress qdisc has
	ingressParent = 0xfffffff1 // TC_H_INGRESS
	tcaKind       = 1
	tcaOptions    = 2
	tcaBPFFD      = 6
	tcaBPFName    = 7
	tcaBPFFlags   = 8
	actDirect     = 1 // TCA_BPF_FLAG_ACT_DIRECT: the program's result is the verdict
)

// ingressQdisc appends the qdisc that ingress filters hang on.
func (b *batch) ingressQdisc(index int) {
	b.begin("add ingress qdisc", unix.RTM_NEWQDISC, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b.tcmsg(index, ingressHandle, ingressParent, 0)
	b.str(tcaKind, "ingress")
	b.end()
}

// bpfFilter appends a program as the first ingress filter for every protocol.
func (b *batch) bpfFilter(index, prog int) {
	const priority = 1
	proto := native.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	b.begin("add bpf filter", unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b.tcmsg(index, 1, ingressHandle, priority<<16|uint32(proto))
	b.str(tcaKind, "bpf")
	options := b.nest(tcaOptions)
	b.u32(tcaBPFFD, uint32(prog))
	b.str(tcaBPFName, "gwlab_cable")
	b.u32(tcaBPFFlags, actDirect)
	b.unnest(options)
	b.end()
}
