package probe

import (
	"strings"
	"testing"
	"time"

	"gwlab/reports/convergence"
)

// gated is a flow of one packet a millisecond for 500 ms that loses what it
// sends in [from, to) ms.
func gated(from, to int64) convergence.Flow {
	f := convergence.Flow{Interval: time.Millisecond}
	for i := range int64(500) {
		received := i*msec + 1000
		if i >= from && i < to {
			received = 0
		}
		f.Sent, f.Received = append(f.Sent, i*msec), append(f.Received, received)
	}
	return f
}

func TestJudgeKnownOutage(t *testing.T) {
	// Closed somewhere in 100.400 … 100.500 ms, open again in 200.400 … 200.500:
	// 100 ms, give or take 0.1.
	k := known{closeCall: 100*msec + 400_000, closeDone: 100*msec + 500_000, openCall: 200*msec + 400_000, openDone: 200*msec + 500_000}
	right := gated(101, 201)
	twice := gated(101, 201)
	twice.Received[220] = 0
	for _, c := range []struct {
		name   string
		flows  []convergence.Flow
		health convergence.Health
		error  time.Duration
		unfit  string
	}{
		{"right", []convergence.Flow{right}, convergence.Health{}, 0, ""},
		{"the worst flow counts", []convergence.Flow{right, gated(101, 203), gated(101, 202)}, convergence.Health{}, 2 * time.Millisecond, ""},
		{"too short", []convergence.Flow{gated(105, 201)}, convergence.Health{}, 4 * time.Millisecond, ""},
		{"a loss too many", []convergence.Flow{right, twice}, convergence.Health{}, 100 * time.Millisecond, ""},
		{"nothing seen", []convergence.Flow{gated(0, 0)}, convergence.Health{}, 100 * time.Millisecond, ""},
		{"a stall at an edge", []convergence.Flow{gated(105, 201)},
			convergence.Health{Stalls: []convergence.Stall{{Start: 104 * msec, End: 106 * msec}}}, 4 * time.Millisecond, "the sender stalled 2ms at an edge"},
		{"a stall elsewhere is no excuse", []convergence.Flow{gated(105, 201)},
			convergence.Health{Stalls: []convergence.Stall{{Start: 150 * msec, End: 156 * msec}}}, 4 * time.Millisecond, ""},
		{"overruns", []convergence.Flow{right}, convergence.Health{Overruns: 2}, 0, "2 packets were lost by the tester itself"},
	} {
		m := k.judge(c.flows, c.health)
		if m.Truth != 100*time.Millisecond || m.Bracket != 100*time.Microsecond || m.Error != c.error || m.Unfit != c.unfit {
			t.Errorf("%s: %+v", c.name, m)
		}
	}
}

func TestSummarize(t *testing.T) {
	list := []Measured{
		{Error: 300 * time.Microsecond}, {Error: 100 * time.Microsecond}, {Error: 1050 * time.Microsecond, Bracket: 60 * time.Microsecond},
		{Error: 2 * time.Millisecond}, {Error: time.Second, Unfit: "stalled"},
	}
	got := Summarize(list, time.Millisecond)
	want := Summary{Outages: 5, Unfit: 1, Median: 1050 * time.Microsecond, Worst: 2 * time.Millisecond, Broken: 1}
	if got != want {
		t.Errorf("%+v", got)
	}
	if got := Summarize(list[4:], time.Millisecond); got != (Summary{Outages: 1, Unfit: 1}) {
		t.Errorf("of unfit ones only: %+v", got)
	}
}

func TestWriteTable(t *testing.T) {
	var b strings.Builder
	must(t, WriteTable(&b, []Row{{"idle", Summary{Outages: 30, Median: 250 * time.Microsecond, Worst: 900 * time.Microsecond},
		convergence.Health{P99Lateness: 90 * time.Microsecond, WorstLateness: 2 * time.Millisecond, BusyPercent: 12.4}}}))
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 4 || lines[2] != "| idle | 30 | 0 | 0.25 | 0.90 | 0 | 0.09 | 2.00 | 12 % |" {
		t.Errorf("%q", lines)
	}
	for _, line := range lines[:3] {
		if strings.Count(line, "|") != strings.Count(lines[0], "|") {
			t.Errorf("ragged: %s", line)
		}
	}
}
