package scenarios_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"gwlab/fault"
	"gwlab/internal/strictyaml"
	"gwlab/scenarios"
	"gwlab/topologies"
)

// small is a scenario with these flows, second step and expectations.
func small(flow, step, expect string) string {
	return "id: S\nabout: a\ntopology: dual-isp\nflows: {f: {from: host1, to: srv" + flow + "}}\n" +
		"timeline: [{at: 0s, phase: steady}, {" + step + ", phase: failure}, {after: converged, phase: end}]\n" +
		"expect: {steady: [" + expect + "]}\n"
}

// TestScenarioBounds holds the last value that is accepted of every setting
// with a range, and refuses the first that is not.
func TestScenarioBounds(t *testing.T) {
	flow := func(key string) func(string) string {
		return func(v string) string { return small(", "+key+": "+v, "at: 1s", "") }
	}
	step := func(before string) func(string) string {
		return func(v string) string { return small("", before+v, "") }
	}
	bound := func(metric, key string) func(string) string {
		return func(v string) string { return small("", "at: 1s", "{metric: "+metric+", "+key+": "+v+"}") }
	}
	both := func(metric string) func(string) string {
		return func(v string) string { return small("", "at: 1s", "{metric: "+metric+", "+v+"}") }
	}
	for _, c := range []struct {
		name       string
		file       func(string) string
		good, evil []string
	}{
		{"rate", flow("rate"), []string{"1pps", "1000pps"}, []string{"0pps", "1001pps", "1000", "-1pps", "[]"}},
		{"count", flow("count"), []string{"1", "64"}, []string{"0", "65", "-1", "1.5"}},
		{"family", flow("family"), []string{"both", "ipv4", "ipv6"}, []string{"IPv4", "4", "any"}},
		{"proto", flow("proto"), []string{"udp"}, []string{"tcp", "UDP"}},
		{"at", step("at: "), []string{"0s", "1ns", "1h"}, []string{"-1s", "1", "[1s]"}},
		{"jitter", step("at: 1s, jitter: "), []string{"0s", "1ns", "1s"}, []string{"-1s", "5"}},
		{"hold", step("after: converged, hold: "), []string{"0s", "1h"}, []string{"-1s", "1"}},
		{"hold with at", step("at: 1s, hold: "), []string{"0s"}, []string{"1s"}},
		{"a time", bound("route_loc", "max"), []string{"0s", "1ns", "1h"}, []string{"0", "5", "-1s", "1.5", "fast", "[1s]", "{}", ""}},
		{"a count", bound("loss", "max"), []string{"0", "1", "2147483647"}, []string{"0s", "1ms", "-1", "1.5", "many", "[1]", ""}},
		{"least time", bound("reversion", "min"), []string{"0s", "1ms"}, []string{"1", "-1ms"}},
		{"least count", bound("late", "min"), []string{"0", "9"}, []string{"1s", "-9"}},
		{"both of a time", both("route_loc"), []string{"min: 1ms, max: 2ms", "min: 1ms, max: 1ms", "min: 999us, max: 1ms"}, []string{"min: 2ms, max: 1ms", "min: 1s, max: 999ms"}},
		{"both of a count", both("loss"), []string{"min: 1, max: 2", "min: 2, max: 2"}, []string{"min: 3, max: 2"}},
		{"repeat", func(v string) string {
			return strings.Replace(small("", "at: 1s", ""), "about", "repeat: "+v+"\nabout", 1)
		},
			[]string{"1", "1000"}, []string{"0", "1001", "-1"}},
		{"id", func(v string) string { return strings.Replace(small("", "at: 1s", ""), "id: S", "id: "+v, 1) },
			[]string{"a", "A-1_b", strings.Repeat("x", 40)}, []string{`""`, "-a", `"a b"`, "a/b", "é", "..", strings.Repeat("x", 41)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, v := range c.good {
				if _, err := scenarios.Parse("f", []byte(c.file(v))); err != nil {
					t.Errorf("%s is refused: %v", v, err)
				}
			}
			for _, v := range c.evil {
				_, err := scenarios.Parse("f", []byte(c.file(v)))
				if err == nil {
					t.Errorf("%s is accepted", v)
					continue
				}
				for line := range strings.Lines(err.Error()) {
					if !strings.HasPrefix(line, "f:") {
						t.Errorf("%s: a line without its place: %q", v, line)
					}
				}
			}
		})
	}
}

func TestFlowDefaults(t *testing.T) {
	s, err := scenarios.Parse("f", []byte(small("", "at: 1s", "")))
	if err != nil {
		t.Fatal(err)
	}
	if f := s.Flows[0]; f.Rate != 1000 || f.Count != 1 || f.Family != "both" || s.Repeat != 1 {
		t.Errorf("flow %+v, repeat %d", f, s.Repeat)
	}
}

func TestQuantity(t *testing.T) {
	for text, want := range map[string]struct {
		count int
		time  time.Duration
	}{
		"0": {}, "7": {count: 7}, "0s": {}, "1.5ms": {time: 1500 * time.Microsecond}, "1h2m": {time: 62 * time.Minute}, `"200ms"`: {time: 200 * time.Millisecond},
	} {
		var out struct {
			Q scenarios.Quantity `yaml:"q"`
		}
		if err := strictyaml.Decode("f", []byte("q: "+text), &out); err != nil || out.Q.Count != want.count || out.Q.Duration != want.time || out.Q.Text != strings.Trim(text, `"`) {
			t.Errorf("%s: %+v, %v", text, out.Q, err)
		}
	}
	for _, text := range []string{"-1", "1.5", "-5ms", "5 ms", "ms", "true", "0x5", "9223372036854775808", "[5]", "{a: 5}"} {
		var out struct {
			Q scenarios.Quantity `yaml:"q"`
		}
		if err := strictyaml.Decode("f", []byte("q: "+text), &out); err == nil || !strings.Contains(err.Error(), "write a time like 200ms or a count like 0") {
			t.Errorf("%s: %+v, %v", text, out.Q, err)
		}
	}
}

// Every metric is told of, takes a bound of its own sort and refuses the other.
func TestMetricsTakeTheirUnit(t *testing.T) {
	names := map[string]bool{}
	for _, m := range scenarios.Metrics() {
		if names[m.Name] || !strings.HasSuffix(m.Doc, ".") {
			t.Errorf("metric %q: twice, or without a sentence", m.Name)
		}
		names[m.Name] = true
		right, wrong := "5", "5ms"
		if m.Time {
			right, wrong = wrong, right
		}
		for _, stat := range []string{"max", "median", "p95", "min"} {
			if _, err := scenarios.Parse("f", []byte(small("", "at: 1s", fmt.Sprintf("{metric: %s, stat: %s, max: %s}", m.Name, stat, right)))); err != nil {
				t.Errorf("%s %s: %v", m.Name, stat, err)
			}
		}
		if _, err := scenarios.Parse("f", []byte(small("", "at: 1s", fmt.Sprintf("{metric: %s, max: %s}", m.Name, wrong)))); err == nil {
			t.Errorf("%s takes %s", m.Name, wrong)
		}
	}
}

// Metric and event do not mix.
func TestExpectationsAreOneOrTheOther(t *testing.T) {
	for expect, want := range map[string]string{
		"{}":                                    "an expectation is either",
		"{max: 1}":                              "an expectation is either",
		"{metric: loss, event: e}":              "an expectation is either",
		"{event: e}":                            "event e needs within",
		"{event: e, within: 0s}":                "event e needs within",
		"{event: e, within: 1s, max: 1}":        "go with a metric, not with an event",
		"{event: e, within: 1s, min: 1}":        "go with a metric, not with an event",
		"{event: e, within: 1s, stat: max}":     "go with a metric, not with an event",
		"{event: e, within: 1s, flows: [f]}":    "go with a metric, not with an event",
		"{metric: loss, max: 0, node: gw1}":     "go with an event, not with a metric",
		"{metric: loss, max: 0, key: k}":        "go with an event, not with a metric",
		"{metric: loss, max: 0, within: 1s}":    "go with an event, not with a metric",
		"{metric: loss, max: 0, flows: [f, g]}": `unknown flow "g"`,
		"{metric: loss, max: 0, limit: 1}":      `unknown key "limit"`,
	} {
		_, err := scenarios.Parse("f", []byte(small("", "at: 1s", expect)))
		if err == nil || !strings.HasPrefix(err.Error(), "f:6:") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want …%s", expect, err, want)
		}
	}
}

// Each kind of fault is read from a timeline, alone and in a list.
func TestEveryFaultInATimeline(t *testing.T) {
	options := map[string]string{"link.cut": `link: "gw1:isp1"`, "link.down": `port: "gw1:isp1"`, "link.blackhole": `link: "gw1:isp1", dir: both`,
		"node.kill": "node: isp1, silent: true", "process.kill": "node: gw1, restart: true", "process.stop": "node: gw1"}
	top, err := topologies.Load(topologies.Library(), "dual-isp")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, k := range fault.Kinds() {
		all = append(all, fmt.Sprintf("{kind: %s, %s}", k.Name, options[k.Name]))
	}
	for i, k := range fault.Kinds() {
		for text, n := range map[string]int{all[i]: 1, "[" + all[i] + "]": 1, "[" + strings.Join(all, ", ") + "]": len(all)} {
			s, err := scenarios.Parse("f", []byte(small("", "at: 1s, inject: "+text, "")))
			if err != nil {
				t.Fatal(err)
			}
			in := s.Timeline[1].Inject
			if len(in) != n || in[i*min(1, n-1)].Kind != k.Name {
				t.Errorf("%s: %+v", text, in)
			}
			if _, err := scenarios.Compile(s, top, 1, 1); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		bad := strings.Replace(all[i], "}", ", sped: 1}", 1)
		_, err := scenarios.Parse("f", []byte(small("", "at: 1s, inject: "+bad, "")))
		var at *strictyaml.Error
		if !errors.As(err, &at) || at.Line != 5 || !strings.Contains(at.Msg, `unknown key "sped"`) || strings.Contains(at.Msg, "kind") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	for text, want := range map[string]string{
		"[]": "", "cut": "inject needs a kind", "[cut]": "inject needs a kind", "[[]]": "inject needs a kind", "{kind: }": "unknown fault kind",
		"{kind: [link.cut]}": "unknown fault kind", "{}": "inject needs a kind",
	} {
		_, err := scenarios.Parse("f", []byte(small("", "at: 1s, inject: "+text, "")))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("inject: %s: %v, want %q", text, err, want)
		}
	}
}

// A library with one bad file is told by that file's name.
func TestLibraryWithABadFile(t *testing.T) {
	fsys := fstest.MapFS{"b.scenario.yaml": {Data: []byte(good)}, "a.scenario.yaml": {Data: []byte(small("", "at: 1s", ""))}, "notes.yaml": {Data: []byte("[")}}
	all, err := scenarios.All(fsys)
	if err != nil || len(all) != 2 || all[0].ID != "S" || all[1].File != "b.scenario.yaml" {
		t.Fatalf("%v, %v", all, err)
	}
	for _, name := range []string{"S", "s", "a", "a.scenario.yaml"} {
		if s, err := scenarios.Load(fsys, name); err != nil || s.ID != "S" {
			t.Errorf("%s: %v", name, err)
		}
	}
	fsys["c.scenario.yaml"] = &fstest.MapFile{Data: []byte("id: [")}
	if _, err := scenarios.All(fsys); err == nil || !strings.HasPrefix(err.Error(), "c.scenario.yaml:1:") {
		t.Errorf("got %v", err)
	}
}
