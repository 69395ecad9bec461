package bgp

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gwlab/gateway/config"
	"gwlab/gateway/state"
)

// tableRouter is a router that never runs, with peers a … d outside and i, j
// inside its AS 65001; a and b are in the same AS.
func tableRouter(t testing.TB, change func(*config.Config)) *Router {
	t.Helper()
	cfg := speaker(65001, "10.0.0.1", 179)
	for n, asn := range map[string]uint32{"a": 65010, "b": 65010, "c": 65020, "d": 65030, "i": 65001, "j": 65001} {
		cfg.Neighbors = append(cfg.Neighbors, config.Neighbor{
			Name: n, Address: addr(fmt.Sprintf("10.1.0.%d", n[0]-'a'+1)), ASN: asn, Interface: "up-" + n,
		})
	}
	slices.SortFunc(cfg.Neighbors, func(x, y config.Neighbor) int { return strings.Compare(x.Name, y.Name) })
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg, Deps{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range r.peers {
		p.open.routerID = addr(fmt.Sprintf("9.9.9.%d", p.cfg.Name[0]))
		p.localAddr, p.subnet = addr("10.1.0.100"), prefix("10.1.0.0/24")
	}
	return r
}

func (r *Router) named(name string) *peer {
	for _, p := range r.peers {
		if p.cfg.Name == name {
			return p
		}
	}
	return r.local
}

// attrsVia is a block as a peer would send it, then changed.
func attrsVia(p *peer, path string, change func(*attributes)) *attributes {
	a := &attributes{nextHop: p.cfg.Address}
	var seq []uint32
	for _, f := range strings.Fields(path) {
		var asn uint32
		fmt.Sscan(f, &asn)
		seq = append(seq, asn)
	}
	if len(seq) > 0 {
		a.setPath([]asSegment{{2, seq}})
	}
	if change != nil {
		change(a)
	}
	a.key = fmt.Sprintf("%+v", *a)
	return a
}

func TestRFC4271_9_1_2_Decision(t *testing.T) {
	type in struct {
		peer, path string
		change     func(*attributes)
	}
	pref := func(v uint32) func(*attributes) {
		return func(a *attributes) { a.localPref, a.hasLocalPref = v, true }
	}
	med := func(v uint32) func(*attributes) { return func(a *attributes) { a.med, a.hasMED = v, true } }
	origin := func(v uint8) func(*attributes) { return func(a *attributes) { a.origin = v } }
	gshut := func(a *attributes) { a.communities = []uint32{communityGracefulShutdown} }
	for _, c := range []struct {
		name     string
		limit    int
		in       []in
		best     string
		primary  string
		backup   string
		networks bool
	}{
		{name: "nothing", best: "", primary: "", backup: ""},
		{name: "one path", in: []in{{"a", "65010", nil}}, best: "a", primary: "a"},
		{name: "9.1.1 local preference first", in: []in{{"i", "1 2 3", pref(200)}, {"a", "65010", nil}}, best: "i", primary: "i", backup: "a"},
		{name: "9.1.1 local preference of an eBGP peer is not heard", in: []in{{"i", "1", nil}, {"a", "65010", pref(900)}}, best: "a", primary: "a", backup: "i"},
		{name: "9.1.2.2 a: shorter path", in: []in{{"a", "65010 7 8", nil}, {"c", "65020 7", nil}}, best: "c", primary: "c", backup: "a"},
		{name: "9.1.2.2 a: a set counts as one", in: []in{
			{"a", "", func(a *attributes) { a.setPath([]asSegment{{2, []uint32{65010}}, {1, []uint32{4, 5, 6}}}) }}, {"c", "65020 7 8", nil}},
			best: "a", primary: "a", backup: "c"},
		{name: "9.1.2.2 b: lower origin", in: []in{{"a", "65010", origin(2)}, {"c", "65020", origin(0)}, {"d", "65030", origin(1)}}, best: "c", primary: "c", backup: "d"},
		{name: "9.1.2.2 c: lower MED of the same AS", in: []in{{"a", "65010", med(10)}, {"b", "65010", med(5)}}, best: "b", primary: "b", backup: "a"},
		{name: "9.1.2.2 c: missing MED is the lowest", in: []in{{"a", "65010", med(1)}, {"b", "65010", nil}}, best: "b", primary: "b", backup: "a"},
		{name: "9.1.2.2 c: MED of different ASes is not compared", in: []in{{"a", "65010", med(10)}, {"c", "65020", med(5)}}, best: "a", primary: "a c"},
		{name: "9.1.2.2 c: only the AS's own best remains", in: []in{{"a", "65010", med(10)}, {"b", "65010", med(5)}, {"c", "65020", med(7)}}, best: "b", primary: "b c", backup: "a"},
		{name: "9.1.2.2 d: eBGP over iBGP", in: []in{{"i", "65010", nil}, {"d", "65030", nil}}, best: "d", primary: "d", backup: "i"},
		{name: "9.1.2.2 f: lowest identifier is advertised", in: []in{{"d", "65030", nil}, {"c", "65020", nil}}, best: "c", primary: "c d"},
		{name: "multipath of iBGP alone", in: []in{{"i", "65010", nil}, {"j", "65020", nil}}, best: "i", primary: "i j"},
		{name: "multipath never mixes", in: []in{{"a", "65010", nil}, {"c", "65020", nil}, {"i", "65010", nil}, {"j", "65020", nil}}, best: "a", primary: "a c", backup: "i j"},
		{name: "multipath-relax wants equal length", in: []in{{"a", "65010 1", nil}, {"c", "65020", nil}, {"d", "65030 9", nil}}, best: "c", primary: "c", backup: "a d"},
		{name: "multipath limit 1", limit: 1, in: []in{{"a", "65010", nil}, {"c", "65020", nil}, {"d", "65030", nil}}, best: "a", primary: "a", backup: "c"},
		{name: "multipath limit 2", limit: 2, in: []in{{"a", "65010", nil}, {"c", "65020", nil}, {"d", "65030", nil}}, best: "a", primary: "a c", backup: "d"},
		{name: "RFC 8326: graceful shutdown is last", in: []in{{"a", "65010", gshut}, {"i", "1 2 3 4", nil}}, best: "i", primary: "i", backup: "a"},
		{name: "own AS in the path", in: []in{{"a", "65010 65001", nil}, {"c", "65020 1 2 3", nil}}, best: "c", primary: "c"},
		{name: "RFC 4456 own ORIGINATOR_ID", in: []in{{"i", "1", func(a *attributes) { a.originator = addr("10.0.0.1") }}}, best: ""},
		{name: "third-party next hop on the subnet", in: []in{{"a", "65010", func(a *attributes) { a.nextHop = addr("10.1.0.77") }}}, best: "a", primary: "10.1.0.77"},
		{name: "next hop elsewhere", in: []in{{"a", "65010", func(a *attributes) { a.nextHop = addr("192.0.2.1") }}}, best: ""},
		{name: "next hop is this host", in: []in{{"a", "65010", func(a *attributes) { a.nextHop = addr("10.1.0.100") }}}, best: ""},
		{name: "own network wins and needs no route", networks: true, in: []in{{"a", "65010", nil}}, best: "", primary: ""},
		{name: "two peers, one next hop", in: []in{{"a", "65010", nil}, {"c", "65020 1", func(a *attributes) { a.nextHop = addr("10.1.0.1") }}}, best: "a", primary: "a", backup: "10.1.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := tableRouter(t, func(cfg *config.Config) { cfg.BGP.Multipath = max(8*btoi(c.limit == 0), c.limit) })
			e := r.table.entry(prefix("203.0.113.0/24"))
			if c.networks {
				e.put(path{peer: r.local, attrs: r.origin, pref: 100, session: r.local.session, accepted: true})
			}
			for _, x := range c.in {
				p := r.named(x.peer)
				p.learn(e, p.admit(e.prefix, attrsVia(p, x.path, x.change)))
			}
			if best := bestName(e); best != c.best {
				t.Errorf("best %q, want %q", best, c.best)
			}
			var got state.Group
			if e.group != nil {
				got = e.group.Group
			}
			if p, b := r.names(got.Primary), r.names(got.Backup); p != c.primary || b != c.backup {
				t.Errorf("primary %q backup %q, want %q and %q", p, b, c.primary, c.backup)
			}
		})
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func bestName(e *entry) string {
	if e.best.peer == nil {
		return ""
	}
	return e.best.peer.cfg.Name
}

// names turns next hops into peers' names where they are peers' addresses on
// the peers' own interfaces.
func (r *Router) names(hops []state.NextHop) string {
	var out []string
	for _, h := range hops {
		name := h.Addr.String()
		if p := r.peer(h.Addr); p != nil && p.cfg.Interface == h.Interface {
			name = p.cfg.Name
		}
		out = append(out, name)
	}
	return strings.Join(out, " ")
}

func TestGroupsAreShared(t *testing.T) {
	r := tableRouter(t, nil)
	a, c := r.named("a"), r.named("c")
	x, y := attrsVia(a, "65010", nil), attrsVia(c, "65020", nil)
	var groups []*group
	for _, p := range []string{"203.0.113.0/24", "198.51.100.0/24"} {
		e := r.table.entry(prefix(p))
		a.learn(e, a.admit(e.prefix, x))
		c.learn(e, c.admit(e.prefix, y))
		groups = append(groups, e.group)
	}
	if groups[0] == nil || groups[0] != groups[1] {
		t.Errorf("groups %p and %p, want one", groups[0], groups[1])
	}
	if len(r.groups.known) != 2 { // a alone, a and c
		t.Errorf("%d groups, want 2", len(r.groups.known))
	}
}

// The order in which paths arrive must not matter (RFC 4271 §9.1.2.2 c is
// the classic trap: MED is not a total order).
func TestDecisionIsIndependentOfArrival(t *testing.T) {
	want := ""
	order := []string{"a", "b", "c", "d", "i", "j"}
	for round := range 24 {
		r := tableRouter(t, nil)
		e := r.table.entry(prefix("203.0.113.0/24"))
		for i := range order {
			p := r.named(order[(i*5+round)%len(order)])
			first := fmt.Sprint(p.cfg.ASN)
			if !p.external() {
				first = "65010"
			}
			p.learn(e, p.admit(e.prefix, attrsVia(p, first, func(a *attributes) {
				a.med, a.hasMED = uint32(p.cfg.Address.As4()[3]), true
			})))
		}
		got := fmt.Sprint(bestName(e), r.names(e.group.Primary), "/", r.names(e.group.Backup))
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("round %d: %s, before %s", round, got, want)
		}
	}
}

func TestTableReusesSlots(t *testing.T) {
	r := tableRouter(t, nil)
	a := r.named("a")
	for range 3 {
		u := &update{reach: r.prefixes(100), attrs: attrsVia(a, "65010", nil)}
		a.receive(u)
		if a.received != 100 || len(r.table.byPrefix) != 100 {
			t.Fatalf("received %d, table %d", a.received, len(r.table.byPrefix))
		}
		a.receive(&update{withdrawn: r.prefixes(100)})
		if a.received != 0 || len(r.table.byPrefix) != 0 {
			t.Fatalf("after withdrawal: received %d, table %d", a.received, len(r.table.byPrefix))
		}
	}
	if len(r.table.slots) != 100 {
		t.Errorf("%d slots, want 100", len(r.table.slots))
	}
}

// Routes copies chunk by chunk; holes and the last, shorter chunk count.
func TestRoutesAreAllThereWhateverTheChunks(t *testing.T) {
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		r := tableRouter(t, nil)
		p := r.named("a")
		all := sequence("20.0.0.0/24", n)
		p.receive(&update{reach: all, attrs: attrsVia(p, "65010", nil)})
		p.receive(&update{withdrawn: all[:n/3]})
		if got, want := len(r.Routes()), n-n/3; got != want {
			t.Errorf("%d of %d routes", got, want)
		}
	}
}

func (r *Router) prefixes(n int) (out []netip.Prefix) {
	p := prefix("20.0.0.0/24")
	for range n {
		out = append(out, p)
		p = nextPrefix(p)
	}
	return out
}
