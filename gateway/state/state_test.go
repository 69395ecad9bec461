package state_test

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/state"
)

var (
	isp1  = hop("192.0.2.1", "up1")
	isp2  = hop("192.0.2.9", "up2")
	peer  = hop("192.0.2.17", "ibl")
	isp16 = hop("2001:db8:1::1", "up1")
)

func hop(addr, iface string) state.NextHop {
	return state.NextHop{Addr: netip.MustParseAddr(addr), Interface: iface}
}

func hops(h ...state.NextHop) []state.NextHop { return h }

func group(primary, backup []state.NextHop) state.Group {
	return state.Group{Primary: primary, Backup: backup}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestGroupNormalise(t *testing.T) {
	mapped := hop("::ffff:192.0.2.1", "up1")
	zoned := state.NextHop{Addr: netip.MustParseAddr("fe80::1%up1"), Interface: "up1"}
	for name, tc := range map[string]struct {
		in   state.Group
		want string
	}{
		"empty":                   {group(nil, nil), ""},
		"one":                     {group(hops(isp1), nil), "192.0.2.1@up1"},
		"sorts primaries":         {group(hops(isp2, isp1), nil), "192.0.2.1@up1 192.0.2.9@up2"},
		"sorts backups":           {group(hops(isp1), hops(peer, isp2)), "192.0.2.1@up1 backup 192.0.2.9@up2 192.0.2.17@ibl"},
		"drops duplicates":        {group(hops(isp1, isp1), hops(peer, peer)), "192.0.2.1@up1 backup 192.0.2.17@ibl"},
		"primary wins":            {group(hops(isp1), hops(isp1, peer)), "192.0.2.1@up1 backup 192.0.2.17@ibl"},
		"backup alone":            {group(nil, hops(peer)), "backup 192.0.2.17@ibl"},
		"IPv4-mapped is IPv4":     {group(hops(mapped, isp1), nil), "192.0.2.1@up1"},
		"zone is the interface":   {group(hops(zoned), nil), "fe80::1@up1"},
		"interface tells apart":   {group(hops(hop("fe80::1", "b"), hop("fe80::1", "a")), nil), "fe80::1@a fe80::1@b"},
		"IPv4 stands before IPv6": {group(hops(isp16, isp1), nil), "192.0.2.1@up1 2001:db8:1::1@up1"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := tc.in.Normalise().String(); got != tc.want {
				t.Errorf("Normalise = %q, want %q", got, tc.want)
			}
		})
	}
}

func TestNormaliseLeavesItsInputAlone(t *testing.T) {
	in := group(hops(isp2, isp1), hops(peer))
	in.Normalise()
	if in.Primary[0] != isp2 {
		t.Error("Normalise sorted its receiver's slice")
	}
}

func TestKeyIsIdentity(t *testing.T) {
	a := group(hops(isp1, isp2), hops(peer))
	b := group(hops(isp2, isp1, isp1), hops(peer, isp1))
	if a.Key() != b.Key() || !a.Equal(b) {
		t.Errorf("equal groups differ: %q, %q", a.Key(), b.Key())
	}
	for name, other := range map[string]state.Group{
		"another backup":  group(hops(isp1, isp2), nil),
		"another primary": group(hops(isp1), hops(peer)),
		"roles swapped":   group(hops(peer), hops(isp1, isp2)),
		"all primary":     group(hops(isp1, isp2, peer), nil),
	} {
		if a.Key() == other.Key() || a.Equal(other) {
			t.Errorf("%s: unequal groups share a key: %q", name, other.Key())
		}
	}
}

func TestMembers(t *testing.T) {
	g := group(hops(isp1, isp2), hops(peer))
	down := func(h ...state.NextHop) map[state.NextHop]bool {
		m := map[state.NextHop]bool{}
		for _, n := range h {
			m[n] = true
		}
		return m
	}
	for name, tc := range map[string]struct {
		g    state.Group
		down map[state.NextHop]bool
		want []state.NextHop
	}{
		"all alive":               {g, nil, hops(isp1, isp2)},
		"one primary dead":        {g, down(isp1), hops(isp2)},
		"primaries dead":          {g, down(isp1, isp2), hops(peer)},
		"all dead":                {g, down(isp1, isp2, peer), hops(isp1, isp2)},
		"only the backup dead":    {g, down(peer), hops(isp1, isp2)},
		"false is alive":          {g, map[state.NextHop]bool{isp1: false}, hops(isp1, isp2)},
		"no backup, primary dead": {group(hops(isp1), nil), down(isp1), hops(isp1)},
		"backups only, all dead":  {group(nil, hops(peer)), down(peer), hops(peer)},
		"a stranger dead":         {g, down(isp16), hops(isp1, isp2)},
		"empty":                   {group(nil, nil), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, state.Members(tc.g, tc.down), cmp.Comparer(equalHop)); diff != "" {
				t.Errorf("Members (-want +got):\n%s", diff)
			}
		})
	}
}

func equalHop(a, b state.NextHop) bool { return a == b }

func TestStateText(t *testing.T) {
	s := state.State{
		Routes: map[netip.Prefix]state.Group{
			prefix("2001:db8::/32"): group(hops(isp16), nil),
			prefix("198.18.1.0/24"): group(hops(isp2, isp1), hops(peer)),
			prefix("198.18.0.0/16"): group(hops(isp1), nil),
			prefix("198.18.1.0/25"): group(hops(isp1), nil),
			prefix("0.0.0.0/0"):     group(hops(isp1), hops(isp2)),
		},
		Down: map[state.NextHop]bool{isp2: true, isp1: true, peer: false},
	}
	const want = `route 0.0.0.0/0 via 192.0.2.1@up1 backup 192.0.2.9@up2
route 198.18.0.0/16 via 192.0.2.1@up1
route 198.18.1.0/24 via 192.0.2.1@up1 192.0.2.9@up2 backup 192.0.2.17@ibl
route 198.18.1.0/25 via 192.0.2.1@up1
route 2001:db8::/32 via 2001:db8:1::1@up1
down 192.0.2.1@up1
down 192.0.2.9@up2
`
	if diff := cmp.Diff(want, s.String()); diff != "" {
		t.Errorf("String (-want +got):\n%s", diff)
	}
}

func TestDiff(t *testing.T) {
	before := state.State{
		Routes: map[netip.Prefix]state.Group{
			prefix("198.18.0.0/24"): group(hops(isp1, isp2), nil),
			prefix("198.18.1.0/24"): group(hops(isp1), nil),
			prefix("198.18.3.0/24"): group(hops(isp1), nil),
			prefix("198.18.2.0/24"): group(hops(isp1), nil),
		},
		Down: map[state.NextHop]bool{isp1: true, peer: true},
	}
	after := state.State{
		Routes: map[netip.Prefix]state.Group{
			prefix("198.18.0.0/24"): group(hops(isp2, isp1), nil), // same content, other order
			prefix("198.18.1.0/24"): group(hops(isp1), hops(peer)),
			prefix("198.18.9.0/24"): group(hops(isp2), nil),
		},
		Down: map[state.NextHop]bool{isp2: true, peer: true},
	}
	c := state.Diff(before, after)
	got := state.State{Routes: c.Set}.String()
	const want = `route 198.18.1.0/24 via 192.0.2.1@up1 backup 192.0.2.17@ibl
route 198.18.9.0/24 via 192.0.2.9@up2
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Set (-want +got):\n%s", diff)
	}
	if len(c.Delete) != 2 || c.Delete[0] != prefix("198.18.2.0/24") || c.Delete[1] != prefix("198.18.3.0/24") {
		t.Errorf("Delete = %v, want 198.18.2.0/24 and 198.18.3.0/24 in order", c.Delete)
	}
	if len(c.Failed) != 1 || c.Failed[0] != isp2 || len(c.Restored) != 1 || c.Restored[0] != isp1 {
		t.Errorf("Failed %v, Restored %v; want isp2 and isp1", c.Failed, c.Restored)
	}
	if before.Equal(after) || !before.Equal(before.Clone()) {
		t.Error("Equal disagrees with Diff")
	}
}

func TestDiffOfNothing(t *testing.T) {
	var zero state.State
	if c := state.Diff(zero, zero.Clone()); !c.Empty() {
		t.Errorf("Diff of two empty states = %+v", c)
	}
}

func TestCloneSharesNothing(t *testing.T) {
	a := state.State{
		Routes: map[netip.Prefix]state.Group{prefix("198.18.0.0/24"): group(hops(isp1), nil)},
		Down:   map[state.NextHop]bool{},
	}
	b := a.Clone()
	b.Routes[prefix("198.18.1.0/24")] = group(hops(isp1), nil)
	b.Down[isp1] = true
	if len(a.Routes) != 1 || len(a.Down) != 0 {
		t.Errorf("changing a clone changed its original:\n%s", a)
	}
}
