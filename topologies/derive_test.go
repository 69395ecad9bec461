package topologies

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// views are the nodes' values of something, by name.
func views[T any](t *Topology, view func(*Node) T) map[string]T {
	out := map[string]T{}
	for _, n := range t.Nodes {
		out[n.Name] = view(n)
	}
	return out
}

func TestASNumbersSkipThoseWritten(t *testing.T) {
	topo := parse(t, `
  nodes:
    i1: {kind: frr, role: isp}
    gw1: {kind: gateway}
    w: {kind: bird, asn: 65002}
    i2: {kind: router, role: core}
    gw2: {kind: bird, role: gateway}
    t: {kind: frr, role: tor}
    big: {kind: exec, asn: 4200000000}
    gw3: {kind: gateway, asn: 65004}
    h: {kind: bridge}
`)
	want := map[string]uint32{"i1": 65001, "gw1": 65000, "w": 65002, "i2": 65003, "gw2": 65000, "t": 65005, "big": 4200000000, "gw3": 65004, "h": 0}
	if diff := cmp.Diff(want, views(topo, func(n *Node) uint32 { return n.ASN })); diff != "" {
		t.Error(diff)
	}
}

func TestRouterIDsSkipThoseWritten(t *testing.T) {
	topo := parse(t, `
  nodes:
    a: {kind: frr, asn: 1}
    sw: {kind: bridge}
    b: {kind: frr, asn: 2, router-id: 198.19.0.2}
    c: {kind: exec, asn: 3}
    d: {kind: bridge}
    e: {kind: gateway}
`)
	want := map[string]string{"a": "198.19.0.1", "sw": "invalid IP", "b": "198.19.0.2", "c": "198.19.0.3", "d": "invalid IP", "e": "198.19.0.4"}
	if diff := cmp.Diff(want, views(topo, func(n *Node) string { return n.RouterID.String() })); diff != "" {
		t.Error(diff)
	}
}

// Links between routers get consecutive /31 and /127, around what is written
// or originated.
func TestLinkSubnets(t *testing.T) {
	topo := parse(t, `
  nodes:
    a: {kind: frr, asn: 1}
    b: {kind: frr, asn: 2}
  links:
    - endpoints: ["a:p0", "b:p0"]
    - endpoints: ["a:p1", "b:p1"]
      ipv4: ["", 198.18.0.2/30]
      ipv6: [fd00:18::2/127, ""]
    - endpoints: ["b:p2", "a:p2"]
    - endpoints: ["a:p3", "b:p3"]
`)
	var got []string
	for _, l := range topo.Links {
		got = append(got, fmt.Sprint(l.A.Addresses, l.B.Addresses))
	}
	want := []string{
		"[198.18.0.4/31 fd00:18::/127] [198.18.0.5/31 fd00:18::1/127]",
		"[198.18.0.1/30 fd00:18::2/127] [198.18.0.2/30 fd00:18::3/127]",
		"[198.18.0.6/31 fd00:18::4/127] [198.18.0.7/31 fd00:18::5/127]",
		"[198.18.0.8/31 fd00:18::6/127] [198.18.0.9/31 fd00:18::7/127]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Routers on a bridge need more than a point-to-point subnet.
func TestRoutersOnABridge(t *testing.T) {
	topo := parse(t, `
  nodes:
    a: {kind: frr, asn: 1}
    b: {kind: frr, asn: 2}
    c: {kind: frr, asn: 3}
    sw: {kind: bridge}
  links:
    - endpoints: ["sw:c", "c:sw"]
    - endpoints: ["a:sw", "sw:a"]
    - endpoints: ["b:sw", "sw:b"]
`)
	for endpoint, want := range map[Endpoint]string{
		"c:sw": "[198.18.0.1/28 fd00:18::1/64]", "a:sw": "[198.18.0.2/28 fd00:18::2/64]", "b:sw": "[198.18.0.3/28 fd00:18::3/64]", "sw:a": "[]",
	} {
		if got := fmt.Sprint(topo.Port(endpoint).Addresses); got != want {
			t.Errorf("%s has %s, want %s", endpoint, got, want)
		}
	}
	if n := len(topo.Sessions()); n != 6 {
		t.Errorf("%d sessions among three speakers in two families, want 6", n)
	}
	for _, n := range topo.Nodes {
		if len(n.Originate) != 0 {
			t.Errorf("%s originates %v: transit subnets are not announced", n.Name, n.Originate)
		}
	}
}

// Host subnets: of what the router originates, else of the documentation
// ranges, which it then originates; the host sends everything to the router.
func TestHostSubnetsAndDefaultRoutes(t *testing.T) {
	topo := parse(t, `
  nodes:
    r: {kind: frr, asn: 1, originate: [203.0.113.0/24, "2001:db8:1::/48", "::/0"]}
    s: {kind: frr, asn: 2}
    sw: {kind: bridge}
    h1: {kind: host}
    h2: {kind: host}
    h3: {kind: host}
  links:
    - endpoints: ["h1:e", "r:h1"]
    - endpoints: ["r:h2", "h2:e"]
    - endpoints: ["h3:e", "sw:h3"]
    - endpoints: ["s:sw", "sw:s"]
    - endpoints: ["r:sw", "sw:r"]
    - endpoints: ["s:h3", "h3:f"]
`)
	for endpoint, want := range map[Endpoint]string{
		"r:h1": "[203.0.113.1/28 2001:db8:1::1/64] []",
		"h1:e": "[203.0.113.2/28 2001:db8:1::2/64] [203.0.113.1 2001:db8:1::1]",
		"h2:e": "[203.0.113.18/28 2001:db8:1:1::2/64] [203.0.113.17 2001:db8:1:1::1]",
		"h3:e": "[203.0.113.35/28 2001:db8:1:2::3/64] [203.0.113.33 2001:db8:1:2::1]", // s stands first on the bridge
		"h3:f": "[198.51.100.2/28 2001:db8::2/64] [198.51.100.1 2001:db8::1]",
	} {
		p := topo.Port(endpoint)
		if got := fmt.Sprint(p.Addresses, p.DefaultVia); got != want {
			t.Errorf("%s has %s, want %s", endpoint, got, want)
		}
	}
	want := map[string]string{"r": "[203.0.113.0/24 2001:db8:1::/48 ::/0]", "s": "[198.51.100.0/28 2001:db8::/64]",
		"sw": "[]", "h1": "[]", "h2": "[]", "h3": "[]"}
	if diff := cmp.Diff(want, views(topo, func(n *Node) string { return fmt.Sprint(n.Originate) })); diff != "" {
		t.Error(diff)
	}
}

// A host subnet announced by two gateways of one AS is announced by both; by
// speakers of different ASes, by those of the first only.
func TestWhoAnnouncesAHostSubnet(t *testing.T) {
	for second, want := range map[string]string{"kind: gateway": "[203.0.113.0/28 2001:db8::/64]", "kind: frr, asn: 7": "[]"} {
		topo := parse(t, "  nodes:\n    a: {kind: gateway}\n    b: {"+second+`}
    sw: {kind: bridge}
    h: {kind: host}
  links:
    - endpoints: ["a:sw", "sw:a"]
    - endpoints: ["b:sw", "sw:b"]
    - endpoints: ["h:sw", "sw:h"]
`)
		if got := fmt.Sprint(topo.Node("a").Originate); got != "[203.0.113.0/28 2001:db8::/64]" {
			t.Errorf("a originates %s", got)
		}
		if got := fmt.Sprint(topo.Node("b").Originate); got != want {
			t.Errorf("b (%s) originates %s, want %s", second, got, want)
		}
	}
}

// Bridges joined late make one segment of two.
func TestBridgesAreJoined(t *testing.T) {
	body := "  nodes:\n    r: {kind: frr, asn: 1}\n"
	links := "  links:\n"
	for i := range 6 {
		body += fmt.Sprintf("    b%d: {kind: bridge}\n    h%d: {kind: host}\n", i, i)
		links += fmt.Sprintf("    - endpoints: [\"h%d:e\", \"b%d:h\"]\n", i, i)
	}
	for _, pair := range []string{"01", "45", "23", "12", "34"} {
		links += fmt.Sprintf("    - endpoints: [\"b%c:x%c\", \"b%c:x%c\"]\n", pair[0], pair[1], pair[1], pair[0])
	}
	topo := parse(t, body+links+"    - endpoints: [\"r:lan\", \"b5:r\"]\n")
	segments, loops := topo.segments()
	if len(segments) != 1 || len(loops) != 0 || len(segments[0].ports) != 7 || len(segments[0].links) != 12 {
		t.Fatalf("%d segments, %d loops", len(segments), len(loops))
	}
	router := topo.Port("r:lan").Addresses[0]
	for i := range 6 {
		p := topo.Port(Endpoint(fmt.Sprintf("h%d:e", i)))
		if p.Addresses[0].Masked() != router.Masked() || p.DefaultVia[0] != router.Addr() {
			t.Errorf("h%d: %v via %v, router %s", i, p.Addresses, p.DefaultVia, router)
		}
	}
}

// Inheritance: node over kind over defaults, key by key; lists whole, env and
// neighbours by name.
func TestInheritanceOrder(t *testing.T) {
	topo := parse(t, `
  defaults: {feed: {ipv4: 1, ipv6: 1}, bgp: {multipath: 1, hold-time: 3s, ttl-security: true}, env: {D: d, K: d, N: d},
    processes: [{name: d, command: [d]}]}
  kinds:
    frr: {feed: {ipv4: 2}, bgp: {multipath: 2}, env: {K: k, N: k}, processes: [{name: k, command: [k]}]}
  nodes:
    n: {kind: frr, asn: 1, feed: {ipv4: 3}, bgp: {multipath: 3, ttl-security: false}, env: {N: n}}
    m: {kind: frr, asn: 2, processes: []}
    o: {kind: bird, asn: 3}
`)
	describe := func(n *Node) string {
		var processes []string
		for _, p := range n.Processes {
			processes = append(processes, p.Name+" "+p.Restart)
		}
		return fmt.Sprint(n.Feed, n.BGP.Multipath, n.BGP.HoldTime, n.BGP.TTLSecurity, n.Env, processes)
	}
	want := map[string]string{
		"n": "{3 1} 3 3s false map[D:d K:k N:n] [k never]",
		"m": "{2 1} 2 3s true map[D:d K:k N:k] []",
		"o": "{1 1} 1 3s true map[D:d K:d N:d] [d never]",
	}
	if diff := cmp.Diff(want, views(topo, describe)); diff != "" {
		t.Error(diff)
	}
}

// Settings of two nodes are their own, even when one place wrote them.
func TestInheritedSettingsAreNotShared(t *testing.T) {
	topo := parse(t, "  defaults: {kind: frr, asn: 1, originate: [10.0.0.0/8], env: {A: a}}\n  nodes: {a: {}, b: {}}\n")
	a, b := topo.Node("a"), topo.Node("b")
	a.Env["A"], a.Originate[0] = "changed", netip.Prefix{}
	if b.Env["A"] != "a" || b.Originate[0] != netip.MustParsePrefix("10.0.0.0/8") {
		t.Errorf("b has %v %v", b.Env, b.Originate)
	}
}

// hosts have defaults of routing written over them in vain.
func TestDefaultsDoNotMakeAHostSpeak(t *testing.T) {
	topo := parse(t, "  defaults: {asn: 65001, originate: [10.0.0.0/8], bgp: {password: x}}\n  nodes: {h: {kind: bridge}, r: {kind: frr}}\n")
	if h := topo.Node("h"); h.Speaks() || len(h.Originate) != 0 || h.BGP != (BGP{}) || h.RouterID.IsValid() {
		t.Errorf("%+v", h)
	}
}

func TestCut(t *testing.T) {
	for _, c := range []struct {
		from        string
		bits, count int
		want        string
	}{
		{"10.0.0.0/8", 10, 9, "[10.0.0.0/10 10.64.0.0/10 10.128.0.0/10 10.192.0.0/10]"},
		{"10.0.0.0/8", 8, 3, "[10.0.0.0/8]"},
		{"10.0.0.0/8", 7, 3, "[]"},
		{"10.0.0.0/8", 24, 0, "[]"},
		{"255.255.255.252/30", 31, 9, "[255.255.255.252/31 255.255.255.254/31]"},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127", 128, 9,
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/128 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128]"},
		{"0.0.0.0/0", 1, 9, "[0.0.0.0/1 128.0.0.0/1]"},
		{"10.1.2.3/8", 24, 1, "[10.0.0.0/24]"},
	} {
		if got := fmt.Sprint(Cut(netip.MustParsePrefix(c.from), c.bits, c.count)); got != c.want {
			t.Errorf("Cut(%s, %d, %d) = %s, want %s", c.from, c.bits, c.count, got, c.want)
		}
	}
	for _, family := range Families() {
		from, bits := FeedRange(family)
		feed := Cut(from, bits, maxFeed)
		if len(feed) != maxFeed || !from.Contains(last(feed[maxFeed-1])) || !slices.IsSortedFunc(feed, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) }) {
			t.Errorf("%s: %d prefixes, the largest feed has %d", family, len(feed), maxFeed)
		}
	}
}

// A pool gives away no address twice and nothing it is to avoid.
func TestPoolAvoids(t *testing.T) {
	avoid := []netip.Prefix{netip.MustParsePrefix("10.0.0.4/30"), netip.MustParsePrefix("10.0.0.17/32"), netip.MustParsePrefix("10.0.1.0/24")}
	p := pool{prefix: netip.MustParsePrefix("10.0.0.0/26")}
	var given []netip.Prefix
	for _, bits := range []int{31, 29, 31, 30, 32, 28, 31} {
		subnet, ok := p.cut(bits, avoid)
		if !ok {
			break
		}
		if hit, clash := overlapping(subnet, append(given, avoid...)); clash || subnet.Bits() != bits || !p.prefix.Overlaps(subnet) || subnet != subnet.Masked() {
			t.Errorf("gave %s, clash with %v", subnet, hit)
		}
		given = append(given, subnet)
	}
	if got := fmt.Sprint(given); got != "[10.0.0.0/31 10.0.0.8/29 10.0.0.18/31 10.0.0.20/30 10.0.0.24/32 10.0.0.32/28 10.0.0.48/31]" {
		t.Error(got)
	}
}

func TestLoadOfAFileSystem(t *testing.T) {
	fsys := fstest.MapFS{"mine.topo.yaml": {Data: []byte(right)}, "bad.topo.yaml": {Data: []byte("name: [")}, "other.yaml": {}}
	for _, name := range []string{"mine", "mine.topo.yaml"} {
		if topo, err := Load(fsys, name); err != nil || topo.Name != "small" || string(topo.Source) != right {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(fsys, "bad"); err == nil || !strings.HasPrefix(err.Error(), "bad.topo.yaml:1:") {
		t.Errorf("got %v", err)
	}
	for _, name := range []string{"other", "../mine", "", "/mine"} {
		if _, err := Load(fsys, name); err == nil || !strings.HasPrefix(err.Error(), `unknown topology "`+name+`"`) || !strings.HasSuffix(err.Error(), "known: bad, mine") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
