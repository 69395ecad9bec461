package strictyaml

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type timers struct {
	Interval   time.Duration `yaml:"interval"`
	Multiplier uint8         `yaml:"multiplier"`
}

type peer struct {
	Address netip.Addr   `yaml:"address,required"`
	Net     netip.Prefix `yaml:"net"`
	ASN     uint32       `yaml:"asn"`
	Passive bool         `yaml:"passive"`
	BFD     *timers      `yaml:"bfd"`
	Tags    []string     `yaml:"tags"`
}

type sample struct {
	Name   string         `yaml:"name,required"`
	Peers  Map[peer]      `yaml:"peers"`
	Timers timers         `yaml:"timers"`
	Rate   Rate           `yaml:"rate"`
	Labels map[string]int `yaml:"labels"`
	Gain   float64        `yaml:"gain"`
	Extra  Node           `yaml:"extra"`
	Free   any            `yaml:"free"`
	Shared `yaml:",inline"`
	Hidden string
}

type Shared struct {
	Note string `yaml:"note"`
}

// TestBadInputs reads testdata/errors.txt: documents and the exact errors of each.
func TestBadInputs(t *testing.T) {
	raw, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	cases := strings.Split(string(raw), "=== ")[1:]
	for _, c := range cases {
		name, rest, _ := strings.Cut(c, "\n")
		src, want, found := strings.Cut(rest, "--- errors\n")
		t.Run(name, func(t *testing.T) {
			if !found {
				t.Fatal("case without --- errors")
			}
			var out sample
			err := Decode("f.yaml", []byte(src), &out)
			if err == nil {
				t.Fatalf("no error; want\n%s", want)
			}
			if diff := cmp.Diff(strings.TrimSpace(want), err.Error()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestDecode(t *testing.T) {
	src := `
name: "12"
note: |
  two
  lines
rate: 1000pps
gain: 1.5
timers: {interval: 300ms, multiplier: 3}
labels: {b: 2, a: -1}
free: {x: [1, 2.5, "3", true, null]}
peers:
  zulu:
    address: 192.0.2.1
    net: 2001:db8::/32
    asn: 4294967295
    passive: true
    bfd: {interval: 1m}
    tags: [one, two]
  alpha: {address: 2001:db8::1}
extra:
  kind: cut
  endpoint: gw1:up1
`
	var got sample
	doc, err := Parse("f.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Decode(&got); err != nil {
		t.Fatal(err)
	}
	extra := got.Extra
	got.Extra = Node{}
	want := sample{
		Name: "12", Rate: 1000, Gain: 1.5,
		Timers: timers{300 * time.Millisecond, 3},
		Labels: map[string]int{"a": -1, "b": 2},
		Free:   map[string]any{"x": []any{int64(1), 2.5, "3", true, nil}},
		Shared: Shared{"two\nlines\n"},
		Peers: Map[peer]{
			{Key: "zulu", Line: 12, Column: 3, Value: peer{
				Address: netip.MustParseAddr("192.0.2.1"), Net: netip.MustParsePrefix("2001:db8::/32"),
				ASN: 4294967295, Passive: true, BFD: &timers{Interval: time.Minute}, Tags: []string{"one", "two"},
			}},
			{Key: "alpha", Line: 19, Column: 3, Value: peer{Address: netip.MustParseAddr("2001:db8::1")}},
		},
	}
	opt := cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
	opt2 := cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })
	if diff := cmp.Diff(want, got, opt, opt2, cmp.AllowUnexported(Node{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	var cut struct {
		Endpoint string `yaml:"endpoint"`
	}
	if err := extra.Without("kind").Decode(&cut); err != nil || cut.Endpoint != "gw1:up1" {
		t.Errorf("extra: %+v, %v", cut, err)
	}
	if err := extra.Decode(&cut); err == nil || err.Error() != `f.yaml:21:3: unknown key "kind"; known: endpoint` {
		t.Errorf("extra with kind: %v", err)
	}
	if p, ok := got.Peers.Get("alpha"); !ok || !p.Address.Is6() {
		t.Error("Map.Get")
	}
	if _, ok := got.Peers.Get("none"); ok {
		t.Error("Map.Get finds what is not there")
	}
}

func TestDocumentPlaces(t *testing.T) {
	doc, err := Parse("t.yaml", []byte(`
topology:
  nodes:
    gw1:
      kind: gatway
    gw.2:
  links:
    - endpoints: [a, b]
    - {endpoints: [c,
         d]}
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ path, want string }{
		{"$.topology.nodes.gw1.kind", "t.yaml:5:13: x"},
		{"$.topology.nodes.gw1", "t.yaml:4:5: x"},
		{Path("$.topology.nodes", "gw.2"), "t.yaml:6:5: x"},
		{"$.topology.links[0]", "t.yaml:8:7: x"},
		{"$.topology.links[1]", "t.yaml:9:7: x"},
		{"$.topology.links[1].endpoints[1]", "t.yaml:10:10: x"},
		{"$.topology.links[2]", "t.yaml:7:3: x"},
		{"$.topology.nodes.gw1.absent.deeper", "t.yaml:4:5: x"},
		{"$.topology[x]", "t.yaml:2:1: x"},
		{"$", "t.yaml:2:1: x"},
	} {
		if got := doc.Errorf(c.path, "x").Error(); got != c.want {
			t.Errorf("Errorf(%s) = %s, want %s", c.path, got, c.want)
		}
	}
	if got := doc.KeyErrorf("$.topology.nodes.gw1.kind", "x").Error(); got != "t.yaml:5:7: x" {
		t.Errorf("KeyErrorf = %s", got)
	}
	if diff := cmp.Diff([]string{"gw1", "gw.2"}, doc.Keys("$.topology.nodes")); diff != "" {
		t.Error(diff)
	}
	n := doc.At("$.topology.links")
	if !n.IsList() || n.IsMapping() || len(n.Items()) != 2 || n.Line() != 7 || n.Column() != 3 || n.Keys() != nil {
		t.Errorf("links node: %+v", n)
	}
	if k := doc.At("$.topology.nodes.gw1").Get("kind"); !k.IsScalar() || k.Text() != "gatway" {
		t.Errorf("kind node: %+v", k)
	}
	var zero Node
	if !doc.At("$.nope").IsZero() || zero.Line() != 0 || zero.Text() != "" || zero.Items() != nil ||
		!zero.Get("x").IsZero() || !zero.Without("x").IsZero() || zero.Errorf("x") == nil || zero.Decode(&struct{}{}) != nil {
		t.Error("the zero node must be harmless")
	}
}

func TestErrorsAreSortedAndFound(t *testing.T) {
	err := Errors{{"f", 3, 1, "c"}, {"f", 1, 9, "b"}, {"f", 1, 2, "a"}, {"f", 3, 1, "c"}}.Err()
	if got, want := err.Error(), "f:1:2: a\nf:1:9: b\nf:3:1: c"; got != want {
		t.Errorf("got %s", got)
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 1 {
		t.Errorf("errors.As: %v", one)
	}
	if (Errors{}).Err() != nil {
		t.Error("no errors must be nil")
	}
	var notPointer sample
	if err := Decode("f", []byte("a: 1"), notPointer); err == nil {
		t.Error("a value that cannot be filled must be refused")
	}
}

func TestHostileInput(t *testing.T) {
	deep := func(s string, n int) []byte { return []byte(strings.Repeat(s, n)) }
	var indented strings.Builder
	for i := range 200 {
		indented.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	for name, c := range map[string]struct {
		src  []byte
		want string
	}{
		"size":         {bytes.Repeat([]byte("#"), MaxSize+1), "at most 1048576"},
		"flow list":    {deep("[", 100_000), "nested deeper"},
		"flow mapping": {deep("{a: ", 50_000), "nested deeper"},
		"block list":   {deep("- ", 50_000), "nested deeper"},
		"block map":    {[]byte(indented.String()), "nested deeper"},
		"bomb":         {[]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: [*b,*b]\n"), "f:1:4: anchors and aliases"},
		"not text":     {[]byte("a: \xff\xfe"), "not UTF-8"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse("f", c.src)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %.200v, want one line with %q", err, c.want)
			}
		})
	}
}

func TestKeyPaths(t *testing.T) {
	want := []string{
		"name", "peers", "peers.*.address", "peers.*.net", "peers.*.asn", "peers.*.passive",
		"peers.*.bfd", "peers.*.bfd.interval", "peers.*.bfd.multiplier", "peers.*.tags",
		"timers", "timers.interval", "timers.multiplier", "rate", "labels", "gain", "extra", "free", "note",
	}
	if diff := cmp.Diff(want, KeyPaths(sample{})); diff != "" {
		t.Error(diff)
	}
}

func TestScalars(t *testing.T) {
	if r, err := ParseRate("1000pps"); err != nil || r != 1000 || r.String() != "1000pps" {
		t.Errorf("ParseRate: %v, %v", r, err)
	}
	for in, want := range map[string]string{
		"3":   "missing unit: write 3s or 300ms",
		"-3s": "negative duration -3s: write 3s or 300ms",
		"3 s": `not a duration: "3 s", write 3s or 300ms`,
	} {
		if _, err := ParseDuration(in); err == nil || err.Error() != want {
			t.Errorf("ParseDuration(%q) = %v, want %s", in, err, want)
		}
	}
	if got := Unknown("kind", "gatway", []string{"host", "gateway"}); got != `unknown kind "gatway", did you mean "gateway"?; known: host, gateway` {
		t.Error(got)
	}
	if got := Unknown("key", "x", nil); got != `unknown key "x"; nothing is allowed here` {
		t.Error(got)
	}
}

func TestMarshal(t *testing.T) {
	type both struct {
		Wait  time.Duration `yaml:"wait"`
		Rate  Rate          `yaml:"rate"`
		Addr  netip.Addr    `yaml:"addr"`
		Texts []string      `yaml:"texts"`
		None  *int          `yaml:"none,omitempty"`
	}
	in := both{1500 * time.Millisecond, 1000, netip.MustParseAddr("2001:db8::1"), []string{"yes", "1", "a: b", "", "# x"}, nil}
	out, err := Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	var back both
	if err := Decode("f", out, &back); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if diff := cmp.Diff(in, back, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s\n%s", diff, out)
	}
	if _, err := Marshal(struct {
		C chan int `yaml:"c"`
	}{make(chan int)}); err == nil {
		t.Error("a channel is no YAML")
	}
}

func FuzzDecode(f *testing.F) {
	raw, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range strings.Split(string(raw), "=== ") {
		_, rest, _ := strings.Cut(c, "\n")
		src, _, _ := strings.Cut(rest, "--- errors\n")
		f.Add([]byte(src))
	}
	f.Add([]byte("name: x\npeers: {a: {address: 192.0.2.1}}\n"))
	f.Add([]byte("a: 1\n---\nb: 2\n"))
	f.Fuzz(func(t *testing.T, src []byte) {
		var out sample
		err := Decode("f.yaml", src, &out)
		if err == nil {
			return
		}
		lines := strings.Count(string(src), "\n") + strings.Count(string(src), "\r") + 2
		var all Errors
		if !errors.As(err, &all) {
			t.Fatalf("error of type %T: %v", err, err)
		}
		for _, e := range all {
			if e.File != "f.yaml" || e.Line < 1 || e.Line > lines || e.Column < 1 || e.Msg == "" {
				t.Fatalf("misplaced error %+v in %q", e, src)
			}
		}
	})
}
