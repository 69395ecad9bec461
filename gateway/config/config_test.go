package config

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gwlab/internal/strictyaml"
)

const reference = "../../packaging/gatewayd.yaml"

func comparers() cmp.Options {
	return cmp.Options{
		cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
		cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
	}
}

// TestBadInputs reads testdata/errors.txt: configurations and the exact errors of each.
func TestBadInputs(t *testing.T) {
	raw, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range strings.Split(string(raw), "=== ")[1:] {
		name, rest, _ := strings.Cut(c, "\n")
		src, want, found := strings.Cut(rest, "--- errors\n")
		t.Run(name, func(t *testing.T) {
			_, err := Parse("c.yaml", []byte(src))
			if err == nil || !found {
				t.Fatalf("no error; want\n%s", want)
			}
			if diff := cmp.Diff(strings.TrimSpace(want), err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestReference holds the reference configuration complete and valid.
func TestReference(t *testing.T) {
	src, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(reference, src); err != nil {
		t.Fatal(err)
	}
	doc, err := strictyaml.Parse(reference, src)
	if err != nil {
		t.Fatal(err)
	}
	present := map[string]bool{}
	collect(doc.Root(), "", present)
	for _, key := range Keys() {
		if !present[key] {
			t.Errorf("key %s does not appear in the reference", key)
		}
		delete(present, key)
	}
	if len(Keys()) < 40 {
		t.Errorf("schema lists only %d keys", len(Keys()))
	}
}

func collect(n strictyaml.Node, path string, into map[string]bool) {
	for _, item := range n.Items() {
		collect(item, path+"[]", into)
	}
	for _, k := range n.Keys() {
		p := strings.TrimPrefix(path+"."+k, ".")
		into[p] = true
		collect(n.Get(k), p, into)
	}
}

func TestReferenceValues(t *testing.T) {
	src, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(reference, src)
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.ASN, want.RouterID, want.Metrics = 64500, netip.MustParseAddr("198.51.100.1"), "127.0.0.1:9179"
	want.BGP.Keepalive = 3 * time.Second
	want.Networks = []Network{
		{Prefix: netip.MustParsePrefix("203.0.113.0/24")},
		{Prefix: netip.MustParsePrefix("2001:db8:113::/48")},
		{Prefix: netip.MustParsePrefix("198.18.0.0/15"), Length: 24, Count: 512},
	}
	want.Neighbors = []Neighbor{{
		Name: "isp1", Address: netip.MustParseAddr("192.0.2.1"), LocalAddress: netip.MustParseAddr("192.0.2.2"),
		Interface: "up1", ASN: 64511, Password: "s3cret", TTLSecurity: true, MaxPrefixes: 1000000,
		BFD: BFD{Interval: 20 * time.Millisecond, Multiplier: 3},
		Import: Filter{LocalPref: 200, Prefixes: []PrefixRule{
			{Prefix: netip.MustParsePrefix("0.0.0.0/0")},
			{Prefix: netip.MustParsePrefix("0.0.0.0/0"), Ge: 8, Le: 24},
		}},
		Export: Filter{
			Prefixes: []PrefixRule{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Ge: 24, Le: 25}},
			Prepend:  1, MED: 10, MEDSet: true, Communities: []uint32{64500<<16 | 100, uint32(NoExport)},
		},
	}, {
		Name: "2001:db8::1", Address: netip.MustParseAddr("2001:db8::1"), Interface: "up1", ASN: 64511,
		BFD: BFD{Interval: 50 * time.Millisecond, Multiplier: 3},
	}}
	if diff := cmp.Diff(want, got, comparers()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

const minimal = "asn: 64500\nrouter-id: 198.51.100.1\n"

func TestDefaults(t *testing.T) {
	got, err := Parse("c.yaml", []byte(minimal))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.ASN, want.RouterID = 64500, netip.MustParseAddr("198.51.100.1")
	want.BGP.Keepalive = 3 * time.Second
	if diff := cmp.Diff(want, got, comparers()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestInheritance(t *testing.T) {
	got, err := Parse("c.yaml", []byte(minimal+`
bfd: {enabled: false, multiplier: 5}
bgp: {hold-time: 0s}
drain: 0s
neighbors:
  - {address: 192.0.2.1, interface: up1, asn: 1}
  - {address: 192.0.2.5, interface: up2, asn: 1, bfd: {enabled: true, interval: 10ms}}
  - {address: 192.0.2.9, interface: up3, asn: 1, import: {prefixes: []}}
`))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []BFD{
		{Off: true, Interval: 50 * time.Millisecond, Multiplier: 5},
		{Interval: 10 * time.Millisecond, Multiplier: 5},
		{Off: true, Interval: 50 * time.Millisecond, Multiplier: 5},
	} {
		if got.Neighbors[i].BFD != want {
			t.Errorf("neighbor %d: %+v, want %+v", i, got.Neighbors[i].BFD, want)
		}
	}
	if got.BGP.HoldTime != 0 || got.BGP.Keepalive != 0 || got.Drain != 0 {
		t.Errorf("a written zero is a value: %+v, drain %s", got.BGP, got.Drain)
	}
	if got.Neighbors[0].Import.Prefixes != nil || got.Neighbors[2].Import.Prefixes == nil {
		t.Error("no list accepts all, an empty list none")
	}
}

func TestMarshalRoundTrip(t *testing.T) {
	src, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	table := minimal + "networks: [{prefix: 10.0.0.0/8, length: 26, count: 100000}]\n"
	empty := minimal + "neighbors: [{address: 192.0.2.1, interface: up1, asn: 1, name: yes, password: \"12\", " +
		"import: {prefixes: []}, export: {med: 0, communities: [\"0:0\"]}, bfd: {enabled: false}}]\n"
	for name, text := range map[string]string{
		"reference": string(src), "minimal": minimal, "table": table, "empty": empty,
		"zeros": minimal + "bgp: {hold-time: 0s}\ndrain: 0s\n",
	} {
		t.Run(name, func(t *testing.T) {
			roundTrip(t, []byte(text))
		})
	}
}

func roundTrip(t *testing.T, src []byte) {
	t.Helper()
	first, err := Parse("c.yaml", src)
	if err != nil {
		t.Fatal(err)
	}
	out, err := first.Marshal()
	if err != nil {
		t.Fatalf("%v\nof %+v", err, first)
	}
	second, err := Parse("out.yaml", out)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(first, second, comparers()); diff != "" {
		t.Fatalf("-first +second:\n%s\n%s", diff, out)
	}
}

func TestMarshalMadeInCode(t *testing.T) {
	c := Default()
	c.ASN, c.RouterID = 64500, netip.MustParseAddr("198.51.100.1")
	c.BGP.HoldTime = 3 * time.Second
	c.Neighbors = []Neighbor{{Address: netip.MustParseAddr("192.0.2.1"), Interface: "up1", ASN: 64511}}
	out, err := c.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	want := `asn: 64500
router-id: 198.51.100.1
socket: /run/gatewayd/gatewayd.sock
state-dir: /var/lib/gatewayd
table: 254
multipath-hash: l4
drain: 1s
bfd:
  enabled: true
  interval: 50ms
  multiplier: 3
bgp:
  port: 179
  hold-time: 3s
  connect-retry: 500ms
  multipath: 8
  graceful-restart:
    enabled: true
    restart-time: 30s
    selection-deferral: 30s
neighbors:
  - address: 192.0.2.1
    interface: up1
    asn: 64511
`
	if diff := cmp.Diff(want, string(out)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	c.Neighbors[0].Import.Prepend = 1
	if _, err := c.Marshal(); err == nil || !strings.Contains(err.Error(), "export only") {
		t.Errorf("prepend on import: %v", err)
	}
	c.Neighbors[0].Import.Prepend, c.Neighbors[0].Export.LocalPref = 0, 1
	if _, err := c.Marshal(); err == nil || !strings.Contains(err.Error(), "import only") {
		t.Errorf("local-pref on export: %v", err)
	}
	if _, err := (Config{}).Marshal(); err == nil {
		t.Error("a Config that Parse refuses must not marshal")
	}
}

func TestLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString(minimal + "neighbors:\n")
	for i := range maxNeighbors + 1 {
		fmt.Fprintf(&b, "  - {address: 10.0.%d.%d, interface: up1, asn: 1}\n", i/250, i%250+1)
	}
	if _, err := Parse("c.yaml", []byte(b.String())); err == nil || err.Error() != "c.yaml:3:1: 1025 neighbors: at most 1024" {
		t.Errorf("got %v", err)
	}
	big := minimal + "networks: [{prefix: 2001:db8::/32, length: 64, count: 2000000}, {prefix: 10.0.0.0/8}]\n"
	if _, err := Parse("c.yaml", []byte(big)); err == nil || err.Error() != "c.yaml:3:1: 2000001 prefixes originated: at most 2000000" {
		t.Errorf("got %v", err)
	}
}

func TestCommunity(t *testing.T) {
	for _, text := range []string{"graceful-shutdown", "blackhole", "no-export", "no-advertise", "65001:100", "0:0"} {
		var c Community
		if err := c.UnmarshalText([]byte(text)); err != nil || c.String() != text {
			t.Errorf("%s → %v, %v", text, c, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	src, err := os.ReadFile(reference)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(src)
	f.Add([]byte(minimal))
	raw, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(raw), "=== ")[1:] {
		_, rest, _ := strings.Cut(c, "\n")
		bad, _, _ := strings.Cut(rest, "--- errors\n")
		f.Add([]byte(bad))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := Parse("c.yaml", src); err == nil {
			roundTrip(t, src)
		}
	})
}
