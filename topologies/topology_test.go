package topologies

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// dump is all that was derived, as text.
func dump(t *Topology) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s: %s\n", t.Name, strings.TrimSpace(t.About))
	for _, n := range t.Nodes {
		fmt.Fprintf(&b, "\nnode %s kind=%s", n.Name, n.Kind)
		if n.Speaks() {
			fmt.Fprintf(&b, " role=%s asn=%d id=%s originate=%v feed=%d/%d bfd=%sx%d", n.Role, n.ASN, n.RouterID,
				n.Originate, n.Feed.IPv4, n.Feed.IPv6, n.BFD.Interval, n.BFD.Multiplier)
		}
		b.WriteByte('\n')
		for _, p := range n.Ports {
			fmt.Fprintf(&b, "  %-6s %d %v to %s", p.Name, p.Index, p.Addresses, p.Other().Endpoint())
			if len(p.DefaultVia) > 0 {
				fmt.Fprintf(&b, " default via %v", p.DefaultVia)
			}
			b.WriteByte('\n')
		}
		for _, s := range t.SessionsOf(n) {
			prefixes, all := t.Export(s)
			to := fmt.Sprint(prefixes)
			if all {
				to = "everything"
			}
			fmt.Fprintf(&b, "  bgp %s -> %s AS %d exports %s\n", s.LocalAddr, s.RemoteAddr, s.Remote.Node.ASN, to)
		}
	}
	fmt.Fprintf(&b, "\n%d links, %d sessions\n", len(t.Links), len(t.Sessions()))
	return b.String()
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", file, diff)
	}
}

func TestLibrary(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			topo, err := Load(Library(), name)
			if err != nil {
				t.Fatal(err)
			}
			if topo.Name != name || topo.About == "" {
				t.Errorf("name %q, about %q: the name is the file's, and about is written", topo.Name, topo.About)
			}
			golden(t, name, dump(topo))
		})
	}
}

// parse reads the nodes and links of a topology called t.
func parse(t *testing.T, body string, opts ...Option) *Topology {
	t.Helper()
	topo, err := Parse("t", []byte("name: t\ntopology:\n"+body), opts...)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

func TestInheritance(t *testing.T) {
	topo := parse(t, `
  defaults: {kind: frr, bfd: off, bgp: {multipath: 2, hold-time: 3s}, env: {A: "1", B: "1"}, originate: [192.0.2.0/24], asn: 65001}
  kinds:
    bird: {bgp: {multipath: 4}, env: {B: "2"}, bfd: {interval: 100ms}}
  nodes:
    a:
    b: {kind: bird, bgp: {graceful-restart: false}, env: {C: "3"}}
    c: {bfd: {multiplier: 5}, originate: [], asn: 65002}
    h: {kind: bridge}
`)
	type view struct {
		Kind      string
		BFD       BFD
		BGP       BGP
		Env       map[string]string
		Originate int
		ASN       uint32
	}
	want := map[string]view{
		"a": {"frr", BFD{true, 50 * time.Millisecond, 3}, BGP{HoldTime: 3 * time.Second, GracefulRestart: true, Multipath: 2},
			map[string]string{"A": "1", "B": "1"}, 1, 65001},
		"b": {"bird", BFD{false, 100 * time.Millisecond, 3}, BGP{HoldTime: 3 * time.Second, Multipath: 4},
			map[string]string{"A": "1", "B": "2", "C": "3"}, 1, 65001},
		"c": {"frr", BFD{false, 50 * time.Millisecond, 5}, BGP{HoldTime: 3 * time.Second, GracefulRestart: true, Multipath: 2},
			map[string]string{"A": "1", "B": "1"}, 0, 65002},
		"h": {Kind: "bridge", Env: map[string]string{"A": "1", "B": "1"}},
	}
	got := map[string]view{}
	for _, n := range topo.Nodes {
		got[n.Name] = view{n.Kind, n.BFD, n.BGP, n.Env, len(n.Originate), n.ASN}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBridgedSegment(t *testing.T) {
	golden(t, "bridged", dump(parse(t, `
  nodes:
    gw1: {kind: gateway}
    gw2: {kind: gateway}
    sw1: {kind: bridge}
    sw2: {kind: bridge}
    h1: {kind: host}
    h2: {kind: host}
    ex: {kind: exec, asn: 65500, processes: [{name: speaker, command: [gobgpd]}]}
    alone: {kind: exec, processes: [{name: www, command: [nginx], restart: always}]}
  links:
    - endpoints: ["h1:eth0", "sw1:h1"]
    - endpoints: ["sw1:gw1", "gw1:lan"]
    - endpoints: ["sw2:gw2", "gw2:lan"]
    - endpoints: ["h2:eth0", "sw2:h2"]
    - endpoints: ["sw1:sw2", "sw2:sw1"]
    - endpoints: ["gw1:ex", "ex:gw1"]
    - endpoints: ["alone:eth0", "sw1:alone"]
`)))
}

func TestWrittenAddresses(t *testing.T) {
	golden(t, "written", dump(parse(t, `
  nodes:
    gw: {kind: gateway, router-id: 198.19.0.1}
    isp: {kind: bird, role: isp, feed: {ipv4: 5}}
    host: {kind: host}
  links:
    - endpoints: ["gw:isp", "isp:gw"]
      ipv4: [198.18.0.1/31, 198.18.0.0/31]
    - endpoints: ["gw:isp2", "isp:gw2"]
      ipv6: ["", "fd00:18::7/64"]
      type: veth
      mtu: 9000
    - endpoints: ["host:gw", "gw:host"]
      ipv4: [10.0.0.9/24, ""]
`)))
}

func TestHostSubnets(t *testing.T) {
	body := "  nodes:\n    r: {kind: router, asn: 65001, originate: [198.51.100.0/26]}\n    sw: {kind: bridge}\n"
	links := "  links:\n    - endpoints: [\"r:sw\", \"sw:r\"]\n"
	for i := range 20 {
		body += fmt.Sprintf("    h%d: {kind: host}\n", i)
		links += fmt.Sprintf("    - endpoints: [\"h%d:eth0\", \"sw:h%d\"]\n", i, i)
	}
	topo := parse(t, body+links)
	if got := topo.Port("r:sw").Addresses[0].String(); got != "198.51.100.1/27" {
		t.Errorf("21 ports got %s, want a /27", got)
	}
	if got := topo.Port("h19:eth0").Addresses[0].String(); got != "198.51.100.21/27" {
		t.Errorf("last host has %s", got)
	}
	// The other family had no prefix: its subnet is originated too.
	if got := fmt.Sprint(topo.Node("r").Originate); got != "[198.51.100.0/26 2001:db8::/64]" {
		t.Errorf("originate %s", got)
	}
}

func TestIndexesAreUnique(t *testing.T) {
	seen := map[int]bool{}
	for link := range maxLinks {
		for side := range 2 {
			for _, i := range []int{PortIndex(link, side), MiddleIndex(link, side)} {
				if seen[i] {
					t.Fatalf("index %d is given twice", i)
				}
				seen[i] = true
			}
		}
	}
}

func TestLine(t *testing.T) {
	topo := Line(4001, "veth")
	if len(topo.Nodes) != 4001 || len(topo.Links) != 4000 {
		t.Fatalf("%d nodes, %d links", len(topo.Nodes), len(topo.Links))
	}
	last := topo.Links[3999]
	if got := fmt.Sprint(last.A.Addresses, last.B.Addresses, last.A.Other().Endpoint()); got !=
		"[198.18.31.62/31 fd00:18::1f3e/127] [198.18.31.63/31 fd00:18::1f3f/127]n4001:left" {
		t.Error(got)
	}
	if topo.Sessions() != nil {
		t.Error("hosts speak")
	}
}

func TestOptions(t *testing.T) {
	topo, err := Load(Library(), "dual-isp", Gateway("frr"), LinkType("veth"),
		Set("isp1.feed.ipv4=100000"), Set("gw2.bfd.interval=10ms"), Set("tor.bfd=off"), Set("isp2.originate=[10.0.0.0/8]"))
	if err != nil {
		t.Fatal(err)
	}
	gw1, gw2, isp1 := topo.Node("gw1"), topo.Node("gw2"), topo.Node("isp1")
	if gw1.Kind != "frr" || gw1.Role != "gateway" || gw1.ASN != 65000 || isp1.Kind != "router" {
		t.Errorf("gw1 %+v, isp1 %s", gw1, isp1.Kind)
	}
	if isp1.Feed != (Feed{100000, 100}) {
		t.Errorf("feed %+v", isp1.Feed)
	}
	if gw2.BFD != (BFD{false, 10 * time.Millisecond, 3}) || !topo.Node("tor").BFD.Off {
		t.Errorf("bfd %+v", gw2.BFD)
	}
	if topo.Links[0].Type != "veth" || fmt.Sprint(topo.Node("isp2").Originate) != "[10.0.0.0/8]" {
		t.Error("link type or originate unchanged")
	}
	for _, s := range topo.SessionsOf(gw1) {
		if s.BFD() == (s.Remote.Node.Name == "tor") {
			t.Errorf("BFD with %s: %v", s.Remote.Node.Name, s.BFD())
		}
	}
}

func TestGatewayKeepsWhatItsKindGave(t *testing.T) {
	topo := parse(t, "  kinds:\n    gateway: {asn: 65099, bgp: {password: secret}}\n  nodes:\n    gw: {kind: gateway}\n", Gateway("bird"))
	gw := topo.Node("gw")
	if gw.Kind != "bird" || gw.ASN != 65099 || gw.BGP.Password != "secret" || gw.Role != "gateway" {
		t.Errorf("%+v", gw)
	}
}

func TestOptionErrors(t *testing.T) {
	tests := []struct {
		opt  Option
		want string
	}{
		{Gateway("cisco"), `gateway: unknown kind "cisco"; known: gateway, router, frr, bird`},
		{LinkType("wire"), `link type: unknown link type "wire"; known: cable, veth`},
		{Set("isp1"), `set isp1: write node.key=value, such as isp1.feed.ipv4=100000`},
		{Set("isq.feed.ipv4=1"), `set isq.feed.ipv4=1: unknown node "isq", did you mean "isp"?; known: gw1, gw2, isp, tor, host, srv`},
		{Set("gw1.feed.ipv5=1"), `set gw1.feed.ipv5=1: unknown key "ipv5", did you mean "ipv4"?; known: ipv4, ipv6`},
		{Set("gw1.feed.ipv4=200000"), `set gw1.feed.ipv4=200000: a feed of 200000 prefixes is out of range: 0 … 131072`},
		{Set("gw1.bfd.interval=10"), `set gw1.bfd.interval=10: missing unit: write 3s or 300ms`},
	}
	for _, tt := range tests {
		if _, err := Load(Library(), "pair", tt.opt); err == nil || err.Error() != tt.want {
			t.Errorf("\n got %v\nwant %s", err, tt.want)
		}
	}
}

func TestExportTable(t *testing.T) {
	topo := parse(t, `
  nodes:
    gw: {kind: gateway, originate: [203.0.113.0/25]}
    gw2: {kind: gateway}
    isp: {kind: frr, role: isp, originate: [198.51.100.0/24]}
    isp2: {kind: frr, role: isp}
    core: {kind: frr, role: core, originate: [192.0.2.0/24]}
    tor: {kind: frr, role: tor, originate: [203.0.113.128/25]}
    any: {kind: frr, asn: 64999, originate: [10.0.0.0/8]}
    sw: {kind: bridge}
  links:
    - endpoints: ["gw:sw", "sw:gw"]
    - endpoints: ["gw2:sw", "sw:gw2"]
    - endpoints: ["isp:sw", "sw:isp"]
    - endpoints: ["isp2:sw", "sw:isp2"]
    - endpoints: ["core:sw", "sw:core"]
    - endpoints: ["tor:sw", "sw:tor"]
    - endpoints: ["any:sw", "sw:any"]
`)
	site, own := "[203.0.113.0/25 203.0.113.128/25]", "[203.0.113.0/25 198.51.100.0/24 203.0.113.128/25]"
	want := map[string]string{
		"gw>gw2": "all", "gw>isp": site, "gw>core": site, "gw>tor": "[0.0.0.0/0]", "gw>any": "all",
		"isp>gw": "all", "isp>tor": "all", "isp>isp2": own, "isp>core": own, "isp>any": "all", "isp2>core": site,
		"core>isp": "[192.0.2.0/24]", "core>gw": "[192.0.2.0/24]", "core>tor": "[192.0.2.0/24]", "core>any": "all",
		"tor>gw": "[203.0.113.128/25]", "tor>isp": "[203.0.113.128/25]", "tor>core": "[203.0.113.128/25]", "tor>any": "all",
		"any>gw": "all", "any>isp": "all", "any>core": "all", "any>tor": "all",
	}
	seen := 0
	for _, s := range topo.allSessions() {
		pair := s.Local.Node.Name + ">" + s.Remote.Node.Name
		expect, listed := want[pair]
		if !listed || s.Family != "ipv4" {
			continue
		}
		seen++
		prefixes, all := topo.Export(s)
		got := fmt.Sprint(prefixes)
		if all {
			got = "all"
		}
		if got != expect {
			t.Errorf("%s exports %s, want %s", pair, got, expect)
		}
	}
	if seen != len(want) {
		t.Errorf("%d of %d pairs seen", seen, len(want))
	}
}

func TestSessionSettingsOfEitherEnd(t *testing.T) {
	topo := parse(t, `
  nodes:
    a: {kind: frr, asn: 65001, bgp: {password: x}, neighbors: {b: {local-pref: 200}}}
    b: {kind: frr, asn: 65001, bgp: {ttl-security: true}, bfd: off}
  links: [{endpoints: ["a:b", "b:a"]}]
`)
	for _, s := range topo.allSessions() {
		if s.Password() != "x" || !s.TTLSecurity() || s.BFD() || !s.Internal() {
			t.Errorf("%s: %q %v %v %v", s.Local.Endpoint(), s.Password(), s.TTLSecurity(), s.BFD(), s.Internal())
		}
		if got := s.Policy().LocalPref; (got == 200) != (s.Local.Node.Name == "a") {
			t.Errorf("%s: local-pref %d", s.Local.Endpoint(), got)
		}
	}
	if len(topo.Sessions()) != 2 || topo.Sessions()[0].Local.Node.Name != "a" {
		t.Errorf("sessions %v", topo.Sessions())
	}
}
