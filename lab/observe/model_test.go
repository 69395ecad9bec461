package observe

import (
	"net/netip"
	"reflect"
	"testing"

	"golang.org/x/sys/unix"
)

const (
	down    = 0
	up      = unix.IFF_UP | unix.IFF_RUNNING
	upNoRun = unix.IFF_UP
)

func twoLinks() *model {
	m := newModel()
	m.setLink(link{2, "isp1", up})
	m.setLink(link{3, "isp2", up})
	return m
}

func gateway(id uint32, addr string, oif int) nexthop {
	return nexthop{id: id, hop: hop{gateway: netip.MustParseAddr(addr), oif: oif}}
}

func group(id uint32, members ...uint32) nexthop {
	n := nexthop{id: id}
	for _, m := range members {
		n.group = append(n.group, member{m, 1})
	}
	return n
}

func TestLinkChangesAreOfRunningAlone(t *testing.T) {
	m := newModel()
	for i, step := range []struct {
		flags uint32
		want  string // kind and reason
	}{
		{down, ""}, {upNoRun, ""}, {up, "link.up "}, {up, ""}, {upNoRun, "link.down carrier"}, {down, ""},
		{up, "link.up "}, {down, "link.down admin"},
	} {
		got := ""
		if c, moved := m.setLink(link{5, "p", step.flags}); moved {
			got = c.kind + " " + c.data["reason"]
		}
		if got != step.want {
			t.Errorf("step %d: %q, want %q", i, got, step.want)
		}
	}
	if _, moved := m.deleteLink(5); moved {
		t.Error("deleting a link that was down is a change")
	}
	m.setLink(link{6, "q", up})
	if c, moved := m.deleteLink(6); !moved || c.kind != LinkDown || c.data["reason"] != "deleted" {
		t.Errorf("deleting a running link: %+v, %t", c, moved)
	}
	if _, moved := m.setLink(link{1, "lo", up | unix.IFF_LOOPBACK}); moved {
		t.Error("lo is told of")
	}
}

func TestNexthopsResolveToHops(t *testing.T) {
	m := twoLinks()
	m.setNexthop(gateway(1, "198.18.0.2", 2))
	m.setNexthop(gateway(2, "198.18.1.2", 3))
	c := m.setNexthop(group(10, 2, 1, 99))
	if want := (change{NexthopChange, "10", map[string]string{"via": "198.18.0.2 dev isp1,198.18.1.2 dev isp2"}}); !reflect.DeepEqual(c, want) {
		t.Errorf("group: %+v, want %+v", c, want)
	}
	if c := m.setNexthop(nexthop{id: 3, blackhole: true}); c.data["via"] != "" {
		t.Errorf("blackhole: %+v", c)
	}
	m.setNexthop(group(11, 10))
	if got, _ := m.resolve(group(11, 10)); got != nil {
		t.Errorf("group in a group: %v", got)
	}
	if c := m.deleteNexthop(gateway(1, "198.18.0.2", 2)); c.kind != NexthopDelete || c.key != "1" {
		t.Errorf("delete: %+v", c)
	}
	left, _ := m.hops(route{next: 10})
	if got := m.describe(left); got != "198.18.1.2 dev isp2" {
		t.Errorf("route by the group after one member went: %q", got)
	}
}

func TestBucketsAreDealtOutByWeight(t *testing.T) {
	for _, c := range []struct {
		buckets int
		weights []int
		idle    []bool
	}{
		{0, []int{256, 1}, []bool{false, false}},
		{64, []int{256, 1}, []bool{false, true}},
		{64, []int{1, 256}, []bool{true, false}},
		{64, []int{256, 256, 1}, []bool{false, false, true}},
		{64, []int{1}, []bool{false}},
		{64, []int{1, 1}, []bool{false, false}},
		{512, []int{256, 1}, []bool{false, false}},
		{2, []int{1, 1, 1}, []bool{false, true, false}}, // upper bounds 1, 1, 2
	} {
		var g []member
		for i, w := range c.weights {
			g = append(g, member{uint32(i), w})
		}
		if got := idle(c.buckets, g); !reflect.DeepEqual(got, c.idle) {
			t.Errorf("%d buckets for %v: idle %v, want %v", c.buckets, c.weights, got, c.idle)
		}
	}
}

func TestABackupCarriesOnceThePrimariesAreGone(t *testing.T) {
	m := twoLinks()
	m.setNexthop(gateway(1, "198.18.0.2", 2))
	m.setNexthop(gateway(2, "198.18.1.2", 3))
	c := m.setNexthop(nexthop{id: 10, buckets: 64, group: []member{{1, 256}, {2, 1}}})
	want := change{NexthopChange, "10", map[string]string{"via": "198.18.0.2 dev isp1", "standby": "198.18.1.2 dev isp2"}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if c := m.routeChange(route{next: 10}, false); c.data["via"] != want.data["via"] || c.data["standby"] != want.data["standby"] {
		t.Errorf("a route by the group: %+v", c)
	}
	m.deleteNexthop(gateway(1, "198.18.0.2", 2)) // the group is told of later, or not at all
	active, standby := m.hops(route{next: 10})
	if m.describe(active) != "198.18.1.2 dev isp2" || standby != nil {
		t.Errorf("without its primary: via %v, standby %v", active, standby)
	}
}

func TestWhatTheKernelDidSilentlyIsTold(t *testing.T) {
	m := twoLinks()
	one, two := gateway(1, "198.18.0.2", 2), gateway(2, "198.18.1.2", 3)
	m.replaceNexthops([]nexthop{one, two, group(10, 1, 2)})
	got := m.replaceNexthops([]nexthop{two, group(10, 2)})
	want := []change{
		{NexthopDelete, "1", map[string]string{"cause": "link"}},
		{NexthopChange, "10", map[string]string{"via": "198.18.1.2 dev isp2", "cause": "link"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if again := m.replaceNexthops([]nexthop{two, group(10, 2)}); again != nil {
		t.Errorf("no difference told as %+v", again)
	}
}

func TestRoutesAreDescribed(t *testing.T) {
	m := twoLinks()
	r := route{
		prefix: netip.MustParsePrefix("0.0.0.0/0"), table: 100, proto: 186, metric: 20,
		hops: []hop{{netip.MustParseAddr("198.18.1.2"), 3, false}, {netip.MustParseAddr("198.18.0.2"), 2, true}, {oif: 9}},
	}
	c := m.routeChange(r, true)
	want := change{RouteDelete, "0.0.0.0/0", map[string]string{
		"via": "198.18.1.2 dev isp2,dev 9", "proto": "186", "metric": "20", "table": "100",
	}}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v, want %+v", c, want)
	}
	if got := m.interfaces(append(r.hops, r.hops...)); got != "9,isp1,isp2" {
		t.Errorf("interfaces: %q", got)
	}
}

func TestBurstGathersForItsWindow(t *testing.T) {
	b := burst{kind: RouteChange}
	if b.due() != 0 {
		t.Error("an empty burst is due")
	}
	for i := range int64(1000) {
		b.take(100 + i)
	}
	if _, _, ok := b.flush(100 + window - 1); ok {
		t.Error("told before its window ended")
	}
	at, c, ok := b.flush(100 + window)
	want := change{kind: RouteChange, data: map[string]string{"count": "1000", "last_ns": "1099"}}
	if !ok || at != 100 || !reflect.DeepEqual(c, want) {
		t.Errorf("burst at %d: %+v, %t", at, c, ok)
	}
	if _, _, ok := b.flush(1 << 60); ok {
		t.Error("told twice")
	}
}

func TestRoutesThatAreSingledOut(t *testing.T) {
	n := newNode("n", []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8:5::/48")}, nil)
	for text, want := range map[string]bool{
		"0.0.0.0/0": true, "::/0": true, "203.0.113.0/24": true, "203.0.112.0/22": true, "203.0.113.7/32": true,
		"2001:db8:5:1::/64": true, "2001:db8::/32": true, "198.18.0.0/15": false, "2001:db8:6::/48": false,
	} {
		if got := n.singled(netip.MustParsePrefix(text)); got != want {
			t.Errorf("%s singled out: %t, want %t", text, got, want)
		}
	}
}

func TestSampleOfAPrefix(t *testing.T) {
	for text, want := range map[string]string{
		"203.0.113.0/24": "203.0.113.1", "203.0.113.7/24": "203.0.113.7", "203.0.113.7/32": "203.0.113.7",
		"2001:db8::/64": "2001:db8::1", "2001:db8::/128": "2001:db8::", "0.0.0.0/0": "0.0.0.1",
	} {
		if got := sample(netip.MustParsePrefix(text)).String(); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
