package topologies

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// refused wants the first error of a change of right to stand at the place of
// the mark ^ in the new text and to say that.
func refused(t *testing.T, old, marked, says string) {
	t.Helper()
	if strings.Count(marked, "^") != 1 || !strings.Contains(right, old) {
		t.Fatalf("no such change: %q to %q", old, marked)
	}
	src := strings.Replace(right, old, marked, 1)
	at := strings.Index(src, "^")
	src = strings.Replace(src, "^", "", 1)
	place := fmt.Sprintf("x:%d:%d: ", strings.Count(src[:at], "\n")+1, at-strings.LastIndex(src[:at], "\n"))
	_, err := Parse("x", []byte(src))
	if err == nil {
		t.Errorf("%s: accepted", marked)
		return
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	if !strings.HasPrefix(first, place) || !strings.Contains(first, says) {
		t.Errorf("%s:\n got %s\nwant %s…%s", marked, first, place, says)
	}
}

func TestRefusedSettings(t *testing.T) {
	const gateway, host = "{kind: gateway}", "{kind: host}"
	for marked, says := range map[string]string{
		"{kind: gateway, asn: ^0}":                                                "AS number 0 is reserved",
		"{kind: gateway, asn: ^4294967295}":                                       "AS number 4294967295 is reserved",
		"{kind: gateway, asn: ^4294967296}":                                       "out of range",
		"{kind: gateway, router-id: ^0.0.0.0}":                                    "write an IPv4 address like",
		"{kind: gateway, feed: {ipv6: ^-1}}":                                      "a feed of -1 prefixes is out of range",
		"{kind: gateway, bfd: {interval: ^9999us}}":                               "out of range: 10ms … 60s",
		"{kind: gateway, bfd: {interval: ^60001ms}}":                              "out of range: 10ms … 60s",
		"{kind: gateway, bfd: {multiplier: ^0}}":                                  "out of range: 1 … 255",
		"{kind: gateway, bfd: ^false}":                                            "expected off or {interval, multiplier}",
		"{kind: gateway, bgp: {hold-time: ^2999ms}}":                              "out of range: 0s (none) or 3s",
		"{kind: gateway, bgp: {hold-time: ^65536s}}":                              "out of range: 0s (none) or 3s",
		"{kind: gateway, bgp: {hold-time: ^3500ms}}":                              "write whole seconds",
		"{kind: gateway, bgp: {multipath: ^0}}":                                   "out of range: 1 … 64",
		"{kind: gateway, bgp: {password: ^\"\"}}":                                 "1 … 80 letters",
		"{kind: gateway, bgp: {password: ^é}}":                                    "1 … 80 letters",
		"{kind: gateway, neighbors: {isp: {prepend: ^-1}}}":                       "prepend -1 is out of range",
		"{kind: gateway, neighbors: {isp: {max-prefixes: ^-1}}}":                  "max-prefixes -1 is negative",
		"{kind: gateway, neighbors: {isp: {import: [^10.0.0.1/8]}}}":              "host bits: write 10.0.0.0/8",
		"{kind: gateway, neighbors: {isp: {export: [10.0.0.0/8, ^10.0.0.1/16]}}}": "host bits: write 10.0.0.0/16",
		"{kind: gateway, neighbors: {isp: {^med: 1}}}":                            `unknown key "med"`,
		"{kind: gateway, ^originate: [10.0.0.0/8, 10.0.0.0/8]}":                   "prefix 10.0.0.0/8 is written twice",
		"{kind: gateway, originate: [^127.0.0.0/8]}":                              "is not unicast",
		"{kind: gateway, originate: [^\"fe80::/64\"]}":                            "is not unicast",
		"{kind: gateway, originate: [^100.64.1.0/24]}":                            "which the lab keeps for feeds",
		"{kind: gateway, originate: [^\"fd00:18::/64\"]}":                         "which the lab keeps for links",
		"{kind: gateway, originate: [^198.19.7.0/24]}":                            "which the lab keeps for router ids",
		"{kind: gateway, originate: [10.0.0.0/8, ^198.18.0.0/15]}":                "which the lab keeps for links",
	} {
		refused(t, gateway, marked, says)
	}
	for marked, says := range map[string]string{
		"{kind: host, processes: [{name: ^A, command: [b]}]}":                                   "a name is 1 … 20",
		"{kind: host, processes: [{name: a, command: [b]}, {name: ^a, command: [c]}]}":          "named twice",
		"{kind: host, ^neighbors: {tor: {prepend: 1}}}":                                         "a host speaks no BGP",
		"{kind: host, ^role: tor}":                                                              "a host speaks no BGP",
		"{kind: host, ^bfd: off}":                                                               "a host speaks no BGP",
		"{kind: exec, asn: 65009, processes: [{name: a, command: [b]}, {name: c, ^command: }]}": "has no command",
		"{kind: exec, ^originate: [10.0.0.0/8]}":                                                "speaks no BGP: write its asn",
	} {
		refused(t, host, marked, says)
	}
}

// What is wrong in defaults or in a kind is told where it is written.
func TestRefusedWhereItIsInherited(t *testing.T) {
	refused(t, "  nodes:", "  defaults: {bgp: {multipath: ^65}}\n  nodes:", "multipath 65")
	refused(t, "  nodes:", "  defaults: {kind: ^rooter}\n  nodes:", `did you mean "router"?`)
	refused(t, "  nodes:", "  kinds: {frr: {bfd: {multiplier: ^256}}}\n  nodes:", "BFD multiplier 256")
	refused(t, "  nodes:", "  kinds: {frr: {role: ^cor}}\n  nodes:", `did you mean "core"?`)
}

func TestRefusedNetworks(t *testing.T) {
	const link, second, hostLink = `["gw:isp", "isp:gw"]`, `["gw:tor", "tor:gw"]`, `["tor:host", "host:tor"]`
	refused(t, "    gw: {kind: gateway}\n    isp: {kind: router, role: isp}", "    gw: {kind: gateway, router-id: 1.1.1.1}\n    isp: {kind: router, role: isp, router-id: ^1.1.1.1}",
		"router-id 1.1.1.1 is used by gw already")
	refused(t, link, link+"\n      mtu: ^65536", "mtu 65536 is out of range")
	refused(t, link, link+"\n      mtu: ^1279", "mtu 1279 is out of range")
	refused(t, link, link+"\n      ^ipv4: [10.0.0.1/30, 10.0.0.2/30, 10.0.0.3/30]", "not 3")
	refused(t, link, link+"\n      ipv4: [^10.0.0.1, \"\"]", "with its prefix length")
	for _, a := range []string{"10.0.0.3/30", "10.0.0.0/30", "127.0.0.1/8", "224.0.0.1/4", "0.0.0.0/32", "10.0.0.1/0", "169.254.0.1/16"} {
		refused(t, link, link+"\n      ipv4: [^"+a+", \"\"]", "is not one an interface can have")
	}
	for _, a := range []string{"fd00:1::/64", "fe80::1/64", "ff02::1/64", "::1/128", "::ffff:10.0.0.1/120"} {
		refused(t, link, link+"\n      ipv6: [\"\", ^\""+a+"\"]", "is not one an interface can have")
	}
	refused(t, link+"\n    - endpoints: "+second, link+"\n      ipv4: [10.0.0.1/24, 10.0.0.2/24]\n    - endpoints: "+second+"\n      ipv4: [^10.0.0.5/30, 10.0.0.6/30]",
		"subnet 10.0.0.4/30 overlaps 10.0.0.0/24 of another link")
	refused(t, link+"\n    - endpoints: "+second, link+"\n      ipv4: [10.0.0.1/24, 10.0.0.2/24]\n    - endpoints: "+second+"\n      ipv4: [\"\", ^10.0.0.2/24]",
		"address 10.0.0.2 is used by isp:gw already")
	refused(t, "    host: {kind: host}\n  links:\n", "    host: {kind: host}\n    sw: {kind: bridge}\n  links:\n    - endpoints: [\"sw:a\", \"gw:sw\"]\n      ipv4: [^10.0.0.1/24, \"\"]\n",
		"a bridge, which has none")
	refused(t, "    host: {kind: host}\n  links:\n", "    host: {kind: host}\n    sw: {kind: bridge}\n  links:\n    - endpoints: [\"sw:a\", \"gw:a\"]\n    - ^endpoints: [\"sw:b\", \"gw:b\"]\n",
		"gw:a and gw:b are on one segment")
	refused(t, hostLink, hostLink+"\n      ipv4: [\"\", ^203.0.113.0/24]", "is not one an interface can have")
}

func TestEmptyTopology(t *testing.T) {
	for src, want := range map[string]string{
		"":                             `x:1:1: missing key "name"`,
		"name: a":                      `x:1:1: missing key "topology"`,
		"name: a\ntopology: {nodes: }": "x:2:12: a topology has at least one node",
		"name: a\ntopology: {}":        `x:2:1: missing key "nodes"`,
		"name: \"\"\ntopology: {nodes: {a: {kind: bridge}}}": `x:1:7: name "": a name is 1 … 32`,
	} {
		if _, err := Parse("x", []byte(src)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", src, err, want)
		}
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{
		"a": true, "a-b": true, "a1": true, strings.Repeat("a", 20): true, strings.Repeat("a", 21): false,
		"": false, "-a": false, "a-": false, "1a": false, "A": false, "a.b": false, "a_b": false, "a\n": false, "é": false, "a/b": false, "..": false,
	} {
		if msg := badName(name, maxNodeName); (msg == "") != good {
			t.Errorf("node name %q: %q", name, msg)
		}
	}
	for name, good := range map[string]bool{
		"eth0": true, "eth0.100": true, "1": true, "Gi0_1-x": true, strings.Repeat("p", 15): true, strings.Repeat("p", 16): false,
		"": false, ".": false, "..": false, "-p": false, "a/b": false, "a b": false, "a:b": false, "lo": false, "all": false, "default": false, "br0": false, "up": false,
	} {
		if msg := badPort(name); (msg == "") != good {
			t.Errorf("port name %q: %q", name, msg)
		}
	}
}

// Set writes over what the file has, one key at a time, in the order given.
func TestSet(t *testing.T) {
	topo, err := Parse("x", []byte(right), Set("gw.env={A: a}"), Set("gw.env={B: b}"), Set("gw.asn=65100"), Set("gw.asn=65101"),
		Set("tor.originate=[198.51.100.0/24]"), Set("isp.bgp.hold-time=0s"), Set("isp.neighbors.gw.prepend=3"), Set("isp.bgp.password=a"))
	if err != nil {
		t.Fatal(err)
	}
	gw, isp := topo.Node("gw"), topo.Node("isp")
	if fmt.Sprint(gw.Env) != "map[A:a B:b]" || gw.ASN != 65101 || gw.Kind != "gateway" {
		t.Errorf("gw %v %d %s", gw.Env, gw.ASN, gw.Kind)
	}
	if isp.BGP.HoldTime != 0 || isp.Neighbors["gw"].Prepend != 3 || isp.BGP.Password != "a" || isp.BGP.Multipath != defaultMultipath {
		t.Errorf("isp %+v %+v", isp.BGP, isp.Neighbors)
	}
	// What is derived follows what is set.
	if got := topo.Port("host:tor").Addresses[0]; !netip.MustParsePrefix("198.51.100.0/24").Contains(got.Addr()) {
		t.Errorf("host has %s", got)
	}
}

// A value that is hostile YAML stays one value, and its error one line.
func TestSetRefuses(t *testing.T) {
	for assignment, says := range map[string]string{
		"gw.bfd=on": "expected off", "gw=1": "write node.key=value", "": "write node.key=value", ".asn=1": `unknown node ""`,
		"gw.asn": "write node.key=value", "gw.asn=": "write node.key=value", "gw.originate= ": "write node.key=value", "gw.asn=1\nasn: 2": "duplicate key",
		"gw.asn=&a 1": "anchors", "gw.asn=[": "not readable", "gw..asn=1": "", "gw.feed.ipv4.x=1": "got a mapping", "gw.kind=rooter": `did you mean "router"?`,
	} {
		_, err := Parse("x", []byte(right), Set(assignment))
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "set ") {
			t.Errorf("set %q: %v, want …%s", assignment, err, says)
		}
	}
}

// Gateway reaches what is a gateway by kind, by role or by defaults, no more.
func TestGatewayOption(t *testing.T) {
	topo := parse(t, `
  kinds: {bird: {role: gateway}}
  nodes:
    by-kind: {kind: gateway, bfd: {interval: 20ms}}
    by-role: {kind: router, role: gateway}
    by-kinds-role: {kind: bird}
    core: {kind: gateway, role: core}
    isp: {kind: router, role: isp}
`, Gateway("frr"))
	want := map[string]string{"by-kind": "frr gateway", "by-role": "frr gateway", "by-kinds-role": "frr gateway", "core": "gateway core", "isp": "router isp"}
	for _, n := range topo.Nodes {
		if got := n.Kind + " " + n.Role; got != want[n.Name] {
			t.Errorf("%s is %s, want %s", n.Name, got, want[n.Name])
		}
	}
	if got := topo.Node("by-kind").BFD.Interval; got != 20*time.Millisecond {
		t.Errorf("its BFD interval became %s", got)
	}
}

// A line's ports are paired, its addresses differ and its indexes too.
func TestShortLine(t *testing.T) {
	topo := Line(4, "cable")
	seen := map[any]bool{}
	once := func(x any) {
		if seen[x] {
			t.Errorf("%v is given twice", x)
		}
		seen[x] = true
	}
	for i, l := range topo.Links {
		if l.Index != i || l.Type != "cable" || l.A.Other() != l.B || l.B.Other() != l.A {
			t.Errorf("link %d: %s", i, l)
		}
		for _, p := range []*Port{l.A, l.B} {
			once(p.Index)
			if topo.Port(p.Endpoint()) != p || len(p.Addresses) != len(Families()) {
				t.Errorf("port %s: %v", p.Endpoint(), p.Addresses)
			}
			for _, a := range p.Addresses {
				once(a.Addr())
			}
		}
		for _, family := range Families() {
			if l.A.Addr(family).Next() != l.B.Addr(family) {
				t.Errorf("link %d: %s beside %s", i, l.A.Addr(family), l.B.Addr(family))
			}
		}
	}
	if len(topo.Nodes[0].Ports) != 1 || len(topo.Nodes[1].Ports) != 2 || len(topo.Nodes[3].Ports) != 1 {
		t.Error("ends have one port, those between two")
	}
	if topo.Node("n5") != nil || topo.Port("n1:left") != nil || topo.Port("n1") != nil {
		t.Error("finds what is not there")
	}
}
