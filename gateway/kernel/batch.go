package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Numbers of the kernel's interface that golang.org/x/sys does not name
// (linux/nexthop.h, linux/rtnetlink.h).
const (
	nhaResGroup      = 12
	resGroupBuckets  = 1
	resGroupIdle     = 2
	groupTypeRes     = 1
	rtaNHID          = 30
	nestedAttr       = 0x8000
	sizeofNexthopGrp = 8
)

const (
	create  = unix.NLM_F_CREATE | unix.NLM_F_REPLACE
	replace = unix.NLM_F_REPLACE
)

// batch is a run of netlink messages for one system call.
type batch struct {
	buf   []byte
	count int
	start int // of the message being written
}

func (b *batch) reset() { b.buf, b.count, b.start = b.buf[:0], 0, 0 }

func (b *batch) begin(typ, flags uint16) {
	b.start = len(b.buf)
	b.buf = append(b.buf, 0, 0, 0, 0)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = binary.NativeEndian.AppendUint16(b.buf, flags|unix.NLM_F_REQUEST)
	b.buf = append(b.buf, 0, 0, 0, 0, 0, 0, 0, 0)
}

func (b *batch) end() {
	binary.NativeEndian.PutUint32(b.buf[b.start:], uint32(len(b.buf)-b.start))
	b.count++
}

// number gives the messages consecutive sequence numbers and asks for an
// acknowledgement of the last one; refusals come unasked.
func (b *batch) number(first uint32) {
	for off := 0; off < len(b.buf); first++ {
		binary.NativeEndian.PutUint32(b.buf[off+8:], first)
		next := off + align(int(binary.NativeEndian.Uint32(b.buf[off:])))
		if next >= len(b.buf) {
			b.buf[off+6] |= unix.NLM_F_ACK
		}
		off = next
	}
}

func (b *batch) attr(typ uint16, value []byte) {
	b.buf = binary.NativeEndian.AppendUint16(b.buf, uint16(unix.SizeofNlAttr+len(value)))
	b.buf = binary.NativeEndian.AppendUint16(b.buf, typ)
	b.buf = append(b.buf, value...)
	for len(b.buf)%unix.NLMSG_ALIGNTO != 0 {
		b.buf = append(b.buf, 0)
	}
}

func (b *batch) attr32(typ uint16, v uint32) {
	b.attr(typ, binary.NativeEndian.AppendUint32(make([]byte, 0, 4), v))
}

func (b *batch) attr16(typ, v uint16) {
	b.attr(typ, binary.NativeEndian.AppendUint16(make([]byte, 0, 2), v))
}

func family(a netip.Addr) byte {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// nhmsg starts a nexthop message.
func (b *batch) nhmsg(typ, flags uint16, family, protocol byte, nhFlags uint32) {
	b.begin(typ, flags)
	b.buf = append(b.buf, family, 0, protocol, 0)
	b.buf = binary.NativeEndian.AppendUint32(b.buf, nhFlags)
}

// addHop creates or replaces the nexthop object id: addr on the link of that
// index. It is on-link: the interface alone says that it can be reached.
func (b *batch) addHop(id uint32, addr netip.Addr, index int, protocol byte) {
	b.nhmsg(unix.RTM_NEWNEXTHOP, create, family(addr), protocol, unix.RTNH_F_ONLINK)
	b.attr32(unix.NHA_ID, id)
	b.attr32(unix.NHA_OIF, uint32(index))
	b.attr(unix.NHA_GATEWAY, addr.AsSlice())
	b.end()
}

// addGroup creates or replaces (by flags) the nexthop group id.
func (b *batch) addGroup(flags uint16, id uint32, members []member, protocol byte) {
	b.nhmsg(unix.RTM_NEWNEXTHOP, flags, unix.AF_UNSPEC, protocol, 0)
	b.attr32(unix.NHA_ID, id)
	grp := make([]byte, 0, sizeofNexthopGrp*len(members))
	for _, m := range members {
		grp = binary.NativeEndian.AppendUint32(grp, m.hop.id)
		grp = append(grp, m.weight, 0, 0, 0)
	}
	b.attr(unix.NHA_GROUP, grp)
	b.attr16(unix.NHA_GROUP_TYPE, groupTypeRes)
	var res batch
	res.attr16(resGroupBuckets, groupBuckets)
	res.attr32(resGroupIdle, 0)
	b.attr(nhaResGroup|nestedAttr, res.buf)
	b.end()
}

func (b *batch) delNexthop(id uint32) {
	b.nhmsg(unix.RTM_DELNEXTHOP, 0, unix.AF_UNSPEC, 0, 0)
	b.attr32(unix.NHA_ID, id)
	b.end()
}

// routeKey is what identifies one route in the kernel.
type routeKey struct {
	prefix        netip.Prefix
	table, metric uint32
	protocol      byte
}

func (b *batch) rtmsg(typ, flags uint16, k routeKey, scope, kind byte) {
	b.begin(typ, flags)
	table := byte(unix.RT_TABLE_UNSPEC)
	if k.table < 256 {
		table = byte(k.table)
	}
	addr := k.prefix.Addr()
	b.buf = append(b.buf, family(addr), byte(k.prefix.Bits()), 0, 0, table, k.protocol, scope, kind, 0, 0, 0, 0)
	b.attr32(unix.RTA_TABLE, k.table)
	if k.prefix.Bits() > 0 {
		b.attr(unix.RTA_DST, addr.AsSlice())
	}
	b.attr32(unix.RTA_PRIORITY, k.metric)
}

// addRoute points the route at a nexthop group, atomically when it exists.
func (b *batch) addRoute(k routeKey, group uint32) {
	b.rtmsg(unix.RTM_NEWROUTE, create, k, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST)
	b.attr32(rtaNHID, group)
	b.end()
}

func (b *batch) delRoute(k routeKey) {
	b.rtmsg(unix.RTM_DELROUTE, 0, k, unix.RT_SCOPE_NOWHERE, unix.RTN_UNSPEC)
	b.end()
}

// dumpRoutes asks for the routes of one family, table and protocol.
func (b *batch) dumpRoutes(family byte, table uint32, protocol byte) {
	b.begin(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	b.buf = append(b.buf, family, 0, 0, 0, 0, protocol, 0, 0, 0, 0, 0, 0)
	b.attr32(unix.RTA_TABLE, table)
	b.end()
}

func (b *batch) dumpNexthops() {
	b.nhmsg(unix.RTM_GETNEXTHOP, unix.NLM_F_DUMP, unix.AF_UNSPEC, 0, 0)
	b.end()
}

// getLinks asks for the link of that name, or for all when name is empty.
func (b *batch) getLinks(name string) {
	flags := uint16(0)
	if name == "" {
		flags = unix.NLM_F_DUMP
	}
	b.begin(unix.RTM_GETLINK, flags)
	b.buf = append(b.buf, make([]byte, unix.SizeofIfInfomsg)...)
	if name != "" {
		b.attr(unix.IFLA_IFNAME, append([]byte(name), 0))
	}
	b.end()
}
