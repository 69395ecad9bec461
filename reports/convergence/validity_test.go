package convergence

import (
	"strings"
	"testing"
	"time"
)

func TestValidity(t *testing.T) {
	outage := []dark{{101 * ms, 151 * ms}}
	for _, c := range []struct {
		name   string
		change func(*Run)
		want   string // part of the only reason; empty: valid
	}{
		{"a good run", func(*Run) {}, ""},
		{"aborted", func(r *Run) { r.Aborted = "interrupted" }, "the run was aborted: interrupted"},
		{"unconfirmed", func(r *Run) { r.Injections[0].Confirmed, r.Injections[0].Error = false, "no drops" }, "link.cut of a:b was not confirmed: no drops"},
		{"an unconfirmed heal is no matter", func(r *Run) {
			r.Injections = append(r.Injections, Injection{Heal: true, Call: 400 * ms, Return: 400 * ms})
		}, ""},
		{"overruns", func(r *Run) { r.Health.Overruns = 3 }, "3 packets lost by the tester itself"},
		{"no buffers", func(r *Run) { r.Health.NoBuffers = 2 }, "2 packets lost by the tester itself"},
		{"unreachable is the network's doing", func(r *Run) { r.Health.SendErrors = 50 }, ""},
		{"steal", func(r *Run) { r.Health.StealPercent = 7.25 }, "took 7.2 % of the CPU"},
		{"a little steal", func(r *Run) { r.Health.StealPercent = 5 }, ""},
		{"clock step", func(r *Run) { r.Health.ClockStep = -time.Second }, "stepped by -1s"},
		{"no phases", func(r *Run) { r.Phases = nil }, "no phases"},
		{"no packets", func(r *Run) { r.Flows = nil }, "no packets were sent"},
		{"loss before the fault", func(r *Run) { r.Flows[1].Received[40] = 0 }, "1 packets were lost before the first fault (out/1)"},
		{"down shortly before the fault", func(r *Run) {
			for i := 90; i < 100; i++ {
				r.Flows[1].Received[i] = 0
			}
		}, "10 packets were lost before the first fault (out/1)"},
		{"the last packet before the fault died in it", func(r *Run) { r.Flows[0].Received[100], r.Flows[0].Sent[100] = 0, 100*ms-1000 }, ""},
		{"loss without any fault", func(r *Run) { r.Injections, r.Flows[1].Received[40] = nil, 0 }, ""},
		{"a stall at an outage's start", stall(100*ms+500_000, 103*ms), "stalled 2.5ms where an outage began or ended (out/0)"},
		{"a stall at an outage's end", stall(149*ms, 153*ms), "where an outage began or ended (out/0)"},
		{"a stall inside of an outage", stall(120*ms, 130*ms), "while an outage could have passed unseen (out/1)"},
		{"a shorter one only widens what is said", stall(120*ms, 129*ms), ""},
		{"a long one when all were dark", func(r *Run) { stall(120*ms, 130*ms)(r); r.Flows = r.Flows[:1] }, ""},
		{"a stall long after all", stall(300*ms, 310*ms), ""},
		{"a stall in the steady phase", stall(50*ms, 60*ms), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := failover(outage, nil)
			c.change(&run)
			got := Validity(run, Options{})
			if c.want == "" && len(got) != 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func stall(from, to int64) func(*Run) {
	return func(r *Run) { r.Health.Stalls = []Stall{{from, to}} }
}

func TestLossBeforeFaultMayBeAllowed(t *testing.T) {
	run := failover([]dark{{40 * ms, 50 * ms}})
	if got := Validity(run, Options{AllowLossBeforeFault: true}); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestAbbreviate(t *testing.T) {
	if got := abbreviate([]string{"a", "b", "c", "d", "e", "f"}); got != "a, b, c, d and 2 more" {
		t.Error(got)
	}
}

func TestWorst(t *testing.T) {
	order := []Verdict{Pass, Regressed, Fail, Invalid}
	for i, a := range order {
		for j, b := range order {
			if got := Worst(a, b); got != order[max(i, j)] {
				t.Errorf("worst of %s and %s is %s", a, b, got)
			}
		}
	}
	if Worst() != Pass || Worst(Pass, "nonsense") == Pass {
		t.Error("no verdicts, or an unknown one")
	}
}

func TestConclude(t *testing.T) {
	run := failover(nil)
	for _, c := range []struct {
		name    string
		checks  []Check
		reasons []string
		vain    bool
		want    Verdict
	}{
		{"all pass", []Check{{Verdict: Pass}, {Verdict: Pass}}, nil, false, Pass},
		{"one fails", []Check{{Verdict: Pass}, {Verdict: Fail}, {Verdict: Regressed}}, nil, false, Fail},
		{"unfit beats failed", []Check{{Verdict: Fail}}, []string{"overruns"}, false, Invalid},
		{"waited in vain", []Check{{Verdict: Pass}}, nil, true, Fail},
		{"nothing expected", nil, nil, false, Pass},
	} {
		r := Result{}
		run.Phases[1].Converged = 0
		if c.vain {
			run.Phases[1].Converged = -1
		}
		Conclude(&r, run, c.checks, c.reasons)
		if r.Verdict != c.want {
			t.Errorf("%s: %s", c.name, r.Verdict)
		}
		if c.vain && !strings.HasPrefix(r.Checks[len(r.Checks)-1].Reason, "not recovered") {
			t.Errorf("%s: %+v", c.name, r.Checks)
		}
	}
}
