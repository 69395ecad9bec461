package observe

import (
	"encoding/binary"
	"errors"
	"iter"
	"net/netip"

	"golang.org/x/sys/unix"
)

var native = binary.NativeEndian

// typeMask takes the flags off an attribute type (NLA_TYPE_MASK).
const typeMask = 0x3fff

// message is one rtnetlink message.
type message struct {
	kind, flags uint16
	body        []byte
}

// messages splits what one receive call returned; a truncated rest is left out.
func messages(b []byte) iter.Seq[message] {
	return func(yield func(message) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			size := int(native.Uint32(b))
			if size < unix.SizeofNlMsghdr || size > len(b) {
				return
			}
			if !yield(message{native.Uint16(b[4:]), native.Uint16(b[6:]), b[unix.SizeofNlMsghdr:size]}) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// attributes yields type and value of each attribute after a header of the
// given size.
func attributes(b []byte, header int) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		if len(b) < header {
			return
		}
		b = b[header:]
		for len(b) >= unix.SizeofRtAttr {
			size := int(native.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			if !yield(native.Uint16(b[2:])&typeMask, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min(len(b), (size+3)&^3):]
		}
	}
}

// number reads a 32-bit attribute, 0 when it is too short.
func number(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return native.Uint32(v)
}

// address reads a binary address; the zero Addr for any other length.
func address(v []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(v)
	return a
}

// rtaNhID is RTA_NH_ID of linux/rtnetlink.h.
const rtaNhID = 30

var errShort = errors.New("message is too short")

// link is a struct ifinfomsg.
type link struct {
	index int
	name  string
	flags uint32
}

func parseLink(b []byte) (link, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return link{}, errShort
	}
	l := link{index: int(int32(native.Uint32(b[4:]))), flags: native.Uint32(b[8:])}
	for kind, v := range attributes(b, unix.SizeofIfInfomsg) {
		if kind == unix.IFLA_IFNAME {
			l.name = unix.ByteSliceToString(v)
		}
	}
	return l, nil
}

// hop is one way on: a gateway, an interface, or both.
type hop struct {
	gateway netip.Addr
	oif     int
	dead    bool // the kernel does not use it
}

// route is a struct rtmsg. Hops are of routes that carry them, next is the
// next hop object of those that do not.
type route struct {
	prefix netip.Prefix
	table  uint32
	kind   uint8 // unix.RTN_…
	proto  uint8
	metric uint32
	next   uint32
	hops   []hop
}

// parseDestination reads no more than where a route leads, without
// allocating: most routes of a full table need no more.
func parseDestination(b []byte) (p netip.Prefix, table uint32, err error) {
	if len(b) < unix.SizeofRtMsg {
		return p, 0, errShort
	}
	var dst netip.Addr
	switch b[0] {
	case unix.AF_INET:
		dst = netip.IPv4Unspecified()
	case unix.AF_INET6:
		dst = netip.IPv6Unspecified()
	default:
		return p, 0, errors.New("message is of no IP family")
	}
	table = uint32(b[4])
	for kind, v := range attributes(b, unix.SizeofRtMsg) {
		switch kind {
		case unix.RTA_DST:
			if a := address(v); a.BitLen() == dst.BitLen() {
				dst = a
			}
		case unix.RTA_TABLE:
			table = number(v)
		}
	}
	p = netip.PrefixFrom(dst, int(b[1]))
	if !p.IsValid() {
		return p, 0, errors.New("prefix length is out of range")
	}
	return p, table, nil
}

func parseRoute(b []byte) (route, error) {
	p, table, err := parseDestination(b)
	if err != nil {
		return route{}, err
	}
	r := route{prefix: p, table: table, proto: b[5], kind: b[7]}
	var single hop
	for kind, v := range attributes(b, unix.SizeofRtMsg) {
		switch kind {
		case unix.RTA_GATEWAY:
			single.gateway = address(v)
		case unix.RTA_VIA:
			single.gateway = via(v)
		case unix.RTA_OIF:
			single.oif = int(number(v))
		case unix.RTA_PRIORITY:
			r.metric = number(v)
		case rtaNhID:
			r.next = number(v)
		case unix.RTA_MULTIPATH:
			r.hops = parseMultipath(v)
		}
	}
	if r.hops == nil && single.oif != 0 {
		single.dead = native.Uint32(b[8:])&unix.RTNH_F_DEAD != 0
		r.hops = []hop{single}
	}
	return r, nil
}

// via reads a struct rtvia: a gateway of another family.
func via(v []byte) netip.Addr {
	if len(v) < 2 {
		return netip.Addr{}
	}
	return address(v[2:])
}

// parseMultipath reads a run of struct rtnexthop.
func parseMultipath(b []byte) []hop {
	var hops []hop
	for len(b) >= unix.SizeofRtNexthop {
		size := int(native.Uint16(b))
		if size < unix.SizeofRtNexthop || size > len(b) {
			break
		}
		h := hop{oif: int(int32(native.Uint32(b[4:]))), dead: b[2]&unix.RTNH_F_DEAD != 0}
		for kind, v := range attributes(b[:size], unix.SizeofRtNexthop) {
			switch kind {
			case unix.RTA_GATEWAY:
				h.gateway = address(v)
			case unix.RTA_VIA:
				h.gateway = via(v)
			}
		}
		hops = append(hops, h)
		b = b[min(len(b), (size+3)&^3):]
	}
	return hops
}

// nexthop is a struct nhmsg: a next hop object, a group if it has members.
type nexthop struct {
	id        uint32
	hop       hop
	blackhole bool
	group     []member
	buckets   int // of a resilient group; 0 for any other
}

// member is one next hop of a group, with its share of the traffic: 1 … 65536.
type member struct {
	id     uint32
	weight int
}

const sizeofNhMsg = 8

// Attributes of linux/nexthop.h: the parameters of a resilient group, and
// among them how many buckets it has.
const (
	nhaResGroup        = 12
	nhaResGroupBuckets = 1
)

func parseNexthop(b []byte) (nexthop, error) {
	if len(b) < sizeofNhMsg {
		return nexthop{}, errShort
	}
	n := nexthop{hop: hop{dead: native.Uint32(b[4:])&unix.RTNH_F_DEAD != 0}}
	for kind, v := range attributes(b, sizeofNhMsg) {
		switch kind {
		case unix.NHA_ID:
			n.id = number(v)
		case unix.NHA_GATEWAY:
			n.hop.gateway = address(v)
		case unix.NHA_OIF:
			n.hop.oif = int(number(v))
		case unix.NHA_BLACKHOLE:
			n.blackhole = true
		case unix.NHA_GROUP:
			// struct nexthop_grp: id, weight less one, its high byte on
			// Linux 6.12 and later, 2 bytes reserved
			for ; len(v) >= 8; v = v[8:] {
				n.group = append(n.group, member{native.Uint32(v), 1 + int(v[4]) + int(v[5])<<8})
			}
		case nhaResGroup:
			for kind, v := range attributes(v, 0) {
				if kind == nhaResGroupBuckets && len(v) >= 2 {
					n.buckets = int(native.Uint16(v))
				}
			}
		}
	}
	return n, nil
}
