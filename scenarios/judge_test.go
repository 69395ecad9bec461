package scenarios_test

import (
	"strings"
	"testing"
	"time"

	"gwlab/reports/convergence"
	"gwlab/scenarios"
)

const ms = int64(time.Millisecond)

// blackout is a run made by hand: flows of one packet a millisecond for 4 s,
// a fault at 2 s that takes effect within 20 µs, out/0 dark for the 120
// packets after it, BFD down 130 ms after the fault, healed at 3 s.
func blackout(s *scenarios.Scenario) convergence.Run {
	fault := 2000*ms + 500_000
	run := convergence.Run{
		Schema: convergence.SchemaVersion, Scenario: s.ID, ScenarioText: string(s.Source), Start: 1, End: 4000 * ms,
		Phases: []convergence.Phase{
			{Name: "steady", Start: 0, End: fault - 10_000},
			{Name: "failure", Start: fault - 10_000, End: 3000 * ms, Converged: 2300 * ms},
			{Name: "repaired", Start: 3000 * ms, End: 4000 * ms, Converged: 3200 * ms},
			{Name: "end", Start: 4000 * ms, End: 4000 * ms},
		},
		Injections: []convergence.Injection{
			{Kind: "link.blackhole", Target: "gw1:isp1", Phase: "failure", Call: fault, Return: fault + 20_000, Confirmed: true, Evidence: "5 dropped"},
			{Kind: "link.blackhole", Target: "gw1:isp1", Heal: true, Phase: "repaired", Call: 3000 * ms, Return: 3000*ms + 20_000, Confirmed: true},
		},
		Health: convergence.Health{RealTime: true},
		Events: []convergence.Event{{T: fault + 130*ms, Source: "gatewayd", Node: "gw1", Kind: "bfd.down", Key: "isp1"}},
	}
	for id, f := range []struct {
		group string
		lost  int
	}{{"out", 120}, {"in", 0}} {
		flow := convergence.Flow{ID: uint16(id), Group: f.group, Interval: time.Millisecond, Family: "ipv4"}
		for i := range int64(4000) {
			sent := i * ms
			received := sent + 50_000
			if i > 2000 && i <= 2000+int64(f.lost) {
				received = 0
			}
			flow.Sent, flow.Received = append(flow.Sent, sent), append(flow.Received, received)
		}
		run.Flows = append(run.Flows, flow)
	}
	return run
}

func judged(t *testing.T, src string) convergence.Result {
	t.Helper()
	s, err := scenarios.Parse("x.scenario.yaml", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return scenarios.Judge(s, blackout(s))
}

func TestJudgePass(t *testing.T) {
	r := judged(t, good)
	if r.Verdict != convergence.Pass {
		t.Fatalf("verdict %s: %v %+v", r.Verdict, r.Reasons, r.Checks)
	}
	if len(r.Checks) != 4 || r.About != "The wire goes dark while carrier stays up." {
		t.Fatalf("checks %+v", r.Checks)
	}
	loc := r.Checks[1]
	// 120 packets a millisecond apart were lost: the truth lies in 120 ± 1 ms.
	if d := loc.Measured - 120*ms; d < -ms || d > ms || loc.Limit != "≤ 200ms" || !strings.Contains(loc.Value, " ms ±") {
		t.Errorf("route_loc %+v", loc)
	}
	if bfd := r.Checks[2]; bfd.Measured != 130*ms || bfd.Verdict != convergence.Pass || bfd.Text != "bfd.down at gw1" {
		t.Errorf("bfd %+v", bfd)
	}
}

func TestJudgeFail(t *testing.T) {
	for _, c := range []struct {
		name, old, new string
		check          int
		reason         string
	}{
		{"dark for too long", "max: 200ms", "max: 100ms", 1, "above the limit"},
		{"less than the minimum", "max: 200ms}", "min: 150ms}", 1, "below the limit"},
		{"event too late", "within: 160ms", "within: 129ms", 2, "too late"},
		{"event never came", "node: gw1, within", "node: gw2, within", 2, "never came"},
		{"event in a phase without a fault", "steady:   [{metric: loss, max: 0}]", "steady:   [{event: bfd.down, within: 1s}]", 0, "no data"},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := strings.Replace(good, c.old, c.new, 1)
			if src == good {
				t.Fatal("the case changes nothing")
			}
			r := judged(t, src)
			if got := r.Checks[c.check]; r.Verdict != convergence.Fail || got.Verdict != convergence.Fail || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("verdict %s, check %+v", r.Verdict, got)
			}
		})
	}
}

func TestJudgeInvalidBeatsEverything(t *testing.T) {
	s, err := scenarios.Parse("x.scenario.yaml", []byte(strings.Replace(good, "max: 200ms", "max: 1ms", 1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*convergence.Run){
		"unconfirmed":     func(r *convergence.Run) { r.Injections[0].Confirmed = false },
		"overrun":         func(r *convergence.Run) { r.Health.Overruns = 3 },
		"aborted":         func(r *convergence.Run) { r.Aborted = "interrupted" },
		"loss before":     func(r *convergence.Run) { r.Flows[1].Received[500] = 0 },
		"stolen by hosts": func(r *convergence.Run) { r.Health.StealPercent = 40 },
	} {
		run := blackout(s)
		spoil(&run)
		if r := scenarios.Judge(s, run); r.Verdict != convergence.Invalid || len(r.Reasons) == 0 {
			t.Errorf("%s: verdict %s, reasons %v", name, r.Verdict, r.Reasons)
		}
	}
}

func TestJudgeNotRecovered(t *testing.T) {
	s, err := scenarios.Parse("x.scenario.yaml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	run := blackout(s)
	run.Phases[1].Converged = -1
	for i := 2001; i < 3000; i++ {
		run.Flows[0].Received[i] = 0
	}
	r := scenarios.Judge(s, run)
	if r.Verdict != convergence.Fail || !strings.Contains(r.Checks[1].Reason, "not recovered") {
		t.Errorf("verdict %s, check %+v", r.Verdict, r.Checks[1])
	}
}
