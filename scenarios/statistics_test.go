package scenarios_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gwlab/reports/convergence"
	"gwlab/scenarios"
)

// spread is a run of n streams of group out, a packet a millisecond for 1 s;
// a fault at 200 ms costs stream i the i packets after it; healed at 600 ms.
func spread(n int) convergence.Run {
	run := convergence.Run{
		Schema: convergence.SchemaVersion, Scenario: "S", Start: 1, End: 1000 * ms,
		Phases: []convergence.Phase{
			{Name: "steady", Start: 0, End: 200 * ms},
			{Name: "failure", Start: 200 * ms, End: 600 * ms, Converged: 400 * ms},
			{Name: "repaired", Start: 600 * ms, End: 1000 * ms, Converged: 700 * ms},
			{Name: "end", Start: 1000 * ms, End: 1000 * ms},
		},
		Injections: []convergence.Injection{
			{Kind: "link.cut", Target: "a", Phase: "failure", Call: 200*ms + 100, Return: 200*ms + 200, Confirmed: true, Evidence: "e"},
			{Kind: "link.cut", Target: "a", Heal: true, Phase: "repaired", Call: 600*ms + 100, Return: 600*ms + 200, Confirmed: true, Evidence: "e"},
		},
		Health: convergence.Health{RealTime: true},
	}
	for id := range n {
		flow := convergence.Flow{ID: uint16(id), Group: "out", Index: id, Interval: time.Millisecond, Family: "ipv4"}
		for i := range int64(1000) {
			received := i*ms + 50_000
			if i > 200 && i <= 200+int64(id) {
				received = 0
			}
			flow.Sent, flow.Received = append(flow.Sent, i*ms), append(flow.Received, received)
		}
		run.Flows = append(run.Flows, flow)
	}
	return run
}

// expecting judges a run by one expectation.
func expecting(t *testing.T, run convergence.Run, phase, expect string) (convergence.Check, convergence.Result) {
	t.Helper()
	s, err := scenarios.Parse("f", []byte(`id: S
about: a
topology: dual-isp
flows: {out: {from: host1, to: srv}, in: {from: srv, to: host1}}
timeline:
  - {at: 0s, phase: steady}
  - {at: 1s, phase: failure, inject: [{kind: link.cut, link: "a:b"}, {kind: link.down, port: "c:d"}]}
  - {after: converged, phase: repaired, heal: all}
  - {after: converged, phase: end}
expect: {`+phase+": ["+expect+"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	r := scenarios.Judge(s, run)
	if len(r.Checks) != 1 {
		t.Fatalf("%d checks", len(r.Checks))
	}
	return r.Checks[0], r
}

// The statistics of 0, 1 … n-1 lost packets, by arithmetic.
func TestJudgeStatistics(t *testing.T) {
	for _, c := range []struct {
		flows, min, median, max, p95 int
	}{{1, 0, 0, 0, -1}, {2, 0, 0, 1, -1}, {5, 0, 2, 4, -1}, {21, 0, 10, 20, 19}, {40, 0, 19, 39, 37}} {
		run := spread(c.flows)
		for stat, want := range map[string]int{"min": c.min, "median": c.median, "max": c.max, "p95": c.p95} {
			check, _ := expecting(t, run, "failure", fmt.Sprintf("{metric: loss, stat: %s, min: %d, max: %d}", stat, max(want, 0), max(want, 0)))
			if want < 0 {
				if check.Verdict != convergence.Fail || check.Known || !strings.Contains(check.Reason, "p95 needs") {
					t.Errorf("p95 of %d flows: %+v", c.flows, check)
				}
				continue
			}
			if check.Verdict != convergence.Pass || check.Measured != int64(want) || check.Text != "loss "+stat {
				t.Errorf("%s of %d flows: %+v, want %d", stat, c.flows, check, want)
			}
		}
	}
}

// A bound holds at the bound and fails a nanosecond or a packet beyond.
func TestJudgeAtTheBound(t *testing.T) {
	run := spread(4)
	loc, _ := expecting(t, run, "failure", "{metric: route_loc, max: 1h}")
	if !loc.Known || time.Duration(loc.Measured) < 2*time.Millisecond || time.Duration(loc.Measured) > 4*time.Millisecond {
		t.Fatalf("three packets of a millisecond each were lost: %+v", loc)
	}
	for expect, want := range map[string]convergence.Verdict{
		fmt.Sprintf("{metric: route_loc, max: %dns}", loc.Measured):   convergence.Pass,
		fmt.Sprintf("{metric: route_loc, max: %dns}", loc.Measured-1): convergence.Fail,
		fmt.Sprintf("{metric: route_loc, min: %dns}", loc.Measured):   convergence.Pass,
		fmt.Sprintf("{metric: route_loc, min: %dns}", loc.Measured+1): convergence.Fail,
		"{metric: loss, max: 3}":                                      convergence.Pass,
		"{metric: loss, max: 2}":                                      convergence.Fail,
		"{metric: loss, min: 3, max: 3}":                              convergence.Pass,
		"{metric: loss, min: 4, max: 9}":                              convergence.Fail,
		"{metric: loss, min: 1, max: 2}":                              convergence.Fail,
		"{metric: loss_periods, max: 1}":                              convergence.Pass,
		"{metric: duplicates, max: 0}":                                convergence.Pass,
		"{metric: reordered, max: 0}":                                 convergence.Pass,
	} {
		check, r := expecting(t, run, "failure", expect)
		if check.Verdict != want || r.Verdict != want {
			t.Errorf("%s: %s, %+v", expect, r.Verdict, check)
		}
		if (check.Reason == "") != (want == convergence.Pass) {
			t.Errorf("%s: reason %q", expect, check.Reason)
		}
	}
}

func TestLimitsAreSaidAsWritten(t *testing.T) {
	for expect, want := range map[string]string{
		"{metric: loss, max: 3}": "loss max ≤ 3", "{metric: loss, min: 3}": "loss max ≥ 3", "{metric: loss, min: 0, max: 3, stat: min}": "loss min 0 … 3",
		"{metric: route_loc, flows: [out], max: 1500us}":   "route_loc [out] max ≤ 1500us",
		"{event: bfd.down, within: 1500us}":                "bfd.down ≤ 1.5ms",
		"{event: bfd.down, node: gw1, key: k, within: 1s}": "bfd.down at gw1 for k ≤ 1s",
		"{event: bfd.down, key: k, within: 1s}":            "bfd.down for k ≤ 1s",
	} {
		if check, _ := expecting(t, spread(2), "failure", expect); check.Text+" "+check.Limit != want {
			t.Errorf("%s: %s %s, want %s", expect, check.Text, check.Limit, want)
		}
	}
}

// A metric of a flow that is not in the run is no pass.
func TestJudgeWithoutData(t *testing.T) {
	for name, c := range map[string]struct {
		phase, expect string
		spoil         func(*convergence.Run)
	}{
		"no such flow":      {"failure", "{metric: loss, flows: [in], max: 0}", func(*convergence.Run) {}},
		"no flows":          {"failure", "{metric: loss, max: 0}", func(r *convergence.Run) { r.Flows = nil }},
		"phase not reached": {"repaired", "{metric: loss, max: 0}", func(r *convergence.Run) { r.Phases = r.Phases[:2] }},
		"no event":          {"steady", "{metric: full_convergence, max: 1h}", func(*convergence.Run) {}},
		"no evidence":       {"failure", "{metric: detect, max: 1h}", func(*convergence.Run) {}},
	} {
		run := spread(3)
		c.spoil(&run)
		check, r := expecting(t, run, c.phase, c.expect)
		if check.Verdict == convergence.Pass || r.Verdict == convergence.Pass || check.Known || check.Value != "-" || check.Reason == "" {
			t.Errorf("%s: %s, %+v", name, r.Verdict, check)
		}
	}
}

// Reversion lasts from the heal until each watched entry is as it was before
// the fault, and no shorter for other changes on the way.
func TestJudgeReversion(t *testing.T) {
	change := func(at int64, node, via string) convergence.Event {
		return convergence.Event{T: at, Source: "fib", Node: node, Kind: "fib.change", Key: "10.0.0.0/8", Data: map[string]string{"via": via}}
	}
	heal := 600*ms + 200
	away := []convergence.Event{change(10, "gw1", "up1"), change(11, "gw2", "up1"), change(210*ms, "gw1", "up2"), change(215*ms, "gw2", "up2")}
	for name, c := range map[string]struct {
		after []convergence.Event
		want  int64 // ns; -1 never
	}{
		"never back":        {nil, -1},
		"one of two":        {[]convergence.Event{change(heal+5*ms, "gw1", "up1")}, -1},
		"both":              {[]convergence.Event{change(heal+5*ms, "gw1", "up1"), change(heal+9*ms, "gw2", "up1")}, 9 * ms},
		"in another order":  {[]convergence.Event{change(heal+9*ms, "gw2", "up1"), change(heal+5*ms, "gw1", "up1")}, 9 * ms},
		"flaps":             {[]convergence.Event{change(heal+1*ms, "gw1", "up1"), change(heal+2*ms, "gw2", "up1"), change(heal+3*ms, "gw1", "up2"), change(heal+40*ms, "gw1", "up1")}, 40 * ms},
		"over a third path": {[]convergence.Event{change(heal+1*ms, "gw1", "up3"), change(heal+2*ms, "gw2", "up1"), change(heal+8*ms, "gw1", "up1")}, 8 * ms},
		"to another path":   {[]convergence.Event{change(heal+1*ms, "gw1", "up1,up2"), change(heal+2*ms, "gw2", "up1")}, -1},
	} {
		run := spread(2)
		run.Events = append(append([]convergence.Event{}, away...), c.after...)
		check, _ := expecting(t, run, "repaired", "{metric: reversion, max: 9ms}")
		switch {
		case c.want < 0:
			if check.Verdict != convergence.Fail || check.Known {
				t.Errorf("%s: %+v", name, check)
			}
		case check.Measured != c.want || (check.Verdict == convergence.Pass) != (c.want <= 9*ms):
			t.Errorf("%s: %+v, want %d", name, check, c.want)
		}
	}
	if check, _ := expecting(t, spread(2), "failure", "{metric: reversion, max: 1h}"); check.Verdict != convergence.Fail {
		t.Errorf("reversion of a phase without heal: %+v", check)
	}
}

// An event is timed from the first of several injections of its phase, and
// one that came before it does not count.
func TestJudgeEventOfSeveralInjections(t *testing.T) {
	run := spread(2)
	second := run.Injections[0]
	second.Kind, second.Call, second.Return = "link.down", 230*ms, 230*ms+100
	run.Injections = append(run.Injections[:1:1], second, run.Injections[1])
	from := run.Injections[0].Call
	event := func(at int64, node, key string) convergence.Event {
		return convergence.Event{T: at, Source: "gatewayd", Node: node, Kind: "bfd.down", Key: key}
	}
	run.Events = []convergence.Event{
		event(from-1, "gw1", "a"), event(from+50*ms, "gw1", "b"), event(from+40*ms, "gw2", "a"), event(from+60*ms, "gw1", "a"), event(from+410*ms, "gw3", "a"),
	}
	for expect, want := range map[string]int64{
		"{event: bfd.down, within: 40ms}":                    40 * ms,
		"{event: bfd.down, node: gw1, within: 1s}":           50 * ms,
		"{event: bfd.down, node: gw1, key: a, within: 60ms}": 60 * ms,
		"{event: bfd.down, key: a, within: 1s}":              40 * ms,
	} {
		if check, _ := expecting(t, run, "failure", expect); check.Measured != want || check.Verdict != convergence.Pass {
			t.Errorf("%s: %+v, want %d", expect, check, want)
		}
	}
	for _, expect := range []string{"{event: bfd.down, within: 39ms}", "{event: bfd.up, within: 1s}", "{event: bfd.down, node: gw4, within: 1s}", "{event: bfd.down, node: gw2, key: b, within: 1s}"} {
		if check, r := expecting(t, run, "failure", expect); check.Verdict != convergence.Fail || r.Verdict != convergence.Fail {
			t.Errorf("%s: %+v", expect, check)
		}
	}
	// The heal is the first thing done in the phase after.
	if check, _ := expecting(t, run, "repaired", "{event: bfd.down, within: 1s}"); check.Measured != from+410*ms-(600*ms+100) {
		t.Errorf("after the heal: %+v", check)
	}
}

// Judging changes nothing of the run and says the same twice.
func TestJudgeIsPure(t *testing.T) {
	run := spread(30)
	before := fmt.Sprintf("%+v", run)
	_, first := expecting(t, run, "failure", "{metric: route_loc, stat: p95, max: 50ms}")
	_, second := expecting(t, run, "failure", "{metric: route_loc, stat: p95, max: 50ms}")
	if fmt.Sprintf("%+v", first.Checks) != fmt.Sprintf("%+v", second.Checks) || first.Verdict != second.Verdict {
		t.Errorf("%+v, then %+v", first.Checks, second.Checks)
	}
	if fmt.Sprintf("%+v", run) != before {
		t.Error("judging changed the run")
	}
}
