package config

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// anyOf makes random configurations that are valid.
type anyOf struct{ *rand.Rand }

func (r anyOf) yes() bool { return r.IntN(2) == 0 }

func (r anyOf) in(lo, hi int) int { return lo + r.IntN(hi-lo+1) }

func (r anyOf) asn() uint32 { return uint32(r.in(64512, 65534)) }

func (r anyOf) text(of string, longest int) string {
	b := make([]byte, r.in(1, longest))
	for i := range b {
		b[i] = of[r.IntN(len(of))]
	}
	return string(b)
}

func (r anyOf) prefix() netip.Prefix {
	if r.yes() {
		a := netip.AddrFrom4([4]byte{byte(r.in(1, 126)), byte(r.IntN(256)), byte(r.IntN(256)), byte(r.IntN(256))})
		return netip.PrefixFrom(a, r.in(0, 32)).Masked()
	}
	a := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(r.IntN(256)), byte(r.IntN(256)), 15: byte(r.IntN(256))})
	return netip.PrefixFrom(a, r.in(0, 128)).Masked()
}

// rules are nil, none, or some that differ.
func (r anyOf) rules() []PrefixRule {
	if r.yes() {
		return nil
	}
	out := []PrefixRule{}
	seen := map[PrefixRule]bool{}
	for range r.IntN(4) {
		rule := PrefixRule{Prefix: r.prefix()}
		least, width := max(1, rule.Prefix.Bits()), rule.Prefix.Addr().BitLen()
		if r.yes() {
			rule.Ge = r.in(least, width)
			least = rule.Ge
		}
		if r.yes() {
			rule.Le = r.in(least, width)
		}
		if !seen[rule] {
			out = append(out, rule)
		}
		seen[rule] = true
	}
	return out
}

func (r anyOf) bfd() BFD {
	return BFD{Off: r.yes(), Interval: time.Duration(r.in(10, 60000)) * time.Millisecond, Multiplier: r.in(1, 255)}
}

func (r anyOf) neighbor(i int) Neighbor {
	n := Neighbor{
		Address: netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), Interface: r.text("abcXYZ019._-", 12) + "x", ASN: r.asn(),
		Passive: r.yes(), TTLSecurity: r.yes(), NextHopSelf: r.yes(), MaxPrefixes: r.IntN(3) * r.in(1, 1e6), BFD: r.bfd(),
		Import: Filter{Prefixes: r.rules(), LocalPref: uint32(r.IntN(2) * r.in(1, 1000))},
		Export: Filter{Prefixes: r.rules(), Prepend: r.in(0, maxPrepend), MEDSet: r.yes()},
	}
	if r.yes() {
		n.LocalAddress = netip.AddrFrom4([4]byte{10, 0, byte(i), 2})
	}
	if n.Export.MEDSet {
		n.Export.MED = r.Uint32() >> r.IntN(33)
	}
	for range r.IntN(4) {
		n.Export.Communities = append(n.Export.Communities, r.Uint32(), uint32(NoExport))
	}
	n.Name = n.Address.String()
	if r.yes() {
		n.Name = fmt.Sprintf("%d%s", i, r.text("abcXYZ019._-:#&*!|>'\"%@`{}[],?~", 50))
	}
	if r.yes() {
		n.Password = r.text("abcXYZ019 ._-:#&*!|>'\"%@`{}[],?~\\$", maxPassword)
	}
	return n
}

func (r anyOf) config() Config {
	c := Config{
		ASN: r.asn(), RouterID: netip.AddrFrom4([4]byte{byte(r.in(1, 255)), byte(r.IntN(256)), 0, 1}),
		Socket: "/" + r.text("abc/._- #:", 100), StateDir: "/" + r.text("abc/._- #:", 100),
		BFD: r.bfd(), Drain: time.Duration(r.Int64N(int64(10 * time.Minute))), Table: r.in(1, 254),
		MultipathHash: []string{"l3", "l4", "inner"}[r.IntN(3)],
		BGP: BGP{
			Port: r.in(1, 65535), ConnectRetry: time.Duration(r.in(10, 3600000)) * time.Millisecond, Multipath: r.in(1, 64),
			GracefulRestart: GracefulRestart{Off: r.yes(), RestartTime: time.Duration(r.in(1, 4095)) * time.Second,
				SelectionDeferral: time.Duration(r.in(1, 3600)) * time.Second},
		},
	}
	if r.yes() {
		c.BGP.HoldTime = time.Duration(r.in(3, 65535)) * time.Second
		c.BGP.Keepalive = time.Second + time.Duration(r.Int64N(int64(c.BGP.HoldTime-time.Second)))
	}
	if r.yes() {
		c.Metrics = fmt.Sprintf("127.0.0.1:%d", r.in(1, 65535))
	}
	seen := map[Network]bool{}
	for range r.IntN(5) {
		n := Network{Prefix: r.prefix()}
		if spare := n.Prefix.Addr().BitLen() - n.Prefix.Bits(); r.yes() && spare > 0 {
			n.Length = n.Prefix.Bits() + r.in(1, spare)
			n.Count = r.in(1, 1<<min(10, n.Length-n.Prefix.Bits()))
		}
		if !seen[n] {
			c.Networks = append(c.Networks, n)
		}
		seen[n] = true
	}
	for i := range r.IntN(5) {
		c.Neighbors = append(c.Neighbors, r.neighbor(i))
	}
	return c
}

// Whatever configuration is valid, what Marshal writes is what Parse reads.
func TestRandomConfigurationsRoundTrip(t *testing.T) {
	for seed := range uint64(400) {
		want := anyOf{rand.New(rand.NewPCG(seed, 0))}.config()
		out, err := want.Marshal()
		if err != nil {
			t.Fatalf("seed %d: %v\nof %+v", seed, err, want)
		}
		got, err := Parse("c.yaml", out)
		if err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, out)
		}
		if diff := cmp.Diff(want, got, comparers()); diff != "" {
			t.Fatalf("seed %d (-want +got):\n%s\n%s", seed, diff, out)
		}
		if again, err := got.Marshal(); err != nil || string(again) != string(out) {
			t.Fatalf("seed %d: written again it differs: %v", seed, err)
		}
	}
}

// Every community is read back as written, the well-known ones by name.
func TestCommunityRoundTrip(t *testing.T) {
	names := 0
	r := rand.New(rand.NewPCG(1, 1))
	all := []Community{0, 1<<32 - 1, GracefulShutdown, Blackhole, NoExport, NoAdvertise}
	for range 1000 {
		all = append(all, Community(r.Uint32()))
	}
	for _, c := range all {
		text, err := c.MarshalText()
		var back Community
		if err != nil || back.UnmarshalText(text) != nil || back != c {
			t.Errorf("%#x is written %s and read %#x", uint32(c), text, uint32(back))
		}
		if !strings.Contains(string(text), ":") {
			names++
		}
	}
	if names != len(wellKnown()) {
		t.Errorf("%d communities have a name, want %d", names, len(wellKnown()))
	}
}

// What no file could have said does not become a file.
func TestMarshalRefusesWhatParseDoes(t *testing.T) {
	valid := func() Config { return anyOf{rand.New(rand.NewPCG(7, 7))}.config() }
	for name, spoil := range map[string]func(*Config){
		"asn":       func(c *Config) { c.ASN = 0 },
		"router id": func(c *Config) { c.RouterID = netip.Addr{} },
		"table":     func(c *Config) { c.Table = 255 },
		"hold time": func(c *Config) { c.BGP.HoldTime = time.Second },
		"network":   func(c *Config) { c.Networks = append(c.Networks, Network{Prefix: netip.MustParsePrefix("10.0.0.1/8")}) },
		"half a synthetic table": func(c *Config) {
			c.Networks = append(c.Networks, Network{Prefix: netip.MustParsePrefix("11.0.0.0/8"), Length: 24})
		},
		"neighbor twice": func(c *Config) {
			c.Neighbors = []Neighbor{{Address: c.RouterID, Interface: "a", ASN: 1}, {Address: c.RouterID, Interface: "b", ASN: 1}}
		},
		"no interface": func(c *Config) { c.Neighbors = []Neighbor{{Address: c.RouterID, ASN: 1}} },
		"no address":   func(c *Config) { c.Neighbors = []Neighbor{{Interface: "a", ASN: 1}} },
	} {
		c := valid()
		spoil(&c)
		if out, err := c.Marshal(); err == nil || out != nil || !strings.HasPrefix(err.Error(), "marshal configuration: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
