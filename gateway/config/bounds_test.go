package config

import (
	"fmt"
	"strings"
	"testing"
)

// neighbour is a valid file whose one neighbour has the keys too.
func neighbour(keys string) string {
	return minimal + "neighbors:\n  - {address: 192.0.2.1, interface: up1, asn: 64511" + keys + "}\n"
}

// TestBounds holds the last value that is accepted and refuses the first that
// is not, of every setting that has a range.
func TestBounds(t *testing.T) {
	top := func(key string) func(string) string {
		return func(value string) string { return minimal + key + ": " + value + "\n" }
	}
	in := func(before, after string) func(string) string {
		return func(value string) string { return minimal + before + value + after + "\n" }
	}
	beside := func(key string) func(string) string {
		return func(value string) string { return neighbour(", " + key + ": " + value) }
	}
	inside := func(before, after string) func(string) string {
		return func(value string) string { return neighbour(", " + before + value + after) }
	}
	letters := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name       string
		file       func(value string) string
		good, evil []string
	}{
		{"socket", top("socket"), []string{"/s", "/" + letters(106)}, []string{"s", "./s", `""`, "/" + letters(107), "abstract"}},
		{"state-dir", top("state-dir"), []string{"/", "/var/lib/x"}, []string{"var", `""`, "~"}},
		{"metrics", top("metrics"), []string{`""`, `":1"`, "127.0.0.1:65535", `"[::1]:9179"`, "host:80"},
			[]string{"host", `"host:"`, "host:0", "host:65536", "host:http", "2001:db8::1:80", `"::1"`, "host:+80"}},
		{"drain", top("drain"), []string{"0s", "1ns", "10m"}, []string{"10m1ns", "-1s", "5"}},
		{"table", top("table"), []string{"1", "254", "256", "2147483647"}, []string{"0", "-1", "255", "2147483648"}},
		{"multipath-hash", top("multipath-hash"), []string{"l3", "l4", "inner"}, []string{"l5", "L3", `""`}},
		{"bfd.interval", in("bfd: {interval: ", "}"), []string{"10ms", "60s", "10001us"}, []string{"9999us", "60001ms", "0s"}},
		{"bfd.multiplier", in("bfd: {multiplier: ", "}"), []string{"1", "255"}, []string{"0", "256", "-1"}},
		{"bgp.port", in("bgp: {port: ", "}"), []string{"1", "65535"}, []string{"0", "65536", "-1"}},
		{"bgp.hold-time", in("bgp: {hold-time: ", "}"), []string{"0s", "3s", "65535s"}, []string{"1ns", "2999ms", "3001ms", "65536s"}},
		{"bgp.keepalive", in("bgp: {hold-time: 9s, keepalive: ", "}"), []string{"1s", "8999ms"}, []string{"999ms", "9s", "10s"}},
		{"bgp.connect-retry", in("bgp: {connect-retry: ", "}"), []string{"10ms", "1h"}, []string{"9ms", "1h1ns", "0s"}},
		{"bgp.multipath", in("bgp: {multipath: ", "}"), []string{"1", "64"}, []string{"0", "65"}},
		{"restart-time", in("bgp: {graceful-restart: {restart-time: ", "}}"), []string{"1s", "4095s"}, []string{"0s", "999ms", "1500ms", "4096s"}},
		{"selection-deferral", in("bgp: {graceful-restart: {selection-deferral: ", "}}"), []string{"1s", "1h", "1500ms"}, []string{"999ms", "1h1ns"}},
		{"asn", func(v string) string { return "asn: " + v + "\nrouter-id: 198.51.100.1\n" },
			[]string{"1", "23455", "23457", "64512", "65534", "65536", "4294967294"}, []string{"0", "23456", "65535", "4294967295", "4294967296", "-1"}},
		{"router-id", func(v string) string { return "asn: 1\nrouter-id: " + v + "\n" },
			[]string{"0.0.0.1", "255.255.255.255"}, []string{"0.0.0.0", `"::1"`, `"::ffff:1.2.3.4"`, "1", "name"}},
		{"networks", in("networks: [{prefix: ", "}]"), []string{"0.0.0.0/0", `"::/0"`, "192.0.2.1/32"}, []string{"192.0.2.1/31", `"::ffff:10.0.0.0/104"`, "10.0.0.0"}},
		{"length", in("networks: [{prefix: 10.0.0.0/30, count: 1, length: ", "}]"), []string{"30", "31", "32"}, []string{"29", "33", "-1", "0"}},
		{"count", in("networks: [{prefix: 10.0.0.0/30, length: 32, count: ", "}]"), []string{"1", "4"}, []string{"0", "5", "-1"}},
		{"count of many", in("networks: [{prefix: \"2001:db8::/32\", length: 128, count: ", "}]"), []string{"2000000"}, []string{"2000001", "4294967296"}},
		{"neighbor asn", func(v string) string { return strings.Replace(neighbour(""), "asn: 64511", "asn: "+v, 1) }, []string{"1", "64500"}, []string{"0", "23456", "65535"}},
		{"address", func(v string) string { return strings.Replace(neighbour(""), "192.0.2.1", v, 1) },
			[]string{"10.0.0.1", `"2001:db8::1"`, `"fd00::1"`, "169.254.0.1"},
			[]string{"0.0.0.0", `"::"`, "127.0.0.1", `"::1"`, "224.0.0.1", `"ff02::1"`, "255.255.255.255", `"fe80::1"`, `"fe80::1%up1"`, `"::ffff:10.0.0.1"`}},
		{"local-address", beside("local-address"), []string{"192.0.2.2"}, []string{"192.0.2.1", `"2001:db8::2"`, "0.0.0.0", "224.0.0.1"}},
		{"interface", func(v string) string { return strings.Replace(neighbour(""), "interface: up1", "interface: "+v, 1) },
			[]string{"e", letters(15), "eth0.100", "up@1"}, []string{`""`, letters(16), ".", "..", "a/b", `"a:b"`, `"a b"`, `"a\tb"`}},
		{"name", beside("name"), []string{"isp", letters(64), "é", "ISP-1/a"}, []string{letters(65), `"a b"`, `"a\nb"`, `"\x1b"`, `"\u202e"`}},
		{"password", beside("password"), []string{letters(80), `"!~ z"`}, []string{letters(81), "é", `"a\tb"`, `"a\0b"`}},
		{"max-prefixes", beside("max-prefixes"), []string{"1", "1000000"}, []string{"0", "-1"}},
		{"neighbor bfd", inside("bfd: {interval: ", "}"), []string{"10ms", "1m"}, []string{"9ms", "61s", "0s"}},
		{"neighbor multiplier", inside("bfd: {multiplier: ", "}"), []string{"1", "255"}, []string{"0", "256"}},
		{"local-pref", inside("import: {local-pref: ", "}"), []string{"1", "4294967295"}, []string{"0", "4294967296", "-1"}},
		{"med", inside("export: {med: ", "}"), []string{"0", "4294967295"}, []string{"-1", "4294967296"}},
		{"prepend", inside("export: {prepend: ", "}"), []string{"0", "16"}, []string{"-1", "17"}},
		{"ge", inside("import: {prefixes: [{prefix: 10.0.0.0/8, ge: ", "}]}"), []string{"8", "32"}, []string{"7", "33", "0"}},
		{"le", inside("export: {prefixes: [{prefix: 10.0.0.0/8, ge: 16, le: ", "}]}"), []string{"16", "32"}, []string{"15", "33"}},
		{"le of IPv6", inside("export: {prefixes: [{prefix: \"2001:db8::/32\", le: ", "}]}"), []string{"32", "128"}, []string{"31", "129"}},
		{"communities", inside("export: {communities: [", "]}"), []string{`"0:0"`, `"65535:65535"`, "no-export", "blackhole"},
			[]string{`"65536:0"`, `"0:65536"`, `"1"`, `"1:"`, `":1"`, `"1:2:3"`, `"-1:2"`, `"+1:2"`, "NO-EXPORT", `""`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, value := range c.good {
				src := []byte(c.file(value))
				if _, err := Parse("c.yaml", src); err != nil {
					t.Errorf("%s is refused: %v", value, err)
					continue
				}
				roundTrip(t, src)
			}
			for _, value := range c.evil {
				got, err := Parse("c.yaml", []byte(c.file(value)))
				if err == nil {
					t.Errorf("%s is accepted", value)
					continue
				}
				if got.Neighbors != nil || got.ASN != 0 {
					t.Errorf("%s: a configuration beside the error", value)
				}
				for line := range strings.Lines(err.Error()) {
					if !strings.HasPrefix(line, "c.yaml:") {
						t.Errorf("%s: a line without its place: %q", value, line)
					}
				}
			}
		})
	}
}

// Every key may be left out, and none may be written twice or misspelt.
func TestEveryKeyIsKnownOnce(t *testing.T) {
	for _, key := range Keys() {
		if strings.ContainsAny(key, ".[") {
			continue
		}
		if _, err := Parse("c.yaml", []byte(minimal+key+": 1\n"+key+": 1\n")); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("duplicate key %q", key)) {
			t.Errorf("%s written twice: %v", key, err)
		}
		if _, err := Parse("c.yaml", []byte(minimal+key+"x: 1\n")); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("did you mean %q?", key)) {
			t.Errorf("%sx: %v", key, err)
		}
	}
}

// A duplicate is one whatever way it is written.
func TestDuplicates(t *testing.T) {
	for src, want := range map[string]string{
		`{address: "2001:db8::1"}, {address: "2001:0db8:0:0::1"}`:        "duplicate neighbor 2001:db8::1",
		`{address: 192.0.2.1, name: 192.0.2.2}, {address: 192.0.2.2}`:    `duplicate name "192.0.2.2"`,
		`{address: 192.0.2.1, name: a}, {address: 192.0.2.2, name: "a"}`: `duplicate name "a"`,
	} {
		src = strings.ReplaceAll(src, "}", ", interface: up1, asn: 1}")
		if _, err := Parse("c.yaml", []byte(minimal+"neighbors: ["+src+"]\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", src, err)
		}
	}
}
