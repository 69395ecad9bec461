package strictyaml

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func document(t *testing.T, src string) *Document {
	t.Helper()
	doc, err := Parse("f", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// Wherever "bad" is written, and in whatever style, the error stands at it.
// The place is found in the text, not written down here.
func TestErrorStandsAtTheValue(t *testing.T) {
	type leaf struct {
		N int `yaml:"n"`
	}
	type tree struct {
		One  leaf            `yaml:"one"`
		Many []leaf          `yaml:"many"`
		Map  Map[leaf]       `yaml:"map"`
		Go   map[string]leaf `yaml:"go"`
		Deep [][]int         `yaml:"deep"`
		Ptr  *leaf           `yaml:"ptr"`
	}
	for _, src := range []string{
		"one: {n: bad}",
		"one:\n  n: bad",
		"one:\n        n:    bad   # why",
		"# first\n\n\none:\n  # second\n  n: bad",
		"many:\n- n: bad",
		"many:\n  - n: 1\n  - n: bad",
		"many: [{n: 1}, {n: 2}, {n: bad}]",
		"many: [\n  {n: 1},\n    {\n n: bad}\n]",
		"map:\n  a: {n: 1}\n  b:\n    n: bad",
		"map: {a: {n: 1}, b: {n: bad}}",
		"go: {x: {n: bad}}",
		"deep:\n  - [1, 2]\n  - - 3\n    - bad",
		"deep: [[1], [2, bad]]",
		"ptr: {n: 'bad'}",
		"ptr:\r\n  n: bad\r\n",
		"\"ptr\": {\"n\": \"bad\"}",
		"--- \none: {n: bad}\n...",
	} {
		at := strings.Index(src, "bad")
		if at > 0 && strings.ContainsRune(`'"`, rune(src[at-1])) {
			at-- // a quoted value begins at its quote
		}
		line := strings.Count(src[:at], "\n") + 1
		column := at - strings.LastIndex(src[:at], "\n")
		var out tree
		err := Decode("f", []byte(src), &out)
		want := fmt.Sprintf(`f:%d:%d: expected a whole decimal number, got the text "bad"`, line, column)
		if err == nil || err.Error() != want {
			t.Errorf("%q:\n got %v\nwant %s", src, err, want)
		}
	}
}

// All that can be decoded is, beside what cannot.
func TestDecodeGoesOnAfterAnError(t *testing.T) {
	var out sample
	err := Decode("f", []byte("name: 1\nrate: 5pps\npeers:\n  a: {address: x, asn: 7}\n  b: {address: ::1, asn: y}\ngain: 2.5\n"), &out)
	var all Errors
	if !errors.As(err, &all) || len(all) != 3 {
		t.Fatalf("want three errors, got %v", err)
	}
	a, _ := out.Peers.Get("a")
	b, _ := out.Peers.Get("b")
	if out.Rate != 5 || out.Gain != 2.5 || a.ASN != 7 || b.Address != netip.MustParseAddr("::1") {
		t.Errorf("decoded %+v", out)
	}
}

// What is not written keeps the value it had: that is how defaults work.
func TestDecodeOverDefaults(t *testing.T) {
	out := sample{Name: "old", Rate: 9, Timers: timers{time.Second, 3}, Labels: map[string]int{"a": 1}}
	if err := Decode("f", []byte("name: new\ntimers: {multiplier: 5}\n"), &out); err != nil {
		t.Fatal(err)
	}
	want := sample{Name: "new", Rate: 9, Timers: timers{time.Second, 5}, Labels: map[string]int{"a": 1}}
	if diff := cmp.Diff(want, out, cmp.AllowUnexported(Node{})); diff != "" {
		t.Error(diff)
	}
}

func TestMapKeepsTheOrderOfTheFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var keys []string
	var src strings.Builder
	for _, n := range rng.Perm(300) {
		key := fmt.Sprintf("k%d", n)
		keys = append(keys, key)
		fmt.Fprintf(&src, "%s: %d\n", key, n)
	}
	var m Map[int]
	if err := Decode("f", []byte(src.String()), &m); err != nil {
		t.Fatal(err)
	}
	for i, e := range m {
		if e.Key != keys[i] || e.Line != i+1 || e.Column != 1 || fmt.Sprintf("k%d", e.Value) != e.Key {
			t.Fatalf("entry %d: %+v, want key %s", i, e, keys[i])
		}
	}
	if diff := cmp.Diff(keys, document(t, src.String()).Keys("$")); diff != "" || len(m) != len(keys) {
		t.Error(diff)
	}
}

func TestMapOfWrongShape(t *testing.T) {
	var m Map[int]
	if err := Decode("f", []byte("- a"), &m); err == nil || err.Error() != "f:1:1: expected a mapping, got a list" {
		t.Errorf("list: %v", err)
	}
	if err := Decode("f", []byte("a: 1\nb: x\nc: 3\n"), &m); err == nil || !strings.HasPrefix(err.Error(), "f:2:4: ") {
		t.Errorf("one bad value: %v", err)
	}
	if c, ok := m.Get("c"); !ok || c != 3 {
		t.Error("the value behind the bad one is lost")
	}
	m = Map[int]{{Key: "stale"}}
	if err := Decode("f", nil, &m); err != nil || len(m) != 0 {
		t.Errorf("an empty document leaves %v, %v", m, err)
	}
}

func TestWithout(t *testing.T) {
	n := document(t, "kind: x\na: 1\nb: 2\n").Root()
	if diff := cmp.Diff([]string{"a"}, n.Without("b", "kind", "absent").Keys()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"kind", "a", "b"}, n.Keys()); diff != "" {
		t.Errorf("Without changed the node it was asked of: %s", diff)
	}
	if rest := n.Without("kind", "a", "b"); !rest.IsMapping() || len(rest.Keys()) != 0 || rest.Line() != n.Line() {
		t.Errorf("nothing left: %+v", rest)
	}
	if got := n.Get("a").Without("x"); got.Text() != "1" {
		t.Errorf("of a scalar: %+v", got)
	}
	var out struct {
		A int `yaml:"a"`
	}
	if err := n.Without("kind").Decode(&out); err == nil || !strings.HasPrefix(err.Error(), `f:3:1: unknown key "b"`) {
		t.Errorf("a place after Without: %v", err)
	}
	keys := n.Keys()
	keys[0] = "changed"
	if n.Keys()[0] != "kind" {
		t.Error("Keys hands out its own memory")
	}
}

// Whatever a key is, Path leads to it.
func TestPathLeadsToEveryKey(t *testing.T) {
	for _, key := range []string{
		"a", "eth0.100", "a[0]", "]", "[", "$", "$.a", "", " ", "a b", `"`, `\`, `a"b\c`, "'", "`", "é", "☺", "\t", "\x7f", "a:b", "-", "#", "0",
	} {
		doc := &Document{file: "f", root: &tree{kind: mapKind, keys: []string{"top"}, items: []*tree{{
			kind: mapKind, keys: []string{"decoy", key}, items: []*tree{{kind: intKind, text: "0"}, {kind: intKind, text: "1"}},
		}}}}
		if got := doc.At(Path("$.top", key)).Text(); got != "1" {
			t.Errorf("Path of %q is %s, which leads to %q", key, Path("$.top", key), got)
		}
	}
}

// A path that is none leads nowhere, and ends.
func TestMalformedPaths(t *testing.T) {
	doc := document(t, "a: [1, {b: 2}]\nc: {d: 3}\n")
	for path, want := range map[string]string{
		"$.a[0]": "1", "$.a[1].b": "2", `$["a"][1]["b"]`: "2", `$["c"].d`: "3", "c.d": "3",
		"$.a[-1]": "", "$.a[2]": "", "$.a[99999999999999999999]": "", "$.a[x]": "", "$.a[]": "", "$.a.b": "", "$.c[0]": "",
		"$..c": "", "$.": "", "$.a.": "", "$[": "", `$["`: "", `$["a`: "", "....": "", "$.c.d.e": "", "$.c.d[0]": "",
	} {
		if got := doc.At(path).Text(); got != want {
			t.Errorf("At(%s) = %q, want %q", path, got, want)
		}
		if e := doc.KeyErrorf(path, "x"); e.Line < 1 || e.Column < 1 || e.File != "f" {
			t.Errorf("KeyErrorf(%s) = %v", path, e)
		}
	}
}

func TestNestingAtTheLimit(t *testing.T) {
	nest := func(n int) map[string][]byte {
		var block strings.Builder
		for i := range n {
			block.WriteString(strings.Repeat(" ", i) + "a:\n")
		}
		block.WriteString(strings.Repeat(" ", n) + "a: 1\n")
		return map[string][]byte{
			"flow list":    []byte(strings.Repeat("[", n) + strings.Repeat("]", n)),
			"flow mapping": []byte(strings.Repeat("{a: ", n) + "1" + strings.Repeat("}", n)),
			"block":        []byte(block.String()),
		}
	}
	for name, src := range nest(maxDepth - 1) {
		if _, err := Parse("f", src); err != nil {
			t.Errorf("%s of %d levels: %v", name, maxDepth-1, err)
		}
	}
	for name, src := range nest(maxDepth + 1) {
		if _, err := Parse("f", src); err == nil || !strings.Contains(err.Error(), "nested deeper than 64 levels") {
			t.Errorf("%s of %d levels: %v", name, maxDepth+1, err)
		}
	}
}

func TestSizeAtTheLimit(t *testing.T) {
	src := append([]byte("name: x\n#"), bytes.Repeat([]byte("a"), MaxSize)...)
	if _, err := Parse("f", src[:MaxSize]); err != nil {
		t.Errorf("%d bytes: %v", MaxSize, err)
	}
	if _, err := Parse("f", src[:MaxSize+1]); err == nil {
		t.Errorf("%d bytes are accepted", MaxSize+1)
	}
}

// Every error is one line: a log holds one for each, whatever the document says.
func TestErrorsAreOneLineEach(t *testing.T) {
	for _, src := range []string{
		"\"a\\nb\": 1", "name: \"x\\ny\"\nrate: \"1\\n2\"", "timers: |\n  two\n  lines\n", "? |\n  a\n: b", "\"\\x1b[2J\": 1",
		"name: *a\\nb", "a: 'it\n\n  goes on'", "labels: {\"a\\nb\": x}",
	} {
		var out sample
		err := Decode("f", []byte(src), &out)
		if err == nil {
			t.Fatalf("%q is accepted", src)
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "f:") || strings.Contains(line, "\x1b") {
				t.Errorf("%q: line %q", src, line)
			}
		}
	}
}

func TestSuggestions(t *testing.T) {
	known := []string{"interval", "multiplier", "asn", "x"}
	for got, want := range map[string]string{
		"intervall": "interval", "INTERVAL": "interval", "intrval": "interval", "multiplierr": "multiplier", "ans": "", "as": "asn",
		"": "x", "y": "x", "timeout": "", strings.Repeat("interval", 9): "",
	} {
		if near := closest(got, known); near != want {
			t.Errorf("closest to %q is %q, want %q", got, near, want)
		}
	}
	for _, p := range [][2]string{{"", ""}, {"a", ""}, {"kitten", "sitting"}, {"flaw", "lawn"}} {
		if distance(p[0], p[1]) != distance(p[1], p[0]) {
			t.Errorf("distance of %q is not symmetric", p)
		}
	}
	if d := distance("kitten", "sitting"); d != 3 {
		t.Errorf("distance %d", d)
	}
}

type endless struct {
	Next *endless      `yaml:"next"`
	List []endless     `yaml:"-"`
	Map  Map[struct{}] `yaml:"map"`
}

func TestKeyPathsShapes(t *testing.T) {
	type item struct {
		ID int `yaml:"id"`
	}
	got := KeyPaths(&struct {
		List   []item          `yaml:"list"`
		Map    map[string]item `yaml:"map"`
		Lists  Map[[]item]     `yaml:"lists"`
		Ptr    **item          `yaml:"ptr"`
		When   time.Duration   `yaml:"when"`
		Skip   item            `yaml:"-"`
		Bare   item
		hidden item
	}{})
	want := []string{"list", "list[].id", "map", "map.*.id", "lists", "lists.*[].id", "ptr", "ptr.id", "when"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(KeyPaths(endless{})); n < maxDepth || n > 3*maxDepth {
		t.Errorf("a type that holds itself has %d paths", n)
	}
}

// What an operator may write as a name, path or password survives Marshal and
// Decode, in every place a text can stand.
func TestMarshalRoundTripOfTexts(t *testing.T) {
	type texts struct {
		One  string            `yaml:"one"`
		List []string          `yaml:"list"`
		Map  map[string]string `yaml:"map"`
	}
	for _, s := range []string{
		"", " ", "a ", " a", "12", "-1", "1.5", "0x10", "010", "1e3", "true", "No", "null", "~", "-", "- a", "a: b", "a:", ":a", "#", "a #b", "a#b",
		"[", "{", "]", ",", "&a", "*a", "!t", "|", ">", "%d", "@", "`", "'", `"`, `\`, "it's", `a"b`, "a\nb", "a\n", "\n", "\na", "\t", "a\tb", "\r", "? a", ".inf", ".nan", "-.inf", ".Inf", ".NaN", "a\n\n  b\n",
		"é☺", "---", "...", "<<", "?", "192.0.2.1", "2026-01-01", "12:30", "=", "99999999999999999999",
	} {
		in := texts{s, []string{s, "x"}, map[string]string{"k": s}}
		out, err := Marshal(in)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		var back texts
		if err := Decode("f", out, &back); err != nil {
			t.Errorf("%q: %v\n%s", s, err, out)
		} else if diff := cmp.Diff(in, back); diff != "" {
			t.Errorf("%q (-in +back):\n%s\n%s", s, diff, out)
		}
	}
}
