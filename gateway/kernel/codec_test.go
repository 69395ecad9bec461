package kernel

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"gwlab/gateway/state"
)

func first(t *testing.T, b *batch) (typ, flags uint16, payload []byte) {
	t.Helper()
	err := messages(b.buf, func(ty, fl uint16, _ uint32, p []byte) error {
		if payload == nil {
			typ, flags, payload = ty, fl, p
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return typ, flags, payload
}

func TestBatchNumbersAndAsksForOneAck(t *testing.T) {
	var b batch
	for id := range uint32(3) {
		b.delNexthop(id + 1)
	}
	b.number(100)
	var seqs []uint32
	acks := 0
	_ = messages(b.buf, func(_, flags uint16, seq uint32, _ []byte) error {
		seqs = append(seqs, seq)
		if flags&unix.NLM_F_ACK != 0 {
			acks++
		}
		return nil
	})
	if !slices.Equal(seqs, []uint32{100, 101, 102}) || acks != 1 || b.count != 3 {
		t.Errorf("sequence %v, %d acks asked, count %d", seqs, acks, b.count)
	}
}

func TestHopRoundTrip(t *testing.T) {
	for _, addr := range []string{"198.18.1.2", "2001:db8::1", "fe80::1"} {
		var b batch
		b.addHop(7, netip.MustParseAddr(addr), 42, 201)
		typ, flags, payload := first(t, &b)
		h, ok := parseNexthop(payload)
		if !ok || typ != unix.RTM_NEWNEXTHOP || flags&create != create ||
			h.id != 7 || h.index != 42 || h.gateway.String() != addr || h.protocol != 201 || len(h.members) != 0 {
			t.Errorf("%s: type %d flags %x %+v", addr, typ, flags, h)
		}
	}
}

func TestGroupRoundTrip(t *testing.T) {
	members := []member{{&hop{id: 3}, activeWeight}, {&hop{id: 2}, standbyWeight}}
	var b batch
	b.addGroup(replace, 9, members, 201)
	_, _, payload := first(t, &b)
	g, ok := parseNexthop(payload)
	if !ok || g.id != 9 || g.kind != groupTypeRes || g.buckets != groupBuckets || contentOf(g.members) != content(members) {
		t.Errorf("%+v, want group 9 of %v", g, members)
	}
}

func TestRouteRoundTrip(t *testing.T) {
	for _, text := range []string{"0.0.0.0/0", "198.18.0.0/15", "203.0.113.7/32", "::/0", "2001:db8::/32"} {
		for _, tableID := range []uint32{254, 1000} {
			k := routeKey{netip.MustParsePrefix(text), tableID, 20, 201}
			var b batch
			b.addRoute(k, 77)
			typ, _, payload := first(t, &b)
			got, id, ok := parseRoute(payload)
			if !ok || typ != unix.RTM_NEWROUTE || got != k || id != 77 {
				t.Errorf("%+v read back as %+v, nexthop %d", k, got, id)
			}
		}
	}
}

func TestSmallestMemberGetsNoBucket(t *testing.T) {
	// The kernel gives member i the buckets from round(B×Σw(<i)/W) to
	// round(B×Σw(≤i)/W) (net/ipv4/nexthop.c, nh_res_group_rebalance).
	for primaries := 1; primaries <= 64; primaries++ {
		active, total := 256*primaries, 256*primaries+1
		if upper := (groupBuckets*active + total/2) / total; upper != groupBuckets {
			t.Errorf("%d primaries: the standby gets %d buckets", primaries, groupBuckets-upper)
		}
	}
}

func TestMembers(t *testing.T) {
	hops := map[string]state.NextHop{}
	for name, at := range map[string][2]string{"a": {"198.18.1.2", "up1"}, "b": {"198.18.2.2", "up2"}, "c": {"198.18.3.2", "ibl"}, "d": {"198.18.1.3", "up1"}} {
		hops[name] = state.NextHop{Addr: netip.MustParseAddr(at[0]), Interface: at[1]}
	}
	list := func(names string) (out []state.NextHop) {
		for _, n := range names {
			out = append(out, hops[string(n)])
		}
		return out
	}
	for name, tc := range map[string]struct{ primary, backup, down, blocked, want string }{
		"all alive":                     {"ab", "c", "", "", "ab(c)"},
		"no backup":                     {"ab", "", "", "", "ab"},
		"one dead":                      {"ab", "c", "a", "", "b(c)"},
		"primaries dead":                {"ab", "c", "ab", "", "c"},
		"all dead":                      {"ab", "c", "abc", "", "ab"},
		"all dead, one without link":    {"ab", "c", "abc", "a", "b"},
		"only the dead backup has link": {"ab", "c", "abc", "ab", "c"},
		"no link at all":                {"ab", "c", "", "abc", ""},
		"standby needs its own link":    {"a", "d", "", "", "a"},
		"the second backup has one":     {"a", "dc", "", "", "a(c)"},
		"dead backup does not stand by": {"a", "c", "c", "", "a"},
		"backups share":                 {"a", "bc", "a", "", "bc"},
	} {
		t.Run(name, func(t *testing.T) {
			table := newGroupTable(nil, 201)
			g, err := table.intern(state.Group{Primary: list(tc.primary), Backup: list(tc.backup)})
			if err != nil {
				t.Fatal(err)
			}
			for _, h := range list(tc.down) {
				table.markDown(h, true)
			}
			for _, h := range list(tc.blocked) {
				table.markBlocked(h, true)
			}
			got := ""
			for _, m := range table.members(g) {
				for name, h := range hops {
					if h == m.hop.NextHop && m.weight == standbyWeight {
						got += "(" + name + ")"
					} else if h == m.hop.NextHop {
						got += name
					}
				}
			}
			if got != tc.want {
				t.Errorf("members %q, want %q", got, tc.want)
			}
		})
	}
}

func TestIDsRunOut(t *testing.T) {
	s := newIDs()
	s.claim(firstID + 1)
	for i := range lastID - firstID {
		id, err := s.take()
		if err != nil || id == firstID+1 {
			t.Fatalf("take %d = %d, %v", i, id, err)
		}
	}
	if _, err := s.take(); !errors.Is(err, errNoID) {
		t.Errorf("take from an empty range = %v", err)
	}
	s.free(firstID + 9)
	if id, err := s.take(); err != nil || id != firstID+9 {
		t.Errorf("take = %d, %v, want the freed id", id, err)
	}
}

func TestParseErrorReadsTheKernelsWords(t *testing.T) {
	var b batch
	b.buf = append(b.buf, 0xea, 0xff, 0xff, 0xff) // -22
	b.buf = append(b.buf, make([]byte, unix.NLMSG_HDRLEN)...)
	b.attr(1, []byte("Nexthop id does not exist\x00"))
	e := parseError(b.buf)
	if e == nil || !errors.Is(e, unix.EINVAL) || e.Error() != "invalid argument: Nexthop id does not exist" {
		t.Errorf("parseError = %v", e)
	}
	if e := parseError(make([]byte, 4)); e != nil {
		t.Errorf("an ACK read as %v", e)
	}
}

func FuzzParsers(f *testing.F) {
	var b batch
	b.addHop(7, netip.MustParseAddr("198.18.1.2"), 42, 201)
	b.addGroup(create, 9, []member{{&hop{id: 3}, 255}}, 201)
	b.addRoute(routeKey{netip.MustParsePrefix("198.18.0.0/15"), 254, 20, 201}, 9)
	b.getLinks("up1")
	f.Add(b.buf)
	f.Add([]byte{0x10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(_ *testing.T, data []byte) {
		_ = messages(data, func(_, _ uint16, _ uint32, p []byte) error {
			parseNexthop(p)
			parseRoute(p)
			parseLink(p)
			parseAddress(p)
			_ = parseError(p)
			return nil
		})
	})
}
