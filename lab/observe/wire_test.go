package observe

import (
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

func attr(kind uint16, v []byte) []byte {
	b := native.AppendUint16(nil, uint16(4+len(v)))
	b = append(native.AppendUint16(b, kind), v...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func join(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func u32(v uint32) []byte { return native.AppendUint32(nil, v) }

// rtmsg is a header: family, prefix length, protocol, type, flags.
func rtmsg(family, bits, proto, kind byte, flags uint32) []byte {
	return append([]byte{family, bits, 0, 0, unix.RT_TABLE_MAIN, proto, 0, kind}, u32(flags)...)
}

func rtnexthop(flags byte, oif uint32, attrs []byte) []byte {
	b := native.AppendUint16(nil, uint16(8+len(attrs)))
	return append(append(append(b, flags, 0), u32(oif)...), attrs...)
}

func TestParseRoute(t *testing.T) {
	gw1, gw2 := []byte{198, 18, 0, 2}, []byte{198, 18, 1, 2}
	six := netip.MustParseAddr("fe80::1")
	for name, c := range map[string]struct {
		body []byte
		want route
	}{
		"single": {
			join(rtmsg(unix.AF_INET, 24, 186, unix.RTN_UNICAST, 0), attr(unix.RTA_TABLE, u32(1000)), attr(unix.RTA_DST, []byte{203, 0, 113, 0}),
				attr(unix.RTA_GATEWAY, gw1), attr(unix.RTA_OIF, u32(4)), attr(unix.RTA_PRIORITY, u32(20))),
			route{prefix: netip.MustParsePrefix("203.0.113.0/24"), table: 1000, kind: unix.RTN_UNICAST, proto: 186, metric: 20,
				hops: []hop{{netip.AddrFrom4([4]byte(gw1)), 4, false}}},
		},
		"default by object": {
			join(rtmsg(unix.AF_INET6, 0, 3, unix.RTN_UNICAST, 0), attr(rtaNhID, u32(7))),
			route{prefix: netip.MustParsePrefix("::/0"), table: unix.RT_TABLE_MAIN, kind: unix.RTN_UNICAST, proto: 3, next: 7},
		},
		"multipath, one dead, one over IPv6": {
			join(rtmsg(unix.AF_INET, 0, 3, unix.RTN_UNICAST, 0), attr(unix.RTA_MULTIPATH, join(
				rtnexthop(unix.RTNH_F_DEAD, 4, attr(unix.RTA_GATEWAY, gw2)),
				rtnexthop(0, 5, attr(unix.RTA_VIA, append(native.AppendUint16(nil, unix.AF_INET6), six.AsSlice()...)))))),
			route{prefix: netip.MustParsePrefix("0.0.0.0/0"), table: unix.RT_TABLE_MAIN, kind: unix.RTN_UNICAST, proto: 3,
				hops: []hop{{netip.AddrFrom4([4]byte(gw2)), 4, true}, {six, 5, false}}},
		},
	} {
		got, err := parseRoute(c.body)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for name, body := range map[string][]byte{
		"short": {2}, "no IP": rtmsg(unix.AF_BRIDGE, 0, 0, 0, 0), "length 33": rtmsg(unix.AF_INET, 33, 0, 0, 0),
	} {
		if _, err := parseRoute(body); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestParseNexthop(t *testing.T) {
	head := make([]byte, sizeofNhMsg)
	members := join(u32(1), u32(0), u32(2), u32(0))
	for name, c := range map[string]struct {
		body []byte
		want nexthop
	}{
		"gateway": {
			join(head, attr(unix.NHA_ID, u32(1)), attr(unix.NHA_GATEWAY, []byte{198, 18, 0, 2}), attr(unix.NHA_OIF, u32(4))),
			nexthop{id: 1, hop: hop{gateway: netip.MustParseAddr("198.18.0.2"), oif: 4}},
		},
		"resilient": {
			join(head, attr(unix.NHA_ID, u32(9)), attr(unix.NHA_GROUP, join(u32(1), []byte{255, 0, 0, 0}, u32(2), []byte{0, 1, 0, 0})),
				attr(nhaResGroup, attr(nhaResGroupBuckets, native.AppendUint16(nil, 64)))),
			nexthop{id: 9, group: []member{{1, 256}, {2, 257}}, buckets: 64},
		},
		"group":     {join(head, attr(unix.NHA_ID, u32(9)), attr(unix.NHA_GROUP, members)), nexthop{id: 9, group: []member{{1, 1}, {2, 1}}}},
		"blackhole": {join(head, attr(unix.NHA_ID, u32(3)), attr(unix.NHA_BLACKHOLE, nil)), nexthop{id: 3, blackhole: true}},
	} {
		if got, err := parseNexthop(c.body); err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if _, err := parseNexthop(head[:7]); err == nil {
		t.Error("7 bytes accepted")
	}
}

func TestParseLink(t *testing.T) {
	body := join([]byte{0, 0, 0, 0}, u32(7), u32(up), u32(0), attr(unix.IFLA_IFNAME, []byte("isp1\x00")))
	if got, err := parseLink(body); err != nil || got != (link{7, "isp1", up}) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := parseLink(body[:15]); err == nil {
		t.Error("15 bytes accepted")
	}
}

func TestParsingARouteOfAFullTableAllocatesNothing(t *testing.T) {
	body := join(rtmsg(unix.AF_INET, 24, 186, unix.RTN_UNICAST, 0), attr(unix.RTA_DST, []byte{198, 19, 1, 0}), attr(rtaNhID, u32(7)))
	n := newNode("n", []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, nil)
	if got := testing.AllocsPerRun(100, func() { n.takeRoute(1, body, false) }); got != 0 {
		t.Errorf("%.0f allocations", got)
	}
}

func FuzzTake(f *testing.F) {
	wrap := func(kind uint16, body []byte) []byte {
		b := u32(uint32(unix.SizeofNlMsghdr + len(body)))
		b = native.AppendUint16(native.AppendUint16(b, kind), 0)
		return append(append(b, make([]byte, 8)...), body...)
	}
	f.Add(wrap(unix.RTM_NEWROUTE, join(rtmsg(unix.AF_INET, 0, 3, 1, 0), attr(unix.RTA_MULTIPATH, rtnexthop(0, 4, attr(unix.RTA_VIA, []byte{1}))))))
	f.Add(wrap(unix.RTM_DELROUTE, join(rtmsg(unix.AF_INET6, 128, 3, 1, 0), attr(unix.RTA_DST, make([]byte, 16)))))
	f.Add(wrap(unix.RTM_NEWLINK, join([]byte{0, 0, 0, 0}, u32(7), u32(up), u32(0), attr(unix.IFLA_IFNAME, []byte("p\x00")))))
	f.Add(wrap(unix.RTM_NEWNEXTHOP, join(make([]byte, 8), attr(unix.NHA_GROUP, u32(1)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		n := newNode("n", []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}, func(_ string, _ int64, c change) {
			if c.kind == "" {
				t.Error("an event of no kind")
			}
		})
		for m := range messages(b) {
			n.take(1, m)
		}
	})
}
