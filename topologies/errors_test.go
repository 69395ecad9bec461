package topologies

import (
	"errors"
	"strings"
	"testing"

	"gwlab/internal/strictyaml"
)

// One gateway, an ISP, a rack and a host: what each wrong file below is a change of.
const right = `name: small
topology:
  nodes:
    gw: {kind: gateway}
    isp: {kind: router, role: isp}
    tor: {kind: router, role: tor, originate: [203.0.113.0/24]}
    host: {kind: host}
  links:
    - endpoints: ["gw:isp", "isp:gw"]
    - endpoints: ["gw:tor", "tor:gw"]
    - endpoints: ["tor:host", "host:tor"]
`

func TestErrors(t *testing.T) {
	const link = `["gw:isp", "isp:gw"]`
	tests := []struct{ name, old, new, want string }{
		{"unknown key", "role: isp", "rule: isp",
			`5:25: unknown key "rule", did you mean "role"?; known: kind, role, asn, router-id, originate, feed, bfd, bgp, neighbors, processes, env`},
		{"unknown kind", "kind: gateway", "kind: gatway",
			`4:16: unknown kind "gatway", did you mean "gateway"?; known: host, gateway, router, frr, bird, bridge, exec`},
		{"unknown kind in kinds", "  nodes:", "  kinds: {cisco: {}}\n  nodes:",
			`3:11: unknown kind "cisco"; known: host, gateway, router, frr, bird, bridge, exec`},
		{"kind in kinds", "  nodes:", "  kinds: {frr: {kind: bird}}\n  nodes:",
			`3:23: a kind has no kind: remove the key`},
		{"no kind", "{kind: host}", "{}",
			`7:5: node host has no kind: write kind: and one of host, gateway, router, frr, bird, bridge, exec`},
		{"unknown role", "role: isp", "role: ips",
			`5:31: unknown role "ips"; known: gateway, isp, core, tor`},
		{"unknown node", link, `["gw:isp", "ips:gw"]`,
			`9:29: endpoint "ips:gw": unknown node "ips"; known: gw, isp, tor, host`},
		{"unknown port", "kind: gateway", "kind: gateway, neighbors: {ips: {prepend: 1}}",
			`4:37: gw has no such port: unknown port "ips"; known: isp, tor`},
		{"endpoint without port", link, `["gw", "isp:gw"]`, `9:19: endpoint "gw": write node:port`},
		{"one endpoint", link, `["gw:isp"]`, `9:7: a link has two endpoints, not 1: write ["a:port", "b:port"]`},
		{"port used twice", `"gw:tor"`, `"gw:isp"`,
			`10:19: endpoint "gw:isp" is used already by the link in line 9: a port has one link`},
		{"self link", link, `["gw:isp", "gw:a"]`, `9:7: both ends of the link are on gw: a link joins two nodes`},
		{"reserved port", link, `["gw:up", "isp:gw"]`,
			`9:19: endpoint "gw:up": the name up means something else to the system: choose another, such as up1`},
		{"long port", link, `["gw:abcdefghijklmnop", "isp:gw"]`,
			`9:19: endpoint "gw:abcdefghijklmnop": a port's name is 1 … 15 of letters, digits, _ . and -`},
		{"slash in port", link, `["gw:eth1/1", "isp:gw"]`,
			`9:19: endpoint "gw:eth1/1": a port's name is 1 … 15 of letters, digits, _ . and -`},
		{"node name", "    gw: {", "    GW_1: {",
			`4:5: node "GW_1": a name is 1 … 20 of a-z, 0-9 and -, begins with a letter and does not end with -`},
		{"lab name", "name: small", "name: a/b",
			`1:7: name "a/b": a name is 1 … 32 of a-z, 0-9 and -, begins with a letter and does not end with -`},
		{"duplicate node", "    host: {kind: host}\n", "    host: {kind: host}\n    host: {kind: host}\n",
			`8:5: duplicate key "host": line 7 has it already, keep one`},
		{"no asn", "kind: router, role: isp", "kind: router",
			`5:5: node isp has neither asn nor role: write asn: 65001, or a role to take one by`},
		{"reserved asn", "kind: gateway", "kind: gateway, asn: 23456",
			`4:30: AS number 23456 is reserved: write one like 65001`},
		{"host with asn", "{kind: host}", "{kind: host, asn: 65001}",
			`7:24: a host speaks no BGP: remove asn, or choose kind gateway, router, frr or bird`},
		{"bridge with asn", "{kind: host}", "{kind: bridge, asn: 65001}",
			`7:26: a bridge speaks no BGP: remove asn, or choose kind gateway, router, frr or bird`},
		{"bridge with processes", "{kind: host}", "{kind: bridge, processes: [{name: a, command: [b]}]}",
			`7:26: a bridge runs nothing: remove processes, or choose kind exec`},
		{"host without router", `["tor:host", "host:tor"]`, `["tor:gw2", "gw:tor2"]`,
			`7:5: host host has no router: link it to a gateway, router, frr or bird node, directly or through a bridge`},
		{"router id", "kind: gateway", `kind: gateway, router-id: "::1"`,
			`4:36: router-id ::1: write an IPv4 address like 198.19.0.1`},
		{"missing unit", "kind: gateway", "kind: gateway, bfd: {interval: 50}",
			`4:41: missing unit: write 3s or 300ms`},
		{"bfd interval", "kind: gateway", "kind: gateway, bfd: {interval: 5ms}",
			`4:41: BFD interval 5ms is out of range: 10ms … 60s`},
		{"bfd interval below a millisecond", "kind: gateway", "kind: gateway, bfd: {interval: 10500us}",
			`4:41: BFD interval 10.5ms: write whole milliseconds`},
		{"bfd multiplier", "kind: gateway", "kind: gateway, bfd: {multiplier: 256}",
			`4:43: BFD multiplier 256 is out of range: 1 … 255`},
		{"bfd on", "kind: gateway", "kind: gateway, bfd: fast",
			`4:30: expected off or {interval, multiplier}, got "fast"`},
		{"hold time", "kind: gateway", "kind: gateway, bgp: {hold-time: 1s}",
			`4:42: hold time 1s is out of range: 0s (none) or 3s … 65535s (RFC 4271)`},
		{"multipath", "kind: gateway", "kind: gateway, bgp: {multipath: 65}",
			`4:42: multipath 65 is out of range: 1 … 64`},
		{"password", "kind: gateway", `kind: gateway, bgp: {password: "a b"}`,
			`4:41: password: 1 … 80 letters, digits or any of _.+:@-`},
		{"passwords differ", "{kind: gateway}\n    isp: {kind: router, role: isp}",
			"{kind: gateway, bgp: {password: a}}\n    isp: {kind: router, role: isp, bgp: {password: b}}",
			`5:52: gw and isp are peers with different passwords: write the same, or one only`},
		{"roles of one AS", "role: isp", "role: isp, asn: 65000",
			`5:41: gw (gateway) and isp (isp) are peers in AS 65000: roles that differ need AS numbers that differ`},
		{"feed", "role: isp", "role: isp, feed: {ipv4: 131073}",
			`5:49: a feed of 131073 prefixes is out of range: 0 … 131072`},
		{"prepend", "kind: gateway", "kind: gateway, neighbors: {isp: {prepend: 11}}",
			`4:52: prepend 11 is out of range: 0 … 10`},
		{"host bits", "203.0.113.0/24", "203.0.113.1/24",
			`6:48: prefix 203.0.113.1/24 has host bits: write 203.0.113.0/24`},
		{"not a prefix", "203.0.113.0/24", "203.0.113.0",
			`6:48: expected a prefix like 192.0.2.0/24 or 2001:db8::/32, got the text "203.0.113.0"`},
		{"reserved range", "203.0.113.0/24", "198.18.4.0/24",
			`6:48: prefix 198.18.4.0/24 overlaps 198.18.0.0/16, which the lab keeps for links`},
		{"multicast", "203.0.113.0/24", "224.0.0.0/24",
			`6:48: prefix 224.0.0.0/24 is not unicast: write one like 203.0.113.0/24`},
		{"overlapping prefixes", "role: isp", "role: isp, originate: [203.0.113.128/25]",
			`6:36: prefix 203.0.113.0/24 overlaps 203.0.113.128/25 of isp: choose another`},
		{"link type", link, link + "\n      type: wire",
			`10:13: unknown link type "wire"; known: cable, veth`},
		{"mtu", link, link + "\n      mtu: 1000", `10:12: mtu 1000 is out of range: 1280 … 65535 (IPv6 needs 1280)`},
		{"one address", link, link + "\n      ipv4: [198.18.9.0/31]",
			`10:7: a link has two addresses of a family, not 1: write one for each endpoint, "" to have it derived`},
		{"address of another family", link, link + "\n      ipv6: [198.18.9.0/31, \"\"]",
			`10:14: address "198.18.9.0/31": write ipv6 with its prefix length, such as fd00:18::1/127`},
		{"network address", link, link + "\n      ipv4: [198.18.9.0/24, \"\"]",
			`10:14: address 198.18.9.0/24 is not one an interface can have: choose a unicast address inside its subnet`},
		{"two subnets", link, link + "\n      ipv4: [198.18.9.0/31, 198.18.9.3/31]",
			`10:29: address 198.18.9.3/31 is not in 198.18.9.0/31, the subnet of gw:isp`},
		{"one address twice", link, link + "\n      ipv4: [198.18.9.0/31, 198.18.9.0/31]",
			`10:29: address 198.18.9.0 is used by gw:isp already`},
		{"subnet within a prefix", link, link + "\n      ipv4: [203.0.113.2/31, 203.0.113.3/31]",
			`10:7: subnet 203.0.113.2/31 overlaps 203.0.113.0/24, which tor originates`},
		{"subnet too small", `["tor:host", "host:tor"]`, `["tor:host", "host:tor"]` + "\n      ipv4: [203.0.113.1/32, \"\"]",
			`11:7: 203.0.113.1/32 is full: no address for host:tor, write a larger subnet`},
		{"restart", "{kind: host}", "{kind: host, processes: [{name: a, command: [b], restart: often}]}",
			`7:69: unknown restart policy "often"; known: always, never`},
		{"process without command", "{kind: host}", "{kind: host, processes: [{name: a, command: []}]}",
			`7:46: process "a" has no command: write [program, argument]`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(right, tt.old) {
				t.Fatalf("nothing to change: %q", tt.old)
			}
			_, err := Parse("x", []byte(strings.Replace(right, tt.old, tt.new, 1)))
			if err == nil {
				t.Fatal("no error")
			}
			first, _, _ := strings.Cut(err.Error(), "\n")
			if want := "x:" + tt.want; first != want {
				t.Errorf("\n got %s\nwant %s", err, want)
			}
		})
	}
}

func TestErrorsAreAllReported(t *testing.T) {
	src := strings.NewReplacer("kind: gateway", "kind: gatway", "role: isp", "role: ips").Replace(right)
	_, err := Parse("x", []byte(src))
	var many strictyaml.Errors
	if !errors.As(err, &many) || len(many) != 2 {
		t.Errorf("want two errors, got %v", err)
	}
}

func TestErrorOnBridgeLoop(t *testing.T) {
	_, err := Parse("x", []byte(`name: loop
topology:
  nodes:
    a: {kind: bridge}
    b: {kind: bridge}
  links:
    - endpoints: ["a:b", "b:a"]
    - endpoints: ["a:b2", "b:a2"]
`))
	if want := "x:8:7: link a:b2 -- b:a2 closes a loop of bridges: remove it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestErrorOnTooManyLinks(t *testing.T) {
	src := right + strings.Repeat("    - endpoints: [\"a:b\", \"b:a\"]\n", maxLinks)
	_, err := Parse("x", []byte(src))
	if want := "x:8:3: 4003 links are too many: at most 4000"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestLoadListsWhatThereIs(t *testing.T) {
	_, err := Load(Library(), "dual-ips")
	if want := `unknown topology "dual-ips", did you mean "dual-isp"?; known: dual-isp, dual-isp-interop, pair`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(right))
	for _, name := range Names() {
		src, err := library.ReadFile(name + Suffix)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte("name: a\ntopology:\n  nodes: {b: {kind: bridge}, r: {kind: frr, asn: 1}}\n  links: [{endpoints: [\"b:r\", \"r:b\"], ipv4: [\"\", 10.0.0.1/8]}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		topo, err := Parse("fuzz", src)
		if (topo == nil) == (err == nil) {
			t.Fatalf("topology %v, error %v", topo, err)
		}
		if topo == nil {
			return
		}
		seen := map[string]bool{}
		for _, n := range topo.Nodes {
			for _, p := range n.Ports {
				for _, a := range p.Addresses {
					if seen[a.Addr().String()] {
						t.Errorf("address %s is given twice", a)
					}
					seen[a.Addr().String()] = true
				}
			}
		}
		for _, s := range topo.Sessions() {
			topo.Export(s)
		}
	})
}
