package kernel

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/sys/unix"
)

// nexthop is one nexthop object or group as the kernel tells it.
type nexthop struct {
	id       uint32
	protocol byte
	index    int        // of the link; objects only
	gateway  netip.Addr // objects only
	members  []weighted // groups only
	kind     uint16     // of group
	buckets  uint16     // of a resilient group
}

// weighted is a member of a group; weight is one less than its share.
type weighted struct {
	id     uint32
	weight byte
}

// parseNexthop reads the payload of RTM_NEWNEXTHOP.
func parseNexthop(payload []byte) (nexthop, bool) {
	if len(payload) < unix.SizeofNhmsg {
		return nexthop{}, false
	}
	n := nexthop{protocol: payload[2]}
	attributes(payload[unix.SizeofNhmsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.NHA_ID:
			n.id = u32(v)
		case unix.NHA_OIF:
			n.index = int(u32(v))
		case unix.NHA_GATEWAY:
			n.gateway, _ = netip.AddrFromSlice(v)
		case unix.NHA_GROUP:
			for ; len(v) >= sizeofNexthopGrp; v = v[sizeofNexthopGrp:] {
				n.members = append(n.members, weighted{u32(v), v[4]})
			}
		case unix.NHA_GROUP_TYPE:
			n.kind = u16(v)
		case nhaResGroup:
			attributes(v, func(typ uint16, v []byte) {
				if typ == resGroupBuckets {
					n.buckets = u16(v)
				}
			})
		}
	})
	return n, n.id != 0
}

// parseRoute reads the payload of RTM_NEWROUTE: which route it is and which
// nexthop object it points at (0 for none).
func parseRoute(payload []byte) (k routeKey, nhid uint32, ok bool) {
	if len(payload) < unix.SizeofRtMsg || binary.NativeEndian.Uint32(payload[8:])&unix.RTM_F_CLONED != 0 {
		return k, 0, false
	}
	addr := netip.IPv4Unspecified()
	if payload[0] == unix.AF_INET6 {
		addr = netip.IPv6Unspecified()
	}
	k.table, k.protocol = uint32(payload[4]), payload[5]
	attributes(payload[unix.SizeofRtMsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.RTA_DST:
			addr, _ = netip.AddrFromSlice(v)
		case unix.RTA_TABLE:
			k.table = u32(v)
		case unix.RTA_PRIORITY:
			k.metric = u32(v)
		case rtaNHID:
			nhid = u32(v)
		}
	})
	k.prefix = netip.PrefixFrom(addr, int(payload[1]))
	return k, nhid, k.prefix.IsValid()
}

// link is one interface as the kernel tells it.
type link struct {
	index int
	name  string
	up    bool // IFF_UP and carrier
}

// parseLink reads the payload of RTM_NEWLINK and RTM_DELLINK. Messages of the
// bridge about its ports are not links.
func parseLink(payload []byte) (link, bool) {
	if len(payload) < unix.SizeofIfInfomsg || payload[0] != unix.AF_UNSPEC {
		return link{}, false
	}
	const carrier = unix.IFF_LOWER_UP | unix.IFF_RUNNING
	flags := binary.NativeEndian.Uint32(payload[8:])
	l := link{
		index: int(int32(binary.NativeEndian.Uint32(payload[4:]))),
		up:    flags&unix.IFF_UP != 0 && flags&carrier == carrier,
	}
	attributes(payload[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) {
		if typ == unix.IFLA_IFNAME {
			l.name = cstring(v)
		}
	})
	return l, l.name != ""
}

// parseAddress reads the link index out of RTM_NEWADDR and RTM_DELADDR.
func parseAddress(payload []byte) (index int, ok bool) {
	if len(payload) < unix.SizeofIfAddrmsg {
		return 0, false
	}
	return int(binary.NativeEndian.Uint32(payload[4:])), true
}

func u32(v []byte) uint32 {
	if len(v) < 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(v)
}

func u16(v []byte) uint16 {
	if len(v) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(v)
}
