package bgp

import (
	"fmt"
	"strings"
	"testing"

	"gwlab/gateway/config"
)

func TestPrefixRules(t *testing.T) {
	rule := func(p string, ge, le int) config.PrefixRule {
		return config.PrefixRule{Prefix: prefix(p), Ge: ge, Le: le}
	}
	for _, c := range []struct {
		name     string
		rules    []config.PrefixRule
		yes, not string
	}{
		{"nil accepts all", nil, "0.0.0.0/0 10.0.0.0/8 ::/0", ""},
		{"empty accepts none", []config.PrefixRule{}, "", "0.0.0.0/0 10.0.0.0/8 ::/0"},
		{"exact", []config.PrefixRule{rule("10.0.0.0/8", 0, 0)}, "10.0.0.0/8", "10.0.0.0/9 0.0.0.0/0 11.0.0.0/8"},
		{"unmasked", []config.PrefixRule{rule("10.1.2.3/8", 0, 0)}, "10.0.0.0/8", "10.1.0.0/16"},
		{"le", []config.PrefixRule{rule("10.0.0.0/8", 0, 24)}, "10.0.0.0/8 10.1.0.0/16 10.1.2.0/24", "10.1.2.0/25 11.0.0.0/16"},
		{"ge alone is exact length", []config.PrefixRule{rule("10.0.0.0/8", 16, 0)}, "10.1.0.0/16", "10.0.0.0/8 10.1.2.0/24"},
		{"ge and le", []config.PrefixRule{rule("10.0.0.0/8", 16, 24)}, "10.1.0.0/16 10.1.2.0/24", "10.0.0.0/8 10.1.2.128/25"},
		{"default only", []config.PrefixRule{rule("0.0.0.0/0", 0, 0)}, "0.0.0.0/0", "10.0.0.0/8 ::/0"},
		{"all of one family", []config.PrefixRule{rule("::/0", 0, 128)}, "::/0 2001:db8::/32", "0.0.0.0/0 10.0.0.0/8"},
		{"several", []config.PrefixRule{rule("10.0.0.0/8", 0, 0), rule("2001:db8::/32", 0, 48)}, "10.0.0.0/8 2001:db8:1::/48", "10.0.0.0/9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMatcher(c.rules)
			for _, p := range strings.Fields(c.yes) {
				if !m.accepts(prefix(p)) {
					t.Errorf("%s is refused", p)
				}
			}
			for _, p := range strings.Fields(c.not) {
				if m.accepts(prefix(p)) {
					t.Errorf("%s is accepted", p)
				}
			}
		})
	}
}

func TestImportPolicySetsLocalPref(t *testing.T) {
	r := tableRouter(t, func(c *config.Config) { c.Neighbors[0].Import.LocalPref = 300 })
	a := r.named("a")
	if v := a.judge(attrsVia(a, "65010", nil)); v.pref != 300 || !v.usable {
		t.Errorf("verdict %+v", v)
	}
	gone := attrsVia(a, "65010", func(x *attributes) { x.communities = []uint32{communityGracefulShutdown} })
	if v := a.judge(gone); v.pref != 0 { // RFC 8326 §4.2 comes last
		t.Errorf("with GRACEFUL_SHUTDOWN: %+v", v)
	}
}

// exported prints what a peer is told of a path, "" for nothing.
func exported(to *peer, from *peer, a *attributes) string {
	best := path{peer: from, attrs: a, pref: from.judgePref(a)}
	out, ok := to.export(best)
	if !ok {
		return ""
	}
	var s []string
	for _, seg := range out.asPath {
		s = append(s, fmt.Sprint(seg.asns))
	}
	s = append(s, "via "+out.nextHop.String())
	if out.hasMED {
		s = append(s, fmt.Sprint("med ", out.med))
	}
	if out.hasLocalPref {
		s = append(s, fmt.Sprint("pref ", out.localPref))
	}
	for _, c := range out.communities {
		s = append(s, fmt.Sprintf("%d:%d", c>>16, c&0xffff))
	}
	return strings.Join(s, " ")
}

func (p *peer) judgePref(a *attributes) uint32 {
	if p.local {
		return defaultLocalPref
	}
	return p.judge(a).pref
}

func TestExport(t *testing.T) {
	community := func(c ...uint32) func(*attributes) { return func(a *attributes) { a.communities = c } }
	for _, c := range []struct {
		name, from, to, path, want string
		attrs                      func(*attributes)
		config                     func(*config.Neighbor)
		drain                      bool
	}{
		{name: "RFC 4271 §5.1.2, §5.1.3 to eBGP", from: "a", to: "c", path: "65010 7", want: "[65001 65010 7] via 10.1.0.100"},
		{name: "§5.1.4, §5.1.5 MED and LOCAL_PREF stay inside", from: "i", to: "c", path: "7",
			attrs: func(a *attributes) { a.med, a.hasMED, a.localPref, a.hasLocalPref = 5, true, 200, true }, want: "[65001 7] via 10.1.0.100"},
		{name: "to iBGP", from: "a", to: "i", path: "65010", want: "[65010] via 10.1.0.1 pref 100"},
		{name: "to iBGP, MED is kept", from: "a", to: "i", path: "65010", attrs: func(a *attributes) { a.med, a.hasMED = 9, true }, want: "[65010] via 10.1.0.1 med 9 pref 100"},
		{name: "to iBGP, next-hop-self", from: "a", to: "i", path: "65010", config: func(n *config.Neighbor) { n.NextHopSelf = true }, want: "[65010] via 10.1.0.100 pref 100"},
		{name: "§9.2 never iBGP to iBGP", from: "i", to: "j", path: "65010"},
		{name: "own network to iBGP", from: "", to: "i", want: "via 10.1.0.100 pref 100"},
		{name: "own network to eBGP", from: "", to: "a", want: "[65001] via 10.1.0.100"},
		{name: "not back where it came from", from: "a", to: "a", path: "65010"},
		{name: "not to an AS in the path", from: "c", to: "a", path: "65020 65010"},
		{name: "RFC 1997 NO_EXPORT outside", from: "a", to: "c", path: "65010", attrs: community(communityNoExport)},
		{name: "RFC 1997 NO_EXPORT inside", from: "a", to: "i", path: "65010", attrs: community(communityNoExport), want: "[65010] via 10.1.0.1 pref 100 65535:65281"},
		{name: "RFC 1997 NO_ADVERTISE", from: "a", to: "i", path: "65010", attrs: community(communityNoAdvertise)},
		{name: "prepend", from: "a", to: "c", path: "65010", config: func(n *config.Neighbor) { n.Export.Prepend = 2 }, want: "[65001 65001 65001 65010] via 10.1.0.100"},
		{name: "MED set", from: "a", to: "c", path: "65010", config: func(n *config.Neighbor) { n.Export.MED, n.Export.MEDSet = 0, true }, want: "[65001 65010] via 10.1.0.100 med 0"},
		{name: "communities added once", from: "a", to: "c", path: "65010", attrs: community(65010<<16 | 1),
			config: func(n *config.Neighbor) { n.Export.Communities = []uint32{65010<<16 | 1, 65001<<16 | 2} }, want: "[65001 65010] via 10.1.0.100 65010:1 65001:2"},
		{name: "RFC 8326 while draining", from: "a", to: "c", path: "65010", drain: true, want: "[65001 65010] via 10.1.0.100 65535:0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := tableRouter(t, func(cfg *config.Config) {
				for i := range cfg.Neighbors {
					if c.config != nil && cfg.Neighbors[i].Name == c.to {
						c.config(&cfg.Neighbors[i])
					}
				}
			})
			r.draining = c.drain
			from, a := r.named(c.from), r.origin
			if !from.local {
				a = attrsVia(from, c.path, c.attrs)
			}
			before := fmt.Sprintf("%+v", *a)
			if got := exported(r.named(c.to), from, a); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if fmt.Sprintf("%+v", *a) != before {
				t.Error("the shared attributes were changed")
			}
		})
	}
}

func TestPrependStartsANewSegmentWhenNeeded(t *testing.T) {
	full := make([]uint32, 255)
	for _, c := range []struct {
		in   []asSegment
		want int
	}{{nil, 1}, {[]asSegment{{1, []uint32{5}}}, 2}, {[]asSegment{{2, full}}, 2}, {[]asSegment{{2, []uint32{5}}}, 1}} {
		if got := prepended(c.in, 65001, 1); len(got) != c.want || got[0].asns[0] != 65001 {
			t.Errorf("%v: %v", c.in, got)
		}
	}
}
